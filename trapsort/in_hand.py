"""What was being decoded when trapsort died, so that a photo that kills it is found and left alone.

No exception tells of a decoder that crashes, or of a system that ends a process for want of
memory: the program is gone, and after a restart it would meet the same photo again, for ever. So
each photo is noted while it is decoded, in a small file that outlives the process. One that was in
hand at such an end is decoded alone the next time, so that no other comes under suspicion with it;
one that was so `MOST_DEATHS` times in a row is a problem.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import trapsort
from trapsort.errors import PhotoError
from trapsort.lock import beside, lock_now
from trapsort.scan import Photo

MOST_DEATHS = 3
"""A power failure may meet the same photo by chance once more, but hardly twice."""

DIED = "trapsort died {} times while it decoded this photo"
"""What is said of a photo that ends whatever decodes it."""

_LINE = 40  # bytes: a key, a blank, the number of deaths, a line end, and room


class InHand:
    """The photos that are being decoded, beside a database; its methods may be called by threads.

    Of several programs on one database the first one notes; the others only know what was noted.
    Where nothing can be noted, on a full disk say, everything else goes on.
    """

    def __init__(self, database: str | Path | None = None) -> None:
        self.path = None if database is None else beside(database, ".in-hand")
        self._deaths: dict[str, int] = {}  # of photos that are not known to be harmless
        self._held: list[str] = []
        self._guard = threading.Lock()
        self._descriptor: int | None = None
        self._written = 0

    def __enter__(self) -> Self:
        if self.path is None:
            return self
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0), 0o644)
            found = os.read(descriptor, 1 << 20)
            self._deaths = dict(_read(found))
            if lock_now(descriptor):
                self._descriptor, self._written = descriptor, len(found)
            else:
                os.close(descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is None:
            return
        os.close(self._descriptor)
        self._descriptor = None
        if not self._deaths and self.path is not None:
            with suppress(OSError):
                self.path.unlink()

    def is_suspect(self, photo: Photo) -> bool:
        """Whether trapsort died while it decoded this photo and has not decoded it since."""
        return bool(self._deaths) and _key(photo) in self._deaths

    def check(self, photo: Photo) -> None:
        """Raise `PhotoError` fatal for a photo that trapsort died of too often."""
        deaths = self._deaths.get(_key(photo), 0) if self._deaths else 0
        if deaths >= MOST_DEATHS:
            raise PhotoError("fatal", DIED.format(deaths))

    def judge(self, photo: Photo, deaths: int) -> None:
        """Note how often processes beside this one died of a photo; 0 says that it is harmless."""
        key = _key(photo)
        with self._guard:
            if deaths:
                self._deaths[key] = deaths
            elif self._deaths.pop(key, None) is None:
                return
            self._write()

    @contextmanager
    def holding(self, photo: Photo) -> Iterator[None]:
        """Note a photo for as long as it takes; raises `PhotoError` fatal for one that kills."""
        self.check(photo)
        key = _key(photo)
        with self._guard:
            self._held.append(key)
            self._write()
        try:
            yield
        finally:
            with self._guard:
                self._held.remove(key)
                self._deaths.pop(key, None)
                self._write()

    def _write(self) -> None:
        """Write what is to be read if this is the end: every photo in hand has died once more."""
        if self._descriptor is None:
            return
        deaths = self._deaths | {key: self._deaths.get(key, 0) + 1 for key in self._held}
        lines = [trapsort.__version__, *(f"{key} {number}" for key, number in deaths.items())]
        text = b"".join(line.encode().ljust(_LINE - 1) + b"\n" for line in lines)
        with suppress(OSError):
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            # Blanks over what was longer: one write is there whole, or not at all.
            os.write(self._descriptor, text.ljust(self._written))
            self._written = len(text)


def _key(photo: Photo) -> str:
    """A file as it is now: one that was written again is another one."""
    version = (photo.version,) if photo.version else ()
    what = repr((os.fspath(photo.card), photo.relative, photo.size, photo.mtime_ns, *version))
    return hashlib.blake2b(what.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def _read(text: bytes) -> Iterator[tuple[str, int]]:
    """Keys and deaths; nothing of another version, whose decoders may be others."""
    version, *lines = text.split(b"\n")
    if version.decode(errors="replace").strip() != trapsort.__version__:
        return
    for line in lines:
        match line.split():
            case [key, number] if number.isdigit():
                yield key.decode(errors="replace"), int(number)
