"""One daemon a database: a lock that the operating system gives back when its holder dies."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from trapsort.errors import BusyError, DatabaseError
from trapsort.settings import sqlite_file


def lock_path(database: str | Path) -> Path | None:
    """Return the file that a daemon on `database` locks, see `beside`."""
    return beside(database, ".daemon.lock")


def beside(database: str | Path, ending: str) -> Path | None:
    """Return a file of this machine that belongs to `database` (path or URL); None for in memory.

    Beside an SQLite file; for a server in the user's data folder, named by a digest of the URL.
    """
    text = str(database)
    scheme, separator, _ = text.partition("://")
    if separator and scheme.partition("+")[0] != "sqlite":
        from platformdirs import user_data_path

        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return user_data_path("trapsort", appauthor=False) / f"{digest}{ending}"
    file = sqlite_file(text) if separator else Path(text)
    # Resolved, so that a link to the database does not pass for another database.
    return None if file is None else Path(f"{file.resolve()}{ending}")


class Lock:
    """Held while a daemon works on a database; a second one raises `BusyError` naming the first.

    The operating system holds the lock, so a killed daemon leaves none behind. It is on a file of
    its own: opening and closing the database file here would drop SQLite's locks on it.
    """

    def __init__(self, database: str | Path) -> None:
        self.path = lock_path(database)
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        if self.path is None:
            return self
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            if not lock_now(self._descriptor):
                raise _busy(os.read(self._descriptor, 4096))
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": _utc_now()}
            os.ftruncate(self._descriptor, 0)
            with suppress(OSError):  # a full disk costs the name, not the lock
                os.write(self._descriptor, json.dumps(holder).encode())
        except OSError as error:
            self._release()
            raise DatabaseError(
                f"cannot lock {self.path}: {error.strerror}",
                "Choose a database in a folder that you may write to, with --db.",
            ) from error
        except BusyError:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)  # the lock goes with it
            self._descriptor = None


def lock_now(descriptor: int) -> bool:
    """Lock an open file for this process alone, without waiting; False if another has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 30, os.SEEK_SET)  # far from the text, which others read
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            os.lseek(descriptor, 0, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the second on Windows
        os.lseek(descriptor, 0, os.SEEK_SET)
        return False
    return True


def _busy(holder: bytes) -> BusyError:
    try:
        first = json.loads(holder)
        who = f"process {first['pid']} on {first['host']} since {first['since']}"
        hint = f"Stop it first (process {first['pid']}), or choose another database with --db."
    except (ValueError, KeyError, TypeError):  # it has locked the file but not yet written
        who, hint = "another process", "Stop it first, or choose another database with --db."
    return BusyError(f"this database is being watched already: {who}", hint)


def _utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
