"""Which reviews count: a review is in force that is the newest of its photo and not taken back."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, exists, func, select

from trapsort.store.tables import reviews

_undone = reviews.alias("undone")


def is_kept() -> ColumnElement[bool]:
    """Ask for reviews that nobody took back; what takes another back is no review itself."""
    taken_back = exists().where(_undone.c.retracts == reviews.c.id)
    return reviews.c.retracts.is_(None) & ~taken_back


def newest_reviews() -> Select[int]:
    """Select the ids of the reviews in force, one a photo."""
    return select(func.max(reviews.c.id)).where(is_kept()).group_by(reviews.c.photo_id)
