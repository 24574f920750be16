"""Rounding as R rounds, so that a table equals R's to the last digit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rounded(values: NDArray[np.float64], digits: int) -> NDArray[np.float64]:
    """Round to `digits` decimals as R does since 4.0.0; NaN stays.

    Of the two neighbours that have so many decimals the nearer one is taken, both as floating-point
    numbers, and the one with the even last digit where they are as near: 95.45 becomes 95.4.
    """
    scale = 10.0**digits
    scaled = values * scale
    lower = np.floor(scaled)
    below, above = lower / scale, np.ceil(scaled) / scale
    down, up = values - below, above - values
    return np.where((down < up) | ((down == up) & (lower % 2 == 0)), below, above)
