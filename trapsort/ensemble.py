"""From scores to an answer that can be defended: a species, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trapsort.abstentions import UNCLASSIFIED
from trapsort.bundle import SINGLE, Bundle
from trapsort.decode import Frame
from trapsort.scores import Scores, adjusted, asked, is_finite
from trapsort.session import Session


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a bundle says of one photo.

    label: a species, or None where the bundle abstains; probability: calibrated, of the most
    probable label, 0..1, or None without a finite answer; reason: a key of
    `abstentions.REASON_CODES` where the bundle abstains, else None; top: every label with its
    calibrated probability, most probable first; members: of each member that was asked its name,
    its own first label and that label's probability; precision: of the bundle's graph that
    answered, '' where nothing says so.
    """

    label: str | None
    probability: float | None
    reason: str | None
    top: tuple[tuple[str, float], ...]
    members: tuple[tuple[str, str, float], ...]
    precision: str = ""


@dataclass(frozen=True, slots=True)
class Classifier:
    """A bundle and the session that runs it."""

    bundle: Bundle
    session: Session

    def classify(self, frames: Sequence[Frame]) -> list[Prediction]:
        """One prediction for each frame, in order."""
        if not frames:
            return []
        batch = np.stack([frame.model_input for frame in frames])
        scores = self.session.run(batch)
        usual = self.session.precision
        said = [replace(each, precision=usual) for each in decide(scores, self.bundle)]
        if scores.again is not None:
            for place in np.flatnonzero(scores.again):
                said[place] = replace(said[place], precision=SINGLE)
        return said


def novelty(features: NDArray[np.float32], centroids: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance (N,) of whitened features (N, D) to the nearest of the centroids (species, D).

    In whitened features the Euclidean distance is Mahalanobis's with one covariance for all
    species (Lee et al. 2018, "A simple unified framework for detecting out-of-distribution
    samples").
    """
    apart = features[:, None, :] - centroids[None, :, :]
    nearest: NDArray[np.float32] = np.sqrt((apart**2).sum(axis=2)).min(axis=1)
    return nearest


def agreement(members: NDArray[np.float32], label: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of those members (N, members, labels) that were asked put a label (N,) first."""
    first = members.argmax(axis=2) == label[:, None]
    counts: NDArray[np.int64] = (first & asked(members)).sum(axis=1)
    return counts


def witness_denies(
    other: NDArray[np.float32] | None, best: NDArray[np.int64], bundle: Bundle
) -> NDArray[np.bool_]:
    """Whether a bundle's witness is surer of another animal than the label (N,) allows: (N,)."""
    denied = np.zeros(len(best), bool)
    limits = bundle.decision.max_other
    if other is not None and limits is not None:
        for column, name in enumerate(bundle.species):
            named = best == bundle.labels.index(name)
            denied[named] = other[named, column] > limits[column]
    return denied


def decide(scores: Scores, bundle: Bundle) -> list[Prediction]:
    """Name a species or abstain, for each photo, by the bundle's own rule."""
    scores = adjusted(scores, bundle)
    reasons = _reasons(scores, bundle)
    return [
        _prediction(probability, members, reason, bundle)
        for probability, members, reason in zip(
            scores.probabilities, scores.members, reasons, strict=True
        )
    ]


def _reasons(scores: Scores, bundle: Bundle) -> list[str | None]:
    """The first test that a photo fails: finite, a species, undenied, probable, agreed, known."""
    rule = bundle.decision
    best = scores.probabilities.argmax(axis=1)
    finite = is_finite(scores)
    probable = scores.probabilities.max(axis=1) >= rule.min_probability
    agreed = agreement(scores.members, best) >= rule.min_agreement
    known = np.ones(len(best), bool)
    if rule.centroids is not None and rule.max_distance is not None:
        known = novelty(scores.features, rule.centroids) <= rule.max_distance
    denied = witness_denies(scores.other, best, bundle)
    reasons: list[str | None] = []
    for i, label in enumerate(best):
        name = bundle.labels[label]
        if not finite[i]:
            reasons.append(UNCLASSIFIED)
        elif name not in bundle.species:
            reasons.append(name)
        elif denied[i]:
            reasons.append("other_animal")
        elif not probable[i]:
            reasons.append("low_confidence")
        elif not agreed[i]:
            reasons.append("members_disagree")
        else:
            reasons.append(None if known[i] else "novel")
    return reasons


def _prediction(
    probability: NDArray[np.float32],
    members: NDArray[np.float32],
    reason: str | None,
    bundle: Bundle,
) -> Prediction:
    if reason == UNCLASSIFIED:
        return Prediction(None, None, reason, (), ())
    order = np.argsort(-probability, kind="stable")
    top = tuple((bundle.labels[i], float(probability[i])) for i in order)
    votes = tuple(
        (name, bundle.labels[int(own.argmax())], float(own.max()))
        for name, own in zip(bundle.members, members, strict=True)
        if own.max() > 0
    )
    return Prediction(top[0][0] if reason is None else None, top[0][1], reason, top, votes)
