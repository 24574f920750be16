"""The long-running program around `watch` and `ingest`: one lock, two signals, one loop."""

from __future__ import annotations

import _thread
import hashlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from datetime import time as day_time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Self

from trapsort.errors import BusyError, DatabaseError, InputError
from trapsort.scan import Photo, Problem
from trapsort.settings import sqlite_file
from trapsort.watch import QUIET_SECONDS, RESCAN_SECONDS, watch

if TYPE_CHECKING:
    from trapsort.store import Account

Skip = Callable[[Photo | Problem], bool]
Ingest = Callable[[Path, Skip], "Account"]

LOOKS = 5
"""With `once`: how often a file that is still being written is waited for."""

MOST_DAYS = 366
"""Nightly reports that are made up for at most: a clock that is set at last may jump by decades."""

_log = logging.getLogger(__name__)


# One daemon a database -------------------------------------------------------------------------


def lock_path(database: str | Path) -> Path | None:
    """Return the file that a daemon on `database` (path or URL) locks; None for one in memory.

    Beside an SQLite file; for a server in the user's data folder, named by a digest of the URL.
    """
    text = str(database)
    scheme, separator, _ = text.partition("://")
    if separator and scheme.partition("+")[0] != "sqlite":
        from platformdirs import user_data_path

        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return user_data_path("trapsort", appauthor=False) / f"{digest}.daemon.lock"
    file = sqlite_file(text) if separator else Path(text)
    # Resolved, so that a link to the database does not pass for another database.
    return None if file is None else Path(f"{file.resolve()}.daemon.lock")


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
            if not _lock_now(self._descriptor):
                raise _busy(os.read(self._descriptor, 4096))
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": _utc_now()}
            os.ftruncate(self._descriptor, 0)
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


def _lock_now(descriptor: int) -> bool:
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


# Signals ---------------------------------------------------------------------------------------


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop`; another SIGINT after that raises KeyboardInterrupt.

    The handlers that were there before come back at the end. For the main thread only.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True
        # From a thread of its own: the interrupted code may be inside `stop` and hold its lock.
        _thread.start_new_thread(stop.set, ())

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


# What was taken already ------------------------------------------------------------------------


class Settled:
    """Chooses the files of one root that are ready and were not taken before by this process.

    A pass is `begin`, `take` for each file, then `keep` once all that was taken is recorded; a
    pass that fails is forgotten by the next `begin`, so that its files are taken again.
    A taken file costs 16 bytes and Python's overhead: a digest of its path, size and time.
    """

    def __init__(
        self,
        quiet_seconds: float = QUIET_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._wall_clock = wall_clock
        self._kept: set[bytes] = set()
        self._taken: set[bytes] = set()
        self._earlier: dict[bytes, tuple[int, int, float]] = {}  # size, mtime_ns, seen since
        self._waiting: dict[bytes, tuple[int, int, float]] = {}
        self._problems: set[bytes] = set()  # of the last pass that was kept
        self._met: set[bytes] = set()
        self._patient = True

    @property
    def waiting(self) -> bool:
        """Whether the last pass met files that were not ready."""
        return bool(self._waiting)

    def begin(self, *, patient: bool = True) -> None:
        """Start a pass over the root; an impatient one takes files that are not ready, too."""
        self._patient = patient
        self._earlier, self._waiting = self._waiting, {}
        self._taken, self._met = set(), set()

    def keep(self) -> None:
        """Remember what the pass took: it is in the database."""
        self._kept |= self._taken
        self._taken, self._problems = set(), self._met

    def forget_one(self, photo: Photo) -> None:
        """Take this file of the pass again in the next one: it could not be read."""
        self._taken.discard(_photo_digest(photo))

    def forget(self) -> None:
        """Remember nothing: the root may now be another card with the same names."""
        for memory in (self._kept, self._taken, self._problems, self._earlier, self._waiting):
            memory.clear()

    def take(self, item: Photo | Problem) -> bool:
        """Whether this pass should take the file: True as often as asked in one pass.

        False for a file that an earlier pass took and that did not change since, and for one
        that changed within `quiet_seconds`: at first sight its modification time tells, after
        that whether size and time stood still between two looks.
        """
        if isinstance(item, Problem):
            # Only those of the last pass are old news: one that was over may come back.
            key = _digest(b"problem", item.relative, item.reason, item.detail)
            self._met.add(key)
            return key not in self._problems
        key = _photo_digest(item)
        ready = key in self._taken or key in self._kept or self._ready(item)
        if key in self._kept or not ready:
            return False
        self._taken.add(key)
        return True

    def _ready(self, photo: Photo) -> bool:
        now = self._clock()
        seen = self._earlier.get(photo.relative)
        if seen is None:
            # A time in the future (a card's clock, a time zone) tells nothing: look again.
            ready = self._wall_clock() - photo.mtime_ns / 1e9 >= self._quiet_seconds
            since = now
        else:
            since = seen[2] if seen[:2] == (photo.size, photo.mtime_ns) else now
            ready = now - since >= self._quiet_seconds
        ready = ready or not self._patient
        if not ready:
            self._waiting[photo.relative] = (photo.size, photo.mtime_ns, since)
        return ready


def _photo_digest(photo: Photo) -> bytes:
    return _digest(b"photo", photo.relative, photo.size, photo.mtime_ns)


def _digest(*parts: bytes | str | int) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


# The loop --------------------------------------------------------------------------------------


def run(
    roots: Sequence[Path],
    *,
    ingest: Ingest,
    stop: threading.Event,
    once: bool,
    on_account: Callable[[Path, Account], None],
    report: Callable[[date], None] | None = None,
    report_at: day_time | None = None,
    quiet_seconds: float = QUIET_SECONDS,
    rescan_seconds: float = RESCAN_SECONDS,
    now: Callable[[], datetime] = datetime.now,
) -> None:
    """Ingest the roots, and with `once` False everything that arrives in them, until `stop`.

    `ingest` gets a root and what to skip; `on_account` what became of each root's first pass and
    of every later one that found something (with `once`: of the root as a whole). A file that could
    not be read is tried again in every pass, and only said once.
    `report` gets each date once, after `report_at` local time of that day, also of days that were
    missed since the start; one that fails is logged and tried again at the next wake-up, at most
    `rescan_seconds` later. So does a root whose card was pulled out or whose database could not be
    written; with `once` both raise instead.
    """
    nightly = _Nightly(report, report_at, now)
    cards = {root: _Card(root, ingest, Settled(quiet_seconds)) for root in dict.fromkeys(roots)}
    if once:
        for card in cards.values():
            account = card.finish(stop, quiet_seconds)
            if account is not None:
                on_account(card.root, account)
        nightly.make()
        return
    for wake in watch(roots, stop=stop, quiet_seconds=quiet_seconds, rescan_seconds=rescan_seconds):
        if wake.root is not None:
            card = cards[wake.root]
            if wake.appeared:
                card.settled.forget()
            account = card.attempt()
            if account is not None and (account.files or not card.passes):
                on_account(card.root, account)
            card.passes += account is not None
            wake.unfinished = card.settled.waiting
        nightly.attempt()


@dataclass(slots=True)
class _Card:
    """A root, how to ingest it and what it gave already."""

    root: Path
    ingest: Ingest
    settled: Settled
    passes: int = 0
    failed: str = ""  # the failure that was logged last, not to log it every minute
    unread: frozenset[Photo] = frozenset()  # what the last pass could not read

    def scan(self, *, patient: bool = True, retry: bool = True) -> Account:
        self.settled.begin(patient=patient)
        account = self.ingest(self.root, lambda item: not self.settled.take(item))
        for photo in account.again if retry else ():
            self.settled.forget_one(photo)
        self.settled.keep()
        return account

    def finish(self, stop: threading.Event, quiet_seconds: float) -> Account | None:
        """Scan until all is taken, at last what never is ready; None if stopped before that."""
        total: Account | None = None
        for look in range(LOOKS + 1):
            if stop.is_set():
                break
            account = self.scan(patient=look < LOOKS, retry=False)  # a file counts once
            total = account if total is None else total + account
            if not self.settled.waiting:
                break
            stop.wait(quiet_seconds)
        return total

    def attempt(self) -> Account | None:
        """Scan once; None if the root or the database failed, which is logged once."""
        try:
            account = self.scan()
        except (DatabaseError, InputError, OSError) as error:
            if str(error) != self.failed:
                _log.error("%r: %s; trying again at the next scan", str(self.root), error)
            self.failed = str(error)
            return None
        if self.failed:
            _log.warning("%r: going on", str(self.root))
            self.failed = ""
        unread = frozenset(account.again)
        known, self.unread = len(unread & self.unread), unread
        return replace(account, files=account.files - known, problems=account.problems - known)


@dataclass(slots=True)
class _Nightly:
    """The report of each day, due from `at` on, local time; the first is that of the start."""

    report: Callable[[date], None] | None
    at: day_time | None
    now: Callable[[], datetime]
    next: date = field(init=False)
    failed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.next = self.now().date()

    def make(self) -> None:
        """Write the reports that are due: today's, and of each day that was missed."""
        moment = self.now()
        if self.report is None or self.at is None:
            return
        today = moment.date()
        last = today if moment.time() >= self.at else today - timedelta(days=1)
        self.next = max(self.next, last - timedelta(days=MOST_DAYS - 1))
        while self.next <= last:
            self.report(self.next)
            self.next += timedelta(days=1)
            self.failed.clear()

    def attempt(self) -> None:
        """Write the report if it is due; a failure is logged once and tried again later."""
        try:
            self.make()
        except Exception as error:  # the watch goes on whatever a report runs into
            if str(error) not in self.failed:
                _log.error(
                    "the nightly report failed (%s); trying again at the next scan",
                    str(error) or repr(error),
                )
                _log.debug("the nightly report failed", exc_info=True)
            self.failed.add(str(error))
