"""What the bundle is worth: measured once, on photos that nothing before this step has used.

The test photos are answered by the exported graph through the same code as in the field.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from training.crossval import usable
from training.data import HELD_OUT, Dataset
from training.fit import Floats
from training.recipe import Recipe
from training.stack import (
    accepted_by,
    fit_meta,
    load_stack,
    member_probabilities,
    nested_logits,
    out_of_fold,
    temperature,
    testimony,
    undenied_by,
    whiten,
)
from trapsort.bundle import Bundle
from trapsort.ensemble import Prediction, decide, novelty
from trapsort.session import Scores, Session

BINS = 15
BATCH = 8


@dataclass(frozen=True, slots=True)
class Answers:
    """The bundle's answers to some photos of known label."""

    label: NDArray[np.int64]
    scores: Scores
    predictions: Sequence[Prediction]


def answer(bundle: Bundle, session: Session, dataset: Dataset, index: NDArray[np.int64]) -> Answers:
    """Ask the bundle for the photos `index` of a dataset."""
    runs = [
        session.run(dataset.pixels[index[start : start + BATCH]])
        for start in range(0, len(index), BATCH)
    ]
    scores = Scores(
        np.concatenate([run.probabilities for run in runs]),
        np.concatenate([run.members for run in runs]),
        np.concatenate([run.features for run in runs]),
        None if runs[0].other is None else np.concatenate([run.other for run in runs]),
    )
    return Answers(dataset.label[index], scores, decide(scores, bundle))


def calibration_error(probabilities: Floats, label: NDArray[np.int64]) -> float:
    """Expected calibration error of the most probable label, 15 equal bins (Guo et al. 2017)."""
    return float(sum(row["share"] * abs(row["gap"]) for row in reliability(probabilities, label)))


def reliability(probabilities: Floats, label: NDArray[np.int64]) -> list[dict[str, float]]:
    """Confidence and accuracy of each occupied bin of the most probable label's probability."""
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == label
    place = np.minimum((sure * BINS).astype(int), BINS - 1)
    rows = []
    for number in range(BINS):
        inside = place == number
        if inside.any():
            confidence, accuracy = float(sure[inside].mean()), float(right[inside].mean())
            rows.append(
                {
                    "confidence": confidence,
                    "accuracy": accuracy,
                    "gap": accuracy - confidence,
                    "share": float(inside.mean()),
                    "photos": int(inside.sum()),
                }
            )
    return rows


def wilson(successes: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    z, share = 1.959964, successes / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * np.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return float(middle - half), float(middle + half)


def share_of(right: NDArray[np.bool_]) -> float:
    """Share of what is true; 0 where there is nothing."""
    return float(right.mean()) if len(right) else 0.0


def score_test(answers: Answers, labels: Sequence[str], species: int) -> dict[str, Any]:
    """All figures of the test photos: accuracy, coverage, calibration, per class, confusion."""
    probabilities, label = answers.scores.probabilities, answers.label
    best = probabilities.argmax(axis=1)
    among = probabilities[:, :species].argmax(axis=1)
    named = np.array([p.label is not None for p in answers.predictions])
    right = best == label
    reasons = [p.reason for p in answers.predictions if p.reason]
    confusion = np.zeros((species, len(labels)), int)
    np.add.at(confusion, (label, best), 1)
    per_class = []
    for k in range(species):
        own, said = label == k, best == k
        hit = int((own & said).sum())
        precision, recall = hit / max(1, int(said.sum())), hit / max(1, int(own.sum()))
        per_class.append(
            {
                "label": labels[k],
                "photos": int(own.sum()),
                "precision": precision,
                "recall": recall,
                "f1": 2 * precision * recall / max(1e-9, precision + recall),
                "coverage": float(named[own].mean()),
                "accuracy_of_accepted": share_of(right[own & named]),
            }
        )
    return {
        "photos": len(label),
        "top1": float(right.mean()),
        "top1_interval": wilson(int(right.sum()), len(label)),
        "top1_among_species": float((among == label).mean()),
        "coverage": float(named.mean()),
        "accuracy_of_accepted": share_of(right[named]),
        "accepted": int(named.sum()),
        "wrong_accepted": int((~right & named).sum()),
        "ece": calibration_error(probabilities, label),
        "reliability": reliability(probabilities, label),
        "reasons": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        "per_class": per_class,
        "confusion": confusion.tolist(),
    }


def score_negatives(dataset: Dataset, recipe: Recipe, out: Path) -> dict[str, Any]:
    """Share of held-out negatives that are reported as a species, by the fold ensembles.

    The fold ensembles have seen none of these photos, of some not even the species; the shipped
    members are then fitted with them as well.
    """
    stack, _, rule = load_stack(out)
    index = usable(dataset)
    label, fold = dataset.label[index], dataset.fold[index]
    folder = np.array([dataset.folder[i] for i in index])
    held, species = fold == HELD_OUT, len(dataset.species)
    other = testimony(dataset, out)
    named = []
    for run in range(recipe.split.folds):
        members, features = member_probabilities(out, recipe, run)
        train = (fold >= 0) & (fold != run) & (label < species)
        white = whiten(features[train], label[train], species, recipe.decision.novelty_dimensions)
        distance = novelty(white.apply(features[held]), white.centroids)
        probabilities = stack.apply(members[held])
        undenied = undenied_by(
            None if other is None else other[held], rule.max_other, probabilities.argmax(axis=1)
        )
        values = (rule.min_probability, rule.min_agreement, rule.max_distance)
        named.append(
            accepted_by(
                probabilities, members[held], distance, undenied, species=species, rule=values
            )
        )
    share = np.mean(named, axis=0)
    unseen = np.isin(folder[held], recipe.split.held_out_negatives)
    return {
        "photos": int(held.sum()),
        "false_species": float(share.mean()),
        "false_species_seen": float(share[~unseen].mean()),
        "false_species_unseen": float(share[unseen].mean()),
        "by_fold_ensemble": [float(each.mean()) for each in named],
        "by_folder": {
            name: {"photos": int((folder[held] == name).sum()), "false_species": float(rate)}
            for name in dict.fromkeys(folder[held])
            for rate in [share[folder[held] == name].mean()]
        },
        "unseen_species": list(recipe.split.held_out_negatives),
    }


def ablation(dataset: Dataset, recipe: Recipe, out: Path, test: Answers) -> list[dict[str, Any]]:
    """Accuracy and cost of every subset of the members, each with a stack of its own.

    Out-of-fold figures decide; test figures are shown beside them. Milliseconds are CPU time a
    photo on one core in batches of eight.
    """
    oof = out_of_fold(dataset, recipe, out)
    labels, species = len(dataset.labels), len(dataset.species)
    strength = load_stack(out)[0].regularisation
    cost = [member_milliseconds(out / f"{member.name}.onnx") for member in recipe.members]
    animal = oof.label < species
    rows = []
    for size in range(1, len(recipe.members) + 1):
        for chosen in combinations(range(len(recipe.members)), size):
            part = type(oof)(
                oof.index,
                oof.label,
                oof.fold,
                oof.members[:, list(chosen)],
                oof.distance,
                oof.other,
            )
            logits = nested_logits(part, labels, strength)
            scale = temperature(logits, oof.label)
            kernel, bias = fit_meta(part.members, oof.label, labels, strength)
            flat = test.scores.members[:, list(chosen)].reshape(len(test.label), -1)
            probabilities = softmax((flat @ kernel + bias) / scale, axis=1)
            rows.append(
                {
                    "members": [recipe.members[i].name for i in chosen],
                    "out_of_fold_top1": float((logits.argmax(1) == oof.label)[animal].mean()),
                    "test_top1": float((probabilities.argmax(1) == test.label).mean()),
                    "test_ece": calibration_error(probabilities.astype(np.float32), test.label),
                    "cpu_ms": sum(cost[i] for i in chosen),
                }
            )
    return rows


def member_milliseconds(path: Path, repeats: int = 5) -> float:
    """Median CPU milliseconds a photo of a member's graph, one thread, batch 8."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    image = session.get_inputs()[0]
    photos = np.random.default_rng(0).integers(0, 256, (BATCH, *image.shape[1:]), dtype=np.uint8)
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        session.run(None, {image.name: photos})
        times.append((time.process_time() - start) / BATCH * 1000)
    return float(np.median(times[1:]))


def evaluate(
    dataset: Dataset, recipe: Recipe, out: Path, bundle: Bundle, session: Session
) -> dict[str, Any]:
    """Every figure of the model card."""
    test = answer(bundle, session, dataset, dataset.test)
    stack, _, rule = load_stack(out)
    oof = out_of_fold(dataset, recipe, out)
    animal = oof.label < len(dataset.species)
    logits = nested_logits(oof, len(dataset.labels), stack.regularisation)
    probabilities = softmax(logits / stack.temperature, axis=1)
    reached = (rule.coverage, rule.accuracy, rule.false_species)
    return {
        "test": score_test(test, dataset.labels, len(dataset.species)),
        "negatives": score_negatives(dataset, recipe, out),
        "out_of_fold": {
            "photos": len(oof.label),
            "top1": float((probabilities.argmax(1) == oof.label)[animal].mean()),
            "coverage": reached[0],
            "accuracy_of_accepted": reached[1],
            "false_species": reached[2],
            "ece": calibration_error(probabilities.astype(np.float32), oof.label),
        },
        "ablation": ablation(dataset, recipe, out, test),
        "temperature": stack.temperature,
        "rule": {
            name: getattr(rule, name)
            for name in ("min_probability", "min_agreement", "max_distance")
        },
    }
