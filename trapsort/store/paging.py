"""Sightings a page at a time, by key: a page costs the same wherever it lies in the record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, or_, select

from trapsort.errors import InputError
from trapsort.redlist import red_list as read_red_list
from trapsort.store.first import are_few, count_up_to, index_or_view
from trapsort.store.query import SIGHTING_COLUMNS, conditions, was_reviewed
from trapsort.store.rows import Sighting, SightingQuery
from trapsort.store.statements import chunks
from trapsort.store.tables import photos, places_seen, predictions, runs, sightings

ORDERS = ("newest", "uncertain")
MOST_COUNTED = 1_000
"""What a page says of how many there are in all stops here: counting more takes too long."""

VISITS = 200
"""Cards and folders that are told apart in the order `newest`; what came before is one."""

view = sightings.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of the record a page shows: a query, and what only pages ask.

    `card_id` is a card where the photo was ever seen and nothing took its place.
    """

    query: SightingQuery = field(default_factory=SightingQuery)
    max_probability: float | None = None
    card_id: int | None = None
    sequence_id: int | None = None

    def more(self) -> Iterator[ColumnElement[bool]]:
        """Yield the conditions beside those of the query."""
        if self.max_probability is not None:
            yield view.probability <= self.max_probability
        if self.card_id is not None:
            here = (places_seen.c.card_id == self.card_id, places_seen.c.superseded.is_(None))
            yield view.photo_id.in_(select(places_seen.c.photo_id).where(*here))
        if self.sequence_id is not None:
            yield view.photo_id.in_(
                select(photos.c.id).where(photos.c.sequence_id == self.sequence_id)
            )

    def all(self) -> list[ColumnElement[bool]]:
        """Return every condition."""
        listed = read_red_list(self.query.red_list)
        return [*conditions(self.query, listed), *self.more()]


class Shown(NamedTuple):
    """A sighting, the review in force (None: a model said it) and that review's note.

    `likely` is the label that a model thought most probable where nothing is named.
    """

    sighting: Sighting
    review_id: int | None
    note: str
    likely: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some sightings; `next` is the key of those after them, None at the end."""

    items: list[Shown]
    next: str | None


_said = predictions.alias()
_TOP = select(_said.c.top).where(_said.c.id == view.prediction_id).correlate(sightings)
COLUMNS: list[ColumnElement[Any]] = [
    *SIGHTING_COLUMNS,
    view.review_id,
    view.note,
    _TOP.scalar_subquery().label("top"),
]


def find_page(
    connection: Connection, asked: Asked, order: str, after: str | None, limit: int
) -> Page:
    """Return the page after a key.

    `newest`: what came in last first, but the photos of a card in their order. `uncertain`: what a
    model said and nobody reviewed, the least probable first, what it had no answer for last.

    Raises:
        InputError: the key is not one of this order.
    """
    find = {"newest": _newest, "uncertain": _uncertain}[order]
    found = list(find(connection, asked, after, limit))
    rows = _rows_of(connection, [photo_id for photo_id, _ in found])
    shown = [as_shown(row, asked.query.red_list) for row in rows]
    return Page(shown, found[-1][1] if len(found) == limit else None)


def find_some(connection: Connection, photo_ids: Sequence[int], red_list: str) -> list[Shown]:
    """Return the sightings of these photos, in their order; those that are not there are not."""
    found: dict[int, Shown] = {}
    for chunk in chunks(photo_ids):
        rows = connection.execute(select(*COLUMNS).where(view.photo_id.in_(chunk)))
        found.update((row.photo_id, as_shown(row, red_list)) for row in rows)
    return [found[photo] for photo in dict.fromkeys(photo_ids) if photo in found]


def count_some(connection: Connection, asked: Asked) -> int:
    """Return how many sightings there are, at most `MOST_COUNTED`."""
    return count_up_to(connection, asked.all(), MOST_COUNTED)


def as_shown(row: Any, red_list: str) -> Shown:
    """Return a row of `COLUMNS` as what is shown."""
    listed = read_red_list(red_list)
    *values, review_id, note, top = row
    names = (column.name for column in SIGHTING_COLUMNS)
    fields = dict(zip(names, values, strict=True))
    fields["sha256"] = bytes(fields["sha256"]).hex()
    label = fields["label"]
    name, iucn = listed.scientific_name(label), listed.category(label)
    first = next(iter(json.loads(top or "[]")), None)
    likely = first[0] if first is not None and label is None else None
    return Shown(Sighting(**fields, scientific_name=name, iucn=iucn), review_id, note, likely)


Keys = Iterator[tuple[int, str]]
"""Photos and the keys of the pages after them."""


def _rows_of(connection: Connection, photo_ids: Sequence[int]) -> Iterator[Any]:
    """Yield rows of `COLUMNS` in the order of these photos."""
    for chunk in chunks(photo_ids):
        found = connection.execute(select(*COLUMNS).where(view.photo_id.in_(chunk)))
        rows = {row.photo_id: row for row in found}
        yield from (rows[photo_id] for photo_id in chunk)


def _newest(connection: Connection, asked: Asked, after: str | None, limit: int) -> Keys:
    last = None if after is None else _parts(after, "n")[1]
    table, wanted = index_or_view(asked.all())
    left = limit
    for low, high in _visits(connection):
        if last is not None and last < low:
            continue  # shown before
        is_begun = last is not None and (high is None or last < high)
        here = [table.photo_id > last if is_begun else table.photo_id >= low]
        here += [table.photo_id < high] if high is not None else []
        query = select(table.photo_id).where(*wanted, *here).order_by(table.photo_id).limit(left)
        for photo_id in connection.scalars(query).all():
            yield photo_id, f"n{photo_id}"
            left -= 1
        if not left:
            return


def _visits(connection: Connection) -> list[tuple[int, int | None]]:
    """Return the ranges of photo ids in which cards came in, the newest first; None for no end.

    Runs on the same card that follow each other, as `watch` makes them, are one.
    """
    query = select(runs.c.card_id, runs.c.started).order_by(runs.c.id.desc())
    starts: list[int] = []
    later: tuple[int, str] | None = None
    for card_id, started in connection.execute(query):
        if later is not None and card_id != later[0]:
            starts += _first_since(connection, later[1])
            if len(starts) >= VISITS:
                break
        later = (card_id, started)
    starts = sorted(set(starts), reverse=True)
    return list(zip([*starts, 0], [None, *starts], strict=True))


def _first_since(connection: Connection, time: str) -> list[int]:
    """Return the first photo that was recorded since a time (UTC text), if any."""
    query = select(photos.c.id).where(photos.c.first_seen >= time)
    found = connection.scalar(query.order_by(photos.c.first_seen, photos.c.id).limit(1))
    return [] if found is None else [int(found)]


def _uncertain(connection: Connection, asked: Asked, after: str | None, limit: int) -> Keys:
    if asked.query.reviewed:
        return
    anybody = replace(asked, query=replace(asked.query, reviewed=None))
    conditions = anybody.all()
    # A few are sorted; of many the least probable are soon found in the order of the index.
    by_index = not conditions or not are_few(connection, conditions)
    unreviewed = was_reviewed(False, by_index=by_index)
    table, wanted = index_or_view([unreviewed, view.prediction_id.is_not(None), *conditions])
    probability, number = table.probability, table.prediction_id
    said = select(table.photo_id, probability, number).where(*wanted)
    left = limit
    if after is None or after.startswith("u"):
        sure = said.where(probability.is_not(None)).order_by(probability, number)
        if after is not None:
            least, last = _parts(after, "u")
            beyond = or_(probability > least, number > last)
            sure = sure.where(probability >= least, beyond)
        for photo_id, value, place in connection.execute(sure.limit(left)).all():
            yield photo_id, f"u{value!r}:{place}"
            left -= 1
    if left:
        is_begun = after is not None and not after.startswith("u")
        last = _parts(after or "", "v")[1] if is_begun else 0
        unsure = said.where(probability.is_(None), number > last).order_by(number).limit(left)
        for photo_id, _, place in connection.execute(unsure).all():
            yield photo_id, f"v{place}"


_KEYS = {
    "n": re.compile(r"n(\d{1,18})"),
    "u": re.compile(r"u([\d.e-]{1,30}):(\d{1,18})"),
    "v": re.compile(r"v(\d{1,18})"),
}


def _parts(key: str, kind: str) -> tuple[float, int]:
    """Return the probability (0 if it has none) and the id of a key."""
    found = _KEYS[kind].fullmatch(key)
    with suppress(ValueError):
        if found is not None:
            return float(found[1]) if kind == "u" else 0.0, int(found[found.re.groups])
    raise InputError(f"{key!r} is no key of a page", "take `next` of the page before")
