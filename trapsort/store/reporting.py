"""What reports ask of the record beside sightings: days with photos, reviews of answers, people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, or_, select

from trapsort.store.in_force import is_kept, newest_reviews
from trapsort.store.statements import chunks
from trapsort.store.tables import (
    attributions,
    deployments,
    models,
    photos,
    predictions,
    regions,
    reviews,
    sightings,
    stations,
)

PEOPLE = (
    "human", "person", "people", "man", "woman", "child", "homo sapiens", "homo species",
    "hiker", "poacher", "ranger", "staff",
)  # fmt: skip
"""Labels of photos that show people, in lower case."""


@dataclass(frozen=True, slots=True)
class PhotoDay:
    """How many photos a deployment's camera took on a day (local, true), and when the last."""

    deployment: str
    station: str
    day: str
    photos: int
    last: str


@dataclass(frozen=True, slots=True)
class NewPhotos:
    """The ids of photos and their first and last time (local, true; None where no clock ran)."""

    ids: frozenset[int]
    first: str | None
    last: str | None


@dataclass(frozen=True, slots=True)
class Judged:
    """A model's answer that a person has looked at.

    `said` is the person's label; `label` what the model named (None: it abstained); `best` and
    `probability` its most probable label and how sure it was, 0..1.
    """

    photo_id: int
    said: str
    label: str | None
    best: str
    probability: float
    model: str


def find_photo_days(connection: Connection) -> list[PhotoDay]:
    """Return every day on which a deployment's camera took a photo, by deployment and day."""
    day = func.substr(attributions.c.time, 1, 10)
    columns = (
        *(deployments.c.name, stations.c.name, day),
        *(func.count(), func.max(attributions.c.time)),
    )
    query = (
        select(*columns)
        .select_from(attributions)
        .join(photos, photos.c.id == attributions.c.photo_id)
        .join(deployments, deployments.c.id == attributions.c.deployment_id)
        .join(stations, stations.c.id == deployments.c.station_id)
        .where(photos.c.superseded_by.is_(None), attributions.c.time.is_not(None))
        .group_by(deployments.c.name, stations.c.name, day)
        .order_by(deployments.c.name, day)
    )
    return [PhotoDay(*row) for row in connection.execute(query)]


def count_undeployed(connection: Connection) -> int:
    """Return how many live photos belong to no deployment."""
    query = (
        select(func.count())
        .select_from(photos)
        .outerjoin(attributions, attributions.c.photo_id == photos.c.id)
        .where(photos.c.superseded_by.is_(None), attributions.c.deployment_id.is_(None))
    )
    return int(connection.scalar(query) or 0)


def find_recorded(connection: Connection, since: str | None, until: str | None) -> NewPhotos:
    """Return the live photos first recorded between two times (UTC text, included)."""
    query = (
        select(photos.c.id, func.coalesce(attributions.c.time, photos.c.camera_time))
        .select_from(photos)
        .outerjoin(attributions, attributions.c.photo_id == photos.c.id)
        .where(photos.c.superseded_by.is_(None))
    )
    if since is not None:
        query = query.where(photos.c.first_seen >= since)
    if until is not None:
        query = query.where(photos.c.first_seen <= until)
    rows = connection.execute(query).all()
    times = [time for _, time in rows if time is not None]
    ids = frozenset(photo_id for photo_id, _ in rows)
    return NewPhotos(ids, min(times, default=None), max(times, default=None))


def find_first(
    connection: Connection, pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return the photo in which each pair of station and label was first recorded."""
    view = sightings.c
    wanted = set(pairs)
    found: dict[tuple[str, str], int] = {}
    for labels in chunks(label for _, label in sorted(wanted)):
        query = (
            select(view.station, view.label, func.min(view.photo_id))
            .where(view.label.in_(labels), view.time.is_not(None), view.station.is_not(None))
            .group_by(view.station, view.label)
        )
        for station, label, photo_id in connection.execute(query):
            if (station, label) in wanted:
                found[station, label] = photo_id
    return found


def find_judged(connection: Connection) -> list[Judged]:
    """Return the newest review of each photo beside what trapsort's own model said of it last."""
    columns = (
        *(reviews.c.photo_id, reviews.c.label, predictions.c.label, predictions.c.top),
        *(models.c.name, models.c.version),
    )
    query = (
        select(*columns)
        .join(regions, regions.c.photo_id == reviews.c.photo_id)
        .join(predictions, predictions.c.region_id == regions.c.id)
        .join(models, models.c.id == predictions.c.model_id)
        .where(
            reviews.c.id.in_(newest_reviews()), reviews.c.label.is_not(None), models.c.source == ""
        )
        .order_by(reviews.c.photo_id, models.c.last_used, predictions.c.id)
    )
    found: dict[int, Judged] = {}
    for photo_id, said, label, top, name, version in connection.execute(query):
        if answers := json.loads(top):  # the last one of a photo stays
            best, probability = answers[0]
            found[photo_id] = Judged(photo_id, said, label, best, probability, f"{name}-{version}")
    return list(found.values())


def find_people(connection: Connection, photo_ids: Iterable[int]) -> set[int]:
    """Return which of these photos show people, as anybody or any model ever said."""
    found: set[int] = set()
    for chunk in chunks(photo_ids):
        said = select(reviews.c.photo_id).where(
            reviews.c.photo_id.in_(chunk), func.lower(reviews.c.label).in_(PEOPLE), is_kept()
        )
        seen = (
            select(regions.c.photo_id)
            .join(predictions, predictions.c.region_id == regions.c.id)
            .where(
                regions.c.photo_id.in_(chunk),
                or_(
                    func.lower(predictions.c.label).in_(PEOPLE),
                    func.lower(predictions.c.reason).in_(PEOPLE),
                ),
            )
        )
        for query in (said, seen):
            found.update(connection.scalars(query))
    return found
