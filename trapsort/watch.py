"""Says when a folder wants a scan: at the start, after changes, after a mount, and every minute.

Watchers drop events under load and see nothing of what is mounted later. So an event is only a
hint that wakes this room, no path is taken from it, and the scan that follows decides.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver, ObservedWatch

QUIET_SECONDS = 2.0
RESCAN_SECONDS = 60.0
TICK_SECONDS = 0.2  # how late an event, a mount or the clock may be noticed

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Wake:
    """One reason to look: `root` wants a scan, or nothing does (None, once a `rescan_seconds`).

    `appeared`: the root is new, came back, or something was mounted in it, so whatever was known
    of its files no longer holds. Whoever scans sets `unfinished` to be woken again soon for files
    that were not ready, although no event may come.
    """

    root: Path | None
    appeared: bool = False
    unfinished: bool = False


def watch(
    roots: Sequence[Path],
    *,
    stop: threading.Event,
    quiet_seconds: float = QUIET_SECONDS,
    rescan_seconds: float = RESCAN_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Wake, None, None]:
    """Yield each root as soon as it is there, and again whenever it may hold something new.

    Again means: changes came and `quiet_seconds` passed without another; something was mounted;
    the last scan was unfinished; or `rescan_seconds` passed. A root that is missing is waited for.
    Ends within `TICK_SECONDS` after `stop` is set, unless the caller is still busy with a root.
    """
    events = _Events()
    watched = [_Root(path) for path in dict.fromkeys(roots)]
    idle_at = clock() + rescan_seconds
    try:
        while not stop.is_set():
            table = mount_table()
            for root in watched:
                root.look(table, events, clock)
                if not root.due(clock(), quiet_seconds):
                    continue
                started = clock()
                wake = root.wake(started, quiet_seconds)
                yield wake
                if stop.is_set():
                    return
                ended = clock()
                # A scan of a million files takes longer than the quiet time: rest as long as it.
                soon = min(max(quiet_seconds, ended - started), rescan_seconds)
                root.scan_at = ended + (soon if wake.unfinished else rescan_seconds)
                idle_at = ended + rescan_seconds
            if clock() >= idle_at:
                yield Wake(None)
                idle_at = clock() + rescan_seconds
            stop.wait(TICK_SECONDS)
    finally:
        events.close()


@dataclass(slots=True)
class _Root:
    """One watched folder: whether it is there, what is mounted in it, when it is due."""

    path: Path
    identity: tuple[object, ...] | None = ()  # None: not there; (): not looked at yet
    appeared: bool = False
    changed_at: float | None = None  # newest event that no scan has answered; set by a thread
    scan_at: float = 0.0
    following: ObservedWatch | None = None
    table: str | None = None
    mounts: tuple[str, ...] = ()

    def look(self, table: str, events: _Events, clock: Callable[[], float]) -> None:
        """Notice that the root came, went, or is another folder than before."""
        before, self.identity = self.identity, self._identify(table)
        if self.identity == before:
            return
        events.leave(self.following)
        self.following = None
        if self.identity is None:
            _log.warning("%r is not there; waiting for it", str(self.path))
            return

        def changed() -> None:
            self.changed_at = clock()

        # Followed before the first scan, so that nothing falls between the two.
        self.following = events.follow(self.path, changed)
        self.appeared = True

    def _identify(self, table: str) -> tuple[object, ...] | None:
        try:
            status = self.path.stat()
        except OSError:
            return None
        if table != self.table:
            self.table, self.mounts = table, mounts_below(os.path.realpath(self.path), table)
        return status.st_dev, status.st_ino, self.mounts

    def due(self, now: float, quiet_seconds: float) -> bool:
        """Whether the root is there and wants a scan at `now`."""
        if self.identity is None:
            return False
        return self.appeared or now >= self.scan_at or self._quiet(now, quiet_seconds)

    def _quiet(self, now: float, quiet_seconds: float) -> bool:
        return self.changed_at is not None and now - self.changed_at >= quiet_seconds

    def wake(self, now: float, quiet_seconds: float) -> Wake:
        """Answer what made the root due; changes that are still going on stay unanswered."""
        if self._quiet(now, quiet_seconds):
            self.changed_at = None
        appeared, self.appeared = self.appeared, False
        return Wake(self.path, appeared=appeared)


class _Events:
    """Change events of the operating system; without them (watch limit, share) the timer does."""

    def __init__(self) -> None:
        self._observer: BaseObserver | None = None
        self._warned = False

    def follow(self, root: Path, changed: Callable[[], None]) -> ObservedWatch | None:
        """Call `changed` from a thread after each change below `root`; None if that cannot be."""
        from watchdog import events
        from watchdog.observers import Observer

        class Changed(events.FileSystemEventHandler):
            def on_any_event(self, event: FileSystemEvent) -> None:
                changed()

        # Not the opening and closing of files that are only read: a scan would wake itself.
        kinds: list[type[FileSystemEvent]] = [
            events.FileCreatedEvent,
            events.FileModifiedEvent,
            events.FileMovedEvent,
            events.FileClosedEvent,
            events.DirCreatedEvent,
            events.DirMovedEvent,
        ]
        try:
            if self._observer is None:
                self._observer = Observer()
                self._observer.start()
            return self._observer.schedule(
                Changed(), os.path.realpath(root), recursive=True, event_filter=kinds
            )
        except Exception as error:  # each platform's backend fails in its own way; all are hints
            if not self._warned:
                _log.warning(
                    "changes in %r cannot be watched (%s); looking there from time to time instead",
                    str(root),
                    error,
                )
            self._warned = True
            return None

    def leave(self, following: ObservedWatch | None) -> None:
        """Stop following what `follow` returned; its folder may be gone already."""
        if self._observer is None or following is None:
            return
        try:
            self._observer.unschedule(following)
        except (KeyError, OSError) as error:
            _log.debug("no longer watched already: %s (%r)", following, error)

    def close(self) -> None:
        """End the watching thread."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.stop()
            self._observer.join()


def mount_table() -> str:
    """Return Linux's list of mounts, proc(5) mountinfo; empty where there is none."""
    try:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def mounts_below(root: str, table: str) -> tuple[str, ...]:
    r"""Return the lines of `table` for mounts at or below `root` (absolute, links resolved).

    The fifth field is the mount point, with blanks and backslashes as octal `\040`.
    """

    def point(line: str) -> str:
        raw = line.split(" ", 5)[4]
        return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), raw)

    below = root.rstrip("/") + "/"
    return tuple(line for line in table.splitlines() if (point(line) + "/").startswith(below))
