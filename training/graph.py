"""One ONNX graph from several members: heads, stack, novelty features and activation maps.

Pure functions on ONNX; no Keras here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.fit import Dense, Floats
from training.meta import Cascade, Stack
from trapsort.decode import SIDE

OPSET = 18
FIRST = "first"
"""Names in the graph: of the first members' stack, and below of what makes them answer alone."""
THRESHOLD = "first/min_probability"
ALWAYS = "late/labels"
"""Constant of a witness that is asked late: it hears of photos whose best label comes before it."""


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


def fuse(
    members: Sequence[MemberGraph],
    *,
    stack: Stack | None,
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
    a witness `other` (N, species). With a cascade, `members` and `maps` are 0 for the members that
    a photo did not need.
    """
    build = Builder()
    build.constant("axis1", [1], np.int64)
    cascade = None if stack is None else stack.cascade
    first = _ask(build, members if cascade is None else members[: cascade.first], small=small)
    if stack is None:
        named = (build.node("Squeeze", [first.votes, "axis1"], "alone"), first.votes, first.maps)
    elif cascade is None:
        named = (_stack(build, "stack", stack, first.votes), first.votes, first.maps)
    else:
        named = _cascade(build, stack, cascade, first, members[cascade.first :], small=small)
    outputs = {
        "probabilities": ["N", labels],
        "members": ["N", len(members), labels],
        "maps": ["N", len(members), labels, "height", "width"],
    }
    for value, output in zip(named, outputs, strict=True):
        build.node("Identity", [value], output)
    if whitening is not None:
        joined = build.node("Concat", first.pooled, "features/in", axis=1)
        white = [build.constant(f"white/{n}", v) for n, v in zip("Wb", whitening, strict=True)]
        build.node("Gemm", [joined, *white], "features")
        outputs["features"] = ["N", whitening[0].shape[1]]
    if witness is not None:
        build.node("Identity", [embed(build, "witness", witness, small=small)], "other")
        outputs["other"] = ["N", "species"]
    return _assemble(build, outputs, size)


@dataclass(frozen=True, slots=True)
class Asked:
    """What some members say, as names of values in a graph.

    votes: (N, members, labels); maps: (N, members, labels, height, width); pooled: the features of
    each.
    """

    votes: str
    maps: str
    pooled: list[str]


def _ask(build: Builder, members: Sequence[MemberGraph], *, small: bool) -> Asked:
    pooled, votes, maps = [], [], []
    for member in members:
        feature_map = embed(build, member.name, member.model, small=small)
        features = _pool(build, member, feature_map)
        own, activation = _head(build, member, features, feature_map)
        pooled.append(features)
        votes.append(build.node("Unsqueeze", [own, "axis1"], f"{member.name}/vote"))
        maps.append(build.node("Unsqueeze", [activation, "axis1"], f"{member.name}/map"))
    name = members[0].name
    return Asked(
        build.node("Concat", votes, f"{name}/votes", axis=1),
        build.node("Concat", maps, f"{name}/maps", axis=1),
        pooled,
    )


def _stack(build: Builder, name: str, stack: Stack, votes: str) -> str:
    """Calibrated probabilities (N, labels) of votes (N, members, labels)."""
    shape = build.constant(f"{name}/flat", [-1, len(stack.kernel)], np.int64)
    flat = build.node("Reshape", [votes, shape], f"{name}/in")
    kernel = build.constant(f"{name}/W", stack.kernel)
    bias = build.constant(f"{name}/b", stack.bias)
    logits = build.node("Gemm", [flat, kernel, bias], f"{name}/logits")
    return build.node("Softmax", [logits], f"{name}/probabilities", axis=1)


def _cascade(
    build: Builder,
    stack: Stack,
    cascade: Cascade,
    first: Asked,
    members: Sequence[MemberGraph],
    *,
    small: bool,
) -> tuple[str, str, str]:
    """Ask `members` too, but only where the first ones are not sure (`Cascade.sure`).

    Returns probabilities, votes and maps of all. A batch in which every photo is sure skips the
    branch; a photo that was sure keeps its answer whatever its neighbours are, so no answer depends
    on the batch.
    """
    own = _stack(build, FIRST, cascade.stack, first.votes)
    threshold = build.constant(THRESHOLD, cascade.min_probability)
    most = build.node("ReduceMax", [own, "axis1"], "first/most", keepdims=1)
    probable = build.node("GreaterOrEqual", [most, threshold], "first/probable")
    said = build.node("ArgMax", [first.votes], "first/said", axis=2, keepdims=0)
    ends = [build.node(f"Reduce{end}", [said, "axis1"], f"first/{end}") for end in ("Min", "Max")]
    agree = build.node("Equal", ends, "first/agree")
    rejected = np.arange(stack.kernel.shape[1])[:, None] >= cascade.species
    none = build.node("MatMul", [own, build.constant("first/rejected", rejected)], "first/none")
    nothing = build.node("GreaterOrEqual", [none, threshold], "first/nothing")
    named = build.node("And", [probable, agree], "first/named")
    sure = build.node("Or", [named, nothing], "first/sure")  # (N, 1)
    number = build.node("Cast", [sure], "first/sure/number", to=TensorProto.INT32)
    least = build.node("ReduceMin", [number], "first/sure/least", keepdims=0)
    every = build.node("Cast", [least], "first/sure/every", to=TensorProto.BOOL)

    ask = Builder()
    later = _ask(ask, members, small=small)
    votes = ask.node("Concat", [first.votes, later.votes], "later/joined", axis=1)
    found = (_stack(ask, "stack", stack, votes), later.votes, later.maps)
    skip = Builder()
    skipped = (
        skip.node("Identity", [own], "skip/probabilities"),
        _zeros(skip, first.votes, "skip/votes", len(members)),
        _zeros(skip, first.maps, "skip/maps", len(members)),
    )
    answers = ["later/probabilities", "later/votes", "later/maps"]
    build.nodes.append(
        helper.make_node(
            "If",
            [every],
            answers,
            then_branch=branch(skip, "skip", skipped),
            else_branch=branch(ask, "ask", found),
        )
    )
    zero = build.constant("later/zero", 0.0)
    parts = [build.node("Where", [sure, own, answers[0]], "probabilities/either")]
    for answer, known, axes in ((1, first.votes, [2]), (2, first.maps, [2, 3, 4])):
        name = answers[answer]
        place = build.constant(f"{name}/axes", axes, np.int64)
        mask = build.node("Unsqueeze", [sure, place], f"{name}/sure")
        kept = build.node("Where", [mask, zero, name], f"{name}/kept")
        parts.append(build.node("Concat", [known, kept], f"{name}/all", axis=1))
    return parts[0], parts[1], parts[2]


def _zeros(build: Builder, like: str, name: str, count: int) -> str:
    """Zeros in the shape of a value (N, members, ...), with `count` members."""
    total = build.node("ReduceSum", [like, "axis1"], f"{name}/sum", keepdims=1)
    nothing = build.node("Mul", [total, build.constant(f"{name}/zero", 0.0)], f"{name}/nothing")
    return build.node("Concat", [nothing] * count, f"{name}/zeros", axis=1)


def branch(build: Builder, name: str, outputs: Sequence[str]) -> onnx.GraphProto:
    """What was built as one side of an `If`; outputs: names of float32 values."""
    values = [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs]
    return helper.make_graph(build.nodes, name, [], values, build.constants)


def initializers(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant of a graph and of the branches inside it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from initializers(attribute.g)


def ask_everyone(model: onnx.ModelProto) -> None:
    """Change a graph so that no photo is answered without the last members and the witness."""
    replace_constants(model, {THRESHOLD: np.float32(2), ALWAYS: np.float32(np.inf)})


def replace_constants(model: onnx.ModelProto, values: Mapping[str, Any]) -> None:
    """Put new float32 values into the constants of these names, where the graph has them."""
    for tensor in initializers(model.graph):
        if tensor.name in values:
            array = np.asarray(values[tensor.name], np.float32)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def embed(build: Builder, name: str, model: onnx.ModelProto, *, small: bool) -> str:
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
        if node.op_type in ("Conv", "MatMul", "Gemm")
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
