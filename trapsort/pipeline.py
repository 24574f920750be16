"""The whole program on one screen: a card goes in, a record and an account come out.

    scan -> read -> (seen before?) -> decode -> classify -> record
                +--------- problems, one row each ---------+

Worker threads read, decode and classify; Pillow and ONNX Runtime release the interpreter's lock.
The calling thread alone writes, one transaction a batch.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from trapsort.decode import Frame, decode
from trapsort.ensemble import Classifier, Prediction
from trapsort.errors import PhotoError
from trapsort.exif import Exif, read_exif
from trapsort.fingerprint import NearDuplicates, perceptual_hash, read_content
from trapsort.scan import Photo, Problem, scan
from trapsort.settings import cores
from trapsort.store import Account, Record, Store

BATCH = 8
"""Photos in one run of the graph and one transaction; more is not faster on a CPU."""

Item = Photo | Problem
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a card is: finished files, and how many there are where that is known."""

    files: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Fresh:
    """A decoded photo that the record does not hold yet."""

    photo: Photo
    sha256: bytes
    size: int
    exif: Exif
    frame: Frame
    perceptual_hash: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one file: a prediction, or the reason why it is no usable photo."""

    path: str
    prediction: Prediction | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of a handful of files, ready to be recorded."""

    records: Sequence[Record]
    seen: Sequence[tuple[Photo, bytes]]
    problems: Sequence[Problem]


def ingest(
    root: Path,
    *,
    store: Store,
    classifier: Classifier,
    station: str | None = None,
    workers: int | None = None,
    total: int | None = None,
    stop: threading.Event | None = None,
    skip: Callable[[Item], bool] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Account:
    """Take in everything below `root` and account for every file.

    `skip` leaves files out, `stop` ends after the batches in hand, `total` is only passed on.
    Raises `InputError` for a root that is not there, `DatabaseError` for a database that fails.
    """
    bundle = classifier.bundle
    items: Iterator[Item] = (item for item in scan(root) if skip is None or not skip(item))
    first = next(items, None)
    if first is None and skip is not None:
        return Account()  # a look at a card that brought nothing new leaves no trace
    items = chain([first] if first is not None else [], items)
    card = store.card(root if root.is_dir() else root.parent, station=station)
    model = store.model(bundle.name, bundle.version, bundle.digest)
    near = NearDuplicates(*store.perceptual_hashes())
    run = store.begin_run(card, model)
    account = Account()
    try:
        work = partial(_work, store=store, model=model, classifier=classifier)
        for batch in _in_order(items, work, workers or cores(), stop):
            account += _record(store, card, model, near, batch)
            if on_progress is not None:
                on_progress(Progress(account.files, total))
    finally:
        store.finish_run(run, account)
    return account


def _in_order(
    items: Iterator[Item],
    work: Callable[[Sequence[Item]], T],
    workers: int,
    stop: threading.Event | None = None,
) -> Iterator[T]:
    """Work on handfuls of files in threads; the results in the order of the card.

    At most two handfuls a worker are under way, so memory does not grow with the card.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="trapsort") as pool:
        under_way: deque[Future[T]] = deque()
        try:
            while not (stop is not None and stop.is_set()):
                handful = list(islice(items, BATCH))
                if not handful:
                    break
                under_way.append(pool.submit(work, handful))
                if len(under_way) > 2 * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _work(items: Sequence[Item], store: Store, model: int, classifier: Classifier) -> Batch:
    """Read, decode and classify a handful of files; a bad photo costs itself and nothing else."""
    fresh: list[Fresh] = []
    seen: list[tuple[Photo, bytes]] = []
    problems: list[Problem] = []
    for item in items:
        if isinstance(item, Problem):
            problems.append(item)
            continue
        try:
            found = _examine(item, store, model)
        except PhotoError as error:
            problems.append(Problem(item.card, item.relative, error.reason, error.detail))
            continue
        if isinstance(found, Fresh):
            fresh.append(found)
        else:
            seen.append((item, found))
    predictions = classifier.classify([each.frame for each in fresh])
    records = [_as_record(*pair) for pair in zip(fresh, predictions, strict=True)]
    return Batch(records, seen, problems)


def _examine(photo: Photo, store: Store, model: int) -> Fresh | bytes:
    """A decoded photo, or the digest of one that this model has classified before."""
    content = read_content(photo)
    if store.known([content.sha256], model).get(content.sha256):
        return content.sha256
    frame = decode(content.data)
    return Fresh(
        photo=photo,
        sha256=content.sha256,
        size=len(content.data),
        exif=read_exif(content.data),
        frame=frame,
        perceptual_hash=perceptual_hash(frame.pixels),
    )


def _as_record(fresh: Fresh, prediction: Prediction) -> Record:
    return Record(
        photo=fresh.photo,
        sha256=fresh.sha256,
        size=fresh.size,
        exif=fresh.exif,
        width=fresh.frame.width,
        height=fresh.frame.height,
        format=fresh.frame.format,
        flags=fresh.frame.flags,
        perceptual_hash=fresh.perceptual_hash,
        prediction=prediction,
    )


def _record(store: Store, card: int, model: int, near: NearDuplicates, batch: Batch) -> Account:
    """Link near-duplicates, write one batch in one transaction, and count what became of it."""
    linked = _linked(batch.records, near)
    recorded = store.record(card, model, records=linked, seen=batch.seen, problems=batch.problems)
    for photo_id, record in zip(recorded.photo_ids, linked, strict=True):
        near.add(photo_id, record.perceptual_hash)
    return recorded.account


def _linked(records: Sequence[Record], near: NearDuplicates) -> list[Record]:
    """Records with the recorded photo that each nearly equals, or one before it in the batch.

    A photo of the batch has no id yet and is named by -1 - its place.
    """
    within = NearDuplicates()
    linked = []
    for place, record in enumerate(records):
        twin = near.nearest(record.perceptual_hash) or within.nearest(record.perceptual_hash)
        within.add(-1 - place, record.perceptual_hash)
        linked.append(replace(record, near=twin))
    return linked


def classify_folder(
    root: Path, classifier: Classifier, *, workers: int | None = None
) -> Iterator[Answer]:
    """Say what each file below `root` shows, in the order of the folder; nothing is recorded."""

    def work(items: Sequence[Item]) -> list[Answer]:
        return _answers(items, classifier)

    for answers in _in_order(scan(root), work, workers or cores()):
        yield from answers


def _answers(items: Sequence[Item], classifier: Classifier) -> list[Answer]:
    frames: dict[int, Frame] = {}
    problems: dict[int, str] = {}
    for place, item in enumerate(items):
        if isinstance(item, Problem):
            problems[place] = item.reason
            continue
        try:
            frames[place] = decode(read_content(item).data)
        except PhotoError as error:
            problems[place] = error.reason
    said = dict(zip(frames, classifier.classify(list(frames.values())), strict=True))
    return [
        Answer(str(item.card / item.name), said.get(place), problems.get(place))
        for place, item in enumerate(items)
    ]
