"""How long a record of many sightings takes to export, and how much memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click

from bench.records import make

MEBIBYTE = 1024 * 1024
PER_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


@dataclass(frozen=True, slots=True)
class Cost:
    """What an export took, all its processes together; `peak` is bytes of memory of the largest."""

    seconds: float
    cpu_seconds: float
    peak: int


def measured(name: str, url: str, out: Path) -> Cost:
    """Run one export in a process of its own; raises RuntimeError where it fails."""
    command = [sys.executable, "-m", "trapsort", "--db", url, "export", name, "--out", str(out)]
    begun = time.monotonic()
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - our own
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # nobody else waits for it
    if child.returncode:
        raise RuntimeError(f"{name} ended with {child.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(time.monotonic() - begun, cpu, usage.ru_maxrss * PER_UNIT)


@click.command()
@click.option("--photos", "count", default=1_000_000, show_default=True, type=click.IntRange(min=1))
@click.option("--record", type=click.Path(path_type=Path), help="A record that was made before.")
@click.option("--format", "names", multiple=True, help="Only this format; may be repeated.")
def export(count: int, record: Path | None, names: tuple[str, ...]) -> None:
    """Export a made-up record in every format."""
    from trapsort.interchange import FORMATS

    with tempfile.TemporaryDirectory(prefix="trapsort-bench-") as scratch:
        file = record or Path(scratch) / "sightings.sqlite3"
        if not file.is_file():
            click.echo(f"making a record of {count:,} photos", err=True)
            make(file, count)
        for name in names or FORMATS:
            cost = measured(name, f"sqlite:///{file.as_posix()}", Path(scratch) / name)
            click.echo(
                f"{name:<14}{cost.seconds:8.1f} s {cost.cpu_seconds:8.1f} s CPU"
                f" {cost.peak / MEBIBYTE:8.0f} MiB"
            )
