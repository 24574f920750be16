"""Times several ways of doing the same work side by side, and shows what came out."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "trapsort",
    "pillow",
    "ImageHash",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "SQLAlchemy",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do the work: `run` does it once after `prepare`, which is not timed.

    Where `run` is None, `missing` says why.
    """

    name: str
    what: str
    run: Callable[[], None] | None
    missing: str = ""
    prepare: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Row:
    """What a way reached, in images/s; the ratio is that of the medians, 1 for the first way."""

    way: str
    what: str
    median: float | None
    slowest: float | None
    fastest: float | None
    milliseconds_per_image: float | None
    ratio: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured; `load` is the mean number of running processes at the start."""

    cpu: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]
    load: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """A whole run of the benchmark."""

    photos: int
    megapixels: float
    megabytes_per_photo: float
    repeats: int
    model: str
    machine: Machine
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, object]:
        """Return what `--format json` prints."""
        return asdict(self)


def interleave(
    ways: Sequence[Way], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Return the seconds of each way's repeats, taken in turn.

    Once each beforehand without a clock, for what is done only the first time. Then a round a
    repeat, each beginning with another way, so that a machine that slows down slows all alike.
    """
    able = [(way.name, way.prepare, way.run) for way in ways if way.run is not None]
    seconds: dict[str, list[float]] = {name: [] for name, _, _ in able}
    for turn in range(-1, repeats):
        start = max(turn, 0) % len(able)
        for name, prepare, run in able[start:] + able[:start]:
            prepare()
            began = clock()
            run()
            ended = clock()
            if turn >= 0:
                seconds[name].append(ended - began)
    return seconds


def summarise(ways: Sequence[Way], seconds: dict[str, list[float]], images: int) -> tuple[Row, ...]:
    """Return one row a way; the first way is what the others are compared with."""
    base = seconds.get(ways[0].name)
    rows = []
    for way in ways:
        taken = seconds.get(way.name)
        if taken is None:
            note = f"not measured: {way.missing}"
            rows.append(Row(way.name, way.what, None, None, None, None, None, note))
            continue
        median = statistics.median(taken)
        ratio = statistics.median(base) / median if base else None
        rows.append(
            Row(
                way.name,
                way.what,
                images / median,
                images / max(taken),
                images / min(taken),
                median / images * 1000,
                ratio,
                "",
            )
        )
    return tuple(rows)


def this_machine() -> Machine:
    """Describe the machine and the versions of what is measured."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    affinity = getattr(os, "sched_getaffinity", None)
    return Machine(
        cpu=cpu_model(),
        cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
        system=platform.platform(),
        python=platform.python_version(),
        versions=versions,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the processor's name, from Linux's list or what Python knows."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def print_table(result: Result) -> None:
    """Print the rows, and below them what they were measured on."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{result.photos} photos of {result.megapixels:.1f} megapixels")
    table.add_column("way")
    for column in ("images/s", "slowest", "fastest", "ms/image", "ratio"):
        table.add_column(column, justify="right")
    for row in result.rows:
        figures = (row.median, row.slowest, row.fastest, row.milliseconds_per_image)
        cells = ["-" if figure is None else f"{figure:.1f}" for figure in figures]
        cells.append("-" if row.ratio is None else f"{row.ratio:.2f}x")
        table.add_row(row.way, *cells)
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    for row in result.rows:
        note = f"; {row.note}" if row.note else ""
        console.print(f"{row.way}: {row.what}{note}", markup=False)
    machine = result.machine
    busy = "" if machine.load is None else f", load {machine.load} at the start"
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    console.print(
        f"medians of {result.repeats} interleaved repeats, "
        f"{result.megabytes_per_photo:.1f} MB a photo, model {result.model}\n"
        f"{machine.cpu}, {machine.cores} cores, {machine.system}{busy}\n"
        f"Python {machine.python}, {versions}",
        markup=False,
    )
