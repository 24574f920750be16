"""One ONNX graph from several members: heads, stack, novelty features and activation maps.

Pure functions on ONNX; no Keras here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.fit import Dense, Floats
from trapsort.decode import SIDE

OPSET = 18
LOWEST = np.float32(-3.4e38)


@dataclass(frozen=True, slots=True)
class MemberGraph:
    """A member's graph from photo to feature map (N, height, width, channels), and its head.

    flat: whether the head takes every cell of the map for itself, not their average.
    """

    name: str
    model: onnx.ModelProto
    dense: Dense
    flat: bool = False


class Builder:
    """Collects nodes and constants of a graph under names that do not clash."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node and return its output's name."""
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output


def single_input(model: onnx.ModelProto) -> str:
    """The name of the only input; raises `ValueError` where there are more or none."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [str(value.name) for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        raise ValueError(f"the graph has the inputs {inputs}, not one")
    return inputs[0]


def _values(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


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


def fuse(
    members: Sequence[MemberGraph],
    *,
    stack: tuple[Floats, Floats] | None,
    whitening: tuple[Floats, Floats] | None,
    labels: int,
    witness: onnx.ModelProto | None = None,
    size: tuple[int, int] = (SIDE, SIDE),
    small: bool = True,
) -> onnx.ModelProto:
    """The ensemble as one graph; small: weights stored in half precision or 8 bits.

    In: `image`, uint8 (N, height, width, 3) RGB; size: (width, height). Out, float32:
    `probabilities` (N, labels), calibrated, those of the only member where there is no stack;
    `members` (N, members, labels); `features` (N, dimensions), only with whitening; `maps`
    (N, members, labels, height, width), each cell's part of the label's pre-softmax score; and of
    a witness `other` (N, species).
    """
    build = Builder()
    pooled, votes, maps = [], [], []
    axis1 = build.constant("axis1", [1], np.int64)
    for member in members:
        feature_map = _embed(build, member.name, member.model, small=small)
        features = _pool(build, member, feature_map)
        own, activation = _head(build, member, features, feature_map)
        pooled.append(features)
        votes.append(build.node("Unsqueeze", [own, axis1], f"{member.name}/vote"))
        maps.append(build.node("Unsqueeze", [activation, axis1], f"{member.name}/map"))
    build.node("Concat", votes, "members", axis=1)
    build.node("Concat", maps, "maps", axis=1)
    if stack is None:
        build.node("Squeeze", ["members", axis1], "probabilities")
    else:
        shape = build.constant("flat", [-1, len(members) * labels], np.int64)
        flat = build.node("Reshape", ["members", shape], "stack/in")
        kernel, bias = (build.constant(f"stack/{n}", v) for n, v in zip("Wb", stack, strict=True))
        logits = build.node("Gemm", [flat, kernel, bias], "stack/logits")
        build.node("Softmax", [logits], "probabilities", axis=1)
    outputs = {
        "probabilities": ["N", labels],
        "members": ["N", len(members), labels],
        "maps": ["N", len(members), labels, "height", "width"],
    }
    if whitening is not None:
        joined = build.node("Concat", pooled, "features/in", axis=1)
        white = [build.constant(f"white/{n}", v) for n, v in zip("Wb", whitening, strict=True)]
        build.node("Gemm", [joined, *white], "features")
        outputs["features"] = ["N", whitening[0].shape[1]]
    if witness is not None:
        build.node("Identity", [_embed(build, "witness", witness, small=small)], "other")
        outputs["other"] = ["N", "species"]
    return _assemble(build, outputs, size)


def _embed(build: Builder, name: str, model: onnx.ModelProto, *, small: bool) -> str:
    """Add a model's nodes under a name, perhaps its weights stored small; its output's name."""
    model = onnx.compose.add_prefix(model, f"{name}/")
    image = single_input(model)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == image:
                node.input[place] = "image"
    channel = {
        node.input[1]: 0 if node.op_type == "Conv" else 1
        for node in model.graph.node
        if node.op_type in ("Conv", "MatMul")
    }
    for tensor in model.graph.initializer:
        if small and tensor.name in channel and tensor.data_type == TensorProto.FLOAT:
            _store(build, tensor.name, numpy_helper.to_array(tensor), channel[tensor.name])
        else:
            build.constants.append(tensor)
    build.nodes.extend(model.graph.node)
    return str(model.graph.output[0].name)


def _store(build: Builder, name: str, weights: Floats, channel: int) -> None:
    """Add weights in 8 bits a channel where that is what they are, else in half precision."""
    others = tuple(axis for axis in range(weights.ndim) if axis != channel)
    step = np.maximum(np.abs(weights).max(axis=others, keepdims=True), 1e-12) / np.float32(127)
    whole = np.rint(weights / step)
    if np.abs(whole * step - weights).max() <= 1e-5 * step.max():
        small = build.constant(f"{name}/int8", whole, np.int8)
        single = build.node("Cast", [small], f"{name}/whole", to=TensorProto.FLOAT)
        build.node("Mul", [single, build.constant(f"{name}/step", step)], name)
    else:
        half = build.constant(f"{name}/half", weights, np.float16)
        build.node("Cast", [half], name, to=TensorProto.FLOAT)


def _pool(build: Builder, member: MemberGraph, feature_map: str) -> str:
    name = member.name
    if member.flat:
        shape = build.constant(f"{name}/space", [0, len(member.dense[0][0])], np.int64)
        return build.node("Reshape", [feature_map, shape], f"{name}/features")
    axes = build.constant(f"{name}/space", [1, 2], np.int64)
    return build.node("ReduceMean", [feature_map, axes], f"{name}/features", keepdims=0)


def _head(build: Builder, member: MemberGraph, features: str, feature_map: str) -> tuple[str, str]:
    """Probabilities (N, labels) and activation maps (N, labels, height, width) of one member.

    The maps are Grad-CAM's (Selvaraju et al. 2017) without its final ReLU. Behind a global
    average the gradient of a score is closed-form: the dense kernels in reverse, each hidden layer
    passing where it was positive.
    """
    name = member.name
    x, gates, kernels = features, [], []
    for index, (kernel, bias) in enumerate(member.dense):
        if index:
            x = build.node("Relu", [x], f"{name}/hidden{index}")
            gates.append(x)
        kernels.append(build.constant(f"{name}/dense{index}/W", kernel))
        b = build.constant(f"{name}/dense{index}/b", bias)
        x = build.node("Gemm", [x, kernels[-1], b], f"{name}/dense{index}")
    own = build.node("Softmax", [x], f"{name}/probabilities", axis=1)
    turned = [build.node("Transpose", [kernel], f"{kernel}/T", perm=[1, 0]) for kernel in kernels]
    gradient = turned[-1]  # (labels, inputs of the last layer), then (N, labels, ...)
    for index in range(len(gates) - 1, -1, -1):
        zero = build.constant(f"{name}/zero{index}", 0.0)
        axis = build.constant(f"{name}/axis{index}", [1], np.int64)
        positive = build.node("Greater", [gates[index], zero], f"{name}/positive{index}")
        gate = build.node("Cast", [positive], f"{name}/gate{index}", to=TensorProto.FLOAT)
        gate = build.node("Unsqueeze", [gate, axis], f"{name}/gate{index}/row")
        gradient = build.node("Mul", [gradient, gate], f"{name}/gated{index}")
        gradient = build.node("MatMul", [gradient, turned[index]], f"{name}/gradient{index}")
    if member.flat:
        gradient = _over_cells(build, name, gradient, feature_map)
    return own, _activation(build, name, gradient, feature_map, linear=not gates)


def _over_cells(build: Builder, name: str, gradient: str, feature_map: str) -> str:
    """Gradient (..., labels, cells x K) of a flat head, summed over the cells: (..., labels, K)."""
    shape = build.node("Shape", [feature_map], f"{name}/flat/shape")
    parts = [
        build.constant(f"{name}/flat/{n}", v, np.int64) for n, v in (("from", [3]), ("to", [4]))
    ]
    channels = build.node("Slice", [shape, *parts], f"{name}/flat/channels")
    minus = build.constant(f"{name}/flat/rest", [-1], np.int64)
    own = build.node("Shape", [gradient], f"{name}/flat/gradient")
    zero = build.constant(f"{name}/flat/zero", [0], np.int64)
    front = build.node("Slice", [own, zero, minus], f"{name}/flat/front")
    apart = build.node("Concat", [front, minus, channels], f"{name}/flat/apart", axis=0)
    cells = build.node("Reshape", [gradient, apart], f"{name}/flat/cells")
    axis = build.constant(f"{name}/flat/axis", [-2], np.int64)
    return build.node("ReduceSum", [cells, axis], f"{name}/flat/sum", keepdims=0)


def _activation(build: Builder, name: str, gradient: str, feature_map: str, *, linear: bool) -> str:
    """Sum over channels of gradient (..., labels, K) times map (N, h, w, K), over the cells."""
    shape = build.node("Shape", [feature_map], f"{name}/shape")
    cells = build.node(
        "ReduceProd",
        [
            build.node(
                "Slice",
                [
                    shape,
                    build.constant(f"{name}/from", [1], np.int64),
                    build.constant(f"{name}/to", [3], np.int64),
                ],
                f"{name}/size",
            )
        ],
        f"{name}/cells",
        keepdims=0,
    )
    cells = build.node("Cast", [cells], f"{name}/cells/float", to=TensorProto.FLOAT)
    if linear:
        turned = build.node("Transpose", [gradient], f"{name}/cam/W", perm=[1, 0])
        spread = build.node("MatMul", [feature_map, turned], f"{name}/cam/hwc")
    else:
        turned = build.node("Transpose", [gradient], f"{name}/cam/W", perm=[0, 2, 1])
        axis = build.constant(f"{name}/cam/axis", [1], np.int64)
        turned = build.node("Unsqueeze", [turned, axis], f"{name}/cam/W/row")
        spread = build.node("MatMul", [feature_map, turned], f"{name}/cam/hwc")
    first = build.node("Transpose", [spread], f"{name}/cam/chw", perm=[0, 3, 1, 2])
    return build.node("Div", [first, cells], f"{name}/cam")


def _assemble(
    build: Builder, outputs: dict[str, list[Any]], size: tuple[int, int]
) -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size[1], size[0], 3])
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in outputs.items()
    ]
    graph = helper.make_graph(build.nodes, "trapsort", [image], values, build.constants)
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
        producer_name="trapsort",
    )
    onnx.checker.check_model(model)
    single_input(model)
    return model
