"""The meta-learner: one calibrated answer from the members' probabilities, perhaps in two steps.

A cascade asks the cheap members first. Where they agree and their own stack is sure of a label, or
where it is sure that there is none of the species, that is the answer; only else the others are
asked and the stack of all decides. Everything here is fitted on
out-of-fold probabilities: what members said of photos that they had not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from training.fit import Floats
from training.recipe import CascadeRecipe

REGULARISATION = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Inverse strengths that the meta-learner is tried with, on out-of-fold photos."""

EXITS = np.round(np.arange(0.90, 0.996, 0.01), 2)
"""Probabilities that are tried as the one from which on the first members answer alone.

All are above what thresholds ask of a species: who is near those is worth a second opinion.
"""


@dataclass(frozen=True, slots=True)
class Cascade:
    """When the first members answer alone, and their stack.

    first: how many; the other members are not asked where these all put the same label first and
    `stack` gives some label at least `min_probability`, nor where it gives that to all labels
    after the first `species` together.
    """

    first: int
    species: int
    stack: Stack
    min_probability: float

    def sure(self, members: Floats, probabilities: Floats) -> NDArray[np.bool_]:
        """Which photos (n,) end here; probabilities: (n, labels), those of the first stack."""
        said = members[:, : self.first].argmax(axis=2)
        agreed = (said == said[:, :1]).all(axis=1)
        enough = np.float32(self.min_probability)
        none = probabilities[:, self.species :].sum(axis=1) >= enough
        passed: NDArray[np.bool_] = (agreed & (probabilities.max(axis=1) >= enough)) | none
        return passed


@dataclass(frozen=True, slots=True)
class Stack:
    """A fitted meta-learner with its temperature folded in.

    kernel: (members x labels, labels); bias: (labels,); cascade: which photos get an answer
    without the last members, or None where all members are always asked.
    """

    kernel: Floats
    bias: Floats
    temperature: float
    regularisation: float
    cascade: Cascade | None = None

    def apply(self, members: Floats) -> Floats:
        """Calibrated probabilities (n, labels) of member probabilities (n, members, labels)."""
        whole = _softmax(members, self.kernel, self.bias)
        if self.cascade is None:
            return whole
        first = self.cascade.stack.apply(members[:, : self.cascade.first])
        return np.where(self.cascade.sure(members, first)[:, None], first, whole)

    def asked(self, members: Floats) -> Floats:
        """Member probabilities with 0 for every label of those that the cascade does not ask."""
        if self.cascade is None:
            return members
        first = self.cascade.stack.apply(members[:, : self.cascade.first])
        return unasked(members, self.cascade.sure(members, first), self.cascade.first)


def _softmax(members: Floats, kernel: Floats, bias: Floats) -> Floats:
    flat = members.reshape(len(members), -1)
    return np.asarray(softmax(flat @ kernel + bias, axis=1), np.float32)


def unasked(members: Floats, sure: NDArray[np.bool_], first: int) -> Floats:
    """A copy in which the members after the `first` say nothing, 0, of the photos `sure` (n,)."""
    votes = members.copy()
    votes[sure, first:] = 0
    return votes


def fit_meta(
    members: Floats, label: NDArray[np.int64], labels: int, strength: float
) -> tuple[Floats, Floats]:
    """Kernel and bias of a multinomial logistic regression on member probabilities."""
    flat = members.reshape(len(members), -1)
    model = LogisticRegression(C=strength, max_iter=2000).fit(flat, label)
    kernel = np.zeros((flat.shape[1], labels), np.float32)
    bias = np.full(labels, -30.0, np.float32)
    kernel[:, model.classes_] = model.coef_.T
    bias[model.classes_] = model.intercept_
    return kernel, bias


def nested_logits(
    members: Floats,
    label: NDArray[np.int64],
    fold: NDArray[np.int64],
    *,
    labels: int,
    strength: float,
) -> Floats:
    """Meta-learner's logits (n, labels) of each fold from a fit on the other folds."""
    logits = np.zeros((len(label), labels), np.float32)
    flat = members.reshape(len(label), -1)
    for run in np.unique(fold):
        held = fold == run
        kernel, bias = fit_meta(members[~held], label[~held], labels, strength)
        logits[held] = flat[held] @ kernel + bias
    return logits


def temperature(logits: Floats, label: NDArray[np.int64]) -> float:
    """Divisor of the logits with the least cross-entropy (Guo et al. 2017), 0.2 to 5."""

    def loss(value: float) -> float:
        return cross_entropy(logits / value, label)

    return float(minimize_scalar(loss, bounds=(0.2, 5.0), method="bounded").x)


def cross_entropy(logits: Floats, label: NDArray[np.int64]) -> float:
    """Mean negative log-probability of the labels."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(label)), label].mean())


def fit_calibrated(
    members: Floats, label: NDArray[np.int64], fold: NDArray[np.int64], labels: int
) -> tuple[Stack, Floats]:
    """The meta-learner with the regularisation and temperature that suit it best, on all photos.

    And its calibrated probabilities (n, labels) of each fold by fits on the other folds.
    """
    tried = {
        strength: nested_logits(members, label, fold, labels=labels, strength=strength)
        for strength in REGULARISATION
    }
    scale = {c: temperature(logits, label) for c, logits in tried.items()}
    best = min(tried, key=lambda c: cross_entropy(tried[c] / scale[c], label))
    kernel, bias = fit_meta(members, label, labels, best)
    stack = Stack(kernel / scale[best], bias / scale[best], scale[best], best)
    probabilities: Floats = softmax(tried[best] / scale[best], axis=1)
    return stack, probabilities


@dataclass(frozen=True, slots=True)
class Fitted:
    """A stack, and what it says of each fold's photos where it was fitted on the other folds.

    probabilities: (n, labels); whole: the same where all members are always asked; votes:
    (n, members, labels), 0 for members that were not asked.
    """

    stack: Stack
    probabilities: Floats
    whole: Floats
    votes: Floats


def fit_ensemble(
    members: Floats,
    label: NDArray[np.int64],
    fold: NDArray[np.int64],
    *,
    labels: int,
    species: int,
    recipe: CascadeRecipe | None,
) -> Fitted:
    """Fit the stack of all members and, where the recipe wants it, that of the first ones.

    Each exit of the cascade has a stack and a temperature of its own. The first members answer
    alone from the lowest probability on at which, and above which, the whole's Brier score is no
    worse than the recipe allows; where there is none, there is no cascade. (The log loss is no
    judge here: two mislabelled photos outweigh all others.)
    """
    stack, whole = fit_calibrated(members, label, fold, labels)
    if recipe is None:
        return Fitted(stack, whole, whole, members)
    cheap, first = fit_calibrated(members[:, : recipe.first], label, fold, labels)
    worst = brier_score(whole, label) * (1 + recipe.brier_margin)
    chosen: tuple[Cascade, Floats, NDArray[np.bool_]] | None = None
    for probability in EXITS[::-1]:
        cascade = Cascade(recipe.first, species, cheap, float(probability))
        sure = cascade.sure(members, first)
        mixed = np.where(sure[:, None], first, whole)
        if brier_score(mixed, label) > worst:
            break
        chosen = cascade, mixed, sure
    if chosen is None:
        return Fitted(stack, whole, whole, members)
    cascade, mixed, sure = chosen
    votes = unasked(members, sure, recipe.first)
    return Fitted(replace(stack, cascade=cascade), mixed, whole, votes)


def brier_score(probabilities: Floats, label: NDArray[np.int64]) -> float:
    """Mean squared distance, 0 to 2, of probabilities (n, labels) from the truth (Brier 1950)."""
    own = probabilities[np.arange(len(label)), label]
    return float(((probabilities**2).sum(axis=1) - 2 * own + 1).mean())
