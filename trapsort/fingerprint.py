"""What a photo is: its bytes and their sha256; and what it looks like: its perceptual hash."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trapsort.errors import PhotoError
from trapsort.scan import LINKED, Photo, open_below
from trapsort.urls import Url, UrlStatus, read_url, status_of

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Larger files are not read: 64 megapixels of uncompressed RGB are 192 MB."""

BEGINNING = 4096
"""Bytes from which the kind of a file can be told."""


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
    data = _read(photo, photo.size + 1)  # one more: it tells a file that grows
    if len(data) != photo.size:
        raise PhotoError("changed", "size or time changed while the file was read")
    return Content(photo, data, hashlib.sha256(data).digest())


def read_beginning(photo: Photo) -> bytes:
    """The first `BEGINNING` bytes of a file; raises `PhotoError` as `read_content` does."""
    return _read(photo, BEGINNING)


def _read(photo: Photo, size: int) -> bytes:
    """At most `size` bytes, from a file that is the same before and after."""
    card, path = photo.card, photo.path
    try:
        if isinstance(card, Url) or isinstance(path, Url):
            return _read_url(photo, Url(path), size)
        with open(path, "rb", opener=lambda *_: open_below(card, photo.relative)) as file:
            _check(photo, os.fstat(file.fileno()))
            data = file.read(size)
            after = os.fstat(file.fileno())
    except OSError as error:
        if error.errno in LINKED:
            detail = "a link took the place of the file or of a folder that it lies in"
            raise PhotoError("link", detail) from error
        raise PhotoError("unreadable", error.strerror or str(error)) from error
    if _stamp(after) != (photo.size, photo.mtime_ns):
        raise PhotoError("changed", "size or time changed while the file was read")
    return data


def _read_url(photo: Photo, url: Url, size: int) -> bytes:
    """The same by URL: one request for the bytes and one for what the file is after them.

    What it was before them, the listing told; another look would be a third request.
    """
    _check_size(photo)
    data = read_url(url, end=size)
    if not status_of(url).is_same(UrlStatus("file", photo.size, photo.mtime_ns, photo.version)):
        raise PhotoError("changed", "size or time changed since the folder was listed")
    return data


def _check(photo: Photo, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise PhotoError("special_file", "something else took the file's place")
    if _stamp(status) != (photo.size, photo.mtime_ns):
        raise PhotoError("changed", "size or time changed since the folder was listed")
    _check_size(photo)


def _check_size(photo: Photo) -> None:
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
