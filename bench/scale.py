"""Images a second and memory against the number of photos, with pixels that are made up."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import click

from bench.measure import MIN_REPEATS
from bench.progress import progress
from bench.tables import Cell, Column, Section, Table
from bench.workshop import Workshop

DECADES = (1_000, 10_000, 100_000, 1_000_000)
FEW = 10_000  # up to so many are measured several times
COLUMNS = (
    Column("files", "files"),
    Column("runs", "runs"),
    Column("files_per_second", "files/s"),
    Column("milliseconds", "ms a file", 2),
    Column("of_first", "of the first row", 2, "x"),
    Column("bytes_each", "bytes more in memory a file"),
)


@click.command()
@click.option(
    "--most",
    default=100_000,
    show_default=True,
    type=click.IntRange(DECADES[0], DECADES[-1]),
    help="A million takes some twenty minutes.",
)
@click.pass_obj
def scale(workshop: Workshop, most: int) -> Section:
    """Files a second against their number; decoding and the members are made up."""
    from tests.scale import measure

    counts = [count for count in DECADES if count <= most]
    rows: list[tuple[Cell, ...]] = []
    runs = [MIN_REPEATS if count <= FEW else 1 for count in counts]
    with progress("scale", sum(runs)) as step:
        for count, times in zip(counts, runs, strict=True):
            seconds, growth = [], []
            for turn in range(times):
                step(f"{count:,} files, {turn + 1} of {times}")
                with tempfile.TemporaryDirectory(dir=workshop.scratch) as folder:
                    course, account = measure(Path(folder), count, whole=False)
                if account.files != count:
                    raise RuntimeError(f"{count:,} files were to come: {account.sentence}")
                seconds.append(course.seconds)
                growth.append(max(0, course.growth) / count)
            took = statistics.median(seconds)
            ratio = count / took / float(str(rows[0][2])) if rows else 1.0
            bytes_each = statistics.median(growth) if count >= FEW else None
            rows.append((count, times, count / took, took / count * 1000, ratio, bytes_each))
    notes = (
        "every file is a bitmap of 8 x 8 pixels of its own, but for each fiftieth, which is none",
        "listing, reading, hashing, look-ups, recording and linking are those of the program; "
        "decoding, perceptual hashes and answers are made up",
        "medians where there are several runs; memory is that of the last quarter of a run over "
        "that of its first, and wavers by some 5 MB",
    )
    table = Table("Files a second, by their number", COLUMNS, tuple(rows), notes)
    return Section("scale", (table,))
