"""Augmented views of the training photos, drawn once and learned from by every member.

Drawing them once makes a run repeatable to the byte, costs no time in the epochs, and lets the
frozen part of a network be computed once for each view.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance

from training.recipe import FitRecipe
from trapsort.decode import SIDE


def augment(
    pixels: NDArray[np.uint8], recipe: FitRecipe, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One random view of a photo, uint8 (224, 224, 3): flip, turn, shift, zoom, light, strip.

    What the move uncovers is filled with the photo's own mirror image.
    """
    angle = math.radians(rng.uniform(-recipe.rotation_degrees, recipe.rotation_degrees))
    scale = rng.uniform(1 - recipe.zoom, 1 + recipe.zoom)
    flip = -1.0 if rng.random() < 0.5 else 1.0
    dx, dy = rng.uniform(-recipe.shift, recipe.shift, 2) * SIDE
    margin = SIDE // 2
    padded = Image.fromarray(
        np.pad(pixels, ((margin, margin), (margin, margin), (0, 0)), "reflect")
    )
    cos, sin, centre = math.cos(angle) * scale, math.sin(angle) * scale, SIDE / 2
    # output (x, y) -> source: turn and scale about the centre, then shift into the padded picture
    matrix = (
        flip * cos, sin, margin + centre + dx - centre * (flip * cos + sin),
        -flip * sin, cos, margin + centre + dy - centre * (cos - flip * sin),
    )  # fmt: skip
    view = padded.transform((SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    view = ImageEnhance.Brightness(view).enhance(rng.uniform(0.75, 1.25))
    view = ImageEnhance.Contrast(view).enhance(rng.uniform(0.75, 1.25))
    if rng.random() < recipe.grey_probability:
        view = view.convert("L").convert("RGB")
    if rng.random() < recipe.strip_probability:
        _print_strips(view, rng)
    return np.asarray(view)


def _print_strips(view: Image.Image, rng: np.random.Generator) -> None:
    """Print an information strip as camera traps do, at the bottom, the top or both.

    Web photographs have none and trap photographs do: without this a network learns that a strip
    means "not one of the species".
    """
    draw = ImageDraw.Draw(view)
    for top in ([False], [True], [False, True])[rng.integers(3)]:
        height = int(rng.integers(7, 18))
        y = 0 if top else SIDE - height
        paper = int(rng.choice([0, 0, 0, 255, 40]))
        ink = (235, 235, 235) if paper < 128 else (20, 20, 20)
        draw.rectangle((0, y, SIDE, y + height), fill=(paper, paper, paper))
        x = int(rng.integers(2, 60))
        while x < SIDE - 40:
            word = "".join(str(digit) for digit in rng.integers(0, 10, rng.integers(2, 7)))
            draw.text((x, y + height / 2), word, fill=ink, anchor="lm", font_size=height * 0.7)
            x += int(rng.integers(35, 90))


def draw_views(
    pixels: NDArray[np.uint8], indices: NDArray[np.int64], recipe: FitRecipe, path: Path, seed: int
) -> NDArray[np.uint8]:
    """Views of the photos `indices`: uint8 (views, n, 224, 224, 3), memory-mapped at `path`."""
    shape = (recipe.views, len(indices), SIDE, SIDE, 3)
    if not path.exists():
        partial = path.with_suffix(".partial")
        views = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape)

        def draw(place: int) -> None:
            for view in range(recipe.views):
                rng = np.random.default_rng((seed, view, int(indices[place])))
                views[view, place] = augment(pixels[indices[place]], recipe, rng)

        with ThreadPoolExecutor() as pool:
            list(pool.map(draw, range(len(indices))))
        views.flush()
        partial.rename(path)
    stored: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    if stored.shape != shape:
        raise ValueError(f"{path} holds {stored.shape}, the recipe wants {shape}: delete it")
    return stored
