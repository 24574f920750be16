"""Photos and labels as arrays, split once: what every later step reads and none may change."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from training.config import SourceRecipe
from training.division import check_groups
from training.leakage import check_unused, digest_of, read_digests, write_digests
from training.pictures import mode_of, refuse_broken
from training.recipe import Recipe
from training.sources import missing_column, read_source
from trapsort.decode import SIDE, decode
from trapsort.errors import InputError, PhotoError

REJECTIONS = ("blank", "other_animal", "vehicle")
TEST, HELD_OUT = -1, -2
"""Values of `Dataset.fold` for photos that no step before `evaluate` may use."""


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels of a photo's upright file, and its mode as Pillow names it."""

    width: int
    height: int
    mode: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """All photos of a recipe, in one order.

    pixels: uint8 (n, 224, 224, 3), memory-mapped; label: int (n,), index into `labels`;
    fold: int (n,), the cross-validation fold, or `TEST`, or `HELD_OUT` (negatives kept for the
    model card); folder: the folder's own name, finer than the label for negatives; test_digests:
    sha256 of the pixels of the test photos; sizes: of the files, none where an older version
    prepared them.
    """

    labels: tuple[str, ...]
    files: tuple[str, ...]
    folder: tuple[str, ...]
    label: NDArray[np.int64]
    fold: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    test_digests: frozenset[str]
    sizes: tuple[Size, ...] = ()

    @property
    def species(self) -> tuple[str, ...]:
        """Labels that name an animal the bundle reports."""
        return tuple(name for name in self.labels if name not in REJECTIONS)

    @property
    def development(self) -> NDArray[np.int64]:
        """Indices that may be used for fitting, stacking, calibration and thresholds."""
        return np.flatnonzero(self.fold >= 0)

    @property
    def test(self) -> NDArray[np.int64]:
        """Indices of the untouched test photos (species only)."""
        return np.flatnonzero(self.fold == TEST)

    @property
    def held_out(self) -> NDArray[np.int64]:
        """Indices of negatives that no fold ensemble has seen."""
        return np.flatnonzero(self.fold == HELD_OUT)

    def learning(self, index: NDArray[np.int64], step: str) -> NDArray[np.int64]:
        """`index` as it is, once no test photo is among it; raises `LeakageError`."""
        digests = self.test_digests
        return check_unused(self.pixels, index, digests, names=self.files, step=step)


@dataclass(frozen=True, slots=True)
class _Row:
    file: Path
    label: str
    group: str
    folder: str
    part: str = ""


def _read_manifest(folder: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise InputError(
            f"{manifest} does not exist.", "Give --data the folder that holds the photos."
        )
    with manifest.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        rows, found = list(reader), reader.fieldnames or ()
    for column in columns:
        if column not in found:
            raise missing_column(manifest, column, found, f"It needs {', '.join(columns)}.")
    return rows


def _sequence(row: dict[str, str]) -> str:
    """Group of a negative: consecutive camera-trap frames (blocks of 20 numbers) stay together."""
    stem = Path(row.get("source_path", row["file"])).stem
    digits = "".join(character for character in stem if character.isdigit())
    trap = row["camera_trap"] == "1" and digits
    return f"{row['label']}:{int(digits[-7:]) // 20 if trap else stem}"


def read_rows(recipe: Recipe, data: Path) -> list[_Row]:
    """All photos that the recipe names, species first, in the order of the manifests.

    Where `data` has no such folder it is a user's own: class folders, or a CSV, as in
    `training.sources`; its labels blank, other_animal and vehicle are negatives.
    """
    if not (data / recipe.data).is_dir():
        return _own_rows(data)
    rows = [
        _Row(data / recipe.data / row["file"], row["label"], row["group"], row["label"])
        for row in _read_manifest(data / recipe.data, ("file", "label", "group"))
    ]
    columns = ("file", "label", "camera_trap")
    for row in _read_manifest(data / recipe.negatives, columns) if recipe.negatives else []:
        label = row["label"] if row["label"] in REJECTIONS else "other_animal"
        path = data / recipe.negatives / row["file"]
        rows.append(_Row(path, label, _sequence(row), row["label"]))
    return rows


def _own_rows(data: Path) -> list[_Row]:
    photos = read_source(data, SourceRecipe(test=0, validation=0))
    if any(photo.part for photo in photos):
        photos = [replace(photo, part=photo.part or "train") for photo in photos]
        check_groups(photos)
    if not {photo.label for photo in photos} & set(REJECTIONS):
        raise InputError(
            f"{data} shows nothing but species.",
            f"Give photos of anything else too, labelled {', '.join(REJECTIONS)}.",
        )
    photos.sort(key=lambda photo: photo.label in REJECTIONS)  # stable: species first
    return [_Row(p.path, p.label, p.group, p.label, p.part) for p in photos]


def split(rows: list[_Row], recipe: Recipe) -> NDArray[np.int64]:
    """Fold of each row; whole groups, stratified by label.

    Species: `test_fraction` of the groups is `TEST`, or what the rows' own `part` says is `test`;
    the rest is dealt into folds. Negatives: the named folders and the later half of every other
    folder are `HELD_OUT`; the rest is dealt into folds by whole folder (one species is never on
    both sides of a fold), blanks and vehicles by sequence.
    """
    fold = np.full(len(rows), HELD_OUT, np.int64)
    label = np.array([row.label for row in rows])
    group = np.array([row.group for row in rows])
    species = np.flatnonzero(~np.isin(label, REJECTIONS))
    _, photos = np.unique(label[species], return_counts=True)
    parts = min(20, int(photos.min()))
    dealt = _deal(label[species], group[species], parts, recipe.seed)
    test = dealt < round(recipe.split.test_fraction * parts)
    if any(row.part for row in rows):
        test = np.array([rows[i].part == "test" for i in species])
        without = set(label[species]) - set(label[species[test]])
        if without:
            raise InputError(
                f"Class {min(without)} has no photo in the part test.",
                "Give some, or leave the column split out.",
            )
    fold[species[test]] = TEST
    kept = species[~test]
    fold[kept] = _deal(label[kept], group[kept], recipe.split.folds, recipe.seed + 1)
    other = 0
    for name in dict.fromkeys(row.folder for row in rows if row.label in REJECTIONS):
        if name in recipe.split.held_out_negatives:
            continue
        members = np.array([i for i, row in enumerate(rows) if row.folder == name])
        sequences = list(dict.fromkeys(sorted(group[members])))
        early = set(sequences[: (len(sequences) + 1) // 2])
        used = [i for i in members if group[i] in early]
        if name in REJECTIONS:
            place = {sequence: k % recipe.split.folds for k, sequence in enumerate(sequences)}
            fold[used] = [place[group[i]] for i in used]
        else:
            fold[used] = other % recipe.split.folds
            other += 1
    return fold


def _deal(
    label: NDArray[np.str_], group: NDArray[np.str_], parts: int, seed: int
) -> NDArray[np.int64]:
    dealt = np.empty(len(label), np.int64)
    splitter = StratifiedGroupKFold(parts, shuffle=True, random_state=seed)
    for part, (_, members) in enumerate(splitter.split(label, label, group)):
        dealt[members] = part
    return dealt


def check_unchanged(recipe: Recipe, out: Path) -> None:
    """Refuse to go on with what another recipe made; the first call remembers the recipe.

    Only what decides about fitted files counts. Raises `InputError`.
    """
    parts = asdict(recipe)
    kept = {name: parts[name] for name in ("seed", "data", "negatives", "split", "fit")}
    kept |= {"members": parts["members"], "witness": parts["witness"]}
    now = json.dumps(kept, indent=1, sort_keys=True)
    path = out / "recipe.json"
    if not path.exists():
        path.write_text(now, encoding="utf-8")
    elif path.read_text(encoding="utf-8") != now:
        raise InputError(
            f"The recipe is not the one that the files in {out} were made with.",
            "Name another folder with --out, or delete that one.",
        )


def prepare(recipe: Recipe, data: Path, out: Path) -> None:
    """Decode every photo exactly as serving does and write arrays and the split below `out`.

    Raises `InputError` for a photo that cannot be decoded or a label with too few photos.
    """
    rows = read_rows(recipe, data)
    _check_enough(rows, recipe)
    fold = split(rows, recipe)
    labels = _label_order(rows)
    out.mkdir(parents=True, exist_ok=True)
    pixels = np.lib.format.open_memmap(
        out / "pixels.npy", mode="w+", dtype=np.uint8, shape=(len(rows), SIDE, SIDE, 3)
    )

    broken: list[str] = []

    def load(index: int) -> dict[str, str | int]:
        try:
            content = rows[index].file.read_bytes()
            frame = decode(content)
            mode = mode_of(content, frame)
        except (OSError, PhotoError) as error:
            broken.append(f"{rows[index].file}: {error}")
            return {}
        pixels[index] = frame.pixels
        digest = hashlib.sha256(content).hexdigest()
        return {"sha256": digest, "width": frame.width, "height": frame.height, "mode": mode}

    with (
        ThreadPoolExecutor() as pool,
        click.progressbar(
            pool.map(load, range(len(rows))), length=len(rows), label="decoding", file=sys.stderr
        ) as bar,
    ):
        seen = list(bar)
    refuse_broken(broken, len(rows))
    pixels.flush()
    write_digests(out, {digest_of(pixels[i]) for i in np.flatnonzero(fold == TEST)})
    table = [
        {
            "file": _name(row.file, data),
            "label": row.label,
            "folder": row.folder,
            "group": row.group,
            "fold": int(fold[i]),
            **seen[i],
        }
        for i, row in enumerate(rows)
    ]
    manifest = {"recipe": recipe.name, "seed": recipe.seed, "labels": labels, "photos": table}
    (out / "dataset.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _name(file: Path, data: Path) -> str:
    """A photo's path below `data`, else in full; `data / name` is the photo either way."""
    return str(file.relative_to(data)) if file.is_relative_to(data) else str(file.resolve())


def _label_order(rows: list[_Row]) -> list[str]:
    found = {row.label for row in rows}
    return sorted(found - set(REJECTIONS)) + [name for name in REJECTIONS if name in found]


def _check_enough(rows: list[_Row], recipe: Recipe) -> None:
    for name in _label_order(rows):
        groups = {row.group for row in rows if row.label == name}
        if len(groups) < recipe.split.folds + 2:
            raise InputError(
                f"Class {name} has only {len(groups)} separate photos.",
                f"Give at least {recipe.split.folds + 2}, or leave the class out.",
            )


def load_dataset(out: Path) -> Dataset:
    """What `prepare` wrote; raises `InputError` where it has not run."""
    try:
        manifest = json.loads((out / "dataset.json").read_text(encoding="utf-8"))
        pixels = np.load(out / "pixels.npy", mmap_mode="r")
        test_digests = read_digests(out)
    except OSError as error:
        raise InputError(f"No prepared data: {error}", "Run the step prepare first.") from error
    photos, labels = manifest["photos"], tuple(manifest["labels"])
    return Dataset(
        labels=labels,
        files=tuple(photo["file"] for photo in photos),
        folder=tuple(photo["folder"] for photo in photos),
        label=np.array([labels.index(photo["label"]) for photo in photos]),
        fold=np.array([photo["fold"] for photo in photos]),
        pixels=pixels,
        test_digests=test_digests,
        sizes=tuple(
            Size(photo["width"], photo["height"], photo["mode"])
            for photo in photos
            if "width" in photo
        ),
    )
