"""A network in 8 bits reads bytes and keeps the means of its channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

pytest.importorskip("tensorflow", reason="the training packages are not installed")

from training import quantise as room
from training.quantise import quantise
from trapsort.session import load_graph

pytestmark = pytest.mark.filterwarnings("ignore")  # of the quantisation package itself

SIDE, CHANNELS = 24, 16
LINE = [("Mul", 1 / 127.5), ("Add", -1.0)]
"""What Keras does to a photo before MobileNetV2 and ResNet50V2."""


def network(path: Path, before: Sequence[tuple[str, Any]], *, biased: bool = True) -> Path:
    """Photo, uint8 (N, 24, 24, 3), to a map: what comes before, and three convolutions.

    The middle one looks at each channel alone, whose means 8 bits change most.
    """
    rng = np.random.default_rng(3)
    shapes = [(CHANNELS, 3, 3, 3), (CHANNELS, 1, 3, 3), (CHANNELS, CHANNELS, 1, 1)]
    scale = [1 / 27, 1 / 9, 1 / 16] if before else [1 / 2700, 1 / 9, 1 / 16]
    weights = {
        f"w{i}": rng.normal(0.2, 1, shape) * scale[i] * rng.uniform(0.3, 3, (shape[0], 1, 1, 1))
        for i, shape in enumerate(shapes)
    }
    weights |= {f"b{i}": rng.normal(0, 0.3, CHANNELS) for i in range(3)} if biased else {}
    numbers = {f"n{i}": np.array(number) for i, (_, number) in enumerate(before)}
    nodes = [helper.make_node("Cast", ["image"], ["v0"], to=TensorProto.FLOAT)]
    for i, (kind, _) in enumerate(before):
        nodes.append(helper.make_node(kind, [f"v{i}", f"n{i}"], [f"v{i + 1}"]))
    nodes.append(helper.make_node("Transpose", [f"v{len(before)}"], ["x0"], perm=[0, 3, 1, 2]))
    for i, group in enumerate((1, CHANNELS, 1)):
        inputs = [f"x{i}", f"w{i}", *([f"b{i}"] if biased else [])]
        pads = [1, 1, 1, 1] if i < 2 else [0, 0, 0, 0]
        nodes.append(
            helper.make_node("Conv", inputs, [f"c{i}"], name=f"conv{i}", group=group, pads=pads)
        )
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"x{i + 1}"]))
    nodes.append(helper.make_node("Transpose", ["x3"], ["map"], perm=[0, 2, 3, 1]))
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", SIDE, SIDE, CHANNELS])],
        [
            numpy_helper.from_array(value.astype(np.float32), name)
            for name, value in (weights | numbers).items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def photos(count: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(count)
    base = rng.integers(0, 256, (count, 4, 4, 3)).repeat(6, axis=1).repeat(6, axis=2)
    return np.clip(base + rng.integers(-20, 21, base.shape), 0, 255).astype(np.uint8)


def said(path: Path, shown: NDArray[np.uint8]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = load_graph(path.read_bytes()).run(None, {"image": shown})[0]
    return found


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("before", [LINE, [("Sub", 127.0)], [("Div", 255.0)], []])
def test_a_photo_is_neither_made_floats_nor_rounded(
    before: Sequence[tuple[str, Any]], biased: bool, tmp_path: Path
) -> None:
    single, eighth = network(tmp_path / "s.onnx", before, biased=biased), tmp_path / "e.onnx"
    quantise(single, photos(16), eighth)
    found = kinds(eighth)
    assert not {"Cast", "Mul", "Add", "Sub", "Div"} & set(found)
    assert found.count("QuantizeLinear") == 3  # behind the convolutions, not before the first
    shown = photos(40)
    expected = said(single, shown)
    assert np.abs(said(eighth, shown) - expected).mean() < 0.02 * expected.std()


def test_what_is_no_line_is_left_alone(tmp_path: Path) -> None:
    """Three means, one a colour, fit into no zero point."""
    means = np.array([103.9, 116.8, 123.7])
    single = network(tmp_path / "s.onnx", [("Sub", means), ("Mul", 1 / 127.5)])
    quantise(single, photos(16), tmp_path / "e.onnx")
    found = kinds(tmp_path / "e.onnx")
    assert "Cast" in found
    assert found.count("QuantizeLinear") == 4


def test_each_channel_keeps_its_mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    single = network(tmp_path / "s.onnx", LINE)
    quantise(single, photos(16), tmp_path / "kept.onnx")
    with monkeypatch.context() as patch:
        patch.setattr(room, "keep_means", lambda *_: None)
        quantise(single, photos(16), tmp_path / "lost.onnx")
    shown = photos(60)  # others than those that the means were taken of
    expected = said(single, shown)
    kept, lost = (
        np.abs((said(tmp_path / f"{name}.onnx", shown) - expected).mean(axis=(0, 1, 2)))
        for name in ("kept", "lost")
    )
    assert kept.mean() < 0.5 * lost.mean()
    assert kept.max() < 0.01 * expected.std()
    assert kinds(tmp_path / "kept.onnx") == kinds(tmp_path / "lost.onnx")  # it costs nothing
