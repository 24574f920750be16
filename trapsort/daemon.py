"""The long-running program around `watch` and `ingest`: two signals, one loop."""

from __future__ import annotations

import _thread
import hashlib
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from datetime import time as day_time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from trapsort.cards import find_cards
from trapsort.errors import DatabaseError, InputError
from trapsort.scan import Photo, Problem
from trapsort.watch import QUIET_SECONDS, RESCAN_SECONDS, watch

if TYPE_CHECKING:
    from trapsort.store import Account

Skip = Callable[[Photo | Problem], bool]
Ingest = Callable[[Path, Skip], "Account"]

LOOKS = 5
"""With `once`: how often a file that is still being written is waited for."""

DAMAGED = ("malformed", "not a database")
"""SQLite's words for a file that no waiting mends."""

MOST_DAYS = 366
"""Nightly reports that are made up for at most: a clock that is set at last may jump by decades."""

_log = logging.getLogger(__name__)


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
    """Chooses the files of one root that stand still and were not taken before by this process.

    A pass is `begin`, `take` for each file, then `keep` once all that was taken is recorded. A file
    of a pass that fails is taken again by the next one. Nothing is remembered of what a kept pass
    did not meet. A file costs 16 bytes and Python's overhead: a digest of its path, size and time.
    """

    def __init__(
        self,
        quiet_seconds: float = QUIET_SECONDS,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.waiting = 0  # files of this pass that were not ready
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._kept: set[bytes] = set()
        self._met: set[bytes] = set()  # of those, in this pass
        self._taken: set[bytes] = set()  # in this pass
        self._earlier: dict[bytes, float] = {}  # since when a file that is not kept stands still
        self._seen: dict[bytes, float] = {}  # the same, in this pass
        self._patient = True

    def begin(self, *, patient: bool = True) -> None:
        """Start a pass over the root; an impatient one takes files that are not ready, too."""
        self._patient = patient
        self._earlier |= self._seen  # of a pass that failed
        self._met, self._taken, self._seen = set(), set(), {}
        self.waiting = 0

    def keep(self) -> None:
        """Remember what the pass took: it is in the database."""
        self._kept = self._met | self._taken
        self._earlier = {key: at for key, at in self._seen.items() if key not in self._taken}
        self._met, self._taken, self._seen = set(), set(), {}

    def forget_one(self, photo: Photo) -> None:
        """Take this file of the pass again in the next one: it could not be read."""
        self._taken.discard(_digest(photo))

    def forget(self) -> None:
        """Remember nothing: the root may now be another card with the same names."""
        for memory in (self._kept, self._met, self._taken, self._earlier, self._seen):
            memory.clear()

    def take(self, item: Photo | Problem) -> bool:
        """Whether this pass should take the file: True as often as asked in one pass.

        False for one that an earlier pass took as it is now, and until two looks that are at least
        `quiet_seconds` apart found it with the same size and time. Its age tells nothing: a copy
        may bear the old time before it is whole, and clocks disagree.
        """
        key = _digest(item)
        if key in self._kept:
            self._met.add(key)
            return False
        if key in self._taken:
            return True
        if not self._ready(key):
            self.waiting += 1
            return False
        self._taken.add(key)
        return True

    def _ready(self, key: bytes) -> bool:
        now = self._clock()
        since = self._seen[key] = self._earlier.get(key, now)
        return now - since >= self._quiet_seconds or not self._patient


def _digest(item: Photo | Problem) -> bytes:
    if isinstance(item, Problem):
        parts: tuple[bytes | str | int, ...] = (item.relative, item.reason, item.detail)
    else:
        parts = (item.relative, item.size, item.mtime_ns)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).digest()


# The loop --------------------------------------------------------------------------------------


def run(
    roots: Sequence[Path],
    *,
    ingest: Ingest,
    stop: threading.Event,
    once: bool,
    on_account: Callable[[Path, Account], None],
    cards: bool = False,
    report: Callable[[date], None] | None = None,
    report_at: day_time | None = None,
    alerts: Callable[[], None] | None = None,
    quiet_seconds: float = QUIET_SECONDS,
    rescan_seconds: float = RESCAN_SECONDS,
    now: Callable[[], datetime] = datetime.now,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Ingest the roots, and with `once` False everything that arrives in them, until `stop`.

    With `cards` not the roots but the cards in them. `ingest` gets a root and what to skip;
    `on_account` what became of all that was there, and of everything that was found later. A file
    that could not be read is tried again in every pass, and only said once.
    `report` gets each date once, after `report_at` local time of that day, also of days that were
    missed since the start; one that fails is logged and tried again at the next wake-up, at most
    `rescan_seconds` later. So does a root whose card was pulled out or whose database could not be
    written; with `once` both raise instead. A damaged database always raises `DatabaseError`.
    `alerts` is called after each scan; it must neither raise nor take long.
    """
    nightly = _Nightly(report, report_at, now)
    outage = _Outage()

    def new_card(root: Path) -> _Card:
        return _Card(root, ingest, Settled(quiet_seconds, clock=clock), outage)

    if once:
        found = _cards_now(roots) if cards else roots
        _take_once(
            [new_card(root) for root in dict.fromkeys(found)], stop, quiet_seconds, on_account
        )
        nightly.make()
        if alerts is not None:
            alerts()
        return
    known: dict[Path, _Card] = {}
    for wake in watch(
        roots,
        stop=stop,
        cards=cards,
        quiet_seconds=quiet_seconds,
        rescan_seconds=rescan_seconds,
        clock=clock,
    ):
        if wake.root is not None and wake.gone:
            known.pop(wake.root, None)
        elif wake.root is not None:
            card = known.setdefault(wake.root, new_card(wake.root))
            if wake.appeared:
                card.settled.forget()
            account = card.attempt()
            if account is not None:
                on_account(card.root, account)
            wake.unfinished = card.settled.waiting > 0
        nightly.attempt()
        if alerts is not None:
            alerts()


def _cards_now(places: Sequence[Path]) -> list[Path]:
    def unlisted(folder: Path, error: OSError) -> None:
        _log.warning("no cards can be found in %r: %s", str(folder), error.strerror)

    found = [card for place in places for card in find_cards(place, unlisted=unlisted)]
    if not found:
        _log.warning("no cards there: a card is a folder that holds a folder DCIM")
    return found


def _take_once(
    cards: Sequence[_Card],
    stop: threading.Event,
    quiet_seconds: float,
    on_account: Callable[[Path, Account], None],
) -> None:
    """Look at every card, wait once for all of them, then take one after the other."""
    for card in cards:
        if not stop.is_set():
            card.scan()
    if any(card.settled.waiting for card in cards):
        stop.wait(quiet_seconds)
    for card in cards:
        account = card.finish(stop, quiet_seconds)
        if account is not None:
            on_account(card.root, account)


@dataclass(slots=True)
class _Outage:
    """What is wrong with the database, which is said once, whichever cards run into it."""

    said: str = ""

    def begin(self, error: DatabaseError) -> None:
        """Say what fails; raises it again where waiting does not help."""
        if any(words in error.message for words in DAMAGED):
            raise error
        if error.message != self.said:
            _log.error("%s; trying again until it works, nothing is lost", error.message)
        self.said = error.message

    def end(self) -> None:
        """Say that work goes on, if it did not."""
        if self.said:
            _log.warning("the database works again; going on")
        self.said = ""


@dataclass(slots=True)
class _Card:
    """A root, how to ingest it and what it gave already."""

    root: Path
    ingest: Ingest
    settled: Settled
    outage: _Outage
    accounted: bool = False
    failed: str = ""  # the failure that was logged last, not to log it every minute
    unread: frozenset[Photo] = frozenset()  # what the last pass could not read

    def scan(self, *, patient: bool = True, retry: bool = True) -> Account:
        """Take what is ready; with `retry` the next scan takes again what could not be read."""
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
            if look == LOOKS:
                files = self.settled.waiting
                said = "1 file is" if files == 1 else f"{files:,} files are"
                _log.warning("%r: %s still being written; taken in as is", str(self.root), said)
            account = self.scan(patient=look < LOOKS, retry=False)  # a file counts once
            total = account if total is None else total + account
            if not self.settled.waiting:
                break
            stop.wait(quiet_seconds)
        return total

    def attempt(self) -> Account | None:
        """Scan once; None if there is nothing to say, or a failure, which is logged once."""
        try:
            account = self.scan()
        except DatabaseError as error:
            self.outage.begin(error)
            return None
        except (InputError, OSError) as error:
            text = f"{str(self.root)!r}: {error}"
            if isinstance(error, InputError):  # it names the root itself
                text = error.message.rstrip(".")
            if text != self.failed:
                _log.error("%s; going on with it when it can be read", text)
            self.failed = text
            return None
        if account.files:  # a look that takes nothing does not write
            self.outage.end()
        if self.failed:
            _log.warning("%r: going on", str(self.root))
            self.failed = ""
        return self._news(account)

    def _news(self, account: Account) -> Account | None:
        """What the account of a pass says that was not said before; None for nothing."""
        unread = frozenset(account.again)
        known, self.unread = len(unread & self.unread), unread
        news = replace(account, files=account.files - known, problems=account.problems - known)
        if not news.files and (self.accounted or self.settled.waiting):
            return None
        self.accounted = True
        return news


@dataclass(slots=True)
class _Nightly:
    """The report of each day, due from `at` on, local time; the first is that of the start."""

    report: Callable[[date], None] | None
    at: day_time | None
    now: Callable[[], datetime]
    next: date = field(init=False)
    failed: str = ""  # the failure that was logged last

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
            self.failed = ""

    def attempt(self) -> None:
        """Write the report if it is due; a failure is logged once and tried again later."""
        try:
            self.make()
        except Exception as error:  # the watch goes on whatever a report runs into
            if str(error) != self.failed:
                _log.error(
                    "the nightly report failed (%s); trying again at the next scan",
                    str(error) or repr(error),
                )
                _log.debug("the nightly report failed", exc_info=True)
            self.failed = str(error)
