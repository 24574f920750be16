"""The prepared photos: what every later step reads, with the test part under guard."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from training.config import PublishedRecipe
from training.division import check_enough, joined_groups, split
from training.leakage import check_unused, read_digests, write_digests
from training.pictures import Picture, decode_all, duplicates
from training.sources import Photo, read_source, taxonomy
from trapsort.errors import InputError

OUTLIER = "outlier"

Filter = Callable[["PhotoSet"], dict[int, str]]
"""Says which of the training photos are left out, index -> reason."""


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """All photos of a run, in one order.

    label: int (n,), index into `labels`; part: (n,), one of `division.PARTS` or `OUTLIER`; fold:
    int (n,), -1 for photos in none; pixels: uint8 (n, height, width, 3), memory-mapped; taxa:
    label -> rank -> name; test_digests: sha256 of the network's inputs of the test photos.
    """

    labels: tuple[str, ...]
    paths: tuple[str, ...]
    group: tuple[str, ...]
    label: NDArray[np.int64]
    part: NDArray[np.str_]
    fold: NDArray[np.int64]
    pictures: tuple[Picture, ...]
    pixels: NDArray[np.uint8]
    taxa: dict[str, dict[str, str]]
    test_digests: frozenset[str]

    def of(self, *parts: str) -> NDArray[np.int64]:
        """Indices of the photos of these parts."""
        return np.flatnonzero(np.isin(self.part, parts))

    @property
    def development(self) -> NDArray[np.int64]:
        """Indices of what may be learned from: the parts train and validation."""
        return self.of("train", "validation")

    def learning(self, index: NDArray[np.int64], step: str) -> NDArray[np.int64]:
        """`index` as it is, once none of its photos is a test photo by the digest of its pixels.

        Raises `LeakageError`.
        """
        return check_unused(self.pixels, index, self.test_digests, names=self.paths, step=step)


def prepare(
    recipe: PublishedRecipe, data: Path, folder: Path, filters: Sequence[tuple[str, Filter]]
) -> None:
    """Read, decode, check and divide all photos, and write them to `folder`.

    Everything that is wrong with a source is said here, before anything learns. The filters leave
    photos out of the training part only. Raises `InputError`.
    """
    photos = read_source(data, recipe.source)
    check_enough(photos, recipe.source.folds)
    shape = (len(photos), recipe.input.height, recipe.input.width, 3)
    pixels = np.lib.format.open_memmap(
        folder / "pixels.npy", mode="w+", dtype=np.uint8, shape=shape
    )
    pictures = decode_all(photos, pixels)
    twins = duplicates(photos, pictures)
    kept = [index for index in range(len(photos)) if index not in twins]
    for place, index in enumerate(kept):  # the rows behind the last one kept are never read
        pixels[place] = pixels[index]
    pixels.flush()
    joined = joined_groups(photos, twins)
    chosen = [joined[index] for index in kept]
    check_enough(chosen, recipe.source.folds)
    divided, fold = split(chosen, recipe)
    _write_twins(photos, twins, folder / "duplicates.csv")
    digests = [
        pictures[i].shown for i, photo in zip(kept, divided, strict=True) if photo.part == "test"
    ]
    write_digests(folder, digests)
    labels = sorted({photo.label for photo in divided})
    if recipe.binary:
        labels = ["not_endangered", "endangered"]
    (folder / "labels.json").write_text(
        json.dumps({"labels": labels, "taxa": taxonomy(divided)}, indent=1), encoding="utf-8"
    )
    _write_photos(divided, fold, [pictures[i] for i in kept], folder)
    _filter(folder, filters)
    _say(load_photos(folder), len(twins))


def _write_twins(photos: Sequence[Photo], twins: dict[int, int | None], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "same_as"])
        for index, twin in twins.items():
            same = "" if twin is None else photos[twin].path
            writer.writerow([photos[index].path, photos[index].label, same])


COLUMNS = ("path", "label", "group", "part", "fold", "reason")
PICTURE = ("file", "decoded", "shown", "width", "height", "mode")


def _write_photos(
    photos: Sequence[Photo],
    fold: NDArray[np.int64],
    pictures: Sequence[Picture],
    folder: Path,
) -> None:
    table = [
        [photo.path, photo.label, photo.group, photo.part, int(number), ""]
        + [getattr(picture, name) for name in PICTURE]
        for photo, number, picture in zip(photos, fold, pictures, strict=True)
    ]
    _write_rows(folder, table)


def _write_rows(folder: Path, table: Sequence[Sequence[object]]) -> None:
    with (folder / "photos.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*COLUMNS, *PICTURE])
        writer.writerows(table)


def _filter(folder: Path, filters: Sequence[tuple[str, Filter]]) -> None:
    """Let each filter look at the training photos that the ones before it have left."""
    for name, unwanted in filters:
        photos = load_photos(folder)
        left_out = unwanted(photos)
        for part in photos.of("test", OUTLIER):
            left_out.pop(int(part), None)
        click.echo(f"{name}: {len(left_out)} training photos left out", err=True)
        with (folder / "photos.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        for index, reason in left_out.items():
            rows[index] |= {"part": OUTLIER, "fold": "-1", "reason": reason}
        _write_rows(folder, [list(row.values()) for row in rows])
        _check_left(load_photos(folder), name)


def _check_left(photos: PhotoSet, name: str) -> None:
    left = Counter(photos.label[photos.of("train")].tolist())
    for index, label in enumerate(photos.labels):
        if not left[index]:
            raise InputError(
                f"The filter {name} leaves no training photo of {label}.",
                "Make it milder in [outliers], or leave the class out.",
            )


def _say(photos: PhotoSet, twins: int) -> None:
    parts = Counter(photos.part.tolist())
    counts = ", ".join(f"{parts[part]} {part}" for part in sorted(parts))
    click.echo(f"{len(photos.paths)} photos of {len(photos.labels)} classes: {counts}", err=True)
    if twins:
        click.echo(f"{twins} duplicates left out; see duplicates.csv", err=True)


def load_photos(folder: Path) -> PhotoSet:
    """What `prepare` wrote; raises `InputError` where it has not run."""
    try:
        with (folder / "photos.csv").open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        known = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
        pixels: NDArray[np.uint8] = np.load(folder / "pixels.npy", mmap_mode="r")
        digests = read_digests(folder)
    except OSError as error:
        raise InputError(f"No prepared data: {error}", "Run the step prepare first.") from error
    labels = tuple(known["labels"])
    return PhotoSet(
        labels=labels,
        paths=tuple(row["path"] for row in rows),
        group=tuple(row["group"] for row in rows),
        label=np.array([labels.index(row["label"]) for row in rows]),
        part=np.array([row["part"] for row in rows]),
        fold=np.array([int(row["fold"]) for row in rows]),
        pictures=tuple(_picture(row) for row in rows),
        pixels=pixels[: len(rows)],
        taxa=known["taxa"],
        test_digests=digests,
    )


def _picture(row: dict[str, str]) -> Picture:
    size = int(row["width"]), int(row["height"])
    return Picture(row["file"], row["decoded"], row["shown"], *size, row["mode"])
