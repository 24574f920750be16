"""Cameras that fell silent: a running deployment without a photo, against its usual rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import Cell

if TYPE_CHECKING:
    from trapsort.store import DeploymentRow, PhotoDay, Store

SILENT_DAYS = 3
"""Fewer whole days without a photo are no news, however busy the camera was."""
UNLIKELY = 0.01
"""A silence is reported where a camera of that usual rate had one so long with this chance."""

COLUMNS: dict[str, str] = {
    "station": "station of the deployment",
    "deployment": "its name",
    "camera": "name of the camera, where one was given",
    "start": "when it was set up, local; empty when nobody said",
    "last_photo": "time of its last photo, local and true; empty when there is none",
    "days_silent": "whole days after that of the last photo, or of the start, to the report's day",
    "days_with_photos": "on how many days it took one, before",
    "days_watched": "days from its start, or first photo, to the last photo, both included",
    "photos_per_day": "usual rate: photos / days_watched, one decimal",
    "chance": "chance of so long a silence at the usual rate: (1 - p) ^ days_silent, with"
    " p = (days_with_photos + 1) / (days_watched + 2); empty without a photo",
}


@dataclass(frozen=True, slots=True)
class Silence:
    """A camera that took no photo for days; times are local and true, `chance` is 0..1."""

    station: str
    deployment: str
    camera: str
    start: str | None
    last_photo: str | None
    days_silent: int
    days_with_photos: int
    days_watched: int
    photos: int
    chance: float | None


def silences(
    deployments: Iterable[DeploymentRow],
    photo_days: Iterable[PhotoDay],
    day: date,
    *,
    least_days: int = SILENT_DAYS,
) -> list[Silence]:
    """Return the running deployments that are silent on `day`, the longest silent first.

    The chance takes days for independent, with p after Laplace's rule of succession; what was
    photographed after `day` is not known yet. A deployment without photos is silent since its
    start.
    """
    until = day.isoformat()
    known = (each for each in photo_days if each.day <= until)
    taken = {name: list(days) for name, days in groupby(known, key=lambda each: each.deployment)}
    found = []
    for row in deployments:
        running = (row.start or "")[:10] <= until and (row.end is None or row.end[:10] > until)
        silence = _silence(row, taken.get(row.name, []), day) if running else None
        if silence is None or silence.days_silent < least_days:
            continue
        if silence.chance is None or silence.chance < UNLIKELY:
            found.append(silence)
    return sorted(found, key=lambda each: (-each.days_silent, each.station, each.deployment))


def _silence(row: DeploymentRow, days: list[PhotoDay], until: date) -> Silence | None:
    """Return how long a deployment is silent, None where neither start nor photos are known."""
    if not days and row.start is None:
        return None
    first = date.fromisoformat((row.start or days[0].day)[:10])
    who = (row.station, row.name, row.camera, row.start)
    if not days:
        return Silence(*who, None, (until - first).days, 0, 0, 0, None)
    last = date.fromisoformat(days[-1].day)
    watched = (last - min(first, date.fromisoformat(days[0].day))).days + 1
    silent, photos = (until - last).days, sum(each.photos for each in days)
    chance = (1 - (len(days) + 1) / (watched + 2)) ** silent
    return Silence(*who, days[-1].last, silent, len(days), watched, photos, chance)


def rows(
    store: Store, since: date | None, until: date | None, *, red_list: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield the cameras that are silent on the last of these days, today if there is none."""
    day = until or date.today()
    for each in silences(store.deployments(), store.photo_days(), day):
        yield (
            each.station,
            each.deployment,
            each.camera,
            each.start,
            each.last_photo,
            each.days_silent,
            each.days_with_photos,
            each.days_watched,
            round(each.photos / each.days_watched, 1) if each.days_watched else None,
            None if each.chance is None else float(f"{each.chance:.1g}"),
        )
