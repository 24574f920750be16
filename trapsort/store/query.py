"""What the record says: functions on a connection whose transaction `Store` opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    bindparam,
    exists,
    false,
    func,
    or_,
    select,
)

from trapsort.abstentions import UNCLASSIFIED
from trapsort.redlist import LISTS, RedList, matches
from trapsort.redlist import red_list as read_red_list
from trapsort.store.rows import ModelRow, ProblemRow, Sighting, SightingQuery
from trapsort.store.statements import Row, chunks
from trapsort.store.tables import (
    NO_DETECTOR,
    cards,
    models,
    photos,
    places_seen,
    predictions,
    problems,
    red_list,
    regions,
    sequence_predictions,
    sightings,
    stations,
)
from trapsort.store.write import root_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ROWS_AT_ONCE = 500  # rows that a stream holds in memory
HASHES_AT_ONCE = 100_000
UNKNOWN = "unknown"  # how people name a sighting without a label

view = sightings.c
# The Red List columns of a sighting are those of the list that the query names.
SIGHTING_COLUMNS = [
    view[name]
    for name in Sighting.__slots__
    if name not in ("scientific_name", "iucn", "sequence_label")
]
IN_ORDER = (view.time.asc().nulls_last(), view.path_bytes, view.photo_id)
# What the model that was used last says of the photo's sequence.
SEQUENCE_LABEL = (
    select(sequence_predictions.c.label)
    .join(models)
    .where(sequence_predictions.c.sequence_id == view.sequence_id)
    .order_by(models.c.last_used.desc())
    .limit(1)
    .scalar_subquery()
    .label("sequence_label")
)
WITH_SEQUENCE: list[ColumnElement[Any]] = [*SIGHTING_COLUMNS, SEQUENCE_LABEL]


def find_sightings(
    connection: Connection, query: SightingQuery, *more: ColumnElement[bool]
) -> Iterator[Sighting]:
    """Stream sightings by time (none last), path and photo; `more` are conditions."""
    listed = read_red_list(query.red_list)
    statement = select(*WITH_SEQUENCE).where(*conditions(query, listed), *more)
    for row in stream(connection, statement.order_by(*IN_ORDER)):
        yield as_sighting(row, listed)


def as_sighting(row: Row, listed: RedList) -> Sighting:
    """Return a row of `WITH_SEQUENCE` with what the list says of its label."""
    sha256, label = bytes(row["sha256"]).hex(), row["label"]
    name, iucn = listed.scientific_name(label), listed.category(label)
    return Sighting(**{**row, "sha256": sha256, "scientific_name": name, "iucn": iucn})


def find_problems(
    connection: Connection, since: str | None, until: str | None, include_resolved: bool
) -> Iterator[ProblemRow]:
    """Stream problems by card, path and id."""
    columns = [cards.c.root.label("card"), *(problems.c[name] for name in ProblemRow.__slots__[1:])]
    statement = select(*columns).join(cards, cards.c.id == problems.c.card_id)
    if since is not None:
        statement = statement.where(problems.c.last_seen >= since)
    if until is not None:
        statement = statement.where(problems.c.last_seen <= until)
    if not include_resolved:
        statement = statement.where(problems.c.resolved.is_(None))
    order = (cards.c.root, problems.c.path_bytes, problems.c.id)
    for row in stream(connection, statement.order_by(*order)):
        yield ProblemRow(**row)


def find_unreadable(
    connection: Connection, root: str | Path, volume: str
) -> list[tuple[int, bytes]]:
    """Return id and path of a card's open problems of reading, whatever its station was."""
    statement = select(problems.c.id, problems.c.path_bytes).join(cards)
    mine = (cards.c.root == root_text(root), cards.c.volume == volume)
    open_ones = (problems.c.reason == "unreadable", problems.c.resolved.is_(None))
    rows = connection.execute(statement.where(*mine, *open_ones))
    return [(problem_id, bytes(path)) for problem_id, path in rows]


def find_models(connection: Connection) -> list[ModelRow]:
    """Return the models in the order in which they came."""
    columns = (models.c[name] for name in ModelRow.__slots__)
    rows = connection.execute(select(*columns).order_by(models.c.id))
    return [ModelRow(*row) for row in rows]


def find_known(
    cursor: Any, dialect: Dialect, sha256s: Sequence[bytes], model_id: int
) -> dict[bytes, bool]:
    """Return for each recorded content whether that model has given an answer.

    On the driver's own cursor, by a statement put together once: every photo is asked for.
    """
    found: dict[bytes, bool] = {}
    for chunk in chunks(sha256s):
        text, constants, order = _known(dialect, len(chunk))
        values = constants | {"model": model_id}
        values |= {f"content{at}": sha256 for at, sha256 in enumerate(chunk)}
        cursor.execute(text, [values[name] for name in order] if order else values)
        found.update((bytes(sha256), bool(done)) for sha256, done in cursor.fetchall())
    return found


@lru_cache(maxsize=64)  # a dialect belongs to a store, which may be closed
def _known(dialect: Dialect, count: int) -> tuple[str, dict[str, Any], Sequence[str]]:
    """Return a statement as the driver takes it, its constants, and the order of its values.

    The order is empty where the driver takes values by their names.
    """
    is_answered = exists().where(
        regions.c.photo_id == photos.c.id,
        regions.c.detector == NO_DETECTOR,  # what it said of a detector's box is no answer
        predictions.c.region_id == regions.c.id,
        predictions.c.model_id == bindparam("model", required=False),
        or_(predictions.c.reason.is_(None), predictions.c.reason != UNCLASSIFIED),
    )
    contents: list[BindParameter[bytes]] = [
        bindparam(f"content{at}", required=False) for at in range(count)
    ]
    known = select(photos.c.sha256, is_answered).where(photos.c.sha256.in_(contents))
    compiled = known.compile(dialect=dialect)
    return str(compiled), dict(compiled.params), compiled.positiontup or ()


def find_hashes(connection: Connection) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the perceptual hashes of live photos and the photos' ids, in the order of the ids.

    Past SQLAlchemy's rows, which take three times as long: there may be ten million.
    """
    import numpy as np  # nothing else that is asked here needs it, and it takes a while

    pair = np.dtype([("hash", np.int64), ("id", np.int64)])
    parts = [np.empty(0, dtype=pair)]
    statement = select(photos.c.perceptual_hash, photos.c.id).order_by(photos.c.id)
    statement = statement.where(photos.c.superseded_by.is_(None)).limit(HASHES_AT_ONCE)
    literal = {"literal_binds": True}
    cursor: Any = connection.connection.cursor()
    with closing(cursor):
        last = 0
        while True:
            beyond = statement.where(photos.c.id > last)
            cursor.execute(str(beyond.compile(connection, compile_kwargs=literal)))
            part = np.fromiter(cursor, dtype=pair)
            if not len(part):
                break
            parts.append(part)
            last = int(part["id"][-1])
    hashes = np.concatenate([part["hash"] for part in parts])
    return hashes.view(np.uint64), np.concatenate([part["id"] for part in parts])


def labels_in(connection: Connection, column: ColumnElement[str | None]) -> list[str]:
    """Return the distinct values of a column that has an index, in a look-up for each."""
    least = select(func.min(column))
    found: list[str] = []
    label = connection.scalar(least)
    while label is not None:
        found.append(label)
        label = connection.scalar(least.where(column > label))
    return found


def red_list_rows() -> list[Row]:
    """Return what the table `red_list` should hold, in the order of its keys."""
    return [
        {
            "list": name,
            "label": entry.label,
            "category": entry.category,
            "taxa": entry.scientific_name,
            "citation": entry.citation,
        }
        for name in sorted(LISTS)
        for _, entry in sorted(read_red_list(name).entries.items())
    ]


def stored_red_list(connection: Connection) -> list[Row]:
    """Return what the table `red_list` holds, in no order."""
    return [dict(row) for row in connection.execute(select(red_list)).mappings()]


def stream(connection: Connection, statement: Select[*tuple[object, ...]]) -> Iterator[Row]:
    """Yield rows, a handful in memory."""
    options = {"stream_results": True, "yield_per": ROWS_AT_ONCE}
    # Closed also where the caller asks for no more: a server's cursor does not close by itself.
    with closing(connection.execute(statement, execution_options=options)) as rows:
        for row in rows:
            yield row._asdict()


def conditions(query: SightingQuery, listed: RedList) -> Iterator[ColumnElement[bool]]:
    """What a sighting of the view must fulfil."""
    labels = wanted_labels(query, listed)
    if labels is not None:
        yield labelled(labels)
    if query.since is not None:
        yield view.time >= query.since.isoformat()
    if query.until is not None:
        yield view.time <= f"{query.until.isoformat()}T23:59:59"
    if query.recorded_since is not None:
        yield view.recorded >= query.recorded_since
    if query.recorded_until is not None:
        yield view.recorded <= query.recorded_until
    if query.station is not None:
        yield at_station(query.station)
    if query.min_probability is not None:
        yield or_(view.reviewed, view.probability >= query.min_probability)
    if query.reason is not None:
        yield view.reason == query.reason
    if query.reviewed is not None:
        yield was_reviewed(query.reviewed, by_index=labels is None and query.station is None)
    if query.card is not None:
        yield view.photo_id.in_(_on_card(query.card))


def wanted_labels(query: SightingQuery, listed: RedList) -> list[str | None] | None:
    """Return the labels that a query asks for, None among them for none; None where it does not."""
    if not query.species and not query.iucn:
        return None
    meant: list[str | None] = list(dict.fromkeys(labels_of(query.species, listed)))
    if UNKNOWN in query.species:
        meant.append(None)
    if not query.iucn:
        return meant
    within = [
        entry.label
        for entry in listed.entries.values()
        if any(matches(entry.category, each) for each in query.iucn)
    ]
    return [label for label in within if not query.species or label in meant]


def labels_of(species: Iterable[str], listed: RedList) -> list[str]:
    """Return the labels that these names mean: each as given, and those of a scientific name."""
    wanted = {name.casefold() for name in species}
    meant = [
        entry.label
        for entry in listed.entries.values()
        if wanted & {taxon.scientific_name.casefold() for taxon in entry.taxa}
    ]
    return [*species, *meant]


def labelled(labels: Sequence[str | None]) -> ColumnElement[bool]:
    """Ask for sightings with one of these labels; None among them: or with none."""
    names = [label for label in labels if label is not None]
    wanted = view.label == names[0] if len(names) == 1 else view.label.in_(names)
    if None not in labels:
        return wanted if names else false()
    return or_(wanted, view.label.is_(None)) if names else view.label.is_(None)


def was_reviewed(answer: bool, *, by_index: bool) -> ColumnElement[bool]:
    """Ask for sightings with or without a review; not by index where another one is better."""
    if by_index:
        return view.reviewed.is_(answer)
    return view.review_id.is_not(None) if answer else view.review_id.is_(None)


def at_station(name: str) -> ColumnElement[bool]:
    """Ask for sightings of a station, by its number, which has an index."""
    here = select(stations.c.id).where(stations.c.name == name).scalar_subquery()
    return view.station_id == here


def _on_card(card: str) -> Select[int]:
    """Select the photos that were ever seen on a card, named by its folder or a way to it.

    Not those that gave way to other content there.
    """
    roots = {card, root_text(card), root_text(Path(card).resolve())}
    here = (cards.c.root.in_(roots), places_seen.c.superseded.is_(None))
    return select(places_seen.c.photo_id).join(cards).where(*here)
