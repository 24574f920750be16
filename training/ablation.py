"""What each member is worth and what it costs, and so each exit of the cascade."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from training.data import Dataset
from training.fit import Floats
from training.meta import Stack, fit_meta, nested_logits, temperature
from training.recipe import Recipe
from training.stack import load_stack, out_of_fold
from trapsort import measures

BATCH = 8


def calibration_error(probabilities: Floats, label: NDArray[np.int64]) -> float:
    """Expected calibration error of the most probable label, as the field measures it."""
    right = probabilities.argmax(axis=1) == label
    return measures.calibration_error(probabilities.max(axis=1), right)


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


def ablation(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    votes: Floats,
    label: NDArray[np.int64],
    costs: Sequence[float],
) -> list[dict[str, Any]]:
    """Accuracy and cost of every subset of the members, each with a stack of its own.

    Out-of-fold figures decide; those of the test photos, votes (n, members, labels) of all members
    and label (n,), are shown beside them. costs: CPU milliseconds a photo of each member.
    """
    oof = out_of_fold(dataset, recipe, out)
    labels, species = len(dataset.labels), len(dataset.species)
    strength = load_stack(out)[0].regularisation
    animal = oof.label < species
    rows = []
    for size in range(1, len(recipe.members) + 1):
        for chosen in combinations(range(len(recipe.members)), size):
            part = oof.members[:, list(chosen)]
            logits = nested_logits(part, oof.label, oof.fold, labels=labels, strength=strength)
            scale = temperature(logits, oof.label)
            kernel, bias = fit_meta(part, oof.label, labels, strength)
            flat = votes[:, list(chosen)].reshape(len(label), -1)
            probabilities = softmax((flat @ kernel + bias) / scale, axis=1)
            rows.append(
                {
                    "members": [recipe.members[i].name for i in chosen],
                    "out_of_fold_top1": float((logits.argmax(1) == oof.label)[animal].mean()),
                    "test_top1": float((probabilities.argmax(1) == label).mean()),
                    "test_ece": calibration_error(probabilities.astype(np.float32), label),
                    "cpu_ms": sum(costs[i] for i in chosen),
                }
            )
    return rows


def exits(
    stack: Stack,
    out_of_fold: Mapping[str, NDArray[Any]],
    *,
    votes: Floats,
    label: NDArray[np.int64],
    costs: Sequence[float],
    species: int,
) -> list[dict[str, Any]]:
    """What the cascade answers at each exit, as a whole, and what asking all members would answer.

    out_of_fold: the arrays `oof/...` of `training.stack.fit_stack`. Empty without a cascade.
    """
    cascade = stack.cascade
    if cascade is None:
        return []
    cheap, dear = sum(costs[: cascade.first]), sum(costs)
    answer = stack.apply(votes)
    sure = _ended(stack.asked(votes))
    sure_folds = _ended(out_of_fold["oof/votes"])
    said, true = out_of_fold["oof/probabilities"], out_of_fold["oof/label"]
    animal = true < species
    whole = Stack(stack.kernel, stack.bias, stack.temperature, stack.regularisation).apply(votes)
    mean = cheap + float((~sure).mean()) * (dear - cheap)
    everything = np.ones_like(sure), np.ones_like(sure_folds)
    rows = []
    for name, chosen, chosen_folds, probabilities, folds, cost in (
        ("the first members answer alone", sure, sure_folds, answer, said, cheap),
        ("all members are asked", ~sure, ~sure_folds, answer, said, dear),
        ("the cascade", *everything, answer, said, mean),
        ("every member on every photo", *everything, whole, out_of_fold["oof/whole"], dear),
    ):
        counted = animal & chosen_folds
        rows.append(
            {
                "exit": name,
                "test_share": float(chosen.mean()),
                "test_top1": _top1(probabilities[chosen], label[chosen]),
                "test_ece": calibration_error(probabilities[chosen], label[chosen]),
                "out_of_fold_share": float(chosen_folds.mean()),
                "out_of_fold_top1": _top1(folds[counted], true[counted]),
                "out_of_fold_ece": calibration_error(folds[chosen_folds], true[chosen_folds]),
                "cpu_ms": cost,
            }
        )
    return rows


def _ended(votes: Floats) -> NDArray[np.bool_]:
    """Of which photos (n,) the last member was not asked."""
    ended: NDArray[np.bool_] = votes[:, -1].max(axis=1) == 0
    return ended


def _top1(probabilities: Floats, label: NDArray[np.int64]) -> float:
    return float((probabilities.argmax(axis=1) == label).mean()) if len(label) else 0.0
