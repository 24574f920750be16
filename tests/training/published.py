"""Photos and recipes of kind `published`, drawn for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from training.config import PublishedRecipe, load_published

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
COLOURS = {"Arctic_Fox": (220, 220, 230), "Lion": (200, 160, 60), "Rhino": (90, 90, 100)}


def draw_photo(
    path: Path, colour: tuple[int, ...], seed: int, *, mode: str = "RGB", kind: str = "PNG"
) -> None:
    """A noisy picture around a colour, no two alike."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 25, (40, 60, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path, kind)


def draw_classes(folder: Path, photos: int) -> Path:
    """One folder a class with `photos` pictures each."""
    for place, (label, colour) in enumerate(COLOURS.items()):
        for number in range(photos):
            draw_photo(folder / label / f"{number:02d}.png", colour, 100 * place + number)
    return folder


RECIPE = """
kind = "published"
name = "small"
version = "0.1.0"
title = "Three colours"
seed = 5
[source]
test = 0.2
validation = 0.2
folds = 2
[input]
width = 40
height = 32
[augment]
rotation_degrees = 10.0
shift = 0.1
zoom = 0.1
shear = 0.1
flip = true
[fit]
epochs = 2
batch = 8
optimizer = "adam"
learning_rate = 1e-3
early_stop = 2
reduce_after = 1
[[networks]]
name = "one"
backbone = "MobileNet"
dropout = 0.2
[export]
network = "one"
"""


def write_recipe(folder: Path, text: str = RECIPE) -> Path:
    """A recipe file."""
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


def small_recipe(folder: Path, text: str = RECIPE) -> PublishedRecipe:
    """A recipe as it is read."""
    return load_published(write_recipe(folder, text))
