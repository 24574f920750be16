"""Connections: the pragmas, the transactions, and every database error turned into ours."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from trapsort.errors import DatabaseError
from trapsort.mounts import mount_of, mount_table

BUSY_SECONDS = 30.0  # how long a writer waits for another one
WRITER = int.from_bytes(b"trapsort")  # PostgreSQL's lock of the one writer; any fixed 64 bits
IMMEDIATE = "trapsort_immediate"  # option of a connection whose transactions write
CONNECT_SECONDS = 10  # how long a server may take to answer

# What the database says (a part of it) -> what to do. The first that fits.
HINTS = {
    "not a database": "the file was left as it is; name another one with --db",
    "malformed": "the file is damaged: keep a copy of it, then either restore a backup or save what"
    " is readable with: sqlite3 DAMAGED .recover | sqlite3 NEW",
    "locked": "another program is writing to it; wait for it or end it, then try again",
    "lock timeout": "another program is writing to it; wait for it or end it, then try again",
    "disk is full": "make room, then run the same again: what was recorded is kept",
    "no space left": "make room on the server, then run the same again: what was recorded is kept",
    "readonly": "allow writing to the file and to its folder, or name another one with --db",
    "unable to open": "check that the folder is there and may be written, or name another file"
    " with --db",
    "disk i/o": "check the disk and its connection, then run the same again: what was recorded is"
    " kept",
    "password": "put the password into ~/.pgpass, a line HOST:PORT:DATABASE:USER:PASSWORD",
    "role ": "check the user in the database's address",
    "does not exist": "create it on the server (createdb NAME), or check the address",
    "permission denied": "ask the owner of the database to grant this user all rights on it",
    "connection": "check the address, the network and whether the server runs, then run the same"
    " again: what was recorded is kept",
}
OTHER_HINT = "nothing of this step was recorded; check the database's address and try again"


@contextmanager
def told(engine: Engine, name: str | None = None) -> Iterator[None]:
    """Turn what goes wrong in the database inside into a `DatabaseError` that says what to do.

    `name` is what the message calls the database where that is not `name_of` it.
    """
    try:
        yield
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        database = name or name_of(engine)
        cause = error.orig if isinstance(error, DBAPIError) else error
        text = " ".join(str(cause).split())
        hint = next((HINTS[part] for part in HINTS if part in text.lower()), OTHER_HINT)
        raise DatabaseError(f"database {database}: {text}", hint) from error


def connect(url: str, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Return an engine on a SQLite file, whose folder is created, or on a PostgreSQL database.

    Raises:
        DatabaseError: the URL is none of these, its driver is missing, or the folder cannot be.
    """
    try:
        parsed = make_url(url)
        kind = parsed.get_backend_name()
        if kind == "sqlite":
            return _sqlite(parsed, busy_seconds)
        if kind == "postgresql":
            return _postgresql(parsed, busy_seconds)
    except (ArgumentError, ValueError):
        # Without the cause: what SQLAlchemy says may quote the password.
        raise DatabaseError(
            f"{_shown(url)} is not a database URL", "write sqlite:///FILE"
        ) from None
    except ImportError as error:
        raise DatabaseError(
            f"no driver for the database: {error}", "install it: pip install 'trapsort[postgres]'"
        ) from error
    raise DatabaseError(f"trapsort cannot use {kind}", "write sqlite:///FILE or postgresql://")


def _shown(url: str) -> str:
    """Return what cannot be parsed as messages may name it: a password may stand anywhere in it."""
    scheme, separator, rest = url.partition("://")
    text = rest if separator else re.sub(r"^[A-Za-z]:", "", scheme)  # a drive of Windows
    return "what was given" if set(text) & set("@:?=") else repr(url)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the database, whatever others write."""
    with told(engine), engine.connect() as connection:
        yield connection


@contextmanager
def asking(engine: Engine) -> Iterator[Any]:
    """Borrow the driver's own cursor for one query; SQLAlchemy takes longer than small answers."""
    with told(engine):
        pooled = engine.raw_connection()
        try:
            yield pooled.cursor()
        finally:
            pooled.close()


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that writes, one at a time; it is whole or, after any exception, not."""
    writer = engine.execution_options(**{IMMEDIATE: True})
    with told(engine), writer.begin() as connection:
        yield connection


def name_of(engine: Engine) -> str:
    """Return the database as messages name it: a file's path, or a URL without its password."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    return engine.url.render_as_string(hide_password=True)


def set_journal(engine: Engine) -> None:
    """Let readers of a SQLite file work while another writes; the file remembers this.

    Not on a network drive, where the shared memory that this takes does not work.
    """
    if engine.dialect.name != "sqlite":
        return
    mode = "DELETE" if on_network(engine) else "WAL"
    with told(engine):
        pooled = engine.raw_connection()
        try:
            pooled.cursor().execute(f"PRAGMA journal_mode = {mode}").fetchone()
        finally:
            pooled.close()


def on_network(engine: Engine) -> str | None:
    """Return the kind of network drive that a SQLite file is on; None for a local disk."""
    if engine.dialect.name != "sqlite":
        return None
    mount = mount_of(os.path.realpath(name_of(engine)), mount_table())
    return mount.kind if mount is not None and mount.is_share else None


def _postgresql(url: URL, busy_seconds: float) -> Engine:
    # psycopg 3 is the driver that the extra `postgres` installs.
    url = url if "+" in url.drivername else url.set(drivername=f"{url.drivername}+psycopg")
    usual = {"connect_timeout": CONNECT_SECONDS, "fallback_application_name": "trapsort"}
    given = {name: value for name, value in usual.items() if name not in url.query}
    # A watch outlives the server's restarts: each connection is tried before it is used.
    engine = create_engine(url, connect_args=given, pool_pre_ping=True)
    event.listen(engine, "begin", partial(_begin_on_server, round(busy_seconds * 1000)))
    return engine


def _begin_on_server(busy_milliseconds: int, connection: Connection) -> None:
    # The same promise as BEGIN IMMEDIATE; both are over with the transaction.
    if connection.get_execution_options().get(IMMEDIATE, False):
        wait = f"SET LOCAL lock_timeout = {busy_milliseconds}"
        connection.exec_driver_sql(f"{wait}; SELECT pg_advisory_xact_lock({WRITER})")


def _sqlite(url: URL, busy_seconds: float) -> Engine:
    if not url.database or url.database == ":memory:":
        raise DatabaseError("a database in memory would forget everything", "write sqlite:///FILE")
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseError(
            f"cannot create the folder {folder}: {error.strerror}",
            "allow writing there, or name another file with --db",
        ) from error
    engine = create_engine(url, connect_args={"timeout": busy_seconds})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # Python's sqlite3 must not begin transactions of its own
    for pragma in ("foreign_keys = ON", "synchronous = FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # A transaction that begins by reading and then writes can fail or lose what another wrote in
    # between; IMMEDIATE takes the write lock first.
    immediate = connection.get_execution_options().get(IMMEDIATE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
