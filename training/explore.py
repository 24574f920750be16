"""What the photos are like before anything learns from them; test photos are left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import seaborn as sns
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from numpy.typing import NDArray

from training.data import Dataset
from training.prepared import PhotoSet
from trapsort.errors import InputError

_SLICES = 15  # classes that a pie can show; the rest are one slice


@dataclass(frozen=True, slots=True)
class Explored:
    """The photos that figures are drawn of.

    label: name, for each of n photos; width, height: pixels of the upright files; mode: of the
    files, as Pillow names it; pixels: uint8 (all photos, height, width, 3), the networks' input;
    index (n,): which of those these photos are.
    """

    label: tuple[str, ...]
    width: tuple[int, ...]
    height: tuple[int, ...]
    mode: tuple[str, ...]
    pixels: NDArray[np.uint8]
    index: NDArray[np.int64]


def of_photos(photos: PhotoSet) -> Explored:
    """Whatever may be looked at of a published system's photos, its outliers among them.

    Raises `LeakageError` where that is a test photo.
    """
    index = photos.learning(photos.of("train", "validation", "outlier"), "explore")
    pictures = [photos.pictures[i] for i in index]
    return Explored(
        tuple(photos.labels[k] for k in photos.label[index]),
        tuple(picture.width for picture in pictures),
        tuple(picture.height for picture in pictures),
        tuple(picture.mode for picture in pictures),
        photos.pixels,
        index,
    )


def of_dataset(dataset: Dataset) -> Explored:
    """The development photos of a bundle with rejection classes.

    Raises `LeakageError` where one is a test photo, `InputError` where `prepare` noted no sizes.
    """
    index = dataset.learning(dataset.development, "explore")
    if not dataset.sizes:
        raise InputError(
            "An older version prepared these photos, and noted no sizes of theirs.",
            "Name another folder with --out, and run the step prepare.",
        )
    sizes = [dataset.sizes[i] for i in index]
    return Explored(
        tuple(dataset.labels[k] for k in dataset.label[index]),
        tuple(size.width for size in sizes),
        tuple(size.height for size in sizes),
        tuple(size.mode for size in sizes),
        dataset.pixels,
        index,
    )


def draw_all(photos: Explored, folder: Path) -> dict[str, Any]:
    """Draw every figure into `folder`; the numbers behind them, also in `explore.json` there."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = Counter(photos.label)
    table: dict[str, list[Any]] = {
        "label": list(photos.label),
        "width": list(photos.width),
        "height": list(photos.height),
        "mode": list(photos.mode),
    }
    draw_classes(counts, folder / "classes.png")
    draw_pie(counts, folder / "classes-pie.png")
    draw_sizes(table, folder / "sizes.png")
    draw_resolution(table, photos.pixels.shape[2:0:-1], folder / "resolution.png")
    draw_samples(photos, folder / "samples.png")
    said = {
        "photos": len(photos.index),
        "classes": dict(counts.most_common()),
        "modes": dict(Counter(table["mode"]).most_common()),
        **{
            side: {
                "least": int(min(table[side])),
                "median": float(np.median(table[side])),
                "most": int(max(table[side])),
            }
            for side in ("width", "height")
        },
    }
    (folder / "explore.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
    return said


def draw_classes(counts: Counter[str], path: Path) -> None:
    """A bar for each class, most photos first."""
    names, values = zip(*counts.most_common(), strict=True)
    figure = Figure(figsize=(7, max(3.0, 0.22 * len(names) + 1)), layout="constrained")
    axes = figure.subplots()
    sns.barplot(x=list(values), y=list(names), orient="h", color="steelblue", ax=axes)
    axes.bar_label(cast(BarContainer, axes.containers[0]), fontsize=7)
    axes.set(xlabel="photos", ylabel="", title=f"{sum(values)} photos of {len(names)} classes")
    figure.savefig(path, dpi=100)


def draw_pie(counts: Counter[str], path: Path) -> None:
    """Shares of the classes."""
    shown = counts.most_common(_SLICES)
    rest = sum(counts.values()) - sum(number for _, number in shown)
    if rest:
        shown.append((f"{len(counts) - _SLICES} others", rest))
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    names, values = zip(*shown, strict=True)
    axes.pie(
        values,
        labels=list(names),
        colors=sns.color_palette("husl", len(values)),
        autopct="%1.1f %%",
        textprops={"fontsize": 7},
    )
    axes.set_title("Shares of the classes")
    figure.savefig(path, dpi=100)


def draw_sizes(table: dict[str, list[Any]], path: Path) -> None:
    """Histograms of width and height, and how many photos have which mode."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    wide, high, modes = figure.subplots(1, 3)
    sns.histplot(x=table["width"], bins=30, ax=wide)
    wide.set(xlabel="width, pixels", ylabel="photos")
    sns.histplot(x=table["height"], bins=30, ax=high)
    high.set(xlabel="height, pixels", ylabel="photos")
    counts = Counter(table["mode"]).most_common()
    modes.bar_label(modes.bar([name for name, _ in counts], [n for _, n in counts]), fontsize=7)
    modes.set(xlabel="mode of the file", ylabel="photos")
    figure.savefig(path, dpi=100)


def draw_resolution(table: dict[str, list[Any]], after: Sequence[int], path: Path) -> None:
    """Box plots of width and height by class, before and after the resize."""
    labels = list(dict.fromkeys(table["label"]))
    figure = Figure(figsize=(11, max(3.4, 0.25 * len(labels) + 1.5)), layout="constrained")
    before, behind = figure.subplots(1, 2, sharey=True)
    count = len(table["label"])
    for axes, title, sides in (
        (before, "before", (table["width"], table["height"])),
        (behind, "after", ([after[0]] * count, [after[1]] * count)),
    ):
        long = {
            "class": table["label"] * 2,
            "pixels": [*sides[0], *sides[1]],
            "side": ["width"] * count + ["height"] * count,
        }
        sns.boxplot(
            long, x="pixels", y="class", hue="side", orient="h", ax=axes, fliersize=2, order=labels
        )
        axes.set(title=f"resolution {title} the resize", ylabel="")
    before.set_xlim(left=0)
    behind.set_xlim(0, 1.2 * max(after))
    before.get_legend().remove()
    figure.savefig(path, dpi=100)


def draw_samples(photos: Explored, path: Path, *, most: int = 24) -> None:
    """The first photo of each class, then the second, until the grid is full."""
    rank: Counter[str] = Counter()
    order = []
    for label, place in zip(photos.label, photos.index, strict=True):
        order.append((rank[label], label, int(place)))
        rank[label] += 1
    shown = [(label, place) for _, label, place in sorted(order)][:most]
    rows = -(-len(shown) // 6)
    figure = Figure(figsize=(12, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, 6, squeeze=False)
    for place, each in enumerate(axes.flat):
        each.set_axis_off()
        if place < len(shown):
            label, photo = shown[place]
            each.imshow(photos.pixels[photo])
            each.set_title(label, fontsize=8)
    figure.savefig(path, dpi=100)
