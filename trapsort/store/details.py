"""One photo, and all that the record knows of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, or_, select

from trapsort.store.paging import COLUMNS, Shown, as_shown, view
from trapsort.store.tables import cards, models, photos, places_seen, predictions, reviews
from trapsort.store.write import EXIF_COLUMNS

FACTS = (*EXIF_COLUMNS, "size", "format")
MOST_RELATED = 200  # near-duplicates, and frames of a burst, that are named


class PlaceNow(NamedTuple):
    """Where a photo was seen; `superseded` is when other content took its place (UTC)."""

    card: str
    path: str
    first_seen: str
    last_seen: str
    superseded: str | None


@dataclass(frozen=True, slots=True)
class ReviewNow:
    """What somebody said, or took back."""

    id: int
    label: str | None
    count: int
    reviewer: str
    time: str
    note: str
    retracts: int | None


@dataclass(frozen=True, slots=True)
class SaidNow:
    """What the preferred model said; the fields are those of `Prediction`."""

    label: str | None
    probability: float | None
    reason: str | None
    model: str
    top: list[tuple[str, float | None]]
    members: list[tuple[str, str, float | None]]


@dataclass(frozen=True, slots=True)
class Detail:
    """A photo: its sighting, the camera's notes, what was said of it, and what is like it.

    `reviews` are those of its history, the oldest first.
    """

    shown: Shown
    facts: dict[str, str | int | float | None]
    said: SaidNow | None
    places: list[PlaceNow]
    reviews: list[ReviewNow]
    near_duplicates: list[int]
    sequence: list[int]


@dataclass(frozen=True, slots=True)
class Original:
    """A photo's content, as hexadecimal sha256, and where it was: card and path below it."""

    sha256: str
    places: list[tuple[str, bytes]]


def find_detail(connection: Connection, photo_id: int, red_list: str) -> Detail | None:
    """Return a photo and all that is known of it, None where it is not there."""
    extra = [view.prediction_id, *(photos.c[name] for name in FACTS)]
    query = select(*COLUMNS, *extra).join(photos, photos.c.id == view.photo_id)
    row = connection.execute(query.where(view.photo_id == photo_id)).one_or_none()
    if row is None:
        return None
    shown = as_shown(row[: len(COLUMNS)], red_list)
    prediction_id, *facts = row[len(COLUMNS) :]
    first = shown.sighting.near_duplicate_of
    same = [photos.c.near_duplicate_of == photo_id]
    same += [photos.c.near_duplicate_of == first, photos.c.id == first] if first else []
    others = photos.c.id != photo_id
    sequence = shown.sighting.sequence_id
    burst = select(photos.c.id).where(photos.c.sequence_id == sequence).order_by(photos.c.id)
    near = select(photos.c.id).where(or_(*same), others, photos.c.superseded_by.is_(None))
    near = near.order_by(photos.c.id)
    return Detail(
        shown,
        dict(zip(FACTS, facts, strict=True)),
        _said(connection, prediction_id),
        _places(connection, photo_id),
        _reviews(connection, photo_id),
        list(connection.scalars(near.limit(MOST_RELATED))),
        list(connection.scalars(burst.limit(MOST_RELATED))) if sequence else [],
    )


def find_original(connection: Connection, photo_id: int) -> Original | None:
    """Return content and live places of a photo, those seen last first."""
    digest = connection.scalar(select(photos.c.sha256).where(photos.c.id == photo_id))
    if digest is None:
        return None
    place = places_seen.c
    query = select(cards.c.root, place.path_bytes).join(cards, cards.c.id == place.card_id)
    query = query.where(place.photo_id == photo_id, place.superseded.is_(None))
    rows = connection.execute(query.order_by(place.last_seen.desc(), place.id.desc()))
    return Original(bytes(digest).hex(), [(root, bytes(path)) for root, path in rows])


def find_on_card(
    connection: Connection, card_id: int, after: int, limit: int
) -> list[tuple[int, str, bytes]]:
    """Return photos that lie on a card, those that were found first first.

    Each with the number of its place, which `after` takes to go on, its content as hexadecimal
    sha256, and its path below the card.
    """
    place = places_seen.c
    query = select(place.id, photos.c.sha256, place.path_bytes)
    query = query.join(photos, photos.c.id == place.photo_id)
    here = (place.card_id == card_id, place.superseded.is_(None), place.id > after)
    rows = connection.execute(query.where(*here).order_by(place.id).limit(limit))
    return [(number, bytes(digest).hex(), bytes(path)) for number, digest, path in rows]


def find_roots(connection: Connection) -> list[tuple[int, str]]:
    """Return the cards and the folders that they were seen at, those seen last first."""
    query = select(cards.c.id, cards.c.root)
    rows = connection.execute(query.order_by(cards.c.last_seen.desc(), cards.c.id.desc()))
    return [(card_id, root) for card_id, root in rows]


def _said(connection: Connection, prediction_id: int | None) -> SaidNow | None:
    columns = (*(predictions.c[name] for name in ("label", "probability", "reason")),)
    columns += (predictions.c.top, predictions.c.members)
    query = select(*columns, models.c.name, models.c.version).select_from(predictions.join(models))
    row = connection.execute(query.where(predictions.c.id == prediction_id)).one_or_none()
    if row is None:
        return None
    label, probability, reason, top, members, name, version = tuple(row)
    model = f"{name}-{version}" if version else name
    votes = [(member, said, sure) for member, said, sure in json.loads(members)]
    answers = [(said, sure) for said, sure in json.loads(top)]
    return SaidNow(label, probability, reason, model, answers, votes)


def _places(connection: Connection, photo_id: int) -> list[PlaceNow]:
    names = ("path", "first_seen", "last_seen", "superseded")
    columns = (cards.c.root, *(places_seen.c[name] for name in names))
    query = select(*columns).join(cards, cards.c.id == places_seen.c.card_id)
    query = query.where(places_seen.c.photo_id == photo_id).order_by(places_seen.c.id)
    return [PlaceNow(*row) for row in connection.execute(query)]


def _reviews(connection: Connection, photo_id: int) -> list[ReviewNow]:
    query = select(*(reviews.c[name] for name in ReviewNow.__slots__))
    query = query.where(reviews.c.photo_id == photo_id).order_by(reviews.c.id)
    return [ReviewNow(*row) for row in connection.execute(query)]
