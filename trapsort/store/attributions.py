"""Where and when each photo was taken: its deployment, by camera, folder, card or station and time.

A photo may belong to a deployment that nothing contradicts and something speaks for: the camera's
serial number, the folder pattern, the card, or, where none of these does, the station that the card
was given. The strongest of these decides, and the time must lie within the deployment once its
clock is put right.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from trapsort.store.deployments import EVER, find_corrections
from trapsort.store.index import settle
from trapsort.store.rows import Correction, Unmatched
from trapsort.store.statements import chunks, merge
from trapsort.store.tables import (
    attributions,
    cards,
    deployments,
    photos,
    places_seen,
    stations,
)

AT_ONCE = 5_000  # photos in memory
EVIDENCE = ("serial", "folder", "card", "station")  # strongest first
SECONDS_A_DAY = 86_400
RIVALS_SHOWN = 3  # deployments named in a reason
FACTS = (photos.c.id, photos.c.camera_time, photos.c.serial, places_seen.c.path)
_GLOB = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_WILD = re.compile(r"(\*\*/|\*\*|\*|\?)")


@dataclass(frozen=True, slots=True)
class _Card:
    root: str
    volume: str
    station_id: int | None


@dataclass(frozen=True, slots=True)
class _Deployment:
    """A deployment as photos are held against it.

    `folder` is the pattern of paths, `parent` that of the folders whose photos it may tell apart.
    """

    id: int
    name: str
    station_id: int
    serial: str
    card: str
    folder: re.Pattern[str] | None
    parent: re.Pattern[str] | None
    start: str
    end: str
    corrections: tuple[Correction, ...]

    def true_time(self, camera_time: str) -> str:
        """Return a camera time as a right clock would have shown it."""
        if not self.corrections:
            return camera_time
        shown = datetime.fromisoformat(camera_time)
        seconds = correction_seconds(self.corrections, shown)
        try:
            return (shown + timedelta(seconds=round(seconds))).isoformat()
        except OverflowError:  # a clock that nobody set, with a drift of years
            return camera_time

    def time_of(self, camera_time: str | None) -> str | None:
        """Return the true time of a photo within the deployment, '' if neither has one, or None."""
        if camera_time is None:
            return "" if (self.start, self.end) == EVER else None
        time = self.true_time(camera_time)
        return time if self.start <= time <= self.end else None

    def may_hold(self, card: _Card, serial: str, folder: str) -> bool:
        """Say whether a photo in this folder may be this deployment's, whatever its name is."""
        if self.parent is not None and self.parent.fullmatch(folder):
            return True
        return self.evidence(card, serial, f"{folder}/\0" if folder else "\0") is not None

    def evidence(self, card: _Card, serial: str, path: str) -> str | None:
        """Return what speaks for a photo being this deployment's, None where nothing may."""
        if self.serial and serial and self.serial.casefold() != serial.casefold():
            return None
        if self.folder is not None and not self.folder.fullmatch(path):
            return None
        if self.card and not _is_card(self.card, card):
            return None
        if self.serial and serial:
            return "serial"
        if card.station_id is not None and card.station_id != self.station_id:
            return None
        if self.folder is not None or self.card:
            return "folder" if self.folder is not None else "card"
        return "station" if card.station_id is not None else None


@dataclass(frozen=True, slots=True)
class Match:
    """What was found for a photo: one deployment, or none and why."""

    deployment_id: int | None
    station_id: int | None
    time: str | None
    matched_by: str
    why: str = ""
    rivals: tuple[str, ...] = ()


class Matcher:
    """Holds photos against all deployments; one is made for each transaction."""

    def __init__(self, connection: Connection) -> None:
        columns = (cards.c.id, cards.c.root, cards.c.volume, cards.c.station_id)
        rows = connection.execute(select(*columns))
        self._cards = {id_: _Card(*facts) for id_, *facts in rows}
        self._deployments = _load(connection)
        self._may_be: dict[tuple[int, str, str], list[_Deployment]] = {}

    def match(self, card_id: int, camera_time: str | None, serial: str | None, path: str) -> Match:
        """Find the deployment of a photo."""
        met = list(self._candidates(card_id, serial or "", path))
        when = [(how, each, each.time_of(camera_time)) for how, each in met]
        there = [(how, each, time) for how, each, time in when if time is not None]
        if not there:
            return Match(None, None, camera_time, "", _why_none([d for _, d in met], camera_time))
        strongest = min(EVIDENCE.index(how) for how, _, _ in there)
        how = EVIDENCE[strongest]
        best = [(each, time) for found, each, time in there if found == how]
        places = {each.station_id for each, _ in best}
        station = places.pop() if len(places) == 1 else None
        if len(best) == 1:
            ((only, time),) = best
            return Match(only.id, station, time or camera_time, how)
        rivals = tuple(each.name for each, _ in best)
        why = f"more than one deployment: {', '.join(rivals)}"
        return Match(None, station, camera_time, "", why, rivals)

    def _candidates(
        self, card_id: int, serial: str, path: str
    ) -> Iterator[tuple[str, _Deployment]]:
        """Yield what may be a photo's deployment whatever its time, with what speaks for it."""
        card, folder = self._cards[card_id], path.rpartition("/")[0]
        # Nearly all deployments are out of the question for all photos of a folder.
        key = (card_id, serial, folder)
        if key not in self._may_be:
            self._may_be[key] = [d for d in self._deployments if d.may_hold(card, serial, folder)]
        for each in self._may_be[key]:
            how = each.evidence(card, serial, path)
            if how is not None:
                yield how, each


def correction_seconds(corrections: Iterable[Correction], shown: datetime) -> float:
    """Return what corrections add to a camera's clock that showed this time."""
    total = 0.0
    for each in corrections:
        total += each.offset_seconds
        if each.since is not None:
            passed = (shown - datetime.fromisoformat(each.since)).total_seconds()
            total += each.drift_seconds_per_day * passed / SECONDS_A_DAY
    return total


def attribute(connection: Connection, photo_ids: Iterable[int] | None = None) -> None:
    """Find the deployment of these photos, or of all; only what changes is written."""
    for changed in _matched(connection, photo_ids):
        settle(connection, changed)


def match_photos(connection: Connection, photo_ids: Iterable[int]) -> None:
    """Find the deployment of photos which the caller settles."""
    for _ in _matched(connection, photo_ids):
        pass


def _matched(connection: Connection, photo_ids: Iterable[int] | None) -> Iterator[list[int]]:
    """Write the deployments of photos, and yield those of which something changed."""
    matcher = Matcher(connection)
    for rows in _pages(connection, photo_ids):
        changed = []
        for row in rows:
            found = matcher.match(row.card_id, row.camera_time, row.serial, row.path)
            new = (found.deployment_id, found.station_id, found.time, found.matched_by)
            if new != (row.deployment_id, row.station_id, row.time, row.matched_by):
                changed.append(dict(zip(_WRITTEN, (row.id, *new), strict=True)))
        merge(connection, attributions, ("photo_id",), changed, _WRITTEN[1:])
        yield [row["photo_id"] for row in changed]


def count_matched(connection: Connection) -> tuple[int, int]:
    """Return how many live photos belong to a deployment, and how many do not."""
    known = photos.outerjoin(attributions, attributions.c.photo_id == photos.c.id)
    counted = select(func.count(attributions.c.deployment_id), func.count()).select_from(known)
    row = connection.execute(counted.where(photos.c.superseded_by.is_(None))).one()
    return row[0], row[1] - row[0]


def find_unmatched(connection: Connection) -> Iterator[Unmatched]:
    """Stream the photos without a deployment by card and path, and why they have none."""
    matcher = Matcher(connection)
    query = _facts(cards.c.root, stations.c.name.label("station"))
    query = query.join(cards, cards.c.id == places_seen.c.card_id)
    query = query.outerjoin(stations, stations.c.id == cards.c.station_id)
    query = query.where(attributions.c.deployment_id.is_(None))
    query = query.order_by(cards.c.root, cards.c.id, places_seen.c.path_bytes)
    options = {"stream_results": True, "yield_per": AT_ONCE}
    for row in connection.execute(query, execution_options=options):
        found = matcher.match(row.card_id, row.camera_time, row.serial, row.path)
        facts = (row.id, row.path, row.root, row.station, row.camera_time, row.serial)
        yield Unmatched(*facts, found.why, found.rivals)


_WRITTEN = ("photo_id", "deployment_id", "station_id", "time", "matched_by")


def _facts(*columns: Any) -> Select[Any]:
    """Select what decides on live photos, at the first of their live places, and what is known."""
    place = places_seen.alias("place")
    first = select(func.min(place.c.id)).where(
        place.c.photo_id == photos.c.id, place.c.superseded.is_(None)
    )
    known = (attributions.c[name] for name in _WRITTEN[1:])
    here = places_seen.c.id == first.correlate(photos).scalar_subquery()
    placed = photos.join(places_seen, here)
    whole = placed.outerjoin(attributions, attributions.c.photo_id == photos.c.id)
    return select(*FACTS, places_seen.c.card_id, *known, *columns).select_from(whole)


def _pages(connection: Connection, photo_ids: Iterable[int] | None) -> Iterator[Sequence[Row[Any]]]:
    query = _facts()
    if photo_ids is not None:
        for chunk in chunks(photo_ids):
            yield connection.execute(query.where(photos.c.id.in_(chunk))).all()
        return
    query, last = query.order_by(photos.c.id).limit(AT_ONCE), 0
    while rows := connection.execute(query.where(photos.c.id > last)).all():
        yield rows
        last = rows[-1].id


def _load(connection: Connection) -> list[_Deployment]:
    corrections = defaultdict(list)
    for correction in find_corrections(connection):
        corrections[correction.deployment].append(correction)
    return [
        _Deployment(
            id=row.id,
            name=row.name,
            station_id=row.station_id,
            serial=row.serial,
            card=row.card,
            folder=_compiled(row.folder.strip("/"), "(?:/.*)?") if row.folder else None,
            parent=_parent(row.folder.strip("/")),
            start=row.start or EVER[0],
            end=row.end or EVER[1],
            corrections=tuple(corrections[row.name]),
        )
        for row in connection.execute(select(deployments).order_by(deployments.c.id))
    ]


def _parent(pattern: str) -> re.Pattern[str] | None:
    """Compile the pattern of folders in which a pattern may tell photos apart by their names."""
    folder, _, name = pattern.rpartition("/")
    if name in ("", "*", "**") or not ("." in name or _WILD.search(name)):
        return None
    return _compiled(folder)


@lru_cache(maxsize=10_000)
def _compiled(pattern: str, below: str = "") -> re.Pattern[str]:
    """Compile a pattern of paths: * and ? within a name, ** through folders."""
    text = "".join(_GLOB.get(part) or re.escape(part) for part in _WILD.split(pattern))
    return re.compile(text + below, re.DOTALL)


def _is_card(named: str, card: _Card) -> bool:
    """Say whether a card is the one of this folder or volume."""
    if card.volume and named.casefold() == card.volume.casefold():
        return True
    return named.rstrip("/\\") == card.root.rstrip("/\\")


def _why_none(met: Sequence[_Deployment], camera_time: str | None) -> str:
    if not met:
        return "no deployment names its camera, folder, card or station"
    periods = [
        f"{each.name} ({each.start or 'ever'} to {'now' if each.end == EVER[1] else each.end})"
        for each in met[:RIVALS_SHOWN]
    ]
    more = f" and {len(met) - RIVALS_SHOWN} more" if len(met) > RIVALS_SHOWN else ""
    what = "it has no time" if camera_time is None else "its time is outside"
    return f"{what}: {', '.join(periods)}{more}"
