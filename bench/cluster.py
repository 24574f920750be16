"""What a photo costs on a cluster beside one machine, and what ten million would take."""

from __future__ import annotations

import os
import socket
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import click

from bench import photos
from bench.progress import progress
from bench.tables import Column, Section, Table
from trapsort.bundle import Bundle, load_bundle
from trapsort.cluster import tasks
from trapsort.cluster.tasks import Model, ReadFiles
from trapsort.ensemble import Classifier, Prediction
from trapsort.examine import Batch
from trapsort.exif import NO_EXIF
from trapsort.pipeline import ingest
from trapsort.session import open_session
from trapsort.store import Record, Store
from trapsort.workers import Workers

MANY = 10_000_000
CORES = (8, 64, 512)
SMALL = (64, 48)  # pixels, of which nothing is decoded
# Place of bytes_acked and bytes_received in Linux's struct tcp_info, 64 bits each.
TCP_BYTES = struct.Struct("=120x2Q")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a photo takes: CPU ms of who records, of the workers together, wall ms, bytes sent."""

    here: float
    workers: float
    wall: float
    sent: float


def traffic() -> tuple[float, int]:
    """CPU seconds of this process, and the bytes that its TCP connections have carried (Linux)."""
    carried = 0
    for file in Path("/proc/self/fd").iterdir():
        try:
            if str(file.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(file.name))) as connection:
                    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                    carried += sum(TCP_BYTES.unpack_from(info))
        except (OSError, struct.error):
            continue  # closed meanwhile, or no TCP
    return time.process_time(), carried


def cost(
    folder: Path, scratch: Path, classifier: Classifier | Workers, threads: int, count: int
) -> Cost:
    """Take in a folder once into a new record."""
    file = scratch / "record.sqlite3"
    file.unlink(missing_ok=True)

    from trapsort.cluster.coordinator import Cluster

    def others() -> Sequence[tuple[float, int]]:
        if isinstance(classifier, Cluster):
            return list(classifier.ask_all(traffic).values())
        return []

    with Store.open(f"sqlite:///{file.as_posix()}") as store:
        before, begun, here = others(), time.perf_counter(), time.process_time()
        account = ingest(folder, store=store, classifier=classifier, workers=threads)
        spent, wall, after = time.process_time() - here, time.perf_counter() - begun, others()
    if account.recorded != count:
        raise RuntimeError(f"{account.sentence}, of {count}")
    cpu = sum(last[0] - first[0] for first, last in zip(before, after, strict=True))
    sent = sum(last[1] - first[1] for first, last in zip(before, after, strict=True))
    return Cost(spent / count * 1e3, cpu / count * 1e3, wall / count * 1e3, sent / count)


def made_up(
    files: ReadFiles, known: frozenset[bytes], model: Model, root: Path, *, apart: bool
) -> Batch:
    """In place of a worker's decoding and classifying: answers of the usual size, at once."""
    del known, model, root, apart
    labels = tuple((f"species number {place}", 1 / 14) for place in range(14))
    votes = tuple((f"member {place}", "species number 1", 0.9) for place in range(3))
    prediction = Prediction("species number 1", 0.9, None, labels, votes)
    return Batch(
        records=[
            Record(
                photo=content.photo,
                sha256=content.sha256,
                size=len(content.data),
                exif=NO_EXIF,
                width=3264,
                height=2448,
                format="JPEG",
                flags=(),
                perceptual_hash=int.from_bytes(content.sha256[:8]),
                prediction=prediction,
            )
            for content in files.contents.values()
        ]
    )


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""

    def middle(figure: Callable[[Cost], float]) -> float:
        return statistics.median(map(figure, costs))

    return Cost(
        middle(lambda each: each.here),
        middle(lambda each: each.workers),
        middle(lambda each: each.wall),
        middle(lambda each: each.sent),
    )


def hours(cores: int, worker_ms: float, here_ms: float) -> float:
    """Hours for `MANY` photos: the workers share theirs, the coordinator does its own alone."""
    return MANY * max(worker_ms / cores, here_ms) / 3.6e6


@click.command()
@click.option("--photos", "count", default=48, show_default=True, type=click.IntRange(min=1))
@click.option("--small", default=2000, show_default=True, type=click.IntRange(min=1))
@click.option("--workers", default=2, show_default=True, type=click.IntRange(min=1))
@click.option("--repeats", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--bundle", "named", default=None, metavar="NAME|DIR")
def cluster(count: int, small: int, workers: int, repeats: int, named: str | None) -> Section:
    """What a photo costs on a cluster of this machine's processes, beside threads.

    CPU time, medians of interleaved rounds. What the coordinator does for each photo is measured
    with many files that the workers read and answer at once, without decoding them. From both
    follows what ten million photos would take.
    """
    bundle = load_bundle(named)
    with tempfile.TemporaryDirectory(prefix="trapsort-bench-") as name:
        scratch = Path(name)
        paths = photos.draw(scratch / "large", count)
        megabytes = statistics.mean(path.stat().st_size for path in paths) / 1e6
        photos.draw(scratch / "small", small, width=SMALL[0], height=SMALL[1])
        found = measured(scratch, bundle, count, small, workers, repeats)
    return Section("cluster", (costs_table(found, workers), forecast(found, megabytes)))


def measured(
    scratch: Path, bundle: Bundle, count: int, small: int, workers: int, repeats: int
) -> dict[str, Cost]:
    """Cost of a photo by `threads`, by the `cluster`, and for the `coordinator` alone."""
    from trapsort.cluster.connect import open_cluster

    classifier = Classifier(bundle, open_session(bundle))
    model = Model.of(bundle, None, None)
    costs: dict[str, list[Cost]] = {}
    where = f"local:{workers}"
    with (
        open_cluster(where, bundle, model, stop=threading.Event()) as others,
        progress("cluster", (repeats + 1) * 3) as step,
    ):
        for repeat in range(-1, repeats):  # the first round warms up
            step(f"{count} photos by threads")
            found = {"threads": cost(scratch / "large", scratch, classifier, workers, count)}
            step(f"{count} photos by the cluster")
            found["cluster"] = cost(scratch / "large", scratch, others, workers, count)
            step(f"{small} files that nobody decodes")
            with patch.object(tasks, "work_on", made_up):
                found["coordinator"] = cost(scratch / "small", scratch, others, workers, small)
            for way, each in found.items() if repeat >= 0 else ():
                costs.setdefault(way, []).append(each)
    return {way: median(each) for way, each in costs.items()}


def costs_table(found: dict[str, Cost], workers: int) -> Table:
    """What a photo takes each way."""
    what = {
        "threads": "threads of one process",
        "cluster": "cluster",
        "coordinator": "cluster, nothing decoded",
    }
    return Table(
        f"A photo, by {workers} threads or workers",
        (
            Column("way", "way"),
            Column("here_ms", "CPU ms, who records", 2),
            Column("workers_ms", "CPU ms, workers", 2),
            Column("together_ms", "together", 2),
            Column("sent", "bytes sent"),
        ),
        tuple(
            (what[way], c.here, c.workers, c.here + c.workers, c.sent) for way, c in found.items()
        ),
        (
            "photos of 8 megapixels in the first two rows; threads record in their own process",
            "bytes sent: by TCP from and to the workers, the photos themselves not counted",
        ),
    )


def forecast(found: dict[str, Cost], megabytes: float) -> Table:
    """What `MANY` photos would take."""
    here, there = found["coordinator"].here, found["cluster"].workers
    rows = []
    for cores in CORES:
        taken = hours(cores, there, here)
        rate = MANY / taken / 3600
        limit = "workers" if there / cores >= here else "coordinator"
        rows.append((str(cores), taken, rate, rate * megabytes, limit))
    return Table(
        f"{MANY:,} photos of 8 megapixels, from these costs",
        (
            Column("cores", "workers' cores"),
            Column("hours", "hours", 1),
            Column("photos_per_second", "photos/s"),
            Column("megabytes_per_second", "to be read, MB/s"),
            Column("limit", "limited by"),
        ),
        tuple(rows),
        (
            f"workers {there:.1f} CPU ms a photo in parallel, the coordinator {here:.2f} alone",
            "an estimate: not measured on so many cores, nor with a store that is slower than this",
        ),
    )
