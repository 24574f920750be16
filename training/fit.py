"""Fit one member: head first from a logistic regression, then the whole network."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from training.answers import answers
from training.backbones import (
    BACKBONES,
    build_backbone,
    freeze,
    head,
    preprocess,
)
from training.progress import FEW, TimeLeft, verbosity
from training.recipe import FitRecipe, MemberRecipe

Floats = NDArray[np.float32]
Dense = tuple[tuple[Floats, Floats], ...]
"""Kernel (in, out) and bias (out,) of each dense layer behind the pooled features, in order."""


@dataclass(frozen=True, slots=True)
class Network:
    """A member in two parts that share their layers with `whole`.

    front: what stays frozen, or None; rear: what is trained, from the front's output (or the
    photo) to the feature map; whole: photo to feature map.
    """

    front: keras.Model | None
    rear: keras.Model
    whole: keras.Model


def build_network(backbone: str, weights: Path | str | None) -> Network:
    """The backbone with its preprocessing, cut where `Backbone.split` says.

    Raises `InputError` for a backbone that there is not.
    """
    base, spec = build_backbone(backbone, weights), BACKBONES[backbone]
    image = layers.Input(base.input_shape[1:], dtype="uint8", name="image")
    whole = keras.Model(image, base(preprocess(image, spec)), name=backbone.lower())
    if spec.split is None or weights == "imagenet":
        freeze(base, spec.first_trained)
        return Network(None, whole, whole)
    cut = base.get_layer(spec.split)
    front = keras.Model(base.input, cut.output)
    rear = keras.Model(cut.output, base.output)
    front.trainable = False
    _start_rear(rear)
    image = layers.Input(base.input_shape[1:], dtype="uint8", name="image")
    return Network(keras.Model(image, front(preprocess(image, spec))), rear, whole)


def _start_rear(rear: keras.Model) -> None:
    """Untrained residual branches start at zero, their batch norms follow short runs."""
    for layer in rear.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.9
        elif isinstance(layer, layers.Conv2D) and layer.name.endswith("_3_conv"):
            layer.set_weights([np.zeros_like(array) for array in layer.get_weights()])


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras ships no types
    """Shuffled batches of one view after another: epoch e learns view e modulo views.

    inputs: (views, n, ...); targets: (n, classes), or (views, n, ...) where they follow the view;
    weights: (n,), or (n, 1, 1) for targets that are maps; indices: which of the n take part.
    """

    def __init__(
        self,
        inputs: NDArray[Any],
        targets: NDArray[Any],
        weights: Floats,
        indices: NDArray[np.int64],
        *,
        batch: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.inputs, self.targets, self.weights = inputs, targets, weights
        self.indices, self.batch, self.seed = indices, batch, seed
        self.epoch = 0
        self.on_epoch_begin()

    def on_epoch_begin(self) -> None:
        """Shuffle anew; the order depends on the seed and the epoch alone."""
        self.order = np.random.default_rng((self.seed, self.epoch)).permutation(self.indices)

    def on_epoch_end(self) -> None:
        """Turn to the next view."""
        self.epoch += 1
        self.on_epoch_begin()

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.batch)

    def __getitem__(self, index: int) -> tuple[NDArray[Any], Floats, Floats]:
        chosen = np.sort(self.order[index * self.batch : (index + 1) * self.batch])
        view = self.epoch % len(self.inputs)
        targets = self.targets[view] if self.targets.ndim > 2 else self.targets
        x = self.inputs[view, chosen]
        if x.dtype == np.float16:
            x = x.astype(np.float32)
        return x, targets[chosen].astype(np.float32), self.weights[chosen]


def cosine(rate: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Warm up over the first twentieth, then fall along a cosine to one hundredth."""
    warm = max(1, steps // 20)
    return keras.optimizers.schedules.CosineDecay(
        rate / 10, max(1, steps - warm), alpha=0.01, warmup_target=rate, warmup_steps=warm
    )


def train(model: keras.Model, batches: Batches, loss: Any, *, epochs: int, rate: float) -> float:
    """Minimise `loss` between `model`'s output and the targets; the last epoch's loss."""
    steps = epochs * len(batches)
    optimizer = keras.optimizers.Adam(cosine(rate, steps))
    model.compile(optimizer, loss, jit_compile=False, run_eagerly=steps <= FEW)
    history = model.fit(
        batches, epochs=epochs, shuffle=False, verbose=verbosity(), callbacks=[TimeLeft()]
    )
    return float(history.history["loss"][-1])


def pooled(network: keras.Model, inputs: NDArray[Any], *, batch: int = 64) -> Floats:
    """Global average of `network`'s feature map for each of `inputs`: float32 (n, channels)."""
    said = answers(network, inputs, "features", batch=batch, graph=True)
    return np.concatenate([each.mean(axis=(1, 2)) for each in said]).astype(np.float32)


def feature_maps(network: keras.Model, inputs: NDArray[Any], out: NDArray[np.float16]) -> None:
    """Write `network`'s output for each of `inputs` into `out`, in half precision."""
    place = 0
    for each in answers(network, inputs, "feature maps", batch=64):
        out[place : place + len(each)] = each.astype(np.float16)
        place += len(each)


def head_start(
    features: Floats, label: NDArray[np.int64], weights: Floats, classes: int
) -> tuple[Floats, Floats]:
    """Dense weights (channels, classes) and bias from a logistic regression on `features`."""
    scaler = StandardScaler().fit(features)
    regression = LogisticRegression(C=0.01, max_iter=200)
    regression.fit(scaler.transform(features), label, sample_weight=weights)
    kernel = np.zeros((features.shape[1], classes), np.float32)
    bias = np.full(classes, -10.0, np.float32)
    kernel[:, regression.classes_] = (regression.coef_ / scaler.scale_).T
    bias[regression.classes_] = regression.intercept_ - regression.coef_ @ (
        scaler.mean_ / scaler.scale_
    )
    return kernel, bias


def sample_weights(label: NDArray[np.int64], clean: NDArray[np.bool_], recipe: FitRecipe) -> Floats:
    """Balanced class weights clipped to the recipe's range; 0 for photos taken for mislabelled."""
    balanced = compute_sample_weight("balanced", label)
    weights: Floats = (np.clip(balanced, *recipe.class_weight_range) * clean).astype(np.float32)
    return weights


@dataclass(frozen=True, slots=True)
class FittedMember:
    """A fitted member: photo to feature map, and the dense layers behind the pooled features."""

    network: Network
    dense: Dense


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays by name, whole or not at all."""
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, allow_pickle=False, **arrays)
    partial.rename(path)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """What `save_arrays` wrote."""
    with np.load(path) as stored:
        return {key: stored[key] for key in stored.files}


def dense_arrays(dense: Dense) -> dict[str, Floats]:
    """The layers of a head under the names that `dense_layers` reads."""
    return {
        f"head/{layer}/{kind}": array
        for layer, pair in enumerate(dense)
        for kind, array in zip(("kernel", "bias"), pair, strict=True)
    }


def dense_layers(arrays: Mapping[str, NDArray[Any]]) -> Dense:
    """The layers of a head from arrays that `dense_arrays` named."""
    count = sum(key.startswith("head/") and key.endswith("/kernel") for key in arrays)
    return tuple((arrays[f"head/{i}/kernel"], arrays[f"head/{i}/bias"]) for i in range(count))


def dense_logits(features: Floats, dense: Dense) -> Floats:
    """Logits (n, classes) of pooled features (n, channels): ReLU between the layers."""
    x = features.astype(np.float32)
    for index, (kernel, bias) in enumerate(dense):
        x = np.maximum(x, 0) if index else x
        x = x @ kernel + bias
    return x


def set_rear_weights(network: Network, arrays: dict[str, NDArray[Any]]) -> None:
    """Put arrays with keys `layer/index` into the trained part of `network`."""
    for layer in _own_layers(network.rear):
        count = len(layer.get_weights())
        layer.set_weights([arrays[f"{layer.name}/{index}"] for index in range(count)])


def rear_weights(network: Network) -> dict[str, NDArray[Any]]:
    """The arrays of the trained part of `network` by key `layer/index`."""
    return {
        f"{layer.name}/{index}": array
        for layer in _own_layers(network.rear)
        for index, array in enumerate(layer.get_weights())
    }


def _own_layers(model: keras.Model) -> list[Any]:
    """Layers with weights to learn; a normalization's constants have a name that Keras counts."""
    return [
        layer
        for layer in model._flatten_layers()
        if layer.get_weights() and not isinstance(layer, keras.Model | layers.Normalization)
    ]


def pretrain(
    network: Network,
    inputs: NDArray[Any],
    maps: NDArray[np.float16],
    *,
    member: MemberRecipe,
    recipe: FitRecipe,
    seed: int,
) -> None:
    """Let the untrained rear learn feature maps of its teachers on the same views; no labels.

    A 1x1 convolution that is thrown away afterwards turns one into the other (Romero et al. 2015,
    "FitNets: hints for thin deep nets"). inputs: (views, n, ...) of the front; maps: (views, n, 7,
    7, channels), each channel of unit variance.
    """
    hint = layers.Conv2D(maps.shape[-1], 1)(network.rear.output)
    model = keras.Model(network.rear.input, hint)
    count = inputs.shape[1]
    ones, everyone = np.ones((count, 1, 1), np.float32), np.arange(count)
    batches = Batches(inputs, maps, ones, everyone, batch=recipe.batch, seed=seed)
    loss = keras.losses.MeanSquaredError()
    train(model, batches, loss, epochs=member.pretrain_epochs, rate=1e-3)


def fit_member(
    network: Network,
    inputs: NDArray[Any],
    clean_inputs: NDArray[Any],
    *,
    label: NDArray[np.int64],
    targets: Floats,
    weights: Floats,
    indices: Sequence[int] | NDArray[np.int64],
    member: MemberRecipe,
    recipe: FitRecipe,
    seed: int,
) -> FittedMember:
    """Fit `network.rear` and a dense head on the photos `indices`.

    inputs: augmented (views, n, ...); clean_inputs: (n, ...), and label: (n,), for the head's
    start; targets: (n, classes), what is learned; weights: (n,).
    """
    indices = np.asarray(indices)
    keras.utils.set_random_seed(seed)
    used = indices[weights[indices] > 0]
    hidden, classes = BACKBONES[member.backbone].hidden, targets.shape[1]
    logits = head(network.rear.output, classes, hidden=hidden, dropout=recipe.dropout)
    model = keras.Model(network.rear.input, logits)
    if not hidden:
        features = pooled(network.rear, clean_inputs[used])
        start = head_start(features, label[used], weights[used], classes)
        model.get_layer("logits").set_weights(list(start))
    batches = Batches(inputs, targets, weights, used, batch=recipe.batch, seed=seed)
    loss = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=recipe.label_smoothing
    )
    train(model, batches, loss, epochs=member.epochs, rate=member.learning_rate)
    names = [f"hidden{i + 1}" for i in range(len(hidden))] + ["logits"]
    return FittedMember(network, tuple(tuple(model.get_layer(n).get_weights()) for n in names))
