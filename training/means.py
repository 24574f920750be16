"""What rounding to 8 bits changes on average, taken back inside the network.

A network in 8 bits, as ONNX Runtime's tools write it (each convolution between a DequantizeLinear
and a QuantizeLinear), reads a photo's bytes as they are, and each of its channels gets back the
mean that it had. Pure functions on ONNX; no Keras here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from training.splice import cut, needed_for
from trapsort.session import load_graph

PHOTOS = 32
"""Photos that the means are taken of, at most: each shows thousands of places of every channel."""

Wide = NDArray[np.float64]


class _EightBits:
    """The graph of a network in 8 bits, its convolutions and their biases."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self.made = {output: node for node in graph.node for output in node.output}
        self._constants = {tensor.name: tensor for tensor in graph.initializer}

    def number(self, name: str) -> float | None:
        """A constant that is one number; None for others, and for what is computed."""
        found = self._constants.get(name)
        value = None if found is None else numpy_helper.to_array(found)
        return None if value is None or value.size != 1 else float(value.item())

    def constant(self, name: str) -> Wide:
        """A constant; raises `ValueError` for what is computed."""
        if name not in self._constants:
            raise ValueError(f"{name} is computed, and no constant")
        return numpy_helper.to_array(self._constants[name]).astype(np.float64)

    def scale(self, name: str) -> Wide:
        """What one step of a value in 8 bits, or of a bias in 32, counts."""
        return self.constant(self.made[name].input[1])

    def put(self, name: str, value: NDArray[Any]) -> str:
        """Make a constant of this name, new or in place of the old one."""
        tensor = numpy_helper.from_array(np.asarray(value), name)
        if name in self._constants:
            self._constants[name].CopyFrom(tensor)
        else:
            self.graph.initializer.append(tensor)
            self._constants[name] = self.graph.initializer[-1]
        return name

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that a value goes into."""
        return [node for node in self.graph.node if name in node.input]

    def convolutions(self) -> list[onnx.NodeProto]:
        """Those whose photos and weights are in 8 bits, in the order in which they are computed."""
        return [
            node
            for node in self.graph.node
            if node.op_type == "Conv" and all(self._is_read_back(name) for name in node.input[:2])
        ]

    def _is_read_back(self, name: str) -> bool:
        return name in self.made and self.made[name].op_type == "DequantizeLinear"

    def weights(self, conv: onnx.NodeProto) -> Wide:
        """As they count, (channels out, channels in, height, width)."""
        name = conv.input[1]
        return self.constant(self.made[name].input[0]) * self.scale(name).reshape(-1, 1, 1, 1)

    def bias(self, conv: onnx.NodeProto) -> Wide:
        """As it counts, one a channel; 0 without one."""
        if len(conv.input) < 3:
            return np.zeros(len(self.weights(conv)))
        name = conv.input[2]
        return self.constant(self.made[name].input[0]) * self.scale(name)

    def put_bias(self, conv: onnx.NodeProto, bias: Wide) -> None:
        """Write a bias in the steps that the products of photos and weights have, in 32 bits."""
        photo, weights = (self.scale(name) for name in conv.input[:2])
        scale = (photo * weights).reshape(-1).astype(np.float32)
        limit = np.iinfo(np.int32)
        steps = np.clip(np.rint(bias / scale), limit.min, limit.max).astype(np.int32)
        name = f"{conv.output[0]}/bias"
        parts = [self.put(f"{name}/steps", steps), self.put(f"{name}/scale", scale)]
        parts.append(self.put(f"{name}/zero", np.zeros(len(steps), np.int32)))
        if name not in self.made:
            read = helper.make_node("DequantizeLinear", parts, [name], name=name, axis=0)
            self.graph.node.insert(0, read)
            self.made[name] = read
        del conv.input[2:]
        conv.input.append(name)


def take_bytes(model: onnx.ModelProto) -> None:
    """Let first convolutions read the photo's bytes themselves.

    What stands before them, x -> a x + b for two numbers, becomes their scale (a), their zero point
    (the byte nearest to -b / a) and a part of their bias (what is left, half a step at most). So
    nothing is rounded there, and a photo is neither made floats nor rounded back.
    """
    net, photo = _EightBits(model.graph), model.graph.input[0].name
    for conv in net.convolutions():
        read = net.made[conv.input[0]]
        rounded = net.made.get(read.input[0])
        if rounded is None or rounded.op_type != "QuantizeLinear":
            continue
        line = _line(net, rounded.input[0], photo)
        if line is None or len(net.readers(rounded.output[0])) != 1:
            continue
        factor, shift, turn = line
        zero = int(np.clip(np.rint(-shift / factor), 0, 255))
        rest = factor * zero + shift
        bias = net.bias(conv) + rest * net.weights(conv).sum(axis=(1, 2, 3))
        name = f"{conv.output[0]}/bytes"
        planes = helper.make_node("Transpose", [photo], [name], name=name, perm=turn)
        net.graph.node.insert(list(net.graph.node).index(rounded), planes)
        read.input[0] = name
        read.input[1] = net.put(f"{name}/scale", np.array(factor, np.float32))
        read.input[2] = net.put(f"{name}/zero", np.array(zero, np.uint8))
        net.put_bias(conv, bias)
    _forget_unused(model.graph)


def _line(net: _EightBits, value: str, photo: str) -> tuple[float, float, list[int]] | None:
    """Factor, shift and turned axes by which a value comes from the photo; None in other ways."""
    factor, shift, turn = 1.0, 0.0, None
    path = []
    while value != photo:
        if value not in net.made:
            return None
        path.append(net.made[value])
        value = path[-1].input[0]
    for node in reversed(path):
        number = net.number(node.input[1]) if len(node.input) == 2 else None
        if node.op_type == "Transpose" and turn is None:
            turn = list(helper.get_node_attr_value(node, "perm"))
        elif node.op_type in ("Add", "Sub") and number is not None:
            shift += number if node.op_type == "Add" else -number
        elif node.op_type in ("Mul", "Div") and number:
            by = number if node.op_type == "Mul" else 1 / number
            factor, shift = factor * by, shift * by
        elif node.op_type != "Cast":
            return None
    return None if turn is None or factor <= 0 else (factor, shift, turn)


def _forget_unused(graph: onnx.GraphProto) -> None:
    """Take out nodes and constants that no output comes from."""
    kept = {node.output[0] for out in graph.output for node in needed_for(graph, out.name)}
    nodes = [node for node in graph.node if node.output[0] in kept]
    used = {name for node in nodes for name in node.input}
    constants = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)


def keep_means(single: onnx.ModelProto, eighth: onnx.ModelProto, photos: NDArray[np.uint8]) -> None:
    """Give the channels of each convolution in `eighth` the means that they have in `single`.

    One after the other in the order of the network, so that each is measured behind those that are
    corrected; by their biases, which costs nothing. Photos: uint8 (N, height, width, 3). (Nagel et
    al. 2019, "Data-free quantization through weight equalization and bias correction", where the
    means are known without photos.)
    """
    some = photos[:: -(-len(photos) // PHOTOS)]
    net = _EightBits(eighth.graph)
    before = {node.name: node.output[0] for node in single.graph.node if node.op_type == "Conv"}
    chosen = [conv for conv in net.convolutions() if conv.name in before]
    wanted = _means(single, [before[conv.name] for conv in chosen], some)
    for conv, mean in zip(chosen, wanted, strict=True):
        part = cut(eighth, conv.output[0], ["N", "channels", "height", "width"])
        (found,) = _means(part, [conv.output[0]], some)
        net.put_bias(conv, net.bias(conv) + mean - found)
    _forget_unused(eighth.graph)


def _means(model: onnx.ModelProto, values: Sequence[str], photos: NDArray[np.uint8]) -> list[Wide]:
    """Mean of each channel of some values (N, channels, height, width) over photos and places."""
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    known = {output.name for output in shown.graph.output}
    shown.graph.output.extend(
        helper.make_tensor_value_info(value, onnx.TensorProto.FLOAT, None)
        for value in values
        if value not in known
    )
    session = load_graph(shown.SerializeToString())
    name = session.get_inputs()[0].name
    sums = [np.zeros(1) for _ in values]
    for place in range(len(photos)):
        found = session.run(list(values), {name: photos[place : place + 1]})
        sums = [
            total + one.mean(axis=(0, 2, 3), dtype=np.float64)
            for total, one in zip(sums, found, strict=True)
        ]
    return [total / len(photos) for total in sums]
