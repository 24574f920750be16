"""A small labelled set and a small recipe, drawn for tests."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"Lion": (200, 160, 60), "Panda": (230, 230, 230), "Rhino": (110, 110, 120)}
OTHERS = {"blank": (40, 90, 40), "bear": (90, 60, 30), "goat": (150, 140, 130), "elk": (60, 50, 40)}

RECIPE = """
name = "small"
version = "0.1.0"
title = "Three colours"
seed = 5
data = "species"
negatives = "others"
left_out = "MobileNetV2"
[split]
test_fraction = 0.15
folds = 2
held_out_negatives = ["goat"]
[fit]
batch = 32
views = 1
label_smoothing = 0.1
dropout = 0.2
class_weight_range = [0.5, 3.0]
noise_below = 0.001
noise_above = 0.999
rotation_degrees = 20.0
shift = 0.1
zoom = 0.2
grey_probability = 0.2
strip_probability = 0.3
[witness]
weights = "mobilenetv2_imagenet.npz"
quantile = 0.9
[witness.own]
Lion = [291]
Panda = [388]
[decision]
target_accuracy = 0.9
target_coverage = 0.5
target_false_species = 0.2
novelty_dimensions = 4
"""

MEMBER = """
[[members]]
name = "{name}"
backbone = "{backbone}"
weights = "none"
epochs = 1
learning_rate = 1e-4
pretrain_epochs = 1

[[members.teachers]]
backbone = "MobileNetV2"
weights = "mobilenetv2_imagenet.npz"
"""


def write_recipe(folder: Path, backbones: dict[str, str]) -> Path:
    """A recipe with these members (name -> backbone)."""
    path = folder / "small.toml"
    members = "".join(MEMBER.format(name=n, backbone=b) for n, b in backbones.items())
    path.write_text(RECIPE.replace("[witness]", members + "[witness]"), encoding="utf-8")
    return path


def draw_data(folder: Path, photos: int) -> Path:
    """Class folders with `photos` noisy coloured pictures each; every third has a near twin."""
    rng = np.random.default_rng(0)
    for part, colours in (("species", COLOURS), ("others", OTHERS)):
        rows = []
        for label, colour in colours.items():
            (folder / part / label).mkdir(parents=True)
            for number in range(photos):
                noise = rng.normal(0, 25, (60, 80, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                name = f"{label}/{number:03d}.png"
                Image.fromarray(pixels).save(folder / part / name)
                group = f"{label}-{number - number % 3 if number % 3 < 2 else number}"
                rows.append({"file": name, "label": label, "group": group, "camera_trap": "0"})
        with (folder / part / "manifest.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder
