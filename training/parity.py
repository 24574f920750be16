"""What another precision changes of a bundle's answers, and how much of that is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.ablation import calibration_error
from training.evaluate import Answers, share_of

LIMITS: dict[str, float] = {
    "agreement": 0.99,
    "mean_drift": 0.01,
    "ece": 0.005,
    "coverage": 0.01,
    "accuracy_of_accepted": 0.005,
}
"""The gate. Least agreement; largest mean drift; by how much the calibration error may rise, and
coverage and accuracy of the accepted may fall. All are shares."""


@dataclass(frozen=True, slots=True)
class Parity:
    """What two graphs of a bundle say of the same photos; pairs are before and after.

    agreement: share of photos with the same most probable label; same_answer: with the same species
    or none; mean_drift, most_drift: of the probability of the label that was most probable before;
    ece: expected calibration error (15 bins); coverage: share that gets a species;
    accuracy_of_accepted: share of those whose most probable label is that of the photo; top1: of
    all. All are 0 to 1.
    """

    photos: int
    agreement: float
    same_answer: float
    mean_drift: float
    most_drift: float
    ece: tuple[float, float]
    coverage: tuple[float, float]
    accuracy_of_accepted: tuple[float, float]
    top1: tuple[float, float]


def compare_answers(before: Answers, after: Answers) -> Parity:
    """The parity of two graphs' answers to the same photos."""
    said, now = before.scores.probabilities, after.scores.probabilities
    best, rows = said.argmax(axis=1), np.arange(len(said))
    drift = np.abs(now[rows, best] - said[rows, best])
    pairs = zip(before.predictions, after.predictions, strict=True)
    one, other = _figures(before), _figures(after)
    return Parity(
        photos=len(said),
        agreement=float((now.argmax(axis=1) == best).mean()),
        same_answer=float(np.mean([was.label == is_.label for was, is_ in pairs])),
        mean_drift=float(drift.mean()),
        most_drift=float(drift.max()),
        ece=(one["ece"], other["ece"]),
        coverage=(one["coverage"], other["coverage"]),
        accuracy_of_accepted=(one["accuracy"], other["accuracy"]),
        top1=(one["top1"], other["top1"]),
    )


def _figures(answers: Answers) -> Mapping[str, float]:
    probabilities = answers.scores.probabilities
    named: NDArray[np.bool_] = np.array([p.label is not None for p in answers.predictions])
    right = probabilities.argmax(axis=1) == answers.label
    return {
        "ece": calibration_error(probabilities, answers.label),
        "coverage": float(named.mean()),
        "accuracy": share_of(right[named]),
        "top1": float(right.mean()),
    }


def faults(parity: Parity, limits: Mapping[str, float] = LIMITS) -> list[str]:
    """Why a precision may not be used, one line a limit that does not hold; empty where it may."""
    rise = parity.ece[1] - parity.ece[0]
    less = parity.coverage[0] - parity.coverage[1]
    worse = parity.accuracy_of_accepted[0] - parity.accuracy_of_accepted[1]
    checks: list[tuple[bool, str]] = [
        (
            parity.agreement >= limits["agreement"],
            f"the same label for {parity.agreement:.2%} of the photos, "
            f"less than {limits['agreement']:.0%}",
        ),
        (
            parity.mean_drift <= limits["mean_drift"],
            f"probabilities are {parity.mean_drift:.4f} off, more than {limits['mean_drift']}",
        ),
        (rise <= limits["ece"], f"the calibration error rises by {rise:.4f}"),
        (less <= limits["coverage"], f"coverage falls by {less:.2%}"),
        (worse <= limits["accuracy_of_accepted"], f"of the accepted {worse:.2%} more are wrong"),
    ]
    return [text for holds, text in checks if not holds]


def as_table(parity: Parity) -> dict[str, Any]:
    """The figures for a JSON file, rounded to 5 digits."""
    names = Parity.__dataclass_fields__
    return {name: _rounded(getattr(parity, name)) for name in names}


def _rounded(value: int | float | tuple[float, float]) -> Any:
    if isinstance(value, tuple):
        return [round(each, 5) for each in value]
    return value if isinstance(value, int) else round(value, 5)
