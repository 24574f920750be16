"""Smaller pictures of photos, made once and kept: they are still there when the card is not.

The cache is a folder of pictures named by content and size. What was not looked at for longest
goes first when it grows beyond its bound; whoever deletes the folder loses nothing but time.
`trapsort ingest` and `watch` may fill it, too, with the pictures that the models were shown.
"""

from __future__ import annotations

import io
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort.errors import PhotoError
from trapsort.settings import cores

if TYPE_CHECKING:
    from PIL.Image import Image

SIZES = (256, 1280)
"""Pixels of the longer side: in the grid, and alone."""

LARGE = max(SIZES)

PREVIEW = "preview.jpg"
"""What the models were shown of a photo, kept while it was taken in; 400 to 900 pixels mostly."""

QUALITY = 85
PREVIEW_QUALITY = 80
KEPT = 0.9
"""Share of the bound that is kept when the cache is cleared up, so that this happens seldom."""

RECOUNT_EVERY = 200
"""Pictures after which the folder is looked at again: other programs fill it, too."""

_ATTEMPTS = threading.BoundedSemaphore(cores())
"""Pictures made at a time: more than cores are no faster and take memory."""


class Thumbnails:
    """A folder of pictures, of at most so many bytes; threads and programs may share it."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most = most_bytes
        self._bytes = 0
        self._until_recount = 0
        self._lock = threading.Lock()

    def get(self, sha256: str, kind: int | str) -> bytes | None:
        """Return a picture of a photo where it is there; it then counts as looked at now.

        kind: the size of a JPEG, or the name of another file's kind ('heat.png').
        """
        path = self._path(sha256, kind)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        with suppress(OSError):
            os.utime(path)
        return data

    def has(self, sha256: str, kind: int | str) -> bool:
        """Say whether a picture is there; it does not count as looked at."""
        return self._path(sha256, kind).is_file()

    def put(self, sha256: str, kind: int | str, data: bytes) -> None:
        """Keep a picture; a full disk costs nothing but the next one's time."""
        path = self._path(sha256, kind)
        part = path.with_name(f".{secrets.token_hex(4)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part.write_bytes(data)
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            return
        with self._lock:
            if self._until_recount == 0:
                self._bytes = sum(found for _, found, _ in self._files())
                self._until_recount = RECOUNT_EVERY
            else:
                self._bytes += len(data)
                self._until_recount -= 1
            if self._bytes > self._most:
                self._clear_up()

    def keep(self, sha256: str, picture: Image) -> None:
        """Keep what the models are shown of a photo, where nothing is kept of it yet.

        Meant for `decode`: the picture is not changed, and nothing is raised.
        """
        if any(self.has(sha256, kind) for kind in (PREVIEW, LARGE)):
            return
        with suppress(OSError, ValueError, MemoryError):  # a preview must never cost its photo
            if max(picture.size) > LARGE:
                picture = picture.copy()
                picture.thumbnail((LARGE, LARGE))
            self.put(sha256, PREVIEW, jpeg(picture, PREVIEW_QUALITY))

    def make(
        self,
        sha256: str,
        size: int,
        read: Callable[[], bytes | None],
        *,
        attempts: AbstractContextManager[object] = _ATTEMPTS,
    ) -> bytes | None:
        """Return the JPEG of a photo, made from its file if need be; None without either.

        A smaller one is made from a larger one where that is there; attempts: held meanwhile.

        Raises:
            PhotoError: the file is there and cannot be decoded.
        """
        found = self.get(sha256, size)
        if found is not None:
            return found
        with attempts:
            found = self.get(sha256, size)  # another thread may have been first
            if found is not None:
                return found
            larger = self._from_larger(sha256, size)
            if larger is not None:
                return larger
            data = read()
            return None if data is None else self._made(sha256, size, data)

    def _made(self, sha256: str, size: int, data: bytes) -> bytes:
        from trapsort.decode import view

        picture = view(data, size)
        made = jpeg(picture)
        self.put(sha256, size, made)
        return made

    def _from_larger(self, sha256: str, size: int) -> bytes | None:
        """Make a picture from a larger one, where that is all there is."""
        kinds: list[int | str] = [each for each in SIZES if each > size]
        for each in (*kinds, PREVIEW) if kinds else ():
            data = self.get(sha256, each)
            if data is not None:
                with suppress(PhotoError):
                    return self._made(sha256, size, data)
        return None

    def _path(self, sha256: str, kind: int | str) -> Path:
        ending = f"{kind}.jpg" if isinstance(kind, int) else kind
        return self._folder / sha256[:2] / f"{sha256}-{ending}"

    def _files(self) -> Iterable[tuple[float, int, Path]]:
        for path in self._folder.glob("??/*"):
            with suppress(OSError):  # another program cleared up
                status = path.stat()
                yield status.st_mtime, status.st_size, path

    def _clear_up(self) -> None:
        """Delete what was not looked at for longest; others may have added or deleted files."""
        files = sorted(self._files())
        self._bytes = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._bytes <= self._most * KEPT:
                break
            with suppress(OSError):
                path.unlink()
                self._bytes -= size


def jpeg(picture: Image, quality: int = QUALITY) -> bytes:
    """Return a picture as JPEG, without any of the photo's metadata."""
    made = io.BytesIO()
    picture.save(made, format="JPEG", quality=quality, comment=b"")
    return made.getvalue()
