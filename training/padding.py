"""Zero padding before a max-pool, which ONNX Runtime computes wrongly, written in another way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

LOWEST = np.float32(-3.4e38)


def unfuse_zero_padding(model: onnx.ModelProto) -> int:
    """Rewrite zero padding before a max-pool so that ONNX Runtime computes it rightly; how many.

    Its pass `Pad_Fusion` moves the zeros into the pool's own padding, which is minus infinity, so
    a window of negative numbers at the border answers too little (ResNet50V2's first pool). The
    rewrite does that move itself and then takes the maximum with 0 wherever a window reaches the
    border: exact, and nothing is left to fuse.
    """
    inferred = onnx.shape_inference.infer_shapes(model).graph
    shapes = {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in [*inferred.value_info, *inferred.input]
    }
    graph, values = model.graph, _values(model.graph)
    maker = {output: node for node in graph.node for output in node.output}
    count = 0
    for pool in [node for node in graph.node if node.op_type == "MaxPool"]:
        pad = maker.get(pool.input[0])
        if pad is None or not _pads_with_zeros(pad, values):
            continue
        _rewrite(graph, pad, pool, values[pad.input[1]].astype(int), shapes[pad.input[0]][2:])
        count += 1
    return count


def _values(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _pads_with_zeros(pad: onnx.NodeProto, values: dict[str, NDArray[Any]]) -> bool:
    if pad.op_type != "Pad" or pad.input[1] not in values or not values[pad.input[1]].any():
        return False
    return len(pad.input) < 3 or not pad.input[2] or float(values[pad.input[2]]) == 0.0


def _rewrite(
    graph: onnx.GraphProto,
    pad: onnx.NodeProto,
    pool: onnx.NodeProto,
    pads: NDArray[np.int64],
    size: Sequence[int],
) -> None:
    attributes = {a.name: helper.get_attribute_value(a) for a in pool.attribute}
    kernel, strides = attributes["kernel_shape"], attributes.get("strides", [1, 1])
    before, after = pads[2:4], pads[6:8]
    border, implicit = [], []
    for axis in range(2):
        windows = (size[axis] + before[axis] + after[axis] - kernel[axis]) // strides[axis] + 1
        first = np.arange(windows) * strides[axis] - before[axis]
        border.append((first < 0) | (first + kernel[axis] > size[axis]))
        implicit.append(max(0, int(first[-1]) + kernel[axis] - size[axis]))
    mask = np.where(border[0][:, None] | border[1][None, :], np.float32(0), LOWEST)
    name = pool.output[0]
    graph.initializer.append(numpy_helper.from_array(mask[None, None], f"{name}/border"))
    kept = [a for a in pool.attribute if a.name not in ("pads", "auto_pad")]
    del pool.attribute[:]
    pool.attribute.extend(kept)
    pool.attribute.append(
        helper.make_attribute("pads", [int(before[0]), int(before[1]), implicit[0], implicit[1]])
    )
    pool.input[0] = pad.input[0]
    pool.output[0] = f"{name}/inside"
    maximum = helper.make_node("Max", [f"{name}/inside", f"{name}/border"], [name])
    graph.node.insert(list(graph.node).index(pool) + 1, maximum)
    if not any(pad.output[0] in node.input for node in graph.node):
        graph.node.remove(pad)
