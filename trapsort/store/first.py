"""The first sightings of many, found by index: what is asked for is sorted, and nothing else.

Functions on a connection whose transaction `Store` opened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.sql import visitors
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from trapsort.redlist import red_list as read_red_list
from trapsort.store.derived import sighting_index
from trapsort.store.query import (
    WITH_SEQUENCE,
    as_sighting,
    conditions,
    labelled,
    view,
    wanted_labels,
    was_reviewed,
)
from trapsort.store.rows import Sighting, SightingQuery
from trapsort.store.statements import Row, chunks
from trapsort.store.tables import sightings

FEW = 20_000  # photos that are sorted in a twentieth of a second

Columns = ReadOnlyColumnCollection[str, Any]
Wanted = Sequence[ColumnElement[bool]]
"""What sightings of the view must fulfil."""


def find_first(
    connection: Connection, query: SightingQuery, limit: int, *more: ColumnElement[bool]
) -> Iterator[Sighting]:
    """Yield the first sightings by time (none last), path and photo; `more` are conditions."""
    listed = read_red_list(query.red_list)
    times: dict[int, str | None] = {}
    for table, wanted in _ways(connection, query, more):
        times |= _first_times(connection, table, wanted, limit)
    paths: dict[int, bytes] = {}
    for chunk in chunks(times):
        there = select(view.photo_id, view.path_bytes).where(view.photo_id.in_(chunk))
        paths |= {photo: bytes(path or b"") for photo, path in connection.execute(there)}
    order = sorted(times, key=lambda id_: (times[id_] is None, times[id_] or "", paths[id_], id_))
    for found in _rows_of(connection, order[:limit]):
        yield as_sighting(found, listed)


def are_few(connection: Connection, wanted: Wanted) -> bool:
    """Say whether so few sightings fulfil this that they are soon sorted."""
    return count_up_to(connection, wanted, FEW) < FEW


def count_up_to(connection: Connection, wanted: Wanted, most: int) -> int:
    """Return how many sightings fulfil this, at most `most`."""
    table, found = index_or_view(wanted)
    counted = select(table.photo_id).where(*found).limit(most).subquery()
    return int(connection.scalar(select(func.count()).select_from(counted)) or 0)


def index_or_view(wanted: Wanted) -> tuple[Columns, list[ColumnElement[bool]]]:
    """Ask the index itself, or the view of it and ten other tables where it cannot tell.

    Returns the columns, and the conditions with them. The databases read no more than an index of
    the table then.
    """
    found = _asked_of(sighting_index.c, wanted)
    return (view, list(wanted)) if found is None else (sighting_index.c, found)


def _asked_of(columns: Columns, wanted: Wanted) -> list[ColumnElement[bool]] | None:
    """Return conditions of the view as those of other columns; None where they lack one."""
    unknown = set()

    def among(element: object, **_: object) -> ColumnElement[object] | None:
        if not isinstance(element, ColumnElement):
            return None
        if getattr(element, "table", None) is not sightings:
            return None
        name = str(element.key)
        if name not in columns:
            unknown.add(name)
            return None
        column: ColumnElement[object] = columns[name]
        return column

    found = [visitors.replacement_traverse(each, {}, among) for each in wanted]
    return None if unknown else found


Way = tuple[Columns, list[ColumnElement[bool]]]
"""Columns, and conditions of them."""


def _ways(
    connection: Connection, query: SightingQuery, more: Iterable[ColumnElement[bool]]
) -> Iterator[Way]:
    """Yield conditions of which one or the other must hold, each with an index in order of time.

    A label at a time, and what people said apart from what models did: a database that looks for
    several at once would rather sort all that it finds.
    """
    others = replace(query, species=(), iucn=(), min_probability=None, reviewed=None)
    listed = read_red_list(query.red_list)
    wanted = [*conditions(others, listed), *more]
    labels = wanted_labels(query, listed)
    by_index = labels is None and query.station is None
    for label in [[]] if labels is None else [[labelled([each])] for each in labels]:
        here = [*wanted, *label]
        if query.min_probability is None:
            answers = [] if query.reviewed is None else [query.reviewed]
            yield index_or_view([*here, *(was_reviewed(a, by_index=by_index) for a in answers)])
            continue
        if query.reviewed is not False:
            yield index_or_view([*here, was_reviewed(True, by_index=by_index)])
        if query.reviewed is not True:
            yield _sure(connection, query.min_probability, here, by_index=by_index)


def _sure(connection: Connection, least: float, wanted: Wanted, *, by_index: bool) -> Way:
    """Ask for what models were so sure of: sorted if few, else the first in time are soon found."""
    row = sighting_index.c
    if are_few(connection, [view.reviewed.is_(False), view.probability >= least]):
        few = select(sighting_index).where(row.reviewed.is_(False), row.probability >= least)
        # The limit keeps SQLite from looking for them by another index.
        columns = few.limit(FEW).subquery().c
        found = _asked_of(columns, wanted)
        if found is not None:
            return columns, found
    # A sum has no index that would give them in another order.
    sure = was_reviewed(False, by_index=by_index) & (view.probability + 0.0 >= least)
    return index_or_view([*wanted, sure])


def _first_times(
    connection: Connection, table: Columns, wanted: Wanted, limit: int
) -> dict[int, str | None]:
    """Return the first photos with their times, and all that have the same time as the last."""
    asked = select(table.photo_id, table.time).where(*wanted)
    first = connection.execute(asked.order_by(table.time.asc().nulls_last()).limit(limit)).all()
    times: dict[int, str | None] = {photo: time for photo, time in first}  # noqa: C416 - rows
    if len(first) == limit:
        # Of those that share the last time, the paths are to decide.
        same = asked.where(table.time.is_not_distinct_from(first[-1][1]))
        times |= {photo: time for photo, time in connection.execute(same)}  # noqa: C416 - rows
    return times


def _rows_of(connection: Connection, photo_ids: Sequence[int]) -> Iterator[Row]:
    """Yield the rows of these photos, in their order."""
    for chunk in chunks(photo_ids):
        found = connection.execute(select(*WITH_SEQUENCE).where(view.photo_id.in_(chunk)))
        rows = {each.photo_id: each._asdict() for each in found}
        yield from (rows[photo_id] for photo_id in chunk)
