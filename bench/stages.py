"""Where the time of a photo goes: every stage of the pipeline alone, in one thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from bench.charts import Chart
from bench.measure import Reached, Way, interleave, reached, steps
from bench.progress import progress
from bench.tables import Cell, Column, Section, Table
from bench.workshop import Workshop, bundle_option, card_option, count_option, repeats_option

if TYPE_CHECKING:
    from trapsort.bundle import Bundle
    from trapsort.decode import Frame
    from trapsort.ensemble import Classifier
    from trapsort.scan import Photo
    from trapsort.scores import Scores
    from trapsort.store import Record

HANDFUL = 12  # photos in one transaction: what a worker does in half a second
RECORDED = 100_000  # photos of the record in which one is looked for
HASHES = 1_000_000  # perceptual hashes among which the nearest is looked for
WHOLE = "whole pipeline, 1 worker"
COLUMNS = (
    Column("stage", "stage"),
    Column("cpu_milliseconds", "CPU ms a photo", 3),
    Column("milliseconds", "ms a photo", 3),
    Column("share", "share of CPU", 1, " %"),
)
PARTS = COLUMNS[:3]

T = TypeVar("T")
LookUp = Callable[[Sequence[bytes]], object]


@dataclass(frozen=True, slots=True)
class Work:
    """The photos, and what each stage leaves to the next."""

    folder: Path
    photos: Sequence[Photo]
    data: Sequence[bytes]
    frames: Sequence[Frame]
    scores: Sequence[Scores]
    records: Sequence[Record]


def prepare(folder: Path, classifier: Classifier) -> Work:
    """Take every photo of a folder through all stages once."""
    from trapsort.decode import decode
    from trapsort.ensemble import decide
    from trapsort.exif import read_exif
    from trapsort.fingerprint import perceptual_hash
    from trapsort.scan import Photo, scan
    from trapsort.store import Record

    bundle = classifier.bundle
    photos = [item for item in scan(folder) if isinstance(item, Photo)]
    data = [Path(photo.path).read_bytes() for photo in photos]
    frames = [decode(each, bundle.size) for each in data]
    scores = [classifier.session.run(frame.model_input[None]) for frame in frames]
    records = [
        Record(
            photo=photo,
            sha256=hashlib.sha256(each).digest(),
            size=len(each),
            exif=read_exif(each),
            width=frame.width,
            height=frame.height,
            format=frame.format,
            flags=frame.flags,
            perceptual_hash=perceptual_hash(frame.pixels),
            prediction=decide(found, bundle)[0],
        )
        for photo, each, frame, found in zip(photos, data, frames, scores, strict=True)
    ]
    return Work(folder, photos, data, frames, scores, records)


def each(
    name: str, what: str, items: Sequence[T], do: Callable[[T], object], images: int | None = None
) -> Way:
    """Return a stage that does something with each item, or that has none to do it with.

    `images` is said where an item is not a photo.
    """

    def run() -> None:
        for item in items:
            do(item)

    count = len(items) if images is None else images
    return Way(name, what, count, run if items else None, "no photo of this kind")


def look_up(classifier: Classifier, scratch: Path, stack: ExitStack) -> LookUp:
    """Return what says which contents a record of many photos knows."""
    from bench.records import make
    from trapsort.store import Store

    bundle = classifier.bundle
    store = stack.enter_context(Store.open(make(scratch / "large.sqlite3", RECORDED)))
    model = store.model(bundle.name, bundle.version, bundle.digest, bundle.profile)
    return lambda sha256s: store.known(sha256s, model)


def stages(work: Work, classifier: Classifier, known: LookUp, record: Way) -> list[Way]:
    """Return the stages that a photo passes, in order."""
    from trapsort.decode import decode
    from trapsort.ensemble import decide
    from trapsort.exif import read_exif
    from trapsort.fingerprint import perceptual_hash
    from trapsort.near import NearDuplicates
    from trapsort.scan import scan

    bundle, session = classifier.bundle, classifier.session
    digests = [record.sha256 for record in work.records]
    blocks = [frame.exif or data for frame, data in zip(work.frames, work.data, strict=True)]
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, HASHES, dtype=np.uint64)
    near = NearDuplicates(hashes, np.arange(HASHES, dtype=np.int64))
    model_inputs = [frame.model_input[None] for frame in work.frames]

    def listing() -> None:
        for _ in scan(work.folder):
            pass

    return [
        Way("list", "walk the folder", len(work.photos), listing),
        each("read", "the whole file, from the system's cache", work.photos, read_file),
        each("sha256", "of the file", work.data, lambda data: hashlib.sha256(data).digest()),
        each(
            "look-up",
            f"is this sha256 among {RECORDED:,} photos? A query each",
            digests,
            lambda sha256: known([sha256]),
        ),
        each("decode", "JPEG to the members' pixels", work.data, lambda d: decode(d, bundle.size)),
        each("EXIF", "time, make, trigger, ...", blocks, read_exif),
        each(
            "perceptual hash",
            "of the small picture",
            work.frames,
            lambda frame: perceptual_hash(frame.pixels),
        ),
        each("inference", "the graph, photo by photo", model_inputs, session.run),
        each("decision", "label or reason", work.scores, lambda scores: decide(scores, bundle)),
        each(
            "near-duplicates",
            f"the nearest of {HASHES:,} perceptual hashes",
            work.records,
            lambda record: near.nearest(record.perceptual_hash),
        ),
        record,
    ]


def read_file(photo: Photo) -> bytes:
    """Read a photo, as plainly as can be."""
    return Path(photo.path).read_bytes()


def handfuls(items: Sequence[T]) -> list[Sequence[T]]:
    """Return items in parts, as many as go into one transaction."""
    return [items[start : start + HANDFUL] for start in range(0, len(items), HANDFUL)]


def recording(work: Work, classifier: Classifier, scratch: Path, stack: ExitStack) -> Way:
    """Return the recording of all photos, handful by handful, each time in a new database."""
    from trapsort.store import Store

    stores: list[tuple[Store, int, int]] = []
    bundle = classifier.bundle

    def open_new() -> None:
        path = scratch / f"recording-{len(stores)}.sqlite3"
        store = stack.enter_context(Store.open(f"sqlite:///{path.as_posix()}"))
        model = store.model(bundle.name, bundle.version, bundle.digest, bundle.profile)
        stores.append((store, store.card(work.folder), model))

    def run() -> None:
        store, card, model = stores[-1]
        for few in handfuls(work.records):
            store.record(card, model, records=few)

    what = f"one transaction, flushed to the disk, for {HANDFUL} photos"
    return Way("record", what, len(work.records), run, prepare=open_new)


def parts(work: Work, bundle: Bundle, known: LookUp) -> list[Way]:
    """Return what stages consist of, and what is done instead elsewhere."""
    from bench.ways import smallest

    digests = [record.sha256 for record in work.records]
    return [
        each(
            "decode floor",
            "reading and JPEG decode at 1/8 scale, nothing else",
            [Path(photo.path) for photo in work.photos],
            smallest,
        ),
        each(
            f"look-up, {HANDFUL} a query",
            "the same for several photos at once",
            handfuls(digests),
            known,
            len(digests),
        ),
        *exits(work, bundle),
        *everyone(work, bundle),
    ]


def exits(work: Work, bundle: Bundle) -> list[Way]:
    """Return inference in each precision that the bundle has, by the exit that photos take."""
    from trapsort.scores import asked
    from trapsort.session import open_session

    early: list[NDArray[np.uint8]] = []
    late: list[NDArray[np.uint8]] = []
    for frame, scores in zip(work.frames, work.scores, strict=True):
        is_late = bool(asked(scores.members).all())
        (late if is_late else early).append(frame.model_input[None])
    ways = []
    for precision in bundle.graphs:
        run = open_session(replace(bundle, precision=precision)).run
        for place, what, inputs in (
            ("first exit", "the first members settle it", early),
            ("last exit", "all members are asked", late),
        ):
            share = f"{len(inputs) / len(work.frames):.0%} of the photos"
            ways.append(each(f"inference, {precision}, {place}", f"{what}: {share}", inputs, run))
    return ways


def everyone(work: Work, bundle: Bundle) -> list[Way]:
    """Return inference without the cascade."""
    name = "inference, single, no cascade"
    what = "all members are asked of every photo"
    try:
        from training.evaluate import open_everyone
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "training":
            raise
        missing = f"{error.name} is not installed (pip install '.[train]')"
        return [Way(name, what, len(work.frames), None, missing)]
    inputs = [frame.model_input[None] for frame in work.frames]
    return [each(name, what, inputs, open_everyone(bundle).run)]


@click.command("stages")
@count_option(48)
@repeats_option
@card_option
@bundle_option
@click.pass_obj
def stages_command(
    workshop: Workshop, count: int, repeats: int, card: Path | None, bundle: str | None
) -> Section:
    """Every stage of the pipeline alone, in one thread."""
    from bench.ways import Setting, trapsort_way
    from trapsort.bundle import load_bundle
    from trapsort.ensemble import Classifier
    from trapsort.session import open_session

    loaded = load_bundle(bundle)
    classifier = Classifier(loaded, open_session(loaded))
    folder, paths = workshop.photos(count, card)
    with ExitStack() as stack:
        work = prepare(folder, classifier)
        known = look_up(classifier, workshop.scratch, stack)
        record = recording(work, classifier, workshop.scratch, stack)
        passed = stages(work, classifier, known, record)
        inside = parts(work, loaded, known)
        setting = Setting(folder, paths, loaded, workshop.scratch, stack)
        whole = replace(trapsort_way(setting, workers=1), name=WHOLE)
        ways = [*passed, whole, *inside]
        with progress("stages", steps(ways, repeats)) as step:
            taken = interleave(ways, repeats, on_step=step)
    found = {way.name: reached(taken[way.name], way.images) for way in ways if way.name in taken}
    bars = tuple((way.name, found[way.name].cpu_milliseconds) for way in passed)
    chart = Chart("What a photo costs, stage by stage", "CPU ms a photo", bars)
    shown = tables(passed, whole, inside, found, repeats, len(work.photos))
    return Section("stages", shown, chart)


def tables(
    passed: Sequence[Way],
    whole: Way,
    inside: Sequence[Way],
    found: dict[str, Reached],
    repeats: int,
    photos: int,
) -> tuple[Table, Table]:
    """Return the table of the stages with their sum, and that of what they consist of."""
    total = sum(found[way.name].cpu_milliseconds for way in passed)
    rows: list[tuple[Cell, ...]] = []
    for way in passed:
        own = found[way.name]
        share = own.cpu_milliseconds / total * 100
        rows.append((way.name, own.cpu_milliseconds, own.milliseconds, share))
    rows.append(("sum", total, sum(found[way.name].milliseconds for way in passed), 100.0))
    own = found[whole.name]
    rows.append((whole.name, own.cpu_milliseconds, own.milliseconds, None))
    notes = (
        *(f"{way.name}: {way.what}" for way in (*passed, whole)),
        f"{photos} photos, medians of {repeats} interleaved repeats; ms beyond CPU ms is waiting, "
        "for the disk or for other programs",
    )
    within: list[tuple[Cell, ...]] = []
    for way in inside:
        reach = found.get(way.name)
        cells = (reach.cpu_milliseconds, reach.milliseconds) if reach else (None, None)
        within.append((way.name, *cells))
    said = tuple(
        f"{way.name}: {way.what}" + (f"; not measured: {way.missing}" if way.run is None else "")
        for way in inside
    )
    return (
        Table("Stages, in the order of the pipeline", COLUMNS, tuple(rows), notes),
        Table("Within them, and beside them", PARTS, tuple(within), said),
    )
