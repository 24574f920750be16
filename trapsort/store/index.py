"""What each photo shows now and how many there are, kept up to date with every change.

Functions on a connection whose transaction `Store` opened; whoever changes what the view
`sighting_index_source` reads, calls `settle` with the photos before the transaction ends.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    tuple_,
)

from trapsort.store.derived import (
    ALL_STATIONS,
    NO_STATION,
    card_counts,
    sighting_counts,
    sighting_index,
    sighting_index_source,
)
from trapsort.store.statements import add_up, chunks, merge
from trapsort.store.tables import photos, places_seen, predictions, regions

AT_ONCE = 5_000  # photos in memory
KEYS_AT_ONCE = 100  # five values each in one statement
COLUMNS = tuple(column.name for column in sighting_index.columns)
COUNT_KEYS = tuple(column.name for column in sighting_counts.primary_key)

CountKey = tuple[str, int, str, str, bool]
"""Span, station, moment, label, and whether a person said so: `sighting_counts`."""

Placed = Mapping[int, Collection[int]]
"""Photo -> the cards on which it is."""


def settle(
    connection: Connection,
    photo_ids: Iterable[int],
    *,
    fresh: Collection[int] = (),
    placed: Placed | None = None,
) -> None:
    """Make the index and the counts say of these photos what the rest of the record says.

    `fresh` are those that the record did not hold before this transaction. `placed` says on which
    cards the others were before it; without it nothing happened to the places of any.
    """
    counts: Counter[CountKey] = Counter()
    on_cards: Counter[tuple[int, str]] = Counter()
    for chunk in chunks(photo_ids):
        known = [photo for photo in chunk if photo not in fresh]
        was = _rows(connection, sighting_index, known) if known else {}
        now = _rows(connection, sighting_index_source, chunk)
        changed = [row for photo, row in now.items() if row != was.get(photo)]
        if gone := [photo for photo in was if photo not in now]:
            connection.execute(delete(sighting_index).where(sighting_index.c.photo_id.in_(gone)))
        rows = [row._asdict() for row in changed]
        merge(connection, sighting_index, ("photo_id",), rows, COLUMNS[1:])
        for row in changed:
            _count(counts, row, 1)
        for photo in (*gone, *(row.photo_id for row in changed if row.photo_id in was)):
            _count(counts, was[photo], -1)
        if placed is None:
            moved = [p for p in was if p not in now or was[p].reviewed != now[p].reviewed]
            here = cards_of(connection, moved) if moved else {}
            _count_cards(on_cards, here, was, -1)
        else:
            here = {p: {row.card_id} for p, row in now.items() if p in fresh and row.card_id}
            if known:
                here |= cards_of(connection, known)
                _count_cards(on_cards, placed, was, -1)
        _count_cards(on_cards, here, now, 1)
    _add_counts(connection, counts)
    _add_card_counts(connection, on_cards)


def settle_model(connection: Connection, model_id: int) -> None:
    """Settle the photos of which this model, by now preferred, says something and another shows."""
    shown = predictions.alias("shown")
    said = (
        select(regions.c.photo_id)
        .join(predictions, predictions.c.region_id == regions.c.id)
        .where(regions.c.photo_id == sighting_index.c.photo_id, predictions.c.model_id == model_id)
    )
    query = (
        select(sighting_index.c.photo_id)
        .join(shown, shown.c.id == sighting_index.c.prediction_id)
        .where(shown.c.model_id != model_id, exists(said.correlate(sighting_index)))
        .order_by(sighting_index.c.photo_id)
        .limit(AT_ONCE)
    )
    last = 0
    while ids := connection.scalars(query.where(sighting_index.c.photo_id > last)).all():
        settle(connection, ids)
        last = ids[-1]


def cards_of(connection: Connection, photo_ids: Iterable[int]) -> dict[int, set[int]]:
    """Return the cards on which each of these photos is, those left out that are on none."""
    place = places_seen.c
    query = select(place.photo_id, place.card_id).where(place.superseded.is_(None))
    found: dict[int, set[int]] = defaultdict(set)
    for chunk in chunks(photo_ids):
        for photo, card in connection.execute(query.where(place.photo_id.in_(chunk))):
            found[photo].add(card)
    return found


def rebuild(connection: Connection) -> None:
    """Make the index and the counts anew."""
    connection.execute(delete(sighting_index))
    # Made again after the rows: that is quicker, and they take less room.
    indexes = sorted(sighting_index.indexes, key=lambda each: str(each.name))
    for each in indexes:
        each.drop(connection)
    last = connection.scalar(select(func.max(photos.c.id))) or 0
    source = sighting_index_source.c
    for after in range(0, last, AT_ONCE):
        part = select(sighting_index_source).where(
            source.photo_id > after, source.photo_id <= after + AT_ONCE
        )
        connection.execute(insert(sighting_index).from_select(COLUMNS, part))
    for each in indexes:
        each.create(connection)
    recount(connection)


def recount(connection: Connection) -> None:
    """Make the counts anew, from the index."""
    for table in (card_counts, sighting_counts):
        connection.execute(delete(table))
    for counted in (_counted("day"), _counted("hour"), _counted_everywhere()):
        columns = (*COUNT_KEYS, "photos")
        connection.execute(insert(sighting_counts).from_select(columns, counted))
    columns = ("card_id", "photos", "reviewed")
    connection.execute(insert(card_counts).from_select(columns, _counted_on_cards()))


def find_faults(connection: Connection) -> Iterator[str]:
    """Say how many rows of what is derived do not equal what they are derived from."""
    counts = select(*(sighting_counts.c[name] for name in (*COUNT_KEYS, "photos")))
    here = sighting_counts.c.station_id != ALL_STATIONS
    everywhere = sighting_counts.c.station_id == ALL_STATIONS
    compared: tuple[tuple[str, Select[Any], Select[Any]], ...] = (
        ("sighting_index", select(sighting_index), select(sighting_index_source)),
        (
            "sighting_counts",
            counts.where(here, sighting_counts.c.span == "day"),
            _counted("day"),
        ),
        (
            "sighting_counts",
            counts.where(here, sighting_counts.c.span == "hour"),
            _counted("hour"),
        ),
        ("sighting_counts", counts.where(everywhere), _counted_everywhere()),
        ("card_counts", select(card_counts), _counted_on_cards()),
    )
    for name, stored, derived in compared:
        wrong = 0
        for one, other in ((stored, derived), (derived, stored)):
            apart = one.except_(other).subquery()
            wrong += connection.scalar(select(func.count()).select_from(apart)) or 0
        if wrong:
            yield f"{wrong:,} rows of {name} do not say what the record says"


def _rows(connection: Connection, table: Any, photo_ids: Collection[int]) -> dict[int, Row[Any]]:
    found = connection.execute(select(table).where(table.c.photo_id.in_(photo_ids)))
    return {row.photo_id: row for row in found}


def _count(counts: Counter[CountKey], row: Row[Any], number: int) -> None:
    time, label, reviewed = row.time or "", row.label or "", bool(row.reviewed)
    station = NO_STATION if row.station_id is None else row.station_id
    counts["day", station, time[:10], label, reviewed] += number
    counts["day", ALL_STATIONS, time[:10], label, reviewed] += number
    counts["hour", station, time[11:13], label, reviewed] += number


def _count_cards(
    counts: Counter[tuple[int, str]], placed: Placed, rows: Mapping[int, Row[Any]], number: int
) -> None:
    for photo, cards in placed.items():
        if photo not in rows:
            continue
        for card in cards:
            counts[card, "photos"] += number
            counts[card, "reviewed"] += number * bool(rows[photo].reviewed)


def _add_counts(connection: Connection, counts: Counter[CountKey]) -> None:
    changes = {key: number for key, number in counts.items() if number}
    if not changes:
        return
    rows = [
        dict(zip((*COUNT_KEYS, "photos"), (*key, number), strict=True))
        for key, number in changes.items()
    ]
    add_up(connection, sighting_counts, COUNT_KEYS, rows, ("photos",))
    keys = tuple_(*(sighting_counts.c[name] for name in COUNT_KEYS))
    for chunk in chunks((key for key, number in changes.items() if number < 0), KEYS_AT_ONCE):
        none_left = and_(keys.in_(chunk), sighting_counts.c.photos == 0)
        connection.execute(delete(sighting_counts).where(none_left))


def _add_card_counts(connection: Connection, counts: Counter[tuple[int, str]]) -> None:
    cards = sorted({card for (card, _), number in counts.items() if number})
    rows = [
        {"card_id": card, "photos": counts[card, "photos"], "reviewed": counts[card, "reviewed"]}
        for card in cards
    ]
    if rows:
        add_up(connection, card_counts, ("card_id",), rows, ("photos", "reviewed"))
        if any(row["photos"] < 0 for row in rows):
            none_left = card_counts.c.photos == 0
            connection.execute(delete(card_counts).where(none_left))


def _counted(span: str) -> Select[Any]:
    """Select the rows of `sighting_counts` for one span, by station."""
    row = sighting_index.c
    start, length = {"day": (1, 10), "hour": (12, 2)}[span]
    keys: tuple[ColumnElement[Any], ...] = (
        literal_column(f"'{span}'").label("span"),
        func.coalesce(row.station_id, NO_STATION).label("station_id"),
        func.coalesce(func.substr(row.time, start, length), "").label("moment"),
        func.coalesce(row.label, "").label("label"),
        row.reviewed,
    )
    each = select(*keys).subquery()
    return select(*each.c, func.count().label("photos")).group_by(*each.c)


def _counted_everywhere() -> Select[Any]:
    day = _counted("day").subquery().c
    everywhere: ColumnElement[int] = literal_column(str(ALL_STATIONS)).label("station_id")
    number = cast(func.sum(day.photos), BigInteger).label("photos")
    keys = (day.span, day.moment, day.label, day.reviewed)
    return select(day.span, everywhere, *keys[1:], number).group_by(*keys)


def _counted_on_cards() -> Select[Any]:
    place, row = places_seen.c, sighting_index.c
    placed = places_seen.join(sighting_index, row.photo_id == place.photo_id)
    seen = select(place.card_id, row.photo_id, row.reviewed).select_from(placed)
    each = seen.where(place.superseded.is_(None)).distinct().subquery().c
    reviewed = cast(func.sum(case((each.reviewed, 1), else_=0)), BigInteger)
    return select(each.card_id, func.count(), reviewed).group_by(each.card_id)
