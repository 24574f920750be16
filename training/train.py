"""Fit a network with Keras: callbacks, curves, and a place from which it goes on after a stop."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import callbacks
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight

from training.answers import answers, both_labels
from training.config import FitRecipe, PublishedRecipe
from training.fit import Batches, Floats, cosine
from training.networks import augmented, base_of, unfreeze_last
from training.prepared import PhotoSet
from training.progress import FEW, TimeLeft, verbosity

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adagrad": keras.optimizers.Adagrad,
    "sgd": keras.optimizers.SGD,
    "rmsprop": keras.optimizers.RMSprop,
}


def class_weights(label: NDArray[np.int64], labels: int) -> Floats:
    """Balanced weight of each label (labels,): n / (classes x photos of it); 1 for none."""
    weights = np.ones(labels, np.float32)
    present = np.unique(label)
    weights[present] = compute_class_weight("balanced", classes=present, y=label)
    return weights


def batches(
    photos: PhotoSet,
    index: NDArray[np.int64],
    recipe: PublishedRecipe,
    *,
    weighted: bool,
    targets: Floats | None = None,
) -> Batches:
    """Shuffled batches of the photos `index`, weighted by class where asked for.

    targets: (all photos, labels) where it is not their labels that are learned.
    """
    labels = len(photos.labels)
    if recipe.binary:
        targets = photos.label[:, None].astype(np.float32)
    elif targets is None:
        targets = np.eye(labels, dtype=np.float32)[photos.label]
    weights = np.ones(len(photos.label), np.float32)
    if weighted:
        weights = class_weights(photos.label[index], labels)[photos.label]
    return Batches(
        photos.pixels[None], targets, weights, index, batch=recipe.fit.batch, seed=recipe.seed
    )


def compiled(
    network: keras.Model, recipe: PublishedRecipe, fit: FitRecipe, steps: int
) -> keras.Model:
    """The network behind its augmentation, ready to be fitted for `steps` batches.

    For a few of them it is run layer by layer, as no graph is worth tracing then.
    """
    rate = cosine(fit.learning_rate, steps) if fit.schedule == "cosine" else fit.learning_rate
    model = augmented(network, recipe.augment, recipe.seed)
    loss = "binary_crossentropy" if recipe.binary else "categorical_crossentropy"
    optimizer = OPTIMIZERS[fit.optimizer](rate)
    few = steps <= FEW
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False, run_eagerly=few)
    return model


def stopping(fit: FitRecipe) -> list[Any]:
    """Early stopping and a lower rate on a plateau, as the recipe wants them."""
    chosen: list[Any] = []
    if fit.early_stop:
        chosen.append(callbacks.EarlyStopping(patience=fit.early_stop))
    if fit.reduce_after and fit.schedule == "constant":
        chosen.append(
            callbacks.ReduceLROnPlateau(
                patience=fit.reduce_after, factor=fit.reduce_factor, min_lr=fit.least_rate
            )
        )
    return chosen


def fit_network(
    network: keras.Model,
    photos: PhotoSet,
    recipe: PublishedRecipe,
    *,
    train: NDArray[np.int64],
    held: NDArray[np.int64],
    folder: Path,
    step: str,
    targets: Floats | None = None,
) -> dict[str, list[float]]:
    """Fit `network` in place, stopping by the photos `held`; its curves by name.

    targets: (all photos, labels), what is learned of `train` in place of the labels.
    Below `folder`: `curves.csv` and `.png`, the best weights so far, and, while it runs, what an
    interrupted run goes on from. Raises `LeakageError` before it touches a test photo.
    """
    photos.learning(np.concatenate([train, held]), step)
    keras.utils.set_random_seed(recipe.seed)
    folder.mkdir(parents=True, exist_ok=True)
    _fit(network, photos, recipe, recipe.fit, train, held, folder, targets)
    if recipe.finetune is not None:
        unfreeze_last(base_of(network), recipe.finetune.last_layers)
        fit = replace(
            recipe.fit,
            epochs=recipe.finetune.epochs,
            learning_rate=recipe.finetune.learning_rate,
            least_rate=0.0,
        )
        _fit(network, photos, recipe, fit, train, held, folder / "finetune", targets)
    curves = read_curves(folder)
    draw_curves(curves, network.name, folder / "curves.png")
    return curves


def _fit(
    network: keras.Model,
    photos: PhotoSet,
    recipe: PublishedRecipe,
    fit: FitRecipe,
    train: NDArray[np.int64],
    held: NDArray[np.int64],
    folder: Path,
    targets: Floats | None,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    best = folder / "best.weights.h5"
    if (folder / "fitted").exists():
        network.load_weights(best)
        return
    learned = batches(photos, train, recipe, weighted=fit.class_weights, targets=targets)
    model = compiled(network, recipe, fit, fit.epochs * len(learned))
    monitor = "val_loss" if len(held) else "loss"
    model.fit(
        learned,
        epochs=fit.epochs,
        validation_data=batches(photos, held, recipe, weighted=False) if len(held) else None,
        shuffle=False,
        verbose=verbosity(),
        callbacks=[
            *(stopping(fit) if len(held) else []),
            _KeepBest(network, best, monitor, _least(folder / "curves.csv", monitor)),
            callbacks.BackupAndRestore(str(folder / "backup")),
            callbacks.CSVLogger(str(folder / "curves.csv"), append=True),
            TimeLeft(),
        ],
    )
    network.load_weights(best)
    (folder / "fitted").touch()


class _KeepBest(callbacks.ModelCheckpoint):  # type: ignore[misc]  # Keras ships no types
    """Keras's checkpoint of the best epoch, of the network without its augmentation."""

    def __init__(self, network: keras.Model, path: Path, monitor: str, least: float | None) -> None:
        super().__init__(
            str(path),
            monitor=monitor,
            save_best_only=True,
            save_weights_only=True,
            mode="min",
            initial_value_threshold=least,
        )
        self._network = network

    def set_model(self, model: keras.Model) -> None:
        """Watch the network, whichever model is fitted."""
        super().set_model(self._network)


def _least(path: Path, name: str) -> float | None:
    """Smallest value of a curve that an interrupted fit has left, or None."""
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as stream:
        return min((float(row[name]) for row in csv.DictReader(stream)), default=None)


def read_curves(folder: Path) -> dict[str, list[float]]:
    """Curves of a fit and of its fine-tuning, epoch after epoch."""
    curves: dict[str, list[float]] = {}
    for path in (folder / "curves.csv", folder / "finetune" / "curves.csv"):
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as stream:
                for row in csv.DictReader(stream):
                    for name, value in row.items():
                        curves.setdefault(name, []).append(float(value))
    return curves


def draw_curves(curves: dict[str, list[float]], title: str, path: Path) -> None:
    """Accuracy and loss of each epoch, of the photos learned from and of those stopped by."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        for key, label in ((name, "train"), (f"val_{name}", "validation")):
            if key in curves:
                axes.plot(range(1, len(curves[key]) + 1), curves[key], marker=".", label=label)
        axes.set(xlabel="epoch", ylabel=name, title=f"{title}: {name}")
        axes.legend()
    figure.savefig(path, dpi=100)


def predict(
    network: keras.Model, photos: PhotoSet, index: NDArray[np.int64], *, batch: int = 32
) -> Floats:
    """Probabilities (n, labels) of the photos `index`; a sigmoid's p becomes [1 - p, p]."""
    label = f"{network.name} answers"
    return both_labels(
        np.concatenate(list(answers(network, photos.pixels, label, batch=batch, index=index)))
    )


def save_network(network: keras.Model, path: Path) -> None:
    """Keep the whole network, layers and weights, as Keras does."""
    network.save(path)


def load_network(path: Path) -> keras.Model:
    """What `save_network` kept."""
    return keras.saving.load_model(path, compile=False)
