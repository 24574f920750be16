"""Convolutions in 8 bits: smaller and several times faster on a CPU, and no longer quite the same.

Activations are unsigned and weights signed, one scale for each output channel: what CPUs multiply
fastest. Only convolutions; the head stays in single precision. What it costs in answers is measured
against the graph in single precision, on photos that the calibration has not seen.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization
from scipy.special import softmax

from training.ablation import member_milliseconds
from training.crossval import FINAL, run_file
from training.data import Dataset
from training.fit import Dense, Floats, dense_layers, dense_logits, load_arrays
from training.graph import single_input
from training.recipe import Recipe

BATCH = 8
GAIN = ("ResNet50V2", "VGG16")
"""Backbones that 8 bits make faster; depthwise convolutions gain nothing."""

PERCENTILE = 99.99
"""Activations above it are clipped: a few outliers would cost all others their bits."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What 8 bits change, on `photos` photos.

    agreement: share, 0 to 1, of photos with the same most probable label; mean_drift, most_drift:
    of the probability of the label that single precision finds most probable; bytes and
    milliseconds (CPU, a photo, one thread) before and after.
    """

    photos: int
    agreement: float
    mean_drift: float
    most_drift: float
    bytes: tuple[int, int]
    milliseconds: tuple[float, float]


class _Photos(quantization.CalibrationDataReader):  # type: ignore[misc]  # without types
    """The calibration photos one by one, under the name of the graph's input."""

    def __init__(self, name: str, photos: NDArray[np.uint8]) -> None:
        self._name, self._photos, self._range = name, photos, iter(range(len(photos)))

    def __len__(self) -> int:
        return len(self._photos)

    def set_range(self, start_index: int, end_index: int) -> None:
        """The next photos to give: all activations of a range are in memory at once."""
        self._range = iter(range(start_index, end_index))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        place = next(self._range, None)
        return None if place is None else {self._name: self._photos[place : place + 1]}


def quantise(graph: Path, photos: NDArray[np.uint8], target: Path) -> None:
    """Write `graph` with its convolutions in 8 bits to `target`.

    photos: uint8 (n, height, width, 3), training photos that the activations' ranges are read from.
    """
    name = single_input(onnx.load(graph))
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quantization.quant_pre_process(graph, ready, skip_symbolic_shape=True)
        quantization.quantize_static(
            ready,
            target,
            _Photos(name, photos),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            calibrate_method=quantization.CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": 1},
        )


def drift(
    single: Path, eighth: Path, dense: Dense, photos: NDArray[np.uint8], *, repeats: int = 5
) -> Drift:
    """Compare two graphs, photo to feature map, behind the same head, on `photos`."""
    before, after = (_probabilities(path, dense, photos) for path in (single, eighth))
    best, rows = before.argmax(axis=1), np.arange(len(photos))
    change = np.abs(after[rows, best] - before[rows, best])
    return Drift(
        photos=len(photos),
        agreement=float((after.argmax(axis=1) == best).mean()),
        mean_drift=float(change.mean()),
        most_drift=float(change.max()),
        bytes=(single.stat().st_size, eighth.stat().st_size),
        milliseconds=(member_milliseconds(single, repeats), member_milliseconds(eighth, repeats)),
    )


def quantise_members(dataset: Dataset, recipe: Recipe, out: Path) -> dict[str, Drift]:
    """Write `MEMBER-int8.onnx` for each member that gains by it, and what it costs, by name.

    Calibrated on a spread of development photos and compared on others; also in `quantise.json`.
    """
    shown = dataset.development
    some, others = dataset.pixels[shown[::80]], dataset.pixels[shown[40::20]]
    drifts = {}
    for member in recipe.members:
        if member.backbone not in GAIN:
            continue
        single, eighth = out / f"{member.name}.onnx", out / f"{member.name}-int8.onnx"
        quantise(single, some, eighth)
        dense = dense_layers(load_arrays(run_file(out, member.name, FINAL)))
        drifts[member.name] = drift(single, eighth, dense, others)
    table = {name: asdict(each) for name, each in drifts.items()}
    (out / "quantise.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return drifts


def _probabilities(path: Path, dense: Dense, photos: NDArray[np.uint8]) -> Floats:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts: list[NDArray[Any]] = [
        session.run(None, {name: np.ascontiguousarray(photos[start : start + BATCH])})[0].mean(
            axis=(1, 2)
        )
        for start in range(0, len(photos), BATCH)
    ]
    said: Floats = softmax(dense_logits(np.concatenate(parts), dense), axis=1)
    return said
