"""How the ways compare on photos of 2, 8 and 24 megapixels."""

from __future__ import annotations

from contextlib import ExitStack

import click

from bench.measure import interleave, reached, steps
from bench.progress import progress
from bench.speed import said
from bench.tables import Cell, Column, Section, Table
from bench.workshop import Workshop, bundle_option, count_option, repeats_option

SIZES = ((1632, 1224), (3264, 2448), (6000, 4000))
NAMES = ("published-32", "trapsort", "floor")
COLUMNS = (
    Column("megapixels", "megapixels"),
    Column("megabytes", "MB", 1),
    Column("published", "published, by 32", 1, " ms"),
    Column("trapsort", "trapsort", 1, " ms"),
    Column("floor", "floor", 1, " ms"),
    Column("times_published", "times published", 2, "x"),
    Column("floors", "floors", 2, "x"),
)


@click.command()
@count_option(64)
@repeats_option
@bundle_option
@click.pass_obj
def sizes(workshop: Workshop, count: int, repeats: int, bundle: str | None) -> Section:
    """Milliseconds a photo of 2, 8 and 24 megapixels."""
    from bench.ways import WAYS, Setting
    from trapsort.bundle import load_bundle

    loaded = load_bundle(bundle)
    rows: list[tuple[Cell, ...]] = []
    notes: tuple[str, ...] = ()
    for width, height in SIZES:
        folder, paths = workshop.photos(count, width=width, height=height)
        scratch = workshop.scratch / f"sizes-{width}"
        scratch.mkdir()
        with ExitStack() as stack:
            setting = Setting(folder, paths, loaded, scratch, stack)
            ways = [WAYS[name](setting) for name in NAMES]
            with progress(f"sizes, {width} x {height}", steps(ways, repeats)) as step:
                taken = interleave(ways, repeats, on_step=step)
        took = [
            reached(taken[way.name], way.images).milliseconds if way.name in taken else None
            for way in ways
        ]
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
        rows.append((round(width * height / 1e6), size, *took, *ratios(*took)))
        notes = tuple(said(way) for way in ways)
    title = "Milliseconds a photo, by its size"
    return Section("sizes", (Table(title, COLUMNS, tuple(rows), notes),))


def ratios(
    published: float | None, own: float | None, floor: float | None
) -> tuple[float | None, float | None]:
    """Return how many times faster than the published way, and how many floors it takes."""
    return (
        published / own if published and own else None,
        own / floor if own and floor else None,
    )
