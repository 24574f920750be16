"""A tiny bundle for tests: three members that tell photos apart by their mean colour."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABELS = ("Lion", "Panda", "Rhino", "blank", "other_animal", "vehicle")
SPECIES = LABELS[:3]
TAXONOMY = {
    "Lion": {"phylum": "Chordata", "family": "Felidae"},
    "Panda": {"phylum": "Chordata", "family": "Ursidae"},
    "Rhino": {"phylum": "Chordata", "family": "Rhinocerotidae"},
}
MEMBERS = ("first", "second", "third")


def graph(size: tuple[int, int] = (224, 224), *, novelty: bool = True, lions: float = 0.0) -> bytes:
    """Red photos are lions, green ones pandas, blue ones rhinos, black ones blank.

    size: width and height of the input; novelty: whether there is an output `features`; lions: what
    is added to their score.
    """
    kernel = np.zeros((3, 6), np.float32)
    kernel[:, :3] = 12 * np.eye(3) - 4
    bias = np.array([lions, 0, 0, 1.5, -2, -2], np.float32)
    constants = {
        "kernel": kernel,
        "bias": bias,
        "scale": np.float64(1 / 255),
        "space": np.array([1, 2], np.int64),
        "one": np.array([1], np.int64),
        "maps/shape": np.array([0, 1, 6, 1, 1], np.int64),
        "maps/tile": np.array([1, 3, 1, 7, 7], np.int64),
        "three": np.array([1, 3, 1], np.int64),
    }
    nodes = [
        *_colour("features"),
        helper.make_node("Gemm", ["features", "kernel", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Unsqueeze", ["probabilities", "one"], ["row"]),
        helper.make_node("Tile", ["row", "three"], ["members"]),
        helper.make_node("Reshape", ["logits", "maps/shape"], ["maps/one"]),
        helper.make_node("Tile", ["maps/one", "maps/tile"], ["maps"]),
    ]
    outputs = {"probabilities": [6], "members": [3, 6], "maps": [3, 6, 7, 7]}
    return _model(nodes, constants, outputs | ({"features": [3]} if novelty else {}), size)


def binary_graph() -> bytes:
    """One member; the redder a photo, the more it is the second of two labels: [1 - p, p]."""
    constants = {
        "kernel": np.array([[20], [0], [0]], np.float32),
        "bias": np.array([-8], np.float32),
        "scale": np.float64(1 / 255),
        "space": np.array([1, 2], np.int64),
        "one": np.array([1], np.int64),
        "whole": np.float32(1),
        "maps/shape": np.array([0, 1, 2, 1, 1], np.int64),
    }
    nodes = [
        *_colour("mean"),
        helper.make_node("Gemm", ["mean", "kernel", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["yes"]),
        helper.make_node("Sub", ["whole", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
        helper.make_node("Unsqueeze", ["probabilities", "one"], ["members"]),
        helper.make_node("Reshape", ["probabilities", "maps/shape"], ["maps"]),
    ]
    return _model(nodes, constants, {"probabilities": [2], "members": [1, 2], "maps": [1, 2, 1, 1]})


def _colour(output: str) -> list[onnx.NodeProto]:
    """Mean colour of each photo, (N, 3) in 0..1; in single precision it depends on the batch."""
    return [
        helper.make_node("Cast", ["image"], ["bytes"], to=TensorProto.DOUBLE),
        helper.make_node("Mul", ["bytes", "scale"], ["colour"]),
        helper.make_node("ReduceMean", ["colour", "space"], ["precise"], keepdims=0),
        helper.make_node("Cast", ["precise"], [output], to=TensorProto.FLOAT),
    ]


def _model(
    nodes: list[onnx.NodeProto],
    constants: dict[str, Any],
    outputs: dict[str, list[int]],
    size: tuple[int, int] = (224, 224),
) -> bytes:
    def value(name: str, kind: int, shape: list[Any]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, ["N", *shape])

    width, height = size
    made = helper.make_graph(
        nodes,
        "toy",
        [value("image", TensorProto.UINT8, [height, width, 3])],
        [value(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model: bytes = helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()
    return model


def manifest(folder: Path, **changes: Any) -> dict[str, Any]:
    """What `bundle.json` says of the graph in `folder`, with changes."""
    data = (folder / "ensemble.onnx").read_bytes()
    table = {
        "schema": 1,
        "name": "toy",
        "version": "1.0.0",
        "title": "Colours",
        "graph": "ensemble.onnx",
        "labels": list(LABELS),
        "species": list(SPECIES),
        "taxa": {
            "Lion": ["Panthera leo"],
            "Panda": ["Ailuropoda melanoleuca"],
            "Rhino": ["Diceros bicornis"],
        },
        "members": [{"name": name, "backbone": "none"} for name in MEMBERS],
        "decision": {
            "min_probability": 0.6,
            "min_agreement": 2,
            "max_distance": 2.0,
            "centroids": np.eye(3).tolist(),
        },
        "files": {"ensemble.onnx": {"sha256": hashlib.sha256(data).hexdigest()}},
    }
    return {**table, **changes}


def write_bundle(folder: Path, onnx_graph: bytes | None = None, **changes: Any) -> Path:
    """Write the toy bundle into `folder` and return it; `changes` are those of `bundle.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ensemble.onnx").write_bytes(onnx_graph or graph())
    table = manifest(folder, **changes)
    (folder / "bundle.json").write_text(json.dumps(table), encoding="utf-8")
    return folder


def write_binary(folder: Path) -> Path:
    """Write a bundle of two labels without taxa, novelty and witness into `folder`."""
    labels = ["common", "endangered"]
    rule = {"min_probability": 0.7, "min_agreement": 1, "max_distance": None, "centroids": None}
    return write_bundle(
        folder,
        binary_graph(),
        name="binary",
        labels=labels,
        species=labels,
        taxa={},
        members=[{"name": "only", "backbone": "none"}],
        decision=rule,
    )


def write_precisions(folder: Path, *, lions: float = 0.0, **changes: Any) -> Path:
    """Write the toy bundle with a graph in 8 bits into `folder`; `changes` are of `bundle.json`.

    It answers the same, but for what it adds to the score of lions.
    """
    write_bundle(folder)
    eighth = onnx.load_from_string(graph(lions=lions))
    eighth.doc_string = "in 8 bits"
    onnx.save(eighth, folder / "ensemble-int8.onnx")
    names = ("ensemble.onnx", "ensemble-int8.onnx")
    table = manifest(
        folder,
        graphs={"single": "ensemble.onnx", "int8": "ensemble-int8.onnx"},
        parity={"int8": {"development": {"agreement": 0.998}}},
        files={
            name: {"sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest()}
            for name in names
        },
        **changes,
    )
    (folder / "bundle.json").write_text(json.dumps(table), encoding="utf-8")
    return folder
