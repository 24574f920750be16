"""From the record to the outbox, and from the outbox out: one short step between two scans."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from trapsort.alert_rules import AlertRule
from trapsort.alerts.delivery import DeliveryError, send
from trapsort.alerts.events import Event, events, is_near, labels_of, match_of
from trapsort.alerts.message import digest_payload, event_payload, photo, title
from trapsort.blur import COARSE, MIDDLE, PRECISIONS, precision_for
from trapsort.redlist import CATEGORIES, red_list
from trapsort.store import SightingQuery, Store
from trapsort.store.outbox import Cursor, Editor, Message

LOOK_BACK = timedelta(days=1)
"""A new rule hears of what was recorded or reviewed this long ago, not of a whole record."""

ANSWERS_AT_ONCE = 5000
"""Predictions, and reviews, that are looked at in one transaction."""

STEP_SECONDS = 15.0
"""A step begins nothing new after this; what is left waits for the next one."""

CLAIM = timedelta(minutes=2)
"""How long a message is its claimer's; longer than any delivery takes."""

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)

Send = Callable[[AlertRule, Mapping[str, Any], str | None, datetime], str]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What a step did: new events, messages that left, that could not and that still wait."""

    noticed: int = 0
    sent: int = 0
    failed: int = 0
    waiting: int = 0
    errors: list[str] = field(default_factory=list)
    """why messages could not leave"""


@dataclass(slots=True, kw_only=True)
class Alerts:
    """The rules at work on a record; `now` is aware, `clock` counts seconds, `stop` ends a step.

    `precision` is that of all rules, where it is given. With `at_once` what waits after a failure
    is tried again now. Rules hear of the categories as assessed.
    """

    store: Store
    rules: Sequence[AlertRule]
    precision: float | None = None
    at_once: bool = False
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic
    stop: threading.Event = field(default_factory=threading.Event)
    send: Send = send
    _said: set[str] = field(default_factory=set)  # errors that were logged
    _end: float = 0.0
    _coarsest: dict[str, float] = field(default_factory=dict)  # station -> degrees, in a step

    def attempt(self) -> None:
        """Take a step; what fails is logged once, and a scan goes on whatever it is."""
        try:
            outcome = self.step()
        except Exception as error:
            outcome = Outcome(errors=[f"alerts: {error or repr(error)}"])
            _log.debug("alerts failed", exc_info=True)
        for text in outcome.errors:
            if text not in self._said:
                _log.warning("%s; trying again later", text.splitlines()[0])
        if outcome.errors or outcome.sent:
            self._said = set(outcome.errors)

    def step(self) -> Outcome:
        """Notice what is new, then deliver what is due; a failing place is left until later.

        Raises:
            DatabaseError: the record cannot be read or written.
        """
        self._end = self.clock() + STEP_SECONDS
        self._coarsest.clear()
        outcome = Outcome()
        for rule in self.rules:
            outcome.noticed += self._notice(rule)
        waiting = {message.payload["rule"] for message in self.store.outbox.unsent()}
        for rule in self.rules:
            if rule.name in waiting and not self._is_left_alone(rule):
                self._deliver(rule, self._allowed(rule), outcome)
        outcome.waiting = len(self.store.outbox.unsent())
        return outcome

    def look_back(self, moment: datetime) -> None:
        """Let every rule look again at what was recorded since; no event is alerted twice."""
        cursor = self.store.outbox.before(utc_text(moment))
        with self.store.outbox.edit() as editor:
            for rule in self.rules:
                editor.move(rule.name, cursor, utc_text(self.now()))

    # Into the outbox ----------------------------------------------------------------------------

    def _notice(self, rule: AlertRule) -> int:
        """Write the events of what was said since the last step; return how many are new."""
        outbox, listed = self.store.outbox, red_list("iucn")
        row = outbox.rule(rule.name)
        is_new = row is None
        after = (
            outbox.before(utc_text(self.now() - LOOK_BACK))
            if row is None
            else Cursor(**row.payload)
        )
        end, labels, number = outbox.newest(), labels_of(rule, listed), 0
        while (is_new or _is_behind(after, end)) and not self._is_over():
            until = Cursor(
                min(end.prediction, after.prediction + ANSWERS_AT_ONCE),
                min(end.review, after.review + ANSWERS_AT_ONCE),
            )
            finds = outbox.finds(after, until, labels, people=rule.people)
            matches = [match for find in finds if (match := match_of(rule, find, labels))]
            ready = [(each, self._payload(rule, each)) for each in events(matches, rule.minutes)]
            with outbox.edit() as editor:
                known: dict[str, list[Message]] = defaultdict(list)
                for message in editor.events(f"{rule.name}\t") if ready else ():
                    known[message.key.rpartition("\t")[0]].append(message)
                number += sum(self._write(editor, rule, *each, known) for each in ready)
                editor.move(rule.name, until, utc_text(self.now()))
            after, is_new = until, False
        return number

    def _payload(self, rule: AlertRule, event: Event) -> dict[str, Any]:
        chosen = self.precision if self.precision is not None else rule.precision
        precision = self._precision(event, chosen)
        leaving = event_payload(rule, event, precision=precision, noticed=utc_text(self.now()))
        return {
            "rule": rule.name,
            "event": leaving,
            "span": [event.start, event.end],
            "photo_ids": [match.find.sighting.photo_id for match in event.matches],
            "jpeg": photo(event.best.find) if rule.attach else None,
        }

    def _precision(self, event: Event, chosen: float | None) -> float:
        """Return the degrees for an event: a leopard must not give a rhino's place away."""
        precision = precision_for(event.best.find.sighting.iucn, chosen)
        if chosen is not None or not event.station:
            return precision
        if event.station not in self._coarsest:
            self._coarsest[event.station] = self._coarsest_at(event.station)
        return max(precision, self._coarsest[event.station])

    def _coarsest_at(self, station: str) -> float:
        for degrees in (COARSE, MIDDLE):
            such = tuple(each for each in CATEGORIES if PRECISIONS[each] == degrees)
            query = SightingQuery(station=station, iucn=such)
            if next(self.store.sightings(query), None) is not None:
                return degrees
        return 0.0

    def _write(
        self,
        editor: Editor,
        rule: AlertRule,
        event: Event,
        payload: dict[str, Any],
        known: Mapping[str, list[Message]],
    ) -> bool:
        """Add an event to the outbox, or to the one of `known` that it belongs to."""
        where = "\t".join((rule.name, event.station, event.label))
        day = self.now().astimezone().date().isoformat()
        key = f"{where}\t{event.start or f'no time, {day}'}"
        for place, message in enumerate(mine := known[where]):
            is_mine = event.start != "" or message.key == key  # without a time: of this day
            if is_mine and is_near(message.payload["span"], payload["span"], rule.minutes):
                joined = _joined(message, payload)
                editor.change(message, joined)
                mine[place] = replace(message, payload=joined)
                return False
        editor.add("alert", key, payload, utc_text(self.now()))
        return True

    # Out of it ----------------------------------------------------------------------------------

    def _allowed(self, rule: AlertRule) -> list[Message]:
        """Return what of a rule may leave today; what is over its cap goes into the day's digest.

        What comes after the digest waits for the next day. What was tried before may have arrived,
        and is in no digest.
        """
        now = self.now()
        day = now.astimezone().date()
        midnight = datetime(day.year, day.month, day.day).astimezone()
        key = f"{rule.name}\tdigest\t{day.isoformat()}"
        with self.store.outbox.edit() as editor:
            mine = [row for row in editor.unsent() if row.payload["rule"] == rule.name]
            left = [
                r for r in editor.sent_since(utc_text(midnight)) if r.payload["rule"] == rule.name
            ]
            alerts = [row for row in mine if row.kind == "alert"]
            room = max(0, rule.per_day - len(left))
            over = [row for row in alerts[room:] if not row.attempts]
            if over and not editor.has(key):
                listed = [row.payload["event"] for row in over]
                leaving = digest_payload(rule, listed, day.isoformat(), utc_text(now))
                payload = {"rule": rule.name, "event": leaving, "keys": [row.key for row in over]}
                editor.add("digest", key, payload, utc_text(now))
                for row in over:
                    editor.change(row, row.payload | {"jpeg": None}, "digested")
            mine = [row for row in editor.unsent() if row.payload["rule"] == rule.name]
        may = {row.id for row in alerts[:room]}
        return [row for row in mine if row.kind == "digest" or row.id in may]

    def _deliver(self, rule: AlertRule, messages: Sequence[Message], outcome: Outcome) -> None:
        outbox = self.store.outbox
        for message in messages:
            if self._is_over():
                return
            now = self.now()
            attempt = outbox.claim(
                message.id,
                now=utc_text(now),
                until=utc_text(now + CLAIM),
                # Later than any pause: the clock was put back. A claim is nobody else's.
                latest=utc_text(now + CLAIM + (timedelta() if self.at_once else LONGEST_PAUSE)),
            )
            if attempt is None:
                continue
            leaving = message.payload["event"]
            try:
                note = self.send(rule, leaving, message.payload.get("jpeg"), now)
            except DeliveryError as error:
                outcome.failed += 1
                outcome.errors.append(f"alerts by rule {rule.name}: {error}")
                if error.is_place:
                    outbox.put_off(message.id, None, str(error))
                    self._leave_alone(rule, str(error))
                    return
                until = utc_text(self.now() + pause(attempt))
                outbox.put_off(message.id, until, str(error))
                continue
            outbox.mark_sent(message, utc_text(self.now()), note)
            outcome.sent += 1
            if (place := outbox.rule(rule.name)) and place.attempts:
                outbox.leave_alone(rule.name, None)
            _log.info("alert sent by rule %s: %s", rule.name, title(leaving))

    def _leave_alone(self, rule: AlertRule, error: str) -> None:
        place = self.store.outbox.rule(rule.name)
        failures = 1 + (place.attempts if place else 0)
        self.store.outbox.leave_alone(rule.name, utc_text(self.now() + pause(failures)), error)

    def _is_left_alone(self, rule: AlertRule) -> bool:
        place = self.store.outbox.rule(rule.name)
        if self.at_once or place is None or place.next_try is None:
            return False
        now = self.now()  # a pause that ends later than any can: the clock was put back
        return utc_text(now) < place.next_try <= utc_text(now + LONGEST_PAUSE)

    def _is_over(self) -> bool:
        return self.stop.is_set() or self.clock() >= self._end


def pause(attempt: int) -> timedelta:
    """Return how long to wait after a failed attempt: 1, 2, 4 ... minutes, at most an hour."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * (1 << min(attempt - 1, 10)))


def utc_text(moment: datetime) -> str:
    """Return an aware time as the record writes it, 'YYYY-MM-DDTHH:MM:SSZ'."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_behind(after: Cursor, end: Cursor) -> bool:
    return after.prediction < end.prediction or after.review < end.review


def _joined(known: Message, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a known event with more photos; what has left or may have is not changed."""
    both = (known.payload["span"], payload["span"])
    ids = sorted({*known.payload["photo_ids"], *payload["photo_ids"]})
    span = [min(start for start, _ in both), max(end for _, end in both)]
    changed = {**known.payload, "span": span, "photo_ids": ids}
    if not known.attempts and known.kind == "alert":
        times = {"start": span[0] or None, "end": span[1] or None, "photos": len(ids)}
        changed["event"] = known.payload["event"] | times
    return changed
