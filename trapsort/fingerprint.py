"""What a photo is: its bytes and their sha256; and what looks like it: perceptual hashes."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trapsort.errors import PhotoError
from trapsort.scan import LINKED, Photo, open_below

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Larger files are not read: 64 megapixels of uncompressed RGB are 192 MB."""

NEAR_DUPLICATE_BITS = 4
"""Photos whose 64-bit hashes differ in at most so many bits are linked as near-duplicates."""


@dataclass(frozen=True, slots=True)
class Content:
    """A photo's bytes, and their sha256 as 32 raw bytes: its identity."""

    photo: Photo
    data: bytes
    sha256: bytes


def read_content(photo: Photo) -> Content:
    """Read a whole file, and make sure that nobody wrote to it since it was scanned.

    Raises `PhotoError` empty, too_large, changed, link, special_file or unreadable.
    """
    try:
        with open(
            photo.path, "rb", opener=lambda *_: open_below(photo.card, photo.relative)
        ) as file:
            _check(photo, os.fstat(file.fileno()))
            data = file.read(photo.size + 1)  # one more: it tells a file that grows
            after = os.fstat(file.fileno())
    except OSError as error:
        if error.errno in LINKED:
            detail = "a link took the place of the file or of a folder that it lies in"
            raise PhotoError("link", detail) from error
        raise PhotoError("unreadable", error.strerror or str(error)) from error
    if len(data) != photo.size or _stamp(after) != (photo.size, photo.mtime_ns):
        raise PhotoError("changed", "size or time changed while the file was read")
    return Content(photo, data, hashlib.sha256(data).digest())


def _check(photo: Photo, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("special_file", "something else took the file's place")
    if _stamp(status) != (photo.size, photo.mtime_ns):
        raise PhotoError("changed", "size or time changed since the folder was listed")
    if photo.size == 0:
        raise PhotoError("empty", "the file has no bytes")
    if photo.size > MAX_FILE_BYTES:
        raise PhotoError("too_large", f"{photo.size:,} bytes; at most {MAX_FILE_BYTES:,} are read")


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def perceptual_hash(pixels: NDArray[np.uint8]) -> int:
    """Imagehash's `phash` of uint8 (224, 224, 3) RGB pixels as an unsigned 64-bit number.

    Most significant bit first, as the hexadecimal digits of `str(ImageHash)` are read.
    """
    import imagehash
    from PIL import Image

    return int(str(imagehash.phash(Image.fromarray(pixels))), 16)


class NearDuplicates:
    """Perceptual hashes of all photos known so far, searched by brute force (0.6 ms a million)."""

    def __init__(
        self,
        hashes: NDArray[np.uint64] | Sequence[int] = (),
        ids: NDArray[np.int64] | Sequence[int] = (),
    ) -> None:
        if len(hashes) != len(ids):
            raise ValueError(f"{len(hashes)} hashes for {len(ids)} photos")
        self._count = len(hashes)
        self._hashes = np.array(hashes, np.uint64)
        self._ids = np.array(ids, np.int64)

    def __len__(self) -> int:
        return self._count

    def add(self, photo_id: int, value: int) -> None:
        """Make a photo findable."""
        if self._count == len(self._hashes):
            room = max(1024, 2 * self._count)  # doubling: n additions copy at most 2 n hashes
            self._hashes = np.resize(self._hashes, room)
            self._ids = np.resize(self._ids, room)
        self._hashes[self._count] = value
        self._ids[self._count] = photo_id
        self._count += 1

    def nearest(
        self, value: int, max_distance: int = NEAR_DUPLICATE_BITS
    ) -> tuple[int, int] | None:
        """Photo id and distance in bits of the nearest hash, the first added where several are.

        None where no hash lies within `max_distance`.
        """
        if not self._count:
            return None
        distances = np.bitwise_count(self._hashes[: self._count] ^ np.uint64(value))
        place = int(distances.argmin())
        distance = int(distances[place])
        return (int(self._ids[place]), distance) if distance <= max_distance else None
