"""From members to one answer: meta-learner, novelty, thresholds.

Everything here is fitted on out-of-fold scores: what members said of photos they had not seen.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.decomposition import PCA

from training.crossval import FINAL, load_run, usable
from training.data import Dataset
from training.fit import Floats, dense_logits, load_arrays, save_arrays
from training.meta import Cascade, Stack, fit_ensemble
from training.recipe import DecisionRecipe, Recipe, WitnessRecipe
from trapsort.ensemble import agreement, novelty


@dataclass(frozen=True, slots=True)
class Whitening:
    """Pooled features to a space in which distances are Mahalanobis's.

    kernel (channels, dimensions), bias (dimensions,); centroids (species, dimensions).
    """

    kernel: Floats
    bias: Floats
    centroids: Floats

    def apply(self, features: Floats) -> Floats:
        """Whitened features (n, dimensions) of pooled features (n, channels)."""
        return (features @ self.kernel + self.bias).astype(np.float32)


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What fold ensembles said of every development photo.

    index (n,) into `usable`; label, fold (n,); members (n, members, labels);
    distance (n,), novelty by a projection that had not seen the photo; other (n, species), the
    witness's, or None without one.
    """

    index: NDArray[np.int64]
    label: NDArray[np.int64]
    fold: NDArray[np.int64]
    members: Floats
    distance: Floats
    other: Floats | None


def member_probabilities(out: Path, recipe: Recipe, run: int | str) -> tuple[Floats, Floats]:
    """A run's member probabilities (n, members, labels) and joined features (n, channels).

    The features are those of the members that are asked of every photo.
    """
    probabilities, joined = [], []
    for member in recipe.members:
        features, dense = load_run(out, member.name, run)
        own: Floats = softmax(dense_logits(features, dense), axis=1)
        probabilities.append(own)
        joined += [features] if member in recipe.always_asked else []
    return np.stack(probabilities, axis=1).astype(np.float32), np.concatenate(joined, axis=1)


def whiten(features: Floats, label: NDArray[np.int64], species: int, dimensions: int) -> Whitening:
    """Fit a projection and the species' centroids on features of photos that are species.

    Channels are scaled to unit variance, projected on their principal components, then whitened by
    the covariance within species (Lee et al. 2018).
    """
    scale = 1.0 / (features.std(axis=0) + 1e-3)
    mean = features.mean(axis=0)
    pca = PCA(dimensions, svd_solver="randomized", random_state=0).fit((features - mean) * scale)
    projected = pca.transform((features - mean) * scale)
    centroids = np.stack([projected[label == k].mean(axis=0) for k in range(species)])
    within = np.cov((projected - centroids[label]).T)
    values, vectors = np.linalg.eigh(within)
    turn = vectors / np.sqrt(np.maximum(values, 1e-6))
    kernel = (scale[:, None] * pca.components_.T) @ turn
    bias = -(mean @ kernel) - (pca.mean_ @ pca.components_.T) @ turn
    return Whitening(
        kernel.astype(np.float32), bias.astype(np.float32), (centroids @ turn).astype(np.float32)
    )


def out_of_fold(dataset: Dataset, recipe: Recipe, out: Path) -> OutOfFold:
    """Collect what each fold's ensemble said of the photos of that fold.

    Raises `LeakageError` where a test photo is among them.
    """
    index = usable(dataset)
    label, fold = dataset.label[index], dataset.fold[index]
    dataset.learning(index[fold >= 0], "stack")
    species = len(dataset.species)
    members = np.zeros((len(index), len(recipe.members), len(dataset.labels)), np.float32)
    distance = np.zeros(len(index), np.float32)
    for run in range(recipe.split.folds):
        probabilities, features = member_probabilities(out, recipe, run)
        held, train = fold == run, (fold >= 0) & (fold != run) & (label < species)
        white = whiten(features[train], label[train], species, recipe.decision.novelty_dimensions)
        members[held] = probabilities[held]
        distance[held] = novelty(white.apply(features[held]), white.centroids)
    used = np.flatnonzero(fold >= 0)
    other = testimony(dataset, out)
    return OutOfFold(
        used,
        label[used],
        fold[used],
        members[used],
        distance[used],
        None if other is None else other[used],
    )


def testimony(dataset: Dataset, out: Path) -> Floats | None:
    """The witness's shares (n, species) of `usable(dataset)`, or None where there is none."""
    path = out / "witness.npy"
    if not path.exists():
        return None
    other: Floats = np.load(path)
    return other


@dataclass(frozen=True, slots=True)
class Rule:
    """Thresholds and what they reach out of fold: shares in 0..1."""

    min_probability: float
    min_agreement: int
    max_distance: float
    max_other: tuple[float, ...] | None
    coverage: float
    accuracy: float
    false_species: float


def accepted_by(
    probabilities: Floats,
    members: Floats,
    distance: Floats,
    undenied: NDArray[np.bool_],
    *,
    species: int,
    rule: tuple[float, int, float],
) -> NDArray[np.bool_]:
    """Which photos (n,) a rule (probability, agreement, distance) reports as a species."""
    best = probabilities.argmax(axis=1)
    accepted: NDArray[np.bool_] = (
        (best < species)
        & undenied
        & (probabilities.max(axis=1) >= rule[0])
        & (agreement(members, best) >= rule[1])
        & (distance <= rule[2])
    )
    return accepted


def undenied_by(
    other: Floats | None, limits: Sequence[float] | None, best: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which photos (n,) the witness lets pass as the most probable label (n,)."""
    passed = np.ones(len(best), bool)
    for column, limit in enumerate(limits or ()):
        if other is not None:
            named = best == column
            passed[named] = other[named, column] <= limit
    return passed


def witness_limits(
    other: Floats | None,
    label: NDArray[np.int64],
    best: NDArray[np.int64],
    recipe: WitnessRecipe | None,
) -> tuple[float, ...] | None:
    """For each species the witness's `quantile` on photos of it that the ensemble got right.

    Of a species that it never got right, on all photos of it.
    """
    if other is None or recipe is None:
        return None
    limits = []
    for k in range(other.shape[1]):
        own = label == k
        right = own & (best == k)
        limits.append(float(np.quantile(other[right if right.any() else own, k], recipe.quantile)))
    return tuple(limits)


def outcome(
    accepted: NDArray[np.bool_], best: NDArray[np.int64], label: NDArray[np.int64], species: int
) -> tuple[float, float, float]:
    """Coverage and accuracy among species photos, and share of others reported as a species."""
    animal = label < species
    right = (best == label)[accepted & animal]
    false = accepted[~animal].mean() if (~animal).any() else 0.0
    return float(accepted[animal].mean()), float(right.mean() if len(right) else 0), float(false)


def choose_rule(
    probabilities: Floats,
    votes: Floats,
    oof: OutOfFold,
    *,
    species: int,
    limits: tuple[float, ...] | None,
    recipe: DecisionRecipe,
) -> Rule:
    """The thresholds with the fewest false species that keep the target accuracy and coverage.

    votes: (n, members, labels), 0 for members that were not asked.
    Where no rule reaches all targets, the one that misses them least.
    """
    rules = []
    animal, best = oof.label < species, probabilities.argmax(axis=1)
    undenied = undenied_by(oof.other, limits, best)
    for percentile in (90.0, 95.0, 97.5, 99.0, 99.5):
        farthest = float(np.percentile(oof.distance[animal], percentile))
        for together in range(1, votes.shape[1] + 1):
            for probability in np.arange(0.30, 0.991, 0.01):
                values = (float(probability), together, farthest)
                accepted = accepted_by(
                    probabilities,
                    votes,
                    oof.distance,
                    undenied,
                    species=species,
                    rule=values,
                )
                rules.append(Rule(*values, limits, *outcome(accepted, best, oof.label, species)))

    def miss(rule: Rule) -> tuple[float, float]:
        short = max(0.0, recipe.target_accuracy - rule.accuracy) * 4
        short += max(0.0, recipe.target_coverage - rule.coverage)
        short += max(0.0, rule.false_species - recipe.target_false_species)
        return round(short, 6), rule.false_species - rule.accuracy

    return min(rules, key=miss)


def fit_stack(dataset: Dataset, recipe: Recipe, out: Path) -> None:
    """Fit all of it and write `stack.npz` and `stack.json` below `out`."""
    oof = out_of_fold(dataset, recipe, out)
    labels, species = len(dataset.labels), len(dataset.species)
    fitted = fit_ensemble(
        oof.members, oof.label, oof.fold, labels=labels, species=species, recipe=recipe.cascade
    )
    stack, probabilities = fitted.stack, fitted.probabilities
    limits = witness_limits(oof.other, oof.label, probabilities.argmax(axis=1), recipe.witness)
    rule = choose_rule(
        probabilities,
        fitted.votes,
        oof,
        species=species,
        limits=limits,
        recipe=recipe.decision,
    )
    _, features = member_probabilities(out, recipe, FINAL)
    index = usable(dataset)
    animal = np.flatnonzero((dataset.fold[index] >= 0) & (dataset.label[index] < species))
    white = whiten(
        features[animal], dataset.label[index][animal], species, recipe.decision.novelty_dimensions
    )
    save_arrays(
        out / "stack.npz",
        {
            **_stack_arrays(stack),
            "white/kernel": white.kernel,
            "white/bias": white.bias,
            "white/centroids": white.centroids,
            "oof/probabilities": probabilities,
            "oof/whole": fitted.whole,
            "oof/votes": fitted.votes,
            "oof/label": oof.label,
        },
    )
    summary = {
        **_stack_summary(stack),
        "rule": {name: getattr(rule, name) for name in Rule.__slots__},
    }
    (out / "stack.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


def load_stack(out: Path) -> tuple[Stack, Whitening, Rule]:
    """What `fit_stack` wrote."""
    arrays = load_arrays(out / "stack.npz")
    summary = json.loads((out / "stack.json").read_text(encoding="utf-8"))
    stack = _stack(arrays, summary)
    white = Whitening(arrays["white/kernel"], arrays["white/bias"], arrays["white/centroids"])
    return stack, white, Rule(**summary["rule"])


def _stack_arrays(stack: Stack) -> dict[str, Floats]:
    arrays = {"kernel": stack.kernel, "bias": stack.bias}
    if stack.cascade is not None:
        first = stack.cascade.stack
        arrays |= {"first/kernel": first.kernel, "first/bias": first.bias}
    return arrays


def _stack_summary(stack: Stack) -> dict[str, Any]:
    summary: dict[str, Any] = {
        "temperature": stack.temperature,
        "regularisation": stack.regularisation,
    }
    if stack.cascade is not None:
        summary["cascade"] = {
            "first": stack.cascade.first,
            "species": stack.cascade.species,
            "min_probability": stack.cascade.min_probability,
            **_stack_summary(stack.cascade.stack),
        }
    return summary


def _stack(arrays: dict[str, NDArray[Any]], summary: dict[str, Any]) -> Stack:
    whole = Stack(
        arrays["kernel"], arrays["bias"], summary["temperature"], summary["regularisation"]
    )
    table = summary.get("cascade")
    if table is None:
        return whole
    first = Stack(
        arrays["first/kernel"], arrays["first/bias"], table["temperature"], table["regularisation"]
    )
    cascade = Cascade(table["first"], table["species"], first, table["min_probability"])
    return replace(whole, cascade=cascade)
