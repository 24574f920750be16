"""Photos and labels of a user: class folders or a CSV, checked before anything learns from them.

A CSV has the columns `path` and `label`, and if it likes `group`, `site`, `split` and `category`
(IUCN's); or the taxonomy of the public "rare species" metadata: `file_path`, `kingdom`, `phylum`,
... `family`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

from training.config import PublishedRecipe, SourceRecipe
from training.leakage import digest_of
from trapsort.decode import decode, view
from trapsort.errors import InputError, PhotoError
from trapsort.redlist import red_list

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
SPECIES = ("scientific_name", "sciName", "species")
"""Columns of scientific names, by which the Red List is asked where there is no label."""

PATHS = ("path", "file", "file_path", "file_name")
PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp")
PARTS = ("train", "validation", "test")
LEAST = 3
"""Separate photos that each label needs: one to learn from, one to stop by, one to be tested on."""
_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "valid": "validation"}
_FULL = 100_000  # pixels; no side is longer, so nothing is made smaller


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a source and what is known of it; `part` is '' until the split."""

    path: Path
    label: str
    group: str
    part: str = ""
    taxa: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """What a photo is once decoded: the size and mode of the file, and three sha256.

    file: of its bytes; decoded: of its upright RGB pixels; shown: of the network's input.
    """

    file: str
    decoded: str
    shown: str
    width: int
    height: int
    mode: str


def read_source(data: Path, source: SourceRecipe) -> list[Photo]:
    """All photos with the label that the recipe's target gives them; raises `InputError`."""
    below = [data / name for name in source.folders]
    if data.is_dir() and any(folder.is_dir() for folder in below):
        photos = [photo for folder in below for photo in _read_folder(folder, source)]
    elif data.is_dir():
        photos = _read_folder(data, source)
    elif data.is_file():
        photos = _read_csv(data, source)
    else:
        raise InputError(f"{data} does not exist.", "Give --data a folder of classes, or a CSV.")
    if source.labels:
        photos = [photo for photo in photos if photo.label in source.labels]
    if not photos:
        wanted = f" of {', '.join(source.labels)}" if source.labels else ""
        raise InputError(
            f"{data} holds no photo with a label{wanted}.", "See docs/howto/recipes.md."
        )
    return _at_most(photos, source.most_photos)


def listing(photos: Sequence[Photo]) -> str:
    """Digest of what a source says, and of the sizes and times of its files."""
    lines = []
    for photo in photos:
        stat = photo.path.stat() if photo.path.exists() else None
        size = (stat.st_size, stat.st_mtime_ns) if stat else None
        lines.append(repr((str(photo.path), photo.label, photo.group, photo.part, size)))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _read_folder(folder: Path, source: SourceRecipe) -> list[Photo]:
    for name in ("manifest.csv", "metadata.csv"):
        if (folder / name).is_file():
            return _read_csv(folder / name, source)
    label_of = _labeller(source, folder)
    photos = []
    for path in sorted(folder.glob("*/*")):
        if path.is_file() and path.suffix.lower() in PICTURES:
            label = label_of({"label": path.parent.name})
            photos.append(Photo(path, label, str(path)))
    return [photo for photo in photos if photo.label]


def _read_csv(path: Path, source: SourceRecipe) -> list[Photo]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        columns, rows = list(reader.fieldnames or ()), list(reader)
    place = next((name for name in PATHS if name in columns), None)
    if place is None:
        raise missing_column(path, "path", columns, _NEEDED)
    wanted = [source.target]
    if source.target == "endangered":
        wanted = ["category", "label", *SPECIES]
    if not set(wanted) & set(columns):
        raise missing_column(path, wanted[0], columns, _NEEDED)
    label_of, ranks = _labeller(source, path), [rank for rank in RANKS if rank in columns]
    photos = []
    for row in rows:
        label = label_of(row)
        if label:
            file = path.parent / row[place]
            group = row.get("site") or row.get("group") or _sequence(row, file)
            taxa = tuple((rank, row[rank]) for rank in ranks if row[rank])
            photos.append(Photo(file, label, group, _part(row, path), taxa))
    return photos


def missing_column(path: Path, column: str, columns: Sequence[str], needed: str) -> InputError:
    """That a CSV has no such column, what it has, and what is needed."""
    return InputError(f"{path} has no column {column!r}; it has: {', '.join(columns)}.", needed)


_NEEDED = (
    "It needs path and label (or the ranks of a taxonomy), and may have group, site and split."
)


def _sequence(row: dict[str, str], file: Path) -> str:
    """Group of a photo without one: itself, or its run of 20 frames where a camera trap took it."""
    stem = Path(row.get("source_path") or file.name).stem
    digits = "".join(character for character in stem if character.isdigit())
    if row.get("camera_trap") == "1" and digits:
        return f"{row.get('label', '')}:{int(digits[-7:]) // 20}"
    return str(file)


def _part(row: dict[str, str], path: Path) -> str:
    text = (row.get("split") or "").strip().lower()
    if text in ("", "test"):
        return text
    if text not in _SPLITS:
        raise InputError(
            f"{path}: the split {text!r} is unknown.", "Write train, validation or test."
        )
    return _SPLITS[text]


def _labeller(source: SourceRecipe, where: Path) -> Callable[[dict[str, str]], str]:
    """What the recipe's target makes of a row, '' where the row is left out."""
    if source.target != "endangered":
        return lambda row: row.get(source.target, "").strip()
    known, given = red_list(source.red_list), source.category or {}

    def endangered(row: dict[str, str]) -> str:
        names = [row[name] for name in ("label", *SPECIES) if row.get(name)]
        meant = [label for name in names for label in (name, *known.labels(name))]
        found = [given.get(name) or known.category(name) for name in meant]
        category = row.get("category") or next(filter(None, found), None)
        if category is None:
            raise InputError(
                f"{where}: the IUCN category of {(names or [''])[0]!r} is unknown.",
                "Add it to [source.category] of the recipe, or a column `category` to the CSV.",
            )
        if category == "none":
            return ""
        return "endangered" if category in source.endangered else "not_endangered"

    return endangered


def _at_most(photos: list[Photo], most: int) -> list[Photo]:
    """The first `most` photos of each label, in an order that a digest of the path decides."""
    if not most:
        return photos
    order = sorted(photos, key=lambda p: hashlib.sha256(p.path.name.encode()).digest())
    seen: Counter[str] = Counter()
    kept = set()
    for photo in order:
        seen[photo.label] += 1
        if seen[photo.label] <= most:
            kept.add(photo.path)
    return [photo for photo in photos if photo.path in kept]


def decode_all(photos: Sequence[Photo], pixels: NDArray[np.uint8]) -> list[Picture]:
    """Decode every photo as serving does into `pixels` (n, height, width, 3).

    Shows a bar with the time left. Raises `InputError` naming the photos that cannot be read.
    """
    height, width = pixels.shape[1:3]
    broken: list[str] = []

    def load(index: int) -> Picture | None:
        try:
            content = photos[index].path.read_bytes()
            frame = decode(content, (width, height))
            decoded = digest_of(np.asarray(view(content, _FULL)))
            with Image.open(io.BytesIO(content)) as image:
                mode = image.mode
        except (OSError, PhotoError) as error:
            broken.append(f"{photos[index].path}: {error}")
            return None
        pixels[index] = shown = frame.model_input
        file = hashlib.sha256(content).hexdigest()
        return Picture(file, decoded, digest_of(shown), frame.width, frame.height, mode)

    with (
        ThreadPoolExecutor() as pool,
        click.progressbar(
            length=len(photos), label="decoding", show_pos=True, file=sys.stderr
        ) as bar,
    ):
        found = []
        for picture in pool.map(load, range(len(photos))):
            found.append(picture)
            bar.update(1)
    refuse_broken(broken, len(photos))
    return [picture for picture in found if picture is not None]


def refuse_broken(broken: Sequence[str], of: int) -> None:
    """Raise `InputError` with the first of the photos that cannot be read, where there are any."""
    if broken:
        shown = "\n".join(sorted(broken)[:5])
        more = f"\n... and {len(broken) - 5} more" if len(broken) > 5 else ""
        raise InputError(
            f"{len(broken)} of {of} photos cannot be read:\n{shown}{more}",
            "Mend them or leave them out.",
        )


def duplicates(photos: Sequence[Photo], pictures: Sequence[Picture]) -> dict[int, int | None]:
    """Photos to leave out: index -> the twin that is kept, or None where twins have two labels.

    Twins are the same file, the same decoded picture, or the same input of the network.
    """
    labels: dict[str, set[str]] = {}
    for photo, picture in zip(photos, pictures, strict=True):
        for digest in (picture.decoded, picture.shown):
            labels.setdefault(digest, set()).add(photo.label)
    first: dict[str, int] = {}
    left_out: dict[int, int | None] = {}
    for index, picture in enumerate(pictures):
        digests = (picture.file, picture.decoded, picture.shown)
        twin = next((first[digest] for digest in digests if digest in first), None)
        if any(len(labels[digest]) > 1 for digest in digests[1:]):
            left_out[index] = None
        elif twin is not None:
            left_out[index] = twin
        else:
            first |= dict.fromkeys(digests, index)
    return left_out


def check_enough(photos: Sequence[Photo], folds: int) -> None:
    """Refuse labels with too few separate photos; raises `InputError`."""
    count = Counter(photo.label for photo in photos)
    groups = Counter(label for label, _ in {(p.label, p.group) for p in photos})
    needed = max(LEAST, folds + 1)
    if len(count) < 2:
        raise InputError(f"There is only the class {next(iter(count))}.", "Give two or more.")
    for label, photos_of_label in sorted(count.items()):
        if photos_of_label < needed:
            raise InputError(
                f"Class {label} has only {photos_of_label} photos.",
                f"Give at least {needed}, or leave the class out.",
            )
        if groups[label] < needed:
            raise InputError(
                f"The {photos_of_label} photos of class {label} are only {groups[label]} separate "
                "groups or sites.",
                f"Give at least {needed}, or leave the class out.",
            )


def split(
    photos: Sequence[Photo], recipe: PublishedRecipe
) -> tuple[list[Photo], NDArray[np.int64]]:
    """Photos with their part, and the fold of each (-1 for test photos, or without folds).

    Whole groups, stratified by label; a source's own `split` is kept. Raises `InputError` where a
    group is on two sides of it.
    """
    given = [photo.part for photo in photos]
    if any(given):
        divided = [replace(photo, part=photo.part or "train") for photo in photos]
        check_groups(divided)
    else:
        divided = list(photos)
        _take(divided, "test", recipe.source.test, recipe.seed)
    if not any(photo.part == "validation" for photo in divided):
        left = 1 - (0 if any(given) else recipe.source.test)
        _take(divided, "validation", recipe.source.validation / left, recipe.seed + 1)
    divided = [replace(photo, part=photo.part or "train") for photo in divided]
    check_groups(divided)
    _check_parts(divided)
    fold = np.full(len(divided), -1, np.int64)
    learned = [i for i, photo in enumerate(divided) if photo.part != "test"]
    if recipe.source.folds:
        fold[learned] = _deal([divided[i] for i in learned], recipe.source.folds, recipe.seed + 2)
    return divided, fold


def _take(photos: list[Photo], part: str, share: float, seed: int) -> None:
    """Give `part` to about `share` of the photos that have none yet, in place."""
    free = [i for i, photo in enumerate(photos) if photo.part in ("", "train")]
    if not share:
        return
    chosen = [photos[i] for i in free]
    groups = Counter(label for label, _ in {(p.label, p.group) for p in chosen})
    most = max(2, min(20, len({photo.group for photo in chosen}), *groups.values()))
    # as many parts as make the share come out best: an eighth is 2 of 16, not 2 of 20
    parts = min(range(most, 1, -1), key=lambda n: abs(max(1, round(share * n)) / n - share))
    dealt = _deal(chosen, parts, seed)
    taken = max(1, round(share * parts))
    for place, index in enumerate(free):
        if dealt[place] < taken:
            photos[index] = replace(photos[index], part=part)


def _deal(photos: Sequence[Photo], parts: int, seed: int) -> NDArray[np.int64]:
    label, group = [photo.label for photo in photos], [photo.group for photo in photos]
    dealt = np.empty(len(photos), np.int64)
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a label with fewer groups than parts is in some of them
        warnings.simplefilter("ignore", UserWarning)
        for part, (_, members) in enumerate(splitter.split(label, label, group)):
            dealt[members] = part
    return dealt


def check_groups(photos: Sequence[Photo]) -> None:
    """Refuse a split that tears a group or site apart; raises `InputError`."""
    part_of: dict[str, str] = {}
    for photo in photos:
        if part_of.setdefault(photo.group, photo.part) != photo.part:
            raise InputError(
                f"The group or site {photo.group!r} is on two sides of the split: "
                f"{part_of[photo.group]} and {photo.part}.",
                "Put all photos of a group or site on one side.",
            )


def _check_parts(photos: Sequence[Photo]) -> None:
    labels = {photo.label for photo in photos}
    for part in PARTS:
        without = labels - {photo.label for photo in photos if photo.part == part}
        if without and part != "validation":  # stopping by the others does
            raise InputError(
                f"Class {min(without)} has no photo in the part {part}.",
                "Give more separate photos of it, or leave the class out.",
            )


def joined_groups(photos: Sequence[Photo], left_out: dict[int, int | None]) -> list[Photo]:
    """Photos with those groups joined that hold the same picture.

    Without that, the frames of a copied burst could stand on both sides of the split.
    """
    parent: dict[str, str] = {}

    def root(group: str) -> str:
        while parent.setdefault(group, group) != group:
            group = parent[group]
        return group

    for index, twin in left_out.items():
        if twin is not None:
            parent[root(photos[index].group)] = root(photos[twin].group)
    return [replace(photo, group=root(photo.group)) for photo in photos]


def taxonomy(photos: Sequence[Photo]) -> dict[str, dict[str, str]]:
    """Ranks of each label, above the label itself; raises `InputError` where two photos differ."""
    found: dict[str, dict[str, str]] = {}
    for photo in photos:
        ranks = dict(photo.taxa)
        known = found.setdefault(photo.label, ranks)
        shared = {rank for rank in known if ranks.get(rank) == known[rank]}
        found[photo.label] = {rank: known[rank] for rank in RANKS if rank in shared}
        if known.get("phylum") and ranks.get("phylum") != known["phylum"]:
            raise InputError(
                f"{photo.label} is in two phyla: {known['phylum']} and {ranks.get('phylum')}.",
                "Mend the CSV.",
            )
    return found
