"""Parts of a bundle's graph taken out and put back: a member in 8 bits, a witness asked late.

Pure functions on ONNX; no Keras here. All of a part's names start with its own name, as
`training.graph.fuse` gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from training.graph import ALWAYS, Builder, branch, embed

WITNESS, LATE = "witness", "late"
"""What names start with: of the witness itself, and of what asks it late."""
OTHER = "other"
"""Name of the output that a witness answers."""


def scopes(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """A graph and the graphs of all branches inside it."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from scopes(attribute.g)


def _producer(model: onnx.ModelProto, value: str) -> tuple[onnx.GraphProto, onnx.NodeProto]:
    """The node that computes a value, and the graph that it is in; raises `ValueError`."""
    for scope in scopes(model.graph):
        for node in scope.node:
            if value in node.output:
                return scope, node
    raise ValueError(f"the graph computes no {value}")


def feature_map(model: onnx.ModelProto, member: str) -> str:
    """The name of a member's feature map; raises `ValueError` where there is no such member."""
    return str(_producer(model, f"{member}/features")[1].input[0])


def witness_says(model: onnx.ModelProto) -> str | None:
    """The name of what the witness says, before it is withheld; None without a witness."""
    for scope in scopes(model.graph):
        for node in scope.node:
            if node.output[0] == f"{LATE}/said":
                return str(node.input[0])
    return None


def needed_for(scope: onnx.GraphProto, value: str) -> list[onnx.NodeProto]:
    """The nodes of a graph that a value comes from, in their order."""
    made = {output: node for node in scope.node for output in node.output}
    found: set[str] = set()
    open_values = [value]
    while open_values:
        node = made.get(open_values.pop())
        if node is not None and node.output[0] not in found:
            found.add(node.output[0])
            open_values.extend(node.input)
    return [node for node in scope.node if node.output[0] in found]


def cut(model: onnx.ModelProto, value: str, shape: Sequence[str | int]) -> onnx.ModelProto:
    """A graph of its own from the photos to a value, float32 of this shape."""
    scope, _ = _producer(model, value)
    nodes = needed_for(scope, value)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "part",
        [model.graph.input[0]],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape)],
        [tensor for tensor in scope.initializer if tensor.name in used],
    )
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.checker.check_model(part)
    return part


def put(model: onnx.ModelProto, value: str, part: onnx.ModelProto, name: str) -> None:
    """Let `part`, photos to one output, compute a value; what computed it before goes.

    name: what all names of the part start with. The part's remaining single-precision weights are
    stored small, as in `training.graph.fuse`.
    """
    scope, _ = _producer(model, value)
    build = Builder()
    output = embed(build, name, part, small=True)
    for node in build.nodes:
        for place, other in enumerate(node.output):
            if other == output:
                node.output[place] = value
    place = _take_out(scope, needed_for(scope, value))
    kept = list(scope.node)
    del scope.node[:]
    scope.node.extend([*kept[:place], *build.nodes, *kept[place:]])
    scope.initializer.extend(build.constants)
    _adopt_opsets(model, part)
    onnx.checker.check_model(model)


def ask_witness_late(model: onnx.ModelProto, species: int) -> bool:
    """Ask the witness only of batches that show one of the species; whether that was a change.

    A photo whose most probable label is none of the first `species` labels is not reported as a
    species whatever the witness says. Its `other` is 0, whatever its neighbours are, so no answer
    depends on the batch.
    """
    graph = model.graph
    last = next((node for node in graph.node if node.output[0] == OTHER), None)
    if last is None or last.op_type != "Identity":
        return False
    nodes = needed_for(graph, last.input[0])
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    ask = Builder()
    ask.nodes, ask.constants = [_copied(node) for node in nodes], [*constants]
    said = ask.node("Identity", [last.input[0]], f"{LATE}/said")

    build = Builder()
    best = build.node("ArgMax", ["probabilities"], f"{LATE}/best", axis=1, keepdims=1)
    number = build.node("Cast", [best], f"{LATE}/best/float", to=TensorProto.FLOAT)
    count = build.constant(ALWAYS, species)
    one = build.node("Less", [number, count], f"{LATE}/species")  # (N, 1)
    whole = build.node("Cast", [one], f"{LATE}/species/number", to=TensorProto.INT32)
    most = build.node("ReduceMax", [whole], f"{LATE}/species/most", keepdims=0)
    some = build.node("Cast", [most], f"{LATE}/species/some", to=TensorProto.BOOL)
    skip = Builder()
    photos = skip.node("Shape", ["image"], f"{LATE}/photos", start=0, end=1)
    columns = skip.constant(f"{LATE}/columns", [species], np.int64)
    size = skip.node("Concat", [photos, columns], f"{LATE}/size", axis=0)
    nothing = skip.node("ConstantOfShape", [size], f"{LATE}/nothing")
    build.nodes.append(
        helper.make_node(
            "If",
            [some],
            [f"{LATE}/answer"],
            then_branch=branch(ask, "witness", [said]),
            else_branch=branch(skip, "no witness", [nothing]),
        )
    )
    zero = build.constant(f"{LATE}/zero", 0.0)
    build.node("Where", [one, f"{LATE}/answer", zero], OTHER)
    _take_out(graph, [*nodes, last])
    graph.node.extend(build.nodes)
    graph.initializer.extend(build.constants)
    onnx.checker.check_model(model)
    return True


def _copied(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy


def _take_out(scope: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> int:
    """Remove nodes and the constants that only they used; the place of the first of them.

    Raises `ValueError` where what is left needs one of them for more than its last output.
    """
    gone = {node.output[0] for node in nodes}
    last = nodes[-1].output[0]
    place = next(i for i, node in enumerate(scope.node) if node.output[0] in gone)
    kept = [_copied(node) for node in scope.node if node.output[0] not in gone]
    used = {name for node in kept for name in _read(node)}
    if (gone - {last}) & used:
        raise ValueError(f"{sorted((gone - {last}) & used)[0]} is used elsewhere, too")
    freed = {name for node in nodes for name in node.input} - used
    constants = [tensor for tensor in scope.initializer if tensor.name not in freed]
    del scope.node[:]
    scope.node.extend(kept)
    del scope.initializer[:]
    scope.initializer.extend(constants)
    return place


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """The names of all values that a node reads, in its branches too."""
    yield from node.input
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            for inner in attribute.g.node:
                yield from _read(inner)


def _adopt_opsets(model: onnx.ModelProto, part: onnx.ModelProto) -> None:
    """Let a model know the operator sets of a part; raises `ValueError` for another default."""
    known = {each.domain: each.version for each in model.opset_import}
    for each in part.opset_import:
        if each.domain not in known:
            model.opset_import.append(each)
        elif each.version != known[each.domain] and not each.domain:
            raise ValueError(f"the part speaks opset {each.version}, the graph {known['']}")
