"""The most memory that each way holds, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click

from bench.progress import progress
from bench.tables import Cell, Column, Section, Table
from bench.workshop import COUNT, Workshop, bundle_option, card_option, count_option

LARGE = (6000, 4000)
LARGE_COUNT = 64  # as `sizes` draws them
NAMES = ("published-32", "published-1", "trapsort", "close", "floor")
MEBIBYTE = 1024 * 1024
COLUMNS = (
    Column("way", "way"),
    Column("photos", "photos"),
    Column("megapixels", "megapixels"),
    Column("peak_mebibytes", "peak", 0, " MiB"),
)


@click.command()
@count_option(COUNT)
@card_option
@bundle_option
@click.pass_obj
def memory(workshop: Workshop, count: int, card: Path | None, bundle: str | None) -> Section:
    """Peak memory of each way, in a process of its own."""
    from bench.photos import megapixels

    folder, paths = workshop.photos(count, card)
    width, height = LARGE
    large, large_paths = workshop.photos(LARGE_COUNT, width=width, height=height)
    usual, most = megapixels(paths), megapixels(large_paths)
    asked = [(name, folder, usual) for name in NAMES]
    asked += [(name, large, most) for name in ("trapsort", "close")]
    rows: list[tuple[Cell, ...]] = []
    notes = [
        "the graph in single precision is loaded at the first close call; drawn photos have none",
        "the floor's is mostly Python's own and that of the libraries that it loads",
    ]
    with progress("memory", len(asked)) as step:
        for name, where, size in asked:
            step(name)
            found = alone(name, where, bundle)
            if "missing" in found:
                notes.append(f"{name}: not measured: {found['missing']}")
                continue
            mebibytes = int(str(found["peak"])) / MEBIBYTE
            rows.append((str(found["name"]), int(str(found["images"])), round(size), mebibytes))
    table = Table("The most memory that a process held", COLUMNS, tuple(rows), tuple(notes))
    return Section("memory", (table,))


def alone(name: str, folder: Path, bundle: str | None) -> dict[str, object]:
    """Run a way once in a process of its own and return what it said; see `bench.one`."""
    command = [sys.executable, "-m", "bench.one", name, str(folder), *([bundle] if bundle else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - own
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-500:]}")
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found
