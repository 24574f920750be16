"""Convolutions in 8 bits, on a small graph whose weights are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("tensorflow", reason="the training packages are not installed")

from training.quantise import drift, quantise


def small_graph(path: Path) -> Path:
    """Photo, uint8 (N, 32, 32, 3), to a feature map (N, 30, 30, 8): one convolution and a ReLU."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(0, 0.05, (8, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["conv"], name="conv"),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("Transpose", ["relu"], ["map"], perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 32, 32, 3])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", 30, 30, 8])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.filterwarnings("ignore")  # of the quantisation package itself
def test_eight_bits_are_signed_weights_and_nearly_the_same_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (64, 1, 1, 3))
    photos = np.clip(colours + rng.integers(-20, 20, (64, 32, 32, 3)), 0, 255).astype(np.uint8)
    single, eighth = small_graph(tmp_path / "single.onnx"), tmp_path / "eighth.onnx"
    quantise(single, photos[:16], eighth)
    kinds = {tensor.data_type for tensor in onnx.load(eighth).graph.initializer}
    assert {TensorProto.INT8, TensorProto.UINT8} <= kinds  # weights, zero points of activations
    dense = ((rng.normal(0, 0.2, (8, 4)).astype(np.float32), np.zeros(4, np.float32)),)
    change = drift(single, eighth, dense, photos[16:], repeats=1)
    assert change.photos == 48
    assert change.agreement >= 0.95
    assert 0 < change.mean_drift < 0.05  # not zero: something was rounded
    assert change.mean_drift <= change.most_drift
