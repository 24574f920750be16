"""Pictures made before anybody asks for them, while their card is there.

A photo that is opened then shows at once, and what lay on a card can be reviewed when the card is
gone. Thumbnails of all photos come first, large pictures after them; those of a card that was seen
last before those of others.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

from trapsort.errors import PhotoError, TrapsortError
from trapsort.store.details import Original
from trapsort.web.originals import read_original
from trapsort.web.shared import Shared
from trapsort.web.thumbnails import SIZES

SHARE = 0.5
"""Of the cache's bound, what one round may fill: the other half is for what people look at."""

PEOPLE_FIRST_SECONDS = 0.5
"""Nothing is made while somebody asked for a picture so short a time ago."""

PLACES_AT_ONCE = 200
STOP_SECONDS = 10
"""What reading a photo from a slow card may still take at the end."""

_log = logging.getLogger(__name__)


class Ahead:
    """A thread's work; it takes half of one core at most, and gives way to people."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._reached: dict[tuple[int, int], int] = {}
        self._left = 0.0
        self._stop = threading.Event()

    @contextmanager
    def running(self, every_seconds: float) -> Iterator[None]:
        """Look for new photos every so often, until the end of the block."""
        work = partial(self._run, every_seconds)
        thread = threading.Thread(target=work, name="trapsort-ahead", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(STOP_SECONDS)

    def _run(self, every_seconds: float) -> None:
        while not self._stop.wait(every_seconds):
            try:
                self.fill()
            except TrapsortError as error:  # the database may be busy; the next round goes on
                _log.debug("no pictures were made ahead: %s", error)

    def fill(self) -> int:
        """Make the pictures of what came to lie on cards that are there; return how many."""
        self._left = SHARE * self._shared.config.cache_bytes
        here = [each for each in self._shared.store.desk.roots() if _is_there(each[1])]
        return sum(self._fill_card(*each, size) for size in sorted(SIZES) for each in here)

    def _fill_card(self, card: int, root: str, size: int) -> int:
        """Make the pictures of one size of a card; what there is no room for is left out."""
        made = 0
        while places := self._shared.store.desk.on_card(
            card, self._reached.get((card, size), 0), PLACES_AT_ONCE
        ):
            for number, sha256, relative in places:
                if self._left > 0 and not self._shared.thumbnails.has(sha256, size):
                    is_made = self._make(Original(sha256, [(root, relative)]), size)
                    if not is_made and (self._stop.is_set() or not _is_there(root)):
                        return made  # the next round goes on from here
                    made += is_made
                self._reached[card, size] = number
        return made

    def _make(self, original: Original, size: int) -> bool:
        while self._people_wait():
            if self._stop.wait(0.1):
                return False
        begun = time.monotonic()
        picture = None
        with suppress(PhotoError):
            read = partial(read_original, original)
            # No turn is taken from people: this thread is one more than those that work for them.
            picture = self._shared.thumbnails.make(
                original.sha256, size, read, attempts=nullcontext()
            )
        self._left -= len(picture or b"")
        self._stop.wait(time.monotonic() - begun)
        return picture is not None

    def _people_wait(self) -> bool:
        return time.monotonic() - self._shared.asked_at < PEOPLE_FIRST_SECONDS


def _is_there(root: str) -> bool:
    """Say whether a card is in its place; an empty folder is what it was mounted at."""
    with suppress(OSError, ValueError), os.scandir(root) as entries:
        return any(True for _ in entries)
    return False
