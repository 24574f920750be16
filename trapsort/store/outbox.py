"""The outbox: alerts that are to leave the machine, until they have left it.

A row's `kind` is `alert` (one event), `digest` (one message on many events), `digested` (an event
that its digest stands for) or `rule` (how far a rule has read the record, and how long the place
that it writes to is left alone). `key` is unique, so that two programs that see the same event
write one row. Who delivers a row claims it before and marks it after; what dies in between is
delivered again when the claim is over.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, or_, select, update

from trapsort.redlist import red_list
from trapsort.store.engine import reading, writing
from trapsort.store.in_force import is_kept
from trapsort.store.query import SIGHTING_COLUMNS, view
from trapsort.store.reporting import PEOPLE
from trapsort.store.rows import Sighting
from trapsort.store.statements import chunks, merge
from trapsort.store.tables import outbox, predictions, regions, reviews

Payload = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A row of the outbox; `created`, `sent` and `next_try` are UTC text."""

    id: int
    kind: str
    key: str
    payload: Payload
    created: str
    sent: str | None
    attempts: int
    next_try: str | None
    last_error: str


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """The last prediction and the last review (ids) that were looked at."""

    prediction: int = 0
    review: int = 0


@dataclass(frozen=True, slots=True)
class Find:
    """A photo that may be worth an alert: its sighting, and what was newly said of it.

    `is_person` where somebody or some model said that it shows a person, with that `probability`
    (None: a reviewer). `place` is the card's folder and the path on it.
    """

    sighting: Sighting
    is_person: bool
    probability: float | None
    place: tuple[str, bytes]


class Outbox:
    """The rows of the outbox; every method is one transaction and raises `DatabaseError`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def edit(self) -> Iterator[Editor]:
        """Open one transaction that reads and writes the outbox, whole or not at all."""
        with writing(self._engine) as connection:
            yield Editor(connection)

    def newest(self) -> Cursor:
        """Return where the record ends now."""
        with reading(self._engine) as connection:
            return _last(connection)

    def before(self, moment: str) -> Cursor:
        """Return where the record ended at a time (UTC text): all later answers come after it."""
        with reading(self._engine) as connection:
            return _last(connection, moment)

    def rule(self, name: str) -> Message | None:
        """Return the row of a rule, None for a new one; its payload is a `Cursor`."""
        query = select(outbox).where(outbox.c.key == rule_key(name))
        with reading(self._engine) as connection:
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _message(row)

    def finds(
        self, after: Cursor, until: Cursor, labels: Iterable[str], *, people: bool
    ) -> list[Find]:
        """Return the photos of which one of these labels (lower case) was said between two cursors.

        With `people` also those that were said to show people. They come by true time.
        """
        wanted = {*labels, *(PEOPLE if people else ())}
        with reading(self._engine) as connection:
            said = _said(connection, after, until, wanted)
            return list(_finds(connection, said, people=people))

    def unsent(self) -> list[Message]:
        """Return the alerts and digests that have not left, oldest first."""
        with reading(self._engine) as connection:
            return Editor(connection).unsent()

    def messages(self, limit: int | None = None) -> list[Message]:
        """Return all alerts and digests, newest first, at most `limit`."""
        query = select(outbox).where(outbox.c.kind != "rule").order_by(outbox.c.id.desc())
        with reading(self._engine) as connection:
            return [_message(row) for row in connection.execute(query.limit(limit)).mappings()]

    def claim(self, message_id: int, *, now: str, until: str, latest: str) -> int | None:
        """Take a message that is due for delivery; return the number of this attempt.

        None where it was sent, another one has it until its `next_try`, or it is not due. A
        `next_try` after `latest` counts as due.
        """
        due = or_(outbox.c.next_try.is_(None), outbox.c.next_try <= now, outbox.c.next_try > latest)
        taken = (
            update(outbox)
            .where(outbox.c.id == message_id, outbox.c.sent.is_(None), due)
            .values(attempts=outbox.c.attempts + 1, next_try=until)
            .returning(outbox.c.attempts)
        )
        with writing(self._engine) as connection:
            return connection.execute(taken).scalar_one_or_none()

    def mark_sent(self, message: Message, now: str, note: str = "") -> None:
        """Note that a message has left, and with a digest the events that it lists."""
        payload = {name: part for name, part in message.payload.items() if name != "jpeg"}
        left = {"sent": now, "next_try": None}
        with writing(self._engine) as connection:
            values = left | {"payload": json.dumps(payload), "last_error": note}
            connection.execute(update(outbox).where(outbox.c.id == message.id).values(values))
            for keys in chunks(payload.get("keys", ())):
                connection.execute(update(outbox).where(outbox.c.key.in_(keys)).values(left))

    def put_off(self, message_id: int, until: str | None, error: str) -> None:
        """Note why a message could not leave, and when to try again (None: at once)."""
        change = update(outbox).where(outbox.c.id == message_id, outbox.c.sent.is_(None))
        with writing(self._engine) as connection:
            connection.execute(change.values(next_try=until, last_error=error))

    def leave_alone(self, rule: str, until: str | None, error: str = "") -> None:
        """Note until when the place that a rule writes to is left alone; None: it works."""
        attempts = 0 if until is None else outbox.c.attempts + 1
        change = update(outbox).where(outbox.c.key == rule_key(rule))
        with writing(self._engine) as connection:
            values = {"next_try": until, "last_error": error, "attempts": attempts}
            connection.execute(change.values(values))


class Editor:
    """Reads and writes the outbox inside the transaction of `Outbox.edit`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def events(self, prefix: str) -> list[Message]:
        """Return the alerts whose key begins so, sent or not."""
        query = select(outbox).where(
            outbox.c.kind.in_(("alert", "digested")),
            outbox.c.key.startswith(prefix, autoescape=True),
        )
        found = [_message(row) for row in self._connection.execute(query).mappings()]
        return [row for row in found if row.key.startswith(prefix)]  # SQLite ignores upper case

    def unsent(self) -> list[Message]:
        """Return the alerts and digests that have not left, oldest first."""
        waiting = (outbox.c.kind.in_(("alert", "digest")), outbox.c.sent.is_(None))
        query = select(outbox).where(*waiting).order_by(outbox.c.id)
        return [_message(row) for row in self._connection.execute(query).mappings()]

    def sent_since(self, moment: str) -> list[Message]:
        """Return the alerts that have left since a time (UTC text)."""
        query = select(outbox).where(outbox.c.kind == "alert", outbox.c.sent >= moment)
        return [_message(row) for row in self._connection.execute(query).mappings()]

    def has(self, key: str) -> bool:
        """Say whether there is a row with this key."""
        query = select(func.count()).where(outbox.c.key == key)
        return bool(self._connection.execute(query).scalar_one())

    def add(self, kind: str, key: str, payload: Mapping[str, Any], created: str) -> None:
        """Add a row, or leave the one that has this key."""
        row = {"kind": kind, "key": key, "payload": json.dumps(payload), "created": created}
        merge(self._connection, outbox, ("key",), [row])

    def change(self, message: Message, payload: Mapping[str, Any], kind: str | None = None) -> None:
        """Give a row another payload, and another kind."""
        values = {"payload": json.dumps(payload), "kind": kind or message.kind}
        self._connection.execute(update(outbox).where(outbox.c.id == message.id).values(values))

    def move(self, rule: str, cursor: Cursor, now: str) -> None:
        """Note how far a rule has read."""
        payload = json.dumps({"prediction": cursor.prediction, "review": cursor.review})
        row = {"kind": "rule", "key": rule_key(rule), "payload": payload, "created": now}
        merge(self._connection, outbox, ("key",), [row], ("payload",))


def rule_key(name: str) -> str:
    """Return the key of a rule's own row."""
    return f"rule\t{name}"


def _message(row: Mapping[Any, Any]) -> Message:
    return Message(**{**row, "payload": json.loads(row["payload"])})


def _last(connection: Connection, before: str | None = None) -> Cursor:
    def last(table: Table, time: str) -> int:
        if before is not None:
            later = select(func.min(table.c.id)).where(table.c[time] >= before)
            if (first := connection.scalar(later)) is not None:
                return int(first) - 1
        return int(connection.scalar(select(func.max(table.c.id))) or 0)

    return Cursor(last(predictions, "created"), last(reviews, "time"))


def _said(
    connection: Connection, after: Cursor, until: Cursor, wanted: Iterable[str]
) -> dict[int, tuple[bool, float | None]]:
    """Return photo -> whether a person was named, and how probable the best such answer is."""
    found: dict[int, tuple[bool, float | None]] = {}
    for labels in chunks(sorted(wanted)):
        label = func.lower(func.coalesce(predictions.c.label, predictions.c.reason))
        predicted = (
            select(regions.c.photo_id, label, predictions.c.probability)
            .join(regions, regions.c.id == predictions.c.region_id)
            .where(predictions.c.id > after.prediction, predictions.c.id <= until.prediction)
            .where(label.in_(labels))
        )
        reviewed = (
            select(reviews.c.photo_id, func.lower(reviews.c.label))
            .where(reviews.c.id > after.review, reviews.c.id <= until.review)
            .where(func.lower(reviews.c.label).in_(labels), is_kept())
        )
        for photo_id, name, probability in connection.execute(predicted):
            was_person, best = found.get(photo_id, (False, None))
            if name in PEOPLE:
                found[photo_id] = (True, max(best or 0.0, probability or 0.0))
            else:
                found.setdefault(photo_id, (was_person, best))
        for photo_id, name in connection.execute(reviewed):
            was_person, best = found.get(photo_id, (False, None))
            found[photo_id] = (was_person or name in PEOPLE, best)
    return found


def _finds(
    connection: Connection, said: Mapping[int, tuple[bool, float | None]], *, people: bool
) -> Iterator[Find]:
    listed = red_list("iucn")
    rows: list[Mapping[Any, Any]] = []
    for photo_ids in chunks(said):
        query = select(*SIGHTING_COLUMNS, view.path_bytes).where(view.photo_id.in_(photo_ids))
        rows += connection.execute(query).mappings()
    for row in sorted(
        rows, key=lambda row: (row["time"] or "", row["path"] or "", row["photo_id"])
    ):
        label = row["label"]
        values = {
            **row,
            "sha256": bytes(row["sha256"]).hex(),
            "scientific_name": listed.scientific_name(label),
            "iucn": listed.category(label),
        }
        place = (row["card"] or "", bytes(values.pop("path_bytes") or b""))
        sighting = Sighting(**values)
        is_person, probability = said[sighting.photo_id]
        if sighting.reviewed:  # what a person said counts, whatever models said
            is_person, probability = (label or "").lower() in PEOPLE, None
        yield Find(sighting, people and is_person, probability, place)
