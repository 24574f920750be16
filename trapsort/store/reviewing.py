"""What people decide on the page: all of it or nothing, and never over another's decision."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Connection, func, select

from trapsort.errors import InputError
from trapsort.store.in_force import is_kept
from trapsort.store.index import settle
from trapsort.store.statements import Row, chunks, insert_one, utc_now
from trapsort.store.tables import photos, reviews


class ConflictError(InputError):
    """Somebody else decided on one of these photos meanwhile; nothing was written."""

    def __init__(self, photo_ids: Sequence[int]) -> None:
        what = "this photo" if len(photo_ids) == 1 else f"{len(photo_ids)} of these photos"
        super().__init__(
            f"somebody else has reviewed {what} meanwhile",
            "look at what was said, then decide again",
        )
        self.photo_ids = photo_ids


def decide(
    connection: Connection,
    seen: Mapping[int, int | None],
    label: str | None,
    *,
    count: int,
    reviewer: str,
    note: str,
) -> dict[int, int]:
    """Append one answer for each photo; return photo -> review.

    seen: photo -> the review in force that the reviewer saw, None for none. Raises `InputError` for
    a photo that is not there, `ConflictError` where another review is in force by now.
    """
    _check_photos(connection, seen)
    now_in_force = in_force(connection, seen)
    changed = [photo for photo, review in seen.items() if now_in_force.get(photo) != review]
    if changed:
        raise ConflictError(changed)
    row: Row = {"label": label, "count": count, "reviewer": reviewer, "note": note}
    row = {**row, "time": utc_now()}
    said = {photo: insert_one(connection, reviews, {**row, "photo_id": photo}) for photo in seen}
    settle(connection, seen)
    return said


def undo(connection: Connection, review_ids: Iterable[int], reviewer: str) -> list[int]:
    """Take reviews back, each by a row of its own; return their photos.

    What was taken back before stays so. Raises `InputError` for a review that is not there.
    """
    wanted = list(dict.fromkeys(review_ids))
    found: dict[int, int] = {}
    kept: set[int] = set()
    columns = (reviews.c.id, reviews.c.photo_id, is_kept())
    for chunk in chunks(wanted):
        query = select(*columns).where(reviews.c.id.in_(chunk), reviews.c.retracts.is_(None))
        for review, photo, is_in_place in connection.execute(query):
            found[review] = photo
            kept |= {review} if is_in_place else set()
    if missing := [review for review in wanted if review not in found]:
        raise InputError(f"there is no review {missing[0]}", "take an id that `reviews` shows")
    row: Row = {"label": None, "count": 0, "reviewer": reviewer, "note": "", "time": utc_now()}
    for review in wanted:
        if review in kept:
            taken = {**row, "photo_id": found[review], "retracts": review}
            insert_one(connection, reviews, taken)
    its_photos = list(dict.fromkeys(found[review] for review in wanted))
    settle(connection, its_photos)
    return its_photos


def in_force(connection: Connection, photo_ids: Iterable[int]) -> dict[int, int]:
    """Return the review in force of each of these photos that has one."""
    newest = select(reviews.c.photo_id, func.max(reviews.c.id)).where(is_kept())
    found: dict[int, int] = {}
    for chunk in chunks(photo_ids):
        query = newest.where(reviews.c.photo_id.in_(chunk)).group_by(reviews.c.photo_id)
        found.update((photo, review) for photo, review in connection.execute(query))
    return found


def _check_photos(connection: Connection, photo_ids: Iterable[int]) -> None:
    wanted = set(photo_ids)
    there: set[int] = set()
    for chunk in chunks(wanted):
        live = (photos.c.id.in_(chunk), photos.c.superseded_by.is_(None))
        there.update(connection.scalars(select(photos.c.id).where(*live)))
    if missing := sorted(wanted - there):
        raise InputError(f"there is no photo {missing[0]}", "take an id that `sightings` shows")
