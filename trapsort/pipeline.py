"""The whole program on one screen: a card goes in, a record and an account come out.

    scan -> read -> (seen before?) -> decode -> classify -> record
                +--------- problems, one row each ---------+

Worker threads read, decode and classify; Pillow and ONNX Runtime release the interpreter's lock.
The calling thread alone writes, one transaction a batch.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

from trapsort.decode import Frame, decode, in_brief
from trapsort.ensemble import REASON_CODES, Classifier, Prediction
from trapsort.errors import PhotoError, TrapsortError
from trapsort.exif import Exif, read_exif
from trapsort.fingerprint import NearDuplicates, perceptual_hash, read_content
from trapsort.in_hand import InHand
from trapsort.memory import FILES
from trapsort.scan import Card, Photo, Problem, card_of, scan
from trapsort.settings import cores
from trapsort.store import UNCLASSIFIED, Account, NamingRule, Record, Store

BATCH = 8
"""Photos in one transaction, and at most in one run of the graph."""

RUNS = threading.BoundedSemaphore(cores())
"""Runs of the graph at a time: more than cores are no faster, and each takes some 25 MB."""

PASSING = ("unreadable", "changed", "no_memory")
"""Problems that the same file may not have the next time."""

RETRIED = ("no_memory", "failed")
"""Problems that another try at once may not have, with no other heavy photo in memory."""

NO_ANSWER = Prediction(None, None, UNCLASSIFIED, (), ())
"""What is recorded of a photo that the network failed on."""

_log = logging.getLogger(__name__)

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
    """What became of a handful of files, ready to be recorded.

    `again` are the problems that another try may not have; `gone` files went away since the scan.
    """

    records: list[Record] = field(default_factory=list)
    seen: list[tuple[Photo, bytes]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    again: list[Photo] = field(default_factory=list)
    gone: list[Photo] = field(default_factory=list)


def ingest(
    root: Path,
    *,
    store: Store,
    classifier: Classifier,
    station: str | None = None,
    workers: int | None = None,
    total: int | None = None,
    stop: threading.Event | None = None,
    in_hand: InHand | None = None,
    skip: Callable[[Item], bool] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Account:
    """Take in everything below `root` and account for every file.

    `skip` leaves files out, `stop` ends after the batches in hand, `total` is only passed on;
    `in_hand` remembers, beyond a crash, which photos were being decoded.
    Raises `InputError` for a root that is not there or goes away, after recording what was read of
    it, and `DatabaseError` for a database that fails.
    """
    bundle = classifier.bundle
    place = card_of(root)
    unlisted: set[bytes] = set()
    items = _wanted(scan(root), skip, unlisted)
    first = next(items, None)
    if first is None and skip is not None:
        _resolve_listed(store, root, place, unlisted)
        return Account()  # a look at a card that brought nothing new leaves no trace
    items = chain([first] if first is not None else [], items)
    card = store.card(place.root, volume=place.volume, station=station)
    model = store.model(bundle.name, bundle.version, bundle.digest, bundle.profile)
    near = NearDuplicates(*store.perceptual_hashes())
    run = store.begin_run(card, model)
    account, gone = Account(), 0
    try:
        work = partial(
            _work,
            store=store,
            model=model,
            classifier=classifier,
            card=place,
            in_hand=in_hand or InHand(),
        )
        for batch in _in_order(items, work, workers or cores(), stop):
            account += _record(store, card, model, near, batch)
            gone += len(batch.gone)
            if on_progress is not None:
                on_progress(Progress(account.files, total))
        store.group(model, NamingRule(bundle.species, bundle.decision.min_probability))
    finally:
        store.finish_run(run, account)
    if gone:
        place.check_is_there()
    if stop is None or not stop.is_set():
        _resolve_listed(store, root, place, unlisted)
    return account


def _wanted(
    items: Iterator[Item], skip: Callable[[Item], bool] | None, unlisted: set[bytes]
) -> Iterator[Item]:
    """Leave out what is to be skipped, and note which places the scan could not read."""
    for item in items:
        if isinstance(item, Problem) and item.reason == "unreadable":
            unlisted.add(item.relative)
        if skip is None or not skip(item):
            yield item


def _resolve_listed(store: Store, root: Path, card: Card, unlisted: set[bytes]) -> None:
    """Resolve the problems of folders that could not be listed once and were in this pass."""
    if not root.is_dir():
        return  # one file says nothing of the folders beside it
    store.resolve(
        problem
        for problem, relative in store.unreadable(card.root, card.volume)
        if relative not in unlisted and (card.root / os.fsdecode(relative)).is_dir()
    )


def _in_order(
    items: Iterator[Item],
    work: Callable[[Sequence[Item]], T],
    workers: int,
    stop: threading.Event | None = None,
) -> Iterator[T]:
    """Work on handfuls of files in threads; the results in the order of the card.

    At most two handfuls a worker are under way, so memory does not grow with the card. Where
    `items` fails (a card is pulled out), what it gave before is worked on and yielded first.
    """
    failure: Exception | None = None
    with ThreadPoolExecutor(workers, thread_name_prefix="trapsort") as pool:
        under_way: deque[Future[T]] = deque()
        try:
            while failure is None and not (stop is not None and stop.is_set()):
                handful: list[Item] = []
                try:
                    for item in islice(items, BATCH):  # one by one: list() would lose them
                        handful.append(item)
                except Exception as error:
                    failure = error
                if not handful:
                    break
                under_way.append(pool.submit(work, handful))
                if len(under_way) > 2 * workers:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
            if failure is not None:
                raise failure
        finally:
            for future in under_way:
                future.cancel()


def _work(
    items: Sequence[Item],
    store: Store,
    model: int,
    classifier: Classifier,
    card: Card,
    in_hand: InHand,
) -> Batch:
    """Read, decode and classify a handful of files; a bad photo costs itself and nothing else."""
    fresh: list[Fresh] = []
    batch = Batch()
    for item in items:
        if isinstance(item, Problem):
            batch.problems.append(item)
            continue
        examine = partial(_examine, item, store, model, classifier.bundle.size, in_hand)
        try:
            found = _one(item, examine, alone=in_hand.is_suspect(item))
        except PhotoError as error:
            _note(batch, item, error, card)
            continue
        if isinstance(found, Fresh):
            fresh.append(found)
        else:
            batch.seen.append((item, found))
    answers = _classify(classifier, [each.frame for each in fresh])
    for each, (prediction, why_not) in zip(fresh, answers, strict=True):
        batch.records.append(_as_record(each, prediction))
        if why_not:
            photo = each.photo
            batch.problems.append(Problem(photo.card, photo.relative, UNCLASSIFIED, why_not))
    return batch


def _one(photo: Photo, work: Callable[[], T], *, alone: bool = False) -> T:
    """Work on one photo; once more, alone, where memory runs out or the unforeseen happens.

    With `alone` no other photo is decoded meanwhile, and the first try is the only one.

    Raises `PhotoError`; and `TrapsortError` where no photo is to blame.
    """
    if not alone:
        with FILES.share(photo.size):
            try:
                return _foreseen(work)
            except PhotoError as error:
                if error.reason not in RETRIED:
                    raise
    with FILES.alone():
        return _foreseen(work)


def _foreseen(work: Callable[[], T]) -> T:
    """The one place where what nobody foresaw becomes a problem of the photo that it befell."""
    try:
        return work()
    except (PhotoError, TrapsortError):
        raise
    except MemoryError as error:
        raise PhotoError("no_memory", "memory ran out while the photo was examined") from error
    except Exception as error:
        _log.debug("a photo could not be examined", exc_info=True)
        raise PhotoError("failed", in_brief(error)) from error


def _classify(classifier: Classifier, frames: Sequence[Frame]) -> list[tuple[Prediction, str]]:
    """A prediction for each frame, and why it is no answer where it is none, else nothing.

    Each photo without an answer is tried once more, alone.
    """
    # On a CPU a run with one photo is as fast a photo as a run with eight and takes a third of the
    # memory; and what is said of a photo cannot depend, in the last digit, on those beside it.
    at_once = 1 if classifier.session.provider == "CPUExecutionProvider" else BATCH
    answers = [
        answer
        for start in range(0, len(frames), at_once)
        for answer in _attempt(classifier, frames[start : start + at_once])
    ]
    return [
        _attempt(classifier, [frame])[0] if answer[1] else answer
        for frame, answer in zip(frames, answers, strict=True)
    ]


def _attempt(classifier: Classifier, frames: Sequence[Frame]) -> list[tuple[Prediction, str]]:
    try:
        with RUNS:
            answers = classifier.classify(frames)
    except TrapsortError:
        raise
    except Exception as error:  # ONNX Runtime's have no common base, and memory may run out
        _log.debug("a batch could not be classified", exc_info=True)
        return [(NO_ANSWER, in_brief(error))] * len(frames)
    return [
        (found, REASON_CODES[UNCLASSIFIED] if found.reason == UNCLASSIFIED else "")
        for found in answers
    ]


def _note(batch: Batch, photo: Photo, error: PhotoError, card: Card) -> None:
    """Note a photo that failed; one that is not there any more has no problem."""
    cause = error.__cause__
    if isinstance(cause, FileNotFoundError) or (isinstance(cause, OSError) and not card.is_there):
        batch.gone.append(photo)
        return
    batch.problems.append(Problem(photo.card, photo.relative, error.reason, error.detail))
    if error.reason in PASSING:
        batch.again.append(photo)


def _examine(
    photo: Photo, store: Store, model: int, size: tuple[int, int], in_hand: InHand
) -> Fresh | bytes:
    """A decoded photo, or the digest of one that this model has classified before."""
    content = read_content(photo)
    if store.known([content.sha256], model).get(content.sha256):
        return content.sha256
    with in_hand.holding(photo):
        frame = decode(content.data, size)
    return Fresh(
        photo=photo,
        sha256=content.sha256,
        size=len(content.data),
        exif=read_exif(frame.exif or content.data),
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
    return replace(recorded.account, again=tuple(batch.again))


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
            frames[place] = _one(item, partial(_frame, item, classifier))
        except PhotoError as error:
            problems[place] = error.reason
    answers = _classify(classifier, list(frames.values()))
    said = {place: found for place, (found, _) in zip(frames, answers, strict=True)}
    return [
        Answer(str(item.card / item.name), said.get(place), problems.get(place))
        for place, item in enumerate(items)
    ]


def _frame(photo: Photo, classifier: Classifier) -> Frame:
    return decode(read_content(photo).data, classifier.bundle.size)
