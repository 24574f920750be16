"""All of the record at a glance: cards with their accounts, problems, what is being taken in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, distinct, func, select

from trapsort.store.derived import ALL_STATIONS, card_counts, sighting_counts
from trapsort.store.query import labels_in
from trapsort.store.tables import (
    cards,
    photos,
    places_seen,
    predictions,
    problems,
    runs,
    stations,
)

QUIET_SECONDS = 180
"""A run without an end that recorded nothing for so long was killed, or its card is very slow."""


class RunAccount(NamedTuple):
    """What became of a card's files; `finished` (UTC) None: it goes on, or was killed."""

    started: str
    finished: str | None
    files: int
    recorded: int
    seen_before: int
    problems: int


class CardNow(NamedTuple):
    """A card, how many photos were ever seen on it, and its last account."""

    id: int
    root: str
    volume: str
    station: str | None
    first_seen: str
    last_seen: str
    photos: int
    reviewed: int
    open_problems: int
    account: RunAccount | None


class OpenProblem(NamedTuple):
    """A file that gave no sighting."""

    id: int
    card: str
    path: str
    reason: str
    detail: str
    first_seen: str
    last_seen: str


class RunNow(NamedTuple):
    """A card that is being taken in; times are UTC, `last` is when something was recorded last."""

    card: str
    station: str | None
    since: str
    last: str
    files: int
    recorded: int
    problems: int


def find_cards(connection: Connection) -> list[CardNow]:
    """Return every card with its last account, those first that were seen last."""
    kept = select(card_counts.c.card_id, card_counts.c.photos, card_counts.c.reviewed)
    counts = {card: (photos, reviewed) for card, photos, reviewed in connection.execute(kept)}
    failed = select(problems.c.card_id, func.count()).where(problems.c.resolved.is_(None))
    problems_of = _numbers(connection, failed.group_by(problems.c.card_id))
    accounts = {row.card_id: _account(row) for row in _last_runs(connection)}
    columns = [cards.c[name] for name in ("id", "root", "volume")]
    times = [cards.c.first_seen, cards.c.last_seen]
    query = select(*columns, stations.c.name, *times)
    query = query.outerjoin(stations, stations.c.id == cards.c.station_id)
    rows = connection.execute(query.order_by(cards.c.last_seen.desc(), cards.c.id.desc()))
    return [
        CardNow._make(
            (*row, *counts.get(row.id, (0, 0)), problems_of.get(row.id, 0), accounts.get(row.id))
        )
        for row in rows
    ]


def find_problems(connection: Connection, before: int | None, limit: int) -> list[OpenProblem]:
    """Return open problems, the newest first, those before an id."""
    names = ("path", "reason", "detail", "first_seen", "last_seen")
    columns = (problems.c.id, cards.c.root, *(problems.c[name] for name in names))
    query = select(*columns).join(cards, cards.c.id == problems.c.card_id)
    query = query.where(problems.c.resolved.is_(None))
    if before is not None:
        query = query.where(problems.c.id < before)
    rows = connection.execute(query.order_by(problems.c.id.desc()).limit(limit))
    return [OpenProblem(*row) for row in rows]


def find_under_way(connection: Connection) -> list[RunNow]:
    """Return the cards whose last run has not ended and was not silent for `QUIET_SECONDS`."""
    quiet = datetime.now(UTC) - timedelta(seconds=QUIET_SECONDS)
    found = [_run_now(connection, run) for run in _last_runs(connection) if run.finished is None]
    return [each for each in found if each.last >= quiet.strftime("%Y-%m-%dT%H:%M:%SZ")]


def count_uses(connection: Connection) -> dict[str, int]:
    """Return on how many photos the word of people is each label, 0 where only models gave it."""
    used = dict.fromkeys(labels_in(connection, predictions.c.label), 0)
    row = sighting_counts.c
    said = select(row.label, func.sum(row.photos)).group_by(row.label)
    everywhere = (row.span == "day", row.station_id == ALL_STATIONS)
    said = said.where(*everywhere, row.reviewed, row.label != "")
    used |= {str(label): int(number) for label, number in connection.execute(said)}
    return used


def _last_runs(connection: Connection) -> list[Row[Any]]:
    newest = select(func.max(runs.c.id)).group_by(runs.c.card_id)
    query = select(runs.c.card_id, *(runs.c[name] for name in RunAccount._fields))
    return list(connection.execute(query.where(runs.c.id.in_(newest))).all())


def _account(run: Row[Any]) -> RunAccount:
    return RunAccount(*(getattr(run, name) for name in RunAccount._fields))


def _run_now(connection: Connection, run: Row[Any]) -> RunNow:
    """Count what a run has recorded so far: its row is written when it ends."""
    place, failed = places_seen.c, problems.c
    here = (place.card_id == run.card_id, place.last_seen >= run.started)
    seen = select(func.count(), func.max(place.last_seen)).where(*here)
    files, last = connection.execute(seen).one()
    new = select(func.count(distinct(place.photo_id))).join(photos, photos.c.id == place.photo_id)
    new = new.where(*here, photos.c.first_seen >= run.started)
    bad = select(func.count(), func.max(failed.last_seen))
    bad = bad.where(failed.card_id == run.card_id, failed.last_seen >= run.started)
    problems_now, last_problem = connection.execute(bad.where(failed.resolved.is_(None))).one()
    where = select(cards.c.root, stations.c.name)
    where = where.outerjoin(stations, stations.c.id == cards.c.station_id)
    root, station = connection.execute(where.where(cards.c.id == run.card_id)).one()
    return RunNow(
        root,
        station,
        run.started,
        max(run.started, last or "", last_problem or ""),
        files + problems_now,
        int(connection.scalar(new) or 0),
        problems_now,
    )


def _numbers(connection: Connection, query: Any) -> dict[int, int]:
    return {int(key): int(number) for key, number in connection.execute(query)}
