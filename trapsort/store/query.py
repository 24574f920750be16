"""What the record says: functions on a connection whose transaction `Store` opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Connection,
    ScalarSelect,
    Select,
    case,
    exists,
    false,
    func,
    or_,
    select,
    union,
)

from trapsort.errors import InputError
from trapsort.redlist import LISTS, RedList, matches
from trapsort.redlist import red_list as read_red_list
from trapsort.store.rows import UNCLASSIFIED, ModelRow, ProblemRow, Sighting, SightingQuery
from trapsort.store.statements import Row, chunks
from trapsort.store.tables import (
    NO_DETECTOR,
    attributions,
    cards,
    clock_corrections,
    models,
    photos,
    places_seen,
    predictions,
    problems,
    red_list,
    regions,
    reviews,
    sequence_predictions,
    sightings,
    stations,
)
from trapsort.store.write import root_text

ROWS_AT_ONCE = 500  # rows that a stream holds in memory
HASHES_AT_ONCE = 10_000
UNKNOWN = "unknown"  # how people name a sighting without a label
EARLIEST, LATEST = "", "9999-12-31T23:59:59"  # no camera time is before or after
COUNTS = ("species", "station", "day", "iucn", "hour")

view = sightings.c
# The Red List columns of a sighting are those of the list that the query names.
SIGHTING_COLUMNS = [
    view[name]
    for name in Sighting.__slots__
    if name not in ("scientific_name", "iucn", "sequence_label")
]
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


def find_sightings(
    connection: Connection, query: SightingQuery, *more: ColumnElement[bool]
) -> Iterator[Sighting]:
    """Stream sightings by camera time (none last), path and photo; `more` are conditions."""
    listed = read_red_list(query.red_list)
    order = (view.camera_time.asc().nulls_last(), view.path_bytes, view.photo_id)
    columns = (*SIGHTING_COLUMNS, SEQUENCE_LABEL)
    statement = select(*columns).where(*conditions(query, listed), *more).order_by(*order)
    for row in stream(connection, statement):
        sha256, label = bytes(row["sha256"]).hex(), row["label"]
        name, iucn = listed.scientific_name(label), listed.category(label)
        yield Sighting(**{**row, "sha256": sha256, "scientific_name": name, "iucn": iucn})


def count_sightings(
    connection: Connection, query: SightingQuery, by: str, *more: ColumnElement[bool]
) -> list[tuple[str, int]]:
    """Count photos by one of `COUNTS`: days and hours in their order, others most first.

    '' is for none; `more` are conditions.
    """
    listed = read_red_list(query.red_list)
    groups: dict[str, ColumnElement[str | None]] = {
        "species": view.label,
        "station": view.station,
        "day": func.substr(view.time, 1, 10),  # by a clock put right, as the hour
        "iucn": view.label,
        "hour": func.substr(view.time, 12, 2),
    }
    if by not in groups:
        raise InputError(f"cannot count by {by}", f"choose one of {', '.join(COUNTS)}")
    group = groups[by]
    statement = select(group, func.count()).where(*conditions(query, listed), *more).group_by(group)
    counted: Counter[str] = Counter()
    for value, number in connection.execute(statement):
        name = listed.category(value) if by == "iucn" else value
        counted[name or (UNKNOWN if by == "species" else "")] += number
    if by in ("day", "hour"):
        return sorted(counted.items())
    return sorted(counted.items(), key=lambda item: (-item[1], item[0]))


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


def find_unreadable(connection: Connection, root: Path, volume: str) -> list[tuple[int, bytes]]:
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
    connection: Connection, sha256s: Sequence[bytes], model_id: int
) -> dict[bytes, bool]:
    """Return for each recorded content whether that model has given an answer."""
    predicted = exists().where(
        regions.c.photo_id == photos.c.id,
        regions.c.detector == NO_DETECTOR,  # what it said of a detector's box is no answer
        predictions.c.region_id == regions.c.id,
        predictions.c.model_id == model_id,
        or_(predictions.c.reason.is_(None), predictions.c.reason != UNCLASSIFIED),
    )
    found: dict[bytes, bool] = {}
    for chunk in chunks(sha256s):
        query = select(photos.c.sha256, predicted).where(photos.c.sha256.in_(chunk))
        found.update((bytes(sha256), bool(done)) for sha256, done in connection.execute(query))
    return found


def find_hashes(connection: Connection) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the perceptual hashes of live photos and the photos' ids, in the order of the ids."""
    statement = select(photos.c.perceptual_hash, photos.c.id).order_by(photos.c.id)
    statement = statement.where(photos.c.superseded_by.is_(None))
    options = {"stream_results": True, "yield_per": HASHES_AT_ONCE}
    parts = [np.empty((0, 2), dtype=np.int64)]
    for part in connection.execute(statement, execution_options=options).partitions():
        parts.append(np.array([tuple(row) for row in part], dtype=np.int64))
    both = np.concatenate(parts)
    return np.ascontiguousarray(both[:, 0]).view(np.uint64), np.ascontiguousarray(both[:, 1])


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
    if query.species:
        yield photos_with(labels_of(query.species, listed), or_none=UNKNOWN in query.species)
    if query.iucn:
        entries = listed.entries.values()
        yield photos_with(
            [e.label for e in entries if any(matches(e.category, each) for each in query.iucn)]
        )
    if query.since is not None:
        first = query.since.isoformat()
        yield view.time >= first
        yield view.camera_time >= _unless_corrected(first, EARLIEST)
    if query.until is not None:
        last = f"{query.until.isoformat()}T23:59:59"
        yield view.time <= last
        yield view.camera_time <= _unless_corrected(last, LATEST)
    if query.recorded_since is not None:
        yield view.recorded >= query.recorded_since
    if query.recorded_until is not None:
        yield view.recorded <= query.recorded_until
    if query.station is not None:
        yield view.station == query.station
        yield view.photo_id.in_(photos_at(query.station))
    if query.min_probability is not None:
        yield or_(view.reviewed, view.probability >= query.min_probability)
    if query.reason is not None:
        yield view.reason == query.reason
    if query.reviewed is not None:
        yield view.reviewed == query.reviewed
    if query.card is not None:
        yield view.photo_id.in_(_on_card(query.card))


def _unless_corrected(time: str, bound: str) -> ScalarSelect[str]:
    """Return a bound of camera times, which have an index, that leaves out no true time."""
    corrected = exists(select(clock_corrections.c.id))
    return select(case((corrected, bound), else_=time)).scalar_subquery()


def labels_of(species: Iterable[str], listed: RedList) -> list[str]:
    """Return the labels that these names mean: each as given, and those of a scientific name."""
    wanted = {name.casefold() for name in species}
    meant = [
        entry.label
        for entry in listed.entries.values()
        if wanted & {taxon.scientific_name.casefold() for taxon in entry.taxa}
    ]
    return [*species, *meant]


def photos_with(labels: Sequence[str], *, or_none: bool = False) -> ColumnElement[bool]:
    """Ask for sightings with one of these labels, or with none, by index where there is one."""
    if or_none:
        return or_(view.label.in_(labels), view.label.is_(None))
    if not labels:
        return false()
    # The view's label is no column with an index; those of the tables below it are.
    predicted = select(regions.c.photo_id).join(predictions).where(predictions.c.label.in_(labels))
    said = select(reviews.c.photo_id).where(reviews.c.label.in_(labels))
    return view.label.in_(labels) & view.photo_id.in_(union(predicted, said))


def photos_at(station: str) -> CompoundSelect[int]:
    """Select the photos that may be of a station, by index; the view's station has none."""
    here = select(stations.c.id).where(stations.c.name == station).scalar_subquery()
    deployed = select(attributions.c.photo_id).where(attributions.c.station_id == here)
    placed = select(places_seen.c.photo_id).join(cards).where(cards.c.station_id == here)
    return union(deployed, placed.where(places_seen.c.superseded.is_(None)))


def _on_card(card: str) -> Select[int]:
    """Select the photos that were ever seen on a card, named by its folder or a way to it.

    Not those that gave way to other content there.
    """
    roots = {card, root_text(card), root_text(Path(card).resolve())}
    here = (cards.c.root.in_(roots), places_seen.c.superseded.is_(None))
    return select(places_seen.c.photo_id).join(cards).where(*here)
