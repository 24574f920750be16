"""`python -m training.small_data OUT --photos DIR`: a few photos for each recipe's demonstration.

From the folders `species11` and `negatives` below DIR; where they are absent, pictures are drawn.
"""

from __future__ import annotations

import csv
import shutil
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from PIL import Image

EACH = 10
THREE = ("Lion", "Panda", "cheetahs")
FAMILIES = {
    "African_Elephant": "Elephantidae",
    "Amur_Leopard": "Felidae",
    "Arctic_Fox": "Canidae",
    "Chimpanzee": "Hominidae",
    "Jaguars": "Felidae",
    "Lion": "Felidae",
    "Orangutan": "Hominidae",
    "Panda": "Ursidae",
    "Panthers": "Felidae",
    "Rhino": "Rhinocerotidae",
    "cheetahs": "Felidae",
    "bobcat": "Felidae",
    "elk": "Cervidae",
    "ground_squirrel": "Sciuridae",
    "puma": "Felidae",
    "striped_skunk": "Mephitidae",
    "snow_leopard": "Felidae",
}
DRAWN = {"Nymphalidae": "Arthropoda", "Acroporidae": "Cnidaria"}
"""Families of other phyla, of which pictures are always drawn: masking by phylum needs some."""

NEGATIVES = ("bobcat", "elk", "ground_squirrel", "puma", "snow_leopard", "striped_skunk")


def draw(path: Path, seed: tuple[int, ...], colour: int) -> None:
    """A picture of coarse noise around a hue, so that classes can be told apart."""
    rng = np.random.default_rng(seed)
    hue = np.array([(colour * 67) % 200, (colour * 131) % 200, (colour * 29) % 200]) + 28
    coarse = np.clip(hue + rng.normal(0, 40, (9, 12, 3)), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(path, quality=90)


def collect(out: Path, photos: Path, part: str, wanted: tuple[str, ...]) -> None:
    """Class folders of `EACH` photos and a manifest.csv below `out / part`."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    manifest = photos / part / "manifest.csv"
    if manifest.is_file():
        with manifest.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                rows[row["label"]].append(row)
    written = []
    for place, label in enumerate(wanted):
        for number in range(EACH):
            found = rows[label][number] if number < len(rows[label]) else None
            name = found["file"] if found else f"{label}/{number:03d}.jpg"
            target = out / part / name
            if found:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(photos / part / name, target)
            elif not rows[label]:
                draw(target, (place, number), place)
            else:
                break
            known = found or {}
            group, trap = known.get("group") or name, known.get("camera_trap") or "0"
            written.append({"file": name, "label": label, "group": group, "camera_trap": trap})
    with (out / part / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["file", "label", "group", "camera_trap"])
        writer.writeheader()
        writer.writerows(written)


def three_animals(out: Path) -> None:
    """Three folders of classes."""
    for label in THREE:
        target = out / "three-animals" / label
        target.mkdir(parents=True)
        for path in sorted((out / "species11" / label).iterdir()):
            shutil.copyfile(path, target / path.name)


def rare_species(out: Path) -> None:
    """A metadata.csv in the layout of the public "rare species" set, over all photos."""
    rows = []
    for part in ("species11", "negatives"):
        for path in sorted((out / part).glob("*/*")):
            family = FAMILIES[path.parent.name]
            rows.append(("Chordata", family, f"../{part}/{path.parent.name}/{path.name}"))
    for place, (family, phylum) in enumerate(DRAWN.items(), start=40):
        for number in range(EACH):
            name = f"{family}/{number:03d}.jpg"
            draw(out / "rare-species" / name, (place, number), place)
            rows.append((phylum, family, name))
    with (out / "rare-species" / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["rare_species_id", "kingdom", "phylum", "family", "file_path"])
        writer.writerows([place, "Animalia", *row] for place, row in enumerate(rows))


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--photos", type=click.Path(path_type=Path), required=True)
def main(out: Path, photos: Path) -> None:
    """Write the demonstration's photos to OUT, which must not be there yet."""
    out.mkdir(parents=True)
    species = tuple(label for label in FAMILIES if label not in NEGATIVES)
    collect(out, photos, "species11", species)
    collect(out, photos, "negatives", NEGATIVES)
    three_animals(out)
    rare_species(out)


if __name__ == "__main__":
    main()
