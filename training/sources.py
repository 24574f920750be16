"""Photos and labels of a user, as class folders or a CSV say them.

A CSV has the columns `path` and `label`, and if it likes `group`, `site`, `split` and `category`
(IUCN's); or the taxonomy of the public "rare species" metadata: `file_path`, `kingdom`, `phylum`,
... `family`.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.config import SourceRecipe
from trapsort.errors import InputError
from trapsort.redlist import red_list

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
SPECIES = ("scientific_name", "sciName", "species")
"""Columns of scientific names, by which the Red List is asked where there is no label."""

PATHS = ("path", "file", "file_path", "file_name")
PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".bmp")
_SPLITS = {"train": "train", "val": "validation", "validation": "validation", "valid": "validation"}


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo of a source and what is known of it; `part` is '' until the split."""

    path: Path
    label: str
    group: str
    part: str = ""
    taxa: tuple[tuple[str, str], ...] = ()


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
