"""What the bundle is worth: measured once, on photos that nothing before this step has used.

The test photos are answered by the exported graph through the same code as in the field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from training.ablation import BATCH, ablation, calibration_error, exits, member_milliseconds
from training.crossval import usable
from training.data import HELD_OUT, Dataset
from training.fit import Floats, load_arrays
from training.graph import ask_everyone
from training.recipe import Recipe
from training.stack import (
    accepted_by,
    load_stack,
    member_probabilities,
    testimony,
    undenied_by,
    whiten,
)
from trapsort import measures
from trapsort.bundle import Bundle
from trapsort.ensemble import Prediction, decide, novelty
from trapsort.scores import Scores, joined
from trapsort.session import OnnxSession, Session, load_graph


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
    scores = joined(runs)
    return Answers(dataset.label[index], scores, decide(scores, bundle))


def open_everyone(bundle: Bundle) -> Session:
    """The bundle's graph without its cascade: every member is asked of every photo."""
    import onnx

    model = onnx.load(bundle.graph_file())
    ask_everyone(model)
    return OnnxSession(load_graph(model.SerializeToString()), bundle.decision)


def reliability(probabilities: Floats, label: NDArray[np.int64]) -> list[dict[str, float]]:
    """Confidence and accuracy of each occupied bin of the most probable label's probability."""
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == label
    place = np.minimum((sure * measures.BINS).astype(int), measures.BINS - 1)
    rows = []
    for number in range(measures.BINS):
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
    every = range(len(labels))
    confusion = confusion_matrix(label, best, labels=every)[:species]
    precision, recall, f1, photos = precision_recall_fscore_support(
        label, best, labels=range(species), zero_division=0.0
    )
    per_class = [
        {
            "label": labels[k],
            "photos": int(photos[k]),
            "precision": float(precision[k]),
            "recall": float(recall[k]),
            "f1": float(f1[k]),
            "coverage": float(named[label == k].mean()),
            "accuracy_of_accepted": share_of(right[(label == k) & named]),
        }
        for k in range(species)
    ]
    return {
        "photos": len(label),
        "top1": float(right.mean()),
        "top1_interval": measures.wilson(int(right.sum()), len(label)),
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
                probabilities,
                stack.asked(members[held]),
                distance,
                undenied,
                species=species,
                rule=values,
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


def evaluate(
    dataset: Dataset, recipe: Recipe, out: Path, bundle: Bundle, session: Session
) -> dict[str, Any]:
    """Every figure of the model card."""
    test = answer(bundle, session, dataset, dataset.test)
    votes = answer(bundle, open_everyone(bundle), dataset, dataset.test).scores.members
    stack, _, rule = load_stack(out)
    arrays = load_arrays(out / "stack.npz")
    probabilities, label = arrays["oof/probabilities"], arrays["oof/label"]
    animal = label < len(dataset.species)
    costs = [member_milliseconds(out / f"{member.name}.onnx") for member in recipe.members]
    return {
        "test": score_test(test, dataset.labels, len(dataset.species)),
        "negatives": score_negatives(dataset, recipe, out),
        "out_of_fold": {
            "photos": len(label),
            "top1": float((probabilities.argmax(1) == label)[animal].mean()),
            "coverage": rule.coverage,
            "accuracy_of_accepted": rule.accuracy,
            "false_species": rule.false_species,
            "ece": calibration_error(probabilities, label),
        },
        "ablation": ablation(dataset, recipe, out, votes=votes, label=test.label, costs=costs),
        "exits": exits(
            stack,
            arrays,
            votes=votes,
            label=test.label,
            costs=costs,
            species=len(dataset.species),
        ),
        "cascade": stack.cascade.min_probability if stack.cascade else None,
        "temperature": stack.temperature,
        "rule": {
            name: getattr(rule, name)
            for name in ("min_probability", "min_agreement", "max_distance")
        },
    }
