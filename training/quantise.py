"""Convolutions in 8 bits: smaller and several times faster on a CPU, and no longer quite the same.

Activations are unsigned and weights signed, one scale for each output channel: what CPUs multiply
fastest. Only convolutions and their activations; the head stays in single precision. What it costs
in answers is measured against the graph in single precision, on photos that the calibration has not
seen.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization
from scipy.special import softmax

from training.ablation import member_milliseconds
from training.fit import Dense, Floats, dense_logits
from training.graph import single_input
from training.means import keep_means, take_bytes
from trapsort.session import load_graph

BATCH = 8
GAIN = ("ResNet50V2", "VGG16")
"""Backbones that 8 bits make several times faster; depthwise convolutions gain less."""

QUANTISED = ("Conv", "Relu", "Clip")
"""With its activation a convolution writes 8 bits at once: the range cuts off what the activation
would. Without, they would be read back between the two, a third of a light network's time."""

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

    photos: uint8 (n, height, width, 3), training photos that the activations' ranges are read from,
    and by which each channel keeps its mean.
    """
    name = single_input(onnx.load(graph))
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quantization.quant_pre_process(graph, ready, skip_symbolic_shape=True)
        with redirect_stdout(io.StringIO()):  # it prints a line a photo
            quantization.quantize_static(
                ready,
                target,
                _Photos(name, photos),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=list(QUANTISED),
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.Percentile,
                extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": 1},
            )
        eighth = onnx.load(target)
        take_bytes(eighth)
        keep_means(onnx.load(ready), eighth, photos)
        onnx.checker.check_model(eighth)
        onnx.save(eighth, target)


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


def cpu_milliseconds(
    graphs: Sequence[bytes],
    photos: NDArray[np.uint8],
    *,
    repeats: int = 3,
    middle: Callable[[list[float]], Any] = np.median,
) -> list[float]:
    """CPU milliseconds a photo of each graph, the photos one by one, one thread.

    The graphs take turns at every photo, so that what else the machine does hits all alike;
    middle: of the times of all photos but those of the first of the repeats.
    """
    sessions = [load_graph(graph) for graph in graphs]
    times: list[list[float]] = [[] for _ in sessions]
    for repeat in range(repeats + 1):
        for photo in photos:
            for place, session in enumerate(sessions):
                start = time.process_time()
                session.run(None, {session.get_inputs()[0].name: photo[None]})
                if repeat:
                    times[place].append((time.process_time() - start) * 1000)
    return [float(middle(each)) for each in times]


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
