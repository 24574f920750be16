"""Where a network looked: Grad-CAM by TensorFlow's gradients, and as the exported graph says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.data import Dataset
from training.evaluate import open_everyone
from training.fit import Floats
from training.networks import feature_map, head_of
from training.prepared import PhotoSet
from trapsort.bundle import Bundle
from trapsort.explain import heat_map
from trapsort.session import open_session

SHOWN = 6
"""How many test photos a figure shows, at most."""


def tape_maps(network: keras.Model, photos: NDArray[np.uint8], label: NDArray[np.int64]) -> Floats:
    """Grad-CAM (n, h, w) of the labels' scores before the softmax, without its final ReLU.

    Selvaraju et al. 2017: the feature map's channels weighted by the mean gradient of the score.
    A sigmoid's label 1 has half its score and label 0 the opposite, as in the exported graph.
    """
    import tensorflow as tf

    maps = feature_map(network)(photos.astype(np.float32), training=False)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        scores = head_of(network)(maps, training=False)
        if scores.shape[1] == 1:
            scores = tf.concat([-scores / 2, scores / 2], axis=1)
        chosen = tf.reduce_sum(tf.gather(scores, label, batch_dims=1))
    weights = tf.reduce_mean(tape.gradient(chosen, maps), axis=(1, 2))
    said: Floats = tf.einsum("nhwk,nk->nhw", maps, weights).numpy()
    return said


def graph_maps(graph: Path, photos: NDArray[np.uint8], label: NDArray[np.int64]) -> Floats:
    """The exported graph's own maps (n, members, h, w) of the labels."""
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    maps: Floats = session.run(["maps"], {"image": photos})[0]
    return maps[np.arange(len(label)), :, label]


def normalised(maps: Floats) -> Floats:
    """Maps (n, h, w) after the ReLU, each scaled to 0..1."""
    positive = np.maximum(maps, 0)
    largest: Floats = positive / np.maximum(positive.max(axis=(1, 2), keepdims=True), 1e-12)
    return largest


def spread(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most `SHOWN` of the photos `index`, spread evenly over them."""
    places = np.linspace(0, len(index) - 1, min(SHOWN, len(index)))
    chosen: NDArray[np.int64] = index[np.unique(places.astype(int))]
    return chosen


def draw_network(
    network: keras.Model,
    photos: PhotoSet,
    index: NDArray[np.int64],
    probabilities: Floats,
    path: Path,
) -> None:
    """What spoke for the answers (n, labels) of a network to the photos `index` (n,)."""
    best, shown = probabilities.argmax(axis=1), photos.pixels[index]
    _draw(
        shown,
        [photos.labels[k] for k in photos.label[index]],
        [(photos.labels[k], float(probabilities[row, k])) for row, k in enumerate(best)],
        normalised(tape_maps(network, shown, best)),
        network.name,
        path,
    )


def draw_bundle(bundle: Bundle, dataset: Dataset, folder: Path) -> None:
    """What spoke for a bundle's answers to some test photos, as its own graph says it.

    `MEMBER.png` in `folder` for each member, whether its cascade would have asked it or not, and
    `ensemble.png`, the mean that `trapsort explain` draws.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index = spread(dataset.test)
    shown = np.ascontiguousarray(dataset.pixels[index])
    probabilities = open_session(bundle).run(shown).probabilities
    best = probabilities.argmax(axis=1)
    maps = open_everyone(bundle).maps(shown)
    rows = np.arange(len(index))
    heat = {name: normalised(maps[rows, place, best]) for place, name in enumerate(bundle.members)}
    heat["ensemble"] = np.stack([heat_map(m, k) for m, k in zip(maps, best, strict=True)])
    truth = [dataset.labels[k] for k in dataset.label[index]]
    said = [(bundle.labels[k], float(probabilities[row, k])) for row, k in enumerate(best)]
    for name, each in heat.items():
        _draw(shown, truth, said, each, name, folder / f"{name}.png")


def _draw(
    shown: NDArray[np.uint8],
    truth: Sequence[str],
    said: Sequence[tuple[str, float]],
    heat: Floats,
    name: str,
    path: Path,
) -> None:
    """Photos above their heat maps, titled with their label, the answer and its probability."""
    figure = Figure(figsize=(2.3 * len(shown), 5), layout="constrained")
    axes = figure.subplots(2, len(shown), squeeze=False)
    for column, (photo, own, (answer, probability)) in enumerate(
        zip(shown, truth, said, strict=True)
    ):
        axes[0, column].imshow(photo)
        axes[0, column].set_title(f"is {own}", fontsize=8)
        axes[1, column].imshow(photo)
        axes[1, column].imshow(
            heat[column],
            cmap="inferno",
            alpha=0.5,
            interpolation="bilinear",
            extent=(-0.5, photo.shape[1] - 0.5, photo.shape[0] - 0.5, -0.5),
        )
        colour = "black" if own == answer else "firebrick"
        axes[1, column].set_title(f"{answer} {probability:.2f}", fontsize=8, color=colour)
    for each in axes.flat:
        each.set_axis_off()
    figure.suptitle(f"{name}: Grad-CAM of the score before the softmax", fontsize=10)
    figure.savefig(path, dpi=110)
