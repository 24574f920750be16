"""ONNX Runtime, as trapsort uses it."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.records import ask
from tests.toy import write_bundle, write_precisions
from trapsort import session as room
from trapsort.bundle import load_bundle
from trapsort.cli.work import open_classifier
from trapsort.ensemble import Classifier
from trapsort.errors import BundleError, SettingsError
from trapsort.pipeline import ingest
from trapsort.session import CPU, CUDA, OnnxSession, multiplies_bytes, open_session
from trapsort.settings import merged
from trapsort.store import Store

OPEN = """
import sys
from trapsort.bundle import load_bundle
from trapsort.session import open_session
print(open_session(load_bundle(sys.argv[1])).provider)
"""


def test_a_run_leaves_nothing_in_the_home_of_the_user(tmp_path: Path) -> None:
    bundle, home = write_bundle(tmp_path / "toy"), tmp_path / "empty"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "ORT_"))}
    run = subprocess.run(
        [sys.executable, "-c", OPEN, str(bundle)],
        env={**kept, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.endswith("ExecutionProvider\n")
    assert list(home.rglob("*")) == []


# Which graph ------------------------------------------------------------------------------------

ZEN4 = "processor : 0\nflags\t\t: fpu avx2 avx512_vnni avx512_bf16\n"
HASWELL = "processor : 0\nflags\t\t: fpu avx2 fma\n"
PI5 = "processor : 0\nFeatures\t: fp asimd aes asimdhp asimddp\n"


@pytest.mark.parametrize(
    ("described", "fast"),
    [
        (ZEN4, True),
        ("flags : fpu avx2 avx_vnni\n", True),
        (PI5, True),
        (HASWELL, False),
        (PI5.replace(" asimddp", ""), False),
        (ZEN4 + "\n" + HASWELL, False),  # a photo may land on the other core
        ("model name : avx512_vnni\n", False),
        ("", False),
    ],
)
def test_a_cpu_says_whether_it_multiplies_bytes(
    described: str, *, fast: bool, tmp_path: Path
) -> None:
    cpu = tmp_path / "cpuinfo"
    cpu.write_text(described, encoding="utf-8")
    assert multiplies_bytes(cpu) is fast


def test_of_a_cpu_that_nothing_describes_nothing_is_expected(tmp_path: Path) -> None:
    assert not multiplies_bytes(tmp_path / "cpuinfo")


@pytest.mark.parametrize("fast", [True, False])
def test_the_graph_that_is_fastest_here_is_loaded(
    fast: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "multiplies_bytes", lambda: fast)
    bundle = load_bundle(write_precisions(tmp_path / "toy"))
    loaded: list[bytes] = []
    load = room.load_graph

    def noted(graph: bytes) -> Any:
        loaded.append(graph)
        return load(graph)

    monkeypatch.setattr(room, "load_graph", noted)
    session = open_session(bundle)
    assert session.precision == ("int8" if fast else "single")
    assert loaded == [bundle.read_graph(session.precision)]
    for wanted in ("single", "int8"):
        forced = replace(bundle, precision=wanted)
        assert open_session(forced).precision == wanted
    assert bundle.read_graph("single") != bundle.read_graph("int8")


def test_the_record_says_which_graph_it_was_and_another_cpu_classifies_nothing_again(
    store: Store, url: str, tmp_path: Path
) -> None:
    card = tmp_path / "card"
    card.mkdir()
    Image.new("RGB", (64, 48), (220, 10, 10)).save(card / "lion.jpg")
    bundle = load_bundle(write_precisions(tmp_path / "toy"))
    made = "SELECT label, precision FROM predictions ORDER BY id"
    for wanted, recorded in (("int8", 1), ("single", 0)):
        session = open_session(replace(bundle, precision=wanted))
        account = ingest(card, store=store, classifier=Classifier(bundle, session), workers=1)
        assert account.recorded == recorded
        assert ask(url, made) == [("Lion", "int8")]
    assert len(store.models()) == 1


def test_the_setting_reaches_the_graph(tmp_path: Path) -> None:
    options = {"bundle": str(write_precisions(tmp_path / "toy")), "graph_precision": "int8"}
    assert open_classifier(merged(options, environment={})).session.precision == "int8"
    with pytest.raises(SettingsError, match="graph_precision in the options must be auto, single"):
        merged({"graph_precision": "int4"}, environment={})


def test_a_bundle_of_one_precision_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "multiplies_bytes", lambda: True)
    bundle = load_bundle(write_bundle(tmp_path / "toy"))
    assert bundle.graphs == {"single": "ensemble.onnx"}
    assert open_session(bundle).precision == "single"
    with pytest.raises(BundleError, match="has no graph in int8 precision") as caught:
        open_session(replace(bundle, precision="int8"))
    assert caught.value.hint == "It has: single. Set graph_precision to auto."


def test_a_gpu_computes_in_single_precision_and_a_broken_one_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "multiplies_bytes", lambda: True)
    bundle = load_bundle(write_precisions(tmp_path / "toy"))
    monkeypatch.setattr(room, "_providers", lambda: [CUDA, CPU])
    load, runtime = room.load_graph, room._runtime

    def on_the_cpu(graph: bytes) -> Any:  # as ONNX Runtime does where CUDA is not whole
        with monkeypatch.context() as without:
            without.setattr(room, "_providers", lambda: [CPU])
            without.setattr(room, "_runtime", runtime)
            return load(graph)

    monkeypatch.setattr(room, "load_graph", on_the_cpu)
    session = open_session(bundle)
    assert (session.provider, session.precision) == (CPU, "int8")
    monkeypatch.setattr(room, "load_graph", lambda graph: OnGpu(on_the_cpu(graph)))
    monkeypatch.setattr(room, "_runtime", lambda: FakeRuntime)
    session = open_session(bundle)
    assert (session.provider, session.precision) == (CUDA, "single")


class OrtValue:
    """A photo in the memory of a GPU."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array

    @classmethod
    def ortvalue_from_numpy(cls, array: NDArray[np.uint8], device: str, number: int) -> OrtValue:
        assert (device, number) == ("cuda", 0)
        assert array.flags.c_contiguous
        return cls(array)


class FakeRuntime:
    """What of ONNX Runtime puts arrays on a GPU."""

    OrtValue = OrtValue


class Binding:
    """What is to be read from where, and put where."""

    def __init__(self) -> None:
        self.photos: dict[str, NDArray[np.uint8]] = {}
        self.outputs: dict[str, str] = {}
        self.answers: list[NDArray[np.float32]] = []

    def bind_ortvalue_input(self, name: str, value: OrtValue) -> None:
        self.photos[name] = value.array

    def bind_output(self, name: str, device: str) -> None:
        self.outputs[name] = device

    def copy_outputs_to_cpu(self) -> list[NDArray[np.float32]]:
        return self.answers


class OnGpu:
    """A session as if CUDA ran it: plain runs fail, bound ones are answered by the CPU."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.get_inputs = session.get_inputs

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def io_binding(self) -> Binding:
        return Binding()

    def run_with_iobinding(self, binding: Binding) -> None:
        assert set(binding.outputs.values()) == {"cuda"}
        binding.answers = self._session.run(list(binding.outputs), binding.photos)


def test_on_a_gpu_the_answers_are_those_of_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = load_bundle(write_bundle(tmp_path / "toy"))
    loaded = room.load_graph(bundle.read_graph())
    plain = OnnxSession(loaded, bundle.decision)
    photos = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), dtype=np.uint8)[::-1]
    expected, maps = plain.run(photos), plain.maps(photos)
    monkeypatch.setattr(room, "_runtime", lambda: FakeRuntime)
    gpu: Any = OnGpu(loaded)
    bound = OnnxSession(gpu, bundle.decision)
    assert bound.provider == CUDA
    found = bound.run(photos)
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)
    np.testing.assert_array_equal(found.members, expected.members)
    np.testing.assert_array_equal(found.features, expected.features)
    np.testing.assert_array_equal(bound.maps(photos), maps)
