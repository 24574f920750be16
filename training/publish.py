"""Fitted networks to a bundle that `trapsort classify --bundle` runs without Keras."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
from keras import layers
from numpy.typing import NDArray

from training.answers import answers, both_labels
from training.config import PublishedRecipe
from training.conversion import to_onnx
from training.export import GRAPH, apart, compare
from training.fit import Dense, Floats
from training.graph import MemberGraph, fuse, single_input
from training.meta import Stack
from training.networks import POOLED, SCORES, feature_map
from training.padding import unfuse_zero_padding
from training.prepared import PhotoSet
from trapsort.bundle import REASON_OF_REJECTION, SCHEMA, load_bundle
from trapsort.redlist import red_list

PHOTOS = 200
"""How many development photos a graph is compared with Keras on, at most."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A network as the graph holds it, and what Keras makes of the photos of the comparison.

    dense: the head with its batch norm folded in; flat: whether it takes every cell for itself;
    keras: probabilities (n, labels).
    """

    dense: Dense
    flat: bool
    keras: Floats


def dense_of(network: keras.Model) -> Dense:
    """The head's dense layers (kernel, bias), softmax behind the last.

    A batch norm before them is folded into the first. A sigmoid's single score z becomes the two
    scores -z/2 and z/2, of which softmax makes [1 - p, p].
    """
    names = [layer.name for layer in network.layers if layer.name.startswith("dense")]
    pairs = [network.get_layer(name).get_weights() for name in [*names, SCORES]]
    if any(layer.name == "head_norm" for layer in network.layers):
        norm = network.get_layer("head_norm")
        gamma, beta, mean, variance = norm.get_weights()
        scale = gamma / np.sqrt(variance + norm.epsilon)
        kernel, bias = pairs[0]
        pairs[0] = [scale[:, None] * kernel, bias + (beta - mean * scale) @ kernel]
    kernel, bias = pairs[-1]
    if kernel.shape[1] == 1:
        halves = np.array([-0.5, 0.5], np.float32)
        pairs[-1] = [kernel * halves, bias * halves]
    return tuple((k.astype(np.float32), b.astype(np.float32)) for k, b in pairs)


def convert(kept: Path, photos: NDArray[np.uint8], target: Path) -> Converted:
    """Write the graph of a kept network, photo to feature map, to `target`."""
    network = keras.saving.load_model(kept, compile=False)
    image = layers.Input(network.input_shape[1:], dtype="uint8", name="image")
    whole = keras.Model(image, feature_map(network)(layers.Rescaling(1.0, name="single")(image)))
    model = to_onnx(whole)
    single_input(model)
    unfuse_zero_padding(model)
    target.write_bytes(model.SerializeToString())
    flat = isinstance(network.get_layer(POOLED), layers.Flatten)
    return Converted(dense_of(network), flat, _answers(network, photos))


def _answers(network: keras.Model, photos: NDArray[np.uint8]) -> Floats:
    return both_labels(
        np.concatenate(list(answers(network, photos, "answers", batch=8, graph=True)))
    )


def build_graph(
    networks: Sequence[tuple[str, Path]],
    photos: NDArray[np.uint8],
    *,
    stack: tuple[Floats, Floats] | None,
    labels: int,
    folder: Path,
) -> dict[str, float]:
    """Write one graph of the kept networks (name, file) to `folder`.

    Returns the largest difference of each output from Keras on `photos`. Raises `ExportError` above
    1e-4. Each conversion runs in a process of its own. Weights stay in single precision: these
    bundles ship in no wheel, and an untuned EfficientNet moves by 0.07 when they are halved.
    """
    members, votes = [], []
    for name, kept in networks:
        part = folder / f"{name}.part"
        converted = apart(convert, kept, photos, part)
        members.append(MemberGraph(name, onnx.load(part), converted.dense, converted.flat))
        votes.append(converted.keras)
        part.unlink()
    height, width = photos.shape[1:3]
    model = fuse(
        members,
        stack=None if stack is None else folded(stack),
        whitening=None,
        labels=labels,
        size=(width, height),
        small=False,
    )
    (folder / GRAPH).write_bytes(model.SerializeToString())
    said = np.stack(votes, axis=1)
    expected = {"members": said, "probabilities": stacked(said, stack)}
    return compare(folder / GRAPH, photos, expected)


def stacked(members: Floats, stack: tuple[Floats, Floats] | None) -> Floats:
    """Probabilities (n, labels) of members (n, members, labels); without a stack the only one's."""
    if stack is None:
        return members[:, 0]
    return folded(stack).apply(members)


def folded(stack: tuple[Floats, Floats]) -> Stack:
    """A stack from its kernel and bias, in which the temperature is already."""
    return Stack(*stack, temperature=1.0, regularisation=1.0)


def parity_photos(photos: PhotoSet) -> NDArray[np.uint8]:
    """Up to `PHOTOS` development photos, spread evenly."""
    index = photos.development
    chosen = np.unique(np.linspace(0, len(index) - 1, min(PHOTOS, len(index))).astype(int))
    pixels: NDArray[np.uint8] = photos.pixels[index[chosen]]
    return pixels


def write_bundle(
    recipe: PublishedRecipe,
    photos: PhotoSet,
    networks: Sequence[tuple[str, Path]],
    *,
    stack: tuple[Floats, Floats] | None,
    figures: dict[str, Any],
    folder: Path,
) -> Path:
    """Build, compare and write the bundle below `folder`; its own folder.

    Raises `ExportError` where the graph does not answer what Keras answers, and `BundleError` where
    the field would refuse it.
    """
    from trapsort.session import open_session

    target = folder / f"{recipe.name}-{recipe.version}"
    target.mkdir(parents=True, exist_ok=True)
    differences = build_graph(
        networks, parity_photos(photos), stack=stack, labels=len(photos.labels), folder=target
    )
    metrics = figures | {"parity": differences}
    (target / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    (target / "MODEL_CARD.md").write_text(card(recipe, photos, metrics), encoding="utf-8")
    table = manifest(recipe, photos, [name for name, _ in networks], stacked=stack is not None)
    table["files"] = {
        path.name: {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in sorted(target.iterdir())
        if path.name != "bundle.json"
    }
    (target / "bundle.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    open_session(load_bundle(target))
    return target


def manifest(
    recipe: PublishedRecipe, photos: PhotoSet, members: Sequence[str], *, stacked: bool
) -> dict[str, Any]:
    """`bundle.json` without its files (see exports/README.md)."""
    entries = red_list().entries
    taxonomy = {
        label: {rank: name for rank, name in ranks.items() if rank in recipe.export.ranks}
        for label, ranks in photos.taxa.items()
    }
    return {
        "schema": SCHEMA,
        "name": recipe.name,
        "version": recipe.version,
        "title": recipe.title,
        "graph": GRAPH,
        "input": {"width": recipe.input.width, "height": recipe.input.height},
        "labels": list(photos.labels),
        "species": [label for label in photos.labels if label not in REASON_OF_REJECTION],
        "taxa": {
            label: [taxon.scientific_name for taxon in entries[label].taxa]
            for label in photos.labels
            if label in entries
        },
        "taxonomy": {label: ranks for label, ranks in taxonomy.items() if ranks},
        "members": [{"name": name, "backbone": recipe.network(name).backbone} for name in members],
        "calibration": {"method": "temperature, in the graph" if stacked else "none"},
        "decision": {
            "min_probability": recipe.export.min_probability,
            "min_agreement": 0,
            "max_distance": None,
            "centroids": None,
            "max_other": None,
        },
    }


def card(recipe: PublishedRecipe, photos: PhotoSet, metrics: dict[str, Any]) -> str:
    """The model card: what it was made of, and its figures on the test photos."""
    counts = {part: len(photos.of(part)) for part in ("train", "validation", "test")}
    test = metrics.get("test", {})
    rows = "\n".join(
        f"| {name} | {entry['accuracy']:.4f} | {entry['f1']['macro']:.4f} | {entry['loss']:.4f} |"
        for name, entry in test.items()
    )
    starts = "\n".join(f"- {name}: {start}" for name, start in metrics["weights"].items())
    small = (
        "- a quick demonstration on few small photos, not the system\n" if metrics["small"] else ""
    )
    calibrated = "are" if recipe.export.network == "stack" else "are not"
    return f"""# {recipe.name} {recipe.version}

{recipe.title}. Made by `python -m training all --recipe {recipe.name}.toml`.

- photos: {counts["train"]} to learn from, {counts["validation"]} to stop by, {
        counts["test"]
    } tests;
  no group or site on two sides
- classes: {len(photos.labels)}
- input: {recipe.input.width} x {recipe.input.height} pixels
{small}
Starting weights (of a network that starts from `none`, the figures say nothing about the published
system):

{starts}

| network | test accuracy | macro F1 | log loss |
| --- | --- | --- | --- |
{rows}

It was trained on the photos that it was given and knows nothing else: it has no class for an empty
frame unless one of its classes is `blank`, and no test of novelty. Its probabilities {calibrated}
calibrated on out-of-fold photos.
"""
