"""One daemon a database server, whichever machine it runs on."""

from __future__ import annotations

import hashlib
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from trapsort.errors import BusyError
from trapsort.store.engine import told

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


_log = logging.getLogger(__name__)


class Hold:
    """A lock of some name on a server's database, see `Store.hold`; on a file it is none.

    The server holds it for a session of its own, so a killed holder leaves none behind; but a
    session may also end because the server restarts or the network fails.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine, self._name = engine, name
        self._connection: Connection | None = None
        self._was_held = False

    def renew(self) -> None:
        """Take the lock unless it is still held.

        Raises:
            BusyError: another one holds it; the message says who.
            DatabaseError: the server does not answer; nothing is held until it is renewed.
        """
        if self._engine.dialect.name != "postgresql" or self._is_alive():
            return
        self.leave()
        with told(self._engine):
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._connection = connection
            try:
                _lock(connection, self._name)
            except BaseException:
                self.leave()
                raise
        if self._was_held:
            _log.warning("the database server had closed this connection; its lock was taken again")
        self._was_held = True

    def leave(self) -> None:
        """Hold nothing any more."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with suppress(SQLAlchemyError):  # the server may be gone, and the lock with it
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
        with suppress(SQLAlchemyError):
            connection.invalidate()  # ends the session: its settings are of no use to others
            connection.close()

    def _is_alive(self) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True


@contextmanager
def hold(engine: Engine, name: str) -> Iterator[Hold]:
    """Hold a lock of this name on a server's database; raises as `Hold.renew` does."""
    held = Hold(engine, name)
    held.renew()
    try:
        yield held
    finally:
        held.leave()


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
