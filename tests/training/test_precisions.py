"""A bundle gets a graph in 8 bits beside the one it has, or is left as it was."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

from tests.toy import manifest
from training import precisions, second_graph
from training.close import Margin
from training.data import HELD_OUT, TEST, Dataset
from training.export import ExportError, describe_files
from training.graph import MemberGraph, ask_everyone, fuse
from training.leakage import LeakageError, digest_of
from training.meta import Cascade, Stack
from training.parity import LIMITS, Parity, faults
from training.precisions import quantise_bundle, roles
from training.recipe import FitRecipe, load_recipe
from training.restore import restore_heads, towards
from training.second_graph import drop_precisions
from training.splice import ask_witness_late, cut, feature_map, put, witness_says
from trapsort.bundle import Decision, load_bundle
from trapsort.errors import InputError
from trapsort.scores import Scores
from trapsort.session import OnnxSession, load_graph, open_session

pytestmark = pytest.mark.filterwarnings("ignore")  # of the quantisation package itself

PROJECT = Path(__file__).parents[2]
SHIPPED = PROJECT / "exports" / "iucn11-1.0.0"
RECIPE = load_recipe(PROJECT / "training" / "recipes" / "iucn11.toml")
SPECIES, LABELS, SIDE = 11, 14, 32
CHANNELS = 24
COLOURS = np.random.default_rng(7).permutation(
    [(r, g, b) for r in (30, 128, 225) for g in (30, 128, 225) for b in (30, 128, 225)]
)[:LABELS]


def photos_of(label: NDArray[np.int64], seed: int) -> NDArray[np.uint8]:
    """Photos that show their label by their colour, and some noise."""
    rng = np.random.default_rng(seed)
    noise = rng.integers(-25, 26, (len(label), SIDE, SIDE, 3))
    return np.clip(COLOURS[label][:, None, None] + noise, 0, 255).astype(np.uint8)


def mirrored(
    photo: NDArray[np.uint8], _fit: FitRecipe, _random: np.random.Generator
) -> NDArray[np.uint8]:
    """A view of a photo that says the same by its colour."""
    return photo[:, ::-1]


def network(seed: int) -> onnx.ModelProto:
    """A photo to a feature map (N, 30, 30, channels): a convolution and a ReLU."""
    kernel = np.random.default_rng(seed).normal(0, 0.004, (CHANNELS, 3, 3, 3)).astype(np.float16)
    shift = np.random.default_rng(seed + 9).normal(0, 0.5, CHANNELS).astype(np.float32)
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Cast", ["photo"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel", "shift"], ["conv"], name="conv"),
        helper.make_node("Relu", ["conv"], ["relu"], name="relu"),
        helper.make_node("Transpose", ["relu"], ["grid"], perm=[0, 2, 3, 1]),
    ]
    constants = {"kernel": kernel.astype(np.float32), "shift": shift}
    graph = helper.make_graph(
        nodes,
        "network",
        [value("photo", TensorProto.UINT8, ["N", SIDE, SIDE, 3])],
        [value("grid", TensorProto.FLOAT, ["N", "h", "w", CHANNELS])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9)


def answers(model: onnx.ModelProto, name: str, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = load_graph(model.SerializeToString())
    found: NDArray[np.float32] = session.run([name], {session.get_inputs()[0].name: photos})[0]
    return found


def member(name: str, seed: int) -> MemberGraph:
    """A member that knows the colours: its head is fitted by least squares."""
    model = network(seed)
    label = np.repeat(np.arange(LABELS), 12)
    pooled = answers(model, "grid", photos_of(label, 1)).mean(axis=(1, 2))
    wide = np.hstack([pooled, np.ones((len(pooled), 1))])
    target = np.where(np.arange(LABELS) == label[:, None], 6.0, -6.0)
    head = np.linalg.solve(wide.T @ wide + 1e-3 * np.eye(CHANNELS + 1), wide.T @ target)
    return MemberGraph(name, model, ((head[:-1].astype(np.float32), head[-1].astype(np.float32)),))


def witness() -> onnx.ModelProto:
    """A photo to one number a species: how bright its first channels are."""
    model = network(5)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([1, 2]), "space"))
    weights = np.full((CHANNELS, SPECIES), 0.01, np.float32)
    graph.initializer.append(numpy_helper.from_array(weights, "against"))
    graph.node.append(helper.make_node("ReduceMean", ["grid", "space"], ["mean"], keepdims=0))
    graph.node.append(helper.make_node("MatMul", ["mean", "against"], ["said"]))
    said = helper.make_tensor_value_info("said", TensorProto.FLOAT, ["N", SPECIES])
    graph.output[0].CopyFrom(said)
    return model


def stack_of(count: int) -> Stack:
    kernel = np.tile(4 * np.eye(LABELS, dtype=np.float32), (count, 1))
    return Stack(kernel, np.zeros(LABELS, np.float32), 1.0, 1.0)


@pytest.fixture(scope="module")
def fused() -> onnx.ModelProto:
    """Two members, the second in the branch of a cascade, and a witness asked of every photo."""
    stack = replace(stack_of(2), cascade=Cascade(1, SPECIES, stack_of(1), 0.75))
    white = np.random.default_rng(2).normal(0, 1, (CHANNELS, 4)).astype(np.float32)
    return fuse(
        [member("one", 1), member("two", 2)],
        stack=stack,
        whitening=(white, np.zeros(4, np.float32)),
        labels=LABELS,
        witness=witness(),
        size=(SIDE, SIDE),
    )


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


NAMES = ("probabilities", "members", "features", "maps")


def test_a_witness_asked_late_says_the_same_of_species_and_nothing_of_others(
    fused: onnx.ModelProto,
) -> None:
    late = copied(fused)
    assert ask_witness_late(late, SPECIES)
    assert not ask_witness_late(late, SPECIES)  # it is already
    label = np.arange(LABELS).repeat(2)
    photos = photos_of(label, 4)
    sessions = [load_graph(model.SerializeToString()) for model in (fused, late)]
    before, after = (s.run([*NAMES, "other"], {"image": photos}) for s in sessions)
    for was, is_ in zip(before[:4], after[:4], strict=True):
        np.testing.assert_array_equal(was, is_)
    species = before[0].argmax(axis=1) < SPECIES
    assert 0 < species.sum() < len(label)
    assert (before[4] > 0).all()
    np.testing.assert_array_equal(after[4], before[4] * species[:, None])
    for photo, answer in zip(photos, after[4], strict=True):  # whatever its neighbours are
        alone = sessions[1].run(["other"], {"image": photo[None]})[0]
        np.testing.assert_allclose(alone[0], answer, rtol=1e-5)
    ask_everyone(late)
    np.testing.assert_array_equal(answers(late, "other", photos), before[4])


def test_a_part_taken_out_and_put_back_changes_nothing(fused: onnx.ModelProto) -> None:
    model = copied(fused)
    ask_witness_late(model, SPECIES)
    said = witness_says(model)
    assert said is not None
    photos = photos_of(np.arange(LABELS), 6)
    for name in ("one", "two"):
        value = feature_map(model, name)
        part = cut(model, value, ["N", "h", "w", CHANNELS])
        assert [each.name for each in part.graph.input] == ["image"]
        put(model, value, part, f"{name}/again")
    put(model, said, cut(model, said, ["N", SPECIES]), "witness/again")
    for name in NAMES:
        np.testing.assert_array_equal(answers(model, name, photos), answers(fused, name, photos))
    names = {node.output[0] for node in model.graph.node}
    assert not any(name.startswith("one/relu") for name in names)  # what was there before is gone
    with pytest.raises(ValueError, match="computes no three/features"):
        feature_map(model, "three")


def test_what_rounding_does_alike_to_all_photos_is_taken_back() -> None:
    rng = np.random.default_rng(3)
    before = rng.normal(0, 1, (4000, 6)).astype(np.float32)
    mixing = np.eye(6) + rng.normal(0, 0.05, (6, 6))
    after = (before @ mixing + 0.3).astype(np.float32)
    matrix, offset = towards(before, after)
    assert np.abs(after @ matrix + offset - before).max() < 0.05
    assert np.abs(after - before).max() > 0.3
    same, none = towards(before, before)
    np.testing.assert_allclose(same, np.eye(6), atol=1e-6)
    np.testing.assert_allclose(none, 0, atol=1e-6)


def test_heads_are_corrected_where_the_features_are_read(fused: onnx.ModelProto) -> None:
    """The first member's features are made 20 % larger: its votes and the features come back."""
    moved = copied(fused)
    value = feature_map(moved, "one")
    for node in moved.graph.node:
        if value in node.output:
            node.output[0] = "one/before"
    moved.graph.initializer.append(numpy_helper.from_array(np.array(1.2, np.float32), "larger"))
    place = next(i for i, n in enumerate(moved.graph.node) if n.output[0] == "one/before") + 1
    moved.graph.node.insert(place, helper.make_node("Mul", ["one/before", "larger"], [value]))
    photos = photos_of(np.arange(LABELS).repeat(30), 8)

    def everyone(model: onnx.ModelProto) -> Scores:
        asked = copied(model)
        ask_everyone(asked)
        rule = Decision(0.5, 1, 9.0, np.zeros((SPECIES, 4), np.float32), None)
        return OnnxSession(load_graph(asked.SerializeToString()), rule).run(photos)

    before, wrong = everyone(fused), everyone(moved)
    restore_heads(moved, ("one", "two"), before, wrong)
    right = everyone(moved)
    for name in ("members", "features"):
        was, is_ = (np.abs(getattr(s, name) - getattr(before, name)).mean() for s in (wrong, right))
        assert is_ < was / 3, name


# A whole bundle ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Photos of every label; of the species every fourth is for the test."""
    label = np.arange(LABELS).repeat(24)
    fold = np.arange(len(label)) % 5
    fold[(np.arange(len(label)) % 4 == 3) & (label < SPECIES)] = TEST
    fold[(np.arange(len(label)) % 4 == 3) & (label >= SPECIES)] = HELD_OUT
    labels = tuple(json.loads((SHIPPED / "bundle.json").read_text("utf-8"))["labels"])
    pixels = photos_of(label, 11)
    return Dataset(
        labels=labels,
        files=tuple(f"{number}.png" for number in range(len(label))),
        folder=tuple(labels[k] for k in label),
        label=label,
        fold=fold,
        pixels=pixels,
        test_digests=frozenset(digest_of(pixels[i]) for i in np.flatnonzero(fold == TEST)),
    )


@pytest.fixture
def folder(fused: onnx.ModelProto, dataset: Dataset, tmp_path: Path) -> Path:
    """A bundle as `export` leaves it, with the shipped one's figures."""
    folder = tmp_path / "exports" / "tiny-1.0.0"
    folder.mkdir(parents=True)
    onnx.save(fused, folder / "ensemble.onnx")
    metrics = json.loads((SHIPPED / "metrics.json").read_text("utf-8"))
    metrics.pop("precisions", None)
    metrics["test"]["photos"] = len(dataset.test)
    metrics["species_photos"] = 24 * SPECIES
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    rule = {
        "min_probability": 0.5,
        "min_agreement": 1,
        "max_distance": 1000.0,
        "centroids": np.zeros((SPECIES, 4)).tolist(),
        "max_other": [1.0] * SPECIES,
    }
    table = manifest(
        folder,
        labels=list(dataset.labels),
        species=list(dataset.species),
        taxa={},
        members=[{"name": "one", "backbone": "MobileNetV2"}, {"name": "two", "backbone": "VGG16"}],
        decision=rule,
        input={"width": SIDE, "height": SIDE},
        files=describe_files(folder),
    )
    (folder / "bundle.json").write_text(json.dumps(table), encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes no time on so small a graph is said to have been timed."""
    monkeypatch.setattr(
        precisions, "cpu_milliseconds", lambda graphs, photos, **_: [4.0, 2.0] * (len(graphs) // 2)
    )


@pytest.mark.usefixtures("timed")
def test_the_bundle_gets_a_graph_in_8_bits(folder: Path, dataset: Dataset) -> None:
    before = open_session(load_bundle(folder)).run(dataset.pixels[dataset.test])
    outcome = quantise_bundle(dataset, RECIPE, folder, view=mirrored)
    assert outcome.refused == ()
    assert outcome.networks == ("one", "two", "witness")
    assert outcome.gate.agreement >= 0.99
    bundle = load_bundle(folder)
    assert bundle.graphs == {"single": "ensemble.onnx", "int8": "ensemble-int8.onnx"}
    assert bundle.margins == {"int8": outcome.margin}
    alone = replace(bundle, margins={})
    said = {
        name: open_session(replace(alone, precision=name)).run(dataset.pixels[dataset.test])
        for name in bundle.graphs
    }
    np.testing.assert_array_equal(said["single"].probabilities, before.probabilities)
    apart = np.abs(said["int8"].probabilities - before.probabilities)
    assert 0 < apart.max() < 0.2
    kinds = {t.data_type for t in onnx.load(folder / "ensemble-int8.onnx").graph.initializer}
    assert TensorProto.INT8 in kinds
    figures = json.loads((folder / "metrics.json").read_text("utf-8"))["precisions"]["int8"]
    test = figures["alone"]["test"]
    assert test["photos"] == len(dataset.test)
    best = before.probabilities.argmax(axis=1)
    drift = apart[np.arange(len(apart)), best]
    assert test["mean_drift"] == pytest.approx(drift.mean(), abs=1e-5)
    assert test["most_drift"] == pytest.approx(drift.max(), abs=1e-5)
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    views, photos = outcome.gate.photos, len(dataset.test)
    assert f"|  | development, views: 8 bits alone ({views}) | as used ({views}) |" in card
    assert f"| test: 8 bits alone ({photos}) | as used ({photos}) |" in card
    used = open_session(replace(bundle, precision="int8")).run(dataset.pixels[dataset.test])
    close = 0.0 if used.again is None else used.again.mean()
    assert figures["close"]["test"] == pytest.approx(close, abs=1e-5)
    apart = np.abs(used.probabilities - before.probabilities)[np.arange(photos), best]
    assert figures["test"]["most_drift"] == pytest.approx(apart.max(), abs=1e-5)
    assert "| two | 4.0 | 2.0 | yes |" in card
    again = quantise_bundle(dataset, RECIPE, folder, view=mirrored)  # all the same once more
    assert (again, contents(folder)) == (outcome, contents(folder))


@pytest.mark.usefixtures("timed")
def test_the_gate_looks_at_views(folder: Path, dataset: Dataset) -> None:
    drawn = 0

    def grey(
        photo: NDArray[np.uint8], _fit: FitRecipe, _random: np.random.Generator
    ) -> NDArray[np.uint8]:
        nonlocal drawn
        drawn += 1
        return np.full_like(photo, 128)

    outcome = quantise_bundle(dataset, RECIPE, folder, view=grey)
    part = roles(dataset)
    assert outcome.gate.photos == len(part.gate)
    assert drawn == len(part.gate) + precisions.VIEWS * len(part.close)
    assert outcome.gate.top1[0] < 0.2  # nothing can be told from it


@pytest.mark.usefixtures("timed")
@pytest.mark.parametrize("least", [0.999, 1.01])
def test_where_the_gate_does_not_hold_the_bundle_stays_as_it_was(
    least: float,
    folder: Path,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all in 8 bits it never holds here; with the heavy member only where it can at all."""
    tried: list[Parity] = []

    def refuse_the_first(parity: Parity) -> list[str]:
        tried.append(parity)
        return ["told so"] if len(tried) == 1 else faults(parity, {**LIMITS, "agreement": least})

    monkeypatch.setattr(precisions, "faults", refuse_the_first)
    before = contents(folder)
    outcome = quantise_bundle(dataset, RECIPE, folder, view=mirrored)
    assert outcome.networks == ("two",)
    if least > 1:
        assert len(outcome.refused) == 1
        assert outcome.refused[0].endswith("less than 101%")
        assert contents(folder) == before
    else:
        assert outcome.refused == ()
        assert load_bundle(folder).graphs["int8"] == "ensemble-int8.onnx"


def test_no_network_is_put_into_8_bits_for_nothing(
    folder: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        precisions, "cpu_milliseconds", lambda graphs, photos, **_: [4.0] * len(graphs)
    )
    before = contents(folder)
    outcome = quantise_bundle(dataset, RECIPE, folder, view=mirrored)
    assert outcome.networks == ()
    assert outcome.refused == ("no network gets faster by 8 bits",)
    assert contents(folder) == before


@pytest.mark.usefixtures("timed")
def test_a_bundle_that_gets_too_large_stays_as_it_was(
    folder: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_graph, "MOST_BYTES", 10_000)
    before = contents(folder)
    with pytest.raises(ExportError, match="more than 10,000"):
        quantise_bundle(dataset, RECIPE, folder, view=mirrored)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_other_photos_and_test_photos_are_refused(folder: Path, dataset: Dataset) -> None:
    fewer = replace(dataset, fold=np.where(dataset.fold == TEST, 0, dataset.fold))
    with pytest.raises(InputError, match=r"toy-1\.0\.0 was made from 264 photos of species, 66 of"):
        quantise_bundle(fewer, RECIPE, folder, view=mirrored)
    with pytest.raises(LeakageError, match="The step quantise was about to use the test photo"):
        roles(fewer)
    part = roles(dataset)
    parts = [part.calibration, part.correction, part.gate, part.close]
    assert all(map(len, parts))
    assert sorted(np.concatenate(parts)) == dataset.development.tolist()  # each photo has one role


@pytest.mark.usefixtures("timed")
def test_a_graph_that_says_something_else_goes(folder: Path, dataset: Dataset) -> None:
    quantise_bundle(dataset, RECIPE, folder, view=mirrored)
    drop_precisions(folder)
    assert not (folder / "ensemble-int8.onnx").exists()
    table = json.loads((folder / "bundle.json").read_text("utf-8"))
    assert not {"graphs", "parity", "margins"} & set(table)
    assert "ensemble-int8.onnx" not in table["files"]
    assert "precisions" not in json.loads((folder / "metrics.json").read_text("utf-8"))
    card = (folder / "MODEL_CARD.md").read_text("utf-8")
    assert "8 bits" not in card
    assert card.count("\n\n## Data and starting weights\n") == 1


def test_every_limit_of_the_gate_can_fail() -> None:
    good = Parity(100, 0.995, 0.98, 0.005, 0.2, (0.02, 0.022), (0.9, 0.895), (0.99, 0.989), (1, 1))
    assert faults(good) == []
    for change, said in (
        ({"agreement": 0.98}, "the same label for 98.00% of the photos, less than 99%"),
        ({"mean_drift": 0.02}, "probabilities are 0.0200 off, more than 0.01"),
        ({"ece": (0.02, 0.03)}, "the calibration error rises by 0.0100"),
        ({"coverage": (0.9, 0.88)}, "coverage falls by 2.00%"),
        ({"accuracy_of_accepted": (0.99, 0.98)}, "of the accepted 1.00% more are wrong"),
    ):
        assert faults(replace(good, **change)) == [said]


@pytest.mark.usefixtures("timed")
def test_8_bits_that_are_wrong_where_they_are_sure_are_refused(
    folder: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        precisions, "find_margin", lambda pairs, _: Margin(len(pairs) * 0.3, 9, 1, 0)
    )
    before = contents(folder)
    outcome = quantise_bundle(dataset, RECIPE, folder, view=mirrored)
    assert outcome.refused == ("8 bits name another species where two labels are 0.60 apart",)
    assert contents(folder) == before
