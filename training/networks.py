"""Networks of the published systems: a backbone of keras.applications and a head.

Every network takes float32 RGB of 0..255; what its published weights expect is made of that by its
first layer, so that nobody can forget it or do it twice.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from training.backbones import load_npz
from training.config import AugmentRecipe, InputRecipe, NetworkRecipe, frozen_layers
from trapsort.errors import InputError

POOLED, SCORES = "pooled", "scores"
"""Names of the layers behind the feature map and before the softmax or sigmoid."""


def backbone_class(name: str) -> Any:
    """keras.applications' builder of that name; raises `InputError`."""
    builder = getattr(keras.applications, name, None)
    if not callable(builder):
        known = ", ".join(n for n in dir(keras.applications) if n[:1].isupper())
        raise InputError(f"keras.applications has no backbone {name!r}.", f"It has: {known}.")
    return builder


def build_base(recipe: NetworkRecipe, size: InputRecipe, weights: str) -> keras.Model:
    """The backbone without its top; `weights`: imagenet, none, or a file (see `load_npz`).

    Raises `InputError` where the weights cannot be had.
    """
    builder, shape = backbone_class(recipe.backbone), (size.height, size.width, 3)
    published = "imagenet" if weights == "imagenet" else None
    try:
        base = builder(include_top=False, weights=published, input_shape=shape)
    except Exception as error:  # a download fails in many ways
        if published is None:
            raise InputError(f"{recipe.backbone}: {error}", "Choose another input size.") from error
        raise InputError(
            f"The ImageNet weights of {recipe.backbone} cannot be fetched: {error}",
            "Give --weights FILE, or --weights none to try the recipe without them.",
        ) from error
    if weights.endswith(".npz"):
        load_npz(base, Path(weights))
    elif weights not in ("imagenet", "none"):
        try:
            base.load_weights(weights)
        except (OSError, ValueError) as error:
            raise InputError(f"{weights}: {error}", "Give weights of this backbone.") from error
    return base


def preprocess(image: Any, backbone: str) -> Any:
    """Bytes 0..255 as the backbone's published weights expect them, by one linear layer or none.

    The numbers are read off keras.applications' own `preprocess_input`, which is linear.
    """
    own = sys.modules[backbone_class(backbone).__module__].preprocess_input
    probe = np.concatenate([np.zeros((1, 1, 1, 3)), np.eye(3).reshape(3, 1, 1, 3)])
    answer = own(probe.astype(np.float32)).reshape(4, 3).astype(np.float64)
    offset, matrix = answer[0], answer[1:] - answer[0]
    scale = float(matrix[0, 0])
    if np.allclose(matrix, np.eye(3), atol=1e-4) and not offset.any():
        return image
    if np.allclose(matrix, scale * np.eye(3), atol=1e-6) and np.ptp(offset) == 0:
        return layers.Rescaling(1 / round(1 / scale, 3), offset[0], name="preprocess")(image)
    # RGB to BGR and ImageNet's mean: a 1x1 convolution does both and converts to ONNX as it is
    swap = layers.Conv2D(3, 1, name="preprocess", trainable=False)
    x = swap(image)
    swap.set_weights([np.rint(matrix).reshape(1, 1, 3, 3), offset])
    return x


def freeze(base: keras.Model, frozen: str) -> None:
    """Freeze all layers, none, the first N, or all but the last N and every batch norm."""
    which, number = frozen_layers(frozen)
    if which == "all":
        base.trainable = False
    elif which == "first":
        for layer in base.layers[:number]:
            layer.trainable = False
    elif which == "all but":
        unfreeze_last(base, number)


def unfreeze_last(base: keras.Model, number: int) -> None:
    """Let the last `number` layers learn, batch norms left as they are."""
    base.trainable = True
    last = len(base.layers) - number
    for place, layer in enumerate(base.layers):
        layer.trainable = place >= last and not isinstance(layer, layers.BatchNormalization)


def build_network(
    recipe: NetworkRecipe, size: InputRecipe, labels: int, *, weights: str, binary: bool = False
) -> keras.Model:
    """The whole network: float32 (N, height, width, 3) of 0..255 in, probabilities out.

    (N, labels) by softmax, or (N, 1) by sigmoid where `binary`.
    """
    base = build_base(recipe, size, weights)
    freeze(base, recipe.frozen)
    image = layers.Input((size.height, size.width, 3), name="image")
    x = base(preprocess(image, recipe.backbone))
    pool = layers.Flatten if recipe.pooling == "flatten" else layers.GlobalAveragePooling2D
    x = pool(name=POOLED)(x)
    if recipe.batch_norm:
        x = layers.BatchNormalization(name="head_norm")(x)
    for place, units in enumerate(recipe.dense, start=1):
        x = layers.Dense(units, activation="relu", name=f"dense{place}")(x)
    if recipe.dropout:
        x = layers.Dropout(recipe.dropout, name="dropout")(x)
    x = layers.Dense(1 if binary else labels, name=SCORES)(x)
    x = layers.Activation("sigmoid" if binary else "softmax", name="probabilities")(x)
    return keras.Model(image, x, name=recipe.name)


def base_of(network: keras.Model) -> keras.Model:
    """The backbone within a network."""
    return next(layer for layer in network.layers if isinstance(layer, keras.Model))


def feature_map(network: keras.Model) -> keras.Model:
    """The network up to its backbone's feature map (N, h, w, channels)."""
    return keras.Model(network.input, network.get_layer(POOLED).input)


def head_of(network: keras.Model) -> keras.Model:
    """From the feature map to the scores before softmax or sigmoid."""
    return keras.Model(network.get_layer(POOLED).input, network.get_layer(SCORES).output)


def augmented(network: keras.Model, recipe: AugmentRecipe, seed: int) -> keras.Model:
    """The network behind layers that change its photos at random while it learns."""
    image = layers.Input(network.input_shape[1:], name="photo")
    kinds: list[tuple[float, Any]] = [
        (recipe.flip, lambda: layers.RandomFlip("horizontal", seed=seed)),
        (
            recipe.rotation_degrees,
            lambda: layers.RandomRotation(recipe.rotation_degrees / 360, seed=seed),
        ),
        (recipe.shift, lambda: layers.RandomTranslation(recipe.shift, recipe.shift, seed=seed)),
        (recipe.zoom, lambda: layers.RandomZoom(recipe.zoom, seed=seed)),
        (recipe.shear, lambda: layers.RandomShear(recipe.shear, recipe.shear, seed=seed)),
    ]
    x = image
    for amount, layer in kinds:
        if amount:
            x = layer()(x)
    return keras.Model(image, network(x), name=f"{network.name}_augmented")


def parameters(network: keras.Model) -> tuple[int, int]:
    """How many numbers a network has, and how many of them are learned."""
    learned = sum(int(np.prod(weight.shape)) for weight in network.trainable_weights)
    return int(network.count_params()), learned
