"""ONNX Runtime, as trapsort uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
from trapsort.bundle import Bundle, load_bundle
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
    loaded: list[Path] = []
    load = room.load_graph

    def noted(graph: Path, **how: Any) -> Any:
        loaded.append(graph)
        return load(graph, **how)

    monkeypatch.setattr(room, "load_graph", noted)
    session = open_session(bundle)
    assert session.precision == ("int8" if fast else "single")
    assert loaded == [bundle.graph_file(session.precision)]
    for wanted in ("single", "int8"):
        forced = replace(bundle, precision=wanted)
        assert open_session(forced).precision == wanted
    assert bundle.graph_file("single") != bundle.graph_file("int8")


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


# Close calls ------------------------------------------------------------------------------------

RED, GREEN, BETWEEN = (220, 10, 10), (10, 220, 10), (113, 117, 10)
"""A lion, a panda, and what is a panda by little."""


def drawn(*colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Photos of one colour each."""
    return np.stack([np.full((224, 224, 3), colour, np.uint8) for colour in colours])


@pytest.fixture
def careful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Bundle, list[Path]]:
    """A bundle whose graph in 8 bits sees lions too often, and the graphs that are loaded."""
    loaded: list[Path] = []
    load = room.load_graph
    monkeypatch.setattr(
        room, "load_graph", lambda graph, **how: loaded.append(graph) or load(graph, **how)
    )
    bundle = load_bundle(write_precisions(tmp_path / "toy", lions=0.3, margins={"int8": 0.2}))
    return replace(bundle, precision="int8"), loaded


def test_a_close_call_is_answered_in_single_precision(
    careful: tuple[Bundle, list[Path]],
) -> None:
    bundle, loaded = careful
    hasty = open_session(replace(bundle, margins={})).run(drawn(BETWEEN))
    assert bundle.labels[hasty.probabilities[0].argmax()] == "Lion"
    assert hasty.again is None
    exact = open_session(replace(bundle, precision="single"))
    loaded.clear()
    session = open_session(bundle)
    assert session.precision == "int8"
    clear = session.run(drawn(RED, GREEN))
    assert clear.again is None
    assert loaded == [bundle.graph_file("int8")], "most cards have no close call"
    photos = drawn(RED, BETWEEN, GREEN)
    found, expected = session.run(photos), exact.run(photos)
    assert found.again is not None
    assert found.again.tolist() == [False, True, False]
    for name in ("probabilities", "members", "features"):
        said, wanted = getattr(found, name), getattr(expected, name)
        np.testing.assert_array_equal(said[1], wanted[1])
    np.testing.assert_array_equal(found.probabilities[[0, 2]], clear.probabilities)
    assert not np.array_equal(found.probabilities[0], expected.probabilities[0])
    session.run(photos)
    assert loaded == [bundle.graph_file("int8"), bundle.graph_file("single")]
    maps = session.maps(photos)
    np.testing.assert_array_equal(maps[1], exact.maps(photos)[1])
    assert not np.array_equal(maps[0], exact.maps(photos)[0])


def test_threads_that_meet_a_close_call_at_once_load_the_graph_once(
    careful: tuple[Bundle, list[Path]],
) -> None:
    bundle, loaded = careful
    session = open_session(bundle)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: session.run(drawn(BETWEEN)), range(16)))
    assert all(each.again is not None and each.again.all() for each in found)
    assert len(loaded) == 2


def test_the_record_says_which_graph_answered_a_close_call(
    careful: tuple[Bundle, list[Path]], store: Store, url: str, tmp_path: Path
) -> None:
    card = tmp_path / "card"
    card.mkdir()
    for name, colour in (("a", RED), ("b", BETWEEN), ("c", GREEN)):
        Image.new("RGB", (64, 48), colour).save(card / f"{name}.png")
    bundle, _ = careful
    classifier = Classifier(bundle, open_session(bundle))
    assert ingest(card, store=store, classifier=classifier, workers=1).recorded == 3
    made = ask(url, "SELECT precision, top FROM predictions ORDER BY id")
    said = [(precision, json.loads(top)[0][0]) for precision, top in made]
    assert said == [("int8", "Lion"), ("single", "Panda"), ("int8", "Panda")]


def test_a_graph_that_cannot_be_asked_again_says_so(careful: tuple[Bundle, list[Path]]) -> None:
    bundle, _ = careful
    session = open_session(bundle)
    (bundle.path / "ensemble.onnx").write_bytes(b"no more")
    with pytest.raises(BundleError, match=r"ensemble\.onnx is not the file"):
        session.run(drawn(BETWEEN))
    assert session.run(drawn(RED)).again is None


def test_a_gpu_computes_in_single_precision_and_a_broken_one_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "multiplies_bytes", lambda: True)
    bundle = load_bundle(write_precisions(tmp_path / "toy"))
    monkeypatch.setattr(room, "_providers", lambda: [CUDA, CPU])
    load, runtime = room.load_graph, room._runtime

    def on_the_cpu(graph: Path, **how: Any) -> Any:  # as ONNX Runtime does where CUDA is not whole
        with monkeypatch.context() as without:
            without.setattr(room, "_providers", lambda: [CPU])
            without.setattr(room, "_runtime", runtime)
            return load(graph, **how)

    monkeypatch.setattr(room, "load_graph", on_the_cpu)
    session = open_session(bundle)
    assert (session.provider, session.precision) == (CPU, "int8")
    monkeypatch.setattr(room, "load_graph", lambda graph, **_: OnGpu(on_the_cpu(graph)))
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
    loaded = room.load_graph(bundle.graph_file())
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
