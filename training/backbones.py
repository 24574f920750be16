"""Keras models of the ensemble's members: uint8 RGB in, feature map, features and logits out.

Preprocessing is the first layer of each, so that no caller can forget it or do it twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from trapsort.decode import SIDE
from trapsort.errors import InputError

INPUT_SHAPE = (SIDE, SIDE, 3)


@dataclass(frozen=True, slots=True)
class Backbone:
    """How to build one architecture.

    `scale` and `offset` turn bytes 0..255 into what the published weights expect;
    `caffe` instead reverses the channels and subtracts ImageNet's mean (VGG16).
    `split` names the last layer of a part without published weights behind it: what lies before
    is frozen and computed once, what lies behind is trained. `first_trained` names the first
    layer that fine-tuning changes: edges and colours need no relearning and cost the most.
    """

    build: Callable[[], keras.Model]
    scale: float = 1.0
    offset: float = 0.0
    caffe: bool = False
    hidden: tuple[int, ...] = ()
    split: str | None = None
    first_trained: str | None = None


# (kernel, repeats, channels out, expansion, stride): EfficientNet-B0's stages,
# Tan and Le 2019, table 1; Lite0 keeps them and drops squeeze-and-excitation.
_STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)


def _strided_padding(size: int, kernel: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zero padding before a stride-2 convolution, as keras.applications pads odd and even sizes."""
    half, even = kernel // 2, 1 - size % 2
    return ((half - even, half), (half - even, half))


def efficientnet_lite0() -> keras.Model:
    """EfficientNet-Lite0 without its top: ReLU6, no squeeze-and-excitation, batch norm folded."""

    def conv(x: Any, name: str, *, filters: int, kernel: int, stride: int, depthwise: bool) -> Any:
        padding = "same"
        if stride == 2:
            x = layers.ZeroPadding2D(_strided_padding(x.shape[1], kernel), name=f"{name}_pad")(x)
            padding = "valid"
        if depthwise:
            return layers.DepthwiseConv2D(kernel, stride, padding=padding, name=name)(x)
        return layers.Conv2D(filters, kernel, stride, padding=padding, name=name)(x)

    def relu6(x: Any, name: str) -> Any:
        return layers.ReLU(6.0, name=f"{name}_relu")(x)

    image = layers.Input(INPUT_SHAPE)
    x = relu6(conv(image, "stem", filters=32, kernel=3, stride=2, depthwise=False), "stem")
    for stage, (kernel, repeats, filters, expansion, stride) in enumerate(_STAGES, start=1):
        for repeat in range(repeats):
            name = f"block{stage}{chr(ord('a') + repeat)}"
            step = stride if repeat == 0 else 1
            shortcut, inside = x, x.shape[-1] * expansion
            if expansion != 1:
                args = {"filters": inside, "kernel": 1, "stride": 1, "depthwise": False}
                x = relu6(conv(x, f"{name}_expand", **args), f"{name}_expand")
            args = {"filters": inside, "kernel": kernel, "stride": step, "depthwise": True}
            x = relu6(conv(x, f"{name}_dw", **args), f"{name}_dw")
            args = {"filters": filters, "kernel": 1, "stride": 1, "depthwise": False}
            x = conv(x, f"{name}_project", **args)
            if step == 1 and shortcut.shape[-1] == filters:
                x = layers.Add(name=f"{name}_add")([shortcut, x])
    x = relu6(conv(x, "head", filters=1280, kernel=1, stride=1, depthwise=False), "head")
    return keras.Model(image, x, name="efficientnet_lite0")


def _application(name: str) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        application = getattr(keras.applications, name)
        return application(include_top=False, weights=None, input_shape=INPUT_SHAPE)

    return build


BACKBONES: dict[str, Backbone] = {
    "MobileNetV2": Backbone(
        _application("MobileNetV2"), scale=1 / 127.5, offset=-1.0, first_trained="block_3_expand"
    ),
    "EfficientNetLite0": Backbone(
        efficientnet_lite0, offset=-127.0, first_trained="block3a_expand"
    ),
    "EfficientNetB0": Backbone(_application("EfficientNetB0")),
    "ResNet50V2": Backbone(
        _application("ResNet50V2"), scale=1 / 127.5, offset=-1.0, split="conv4_block6_out"
    ),
    "VGG16": Backbone(_application("VGG16"), caffe=True, hidden=(128, 64)),
}


def preprocess(image: Any, backbone: Backbone) -> Any:
    """Bytes as float32 in the range that the backbone's published weights expect."""
    x = layers.Rescaling(backbone.scale, backbone.offset, name="preprocess")(image)
    if backbone.caffe:
        # keras.applications.imagenet_utils, mode "caffe": BGR minus the ImageNet mean; a 1x1
        # convolution does both and converts to ONNX as it is
        swap = layers.Conv2D(3, 1, name="rgb_to_bgr", trainable=False)
        x = swap(x)
        swap.set_weights(
            [np.eye(3)[::-1].reshape(1, 1, 3, 3), -np.array([103.939, 116.779, 123.68])]
        )
    return x


def head(features_map: Any, classes: int, *, hidden: tuple[int, ...], dropout: float) -> Any:
    """Global average, optional hidden layers, one dense layer: logits, one for each class."""
    x = layers.GlobalAveragePooling2D(name="features")(features_map)
    for index, units in enumerate(hidden):
        x = layers.Dense(units, activation="relu", name=f"hidden{index + 1}")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return layers.Dense(classes, name="logits")(x)


def load_npz(model: keras.Model, path: Path) -> int:
    """Set the weights of all layers that `path` (keys `layer/index`) names; how many were set.

    Raises `InputError` where a shape does not fit or nothing does.
    """
    try:
        stored = np.load(path)
    except OSError as error:
        raise InputError(f"Cannot read weights: {error}", "Give --weights FILE or none.") from error
    by_layer: dict[str, dict[int, np.ndarray]] = {}
    for key in stored.files:
        name, _, index = key.rpartition("/")
        by_layer.setdefault(name, {})[int(index)] = stored[key].astype(np.float32)
    count = 0
    for layer in model._flatten_layers():
        if layer.name in by_layer and layer.get_weights():
            arrays = [by_layer[layer.name][i] for i in sorted(by_layer[layer.name])]
            try:
                layer.set_weights(arrays)
            except ValueError as error:
                raise InputError(f"{path}, layer {layer.name}: {error}", "Wrong file?") from error
            count += 1
    if not count:
        raise InputError(f"{path} fits no layer of {model.name}.", "Is it for this backbone?")
    return count


def freeze(base: keras.Model, first_trained: str | None) -> None:
    """Freeze the layers before `first_trained`, and every batch norm on its stored statistics.

    `training=False` in the call is not enough for a batch norm: an outer model in training mode
    overrides it.
    """
    early = first_trained is not None
    for layer in base.layers:
        early = early and layer.name != first_trained
        if early or isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def build_backbone(name: str, weights: Path | str | None) -> keras.Model:
    """The bare backbone with weights from a file, from `"imagenet"` (downloads) or random."""
    if name not in BACKBONES:
        raise InputError(f"No backbone {name!r}.", f"Known: {', '.join(BACKBONES)}.")
    if weights == "imagenet":
        application = getattr(keras.applications, name, None)
        if application is None:
            raise InputError(f"{name} has no published Keras weights.", "Give --weights FILE.")
        model = application(include_top=False, weights="imagenet", input_shape=INPUT_SHAPE)
    else:
        model = BACKBONES[name].build()
        if weights is not None:
            load_npz(model, Path(weights))
    return model


def build_member(
    name: str, classes: int, *, weights: Path | str | None = "imagenet", dropout: float = 0.2
) -> keras.Model:
    """A whole member: uint8 (N, 224, 224, 3) in, logits (N, classes) out."""
    backbone = BACKBONES[name]
    image = layers.Input(INPUT_SHAPE, dtype="uint8", name="image")
    base = build_backbone(name, weights)
    x = base(preprocess(image, backbone))
    logits = head(x, classes, hidden=backbone.hidden, dropout=dropout)
    return keras.Model(image, logits, name=name.lower())
