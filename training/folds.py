"""Cross-validation of a recipe's networks, and the meta-learner on what they say out of fold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from training.config import PublishedRecipe, StackRecipe
from training.fit import Floats, load_arrays, save_arrays
from training.meta import temperature
from training.networks import build_network
from training.prepared import PhotoSet
from training.train import fit_network, predict
from training.tune import Settings, apply_settings


def crossvalidate(
    recipe: PublishedRecipe,
    settings: dict[str, Settings],
    photos: PhotoSet,
    starts: dict[str, str],
    folder: Path,
) -> None:
    """Fit every network on every fold and keep what it says of the photos of that fold.

    The fit learns from the training part of the other folds and is stopped by their validation
    part: the fold itself has no say in what answers it. Goes on where it was stopped.
    """
    used = photos.learning(np.flatnonzero(photos.fold >= 0), "crossval")
    fold, part, scores = photos.fold[used], photos.part[used], {}
    for network in recipe.networks:
        changed, own = apply_settings(recipe, network.name, settings.get(network.name, {}))
        said = np.zeros((len(used), len(photos.labels)), np.float32)
        for number in range(recipe.source.folds):
            held = used[fold == number]
            place = folder / network.name / str(number)
            answers = place / "answers.npy"
            if not answers.exists():
                keras.backend.clear_session()
                print(f"{network.name}: fold {number + 1} of {recipe.source.folds}", flush=True)
                model = build_network(
                    own,
                    recipe.input,
                    len(photos.labels),
                    weights=starts[network.name],
                    binary=recipe.binary,
                )
                fit_network(
                    model,
                    photos,
                    changed,
                    train=used[(fold != number) & (part == "train")],
                    held=used[(fold != number) & (part == "validation")],
                    folder=place,
                    step="crossval",
                )
                np.save(answers, predict(model, photos, held))
                for weights in place.rglob("*.weights.h5"):
                    weights.unlink()
            said[fold == number] = np.load(answers)
        right = said.argmax(axis=1) == photos.label[used]
        scores[network.name] = [
            float(right[fold == number].mean()) for number in range(recipe.source.folds)
        ]
        save_arrays(folder / f"{network.name}.npz", {"index": used, "said": said})
    (folder / "folds.json").write_text(json.dumps(scores, indent=1), encoding="utf-8")


def out_of_fold(recipe: PublishedRecipe, folder: Path) -> tuple[NDArray[np.int64], Floats]:
    """Indices (n,) and what each network said of them out of fold (n, networks, labels)."""
    parts = [load_arrays(folder / f"{network.name}.npz") for network in recipe.networks]
    return parts[0]["index"], np.stack([part["said"] for part in parts], axis=1)


def meta_learner(strength: float) -> LogisticRegression:
    """A multinomial logistic regression on member probabilities."""
    return LogisticRegression(C=strength, max_iter=2000)


def fit_stack(
    recipe: StackRecipe, members: Floats, label: NDArray[np.int64], fold: NDArray[np.int64]
) -> dict[str, Any]:
    """Kernel and bias of the calibrated meta-learner, and its own out-of-fold accuracy.

    members (n, networks, labels) said out of fold. The temperature comes from meta-learners that
    had not seen the photo either, as does `said` (n, labels), what they answer.
    """
    labels = members.shape[2]
    flat = members.reshape(len(members), -1)
    model = meta_learner(recipe.strength).fit(flat, label)
    nested = cross_val_predict(
        meta_learner(recipe.strength), flat, label, cv=PredefinedSplit(fold), method="predict_proba"
    )
    divisor = temperature(np.log(np.maximum(nested, 1e-12)), label)
    kernel, bias = model.coef_.T, model.intercept_
    if labels == 2:  # scikit-learn keeps one score for two classes
        kernel, bias = kernel * [[-0.5, 0.5]], bias * [-0.5, 0.5]
    return {
        "kernel": (kernel / divisor).astype(np.float32),
        "bias": (bias / divisor).astype(np.float32),
        "temperature": np.float64(divisor),
        "accuracy": np.float64((nested.argmax(axis=1) == label).mean()),
        "said": nested.astype(np.float32),
    }


def distilled(photos: PhotoSet, index: NDArray[np.int64], said: Floats, share: float) -> Floats:
    """Targets (all photos, labels): labels, and by `share` what the stack said of some photos.

    index (n,): those; said: (n, labels). The stack had seen none of them: it hands down nothing but
    an opinion of each.
    """
    targets = np.eye(len(photos.labels), dtype=np.float32)[photos.label]
    targets[index] = (1 - share) * targets[index] + share * said
    return targets


def fitted_and_scored_on_test(members: Floats, label: NDArray[np.int64], strength: float) -> float:
    """Accuracy of a meta-learner on the very photos that it was fitted on.

    This is how the published figure came about. It is no test accuracy, and nothing is made of it.
    """
    flat = members.reshape(len(members), -1)
    return float(meta_learner(strength).fit(flat, label).score(flat, label))
