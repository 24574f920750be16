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
MEMBERS = ("first", "second", "third")


def graph() -> bytes:
    """Red photos are lions, green ones pandas, blue ones rhinos, black ones blank."""
    kernel = np.zeros((3, 6), np.float32)
    kernel[:, :3] = 12 * np.eye(3) - 4
    bias = np.array([0, 0, 0, 1.5, -2, -2], np.float32)
    constants = {
        "kernel": kernel,
        "bias": bias,
        "scale": np.float32(1 / 255),
        "space": np.array([1, 2], np.int64),
        "one": np.array([1], np.int64),
        "maps/shape": np.array([0, 1, 6, 1, 1], np.int64),
        "maps/tile": np.array([1, 3, 1, 7, 7], np.int64),
        "three": np.array([1, 3, 1], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["bytes", "scale"], ["colour"]),
        helper.make_node("ReduceMean", ["colour", "space"], ["features"], keepdims=0),
        helper.make_node("Gemm", ["features", "kernel", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("Unsqueeze", ["probabilities", "one"], ["row"]),
        helper.make_node("Tile", ["row", "three"], ["members"]),
        helper.make_node("Reshape", ["logits", "maps/shape"], ["maps/one"]),
        helper.make_node("Tile", ["maps/one", "maps/tile"], ["maps"]),
    ]

    def value(name: str, kind: int, shape: list[Any]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, shape)

    made = helper.make_graph(
        nodes,
        "toy",
        [value("image", TensorProto.UINT8, ["N", 224, 224, 3])],
        [
            value("probabilities", TensorProto.FLOAT, ["N", 6]),
            value("members", TensorProto.FLOAT, ["N", 3, 6]),
            value("features", TensorProto.FLOAT, ["N", 3]),
            value("maps", TensorProto.FLOAT, ["N", 3, 6, 7, 7]),
        ],
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


def write_bundle(folder: Path, **changes: Any) -> Path:
    """Write the toy bundle into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ensemble.onnx").write_bytes(graph())
    table = manifest(folder, **changes)
    (folder / "bundle.json").write_text(json.dumps(table), encoding="utf-8")
    return folder
