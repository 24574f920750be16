"""Bursts: the frames of one trigger, and what they say together.

A photo without a sequence is still to be grouped: it is new, or a model answered anew.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, func, or_, select, update

from trapsort.store.rows import NamingRule
from trapsort.store.statements import chunks, merge, utc_now
from trapsort.store.tables import (
    models,
    photos,
    places_seen,
    predictions,
    regions,
    sequence_predictions,
    sequences,
)

GAP_SECONDS = 2.0
"""Between two frames of a camera that does not number them."""

NUMBERED_GAP_SECONDS = 60.0
"""Between two frames that the camera numbers as of one trigger; more where some are missing."""

LEAST = 1e-6
"""No calibrated probability counts as smaller: one frame must not rule out a species for all."""

GROUPS_AT_ONCE = 500
ROWS_AT_ONCE = 500


_READ = (
    *("id", "sequence_id", "camera_time", "sequence_index", "sequence_length", "event_number"),
    *("trigger", "flags", "serial", "make", "model"),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """What decides whether a photo belongs to the burst of the one before it."""

    id: int
    sequence_id: int | None
    time: datetime | None
    index: int | None
    length: int | None
    event: int | None
    is_timed: bool  # its clock runs, and it was not taken because a time had come


LOW = "low_confidence"  # the reason of a label that is not probable enough

Answer = tuple[str | None, float | None, str | None, tuple[tuple[str, float], ...]]
"""Label, probability, reason, and every label with its probability, of a frame or a sequence."""


def follows(frame: Frame, before: Frame) -> bool:
    """Say whether a frame is of the same trigger as the one that its camera took before it."""
    seconds = None
    if frame.time is not None and before.time is not None:
        seconds = abs((frame.time - before.time).total_seconds())
    if frame.index is not None and before.index is not None:
        passed = frame.index - before.index
        if passed <= 0 or frame.length != before.length:
            return False
        if frame.event is not None and before.event is not None and frame.event != before.event:
            return False
        return seconds is None or seconds <= NUMBERED_GAP_SECONDS * passed
    if frame.index is not None or before.index is not None:
        return False
    return frame.is_timed and before.is_timed and seconds is not None and seconds <= GAP_SECONDS


def together(frames: Sequence[Answer], rule: NamingRule | None = None) -> Answer:
    """Average a model's frames: the mean of their log probabilities, made to sum to 1 again.

    That is the mean of the calibrated logits. The bundle's threshold says whether the label is
    named; unless most frames were held back for what no probability shows. Without `rule` the
    label is named where at least half of the frames name it.
    """
    tops = [dict(top) for _, _, _, top in frames]
    labels = dict.fromkeys(label for top in tops for label in top)
    logs = {
        label: sum(math.log(max(top.get(label, 0.0), LEAST)) for top in tops) / len(tops)
        for label in labels
    }
    highest = max(logs.values())
    raised = {label: math.exp(value - highest) for label, value in logs.items()}
    whole = sum(raised.values())
    order = sorted(raised, key=lambda label: -raised[label])
    top = tuple((label, raised[label] / whole) for label in order)
    label, probability = top[0]
    reason = _reason(label, probability, frames, rule)
    return (label if reason is None else None), probability, reason, top


def _reason(
    label: str, probability: float, frames: Sequence[Answer], rule: NamingRule | None
) -> str | None:
    """Return why the most probable label of a sequence is not named, None where it is."""
    shown = [LOW] if rule is None else [LOW, *(top[0][0] for _, _, _, top in frames)]
    held_back = Counter(each for _, _, each, _ in frames if each and each not in shown)
    if rule is not None and label not in rule.species:
        return label
    if held_back.total() * 2 > len(frames):
        return held_back.most_common(1)[0][0]
    if rule is not None:
        return LOW if probability < rule.min_probability else None
    return LOW if sum(named == label for named, _, _, _ in frames) * 2 < len(frames) else None


def find_ungrouped(connection: Connection) -> list[int]:
    """Return the cards that have photos without a sequence."""
    placed = places_seen.join(photos, photos.c.id == places_seen.c.photo_id)
    query = select(places_seen.c.card_id).distinct().select_from(placed)
    live = (photos.c.superseded_by.is_(None), places_seen.c.superseded.is_(None))
    return list(connection.scalars(query.where(photos.c.sequence_id.is_(None), *live)))


def group(
    connection: Connection, card_id: int, model_id: int | None, rule: NamingRule | None
) -> None:
    """Group a card's photos where something changed, and average what bundles say of them.

    `rule` is that of the bundle `model_id`.
    """
    changed = (
        frames
        for frames in _bursts(connection, card_id)
        if None in (ids := {frame.sequence_id for frame in frames}) or len(ids) > 1
    )
    while part := list(islice(changed, GROUPS_AT_ONCE)):
        _write(connection, part)
        _answer(connection, [frames for frames in part if len(frames) > 1], model_id, rule)


def ungroup(connection: Connection, photo_ids: Iterable[int]) -> None:
    """Have these photos grouped again: a model has answered anew."""
    for chunk in chunks(photo_ids):
        grouped = (photos.c.id.in_(chunk), photos.c.sequence_id.is_not(None))
        connection.execute(update(photos).where(*grouped).values(sequence_id=None))


def dissolve(connection: Connection, photo_id: int) -> None:
    """Have the sequence of a photo that is no longer live grouped again, without it."""
    mine = select(photos.c.sequence_id).where(photos.c.id == photo_id).scalar_subquery()
    found = select(sequences.c.id).where(
        or_(sequences.c.first_photo_id == photo_id, sequences.c.id == mine)
    )
    _delete(connection, connection.scalars(found).all())


def _delete(connection: Connection, sequence_ids: Sequence[int]) -> None:
    for chunk in chunks(sequence_ids):
        members = update(photos).where(photos.c.sequence_id.in_(chunk))
        connection.execute(members.values(sequence_id=None))
        said = sequence_predictions.c.sequence_id.in_(chunk)
        connection.execute(delete(sequence_predictions).where(said))
        connection.execute(delete(sequences).where(sequences.c.id.in_(chunk)))


def _bursts(connection: Connection, card_id: int) -> Iterator[list[Frame]]:
    """Yield the frames of each trigger of a card in their order, single ones too.

    A camera is told by its serial number, or else by folder, make and model.
    """
    place = places_seen.alias("place")
    first = select(func.min(place.c.id)).where(
        place.c.photo_id == places_seen.c.photo_id, place.c.superseded.is_(None)
    )
    is_first = places_seen.c.id == first.correlate(places_seen).scalar_subquery()
    placed = places_seen.join(photos, photos.c.id == places_seen.c.photo_id)
    columns = (*(photos.c[name] for name in _READ), places_seen.c.path)
    query = select(*columns).select_from(placed)
    query = query.where(places_seen.c.card_id == card_id, is_first)
    told = ("camera_time", "event_number", "sequence_index")
    order = (*(photos.c[name].nulls_last() for name in told), places_seen.c.path_bytes)
    options = {"stream_results": True, "yield_per": ROWS_AT_ONCE}
    current: dict[tuple[str | None, ...], list[Frame]] = {}
    for row in connection.execute(query.order_by(*order), execution_options=options):
        folder = row.path.rpartition("/")[0]
        camera = (row.serial,) if row.serial else (folder, row.make, row.model)
        frame = _frame(row)
        frames = current.setdefault(camera, [])
        if frames and not follows(frame, frames[-1]):
            yield frames
            frames = current[camera] = []
        frames.append(frame)
    yield from current.values()


def _frame(row: Row[Any]) -> Frame:
    time = None if row.camera_time is None else datetime.fromisoformat(row.camera_time)
    is_timed = "clock_unset" not in row.flags.split() and row.trigger != "timelapse"
    numbers = (row.sequence_index, row.sequence_length, row.event_number)
    return Frame(row.id, row.sequence_id, time, *numbers, is_timed)


def _write(connection: Connection, bursts: Sequence[Sequence[Frame]]) -> None:
    """Give every burst one sequence, that of its first photo."""
    firsts = [frames[0].id for frames in bursts]
    merge(connection, sequences, ("first_photo_id",), [{"first_photo_id": id_} for id_ in firsts])
    ids = _sequence_ids(connection, firsts)
    moved = [
        {"photo": frame.id, "sequence": ids[frames[0].id]}
        for frames in bursts
        for frame in frames
        if frame.sequence_id != ids[frames[0].id]
    ]
    if moved:
        one = update(photos).where(photos.c.id == bindparam("photo"))
        connection.execute(one.values(sequence_id=bindparam("sequence")), moved)
    later = [frame.id for frames in bursts for frame in frames[1:]]
    _delete(connection, list(_sequence_ids(connection, later).values()))


def _sequence_ids(connection: Connection, first_photo_ids: Iterable[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    query = select(sequences.c.first_photo_id, sequences.c.id)
    for chunk in chunks(first_photo_ids):
        here = query.where(sequences.c.first_photo_id.in_(chunk))
        found.update((first, id_) for first, id_ in connection.execute(here))
    return found


def _answer(
    connection: Connection,
    bursts: Sequence[Sequence[Frame]],
    model_id: int | None,
    rule: NamingRule | None,
) -> None:
    """Write what each bundle says of these bursts, where it says something new."""
    ids = _sequence_ids(connection, (frames[0].id for frames in bursts))
    said = _answers(connection, [frame.id for frames in bursts for frame in frames])
    written = _written(connection, ids.values())
    rows = []
    for frames in bursts:
        sequence_id = ids[frames[0].id]
        by_model: dict[int, list[Answer]] = defaultdict(list)
        for frame in frames:
            for model, answer in said.get(frame.id, {}).items():
                by_model[model].append(answer)
        for model, answers in by_model.items():
            # What another bundle said by its own threshold stays, which is not known here.
            if model != model_id and written.get((sequence_id, model)) == len(answers):
                continue
            label, probability, reason, top = together(answers, rule if model == model_id else None)
            row: dict[str, Any] = {"sequence_id": sequence_id, "model_id": model, "label": label}
            row |= {"probability": probability, "reason": reason, "frames": len(answers)}
            row |= {"top": json.dumps(top, ensure_ascii=False), "created": utc_now()}
            rows.append(row)
    keys = ("sequence_id", "model_id")
    changes = ("label", "probability", "reason", "top", "frames", "created")
    merge(connection, sequence_predictions, keys, rows, changes)


def _written(connection: Connection, sequence_ids: Iterable[int]) -> dict[tuple[int, int], int]:
    table, found = sequence_predictions, {}
    query = select(table.c.sequence_id, table.c.model_id, table.c.frames)
    for chunk in chunks(sequence_ids):
        rows = connection.execute(query.where(table.c.sequence_id.in_(chunk)))
        found.update({(sequence, model): frames for sequence, model, frames in rows})
    return found


def _answers(connection: Connection, photo_ids: Iterable[int]) -> dict[int, dict[int, Answer]]:
    """Return what each bundle finitely answered: photo -> model -> answer, as the view chooses."""
    columns = (predictions.c[name] for name in ("label", "probability", "reason", "top"))
    query = select(regions.c.photo_id, predictions.c.model_id, *columns)
    query = query.select_from(predictions.join(regions).join(models))
    query = query.where(models.c.source == "", predictions.c.probability.is_not(None))
    # The last one stays: a named species, else the most probable.
    order = (predictions.c.label.is_not(None), predictions.c.probability, predictions.c.id)
    found: dict[int, dict[int, Answer]] = defaultdict(dict)
    for chunk in chunks(photo_ids):
        rows = connection.execute(query.where(regions.c.photo_id.in_(chunk)).order_by(*order))
        for photo_id, model, label, probability, reason, top in rows:
            pairs = [(name, value) for name, value in json.loads(top) if value is not None]
            if pairs:
                found[photo_id][model] = (label, probability, reason, tuple(pairs))
    return found
