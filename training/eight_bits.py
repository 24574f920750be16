"""A published system's networks in 8 bits, and what that changes on its test photos."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from training.config import PublishedRecipe
from training.export import apart
from training.prepared import PhotoSet
from training.publish import convert
from training.quantise import GAIN, Drift, drift, quantise
from trapsort.errors import InputError

CALIBRATION = 64
"""Training photos that the ranges of the activations are read from, at most."""


def quantise_networks(
    recipe: PublishedRecipe, photos: PhotoSet, fitted: Path, folder: Path
) -> dict[str, tuple[float, Drift]]:
    """Write `NETWORK-int8.onnx` to `folder` for each network that gains by it, and `quantise.json`.

    fitted: the folder with `NETWORK.keras`. Returns for each its accuracy on the test photos in
    single precision, without which an agreement says nothing, and what 8 bits change on them.
    Raises `InputError` where no network gains.
    """
    chosen = [n.name for n in recipe.networks if n.backbone in GAIN and n.pooling == "average"]
    if not chosen:
        raise InputError(
            f"No network of {recipe.name} gains by 8 bits.", f"These do: {', '.join(GAIN)}."
        )
    train, test = photos.of("train"), photos.of("test")
    some = photos.pixels[train[_spread(len(train), CALIBRATION)]]
    shown, label = photos.pixels[test], photos.label[test]
    found = {}
    for name in chosen:
        single, eighth = folder / f"{name}.onnx", folder / f"{name}-int8.onnx"
        converted = apart(convert, fitted / f"{name}.keras", shown, single)
        quantise(single, some, eighth)
        right = float((converted.keras.argmax(axis=1) == label).mean())
        found[name] = (right, drift(single, eighth, converted.dense, shown))
    table = {n: {"accuracy": right} | asdict(change) for n, (right, change) in found.items()}
    (folder / "quantise.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    return found


def _spread(count: int, most: int) -> Sequence[int]:
    chosen: list[int] = np.unique(np.linspace(0, count - 1, min(most, count)).astype(int)).tolist()
    return chosen


def described(name: str, change: Drift) -> str:
    """What 8 bits change of a network, in one line."""
    before, after = change.milliseconds
    return (
        f"{name} in 8 bits: the same label for {change.agreement:.1%} of {change.photos} photos, "
        f"probabilities {change.mean_drift:.3f} off (at most {change.most_drift:.3f}), "
        f"{before:.1f} to {after:.1f} ms, {change.bytes[0]:,} to {change.bytes[1]:,} bytes"
    )
