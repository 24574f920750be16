"""What changes the record: functions on a connection whose transaction `Store` opened."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from trapsort.abstentions import UNCLASSIFIED
from trapsort.errors import InputError
from trapsort.scan import display_name
from trapsort.store.attributions import match_photos
from trapsort.store.index import cards_of, settle, settle_model
from trapsort.store.places import add_places
from trapsort.store.rows import Account, Record, Recorded
from trapsort.store.sequences import ungroup
from trapsort.store.statements import Row, chunks, insert_one, merge, utc_now
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
    reviews,
    runs,
    stations,
)
from trapsort.urls import is_url

if TYPE_CHECKING:
    from trapsort.ensemble import Prediction
    from trapsort.scan import Photo, Problem

EXIF_COLUMNS = (
    "camera_time",
    "utc_offset",
    "make",
    "model",
    "serial",
    "temperature_c",
    "moon",
    "trigger",
    "sequence_index",
    "sequence_length",
    "event_number",
    "latitude",
    "longitude",
)
WHOLE_PHOTO = {"x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0, "detector": NO_DETECTOR}


def photo_ids(connection: Connection, sha256s: Iterable[bytes]) -> dict[bytes, int]:
    """Return the ids of those contents that are recorded."""
    query = select(photos.c.sha256, photos.c.id)
    found: dict[bytes, int] = {}
    for chunk in chunks(sha256s):
        rows = connection.execute(query.where(photos.c.sha256.in_(chunk)))
        found.update((bytes(sha256), photo_id) for sha256, photo_id in rows)
    return found


def root_text(root: str | Path) -> str:
    """Return a card's folder as the record names it: the same from wherever it is named."""
    if isinstance(root, str) and is_url(root):
        return display_name(os.fsencode(root.rstrip("/")))
    return display_name(os.fsencode(os.path.abspath(root)))  # noqa: PTH100 - as `scan` does


def add_card(connection: Connection, root: str | Path, volume: str, station: str | None) -> int:
    """Return the id of a card, see `Store.card`; nobody else writes meanwhile."""
    now = utc_now()
    row: dict[str, Any] = {"root": root_text(root), "volume": volume}
    latest_first = (cards.c.last_seen.desc(), cards.c.id.desc())
    known = select(cards.c.id).where(cards.c.root == row["root"], cards.c.volume == volume)
    known = known.order_by(*latest_first).limit(1)
    if station is None:
        found = connection.execute(known).scalar()
    else:
        row["station_id"] = _station(connection, station)
        of_station = known.where(cards.c.station_id == row["station_id"])
        of_none = known.where(cards.c.station_id.is_(None))
        found = connection.execute(of_station).scalar() or connection.execute(of_none).scalar()
    if found is None:
        return insert_one(connection, cards, row | {"first_seen": now, "last_seen": now})
    before = connection.execute(select(cards.c.station_id).where(cards.c.id == found)).scalar()
    renewed = update(cards).where(cards.c.id == found).values(**row, last_seen=now)
    connection.execute(renewed)
    if row.get("station_id", before) != before:
        placed = select(places_seen.c.photo_id).where(places_seen.c.card_id == found)
        its_photos = connection.scalars(placed).all()
        match_photos(connection, its_photos)
        settle(connection, its_photos)
    return int(found)


def _station(connection: Connection, name: str) -> int:
    merge(connection, stations, ("name",), [{"name": name}])
    found = select(stations.c.id).where(stations.c.name == name)
    return int(connection.execute(found).scalar_one())


def add_model(connection: Connection, name: str, version: str, digest: str, profile: str) -> int:
    """Return the id of a bundle, new or known by its digest; it is now the one used last."""
    uses = connection.execute(select(func.coalesce(func.max(models.c.last_used), 0))).scalar_one()
    row = {"name": name, "version": version, "digest": digest, "profile": profile}
    row |= {"added": utc_now(), "last_used": uses + 1}
    known = select(models.c.id).where(models.c.digest == digest)
    last_used = models.c.last_used.desc()
    preferred = select(models.c.digest).where(models.c.source == "").order_by(last_used).limit(1)
    is_back = connection.scalar(known) is not None and connection.scalar(preferred) != digest
    merge(connection, models, ("digest",), [row], ("last_used",))
    model_id = int(connection.execute(known).scalar_one())
    if is_back:
        settle_model(connection, model_id)
    return model_id


def add_batch(
    connection: Connection,
    card_id: int,
    model_id: int,
    *,
    records: Sequence[Record],
    seen: Sequence[tuple[Photo, bytes]],
    failed: Sequence[Problem],
) -> Recorded:
    """Record a batch, see `Store.record`."""
    now = utc_now()
    firsts: dict[bytes, Record] = {}
    for record in records:
        firsts.setdefault(record.sha256, record)
    ids = photo_ids(connection, [*firsts, *(sha256 for _, sha256 in seen)])
    new = [record for sha256, record in firsts.items() if sha256 not in ids]
    merge(connection, photos, ("sha256",), [_photo_row(record, now) for record in new])
    known = cards_of(connection, ids.values()) if ids else {}
    ids |= photo_ids(connection, [record.sha256 for record in new])
    fresh = {ids[record.sha256] for record in new}
    _link_within(connection, records, new, ids)
    _add_predictions(
        connection, model_id, {ids[key]: r.prediction for key, r in firsts.items()}, now
    )
    places = [(r.photo, ids[r.sha256]) for r in records] + [(p, ids[key]) for p, key in seen]
    gone = add_places(connection, card_id, places, now)
    match_photos(connection, ids.values())
    settle(connection, {*ids.values(), *gone}, fresh=fresh, placed={**gone, **known})
    placed = {photo.relative for photo, _ in places}
    _resolve(connection, card_id, placed, now)
    _add_problems(connection, card_id, failed, now)
    # A photo that is recorded and has a problem (nothing could classify it) counts once.
    only_failed = sum(problem.relative not in placed for problem in failed)
    before = len(places) - len(new)
    account = Account(len(places) + only_failed, len(new), before, only_failed)
    return Recorded(account, tuple(ids[record.sha256] for record in records))


def add_run(connection: Connection, card_id: int, model_id: int | None) -> int:
    """Note that a card is being taken in; return the run's id."""
    row = _run_row(Account()) | {"card_id": card_id, "model_id": model_id, "started": utc_now()}
    return insert_one(connection, runs, row)


def end_run(connection: Connection, run_id: int, account: Account) -> None:
    """Note what became of the card's files."""
    row = _run_row(account) | {"finished": utc_now()}
    connection.execute(update(runs).where(runs.c.id == run_id).values(row))


def add_review(
    connection: Connection, photo_id: int, label: str | None, count: int, reviewer: str, note: str
) -> int:
    """Append what a person says of a photo; raises InputError for a photo that is not there."""
    if connection.execute(select(photos.c.id).where(photos.c.id == photo_id)).first() is None:
        raise InputError(f"there is no photo {photo_id}", "take an id that `sightings` shows")
    row = {"photo_id": photo_id, "label": label, "count": count}
    row |= {"reviewer": reviewer, "note": note, "time": utc_now()}
    review_id = insert_one(connection, reviews, row)
    settle(connection, [photo_id])
    return review_id


def resolve(connection: Connection, problem_ids: Iterable[int]) -> None:
    """Note that these problems are over."""
    now = utc_now()
    for chunk in chunks(problem_ids):
        over = update(problems).where(problems.c.id.in_(chunk))
        connection.execute(over.values(resolved=now))


def replace_red_list(connection: Connection, rows: Sequence[Row]) -> None:
    """Make the table `red_list` these rows."""
    connection.execute(delete(red_list))
    connection.execute(insert(red_list), rows)


def _photo_row(record: Record, now: str) -> Row:
    # An id of the same batch (negative) is not known yet: _link_within.
    near_id, near_bits = record.near if record.near and record.near[0] > 0 else (None, None)
    return {column: getattr(record.exif, column) for column in EXIF_COLUMNS} | {
        "sha256": record.sha256,
        "size": record.size,
        # Unsigned to signed: databases have no unsigned 64 bits.
        "perceptual_hash": record.perceptual_hash - (record.perceptual_hash >> 63 << 64),
        "width": record.width,
        "height": record.height,
        "format": record.format,
        "flags": " ".join(sorted({*record.exif.flags, *record.flags})),
        "near_duplicate_of": near_id,
        "near_duplicate_bits": near_bits,
        "first_seen": now,
    }


def _link_within(
    connection: Connection,
    records: Sequence[Record],
    new: Sequence[Record],
    ids: Mapping[bytes, int],
) -> None:
    """Link new photos to near-duplicates that came in the same batch."""
    links = [
        {"this": ids[record.sha256], "near": ids[records[-1 - near[0]].sha256], "bits": near[1]}
        for record in new
        if (near := record.near) is not None and near[0] < 0
    ]
    if links:
        link_one = update(photos).where(photos.c.id == bindparam("this"))
        link_one = link_one.values(
            near_duplicate_of=bindparam("near"), near_duplicate_bits=bindparam("bits")
        )
        connection.execute(link_one, links)


def _add_predictions(
    connection: Connection,
    model_id: int,
    predicted: Mapping[int, Prediction | None],
    now: str,
) -> None:
    """Add a prediction of the whole photo for each photo id, unless that model has made one.

    One that was no answer gives way.
    """
    found = {photo_id: each for photo_id, each in predicted.items() if each is not None}
    whole = [{"photo_id": photo_id, **WHOLE_PHOTO} for photo_id in found]
    merge(connection, regions, ("photo_id", *WHOLE_PHOTO), whole)
    rows: list[dict[str, Any]] = []
    for chunk in chunks(found):
        query = select(regions.c.photo_id, regions.c.id).where(
            regions.c.photo_id.in_(chunk), *(regions.c[k] == v for k, v in WHOLE_PHOTO.items())
        )
        for photo_id, region_id in connection.execute(query):
            rows.append(prediction_row(found[photo_id], region_id, model_id, now))
    for regions_now in chunks(row["region_id"] for row in rows):
        unanswered = delete(predictions).where(
            predictions.c.region_id.in_(regions_now),
            predictions.c.model_id == model_id,
            predictions.c.reason == UNCLASSIFIED,
        )
        connection.execute(unanswered)
    merge(connection, predictions, ("region_id", "model_id"), rows)
    ungroup(connection, found)


def prediction_row(
    prediction: Prediction, region_id: int, model_id: int, now: str
) -> dict[str, Any]:
    """Return a prediction of a region as the table holds it; `now` is UTC text."""
    top = [(label, _finite(value)) for label, value in prediction.top]
    members = [(member, label, _finite(value)) for member, label, value in prediction.members]
    return {
        "region_id": region_id,
        "model_id": model_id,
        "label": prediction.label,
        "probability": _finite(prediction.probability),
        "reason": prediction.reason,
        "top": json.dumps(top, ensure_ascii=False),
        "members": json.dumps(members, ensure_ascii=False),
        "created": now,
        "precision": prediction.precision,
    }


def _resolve(connection: Connection, card_id: int, readable: Iterable[bytes], now: str) -> None:
    """Resolve the problems of places that can be read now."""
    for chunk in chunks(readable):
        mine = (problems.c.card_id == card_id, problems.c.path_bytes.in_(chunk))
        open_ones = update(problems).where(*mine, problems.c.resolved.is_(None))
        connection.execute(open_ones.values(resolved=now))


def _add_problems(
    connection: Connection, card_id: int, failed: Iterable[Problem], now: str
) -> None:
    rows = [
        {
            "card_id": card_id,
            "path_bytes": problem.relative,
            "path": problem.name,
            "reason": problem.reason,
            "detail": display_name(os.fsencode(problem.detail)),
            "first_seen": now,
            "last_seen": now,
            "resolved": None,
        }
        for problem in failed
    ]
    changes = ("reason", "detail", "last_seen", "resolved")
    merge(connection, problems, ("card_id", "path_bytes"), rows, changes)


def _run_row(account: Account) -> dict[str, Any]:
    return {
        "files": account.files,
        "recorded": account.recorded,
        "seen_before": account.seen_before,
        "problems": account.problems,
    }


def _finite(value: float | None) -> float | None:
    """None for NaN and infinity, which are no numbers to JSON and no probabilities to anyone."""
    return None if value is None or not math.isfinite(value) else float(value)
