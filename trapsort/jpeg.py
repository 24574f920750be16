"""A JPEG at one of its scales by libjpeg-turbo itself, where its binding is at hand.

The pixels are those of Pillow, which asks the same library line by line and takes longer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

try:
    import simplejpeg
except ImportError:  # no wheel for this platform; setup.cfg says for which there is one
    simplejpeg = None

LEAST = 8
"""Pixels on a side: of a smaller picture, several of libjpeg's scales have the same size."""


def scaled(data: bytes, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """A JPEG's RGB pixels, uint8 (height, width, 3), at the width and height of one of its scales.

    `data` are what Pillow opens as RGB. None where Pillow is to say more: they may be damaged.
    """
    width, height = size
    if simplejpeg is None or min(size) < LEAST:
        return None
    try:
        # The smallest scale that is at least so large. Strict: a warning is a failure.
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", min_width=width, min_height=height, strict=True
        )
    except (ValueError, MemoryError):
        return None
    return pixels if pixels.shape == (height, width, 3) else None
