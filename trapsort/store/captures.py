"""Photos with all that is known of each, for formats that other programs read.

Functions on a connection whose transaction `Store` opened. A million photos pass through here in
a minute, so rows are tuples, and what not every photo has is looked up a thousand photos at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, select

from trapsort.redlist import red_list as read_red_list
from trapsort.store.derived import sighting_counts, sighting_index
from trapsort.store.in_force import newest_reviews
from trapsort.store.query import conditions
from trapsort.store.rows import SightingQuery
from trapsort.store.statements import chunks
from trapsort.store.tables import (
    cards,
    models,
    photos,
    predictions,
    regions,
    reviews,
    sequence_predictions,
    sightings,
    stations,
)

AT_ONCE = 1_000
view = sightings.c

card_id = sighting_index.c.card_id
_VIEWED = (
    *("photo_id", "sha256", "path", "path_bytes", "card", "station", "deployment", "sequence_id"),
    *("camera_time", "time", "utc_offset", "label", "count", "probability", "reason", "reviewed"),
    *("reviewer", "model", "width", "height", "flags", "latitude", "longitude"),
)
_PHOTO, _REVIEWED, _SEQUENCE = map(_VIEWED.index, ("photo_id", "reviewed", "sequence_id"))
_TAKEN = ("make", "serial", "temperature_c", "moon", "trigger", "format")
ORDERS: dict[str, tuple[ColumnElement[object], ...]] = {
    "deployment": (
        view.deployment.asc().nulls_last(),
        view.station.asc().nulls_last(),
        view.card,
        card_id,
        view.time,
        view.path_bytes,
        view.photo_id,
    ),
    "path": (view.card, view.path_bytes, view.photo_id),
    "photo": (view.photo_id,),
}


class Answer(NamedTuple):
    """What a model said of a region: the whole photo, or a box of a detector ('' for none).

    The box is left, top, width and height as shares of the upright photo. `source` is '' for a
    bundle, whose probabilities are calibrated. `created` is UTC text.
    """

    x: float
    y: float
    width: float
    height: float
    detector: str
    confidence: float | None
    label: str | None
    probability: float | None
    reason: str | None
    model: str
    source: str
    created: str


class Joint(NamedTuple):
    """What the frames of a sequence say together."""

    label: str | None
    probability: float | None
    reason: str | None
    model: str
    source: str
    created: str


class Capture(NamedTuple):
    """A photo: the fields of `Sighting`, what the camera noted, and who said what when.

    `individuals` is the sighting's count, `reviewed_at` (UTC text) and `note` are those of the
    review in force, `answers` those of all models, the preferred one first; `joint` is None for a
    photo without a sequence's answer.
    """

    photo_id: int
    sha256: bytes
    path: str
    path_bytes: bytes
    card: str
    station: str | None
    deployment: str | None
    sequence_id: int | None
    camera_time: str | None
    time: str | None
    utc_offset: str | None
    label: str | None
    individuals: int | None
    probability: float | None
    reason: str | None
    reviewed: bool
    reviewer: str | None
    model: str | None
    width: int
    height: int
    flags: str
    latitude: float | None
    longitude: float | None
    make: str | None
    serial: str | None
    temperature_c: float | None
    moon: str | None
    trigger: str | None
    format: str
    camera_model: str | None
    card_id: int | None
    reviewed_at: str | None = None
    note: str = ""
    answers: tuple[Answer, ...] = ()
    joint: Joint | None = None


def find_captures(connection: Connection, query: SightingQuery, order: str) -> Iterator[Capture]:
    """Stream photos in one of `ORDERS`."""
    columns = [view[name] for name in _VIEWED] + [photos.c[name] for name in _TAKEN]
    extra = (photos.c.model.label("camera_model"), card_id)
    statement = select(*columns, *extra).join(photos, photos.c.id == view.photo_id)
    statement = statement.join(sighting_index, sighting_index.c.photo_id == view.photo_id)
    statement = statement.where(*conditions(query, read_red_list(query.red_list)))
    options = {"stream_results": True, "yield_per": AT_ONCE}
    ordered = statement.order_by(*ORDERS[order])
    # Closed also where the caller asks for no more: a server's cursor does not close by itself.
    with closing(connection.execute(ordered, execution_options=options)) as rows:
        for batch in rows.partitions(AT_ONCE):
            yield from _completed(connection, batch)


def last_photo_id(connection: Connection) -> int:
    """Return the greatest id of a photo, 0 without any."""
    return connection.execute(select(func.max(photos.c.id))).scalar_one() or 0


def find_labels_at(connection: Connection) -> dict[tuple[str, str], set[str]]:
    """Return the labels seen at each place: a station, ('station', NAME), or else ('card', ROOT).

    All of the record, whatever is exported: a place is as sensitive as the rarest that was there.
    """
    counted, row = sighting_counts.c, sighting_index.c
    at_stations = select(stations.c.name, counted.label).join(
        stations, stations.c.id == counted.station_id
    )
    on_cards = select(cards.c.root, row.label).join(cards, cards.c.id == row.card_id)
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, label in connection.execute(at_stations.where(counted.label != "").distinct()):
        found[place_of(name, "")].add(label)
    stationless = on_cards.where(row.station_id.is_(None), row.label.is_not(None))
    for root, label in connection.execute(stationless.distinct()):
        found[place_of(None, root)].add(label)
    return found


def place_of(station: str | None, card: str) -> tuple[str, str]:
    """Return what names the place of a photo: its station, without one its card."""
    return ("station", station) if station is not None else ("card", card)


def _completed(connection: Connection, batch: Sequence[Sequence[Any]]) -> Iterator[Capture]:
    """Yield rows of the view with what is looked up for all of them at once."""
    said = _answers(connection, [row[_PHOTO] for row in batch])
    reviewed = _reviews(connection, [row[_PHOTO] for row in batch if row[_REVIEWED]])
    sequences = {row[_SEQUENCE] for row in batch if row[_SEQUENCE] is not None}
    joint = _joints(connection, sequences)
    for row in batch:
        time, note = reviewed.get(row[_PHOTO], (None, ""))
        together = None if row[_SEQUENCE] is None else joint.get(row[_SEQUENCE])
        answers = tuple(said.get(row[_PHOTO], ()))
        yield Capture._make((*row, time, note, answers, together))


class _Model(NamedTuple):
    rank: int  # the preferred one first
    name: str  # with its version
    source: str


def _models(connection: Connection) -> dict[int, _Model]:
    columns = (models.c.id, models.c.name, models.c.version, models.c.source)
    found = select(*columns).order_by(models.c.source != "", models.c.last_used.desc())
    return {
        key: _Model(rank, f"{name}-{version}" if version else name, source)
        for rank, (key, name, version, source) in enumerate(connection.execute(found))
    }


def _answers(connection: Connection, ids: Iterable[int]) -> dict[int, list[Answer]]:
    columns = (
        *(predictions.c.model_id, predictions.c.id),
        *(regions.c[name] for name in ("photo_id", "x", "y", "width", "height", "detector")),
        regions.c.detector_confidence,
        *(predictions.c[name] for name in ("label", "probability", "reason", "created")),
    )
    statement = select(*columns).join_from(regions, predictions)
    known = _models(connection)
    found: dict[int, list[Answer]] = {}
    for chunk in chunks(ids):
        # All at once: one by one, to fetch a row costs more than to make an answer of it.
        rows = connection.execute(statement.where(regions.c.photo_id.in_(chunk))).all()
        if len({row[2] for row in rows}) < len(rows):  # some photo has several
            rows = sorted(rows, key=lambda row: (known[row[0]].rank, row[1]))
        for model_id, _, photo_id, *said, created in rows:
            _, name, source = known[model_id]
            answer = Answer._make((*said, name, source, created))
            found.setdefault(photo_id, []).append(answer)
    return found


def _reviews(connection: Connection, ids: Iterable[int]) -> dict[int, tuple[str, str]]:
    newest = newest_reviews()
    found = {}
    for chunk in chunks(ids):
        of_these = newest.where(reviews.c.photo_id.in_(chunk))
        statement = select(reviews.c.photo_id, reviews.c.time, reviews.c.note)
        for photo_id, time, note in connection.execute(statement.where(reviews.c.id.in_(of_these))):
            found[photo_id] = (time, note)
    return found


def _joints(connection: Connection, ids: Iterable[int]) -> dict[int, Joint]:
    said = sequence_predictions.c
    statement = select(
        said.sequence_id,
        *(said[name] for name in ("label", "probability", "reason")),
        *(models.c[name] for name in ("name", "version", "source")),
        said.created,
    ).select_from(sequence_predictions.join(models))
    found: dict[int, Joint] = {}
    for chunk in chunks(ids):
        there = statement.where(said.sequence_id.in_(chunk)).order_by(models.c.last_used)
        for sequence_id, *answer, name, version, source, created in connection.execute(there):
            model = f"{name}-{version}" if version else name
            found[sequence_id] = Joint._make((*answer, model, source, created))
    return found
