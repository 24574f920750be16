"""Images a second of every way, side by side."""

from __future__ import annotations

import json
from pathlib import Path

import click
from sqlalchemy import select

from bench.apart import apart
from bench.charts import Chart
from bench.measure import Reached, Way, interleave, reached, steps
from bench.photos import megapixels
from bench.progress import progress
from bench.tables import Cell, Column, Section, Table
from bench.workshop import (
    COUNT,
    Workshop,
    bundle_option,
    card_option,
    count_option,
    repeats_option,
)

PUBLISHED = ("published-32", "published-32-twice")
"""What the others are compared with."""

COLUMNS = (
    Column("way", "way"),
    Column("images_per_second", "images/s", 1),
    Column("slowest", "slowest", 1),
    Column("fastest", "fastest", 1),
    Column("milliseconds", "ms/image", 1),
    Column("cpu_milliseconds", "CPU ms/image", 1),
    Column("times_published", "times published", 2, "x"),
    Column("times_two_decodes", "with 2 decodes", 2, "x"),
    Column("floors", "floors", 2, "x"),
)


@click.command()
@count_option(COUNT)
@repeats_option
@card_option
@bundle_option
@click.pass_obj
def speed(
    workshop: Workshop, count: int, repeats: int, card: Path | None, bundle: str | None
) -> Section:
    """Images a second: the published way, trapsort, and the decode floor."""
    from bench.ways import FLOOR, WAYS, Setting
    from trapsort.bundle import load_bundle

    loaded = load_bundle(bundle)
    folder, paths = workshop.photos(count, card)
    setting = Setting(folder, paths, loaded, workshop.scratch, workshop.stack)
    ways = [apart(name, setting) for name in WAYS]
    with progress("speed", steps(ways, repeats)) as step:
        taken = interleave(ways, repeats, on_step=step)
    found = {way.name: reached(taken[way.name], way.images) for way in ways if way.name in taken}
    size = sum(path.stat().st_size for path in paths) / len(paths) / 1e6
    named = dict(zip(WAYS, ways, strict=True))
    bases = tuple(found.get(named[key].name) if key in named else None for key in PUBLISHED)
    late = late_share(setting.scratch / "trapsort-0.sqlite3", len(loaded.members))
    table = Table(
        f"{len(paths)} photos of {megapixels(paths):.1f} megapixels, {size:.1f} MB each; "
        f"members of {loaded.model_name}",
        COLUMNS,
        tuple(row(way, found.get(way.name), bases, found[FLOOR]) for way in ways),
        (
            *(said(way) for way in ways),
            f"medians of {repeats} interleaved repeats, after one to warm up, each way in a "
            "process of its own; slowest and fastest are those of one repeat",
            f"floors: time beside that of {FLOOR}",
            f"all members of the ensemble were asked of {late:.0%} of the photos",
        ),
    )
    bars = tuple((name, own.images_per_second) for name, own in found.items())
    chart = Chart("Photos taken in a second, by each way", "images/s", bars)
    return Section("speed", (table,), chart)


def row(
    way: Way, own: Reached | None, bases: tuple[Reached | None, ...], floor: Reached
) -> tuple[Cell, ...]:
    """Return a way's row: images a second, and how it compares with two others and a floor."""
    if own is None:
        return (way.name, *[None] * (len(COLUMNS) - 1))
    return (
        way.name,
        own.images_per_second,
        own.slowest,
        own.fastest,
        own.milliseconds,
        own.cpu_milliseconds,
        *(base.milliseconds / own.milliseconds if base else None for base in bases),
        own.milliseconds / floor.milliseconds,
    )


def said(way: Way) -> str:
    """Return what a way is, and on how many photos a round, or why it was not measured."""
    note = f"not measured: {way.missing}" if way.run is None else f"{way.images} photos a round"
    return f"{way.name}: {way.what}; {note}"


def late_share(database: Path, members: int) -> float:
    """Return the share of a record's predictions for which all members were asked."""
    from trapsort.store.engine import connect, reading
    from trapsort.store.tables import predictions

    engine = connect(f"sqlite:///{database.as_posix()}")
    try:
        with reading(engine) as connection:
            said = connection.scalars(select(predictions.c.members)).all()
    finally:
        engine.dispose()
    return sum(len(json.loads(votes)) == members for votes in said) / len(said)
