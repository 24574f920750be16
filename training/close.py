"""Close calls: where 8 bits would sometimes name another species, single precision is asked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluate import Answers
from trapsort.bundle import Bundle
from trapsort.ensemble import decide
from trapsort.scores import Scores, answered_again, is_close

STEP = 0.05
"""Margins are multiples of it."""

COVERED = 0.9
"""Of the views in which 8 bits put another species first, so many are to be close calls: for the
few others every photo between would cost the time of single precision."""

MOST = 0.5
"""Where 8 bits need a larger margin they may not be used: they are wrong where they are sure."""


@dataclass(frozen=True, slots=True)
class Margin:
    """Below which margin, 0 to 1, a call is close, and what that stands on.

    views: that were looked at; changed: of them, in which another species came first; left: of
    these, that are no close call.
    """

    margin: float
    views: int
    changed: int
    left: int


def names_another(before: Scores, after: Scores, species: int) -> NDArray[np.bool_]:
    """Where (N,) the most probable label is another one; all that are no species count as one."""
    said, now = (np.minimum(each.probabilities.argmax(axis=1), species) for each in (before, after))
    return np.asarray(said != now)


def find_margin(pairs: Iterable[tuple[Scores, Scores]], species: int) -> Margin:
    """The margin of close calls, from scores before and after.

    The lowest multiple of `STEP` that is above what was between the two most probable labels after
    in `COVERED` of the views in which these were others than before; 0 where there was none.
    """
    apart: list[float] = []
    views = 0
    for before, after in pairs:
        changed = names_another(before, after, species)
        most = np.sort(after.probabilities[changed], axis=1)[:, ::-1]
        apart += (most[:, 0] - most[:, 1]).tolist()
        views += len(changed)
    if not apart:
        return Margin(0.0, views, 0, 0)
    covered = sorted(apart)[math.ceil(COVERED * len(apart)) - 1]
    margin = min(1.0, round((math.floor(covered / STEP) + 1) * STEP, 2))
    return Margin(margin, views, len(apart), sum(each >= margin for each in apart))


def as_used(before: Answers, after: Answers, bundle: Bundle, margin: float) -> Answers:
    """What the field gets: the answers after, but for close calls those before."""
    close = is_close(after.scores.probabilities, bundle, margin)
    exact = before.scores.part(np.flatnonzero(close))
    scores = answered_again(after.scores, close, exact)
    return Answers(after.label, scores, decide(scores, bundle))


def share(answers: Answers) -> float:
    """Share of close calls, 0 to 1, among photos answered `as_used`."""
    again = answers.scores.again
    return 0.0 if again is None else float(again.mean())
