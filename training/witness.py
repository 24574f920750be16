"""The witness: what ImageNet's thousand classes say against a species.

The members know eleven species and a few hundred other photos; a snow leopard that they never saw
is an Amur leopard to them. A network with its published ImageNet head has seen snow leopards, oxen
and hundreds of other animals. It never names a species here; where it is surer than it ever is on
photos of the species that an animal of another kind is shown, the bundle abstains.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from training.answers import answers
from training.backbones import INPUT_SHAPE, load_npz
from training.fit import Floats
from training.recipe import WitnessRecipe

ANIMALS = 398
"""ImageNet's first classes, 0 (tench) to 397 (puffer), are its animals."""


def kinds(species: tuple[str, ...], own: dict[str, list[int]]) -> Floats:
    """Which ImageNet animals speak against each species: 0 or 1, float32 (1000, species).

    None that is one of the species: which of those it is, the members know better, and a leopard
    that the witness takes for a jaguar would only raise the limit for leopards.
    """
    against = np.zeros((1000, len(species)), np.float32)
    against[:ANIMALS] = 1
    for name in species:
        against[own.get(name, [])] = 0
    return against


def fold_batch_norms(model: keras.Model) -> None:
    """Fold each batch norm into the convolution before it; it keeps its shift and the scale 1.

    A converter folds them anyway; rounded before that, a kernel would not stay rounded.
    """
    for layer in model._flatten_layers():
        if not isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            continue
        followers = {node.operation for node in layer._outbound_nodes}
        norm = next(iter(followers))
        if len(followers) != 1 or not isinstance(norm, layers.BatchNormalization):
            continue
        kernel, *bias = layer.get_weights()
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        depthwise = isinstance(layer, layers.DepthwiseConv2D)
        shift = beta - mean * scale + sum(each * scale for each in bias)
        one, none = np.ones_like(gamma), np.zeros_like(gamma)
        norm.set_weights([one, shift, none, one - norm.epsilon])
        folded = kernel * (scale[:, None] if depthwise else scale)
        layer.set_weights([folded, *(np.zeros_like(each) for each in bias)])


def eighth(kernel: Floats, *, depthwise: bool) -> Floats:
    """A kernel rounded to 255 steps for each output channel, as the bundle stores the witness."""
    axes = (0, 1, 3) if depthwise else tuple(range(kernel.ndim - 1))
    step = np.maximum(np.abs(kernel).max(axis=axes, keepdims=True), 1e-12) / np.float32(127)
    return np.asarray(np.rint(kernel / step) * step, np.float32)


def build_witness(recipe: WitnessRecipe, species: tuple[str, ...], weights: Path) -> keras.Model:
    """Photos, uint8 (N, 224, 224, 3), to the share of other animals, (N, species)."""
    network = keras.applications.MobileNetV2(
        weights="imagenet" if recipe.weights == "imagenet" else None
    )
    if recipe.weights != "imagenet":
        load_npz(network, weights / recipe.weights)
    fold_batch_norms(network)
    for layer in network.layers:
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
            kernel, *rest = layer.get_weights()
            depthwise = isinstance(layer, layers.DepthwiseConv2D)
            layer.set_weights([eighth(kernel, depthwise=depthwise), *rest])
    image = layers.Input(INPUT_SHAPE, dtype="uint8", name="image")
    x = network(layers.Rescaling(1 / 127.5, offset=-1.0, name="preprocess")(image))
    against = layers.Dense(len(species), use_bias=False, name="other")
    model = keras.Model(image, against(x), name="witness")
    against.set_weights([kinds(species, dict(recipe.own))])
    return model


def testify(witness: keras.Model, photos: NDArray[Any], batch: int = 64) -> Floats:
    """Share of other animals (n, species), 0 to 1, for each of the photos."""
    parts = list(answers(witness, photos, "witness", batch=batch, graph=True))
    return np.concatenate(parts).astype(np.float32)
