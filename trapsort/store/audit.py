"""What the record knows of a card's files: questions of `audit` and `archive`.

A place is live unless other content was found at it since; only live places are answers here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, FromClause, ScalarSelect, func, select

from trapsort.store.statements import chunks
from trapsort.store.tables import cards, photos, places_seen, problems, stations

PAIRS_AT_ONCE = 250  # two values each in one statement


@dataclass(frozen=True, slots=True)
class CardRow:
    """A card as the record names it; one folder has a row for each volume and station."""

    id: int
    root: str
    volume: str
    station: str | None


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """What was seen at a path of a card; `is_first` where that content was seen nowhere before."""

    id: int
    card_id: int
    path: bytes
    sha256: bytes
    size: int
    mtime_ns: int
    is_first: bool


@dataclass(frozen=True, slots=True)
class Original:
    """A recorded content, and the first of its live places; without any it was superseded."""

    camera_time: str | None
    card_id: int | None
    path: bytes | None


def find_cards(connection: Connection) -> list[CardRow]:
    """Return all cards, those first that were seen last."""
    columns = (cards.c.id, cards.c.root, cards.c.volume, stations.c.name)
    query = select(*columns).outerjoin(stations, stations.c.id == cards.c.station_id)
    rows = connection.execute(query.order_by(cards.c.last_seen.desc(), cards.c.id.desc()))
    return [CardRow(*row) for row in rows]


def find_places(connection: Connection, card_id: int, paths: Iterable[bytes]) -> list[PlaceRow]:
    """Return what is at these paths of a card, the first seen first."""
    first = _first_place(places_seen, places_seen.c.photo_id)
    columns = (
        *(places_seen.c[name] for name in ("id", "card_id", "path_bytes")),
        *(photos.c.sha256, photos.c.size, places_seen.c.mtime_ns, places_seen.c.id == first),
    )
    query = select(*columns).join(photos, photos.c.id == places_seen.c.photo_id)
    query = query.where(places_seen.c.card_id == card_id, places_seen.c.superseded.is_(None))
    found = []
    for chunk in chunks(paths):
        for id_, card, path, sha256, size, mtime_ns, is_first in connection.execute(
            query.where(places_seen.c.path_bytes.in_(chunk))
        ):
            content = (bytes(path), bytes(sha256), size, mtime_ns)
            found.append(PlaceRow(id_, card, *content, bool(is_first)))
    return sorted(found, key=lambda place: place.id)


def find_open_problems(
    connection: Connection, card_id: int, paths: Iterable[bytes]
) -> dict[bytes, tuple[str, str]]:
    """Return reason and time last seen (UTC text) of the open problems at these paths."""
    query = select(problems.c.path_bytes, problems.c.reason, problems.c.last_seen)
    query = query.where(problems.c.card_id == card_id, problems.c.resolved.is_(None))
    found: dict[bytes, tuple[str, str]] = {}
    for chunk in chunks(paths):
        rows = connection.execute(query.where(problems.c.path_bytes.in_(chunk)))
        found.update((bytes(path), (reason, last)) for path, reason, last in rows)
    return found


def find_originals(connection: Connection, sha256s: Iterable[bytes]) -> dict[bytes, Original]:
    """Return those of these contents that are recorded."""
    place = places_seen.alias("first_place")
    placed = photos.outerjoin(place, place.c.id == _first_place(photos, photos.c.id))
    columns = (photos.c.sha256, photos.c.camera_time, place.c.card_id, place.c.path_bytes)
    query = select(*columns).select_from(placed)
    found = {}
    for chunk in chunks(sha256s):
        for sha256, time, card_id, path in connection.execute(
            query.where(photos.c.sha256.in_(chunk))
        ):
            found[bytes(sha256)] = Original(time, card_id, None if path is None else bytes(path))
    return found


def find_cards_holding(connection: Connection, contents: Mapping[bytes, bytes]) -> set[int]:
    """Return the cards that hold one of these contents at its path; `contents`: path -> sha256."""
    query = select(places_seen.c.card_id, places_seen.c.path_bytes, photos.c.sha256)
    query = query.join(photos, photos.c.id == places_seen.c.photo_id)
    query = query.where(places_seen.c.superseded.is_(None))
    found = set()
    for chunk in chunks(contents, PAIRS_AT_ONCE):
        pairs = {path: contents[path] for path in chunk}
        here = (places_seen.c.path_bytes.in_(pairs), photos.c.sha256.in_(set(pairs.values())))
        rows = connection.execute(query.where(*here))
        found |= {card for card, path, sha256 in rows if pairs[bytes(path)] == bytes(sha256)}
    return found


def _first_place(outer: FromClause, photo_id: Any) -> ScalarSelect[int]:
    """Select the id of a photo's first live place, as the view `sightings` does."""
    place = places_seen.alias()
    first = select(func.min(place.c.id)).where(
        place.c.photo_id == photo_id, place.c.superseded.is_(None)
    )
    return first.correlate(outer).scalar_subquery()
