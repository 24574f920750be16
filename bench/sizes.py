"""How the ways compare on photos of few and many pixels, and of few and many bytes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.apart import apart
from bench.measure import interleave, reached, steps
from bench.photos import HEIGHT, QUALITY, WIDTH, megapixels
from bench.progress import progress
from bench.speed import said
from bench.tables import Cell, Column, Section, Table
from bench.workshop import Workshop, bundle_option, card_option, count_option, repeats_option

if TYPE_CHECKING:
    from trapsort.bundle import Bundle

SIZES = (
    (1632, 1224, QUALITY),
    (WIDTH, HEIGHT, 50),
    (WIDTH, HEIGHT, 75),
    (WIDTH, HEIGHT, QUALITY),
    (6000, 4000, QUALITY),
)
"""Width, height and JPEG quality of drawn photos."""
NAMES = ("published-32", "published-32-twice", "trapsort", "floor")
COLUMNS = (
    Column("photos", "photos"),
    Column("megapixels", "megapixels"),
    Column("megabytes", "MB", 1),
    Column("published", "published, by 32", 1, " ms"),
    Column("published_twice", "with 2 decodes", 1, " ms"),
    Column("trapsort", "trapsort", 1, " ms"),
    Column("floor", "floor", 1, " ms"),
    Column("times_published", "times published", 2, "x"),
    Column("times_twice", "with 2 decodes", 2, "x"),
    Column("floors", "floors", 2, "x"),
)


@click.command()
@count_option(64)
@repeats_option
@card_option
@bundle_option
@click.pass_obj
def sizes(
    workshop: Workshop, count: int, repeats: int, card: Path | None, bundle: str | None
) -> Section:
    """Milliseconds a photo, by its pixels and bytes; --card adds a row."""
    from trapsort.bundle import load_bundle

    loaded = load_bundle(bundle)
    rows: list[tuple[Cell, ...]] = []
    notes: tuple[str, ...] = ()
    for width, height, quality in SIZES:
        drawn = workshop.photos(count, width=width, height=height, quality=quality)
        row, notes = _compared(workshop, loaded, *drawn, repeats)
        rows.append((f"drawn, quality {quality}", *row))
    if card is not None:
        photos = workshop.photos(count, card)
        row, notes = _compared(workshop, loaded, *photos, repeats)
        rows.append((f"{len(photos[1])} of a card", *row))
    title = "Milliseconds a photo, by its pixels and bytes"
    return Section("sizes", (Table(title, COLUMNS, tuple(rows), notes),))


def _compared(
    workshop: Workshop, bundle: Bundle, folder: Path, paths: list[Path], repeats: int
) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """A row of `COLUMNS` but for its name, and what each way does."""
    from bench.ways import Setting

    scratch = workshop.scratch / f"sizes-{folder.name}"
    scratch.mkdir()
    with ExitStack() as stack:
        setting = Setting(folder, paths, bundle, scratch, stack)
        ways = [apart(name, setting) for name in NAMES]
        with progress(f"sizes, {folder.name}", steps(ways, repeats)) as step:
            taken = interleave(ways, repeats, on_step=step)
    once, twice, own, floor = took = [
        reached(taken[way.name], way.images).milliseconds if way.name in taken else None
        for way in ways
    ]
    size = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
    ratios = (times(once, own), times(twice, own), times(own, floor))
    return (round(megapixels(paths)), size, *took, *ratios), tuple(said(way) for way in ways)


def times(longer: float | None, shorter: float | None) -> float | None:
    """Return how many times one is the other; None where either was not measured."""
    return longer / shorter if longer and shorter else None
