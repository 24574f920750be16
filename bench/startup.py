"""How long it takes from the command to the first answer, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from bench.measure import Way, interleave, reached, steps
from bench.progress import progress
from bench.tables import Cell, Column, Section, Table
from bench.workshop import Workshop, repeats_option

RECORDED = 1000  # photos in the record that is listed
COLUMNS = (
    Column("command", "command"),
    Column("milliseconds", "ms"),
    Column("slowest", "slowest"),
    Column("cpu_milliseconds", "CPU ms"),
)


@click.command()
@repeats_option
@click.pass_obj
def startup(workshop: Workshop, repeats: int) -> Section:
    """From the command to the first answer."""
    from bench.records import make

    folder, paths = workshop.photos(1)
    record = make(workshop.scratch / "startup.sqlite3", RECORDED)

    def fresh() -> str:
        return f"sqlite:///{tempfile.mkdtemp(dir=workshop.scratch)}/new.sqlite3"

    def trapsort(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "trapsort", *arguments]

    here = str(folder)
    commands: dict[str, tuple[str, Callable[[], list[str]]]] = {
        "python": ("Python alone", lambda: [sys.executable, "-c", "pass"]),
        "trapsort --help": ("", lambda: trapsort("--help")),
        "trapsort sightings": (
            f"{RECORDED:,} photos as CSV",
            lambda: trapsort("--db", record, "sightings", "--format", "csv"),
        ),
        "trapsort classify": (
            "the first answer, without a database",
            lambda: trapsort("classify", str(paths[0])),
        ),
        "trapsort ingest": (
            "the first photo recorded, in a database that is made as well",
            lambda: trapsort("--db", fresh(), "ingest", here),
        ),
        "published": (
            "the published way to its first answer: importing Keras, building the members, a photo",
            lambda: [sys.executable, "-m", "bench.one", "published-1", here],
        ),
    }
    compiled = workshop.scratch / "compiled"
    ways = [
        Way(name, what, 1, started(command, compiled)) for name, (what, command) in commands.items()
    ]
    with progress("startup", steps(ways, repeats)) as step:
        taken = interleave(ways, repeats, cpu_clock=children, on_step=step)
    rows: list[tuple[Cell, ...]] = []
    for way in ways:
        own = reached(taken[way.name], 1)
        rows.append((way.name, own.milliseconds, 1000 / own.slowest, own.cpu_milliseconds))
    notes = tuple(f"{way.name}: {way.what}" for way in ways if way.what)
    times = f"medians of {repeats} interleaved repeats, after one to warm up; files are cached"
    title = "From the command to its end"
    return Section("startup", (Table(title, COLUMNS, tuple(rows), (*notes, times)),))


def started(command: Callable[[], Sequence[str]], compiled: Path) -> Callable[[], None]:
    """Return what runs a command to its end; raises RuntimeError where it fails.

    compiled: where Python keeps modules that it has compiled, as it does beside installed ones.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(compiled)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run() -> None:
        done = subprocess.run(  # noqa: S603
            command(), capture_output=True, text=True, check=False, env=environment
        )
        if done.returncode:
            raise RuntimeError(f"{done.args} ended with {done.returncode}: {done.stderr[-500:]}")

    return run


def children() -> float:
    """Return the processor's seconds of all processes that this one started and that ended."""
    took = os.times()
    return took.children_user + took.children_system
