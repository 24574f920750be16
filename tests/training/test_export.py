"""Each backbone's graph answers what Keras answers, alone and fused."""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

import onnx
import onnxruntime

from training.export import TOLERANCE, ExportError, compare, convert_member, halved
from training.fit import build_network, dense_arrays, dense_logits, rear_weights, save_arrays
from training.graph import MemberGraph, fuse, single_input
from training.meta import Stack
from training.padding import unfuse_zero_padding
from training.recipe import MemberRecipe
from trapsort.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's and Keras's own

LABELS = 5


@pytest.fixture(scope="module")
def photos() -> NDArray[np.uint8]:
    """Eight photos with structure, so that border windows and colours matter."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (8, 28, 28, 3), dtype=np.uint8)
    return coarse.repeat(8, axis=1).repeat(8, axis=2)


def fitted(member: MemberRecipe, hidden: tuple[int, ...], folder: Path) -> Path:
    """A member as `fit` leaves it, with random weights of a size that keeps activations alive."""
    rng = np.random.default_rng(len(member.name))
    network = build_network(member.backbone, None)
    arrays = {
        key: (value + rng.normal(0, 0.02, value.shape)).astype(np.float32)
        for key, value in rear_weights(network).items()
    }
    sizes = (network.whole.output.shape[-1], *hidden, LABELS)
    dense = tuple(
        (
            rng.normal(0, 1 / np.sqrt(before), (before, after)).astype(np.float32),
            rng.normal(0, 0.1, after).astype(np.float32),
        )
        for before, after in pairwise(sizes)
    )
    path = folder / f"{member.name}.npz"
    save_arrays(path, {**arrays, **dense_arrays(dense)})
    return path


MEMBERS = [
    (MemberRecipe("mobilenetv2", "MobileNetV2", "none", 0, 0.0), ()),
    (MemberRecipe("efficientnet_lite0", "EfficientNetLite0", "none", 0, 0.0), ()),
    (MemberRecipe("efficientnetb0", "EfficientNetB0", "none", 0, 0.0), ()),
    (MemberRecipe("resnet50v2", "ResNet50V2", "none", 0, 0.0), ()),
    (MemberRecipe("vgg16", "VGG16", "none", 0, 0.0), (128, 64)),
]


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("member", "hidden"), MEMBERS, ids=lambda value: getattr(value, "name", "")
)
def test_a_member_alone_equals_keras(
    member: MemberRecipe, hidden: tuple[int, ...], photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    target = tmp_path / "member.onnx"
    pooled, dense = convert_member(
        member, tmp_path, fitted(member, hidden, tmp_path), photos, target
    )
    own = softmax(dense_logits(pooled, dense))
    white = np.eye(pooled.shape[1], 4, dtype=np.float32)
    model = fuse(
        [MemberGraph(member.name, onnx.load(target), dense)],
        stack=Stack(3 * np.eye(LABELS, dtype=np.float32), np.zeros(LABELS, np.float32), 1.0, 1.0),
        whitening=(white, np.zeros(4, np.float32)),
        labels=LABELS,
    )
    fused = tmp_path / "fused.onnx"
    onnx.save(model, fused)
    expected = {
        "members": own[:, None],
        "probabilities": softmax(3 * own),
        "features": pooled @ white,
    }
    assert max(compare(fused, photos, expected).values()) <= TOLERANCE
    wrong = {"members": own[:, None] + 2 * TOLERANCE}
    with pytest.raises(ExportError, match="differs from Keras"):
        compare(fused, photos, wrong)
    session = onnxruntime.InferenceSession(fused, providers=["CPUExecutionProvider"])
    (maps,) = session.run(["maps"], {"image": photos})
    scores = maps.sum(axis=(3, 4))[:, 0]
    if not hidden:  # each cell holds its part of the score: the parts add up to score minus bias
        np.testing.assert_allclose(
            scores, dense_logits(pooled, dense) - dense[0][1], rtol=1e-3, atol=1e-3
        )
    else:  # a linear piece: the slope along its own gradient, checked by a finite difference
        step = 1e-3
        moved = pooled * (1 + step)
        change = (dense_logits(moved, dense) - dense_logits(pooled, dense)) / step
        np.testing.assert_allclose(scores, change, rtol=0.05, atol=0.02)


def test_an_unknown_backbone_is_named() -> None:
    with pytest.raises(InputError, match=r"No backbone 'VGG61'\."):
        build_network("VGG61", None)


def test_zero_padding_before_a_max_pool_is_computed_rightly(tmp_path: Path) -> None:
    """Windows of negative numbers at the border: the padding's zero is their maximum."""
    from onnx import TensorProto, helper, numpy_helper

    value = helper.make_tensor_value_info
    pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "pads")
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[3, 3], strides=[2, 2]),
    ]
    graph = helper.make_graph(
        nodes,
        "pool",
        [value("x", TensorProto.FLOAT, ["N", 2, 8, 8])],
        [value("y", TensorProto.FLOAT, ["N", 2, 4, 4])],
        [pads],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    x = -np.random.default_rng(1).random((3, 2, 8, 8), dtype=np.float32) - 1
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    expected = windows.max(axis=(4, 5))
    assert unfuse_zero_padding(model) == 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    np.testing.assert_array_equal(session.run(None, {"x": x})[0], expected)
    assert (expected[:, :, 0] == 0).all()
    assert (expected[:, :, 1:, 1:] < 0).all()
    assert unfuse_zero_padding(model) == 0


def test_a_graph_with_two_inputs_is_refused() -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info
    inputs = [value("a", TensorProto.FLOAT, [1]), value("b", TensorProto.FLOAT, [1])]
    node = helper.make_node("Add", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "two", inputs, [value("c", TensorProto.FLOAT, [1])])
    with pytest.raises(ValueError, match="inputs"):
        single_input(helper.make_model(graph))


def test_half_precision_is_what_the_bundle_stores() -> None:
    weights = np.array([0.1, 1e-3, 3.0], np.float32)
    np.testing.assert_array_equal(halved(weights), weights.astype(np.float16).astype(np.float32))
    assert not np.array_equal(halved(weights), weights)
