"""How far two species share the day: coefficients of overlap as in the R package overlap.

Ridout & Linkie (2009); confidence intervals from the bootstrap, as overlap's bootCI has them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from trapsort.survey.activity import GRID, Floats, bandwidth, density, needed_bandwidth

ADJUST = {"Dhat1": 0.8, "Dhat4": 1.0, "Dhat5": 4.0}  # divide the bandwidth
SMALL_SAMPLE = 50  # below this in either sample Dhat1 is the better estimate
SMOOTH_GRID = 512  # moments of the day from which a smoothed bootstrap draws
INTERVALS = ("norm", "norm0", "basic", "basic0", "perc")


@dataclass(frozen=True, slots=True)
class Overlap:
    """Coefficients of overlap, 0..1, of samples of `n` and `m` times.

    `best` is the estimate that Ridout & Linkie advise for samples of this size, by its name.
    """

    n: int
    m: int
    dhat1: float
    dhat4: float
    dhat5: float

    @property
    def best(self) -> str:
        """'Dhat4' where both samples are large enough, else 'Dhat1'."""
        return "Dhat1" if min(self.n, self.m) < SMALL_SAMPLE else "Dhat4"

    @property
    def estimate(self) -> float:
        """The best estimate."""
        return self.dhat1 if self.best == "Dhat1" else self.dhat4


def overlap(first: Floats, second: Floats, *, points: int = GRID) -> Overlap:
    """Dhat1, Dhat4 and Dhat5 of two samples of radians, as overlap's overlapEst.

    Raises:
        InputError: one has fewer than two different times.
    """
    widths = needed_bandwidth(first), needed_bandwidth(second)
    return _overlap(first, second, widths, points)


def _overlap(first: Floats, second: Floats, widths: tuple[float, float], points: int) -> Overlap:
    grid = np.linspace(0, math.tau, points)

    def fitted(at: Floats, adjust: float) -> tuple[Floats, Floats]:
        return density(first, at, widths[0] / adjust), density(second, at, widths[1] / adjust)

    def at_samples(adjust: float) -> tuple[Floats, Floats]:
        both = np.concatenate([first, second])
        if len(both) <= points * 1.1:
            return fitted(both, adjust)
        a, b = fitted(grid, adjust)
        return np.interp(both, grid, a), np.interp(both, grid, b)

    a, b = (side[1:] for side in fitted(grid, ADJUST["Dhat1"]))
    dhat1 = np.minimum(a / a.sum(), b / b.sum()).sum()
    n = len(first)
    a, b = at_samples(ADJUST["Dhat4"])
    dhat4 = (np.minimum(1, b[:n] / a[:n]).mean() + np.minimum(1, a[n:] / b[n:]).mean()) / 2
    a, b = at_samples(ADJUST["Dhat5"])
    dhat5 = (b[:n] > a[:n]).mean() + (a[n:] >= b[n:]).mean()
    return Overlap(n, len(second), float(dhat1), float(dhat4), float(dhat5))


def bootstrap(
    first: Floats,
    second: Floats,
    *,
    repeats: int,
    estimate: str,
    smooth: bool = True,
    seed: int = 0,
    points: int = GRID,
) -> Floats:
    """Estimates (`Dhat1`, ...) of resamples of both samples; NaN where a resample has no curve.

    A smoothed bootstrap draws from the fitted curves, at `SMOOTH_GRID` moments of the day.
    """
    random = np.random.default_rng(seed)
    name = estimate.lower()
    draws = _drawn(first, repeats, smooth, random), _drawn(second, repeats, smooth, random)
    estimates = np.full(repeats, np.nan)
    for place, (one, other) in enumerate(zip(*draws, strict=True)):
        widths = bandwidth(one), bandwidth(other)
        if widths[0] is not None and widths[1] is not None:
            both = (widths[0], widths[1])
            estimates[place] = getattr(_overlap(one, other, both, points), name)
    return estimates


def _drawn(times: Floats, repeats: int, smooth: bool, random: np.random.Generator) -> Floats:
    """Resamples of a sample, one a row."""
    size = (repeats, len(times))
    if not smooth:
        return random.choice(times, size)
    grid = np.linspace(0, math.tau, SMOOTH_GRID)[1:]  # the first and the last are both midnight
    weights = density(times, grid, needed_bandwidth(times))
    return random.choice(grid, size, p=weights / weights.sum())


def confidence(estimate: float, resampled: Floats, *, level: float = 0.95) -> pd.DataFrame:
    """`lower` and `upper` limits by kind of interval (`INTERVALS`, the index).

    `norm` and `basic` take the bootstrap's bias away, `norm0` and `basic0` only centre on the
    estimate, `perc` are the resamples' own quantiles; NaN where there are too few of those.
    """
    from scipy.stats import norm

    kept = resampled[np.isfinite(resampled)]
    bias = kept.mean() - estimate
    error = kept.std(ddof=1) * norm.ppf((1 + level) / 2)
    low, high = _quantiles(kept, level)
    limits = [
        (estimate - bias - error, estimate - bias + error),
        (estimate - error, estimate + error),
        (2 * estimate - high, 2 * estimate - low),
        (low - bias, high - bias),
        (low, high),
    ]
    return pd.DataFrame(limits, columns=["lower", "upper"], index=pd.Index(INTERVALS, name="kind"))


def _quantiles(values: Floats, level: float) -> tuple[float, float]:
    """Both quantiles, interpolated on the scale of the normal distribution."""
    from scipy.stats import norm

    ordered, number = np.sort(values), len(values)
    shares = np.array([1 - level, 1 + level]) / 2
    ranks = (number + 1) * shares
    if not ((ranks > 1) & (ranks < number)).all():
        return math.nan, math.nan
    below = np.floor(ranks).astype(int)
    ends = norm.ppf(np.array([below, below + 1]) / (number + 1))
    part = (norm.ppf(shares) - ends[0]) / (ends[1] - ends[0])
    part = np.where(below == ranks, 0.0, part)
    low, high = ordered[below - 1] + part * (ordered[below] - ordered[below - 1])
    return float(low), float(high)
