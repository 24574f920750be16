"""Where contents were seen, and which of them gave way to other content at its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection, exists, select, update

from trapsort.store.index import cards_of
from trapsort.store.sequences import dissolve
from trapsort.store.statements import chunks, merge
from trapsort.store.tables import photos, places_seen

if TYPE_CHECKING:
    from trapsort.scan import Photo

Placed = tuple[bytes, int]  # a path on the card and the id of the photo that is there


def add_places(
    connection: Connection, card_id: int, places: Sequence[tuple[Photo, int]], now: str
) -> dict[int, set[int]]:
    """Note which photo is at which path of a card, the later of two at one path in force.

    Content that another replaced there is superseded: its place, and the photo itself once it has
    no other. A photo that is met again is not superseded any more. Returns the photos that gave way
    somewhere, each with the cards on which it was.
    """
    placed = [(photo.relative, photo_id) for photo, photo_id in places]
    before = _live(connection, card_id, (path for path, _ in placed))
    rows = [
        {
            "photo_id": photo_id,
            "card_id": card_id,
            "path_bytes": photo.relative,
            "path": photo.name,
            "mtime_ns": photo.mtime_ns,
            "first_seen": now,
            "last_seen": now,
            "superseded": None,
        }
        for photo, photo_id in places
    ]
    keys = ("card_id", "path_bytes", "photo_id")
    merge(connection, places_seen, keys, rows, ("mtime_ns", "last_seen", "superseded"))
    _revive(connection, (photo_id for _, photo_id in placed))
    contested = _contested(before, placed)
    if not contested:
        return {}
    times = _camera_times(connection, contested)
    gone = replaced(before, placed, times)
    _supersede(connection, card_id, gone, now)
    elsewhere = cards_of(connection, {old for _, old in gone})
    return {old: {card_id, *elsewhere.get(old, ())} for _, old in gone}


def replaced(
    before: Mapping[bytes, Sequence[int]],
    placed: Iterable[Placed],
    times: Mapping[int, str | None],
) -> dict[Placed, int]:
    """Return the places whose photo gives way, each with the photo that takes it, in that order.

    `before` are the photos at each path, the one seen last at the end; `times` the camera times of
    all where more than one photo is at a path. Two times that differ are two photos: the camera
    used the name again. Equal ones are the same photo, written again. Without both times only the
    content that was there last can have been overwritten.
    """
    here = {path: list(ids) for path, ids in before.items()}
    gone: dict[Placed, int] = {}
    for path, new in placed:
        there = here.setdefault(path, [])
        gone.pop((path, new), None)
        if new in there:
            there.remove(new)
        last = there[-1] if there else None
        for old in tuple(there):
            both = times[old] is not None and times[new] is not None
            if times[old] == times[new] if both else old == last:
                there.remove(old)
                gone[path, old] = new
        there.append(new)
    return gone


def _live(connection: Connection, card_id: int, paths: Iterable[bytes]) -> dict[bytes, list[int]]:
    """Return the photos at each path of a card, the one seen last at the end."""
    found = defaultdict(list)
    for chunk in chunks(paths):
        query = select(places_seen.c.path_bytes, places_seen.c.photo_id).where(
            places_seen.c.card_id == card_id,
            places_seen.c.path_bytes.in_(chunk),
            places_seen.c.superseded.is_(None),
        )
        query = query.order_by(places_seen.c.last_seen, places_seen.c.id)
        for path, photo_id in connection.execute(query):
            found[bytes(path)].append(photo_id)
    return found


def _contested(before: Mapping[bytes, Sequence[int]], placed: Iterable[Placed]) -> set[int]:
    """Return the photos that share a path of the card with another."""
    ids = {path: set(there) for path, there in before.items()}
    for path, photo_id in placed:
        ids.setdefault(path, set()).add(photo_id)
    return {photo_id for there in ids.values() if len(there) > 1 for photo_id in there}


def _camera_times(connection: Connection, photo_ids: Iterable[int]) -> dict[int, str | None]:
    times: dict[int, str | None] = {}
    for chunk in chunks(photo_ids):
        query = select(photos.c.id, photos.c.camera_time).where(photos.c.id.in_(chunk))
        times.update((photo_id, time) for photo_id, time in connection.execute(query))
    return times


def _revive(connection: Connection, photo_ids: Iterable[int]) -> None:
    for chunk in chunks(photo_ids):
        met = (photos.c.id.in_(chunk), photos.c.superseded_by.is_not(None))
        connection.execute(update(photos).where(*met).values(superseded_by=None))


def _supersede(connection: Connection, card_id: int, gone: Mapping[Placed, int], now: str) -> None:
    place = places_seen.c
    for path, old in gone:
        here = (place.card_id == card_id, place.path_bytes == path, place.photo_id == old)
        connection.execute(update(places_seen).where(*here).values(superseded=now))
    nowhere = ~exists().where(place.photo_id == photos.c.id, place.superseded.is_(None))
    for (_, old), new in gone.items():
        lost = update(photos).where(photos.c.id == old, nowhere).values(superseded_by=new)
        if connection.execute(lost).rowcount:
            dissolve(connection, old)
            # What it had taken the place of is now that of the newest, so that no chains form.
            earlier = update(photos).where(photos.c.superseded_by == old)
            connection.execute(earlier.values(superseded_by=new))
