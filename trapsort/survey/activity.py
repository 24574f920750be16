"""When in the day animals are active: circular kernel densities as in the R package overlap.

Ridout & Linkie (2009) and Meredith & Ridout. Times of day are radians: 0 and 2 pi are midnight.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trapsort.errors import InputError

DAY_SECONDS = 86_400
MOMENTS = 3  # kmax: trigonometric moments from which the concentration is estimated
CONCENTRATIONS = (0.0001, 345.0)  # where overlap looks for it; greater ones overflow in R
TOLERANCE = np.finfo(float).eps ** 0.25  # R's uniroot stops here, and so does this
GRID = 128
BLOCK = 4_000_000  # cells of a kernel matrix at once: 32 MB

Floats = NDArray[np.float64]


def time_of_day(times: pd.Series) -> Floats:
    """Radians since midnight, 0 included and 2 pi not."""
    moments = times.to_numpy().astype("datetime64[s]")
    since: Floats = (moments - moments.astype("datetime64[D]")).astype(np.float64)
    return since / DAY_SECONDS * math.tau


def bandwidth(times: Floats, *, moments: int = MOMENTS) -> float | None:
    """Concentration of the von Mises kernel for radians (Taylor 2008), as overlap's getBandWidth.

    None where no moment gives a concentration, as with fewer than two different times.
    """
    from scipy.special import ive

    if len(np.unique(times)) < 2:
        return None
    middle = math.atan2(np.sin(times).sum(), np.cos(times).sum())
    found = [_concentration(times - middle, k) for k in range(1, moments + 1)]
    kappa = max(found)
    if kappa <= 0:
        return None
    # ive(v, x) is I_v(x) exp(-x); the exponentials cancel.
    ratio = ive(2, 2 * kappa) / ive(0, kappa) ** 2
    return float((3 * len(times) * kappa**2 * ratio / (4 * math.sqrt(math.pi))) ** 0.4)


def _concentration(centred: Floats, k: int) -> float:
    """Concentration of the von Mises distribution with this k-th moment; 0 where there is none."""
    from scipy.special import ive

    moment = math.hypot(np.sin(k * centred).mean(), np.cos(k * centred).mean())

    def excess(kappa: float) -> float:
        return float(ive(k, kappa) / ive(0, kappa)) - moment

    low, high = CONCENTRATIONS
    return root(excess, low, high, TOLERANCE) if excess(low) * excess(high) <= 0 else 0.0


def root(function: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """A zero between two points at which the function differs in sign (Brent 1973, chapter 4).

    With R's tolerance it stops where R's uniroot does, which matters in the fifth digit.
    """
    a, b = low, high
    at_a, at_b = function(a), function(b)
    c, at_c = a, at_a
    for _ in range(1000):
        last_step = b - a
        if abs(at_c) < abs(at_b):  # b is always the best so far
            a, b, c = b, c, b
            at_a, at_b, at_c = at_b, at_c, at_b
        near = 2 * np.finfo(float).eps * abs(b) + tolerance / 2
        step = (c - b) / 2
        if abs(step) <= near or at_b == 0:
            break
        if abs(last_step) >= near and abs(at_a) > abs(at_b):
            step = _interpolated(a, b, c, at_a, at_b, at_c, last_step, near)
        if abs(step) < near:
            step = math.copysign(near, step)
        a, at_a = b, at_b
        b += step
        at_b = function(b)
        if (at_b > 0) == (at_c > 0):
            c, at_c = a, at_a
    return b


def _interpolated(
    a: float,
    b: float,
    c: float,
    at_a: float,
    at_b: float,
    at_c: float,
    last_step: float,
    near: float,
) -> float:
    """The secant's or the inverse parabola's step from b, or half of the way to c."""
    way = c - b
    ratio = at_b / at_a
    if a == c:
        p, q = way * ratio, 1.0 - ratio
    else:
        far, mid = at_a / at_c, at_b / at_c
        p = ratio * (way * far * (far - mid) - (b - a) * (mid - 1.0))
        q = (far - 1.0) * (mid - 1.0) * (ratio - 1.0)
    p, q = (p, -q) if p > 0 else (-p, q)
    if p < 0.75 * way * q - abs(near * q) / 2 and p < abs(last_step * q / 2):
        return p / q
    return way / 2


def density(times: Floats, at: Floats, concentration: float) -> Floats:
    """von Mises kernel density (per radian) of a sample of radians at some points."""
    from scipy.special import ive

    result = np.empty(len(at))
    rows = max(1, BLOCK // max(1, len(times)))
    for start in range(0, len(at), rows):
        part = at[start : start + rows]
        kernels = np.exp(concentration * (np.cos(part[:, None] - times) - 1))
        result[start : start + rows] = kernels.mean(axis=1)
    return result / float(math.tau * ive(0, concentration))


def curve(times: Floats, *, points: int = GRID, adjust: float = 1.0) -> pd.DataFrame:
    """The activity curve of a sample of radians: `radians`, `hour` and `density` (per hour).

    Raises:
        InputError: there are fewer than two different times.
    """
    grid = np.linspace(0, math.tau, points)
    fitted = density(times, grid, needed_bandwidth(times) / adjust)
    per_hour = fitted * math.tau / 24
    return pd.DataFrame({"radians": grid, "hour": grid * 24 / math.tau, "density": per_hour})


def needed_bandwidth(times: Floats) -> float:
    """The bandwidth; InputError where there is none."""
    width = bandwidth(times)
    if width is None:
        different = len(np.unique(times))
        raise InputError(
            f"{len(times)} times, {different} of them different, make no activity curve",
            "take a species with more events",
        )
    return width
