"""A bundle's graph in 8 bits beside the one in single precision, made from the bundle alone.

Calibrated and corrected on some development photos, compared on augmented views of others, because
the photos themselves were learned; views of the rest say how close a call must be for single
precision to be asked instead. The test photos are only reported on. Where the parity gate does not
hold the bundle is left as it was.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
import onnx
from numpy.typing import NDArray

from training.augment import augment
from training.close import MOST, Margin, as_used, find_margin, share
from training.data import Dataset
from training.evaluate import Answers, answer
from training.export import ExportError
from training.graph import ask_everyone
from training.parity import Parity, as_table, compare_answers, faults
from training.quantise import GAIN, cpu_milliseconds, quantise
from training.recipe import FitRecipe, Recipe
from training.restore import restore_heads
from training.second_graph import add_precision
from training.splice import WITNESS, ask_witness_late, cut, feature_map, put, witness_says
from trapsort.bundle import Bundle, load_bundle
from trapsort.errors import InputError
from trapsort.session import OnnxSession, load_graph

View = Callable[[NDArray[np.uint8], FitRecipe, np.random.Generator], NDArray[np.uint8]]
"""One random view of a photo, of the same shape."""

WORTH = 0.9
"""A network in 8 bits that takes more than this share of its time is left as it was."""

TIMED = 40
"""Photos that times are the medians of."""

VIEWS = 2
"""Of each photo that says what a close call is: few calls are close."""

LATE = 200
"""Photos that show whether a witness that is asked late changes nothing, about."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Development photos by what they are for; none has two roles.

    calibration: the activations' ranges; correction: the heads; gate: whether the precision may be
    used; close: which calls are close.
    """

    calibration: NDArray[np.int64]
    correction: NDArray[np.int64]
    gate: NDArray[np.int64]
    close: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Network:
    """A member, or the witness, as a graph of its own in both precisions.

    milliseconds: CPU, a photo alone, one thread, before and after.
    """

    name: str
    value: str
    eighth: onnx.ModelProto
    milliseconds: tuple[float, float]

    @property
    def gains(self) -> bool:
        """Whether 8 bits are worth their while."""
        return self.milliseconds[1] <= WORTH * self.milliseconds[0]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: which networks are in 8 bits, and why not, if there is no such graph.

    gate: of the graph alone; margin: below which a call is close.
    """

    networks: tuple[str, ...]
    gate: Parity
    refused: tuple[str, ...]
    margin: float = 0.0


def described(outcome: Outcome) -> str:
    """What became of it, in one line."""
    if outcome.refused:
        return f"The bundle stays in single precision: {'; '.join(outcome.refused)}."
    gate = outcome.gate
    return (
        f"{', '.join(outcome.networks)} in 8 bits: the same label for {gate.agreement:.1%} of "
        f"{gate.photos} photos, the same answer for {gate.same_answer:.1%}, probabilities "
        f"{gate.mean_drift:.4f} off (at most {gate.most_drift:.3f}); single precision is asked "
        f"where the two most probable labels are less than {outcome.margin:.2f} apart"
    )


def roles(dataset: Dataset) -> Roles:
    """Every 80th development photo calibrates, every 8th corrects, every 4th is compared on.

    The rest says what a close call is.
    """
    shown = dataset.learning(dataset.development, "quantise")
    place = np.arange(len(shown))
    chosen = [place % 80 == 0, place % 8 == 1, place % 4 == 2]
    calibration, correction, gate = (shown[each] for each in chosen)
    return Roles(calibration, correction, gate, shown[~np.logical_or.reduce(chosen)])


def quantise_bundle(
    dataset: Dataset, recipe: Recipe, folder: Path, *, view: View = augment
) -> Outcome:
    """Give the bundle in `folder` a graph in 8 bits, if its answers stay what they were.

    view: draws what the gate looks at from each of its photos. A witness that was asked of every
    photo is asked late from now on, which changes no answer.
    Writes graph, parity, metrics and model card. Raises `InputError` where `dataset` is not what
    the bundle was made from, and `ExportError` where the bundle would get too large.
    """
    bundle = load_bundle(folder)
    check_same_photos(dataset, bundle)
    part = roles(dataset)
    single = _original(bundle)
    late = ask_witness_late(single, len(bundle.species))
    gate = _views(dataset, recipe, part.gate, view, recipe.seed)
    before = _answers(bundle, single, gate, gate.development)
    if late:
        some = gate.development[:: max(1, len(part.gate) // LATE)]
        asked = [_answers(bundle, each, gate, some) for each in (_original(bundle), single)]
        _check_same_answers(*asked)
    networks = _networks(bundle, single, dataset.pixels[part.calibration])
    outcome, held = _first_that_holds(
        bundle, single, networks, dataset, part.correction, gate, before
    )
    if held is None:
        return outcome
    eighth, after = held
    found = _margin(bundle, (single, eighth), dataset, recipe, part.close, view)
    margin = found.margin
    if margin > MOST:
        apart = f"8 bits name another species where two labels are {margin:.2f} apart"
        return replace(outcome, refused=(apart,), margin=margin)
    pairs = {
        "development": (before, after),
        "test": (
            _answers(bundle, single, dataset, dataset.test),
            _answers(bundle, eighth, dataset, dataset.test),
        ),
    }
    used = {name: as_used(*pair, bundle, margin) for name, pair in pairs.items()}
    figures = {
        "networks": [
            {"name": each.name, "cpu_ms": each.milliseconds, "int8": each.name in outcome.networks}
            for each in networks
        ],
        **{name: as_table(compare_answers(pairs[name][0], used[name])) for name in pairs},
        "alone": {name: as_table(compare_answers(*pair)) for name, pair in pairs.items()},
        "margin": asdict(found),
        "close": {name: round(share(answers), 5) for name, answers in used.items()},
        "cpu_ms": _whole_milliseconds(single, eighth, dataset.pixels[part.gate]),
    }
    add_precision(dataset, recipe, folder, (single, eighth), figures)
    return replace(outcome, margin=margin)


def _margin(
    bundle: Bundle,
    graphs: tuple[onnx.ModelProto, onnx.ModelProto],
    dataset: Dataset,
    recipe: Recipe,
    index: NDArray[np.int64],
    view: View,
) -> Margin:
    """Below which margin a call of the second graph is close, by `VIEWS` views of these photos."""
    sessions = [_session(bundle, each) for each in graphs]
    pairs = []
    for number in range(1, VIEWS + 1):
        click.echo(f"close calls: {len(index)} photos, view {number} of {VIEWS}", err=True)
        shown = _views(dataset, recipe, index, view, recipe.seed + number)
        before, after = (answer(bundle, each, shown, shown.development) for each in sessions)
        pairs.append((before.scores, after.scores))
    found = find_margin(pairs, len(bundle.species))
    of = f"{found.changed} views of {found.views} show another species, {found.left} of them still"
    click.echo(f"a call is close below a margin of {found.margin:.2f}: {of}", err=True)
    return found


def _views(
    dataset: Dataset, recipe: Recipe, index: NDArray[np.int64], view: View, seed: int
) -> Dataset:
    """A view of each of these photos, the same ones for the same seed."""
    random = np.random.default_rng(seed)
    return replace(
        dataset,
        pixels=np.stack([view(dataset.pixels[place], recipe.fit, random) for place in index]),
        label=dataset.label[index],
        fold=np.zeros(len(index), dataset.fold.dtype),
    )


def check_same_photos(dataset: Dataset, bundle: Bundle) -> None:
    """Refuse photos or a split other than those of the bundle's figures; raises `InputError`."""
    metrics = json.loads((bundle.path / "metrics.json").read_text("utf-8"))
    had = (list(bundle.labels), metrics["test"]["photos"], metrics["species_photos"])
    species = int((dataset.label < len(dataset.species)).sum())
    if had != (list(dataset.labels), len(dataset.test), species):
        raise InputError(
            f"{bundle.model_name} was made from {had[2]} photos of species, {had[1]} of them for "
            f"the test; here are {species}, {len(dataset.test)} of them for the test.",
            "Give --data the photos and --recipe the recipe of that bundle.",
        )


def _original(bundle: Bundle) -> onnx.ModelProto:
    return onnx.load(bundle.graph_file())


def _session(bundle: Bundle, model: onnx.ModelProto) -> OnnxSession:
    return OnnxSession(load_graph(model.SerializeToString()), bundle.decision)


def _answers(
    bundle: Bundle, model: onnx.ModelProto, dataset: Dataset, index: NDArray[np.int64]
) -> Answers:
    return answer(bundle, _session(bundle, model), dataset, index)


def _everyone(
    bundle: Bundle, model: onnx.ModelProto, dataset: Dataset, index: NDArray[np.int64]
) -> Answers:
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    ask_everyone(asked)
    return _answers(bundle, asked, dataset, index)


def _check_same_answers(before: Answers, after: Answers) -> None:
    """Raise `ExportError` unless a witness that is asked late changes nothing at all."""
    pairs = ("probabilities", "members", "features")
    same = all(
        np.array_equal(getattr(before.scores, name), getattr(after.scores, name)) for name in pairs
    )
    if not same or before.predictions != after.predictions:
        raise ExportError("A witness that is asked late changes answers.", "Nothing was written.")


def _networks(bundle: Bundle, single: onnx.ModelProto, photos: NDArray[np.uint8]) -> list[Network]:
    """Every member and the witness in 8 bits, timed against what it was."""
    said = witness_says(single)
    values = {name: feature_map(single, name) for name in bundle.members}
    values |= {WITNESS: said} if said else {}
    found = []
    with tempfile.TemporaryDirectory() as place:
        before, after = Path(place) / "single.onnx", Path(place) / "int8.onnx"
        for name, value in values.items():
            click.echo(f"{name}: calibrating on {len(photos)} photos", err=True)
            shape = ["N", "species"] if name == WITNESS else ["N", "height", "width", "channels"]
            onnx.save(cut(single, value, shape), before)
            quantise(before, photos, after)
            times = cpu_milliseconds([before.read_bytes(), after.read_bytes()], photos[:TIMED])
            found.append(Network(name, value, onnx.load(after), (times[0], times[1])))
            click.echo(f"{name}: {times[0]:.1f} to {times[1]:.1f} ms", err=True)
    return found


def _first_that_holds(
    bundle: Bundle,
    single: onnx.ModelProto,
    networks: Sequence[Network],
    dataset: Dataset,
    correction: NDArray[np.int64],
    gate: Dataset,
    before: Answers,
) -> tuple[Outcome, tuple[onnx.ModelProto, Answers] | None]:
    """The graph with every network in 8 bits that gains by it, else with the heavy ones only.

    With it what it answers to the gate's photos. None where the gate holds for neither; the outcome
    is that of the last try.
    """
    heard = _everyone(bundle, single, dataset, correction).scores
    backbones = _backbones(bundle)
    gaining = [each for each in networks if each.gains]
    heavy = [each for each in gaining if backbones.get(each.name) in GAIN]
    outcome = None
    for chosen in [gaining] * bool(gaining) + [heavy] * (0 < len(heavy) < len(gaining)):
        eighth = onnx.ModelProto()
        eighth.CopyFrom(single)
        for each in chosen:
            put(eighth, each.value, each.eighth, f"{each.name}/int8")
        hears = _everyone(bundle, eighth, dataset, correction).scores
        restore_heads(eighth, bundle.members, heard, hears)
        after = _answers(bundle, eighth, gate, gate.development)
        parity = compare_answers(before, after)
        refused = tuple(faults(parity))
        names = tuple(each.name for each in chosen)
        outcome = Outcome(names, parity, refused)
        said = "; ".join(refused) or "holds"
        click.echo(f"the gate, with {', '.join(names)} in 8 bits: {said}", err=True)
        if not refused:
            return outcome, (eighth, after)
    if outcome is None:
        nothing = compare_answers(before, before)
        outcome = Outcome((), nothing, ("no network gets faster by 8 bits",))
    return outcome, None


def _backbones(bundle: Bundle) -> dict[str, str]:
    table = json.loads((bundle.path / "bundle.json").read_text("utf-8"))
    return {each["name"]: each["backbone"] for each in table["members"]}


def _whole_milliseconds(
    single: onnx.ModelProto, eighth: onnx.ModelProto, photos: NDArray[np.uint8]
) -> dict[str, list[float]]:
    """CPU milliseconds of a photo before and after: as they come, and where all are asked."""
    some = photos[np.linspace(0, len(photos) - 1, min(TIMED, len(photos))).astype(int)]
    graphs = [each.SerializeToString() for each in (single, eighth)]
    for each in (single, eighth):
        asked = onnx.ModelProto()
        asked.CopyFrom(each)
        ask_everyone(asked)
        graphs.append(asked.SerializeToString())
    times = cpu_milliseconds(graphs, some, middle=np.mean)
    return {"photo": times[:2], "everyone": times[2:]}
