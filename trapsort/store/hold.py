"""One daemon a database server, whichever machine it runs on."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from trapsort.errors import BusyError
from trapsort.store.engine import name_of, told

NAME_BYTES = 63  # of an application_name that PostgreSQL keeps

# A machine that lost its power says no farewell; the server is to notice within a minute, not in
# the usual two hours. Older servers lack the last one.
ALIVE = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "idle_session_timeout": "0",
}
HOLDER = text(
    "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (classid::bigint << 32) | objid::bigint = :key"
)


@contextmanager
def hold(engine: Engine, name: str) -> Iterator[None]:
    """Hold a lock of this name on a server's database, see `Store.hold`.

    The server holds it for a connection of its own, so a killed holder leaves none behind.
    """
    if engine.dialect.name != "postgresql":
        yield
        return
    with told(name_of(engine)):
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        with told(name_of(engine)):
            _lock(connection, name)
        yield
    finally:
        with suppress(SQLAlchemyError):  # the server may be gone, and the lock with it
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
        with suppress(SQLAlchemyError):
            connection.invalidate()  # ends the session: its settings are of no use to others
            connection.close()


def _lock(connection: Connection, name: str) -> None:
    key = int.from_bytes(hashlib.sha256(f"trapsort {name}".encode()).digest()[:8], signed=True)
    if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
        raise _busy(connection.scalar(HOLDER, {"key": key}))
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # The machine's name comes last: it is what may be cut.
    holder = f"trapsort {os.getpid()} {since} {socket.gethostname()}"[:NAME_BYTES]
    setting = text("SELECT set_config(name, :value, false) FROM pg_settings WHERE name = :name")
    for option, value in {**ALIVE, "application_name": holder}.items():
        connection.execute(setting, {"name": option, "value": value})


def _busy(holder: str | None) -> BusyError:
    match (holder or "").split(" ", 3):
        case ["trapsort", pid, since, host]:
            who = f"process {pid} on {host} since {since}"
            hint = f"Stop it first (process {pid}), or choose another database with --db."
        case _:  # it has locked the database but not yet said its name, or just ended
            who, hint = (
                "another process",
                "Stop it first, or choose another database with --db.",
            )
    return BusyError(f"this database is being watched already: {who}", hint)
