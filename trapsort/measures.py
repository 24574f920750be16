"""How good answers are: pure functions of probabilities and of which answers were right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """0..1; None of nothing."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval (Wilson 1927); None of nothing."""
        return wilson(self.count, self.of) if self.of else None


def share(true: Bools) -> Share:
    """How many of some are true."""
    return Share(int(true.sum()), len(true))


def wilson(successes: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927), 0..1; `of` is positive."""
    z, share = 1.959964, successes / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def calibration_error(sure: Floats, right: Bools) -> float:
    """Expected calibration error of N probabilities, 15 bins of equal width (Guo et al. 2017)."""
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    gap = np.bincount(place, right, BINS) - np.bincount(place, sure, BINS)
    return float(np.abs(gap).sum() / len(sure))


@dataclass(frozen=True, slots=True)
class RiskCoverage:
    """What is wrong among the surest photos, at each distinct probability, the surest first.

    coverage, risk, probability: float64 (M,), the share of photos at least so probable, the share
    of wrong ones among them, and the probability; area: below the curve (AURC of Geifman et al.
    2019, "Bias-reduced uncertainty estimation"), photos of the same probability taken together.
    """

    coverage: Floats
    risk: Floats
    probability: Floats
    area: float


def risk_coverage(sure: Floats, right: Bools) -> RiskCoverage:
    """Risk-coverage curve of N probabilities and whether each answer was right."""
    order = np.argsort(-sure, kind="stable")
    ordered = sure[order].astype(np.float64)
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    wrong = np.cumsum(~right[order])[last]
    coverage, risk = (last + 1) / len(sure), wrong / (last + 1)
    area = float((risk * np.diff(coverage, prepend=0)).sum())
    return RiskCoverage(coverage, risk, ordered[last], area)
