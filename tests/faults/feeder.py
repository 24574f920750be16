"""Feeds cards in all the ways in which files come to be on them, one thread a card."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from random import Random

from tests.faults.ledger import Ledger, Place
from tests.faults.supply import Supply

CHUNKS = 4
JPEG = b"\xff\xd8"
PAUSE_SECONDS = (0.05, 0.15)  # between the chunks of a slow copy

WEIGHTS: dict[str, int] = {
    "at_once": 4,
    "growing": 3,
    "filling": 3,
    "trailing": 2,
    "renamed": 3,
    "duplicate": 3,
    "folder": 2,
    "folder_moved_in": 1,
    "rewritten": 2,
    "rewritten_back": 1,
    "name_used_again": 1,
    "moved": 1,
    "bad": 3,
    "stalled": 1,
}
"""How often each way of feeding is chosen; the keys are methods of `Feeder`."""


class Feeder(threading.Thread):
    """Carries out orders on one card; `finish` waits for them and raises what went wrong."""

    def __init__(self, card: Path, ledger: Ledger, supply: Supply, seed: str) -> None:
        super().__init__(name=f"feeder of {card.name}", daemon=True)
        self.card, self.ledger, self.supply = card, ledger, supply
        self.random = Random(seed)  # noqa: S311  # no secret
        self.fed: Counter[str] = Counter()
        self._orders: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._number = 0
        self._folder = b"DCIM/100TRAPS"

    def order(self, kind: str) -> None:
        """Feed once, as soon as earlier orders are done."""
        self._orders.put(kind)

    def finish(self) -> None:
        """Wait until all is fed."""
        self._orders.put(None)
        self.join()
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        """Carry out orders until `finish`."""
        try:
            while (kind := self._orders.get()) is not None:
                feed: Callable[[], None] = getattr(self, kind)
                feed()
                self.fed[kind] += 1
                self._pause()
        except BaseException as error:
            self._failure = error

    # The ways of feeding ------------------------------------------------------------------------

    def at_once(self) -> None:
        """A fast copy; now and then with the time of the original, as `cp -p` keeps it."""
        place = self._new()
        self._put(place, self.supply.photo())
        if self.random.random() < 0.3:
            os.utime(self._path(place), (1_700_000_000 + self._number,) * 2)

    def growing(self) -> None:
        """A slow copy, chunk by chunk."""
        self._grow(self._new(), self.supply.photo())

    def filling(self) -> None:
        """A slow copy into a file that has its size from the start: its tail is zeros."""
        place, content = self._new(), self.supply.bitmap()
        with self._open(place) as file:
            for end in self._ends(len(content)):
                now = content[:end] + bytes(len(content) - end)
                self._say(place, now, content)
                file.truncate(len(content))
                os.pwrite(file.fileno(), content[:end], 0)
                self._pause()

    def trailing(self) -> None:
        """A slow copy of a photo that has more behind its end."""
        self._grow(self._new(), self.supply.trailed())  # its beginning decodes

    def renamed(self) -> None:
        """A copy under another name that is then renamed, as rsync and browsers do."""
        place = self._new()
        folder, _, name = place[1].rpartition(b"/")
        part = self.random.choice([b"." + name + b".x7Gq1a", name + b".part", name + b".tmp"])
        content = self.supply.photo()
        with self._open((place[0], folder + b"/" + part)) as file:
            for at in range(0, len(content), 1 + len(content) // CHUNKS):
                file.write(content[at : at + 1 + len(content) // CHUNKS])
                self._pause()
        self.ledger.whole(place, content)
        self._path((place[0], folder + b"/" + part)).rename(self._path(place))

    def duplicate(self) -> None:
        """A content that some card holds already, under another name."""
        self._put(self._new(), self.supply.given(self.random))

    def folder(self) -> None:
        """A new folder that is filled in the moment in which it appears."""
        self._next_folder()
        for _ in range(self.random.randrange(2, 5)):
            self._put(self._new(), self.supply.photo())

    def folder_moved_in(self) -> None:
        """A folder that was filled elsewhere."""
        self._next_folder()
        outside = self.card.with_name(f".outside {self.card.name}")
        outside.mkdir()
        for _ in range(3):
            place, content = self._new(), self.supply.photo()
            self.ledger.whole(place, content)
            (outside / os.fsdecode(place[1].rpartition(b"/")[2])).write_bytes(content)
        target = self._path((str(self.card), self._folder))
        target.parent.mkdir(parents=True, exist_ok=True)
        outside.rename(target)

    def rewritten(self) -> None:
        """The same picture in other bytes under the same name."""
        place = self._any(JPEG)
        for _ in range(2):
            self._put(place, self.supply.same_picture(self._path(place).read_bytes()))
            self._pause(4)

    def rewritten_back(self) -> None:
        """Other bytes, and then the first ones again."""
        place, content = self._new(), self.supply.photo()
        for each in (content, self.supply.same_picture(content), content):
            self._put(place, each)
            self._pause(4)

    def name_used_again(self) -> None:
        """A photo of another moment under a name that the camera used before: both count."""
        place = self._new()
        first, second = self.supply.two_moments(self.random)
        self._put(place, first)
        self._pause(10)
        self._put(place, second, keeps_old=True)

    def moved(self) -> None:
        """A photo that gets another name."""
        old, new = self._any(), self._new()
        self._path(new).parent.mkdir(parents=True, exist_ok=True)
        self.ledger.moved(old, new)
        self._path(old).rename(self._path(new))

    def bad(self) -> None:
        """A file that is no photo, a link or a pipe."""
        place = self._new()
        self.ledger.bad(place)
        kind = self.random.randrange(6)
        path = self._path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == 0:
            path.symlink_to(self.card)
        elif kind == 1:
            os.mkfifo(path)
        else:
            path.write_bytes(self.supply.bad(self.random))

    def stalled(self) -> None:
        """A slow copy that stands still for longer than trapsort waits, then ends."""
        place = self._new()
        content = self.random.choice([self.supply.photo, self.supply.bitmap])()
        half = len(content) // 2
        with self._open(place) as file:
            self.ledger.half(place, content[:half])
            file.write(content[:half])
            time.sleep(3 * self.ledger.patience)
            self.ledger.whole(place, content)
            file.write(content[half:])

    # Steps --------------------------------------------------------------------------------------

    def _put(self, place: Place, content: bytes, *, keeps_old: bool = False) -> None:
        self.ledger.whole(place, content, keeps_old=keeps_old)
        with self._open(place) as file:
            file.write(content)

    def _grow(self, place: Place, content: bytes) -> None:
        with self._open(place) as file:
            done = 0
            for end in self._ends(len(content)):
                self._say(place, content[:end], content)
                file.write(content[done:end])
                done = end
                self._pause()

    def _say(self, place: Place, now: bytes, whole: bytes) -> None:
        if now == whole:
            self.ledger.whole(place, whole)
        else:
            self.ledger.half(place, now)

    def _ends(self, size: int) -> list[int]:
        """Where the chunks of a slow copy end."""
        inner = self.random.sample(range(size // 3, size), CHUNKS - 1)
        return [*sorted(inner), size]

    def _open(self, place: Place) -> FileIO:
        path = self._path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb", buffering=0)

    def _path(self, place: Place) -> Path:
        return Path(place[0]) / os.fsdecode(place[1])

    def _new(self) -> Place:
        """A place that was not used before; the same names on each card."""
        self._number += 1
        odd = self.random.random() < 0.05
        name = b"=1+%d '\xff.JPG" % self._number if odd else b"IMG_%04d.JPG" % self._number
        return str(self.card), self._folder + b"/" + name

    def _any(self, start: bytes = b"") -> Place:
        """A place that holds a photo that begins so; a new one where there is none."""
        here = [
            place
            for place in self.ledger.here(str(self.card))
            if self._path(place).read_bytes().startswith(start)
        ]
        if here:
            return self.random.choice(here)
        self.at_once()
        return self._any(start)

    def _next_folder(self) -> None:
        self._folder = b"DCIM/%dTRAPS" % (101 + self._number)

    def _pause(self, times: float = 1) -> None:
        time.sleep(times * self.random.uniform(*PAUSE_SECONDS))
