"""How a database does: looked at without creating, migrating or changing anything in it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, func, inspect, select, text
from sqlalchemy.exc import OperationalError

from trapsort.settings import sqlite_file
from trapsort.store.engine import connect, name_of, told
from trapsort.store.index import find_faults
from trapsort.store.migrate import REVISIONS
from trapsort.store.tables import cards, photos, places_seen, problems, reviews

COUNTED = {
    "photos": select(func.count()).select_from(photos),
    "places": select(func.count()).select_from(places_seen),
    "cards": select(func.count()).select_from(cards),
    "open problems": select(func.count()).where(problems.c.resolved.is_(None)),
    "reviews": select(func.count()).select_from(reviews),
}
BUSY_SECONDS = 1.0
STEPS = 10_000  # of SQLite's machine between two looks at the clock; a few milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a database says of itself.

    `name`: file or address; `server`: program and version; `is_empty`: it has no tables; `schema`:
    its revision, None where it holds no record; `journal`: SQLite's journal mode, None for a
    server; `faults`: what an integrity check of an SQLite file found, None where its time was over
    before its end; `counts`: rows by name, None for the same reason; `derived`: what of the index
    and the counts does not say what the record says, None unless all was looked at.
    """

    name: str
    server: str
    is_empty: bool
    schema: str | None
    journal: str | None
    faults: tuple[str, ...] | None
    counts: dict[str, int] | None
    derived: tuple[str, ...] | None

    @property
    def is_older(self) -> bool:
        """Whether the next command that opens it will migrate it."""
        return self.schema in REVISIONS[:-1]

    @property
    def is_newer(self) -> bool:
        """Whether a newer trapsort wrote it."""
        return self.schema is not None and self.schema not in REVISIONS


def examine(url: str, *, full: bool, seconds: float) -> Health:
    """Look at a database that is there; unless `full`, each look ends after `seconds`.

    A full look also compares what is derived from the record with it, and checks the indexes and
    references of an SQLite file, however long that takes.

    Raises:
        DatabaseError: it cannot be opened or read at all.
    """
    file = sqlite_file(url)
    engine = connect(url) if file is None else _read_only(file)
    name = name_of(engine) if file is None else str(file)
    try:
        with told(engine, name), engine.connect() as connection:
            return _examined(connection, name, None if full else seconds)
    finally:
        engine.dispose()


def _examined(connection: Connection, name: str, limit: float | None) -> Health:
    is_file = connection.dialect.name == "sqlite"
    asked = text("SELECT sqlite_version()" if is_file else "SHOW server_version")
    version = connection.scalar(asked)
    tables = set(inspect(connection).get_table_names())
    schema = None
    if tables >= {"alembic_version", "places_seen"}:
        schema = str(connection.scalar(text("SELECT version_num FROM alembic_version")))
    counts = None
    if schema is not None:
        with _in_time(connection, limit):
            counts = {name: connection.execute(q).scalar_one() for name, q in COUNTED.items()}
    faults = None
    if is_file:
        with _in_time(connection, limit):
            faults = _faults(connection, full=limit is None)
    is_whole = limit is None and schema == REVISIONS[-1]
    derived = tuple(find_faults(connection)) if is_whole else None
    journal = str(connection.scalar(text("PRAGMA journal_mode"))) if is_file else None
    return Health(
        name=name,
        server=f"{'SQLite' if is_file else 'PostgreSQL'} {version}",
        is_empty=not tables,
        schema=schema,
        journal=journal,
        faults=faults,
        counts=counts,
        derived=derived,
    )


def _faults(connection: Connection, *, full: bool) -> tuple[str, ...]:
    check = "PRAGMA integrity_check(10)" if full else "PRAGMA quick_check(10)"
    said = [str(row[0]) for row in connection.execute(text(check))]
    if full:
        for table, row, other, _ in connection.execute(text("PRAGMA foreign_key_check")):
            said.append(f"row {row} of {table} refers to a row of {other} that is not there")
    return tuple(line for line in said if line != "ok")


def _read_only(file: Path) -> Engine:
    address = f"{file.absolute().as_uri()}?mode=ro"

    def open_file() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)

    return create_engine("sqlite://", creator=open_file, poolclass=NullPool)


@contextmanager
def _in_time(connection: Connection, seconds: float | None) -> Iterator[None]:
    """Break off what is asked inside when the time is over; None waits for its end."""
    if seconds is None:
        yield
        return
    end = time.monotonic() + seconds
    raw: Any = connection.connection.dbapi_connection
    try:
        if isinstance(raw, sqlite3.Connection):
            raw.set_progress_handler(lambda: time.monotonic() > end, STEPS)
        else:
            connection.execute(text(f"SET LOCAL statement_timeout = {round(1000 * seconds)}"))
        yield
    except OperationalError as error:
        if not any(words in str(error.orig) for words in ("interrupted", "statement timeout")):
            raise
    finally:
        if isinstance(raw, sqlite3.Connection):
            raw.set_progress_handler(None, STEPS)
