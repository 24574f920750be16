"""What counts in a survey: the sightings that name a species, at a place and a time."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, Connection, func, or_, select

from trapsort.redlist import red_list
from trapsort.store.query import SEQUENCE_LABEL, at_station, labelled, labels_of, stream
from trapsort.store.rows import Counting, Detection
from trapsort.store.tables import sightings

NO_SPECIES = (
    *("unknown", "blank", "unclassified", "animal", "other_animal", "vehicle"),
    *("person", "human"),
)
"""Labels, in lower case, that name no species, whoever gave them."""

view = sightings.c
COLUMNS = [view[name] for name in Detection.__slots__ if name in view]


def find_detections(connection: Connection, counting: Counting) -> Iterator[Detection]:
    """Stream what counts, in the order of the photos."""
    columns = (*COLUMNS, SEQUENCE_LABEL)
    statement = select(*columns).where(*_conditions(counting)).order_by(view.photo_id)
    for row in stream(connection, statement):
        station, sha256 = row["station"] or "", bytes(row["sha256"]).hex()
        yield Detection(**{**row, "sha256": sha256, "station": station})


def _conditions(counting: Counting) -> Iterator[ColumnElement[bool]]:
    yield view.label.is_not(None)
    yield func.lower(view.label).not_in(NO_SPECIES)
    yield view.time.is_not(None)
    if counting.reviewed_only:
        yield view.reviewed
    if counting.min_probability is not None:
        yield or_(view.reviewed, view.probability >= counting.min_probability)
    if counting.since is not None:
        yield view.time >= counting.since.isoformat()
    if counting.until is not None:
        yield view.time <= f"{counting.until.isoformat()}T23:59:59"
    if counting.station == "":
        yield view.station_id.is_(None)
    elif counting.station is not None:
        yield at_station(counting.station)
    if counting.species:
        yield labelled(labels_of(counting.species, red_list()))
