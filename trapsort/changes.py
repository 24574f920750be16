"""Change events of the operating system: hints that spare waiting, never the whole truth."""

from __future__ import annotations

import errno
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent
    from watchdog.observers.api import BaseObserver, ObservedWatch
    from watchdog.observers.inotify_c import InotifyFD

    Following: TypeAlias = ObservedWatch

_LIMITS = {
    errno.ENOSPC: "fs.inotify.max_user_watches",
    errno.EMFILE: "fs.inotify.max_user_instances",
}

_SILENCE = logging.NullHandler()

_log = logging.getLogger(__name__)


class Changes:
    """Follows folders, as long as the system can; a thread calls back after each change."""

    def __init__(self) -> None:
        self._failure = ""  # why nothing can be followed any more; a thread may set it
        self._failure_told = False
        self._lost = False  # a thread sets it
        self._observer: BaseObserver | None = None
        self._inotify: InotifyFD | None = None

    def follow(self, root: Path, changed: Callable[[], None]) -> Following | None:
        """Call `changed` from a thread after each change below `root`; None if that cannot be."""
        from watchdog import events

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
        if self._failure:
            return None
        try:
            if self._observer is None:
                self._observer = self._start()
            return self._observer.schedule(
                Changed(), os.path.realpath(root), recursive=True, event_filter=kinds
            )
        except Exception as error:  # each platform's backend fails in its own way; all are hints
            self.note_failure(error)
            return None

    def leave(self, following: Following | None) -> None:
        """Stop following what `follow` returned; its folder may be gone already."""
        if self._observer is None or following is None:
            return
        try:
            self._observer.unschedule(following)
        except (KeyError, OSError) as error:
            _log.debug("no longer watched already: %s (%r)", following, error)

    def close(self) -> None:
        """End the watching threads."""
        for thread in (self._observer, self._inotify):
            if thread is not None and thread.is_alive():
                thread.stop()
                thread.join()
        self._observer = self._inotify = None

    def note_lost(self) -> None:
        """Note that more happened than the system could tell."""
        self._lost = True

    def take_lost(self) -> bool:
        """Whether changes were lost since the last call."""
        lost, self._lost = self._lost, False
        return lost

    def take_failure(self) -> str:
        """Why nothing is told from now on; empty if that is not so or was said before."""
        threads = (self._observer, self._inotify)
        if not self._failure and any(each and not each.is_alive() for each in threads):
            self._failure = "the thread that hears of changes ended"
        failure = "" if self._failure_told else self._failure
        self._failure_told = bool(self._failure)
        return failure

    def note_failure(self, error: Exception) -> None:
        """Note why nothing can be followed; one folder that went away is no reason."""
        number = error.errno if isinstance(error, OSError) else None
        if number in _LIMITS:
            self._failure = (
                f"the system's limit {_LIMITS[number]} is reached (raise it, for example: "
                f"sudo sysctl {_LIMITS[number]}={'1048576' if number == errno.ENOSPC else '1024'})"
            )
        elif number not in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.EIO):
            self._failure = f"the system tells of no changes ({error})"
        else:
            _log.debug("not followed: %r", error)

    def _start(self) -> BaseObserver:
        if sys.platform != "linux":
            from watchdog.observers import Observer

            other = Observer()
            other.start()
            return other
        from watchdog.observers.api import BaseObserver
        from watchdog.observers.inotify import InotifyEmitter

        # What it says of a full queue and of folders met twice is not for users.
        logging.getLogger("watchdog").addHandler(_SILENCE)
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        self._inotify = _inotify(self)
        self._inotify.start()
        observer = BaseObserver(InotifyEmitter, inotify_fd=self._inotify)
        observer.start()
        return observer


def _inotify(changes: Changes) -> InotifyFD:
    """Linux's events, and what watchdog keeps to itself: a full queue, folders not followed."""
    from watchdog.observers import inotify_c

    class Inotify(inotify_c.InotifyFD):
        def handle_event(self, event: inotify_c.InotifyEvent) -> None:
            if event.is_queue_overflow:
                changes.note_lost()
            super().handle_event(event)

        def add_callback(
            self,
            path: bytes,
            mask: inotify_c.Mask,
            callback: inotify_c.WatchCallback,
            id_: inotify_c.CallbackId,
        ) -> inotify_c.WatchDescriptor:
            try:
                return super().add_callback(path, mask, callback, id_)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    changes.note_failure(error)
                raise

    return Inotify()
