"""What a large record is asked, timed on made-up photos, each question with its plan.

    python -m bench record --photos 10000000

A question is asked as the program asks it: for a page of sightings, or for counts. The plan says by
which index the database finds the answer and what it has to sort. The first answer is not timed:
the median is that of a record that is in use.
"""

from __future__ import annotations

import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex

from bench.tables import Column, Section, Table
from trapsort.near import NearDuplicates
from trapsort.store import SightingQuery, Store
from trapsort.store.desk import Desk
from trapsort.store.engine import connect, writing
from trapsort.store.index import recount
from trapsort.store.paging import Asked, Shown
from trapsort.store.tables import METADATA

PAGE = 50  # sightings asked for at once
STATIONS, CARDS, DAYS = 200, 2_000, 1_000
CACHE_KIBIBYTES = 1_000_000  # while a record is made
REPEATS = 7
LOOK_UPS = 2_000
HASHES = "hashes: read"
NOW = "2026-11-01T00:00:00Z"
PARTS = 1_000  # of the photos, by which labels are given
# The commonest first: of every thousand photos so many show it; the others show nothing.
LABELS = {
    "Lion": 250, "cheetahs": 150, "African_Elephant": 120, "Chimpanzee": 100, "Panthers": 30,
    "Rhino": 8, "Orangutan": 1,
}  # fmt: skip

# When a card came in: an hour after the one before.
COME_IN = "strftime('%Y-%m-%dT%H:%M:%SZ', 1750000000 + 3600 * {}, 'unixepoch')"

# Photos come in station by station and card by card. Every 20th is reviewed, the clocks of the
# stations whose number is even are an hour fast, and one photo in 500 has no time.
ROWS = f"""
CREATE TEMP TABLE labels (part INTEGER PRIMARY KEY, label TEXT);
WITH RECURSIVE numbers(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM numbers WHERE id < {PARTS})
INSERT INTO labels SELECT id - 1, label FROM numbers LEFT JOIN shares ON id BETWEEN first AND last;
WITH RECURSIVE numbers(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM numbers WHERE id < {STATIONS})
INSERT INTO stations (id, name) SELECT id, printf('S%03d', id) FROM numbers;
WITH RECURSIVE numbers(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM numbers WHERE id < {CARDS})
INSERT INTO cards (id, root, volume, station_id, first_seen, last_seen)
    SELECT id, printf('/media/cards/%05d', id), '', (id - 1) * {STATIONS} / {CARDS} + 1,
    '{NOW}', '{NOW}' FROM numbers;
INSERT INTO deployments (id, name, station_id, utc_offset)
    SELECT id, name || '-2026', id, '+03:00' FROM stations;
INSERT INTO clock_corrections (deployment_id, offset_seconds, drift_seconds_per_day, created)
    SELECT id, -3600, 0, '{NOW}' FROM deployments WHERE id % 2 = 0;
INSERT INTO models (id, name, version, digest, added, last_used)
    VALUES (1, 'iucn11', '1.0.0', 'd1', '{NOW}', 1);
INSERT INTO runs (card_id, model_id, started, finished, files, recorded, seen_before, problems)
    SELECT id, 1, {COME_IN.format("id")}, {COME_IN.format("id")}, 0, 0, 0, 0 FROM cards;
CREATE TEMP TABLE n AS
WITH RECURSIVE numbers(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM numbers WHERE id < :count),
drawn AS (
    SELECT id, (id - 1) * {CARDS} / :count + 1 AS card,
    (id - 1) * {STATIONS} / :count + 1 AS station,
    (id * 104729) % 1000003 AS dice, (id * 7919) % {PARTS} AS part,
    1704067200 + (id * {STATIONS} * 43200 / :count * {DAYS} * 2) % ({DAYS} * 86400) AS unix
    FROM numbers)
SELECT id, card, station, dice, labels.label, dice % 20 = 0 AS reviewed,
    CASE dice % 60 WHEN 0 THEN 'Lion' WHEN 20 THEN 'Rhino' END AS said,
    CASE WHEN id % 500 > 0 THEN strftime('%Y-%m-%dT%H:%M:%S', unix, 'unixepoch') END AS shown,
    CASE WHEN id % 500 > 0 THEN strftime('%Y-%m-%dT%H:%M:%S',
        unix - CASE WHEN station % 2 THEN 0 ELSE 3600 END, 'unixepoch') END AS time,
    0.5 + dice / 2000010.0 AS probability,
    CASE WHEN label IS NULL THEN CASE WHEN dice % 50 THEN 'blank' ELSE 'novel' END END AS reason
FROM drawn JOIN labels USING (part);
INSERT INTO photos (id, sha256, size, camera_time, make, model, perceptual_hash, width, height,
    format, flags, first_seen)
    SELECT id, CAST(printf('%032d', id) AS BLOB), 2000000, shown, 'RECONYX', 'HYPERFIRE 2',
    random(), 3264, 2448, 'JPEG', '', {COME_IN.format("card")} FROM n;
INSERT INTO places_seen (id, photo_id, card_id, path_bytes, path, mtime_ns, first_seen, last_seen)
    SELECT id, id, card, CAST(printf('DCIM/100RECNX/IMG_%08d.JPG', id) AS BLOB),
    printf('DCIM/100RECNX/IMG_%08d.JPG', id), id, '{NOW}', '{NOW}' FROM n;
INSERT INTO regions (id, photo_id, x, y, width, height, detector)
    SELECT id, id, 0, 0, 1, 1, '' FROM n;
INSERT INTO predictions (id, region_id, model_id, label, probability, reason, top, members, created)
    SELECT id, id, 1, label, probability, reason, '[]', '[]', '{NOW}' FROM n;
INSERT INTO attributions (photo_id, deployment_id, station_id, time, matched_by)
    SELECT id, station, station, time, 'station' FROM n;
INSERT INTO reviews (id, photo_id, label, count, reviewer, time, note)
    SELECT id, id, said, 1, 'Ada', '{NOW}', '' FROM n WHERE reviewed;
INSERT INTO sighting_index (photo_id, time, station_id, deployment_id, place_id, card_id, label,
    probability, reason, reviewed, review_id, prediction_id)
    SELECT id, time, station, station, id, card, CASE WHEN reviewed THEN said ELSE label END,
    CASE WHEN NOT reviewed THEN probability END, CASE WHEN NOT reviewed THEN reason END, reviewed,
    CASE WHEN reviewed THEN id END, id FROM n;
"""  # noqa: S608 - constants

LISTED = {
    "everything": SightingQuery(),
    "species": SightingQuery(species=("Lion",)),
    "rare species": SightingQuery(species=("Orangutan",)),
    "two species": SightingQuery(species=("Lion", "Rhino")),
    "unknown": SightingQuery(species=("unknown",)),
    "species never seen": SightingQuery(species=("Panda",)),
    "IUCN category VU": SightingQuery(iucn=("VU",)),
    "IUCN category CR": SightingQuery(iucn=("CR",)),
    "station": SightingQuery(station="S100"),
    "station and species": SightingQuery(station="S100", species=("Rhino",)),
    "station and dates": SightingQuery(
        station="S100", since=date(2025, 6, 1), until=date(2025, 6, 30)
    ),
    "dates, clocks corrected": SightingQuery(since=date(2025, 6, 1), until=date(2025, 6, 30)),
    "dates and species": SightingQuery(since=date(2025, 6, 1), species=("Rhino",)),
    "probability 0.95": SightingQuery(min_probability=0.95),
    "probability 0.99999": SightingQuery(min_probability=0.99999),
    "species, probability 0.99999": SightingQuery(species=("Lion",), min_probability=0.99999),
    "reviewed": SightingQuery(reviewed=True),
    "not reviewed": SightingQuery(reviewed=False),
    "not reviewed, species": SightingQuery(reviewed=False, species=("Rhino",)),
    "reason": SightingQuery(reason="novel"),
    "card": SightingQuery(card="/media/cards/01000"),
}
PAGES = ("everything", "species", "rare species", "station", "not reviewed, species", "reason")
COUNTED = {
    "all": SightingQuery(),
    "a species": SightingQuery(species=("Lion",)),
    "a station": SightingQuery(station="S100"),
    "a month": SightingQuery(since=date(2025, 6, 1), until=date(2025, 6, 30)),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """How long a question took, medians of `REPEATS` in milliseconds, and how it was answered.

    `cpu_milliseconds` is what it took of a processor, whatever else the machine did. `rows` is how
    many rows came; `plan` are the steps of each statement, one a line.
    """

    question: str
    rows: int
    milliseconds: float
    cpu_milliseconds: float
    plan: tuple[str, ...] = ()


def make(file: Path, count: int) -> None:
    """Write a record of `count` photos, in SQL, and all that is derived from them.

    Indexes come after the rows, and a file that is not whole is of no use.
    """
    url = f"sqlite:///{file.as_posix()}"
    Store.open(url).close()
    shares, first = [], 1
    for label, number in LABELS.items():
        shares.append((label, first, first + number - 1))
        first += number
    tables = METADATA.sorted_tables
    indexes = sorted((i for table in tables for i in table.indexes), key=lambda i: str(i.name))
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            f"cache_size = -{CACHE_KIBIBYTES}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TEMP TABLE shares (label TEXT, first INTEGER, last INTEGER)")
        connection.executemany("INSERT INTO shares VALUES (?, ?, ?)", shares)
        for index in indexes:
            connection.execute(f"DROP INDEX {index.name}")
        for statement in ROWS.split(";"):
            connection.execute(statement, {"count": count})
        for index in indexes:
            connection.execute(str(CreateIndex(index).compile(dialect=sqlite.dialect())))
        connection.execute("PRAGMA journal_mode = WAL")
    engine = connect(url)
    try:
        with writing(engine) as changing:
            recount(changing)
    finally:
        engine.dispose()


def answers(url: str) -> Iterator[Answer]:
    """Ask a record everything that it is asked, and say how each answer came."""
    engine = connect(url)
    try:
        for question, ask in _questions(Store(engine)).items():
            yield _timed(question, ask, engine)
    finally:
        engine.dispose()


def _questions(store: Store) -> dict[str, Callable[[], Iterable[object]]]:
    desk = store.desk
    asked: dict[str, Callable[[], Iterable[object]]] = {}
    for name, query in LISTED.items():
        asked[f"sightings: {name}"] = partial(store.sightings, query, limit=PAGE)
    for by in ("species", "station", "day", "iucn", "hour"):
        for name, query in COUNTED.items():
            if by != "hour" or query.since is None:  # of the hours of some days no count is kept
                asked[f"count of {name} by {by}"] = partial(store.count, query, by)
    for order in ("newest", "uncertain"):
        for name in PAGES:
            page = partial(_page, desk, Asked(query=LISTED[name]), order)
            asked[f"page, {order}: {name}"] = page
    asked["page: cards"] = desk.cards
    asked["page: labels"] = desk.uses
    asked["page: a photo"] = lambda: [desk.detail(1, "iucn")]
    return asked


def _page(desk: Desk, asked: Asked, order: str) -> list[Shown]:
    return desk.page(asked, order, None, PAGE).items


def _timed(question: str, ask: Callable[[], Iterable[object]], engine: Engine) -> Answer:
    with _statements(engine) as asked:
        rows = sum(1 for _ in ask())
    spent = []
    for _ in range(REPEATS):
        with _timer() as taken:
            for _ in ask():
                pass
        spent.append(taken)
    wall, cpu = (statistics.median(each) for each in zip(*spent, strict=True))
    with engine.connect() as connection:
        plan = tuple(step for each in asked for step in _plan(connection, *each))
    return Answer(question, rows, wall, cpu, plan)


@contextmanager
def _statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Note what is asked inside; a statement that comes again with other values once."""
    asked: dict[str, Any] = {}

    def note(_c: object, _u: object, statement: str, given: Any, _x: object, _m: object) -> None:
        if statement.startswith("SELECT"):
            asked.setdefault(statement, given)

    found: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)
        found += asked.items()


def _plan(connection: Connection, statement: str, given: Any) -> list[str]:
    rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
    return [row[3] for row in rows]


@contextmanager
def _timer() -> Iterator[list[float]]:
    """Note how many milliseconds what is inside takes, by the clock and of a processor."""
    taken: list[float] = []
    clocks = (time.perf_counter, time.process_time)
    begun = [clock() for clock in clocks]
    yield taken
    taken += [1000 * (clock() - then) for clock, then in zip(clocks, begun, strict=True)]


def near_duplicates(store: Store) -> Iterator[Answer]:
    """Load all perceptual hashes, and look for ones like made-up ones."""
    with _timer() as read:
        hashes, ids = store.perceptual_hashes()
    with _timer() as index:
        near = NearDuplicates(hashes, ids)
    yield Answer(HASHES, len(hashes), read[0], read[1])
    yield Answer("hashes: index", len(near), index[0], index[1])
    dice = np.random.default_rng(0)
    for name, wanted in (
        ("like none", dice.integers(0, 2**64, LOOK_UPS, dtype=np.uint64)),
        ("like one", dice.choice(hashes, LOOK_UPS) ^ np.uint64(0x0100_0000_0001_0001)),
    ):
        spent = []
        for value in wanted.tolist():
            with _timer() as look_up:
                near.nearest(value)
            spent.append(look_up)
        wall, cpu = (statistics.median(each) for each in zip(*spent, strict=True))
        yield Answer(f"hashes: {name}", LOOK_UPS, wall, cpu)


def found_by(plan: Iterable[str]) -> str:
    """Return the indexes that a plan finds its rows by, and what it sorts or reads whole.

    What is left out are the rows themselves, fetched by their numbers once they are found.
    """
    said: list[str] = []
    for step in plan:
        index = re.match(r"(?:SEARCH|SCAN) \w+ USING (?:COVERING )?INDEX (\w+)", step)
        keyed = re.match(r"SEARCH (\w+) USING PRIMARY KEY", step)
        whole = re.match(r"SCAN (?!anon_)(\w+)$", step)
        if index:
            said.append(re.sub(r"^ix_|^sqlite_autoindex_(\w+)_\d+$", r"\1", index[1]))
        elif keyed:
            said.append(keyed[1])
        elif whole:
            said.append(f"all {whole[1]}")
        elif step.startswith("USE TEMP B-TREE"):
            said.append("sorted")
    return ", ".join(dict.fromkeys(said))


COLUMNS = (
    Column("question", "question"),
    Column("rows", "rows"),
    Column("milliseconds", "ms", 3),
    Column("cpu_milliseconds", "CPU ms", 3),
    Column("found_by", "found by", is_text=True),
)
NOTES = (
    "a page of sightings or photos is one of 50",
    "hashes: reading and indexing are done once, at the start of a run; a look-up that is like one "
    "finds a photo three bits away",
    "found by: the indexes of SQLite's plan, named by table and columns, and whether it sorts; "
    "--plans prints the whole plan",
)


@click.command()
@click.option("--photos", "count", default=1_000_000, show_default=True, type=click.IntRange(min=1))
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Where the record is, or is to be kept; if not, it is made anew and removed.",
)
@click.option("--plans", is_flag=True, help="Print every step of the query plans on stderr.")
def record(count: int, record: Path | None, plans: bool) -> Section:
    """Ask a made-up record of many photos what `sightings`, the page and `ingest` ask."""
    with tempfile.TemporaryDirectory(prefix="trapsort-bench-") as scratch:
        file = record or Path(scratch) / "sightings.sqlite3"
        if not file.is_file():
            click.echo(f"making a record of {count:,} photos", err=True)
            make(file, count)
        url = f"sqlite:///{file.as_posix()}"
        found = []
        with Store.open(url) as store:
            for answer in (*answers(url), *near_duplicates(store)):
                found.append(answer)
                click.echo(f"{answer.question}: {answer.milliseconds:,.3f} ms", err=True)
                for step in answer.plan if plans else ():
                    click.echo(f"    {step}", err=True)
    rows = tuple(
        (each.question, each.rows, each.milliseconds, each.cpu_milliseconds, found_by(each.plan))
        for each in found
    )
    photos = next(each.rows for each in found if each.question == HASHES)
    return Section("record", (Table(f"A record of {photos:,} photos", COLUMNS, rows, NOTES),))
