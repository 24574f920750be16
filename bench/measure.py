"""Times several ways of doing the same work side by side, in turn, on a machine that it names."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

MIN_REPEATS = 5  # a median of fewer says little

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
    """One way to do the work: `run` does it once for `images`, after `prepare`, not timed.

    Where `run` is None, `missing` says why. `cpu` tells the CPU seconds so far of whoever does it,
    where that is not this process.
    """

    name: str
    what: str
    images: int
    run: Callable[[], None] | None
    missing: str = ""
    prepare: Callable[[], None] = lambda: None
    cpu: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds by the clock on the wall, and of processors' work in all threads, of one repeat."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Reached:
    """What a way reached: medians of its repeats, and the slowest and the fastest of them."""

    images_per_second: float
    slowest: float
    fastest: float
    milliseconds: float
    cpu_milliseconds: float


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured; `load` is the mean number of running processes at the start."""

    cpu: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]
    load: float | None

    def as_dict(self) -> dict[str, object]:
        """Return what JSON shows."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """The processor and how busy it was, then the versions, on two lines."""
        busy = "" if self.load is None else f", load {self.load} at the start"
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        first = f"{self.cpu}, {self.cores} cores, {self.system}{busy}"
        return f"{first}\nPython {self.python}, {versions}"


def interleave(
    ways: Sequence[Way],
    repeats: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
    cpu_clock: Callable[[], float] = time.process_time,
    on_step: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Timing]]:
    """Return what each way's repeats took, taken in turn; names of ways differ.

    Once each beforehand without a clock, for what is done only the first time. Then a round a
    repeat, each beginning with another way, so that a machine that slows down slows all alike.
    `on_step` hears of each run beforehand.
    """
    able = [(way, way.run) for way in ways if way.run is not None]
    taken: dict[str, list[Timing]] = {way.name: [] for way, _ in able}
    for turn in range(-1, repeats):
        start = max(turn, 0) % len(able)
        for way, run in able[start:] + able[:start]:
            on_step(f"{way.name}, " + ("to warm up" if turn < 0 else f"{turn + 1} of {repeats}"))
            cpu = way.cpu or cpu_clock
            way.prepare()
            began, cpu_began = clock(), cpu()
            run()
            ended, cpu_ended = clock(), cpu()
            if turn >= 0:
                taken[way.name].append(Timing(ended - began, cpu_ended - cpu_began))
    return taken


def steps(ways: Sequence[Way], repeats: int) -> int:
    """How many runs `interleave` makes, those to warm up among them."""
    return sum(way.run is not None for way in ways) * (repeats + 1)


def reached(timings: Sequence[Timing], images: int) -> Reached:
    """Sum up the repeats of a way that did `images` each time."""
    walls = [each.wall for each in timings]
    median = statistics.median(walls)
    cpu = statistics.median(each.cpu for each in timings)
    return Reached(
        images_per_second=images / median,
        slowest=images / max(walls),
        fastest=images / min(walls),
        milliseconds=median / images * 1000,
        cpu_milliseconds=cpu / images * 1000,
    )


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
