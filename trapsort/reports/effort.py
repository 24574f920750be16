"""How long each camera watched, up to a day: one line a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import Cell

if TYPE_CHECKING:
    import pandas as pd

    from trapsort.store import PhotoDay, Store

COLUMNS: dict[str, str] = {
    "station": "station of the deployment",
    "deployment": "its name",
    "start": "when it was set up, local; empty when nobody said",
    "end": "when it was taken down; empty while it runs",
    "trap_nights": "on the report's days, two decimals",
    "trap_nights_so_far": "from its start to the last of the report's days, two decimals",
    "days_with_photos": "days so far on which it took one",
    "photos": "photos so far",
    "last_photo": "time of the last of them, local and true",
    "rule": "trap nights as camtrapR has them; a camera that runs has watched until its last photo",
}
RULE = "camtrapR; running until last photo"


def rows(
    store: Store, since: date | None, until: date | None, *, red_list: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield the deployments that had begun by the last of these days, by station and start."""
    from trapsort.survey.rows import deployments_frame, problems_frame

    last_day = until.isoformat() if until else "9999"
    known = {row.name: row for row in store.deployments() if (row.start or "")[:10] <= last_day}
    days: dict[str, list[PhotoDay]] = {}
    for each in store.photo_days():
        if each.day <= last_day and each.deployment in known:
            days.setdefault(each.deployment, []).append(each)
    frame = deployments_frame(known.values())
    nights = _nights(frame, problems_frame(known.values()), days, until)
    for name, station in zip(frame["deployment"], frame["station"], strict=True):
        row, photos = known[name], days.get(name, [])
        mine = nights.loc[name] if name in nights.index else None
        asked = None if mine is None else mine[mine.index >= since.isoformat()] if since else mine
        yield (
            station,
            name,
            row.start,
            row.end,
            None if asked is None else round(float(asked.sum()), 2),
            None if mine is None else round(float(mine.sum()), 2),
            len(photos),
            sum(each.photos for each in photos),
            photos[-1].last if photos else None,
            RULE,
        )


def _nights(
    frame: pd.DataFrame,
    problems: pd.DataFrame,
    days: dict[str, list[PhotoDay]],
    until: date | None,
) -> pd.DataFrame:
    """Return deployment by date: the share of the day that its camera watched, NaN where it was not
    there; deployments whose time is not known are left out."""
    import numpy as np
    import pandas as pd

    from trapsort.survey.operation import camera_operation
    from trapsort.survey.rows import times

    first = {name: f"{photos[0].day}T00:00:00" for name, photos in days.items()}
    last = {name: photos[-1].last for name, photos in days.items()}
    ended = frame.assign(
        start=frame["start"].fillna(times(frame["deployment"].map(first))),
        end=frame["end"].fillna(times(frame["deployment"].map(last))),
        station=frame["deployment"],
    )
    if until is not None and until != date.max:
        midnight = np.datetime64((until + timedelta(days=1)).isoformat(), "s")
        ended["end"] = ended["end"].clip(upper=midnight)
    ended = ended[ended["end"] > ended["start"]]
    mine = problems[problems["deployment"].isin(ended["deployment"])]
    return camera_operation(ended, mine) if len(ended) else pd.DataFrame()
