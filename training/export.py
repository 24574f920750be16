"""Fitted members to a bundle; refused unless the graph answers what Keras answers."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from training.crossval import FINAL, member_weights, run_file
from training.data import Dataset
from training.fit import (
    Dense,
    Floats,
    build_network,
    dense_layers,
    dense_logits,
    load_arrays,
    pooled,
    set_rear_weights,
)
from training.meta import Stack
from training.quiet import start_keras
from training.recipe import MemberRecipe, Recipe, WitnessRecipe
from training.stack import load_stack
from trapsort.bundle import SCHEMA
from trapsort.errors import TrapsortError

T = TypeVar("T")

TOLERANCE = 1e-4
PHOTOS = 200
GRAPH = "ensemble.onnx"
MOST_BYTES = 100_000_000
"""A bundle ships inside the wheel: more than this no index of packages takes in one file."""


class ExportError(TrapsortError):
    """The exported graph does not answer what the trained networks answer."""

    exit_code = 1


def halved(array: NDArray[Any]) -> Floats:
    """Rounded to half precision, as the bundle stores it, and back to single."""
    rounded: Floats = array.astype(np.float16).astype(np.float32)
    return rounded


def convert_member(
    member: MemberRecipe, weights: Path, fitted: Path, photos: NDArray[np.uint8], target: Path
) -> tuple[Floats, Dense]:
    """Write a member's graph, photo to feature map, to `target`.

    Returns what Keras makes of `photos`: pooled features (n, channels), and the head.
    """
    from training.conversion import to_onnx
    from training.graph import single_input
    from training.padding import unfuse_zero_padding

    network = build_network(member.backbone, member_weights(member, weights))
    arrays = load_arrays(fitted)
    set_rear_weights(network, arrays)
    halve_kernels(network.whole)
    model = to_onnx(network.whole)
    single_input(model)
    unfuse_zero_padding(model)
    target.write_bytes(model.SerializeToString())
    dense = tuple((halved(kernel), bias) for kernel, bias in dense_layers(arrays))
    return pooled(network.whole, photos), dense


def halve_kernels(model: Any) -> None:
    """Fold batch norms, then round all kernels to half precision."""
    from keras import layers

    from training.witness import fold_batch_norms

    fold_batch_norms(model)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D):
            kernel, *bias = layer.get_weights()
            layer.set_weights([halved(kernel), *bias])


def convert_witness(
    recipe: WitnessRecipe,
    species: tuple[str, ...],
    weights: Path,
    photos: NDArray[np.uint8],
    target: Path,
) -> Floats:
    """Write the witness's graph to `target`; what Keras says of `photos`, (n, species)."""
    from training.conversion import to_onnx
    from training.witness import build_witness, testify

    witness = build_witness(recipe, species, weights)
    target.write_bytes(to_onnx(witness).SerializeToString())
    return testify(witness, photos)


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a process of its own: a conversion does not give its memory back."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=start_keras) as pool:
        return pool.submit(function, *arguments).result()


def convert_members(
    recipe: Recipe, weights: Path, out: Path, photos: NDArray[np.uint8]
) -> list[tuple[Floats, Dense]]:
    """Convert every member, each in a process of its own."""
    return [
        apart(
            convert_member,
            member,
            weights,
            run_file(out, member.name, FINAL),
            photos,
            out / f"{member.name}.onnx",
        )
        for member in recipe.members
    ]


def parity_photos(dataset: Dataset) -> NDArray[np.uint8]:
    """Up to `PHOTOS` development photos, spread evenly: what the graph is compared on."""
    chosen = dataset.development
    places = np.unique(np.linspace(0, len(chosen) - 1, PHOTOS).astype(int))
    photos: NDArray[np.uint8] = dataset.pixels[chosen[places]]
    return photos


def check_resize(dataset: Dataset, data: Path) -> None:
    """Refuse training pixels that serving would not see: decode some photos anew and compare."""
    from trapsort.decode import decode

    for index in np.unique(np.linspace(0, len(dataset.files) - 1, PHOTOS).astype(int)):
        served = decode((data / dataset.files[index]).read_bytes()).pixels
        if not np.array_equal(served, dataset.pixels[index]):
            raise ExportError(
                f"{dataset.files[index]} is resized otherwise than when the networks learned it.",
                "Run the step prepare anew, then fit.",
            )


def build_graph(dataset: Dataset, recipe: Recipe, weights: Path, out: Path) -> dict[str, float]:
    """Convert, fuse and compare; write `ensemble.onnx` below `out`.

    Returns the largest difference of each output from Keras. Raises `ExportError` above 1e-4.
    """
    import onnx

    from training.graph import MemberGraph, fuse
    from training.splice import ask_witness_late

    photos = parity_photos(dataset)
    answers = convert_members(recipe, weights, out, photos)
    stack, white, _ = load_stack(out)
    graphs = [
        MemberGraph(member.name, onnx.load(out / f"{member.name}.onnx"), dense)
        for member, (_, dense) in zip(recipe.members, answers, strict=True)
    ]
    expected = {}
    witness = None
    if recipe.witness is not None:
        path = out / "witness.onnx"
        species = dataset.species
        said = apart(convert_witness, recipe.witness, species, weights, photos, path)
        expected["other"] = said
        witness = onnx.load(path)
    model = fuse(
        graphs,
        stack=stack,
        whitening=(white.kernel, white.bias),
        labels=len(dataset.labels),
        witness=witness,
    )
    ask_witness_late(model, len(dataset.species))
    (out / GRAPH).write_bytes(model.SerializeToString())
    first = answers[: len(recipe.always_asked)]
    votes = np.stack([softmax(dense_logits(f, dense), axis=1) for f, dense in answers], axis=1)
    expected |= {
        "probabilities": stack.apply(votes),
        "members": stack.asked(votes),
        "features": white.apply(np.concatenate([features for features, _ in first], axis=1)),
    }
    if "other" in expected:  # said of species only
        named = expected["probabilities"].argmax(axis=1) < len(dataset.species)
        expected["other"] = expected["other"] * named[:, None]
    return compare(out / GRAPH, photos, expected)


def compare(path: Path, photos: NDArray[np.uint8], expected: dict[str, Floats]) -> dict[str, float]:
    """Largest difference of each output of the graph at `path` from what is expected.

    Probabilities are compared as they are, features relative to their spread. Raises `ExportError`
    where one differs by more than `TOLERANCE`.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = list(expected)
    parts = [session.run(names, {"image": photos[i : i + 8]}) for i in range(0, len(photos), 8)]
    differences = {}
    for place, name in enumerate(names):
        found = np.concatenate([part[place] for part in parts])
        spread = float(expected[name].max() - expected[name].min()) if name == "features" else 1.0
        differences[name] = float(np.abs(found - expected[name]).max()) / (spread or 1.0)
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise ExportError(
                f"{path}: {name} differs from Keras by {difference:.2g}, more than {TOLERANCE}.",
                "The conversion is wrong; nothing was exported.",
            )
    return differences


def keras_members(backbones: Sequence[str], labels: int) -> list[Any]:
    """Untrained Keras networks of these backbones, uint8 photos in, for timing only."""
    from training.backbones import build_member

    return [build_member(name, labels, weights=None) for name in backbones]


def untrained_milliseconds(backbone: str, out: Path) -> float:
    """CPU milliseconds a photo of a backbone with random weights."""
    from training.ablation import member_milliseconds

    path = out / f"{backbone.lower()}-untrained.onnx"
    if not path.exists():
        apart(convert_untrained, backbone, path)
    return member_milliseconds(path)


def convert_untrained(backbone: str, target: Path) -> None:
    """Write the graph of a backbone with random weights, for timing."""
    from training.conversion import to_onnx

    whole = build_network(backbone, None).whole
    target.write_bytes(to_onnx(whole).SerializeToString())


def export_bundle(
    dataset: Dataset, recipe: Recipe, *, data: Path, weights: Path, out: Path, exports: Path
) -> Path:
    """Build, check, measure and write the bundle; its folder.

    Raises `ExportError` where the graph or the resize is not what was trained.
    """
    from training.card import draw_reliability, write_card
    from training.evaluate import evaluate
    from trapsort.bundle import load_bundle
    from trapsort.session import open_session

    check_resize(dataset, data)
    differences = build_graph(dataset, recipe, weights, out)
    draft = out / "bundle"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    shutil.copy(out / GRAPH, draft / GRAPH)
    write_manifest(dataset, recipe, out, draft)
    bundle = load_bundle(draft)
    metrics = evaluate(dataset, recipe, out, bundle, open_session(bundle))
    metrics["parity"] = differences
    metrics["mislabelled"] = len(json.loads((out / "mislabelled.json").read_text("utf-8")))
    species = dataset.label < len(dataset.species)
    metrics["species_photos"] = int(species.sum())
    metrics["negative_photos"] = int((~species).sum())
    if recipe.left_out:
        metrics[recipe.left_out_cost] = untrained_milliseconds(recipe.left_out, out)
    text = json.dumps(metrics, indent=1)
    (draft / "metrics.json").write_text(text + "\n", encoding="utf-8")
    write_card(recipe, dataset.labels, metrics, draft / "MODEL_CARD.md")
    draw_reliability(
        metrics["test"]["reliability"], metrics["test"]["ece"], draft / "reliability.png"
    )
    write_manifest(dataset, recipe, out, draft)
    size = sum(path.stat().st_size for path in draft.iterdir())
    if size > MOST_BYTES:
        raise ExportError(
            f"The bundle takes {size:,} bytes, more than {MOST_BYTES:,}.", "Leave a member out."
        )
    target = exports / f"{recipe.name}-{recipe.version}"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(draft, target)
    load_bundle(target)
    return target


def write_manifest(dataset: Dataset, recipe: Recipe, out: Path, folder: Path) -> None:
    """Write `bundle.json` over all other files in `folder`."""
    from trapsort.redlist import red_list

    stack, white, rule = load_stack(out)
    entries = red_list().entries
    taxa = {
        label: [taxon.scientific_name for taxon in entries[label].taxa] if label in entries else []
        for label in dataset.species
    }
    table = {
        "schema": SCHEMA,
        "name": recipe.name,
        "version": recipe.version,
        "title": recipe.title,
        "graph": GRAPH,
        "labels": list(dataset.labels),
        "species": list(dataset.species),
        "taxa": taxa,
        "members": [{"name": m.name, "backbone": m.backbone} for m in recipe.members],
        "calibration": {"method": "temperature, in the graph", "temperature": stack.temperature},
        **({"cascade": describe_cascade(recipe, stack)} if stack.cascade else {}),
        "decision": {
            "min_probability": round(rule.min_probability, 4),
            "min_agreement": rule.min_agreement,
            "max_distance": round(rule.max_distance, 4),
            "centroids": [[round(float(x), 4) for x in row] for row in white.centroids],
            "max_other": None
            if rule.max_other is None
            else [round(limit, 4) for limit in rule.max_other],
        },
        "files": describe_files(folder),
    }
    (folder / "bundle.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def describe_cascade(recipe: Recipe, stack: Stack) -> dict[str, Any]:
    """Who is asked first, and from which probability on the others are not."""
    cascade = stack.cascade
    assert cascade is not None  # noqa: S101  # asked for only where there is one
    return {
        "first": [member.name for member in recipe.always_asked],
        "min_probability": cascade.min_probability,
        "temperature": cascade.stack.temperature,
    }


def describe_files(folder: Path) -> dict[str, dict[str, Any]]:
    """Digest and size of every file of a bundle except `bundle.json`."""
    files = sorted(path for path in folder.iterdir() if path.name != "bundle.json")
    return {
        path.name: {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in files
    }
