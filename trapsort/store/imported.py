"""What other programs and people said of recorded photos: written in batches, twice as once.

Functions on a connection whose transaction `Store` opened. Nothing here adds a photo.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, exists, func, insert, or_, select

from trapsort.abstentions import UNCLASSIFIED
from trapsort.store.index import settle
from trapsort.store.query import labels_in
from trapsort.store.sequences import ungroup
from trapsort.store.statements import chunks, merge, utc_now
from trapsort.store.tables import (
    cards,
    models,
    photos,
    places_seen,
    predictions,
    regions,
    reviews,
)
from trapsort.store.write import WHOLE_PHOTO, prediction_row

if TYPE_CHECKING:
    from trapsort.ensemble import Prediction

BoxOf = tuple[float, float, float, float]
"""Left, top, width and height as shares of the upright photo, from its upper left corner."""

WHOLE: BoxOf = (0.0, 0.0, 1.0, 1.0)
ANIMAL = "other_animal"
"""Reason of a box that holds an animal which its detector does not name: what crops are made of."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a model said of a region of a photo: the whole one, or what `detector` put a box around.

    `confidence` is the detector's, 0..1; `created` UTC text, now where nobody said.
    """

    photo_id: int
    model_id: int
    prediction: Prediction
    box: BoxOf = WHOLE
    detector: str = ""
    confidence: float | None = None
    created: str = ""


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """What a person said of a photo; `time` is UTC text, '' where nobody noted it."""

    photo_id: int
    label: str | None
    count: int
    reviewer: str
    time: str
    note: str


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Boxes of one photo that hold an animal which nobody has named, and where the photo lies.

    `boxes` are region id and box; `places` the card's folder and the path on it, first seen first;
    `width` and `height` are pixels of the upright photo.
    """

    photo_id: int
    sha256: bytes
    width: int
    height: int
    boxes: tuple[tuple[int, BoxOf], ...]
    places: tuple[tuple[str, bytes], ...]


def find_photos_at(
    connection: Connection, wanted: Mapping[int, Iterable[bytes]]
) -> dict[tuple[int, bytes], set[int]]:
    """Return the photos that are at these paths of these cards (ids), superseded ones left out."""
    place = places_seen.c
    query = select(place.path_bytes, place.photo_id).where(place.superseded.is_(None))
    found: dict[tuple[int, bytes], set[int]] = defaultdict(set)
    for card, paths in wanted.items():
        for chunk in chunks(paths):
            here = (place.card_id == card, place.path_bytes.in_(chunk))
            for path, photo_id in connection.execute(query.where(*here)):
                found[card, bytes(path)].add(photo_id)
    return found


def find_photo_ids(connection: Connection, sha256s: Iterable[bytes]) -> dict[bytes, int]:
    """Return the ids of those contents that are recorded and not superseded."""
    query = select(photos.c.sha256, photos.c.id).where(photos.c.superseded_by.is_(None))
    found: dict[bytes, int] = {}
    for chunk in chunks(sha256s):
        rows = connection.execute(query.where(photos.c.sha256.in_(chunk)))
        found.update((bytes(sha256), photo_id) for sha256, photo_id in rows)
    return found


def find_whereabouts(
    connection: Connection, photo_ids: Iterable[int]
) -> dict[int, tuple[str, str, str | None]]:
    """Return card, path on it and the camera's serial number of photos, as first seen."""
    place = places_seen.c
    query = select(place.photo_id, cards.c.root, place.path, photos.c.serial).join(cards)
    query = query.join(photos, photos.c.id == place.photo_id).order_by(place.id)
    found: dict[int, tuple[str, str, str | None]] = {}
    for chunk in chunks(photo_ids):
        here = (place.photo_id.in_(chunk), place.superseded.is_(None))
        for photo_id, *where in connection.execute(query.where(*here)):
            found.setdefault(photo_id, (where[0], where[1], where[2]))
    return found


def add_imported_model(connection: Connection, name: str, source: str, profile: str) -> int:
    """Return the id of a model of another program, which is added where it is new.

    It is known by its name, where it came from and the rule (`profile`) by which its answers were
    read. A new one comes before all imported earlier; a known one keeps its place.
    """
    identity = json.dumps([source, name, profile], ensure_ascii=False)
    digest = hashlib.sha256(identity.encode()).hexdigest()
    uses = connection.execute(select(func.coalesce(func.max(models.c.last_used), 0))).scalar_one()
    row = {"name": name, "version": "", "digest": digest, "profile": profile, "source": source}
    merge(connection, models, ("digest",), [row | {"added": utc_now(), "last_used": uses + 1}])
    known = select(models.c.id).where(models.c.digest == digest)
    return int(connection.execute(known).scalar_one())


def add_told(connection: Connection, told: Sequence[Told]) -> int:
    """Record regions and what was said of them; return how much of it was new."""
    now = utc_now()
    keys = ("photo_id", *WHOLE_PHOTO)
    rows = [
        dict(zip(keys, _key(each), strict=True)) | {"detector_confidence": each.confidence}
        for each in told
    ]
    merge(connection, regions, keys, rows)
    ids = _region_ids(connection, {each.photo_id for each in told})
    said = {(ids[_key(each)], each.model_id): each for each in reversed(told)}  # the first counts
    known = _known(connection, {region for region, _ in said})
    new = [
        prediction_row(each.prediction, region, model, each.created or now)
        for (region, model), each in said.items()
        if (region, model) not in known
    ]
    merge(connection, predictions, ("region_id", "model_id"), new)
    settle(connection, {each.photo_id for each in told})
    return len(new)


def _key(told: Told) -> tuple[int, float, float, float, float, str]:
    return (told.photo_id, *told.box, told.detector)


def _region_ids(
    connection: Connection, photo_ids: Iterable[int]
) -> dict[tuple[int, float, float, float, float, str], int]:
    columns = (regions.c[name] for name in ("id", "photo_id", *WHOLE_PHOTO))
    query = select(*columns)
    found = {}
    for chunk in chunks(photo_ids):
        rows = connection.execute(query.where(regions.c.photo_id.in_(chunk)))
        found.update({(row[1], *row[2:6], row[6]): row[0] for row in rows})
    return found


def _known(connection: Connection, region_ids: Iterable[int]) -> set[tuple[int, int]]:
    query = select(predictions.c.region_id, predictions.c.model_id)
    return {
        (region, model)
        for chunk in chunks(region_ids)
        for region, model in connection.execute(query.where(predictions.c.region_id.in_(chunk)))
    }


def add_answers(connection: Connection, model_id: int, answers: Mapping[int, Prediction]) -> None:
    """Record what a bundle says of regions (ids); one that was no answer gives way."""
    now = utc_now()
    for chunk in chunks(answers):
        here = (predictions.c.region_id.in_(chunk), predictions.c.model_id == model_id)
        connection.execute(delete(predictions).where(*here, predictions.c.reason == UNCLASSIFIED))
    rows = [prediction_row(said, region, model_id, now) for region, said in answers.items()]
    merge(connection, predictions, ("region_id", "model_id"), rows)
    for chunk in chunks(answers):
        mine = select(regions.c.photo_id).where(regions.c.id.in_(chunk))
        its_photos = connection.scalars(mine).all()
        ungroup(connection, its_photos)
        settle(connection, its_photos)


def find_unnamed(
    connection: Connection, photo_ids: Iterable[int], model_id: int, detector_id: int, least: float
) -> list[Unnamed]:
    """Return the boxes of these photos in which a detector (model id) saw an animal.

    With at least that confidence, and of which the model `model_id` has said nothing yet.
    """
    answered = exists().where(
        predictions.c.region_id == regions.c.id,
        predictions.c.model_id == model_id,
        or_(predictions.c.reason.is_(None), predictions.c.reason != UNCLASSIFIED),
    )
    seen = exists().where(
        predictions.c.region_id == regions.c.id,
        predictions.c.model_id == detector_id,
        predictions.c.reason == ANIMAL,
    )
    names = ("photo_id", "id", "x", "y", "width", "height")
    query = select(*(regions.c[name] for name in names)).order_by(regions.c.id)
    query = query.where(seen, ~answered, regions.c.detector_confidence >= least)
    boxes: dict[int, list[tuple[int, BoxOf]]] = defaultdict(list)
    for chunk in chunks(photo_ids):
        for photo, region, *box in connection.execute(query.where(regions.c.photo_id.in_(chunk))):
            boxes[photo].append((region, (box[0], box[1], box[2], box[3])))
    return _with_places(connection, boxes)


def _with_places(
    connection: Connection, boxes: Mapping[int, Sequence[tuple[int, BoxOf]]]
) -> list[Unnamed]:
    placed: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
    about: dict[int, tuple[bytes, int, int]] = {}
    place = places_seen.c
    where = select(place.photo_id, cards.c.root, place.path_bytes).join(cards).order_by(place.id)
    what = select(*(photos.c[name] for name in ("id", "sha256", "width", "height")))
    for chunk in chunks(boxes):
        here = (place.photo_id.in_(chunk), place.superseded.is_(None))
        for photo, root, path in connection.execute(where.where(*here)):
            placed[photo].append((root, bytes(path)))
        for photo, sha256, width, height in connection.execute(what.where(photos.c.id.in_(chunk))):
            about[photo] = (bytes(sha256), width, height)
    return [
        Unnamed(photo, *about[photo], tuple(there), tuple(placed[photo]))
        for photo, there in boxes.items()
    ]


def add_reviews(connection: Connection, rows: Sequence[ReviewRow]) -> int:
    """Append what people said, unless it is there already word for word; return how much was new.

    A review whose time nobody noted is there already where only the time differs.
    """
    now = utc_now()
    columns = [reviews.c[name] for name in ReviewRow.__slots__]
    is_review = reviews.c.retracts.is_(None)  # what was taken back is not brought in again
    there: set[ReviewRow] = set()
    for chunk in chunks(row.photo_id for row in rows):
        found = connection.execute(select(*columns).where(reviews.c.photo_id.in_(chunk), is_review))
        there |= {ReviewRow(*row) for row in found}
    timeless = {_timeless(row) for row in there}
    new = []
    for row in rows:
        known = row in there if row.time else _timeless(row) in timeless
        if not known:
            new.append({**_as_dict(row), "time": row.time or now})
            there.add(row)
            timeless.add(_timeless(row))
    if new:
        connection.execute(insert(reviews), new)
        settle(connection, {row.photo_id for row in rows})
    return len(new)


def _as_dict(row: ReviewRow) -> dict[str, str | int | None]:
    return {name: getattr(row, name) for name in ReviewRow.__slots__}


def _timeless(row: ReviewRow) -> tuple[object, ...]:
    return row.photo_id, row.label, row.count, row.reviewer, row.note


def find_labels(connection: Connection) -> set[str]:
    """Return every label that a person or a model has given in this record."""
    return {*labels_in(connection, predictions.c.label), *labels_in(connection, reviews.c.label)}
