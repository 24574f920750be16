"""Says when a folder wants a scan: at the start, after changes, after a mount, and every minute.

Watchers drop events under load and see nothing of what is mounted later. So an event is only a
hint that wakes this room, no path is taken from it, and the scan that follows decides.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.cards import find_cards
from trapsort.changes import Changes
from trapsort.mounts import Mount, mount_table, mounts_below, shares_of

if TYPE_CHECKING:
    from trapsort.changes import Following

QUIET_SECONDS = 2.0
RESCAN_SECONDS = 60.0
POLL_SECONDS = 10.0  # between two scans of a folder where the system tells of no changes
CARDS_SECONDS = 2.0  # between two looks for cards, besides one after each mount
TICK_SECONDS = 0.2  # how late an event, a mount or the clock may be noticed

_SHARE_OF_TIME = 20  # a look for cards that takes long is repeated after so many times its length

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Wake:
    """One reason to look: `root` wants a scan, or nothing does (None, once a `rescan_seconds`).

    `appeared`: the root is new, came back, or something was mounted in it, so whatever was known
    of its files no longer holds. `gone`: it is no card any more and wants no scan; what is known
    of it may be dropped. Whoever scans sets `unfinished` to be woken again soon for files that were
    not ready, although no event may come.
    """

    root: Path | None
    appeared: bool = False
    gone: bool = False
    unfinished: bool = False


def watch(
    roots: Sequence[Path],
    *,
    stop: threading.Event,
    cards: bool = False,
    quiet_seconds: float = QUIET_SECONDS,
    rescan_seconds: float = RESCAN_SECONDS,
    poll_seconds: float = POLL_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Wake, None, None]:
    """Yield each root as soon as it is there, and again whenever it may hold something new.

    Again means: changes came and `quiet_seconds` passed without another; something was mounted;
    the last scan was unfinished; or `rescan_seconds` passed, `poll_seconds` where the system tells
    of no changes. A root that is missing is waited for. With `cards` the roots are not scanned, but
    the cards in them (see `find_cards`), as long as they are there. Ends within `TICK_SECONDS`
    after `stop` is set, unless the caller is still busy with a root.
    """
    changes = Changes()
    paths = list(dict.fromkeys(roots))
    places = _Places(paths, rescan_seconds) if cards else None
    watched = {} if cards else {path: _Root(path) for path in paths}
    idle_at = clock() + rescan_seconds
    try:
        while not stop.is_set():
            table = mount_table()
            if places is not None and places.due(table, clock()):
                found = places.cards(clock)
                for path in [path for path in watched if path not in found]:
                    watched.pop(path).leave(changes)
                    yield Wake(path, gone=True)
                watched |= {path: _Root(path) for path in found if path not in watched}
            _heed(changes, watched.values(), poll_seconds, clock())
            for root in watched.values():
                if not root.look(table, changes, clock, poll_seconds):
                    if places is None:
                        root.say_missing()
                    else:
                        places.look_soon()
                elif root.due(clock(), quiet_seconds):
                    started = clock()
                    wake = root.wake(started, quiet_seconds)
                    yield wake
                    if stop.is_set():
                        return
                    ended = clock()
                    rest = rescan_seconds if root.following is not None else poll_seconds
                    if wake.unfinished:
                        rest = quiet_seconds
                    # A scan of a million files takes longer than the quiet time: rest as long.
                    root.scan_at = ended + min(max(rest, ended - started), rescan_seconds)
                    idle_at = ended + rescan_seconds
            if clock() >= idle_at:
                yield Wake(None)
                idle_at = clock() + rescan_seconds
            stop.wait(TICK_SECONDS)
    finally:
        changes.close()


@dataclass(slots=True)
class _Root:
    """One watched folder: whether it is there, what is mounted in it, when it is due."""

    path: Path
    identity: tuple[object, ...] | None = ()  # None: not there; (): not looked at yet
    missing: str = ""  # why it is not there, until that was said
    appeared: bool = False
    changed_at: float | None = None  # newest event that no scan has answered; set by a thread
    scan_at: float = 0.0
    following: Following | None = None  # None: the system tells of no changes
    table: str | None = None
    mounts: tuple[Mount, ...] = ()
    shares: list[Mount] = field(default_factory=list)

    def look(
        self, table: str, changes: Changes, clock: Callable[[], float], poll_seconds: float
    ) -> bool:
        """Whether the root is there; notices that it came, went, or is another one than before."""
        before, self.identity = self.identity, self._identify(table)
        if self.identity == before:
            return self.identity is not None
        self.leave(changes)
        if self.identity is None:
            return False

        def changed() -> None:
            self.changed_at = clock()

        self._note_shares(table, poll_seconds)
        # Followed before the first scan, so that nothing falls between the two.
        self.following = None if self.shares else changes.follow(self.path, changed)
        self.appeared = True
        return True

    def _identify(self, table: str) -> tuple[object, ...] | None:
        try:
            status = self.path.stat()
        except OSError as error:
            if self.identity is not None:
                gone = isinstance(error, FileNotFoundError)
                self.missing = "is not there" if gone else f"cannot be read ({error.strerror})"
            return None
        if table != self.table:
            self.table, self.mounts = table, mounts_below(os.path.realpath(self.path), table)
        return status.st_dev, status.st_ino, self.mounts

    def _note_shares(self, table: str, poll_seconds: float) -> None:
        before, self.shares = self.shares, shares_of(self.path, table)
        for share in self.shares:
            if share not in before:
                _log.warning(
                    "%r is a network share (%s), of whose changes the system does not tell; "
                    "looking at %r every %g s instead",
                    share.point,
                    share.kind,
                    str(self.path),
                    poll_seconds,
                )

    def say_missing(self) -> None:
        """Say once that the root is waited for."""
        if self.missing:
            _log.warning("%r %s; waiting for it", str(self.path), self.missing)
            self.missing = ""

    def leave(self, changes: Changes) -> None:
        """Follow it no longer."""
        changes.leave(self.following)
        self.following = None

    def due(self, now: float, quiet_seconds: float) -> bool:
        """Whether the root wants a scan at `now`."""
        return self.appeared or now >= self.scan_at or self._quiet(now, quiet_seconds)

    def _quiet(self, now: float, quiet_seconds: float) -> bool:
        return self.changed_at is not None and now - self.changed_at >= quiet_seconds

    def wake(self, now: float, quiet_seconds: float) -> Wake:
        """Answer what made the root due; changes that are still going on stay unanswered."""
        if self._quiet(now, quiet_seconds):
            self.changed_at = None
        appeared, self.appeared = self.appeared, False
        return Wake(self.path, appeared=appeared)


class _Places:
    """Folders in which cards come and go."""

    def __init__(self, places: Sequence[Path], rescan_seconds: float) -> None:
        self._places = places
        self._rescan_seconds = rescan_seconds
        self._table: str | None = None
        self._look_at = 0.0
        self._unlisted: set[Path] = set()  # in the last look

    def due(self, table: str, now: float) -> bool:
        """Whether to look for cards: something was mounted, or it is time."""
        before, self._table = self._table, table
        return table != before or now >= self._look_at

    def look_soon(self) -> None:
        """Look again at the next occasion: a card went away."""
        self._look_at = 0.0

    def cards(self, clock: Callable[[], float]) -> dict[Path, None]:
        """Return the cards that are there, in path order of each place."""
        before, self._unlisted = self._unlisted, set()

        def unlisted(folder: Path, error: OSError) -> None:
            self._unlisted.add(folder)
            if folder not in before:
                self._say_unlisted(folder, error)

        started = clock()
        found = (card for place in self._places for card in find_cards(place, unlisted=unlisted))
        cards = dict.fromkeys(found)
        ended = clock()
        rest = max(CARDS_SECONDS, _SHARE_OF_TIME * (ended - started))
        self._look_at = ended + min(rest, self._rescan_seconds)
        return cards

    def _say_unlisted(self, folder: Path, error: OSError) -> None:
        if folder in self._places and isinstance(error, FileNotFoundError):
            _log.warning("%r is not there; waiting for it", str(folder))
        elif folder in self._places or not isinstance(error, FileNotFoundError | PermissionError):
            _log.warning("no cards can be found in %r: %s", str(folder), error.strerror)
        else:  # it went away, or it is another user's
            _log.info("no cards can be found in %r: %s", str(folder), error.strerror)


def _heed(changes: Changes, roots: Iterable[_Root], poll_seconds: float, now: float) -> None:
    """Scan every root where the system lost changes, or begins to tell of none."""
    lost, failure = changes.take_lost(), changes.take_failure()
    if lost:
        _log.info("more changed at once than the system could tell; looking at everything again")
    if failure:
        _log.warning("%s; looking at everything every %g s instead", failure, poll_seconds)
        changes.close()
    for root in roots if lost or failure else ():
        root.changed_at = now
        if failure:
            root.following = None


def way_of(root: Path) -> str:
    """How changes in `root` will be noticed, in words."""
    shares = shares_of(root, mount_table())
    return f"polling ({shares[0].kind})" if shares else "events"
