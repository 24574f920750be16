"""Running a bundle's graph: the only home of ONNX Runtime.

One session is shared by all worker threads, each running on one thread of its own: on a CPU that
beats one session with many threads, and nothing is oversubscribed.
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trapsort.bundle import AUTO, INT8, SINGLE, Bundle, Decision
from trapsort.errors import BundleError
from trapsort.scores import Scores, answered_again, is_close

if TYPE_CHECKING:
    import onnxruntime

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

BYTE_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})
"""As Linux names what multiplies unsigned by signed bytes and sums up in 32 bits: without one of
them x86 sums up in 16 bits, which overflow, and 8 bits are no faster than single precision."""


class Session(Protocol):
    """Something that answers a batch of photos, uint8 (N, height, width, 3) RGB; thread safe.

    provider: what runs the graph; precision: of the graph.
    """

    provider: str
    precision: str

    def run(self, batch: NDArray[np.uint8]) -> Scores:
        """Scores of each photo."""

    def maps(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class-activation maps float32 (N, members, labels, height, width), pre-softmax."""


class OnnxSession:
    """A bundle's graph in ONNX Runtime; only the outputs that the bundle uses are fetched.

    provider: what really runs it; precision: of the graph, one of `trapsort.bundle.PRECISIONS`.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        decision: Decision,
        precision: str = SINGLE,
    ) -> None:
        self._session = session
        self.precision = precision
        self._outputs = ["probabilities", "members"]
        self._outputs += ["features"] if decision.centroids is not None else []
        self._outputs += ["other"] if decision.max_other is not None else []
        self.provider: str = session.get_providers()[0]

    def run(self, batch: NDArray[np.uint8]) -> Scores:
        """Scores of each photo of a uint8 (N, height, width, 3) batch."""
        answers = self._answers(self._outputs, batch)
        found = dict(zip(self._outputs, answers, strict=True))
        return Scores(
            found["probabilities"],
            found["members"],
            found.get("features", np.zeros((len(batch), 0), np.float32)),
            found.get("other"),
        )

    def maps(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class-activation maps float32 (N, members, labels, height, width), pre-softmax."""
        return self._answers(["maps"], batch)[0]

    def _answers(self, outputs: list[str], batch: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """What the graph puts out, in the order of the names.

        On a GPU photos go to its memory and answers come back once each, with nothing in between.
        """
        if self.provider != CUDA:
            answers: list[NDArray[np.float32]] = self._session.run(outputs, {"image": batch})
            return answers
        photos = _runtime().OrtValue.ortvalue_from_numpy(np.ascontiguousarray(batch), "cuda", 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("image", photos)
        for name in outputs:
            binding.bind_output(name, "cuda")
        self._session.run_with_iobinding(binding)
        copied: list[NDArray[np.float32]] = binding.copy_outputs_to_cpu()
        return copied


class CarefulSession:
    """A session that leaves close calls to the bundle's graph in single precision.

    That graph is loaded when the first of them comes: most cards have few, many have none. provider
    and precision are those of the session that answers all other photos.
    """

    def __init__(self, quick: OnnxSession, bundle: Bundle) -> None:
        self.provider, self.precision = quick.provider, quick.precision
        self._quick, self._bundle = quick, bundle
        self._margin = bundle.margins.get(quick.precision, 0.0)
        self._loading = threading.Lock()
        self._exact: OnnxSession | None = None

    def run(self, batch: NDArray[np.uint8]) -> Scores:
        """Scores of each photo of a uint8 (N, height, width, 3) batch.

        Raises `BundleError` where the graph in single precision cannot be run.
        """
        scores = self._quick.run(batch)
        close = self.close(scores.probabilities)
        if not close.any():
            return scores
        return answered_again(scores, close, self._careful().run(batch[close]))

    def maps(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Class-activation maps of the graph that answers each photo, as `OnnxSession.maps`."""
        close = self.close(self._quick.run(batch).probabilities)
        maps = self._quick.maps(batch)
        if close.any():
            maps = maps.copy()
            maps[close] = self._careful().maps(batch[close])
        return maps

    def close(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which photos (N,) are close calls, by the quick graph's probabilities (N, labels)."""
        return is_close(probabilities, self._bundle, self._margin)

    def _careful(self) -> OnnxSession:
        with self._loading:
            if self._exact is None:
                self._exact = _opened(self._bundle, SINGLE, rarely=True)
            return self._exact


def _runtime() -> Any:
    """ONNX Runtime, told to note nothing: else it keeps a diary of its runs in the user's home."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _providers() -> list[str]:
    wanted = []
    if Path("/dev/nvidiactl").exists() or "CUDA_PATH" in os.environ:
        wanted.append(CUDA)
    known = _runtime().get_available_providers()
    return [name for name in (*wanted, CPU) if name in known]


def multiplies_bytes(cpu: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the CPU multiplies bytes several times faster than floats, and exactly.

    `cpu` is where Linux describes it; elsewhere nothing is known, so the answer is no.
    """
    try:
        lines = cpu.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    named = [line.partition(":") for line in lines]
    flags = [what for key, _, what in named if key.strip().casefold() in ("flags", "features")]
    # Of all cores: a photo may be classified on any of them.
    return bool(flags) and all(BYTE_PRODUCTS & set(what.split()) for what in flags)


def load_graph(graph: Path | bytes, *, rarely: bool = False) -> onnxruntime.InferenceSession:
    """A graph, of a file or of memory, in ONNX Runtime, each run on one thread that does not spin.

    rarely: whether it will run so rarely that it is not worth preparing: it loads sooner and takes
    less memory, and each run takes longer, for weights become single precision each time.

    Of a graph of memory ONNX Runtime keeps a copy.
    """
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Planned beforehand, the memory of each run that goes on at a time is 36 MB in place of 13 to
    # 24, and no run is faster.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if rarely:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    model = graph if isinstance(graph, bytes) else str(graph)
    return runtime.InferenceSession(model, options, providers=_providers())


def open_session(bundle: Bundle) -> Session:
    """Verify and load a bundle's graph and answer one empty photo with it.

    The graph is that of the bundle's `precision`; where that is `AUTO`, the one in 8 bits where
    there is one and the CPU, not a GPU, runs it and multiplies bytes fast. Photos that 8 bits leave
    close (`trapsort.scores.is_close`) are answered in single precision.
    Raises `BundleError` where the graph is damaged or does not answer what `bundle.json` says.
    """
    if bundle.precision != AUTO:
        return _careful(_opened(bundle, bundle.precision), bundle)
    fastest = INT8 if INT8 in bundle.graphs and multiplies_bytes() else SINGLE
    if fastest != SINGLE and CUDA in _providers():
        session = _opened(bundle, SINGLE)
        if session.provider != CPU:
            return session
    return _careful(_opened(bundle, fastest), bundle)


def _careful(session: OnnxSession, bundle: Bundle) -> Session:
    """The session, one that knows close calls where the bundle says what these are."""
    return CarefulSession(session, bundle) if session.precision in bundle.margins else session


def _opened(bundle: Bundle, precision: str, *, rarely: bool = False) -> OnnxSession:
    where = bundle.graph_file(precision)
    try:
        loaded = load_graph(where, rarely=rarely)
        _check_input(loaded, bundle, where)
        session = OnnxSession(loaded, bundle.decision, precision)
        width, height = bundle.size
        photos = 1 if rarely else 2
        scores = session.run(np.zeros((photos, height, width, 3), np.uint8))
    except BundleError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common public base
        raise BundleError(f"{where} cannot be run: {error}", "Copy the bundle anew.") from error
    _check_shapes(scores, photos, bundle, where)
    _give_back_memory()
    return session


def _give_back_memory() -> None:
    """Let glibc return what loading took and freed: of the shipped bundle 120 MB."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _check_input(session: onnxruntime.InferenceSession, bundle: Bundle, where: Path) -> None:
    """Raise `BundleError` where the graph does not take photos of the bundle's size."""
    inputs = session.get_inputs()
    width, height = bundle.size
    asked = [(each.name, each.type, list(each.shape[1:])) for each in inputs]
    if asked != [("image", "tensor(uint8)", [height, width, 3])]:
        said = ", ".join(f"{each.name}: {each.type} {each.shape}" for each in inputs)
        raise BundleError(
            f"{where} takes {said or 'nothing'}, but bundle.json means "
            f"image: tensor(uint8) ['N', {height}, {width}, 3].",
            "The bundle's files do not belong together: copy it anew.",
        )


def _check_shapes(scores: Scores, photos: int, bundle: Bundle, where: Path) -> None:
    """Raise `BundleError` where the answers to so many photos are not what the bundle says."""
    labels, members, decision = len(bundle.labels), len(bundle.members), bundle.decision
    expected: dict[str, tuple[int, ...]] = {
        "probabilities": (photos, labels),
        "members": (photos, members, labels),
    }
    if decision.centroids is not None:
        expected["features"] = (photos, decision.centroids.shape[1])
    if decision.max_other is not None:
        expected["other"] = (photos, len(bundle.species))
    for name, shape in expected.items():
        found = getattr(scores, name).shape
        if found != shape:
            raise BundleError(
                f"{where} answers {name} of shape {found}, but bundle.json means {shape}.",
                "The bundle's files do not belong together: copy it anew.",
            )
