"""How much memory a photo takes, told by its headers, and budgets that all threads share.

The worst of several photos never add up, however many threads there are: what would exceed a budget
waits for its turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from PIL import JpegImagePlugin, TiffImagePlugin

from trapsort.errors import PhotoError

if TYPE_CHECKING:
    from PIL import Image

MAX_MEMORY = 512 * 1024 * 1024
"""Bytes: a photo whose decoding would need more is refused."""

# Bytes for a pixel of each mode while it becomes RGB, as measured. Pillow keeps RGB in 4 bytes, so
# that most modes take 8, and a picture that is turned too; deep grey becomes floats on the way.
_MODE_BYTES = {"RGB": 4, "1": 5, "L": 5, "P": 5, "I": 13, "F": 13}
_MODE_BYTES |= dict.fromkeys(("I;16", "I;16L", "I;16B", "I;16N"), 9)
_OTHER_BYTES = _TURNED_BYTES = 8
_SCALED_JPEG_BYTES = 7  # libjpeg-turbo has 3, and Pillow its copy
_WEBP_BYTES = 16  # libwebp has a canvas and the one before, Pillow a copy and its own
_HEIF_BYTES = 13  # libheif has planes and their RGB, Pillow a copy and its own

_BITS, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH = 0x0102, 0x0116, 0x0142, 0x0143


class Budget:
    """Bytes that threads share, first come, first served; who wants more than all gets all of it.

    Nobody who holds a part of it may ask for another part.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._queue: deque[object] = deque()
        self._changed = threading.Condition()

    @contextmanager
    def share(self, need: int) -> Iterator[None]:
        """Wait until so many bytes are free and hold them."""
        part, turn = min(need, self.size), object()
        with self._changed:
            self._queue.append(turn)
            try:
                self._changed.wait_for(lambda: self._queue[0] is turn and part <= self._free)
                self._free -= part
            finally:
                self._queue.remove(turn)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._free += part
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody holds any of it and hold all."""
        with self.share(self.size):
            yield


FILES = Budget(64 * 1024 * 1024)
"""For files while they are read and decoded: several of the usual size, or one large one."""

PICTURES = Budget(128 * 1024 * 1024)
"""For decoding: dozens of a camera's photos, or one that needs more. Who holds a part of it waits
for nothing else."""


@contextmanager
def room_for(need: int) -> Iterator[None]:
    """Hold the memory that decoding needs; raises `PhotoError` too_large for more than the most."""
    if need > MAX_MEMORY:
        detail = f"decoding would take {need >> 20:,} MB; at most {MAX_MEMORY >> 20} are used"
        raise PhotoError("too_large", detail)
    with PICTURES.share(need):
        yield


def heif_memory(size: tuple[int, int], data: bytes) -> int:
    """Bytes that decoding a HEIF file will take; `size`: its pixels across and down."""
    return len(data) + size[0] * size[1] * _HEIF_BYTES


def memory(image: Image.Image, size: tuple[int, int], data: bytes, *, is_turned: bool) -> int:
    """Bytes that decoding will take at its worst, with the file itself, from headers alone.

    `image` may be scaled already (a JPEG's `draft`), `size` is that of the file.
    """
    bytes_each = _MODE_BYTES.get(image.mode, _OTHER_BYTES)
    if is_turned:
        bytes_each = max(bytes_each, _TURNED_BYTES)
    if image.size != size:
        bytes_each = max(bytes_each, _SCALED_JPEG_BYTES)
    if image.format == "WEBP":
        bytes_each = _WEBP_BYTES
    need = len(data) + image.width * image.height * bytes_each
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        need += _coefficients(image, size, data)
    elif isinstance(image, TiffImagePlugin.TiffImageFile) and image.tile[0][0] == "libtiff":
        need += len(data) + _block(image)  # Pillow hands libtiff a copy of the file
    return need


def _coefficients(image: JpegImagePlugin.JpegImageFile, size: tuple[int, int], data: bytes) -> int:
    """Bytes that libjpeg keeps until it has seen all scans of a JPEG: 2 for each coefficient.

    A JPEG with one scan needs none of this; an MPO is taken to have several.
    """
    at = image.fp.tell() if image.fp else 0  # behind the header of the first scan
    header = 6 + 2 * image.layers
    one_scan = data[at - header : at][:3] == bytes((0, header, image.layers))
    if one_scan and not image.info.get("progressive"):
        return 0
    most = max(across * down for _, across, down, _ in image.layer)
    shares = sum(across * down for _, across, down, _ in image.layer)
    return 2 * size[0] * size[1] * shares // most


def _block(image: TiffImagePlugin.TiffImageFile) -> int:
    """Bytes of the strip or tile that libtiff decodes at once; a tile may exceed the picture."""
    tags = image.tag_v2
    width = tags.get(_TILE_WIDTH) or image.width
    height = tags.get(_TILE_LENGTH) or min(tags.get(_ROWS_PER_STRIP) or image.height, image.height)
    return int(width * height * max(4, sum(tags.get(_BITS) or (1,)) / 8))
