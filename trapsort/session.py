"""Running a bundle's graph: the only home of ONNX Runtime.

One session is shared by all worker threads, each running on one thread of its own: on a CPU that
beats one session with many threads, and nothing is oversubscribed.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trapsort.bundle import Bundle, Decision
from trapsort.errors import BundleError

if TYPE_CHECKING:
    import onnxruntime


@dataclass(frozen=True, slots=True)
class Scores:
    """What a graph answers for N photos.

    probabilities: float32 (N, labels), calibrated, rows sum to 1; members: float32
    (N, members, labels), each member's own; features: float32 (N, dimensions), whitened, of no
    dimension without a test of novelty; other: float32 (N, species), the share of other animals
    that a witness sees, or None without one.
    """

    probabilities: NDArray[np.float32]
    members: NDArray[np.float32]
    features: NDArray[np.float32]
    other: NDArray[np.float32] | None = None


class Session(Protocol):
    """Something that answers a batch of photos, uint8 (N, height, width, 3) RGB; thread safe."""

    provider: str

    def run(self, batch: NDArray[np.uint8]) -> Scores:
        """Scores of each photo."""

    def maps(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class-activation maps float32 (N, members, labels, height, width), pre-softmax."""


class OnnxSession:
    """A bundle's graph in ONNX Runtime; only the outputs that the bundle uses are computed."""

    def __init__(self, session: onnxruntime.InferenceSession, decision: Decision) -> None:
        self._session = session
        self._outputs = ["probabilities", "members"]
        self._outputs += ["features"] if decision.centroids is not None else []
        self._outputs += ["other"] if decision.max_other is not None else []
        self.provider: str = session.get_providers()[0]

    def run(self, batch: NDArray[np.uint8]) -> Scores:
        """Scores of each photo of a uint8 (N, height, width, 3) batch."""
        answers = self._session.run(self._outputs, {"image": batch})
        found = dict(zip(self._outputs, answers, strict=True))
        return Scores(
            found["probabilities"],
            found["members"],
            found.get("features", np.zeros((len(batch), 0), np.float32)),
            found.get("other"),
        )

    def maps(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class-activation maps float32 (N, members, labels, height, width), pre-softmax."""
        maps: NDArray[np.float32] = self._session.run(["maps"], {"image": batch})[0]
        return maps


def _runtime() -> Any:
    """ONNX Runtime, told to note nothing: else it keeps a diary of its runs in the user's home."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _providers() -> list[str]:
    wanted = []
    if Path("/dev/nvidiactl").exists() or "CUDA_PATH" in os.environ:
        wanted.append("CUDAExecutionProvider")
    known = _runtime().get_available_providers()
    return [name for name in (*wanted, "CPUExecutionProvider") if name in known]


def load_graph(graph: bytes) -> onnxruntime.InferenceSession:
    """A graph in ONNX Runtime, each run on one thread that does not spin."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Planned beforehand, the memory of each run that goes on at a time is 36 MB in place of 13 to
    # 24, and no run is faster.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(graph, options, providers=_providers())


def open_session(bundle: Bundle) -> OnnxSession:
    """Verify and load a bundle's graph and answer one empty photo with it.

    Raises `BundleError` where the graph is damaged or does not answer what `bundle.json` says.
    """
    graph = bundle.read_graph()
    where = bundle.path / bundle.graph
    try:
        loaded = load_graph(graph)
        _check_input(loaded, bundle)
        session = OnnxSession(loaded, bundle.decision)
        width, height = bundle.size
        scores = session.run(np.zeros((2, height, width, 3), np.uint8))
    except BundleError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common public base
        raise BundleError(f"{where} cannot be run: {error}", "Copy the bundle anew.") from error
    _check_shapes(scores, bundle)
    _give_back_memory()
    return session


def _give_back_memory() -> None:
    """Let glibc return what loading took and freed: of the shipped bundle 120 MB."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _check_input(session: onnxruntime.InferenceSession, bundle: Bundle) -> None:
    """Raise `BundleError` where the graph does not take photos of the bundle's size."""
    inputs = session.get_inputs()
    width, height = bundle.size
    asked = [(each.name, each.type, list(each.shape[1:])) for each in inputs]
    if asked != [("image", "tensor(uint8)", [height, width, 3])]:
        said = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs)
        raise BundleError(
            f"{bundle.path / bundle.graph} takes {said or 'nothing'}, but bundle.json means "
            f"image: tensor(uint8) ['N', {height}, {width}, 3].",
            "The bundle's files do not belong together: copy it anew.",
        )


def _check_shapes(scores: Scores, bundle: Bundle) -> None:
    labels, members, decision = len(bundle.labels), len(bundle.members), bundle.decision
    expected: dict[str, tuple[int, ...]] = {
        "probabilities": (2, labels),
        "members": (2, members, labels),
    }
    if decision.centroids is not None:
        expected["features"] = (2, decision.centroids.shape[1])
    if decision.max_other is not None:
        expected["other"] = (2, len(bundle.species))
    for name, shape in expected.items():
        found = getattr(scores, name).shape
        if found != shape:
            raise BundleError(
                f"{bundle.path / bundle.graph} answers {name} of shape {found}, "
                f"but bundle.json means {shape}.",
                "The bundle's files do not belong together: copy it anew.",
            )
