"""Where a network looked: Grad-CAM by TensorFlow's gradients, and as the exported graph says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.fit import Floats
from training.networks import feature_map, head_of
from training.prepared import PhotoSet


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


def draw_maps(
    network: keras.Model, photos: PhotoSet, index: Sequence[int], probabilities: Floats, path: Path
) -> None:
    """Photos above their heat maps, each titled with its label, the answer and its probability."""
    chosen = np.asarray(index)
    best = probabilities.argmax(axis=1)
    heat = normalised(tape_maps(network, photos.pixels[chosen], best))
    figure = Figure(figsize=(2.3 * len(chosen), 5), layout="constrained")
    axes = figure.subplots(2, len(chosen), squeeze=False)
    for column, place in enumerate(chosen):
        photo = photos.pixels[place]
        own, said = photos.labels[photos.label[place]], photos.labels[best[column]]
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
        colour = "black" if own == said else "firebrick"
        axes[1, column].set_title(
            f"{said} {probabilities[column].max():.2f}", fontsize=8, color=colour
        )
    for each in axes.flat:
        each.set_axis_off()
    figure.suptitle(f"{network.name}: Grad-CAM of the score before the softmax", fontsize=10)
    figure.savefig(path, dpi=110)
