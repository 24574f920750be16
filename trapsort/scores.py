"""What a bundle's graph says of photos, and how close a call that is; nothing is decided here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trapsort.bundle import Bundle


@dataclass(frozen=True, slots=True)
class Scores:
    """What a graph answers for N photos.

    probabilities: float32 (N, labels), calibrated, rows sum to 1; members: float32
    (N, members, labels), each member's own; features: float32 (N, dimensions), whitened, of no
    dimension without a test of novelty; other: float32 (N, species), the share of other animals
    that a witness sees, or None without one; again: bool (N,), which photos were so close that
    single precision has answered them, or None where a graph answered all of them itself.
    """

    probabilities: NDArray[np.float32]
    members: NDArray[np.float32]
    features: NDArray[np.float32]
    other: NDArray[np.float32] | None = None
    again: NDArray[np.bool_] | None = None

    def part(self, index: NDArray[np.intp]) -> Scores:
        """The scores of the photos at some places."""
        return Scores(
            self.probabilities[index],
            self.members[index],
            self.features[index],
            None if self.other is None else self.other[index],
            None if self.again is None else self.again[index],
        )


def joined(parts: Sequence[Scores]) -> Scores:
    """Scores of one bundle, one after another; there must be at least one."""
    other = [part.other for part in parts if part.other is not None]
    again = [
        np.zeros(len(part.probabilities), bool) if part.again is None else part.again
        for part in parts
    ]
    return Scores(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.members for part in parts]),
        np.concatenate([part.features for part in parts]),
        np.concatenate(other) if other else None,
        None if all(part.again is None for part in parts) else np.concatenate(again),
    )


def answered_again(scores: Scores, close: NDArray[np.bool_], exact: Scores) -> Scores:
    """Scores of N photos, those that are close (N,) as single precision answered them."""

    def mixed(former: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.float32]:
        values = former.copy()
        values[close] = new
        return values

    other = scores.other
    if other is not None and exact.other is not None:
        other = mixed(other, exact.other)
    return Scores(
        mixed(scores.probabilities, exact.probabilities),
        mixed(scores.members, exact.members),
        mixed(scores.features, exact.features),
        other,
        close,
    )


def asked(members: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which members (N, members) of (N, members, labels) were asked: a cascade's others are 0."""
    return np.asarray(members.max(axis=2) > 0)


def is_finite(scores: Scores) -> NDArray[np.bool_]:
    """Whether each photo's probabilities and features are numbers: (N,)."""
    answers = np.concatenate([scores.probabilities, scores.features], axis=1)
    return np.asarray(np.isfinite(answers).all(axis=1))


def among(
    probabilities: NDArray[np.float32], possible: NDArray[np.bool_], temperature: float = 1.0
) -> NDArray[np.float32]:
    """Probabilities (..., labels) once only some labels are possible and logits are divided by T.

    Equals the softmax of the masked and divided logits. All that is possible is equally probable
    where all of it had probability 0.
    """
    if temperature == 1 and possible.all():
        return probabilities
    with np.errstate(invalid="ignore"):  # what was not finite before stays so
        raised = np.where(possible, probabilities.astype(np.float64) ** (1 / temperature), 0)
        total = raised.sum(axis=-1, keepdims=True)
        raised = np.where(total == 0, possible, raised)
        shares = raised / raised.sum(axis=-1, keepdims=True)
    return shares.astype(np.float32)  # type: ignore[no-any-return]


def possible(bundle: Bundle) -> NDArray[np.bool_]:
    """Which labels (labels,) a taxon leaves; without one, all."""
    return np.array([label not in bundle.masked for label in bundle.labels])


def adjusted(scores: Scores, bundle: Bundle) -> Scores:
    """Scores as the bundle's site profile and taxon change them; without either, as they are.

    The temperature is that of the ensemble; a label that is masked is so for each member as well.
    """
    labels = possible(bundle)
    members = among(scores.members, labels)
    return replace(
        scores,
        probabilities=among(scores.probabilities, labels, bundle.temperature),
        members=np.where(asked(scores.members)[:, :, None], members, 0),
    )


def is_close(
    probabilities: NDArray[np.float32], bundle: Bundle, margin: float
) -> NDArray[np.bool_]:
    """Which photos (N,) are close calls, by probabilities (N, labels) before any site profile.

    One of the two most probable labels is a species, and the second is less than `margin` (0 to 1)
    behind. Which of two rejections is the more probable one changes no species. Labels that a
    taxon masks do not count. What is not finite is not close.
    """
    shares = among(probabilities, possible(bundle))
    if (2 * shares.max(axis=1) - 1 >= margin).all():  # the second has what is left, at most
        return np.zeros(len(shares), bool)
    first, second = np.argsort(-shares, axis=1, kind="stable")[:, :2].T
    rows = np.arange(len(shares))
    named = np.array([label in bundle.species for label in bundle.labels])
    close = shares[rows, first] - shares[rows, second] < margin
    return np.asarray(close & (named[first] | named[second]))
