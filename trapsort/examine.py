"""A handful of files read, decoded and classified: what every worker does, thread or machine.

    read -> (seen before?) -> decode -> classify

A bad photo costs itself and nothing else. Nothing here writes: what came out goes back as a
`Batch` to the one that records.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from trapsort.abstentions import REASON_CODES, UNCLASSIFIED
from trapsort.decode import Frame, check_kind, decode, in_brief
from trapsort.ensemble import Classifier, Prediction
from trapsort.errors import PhotoError, TrapsortError
from trapsort.exif import Exif, read_exif
from trapsort.fingerprint import Content, perceptual_hash, read_beginning, read_content
from trapsort.in_hand import InHand
from trapsort.memory import FILES
from trapsort.scan import Photo, Problem
from trapsort.settings import cores
from trapsort.store import Record

if TYPE_CHECKING:
    from PIL import Image

BATCH = 8
"""Photos that another machine is sent at once, and at most in one run of the graph."""

RUNS = threading.BoundedSemaphore(cores())
"""Runs of the graph at a time: more than cores are no faster, and each takes some 25 MB."""

RETRIED = ("no_memory", "failed")
"""Problems that another try at once may not have, with no other heavy photo in memory."""

LARGE_BYTES = 16 * 1024 * 1024
"""Larger files are mostly films: their first bytes are looked at before all is read."""

NO_ANSWER = Prediction(None, None, UNCLASSIFIED, (), ())
"""What is recorded of a photo that the network failed on."""

_log = logging.getLogger(__name__)

Item = Photo | Problem
T = TypeVar("T")
Keep = Callable[[str, "Image.Image"], None]
"""Takes a photo's sha256 in hex and the upright picture it was decoded to; it never fails."""


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
class Failure:
    """Why a photo could not be examined: a reason of `scan.REASONS`, and more of it.

    `is_gone`: it, or its card, was not there any more.
    """

    photo: Photo
    reason: str
    detail: str
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of a handful of files, ready to be recorded.

    `problems` are what the scan met, and photos without an answer, which are among `records` too.
    """

    records: list[Record] = field(default_factory=list)
    seen: list[tuple[Photo, bytes]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def files(self) -> int:
        """How many files it is about, those with an answer missing counted twice."""
        return len(self.records) + len(self.seen) + len(self.problems) + len(self.failures)

    @classmethod
    def of(cls, batches: Iterable[Batch]) -> Self:
        """Several batches as one, in their order."""
        whole = cls()
        for each in batches:
            whole.records.extend(each.records)
            whole.seen.extend(each.seen)
            whole.problems.extend(each.problems)
            whole.failures.extend(each.failures)
        return whole


def at_once(classifier: Classifier) -> int:
    """How many photos go through the graph in one run."""
    # On a CPU a run with one photo is as fast a photo as a run with eight and takes a third of the
    # memory; and what is said of a photo cannot depend, in the last digit, on those beside it.
    return 1 if classifier.session.provider == "CPUExecutionProvider" else BATCH


def read(photo: Photo) -> Content:
    """Read a whole file; of a large one that is no photo the beginning is enough.

    Raises `PhotoError` as `read_content` does, and unsupported.
    """
    if photo.size > LARGE_BYTES:
        check_kind(read_beginning(photo))
    return read_content(photo)


def work(
    items: Sequence[Item],
    *,
    is_known: Callable[[bytes], bool],
    classifier: Classifier,
    in_hand: InHand,
    is_there: Callable[[], bool],
    contents: Mapping[bytes, Content] | None = None,
    keep: Keep | None = None,
) -> Batch:
    """Read, decode and classify a handful of files.

    `is_known` says of a sha256 whether this model has classified that content before, `is_there`
    whether the card still is; `contents`, by the path on the card, need not be read again; `keep`
    is shown each picture.
    Raises `TrapsortError` where no photo is to blame.
    """
    fresh: list[Fresh] = []
    batch = Batch()
    for item in items:
        if isinstance(item, Problem):
            batch.problems.append(item)
            continue
        size = classifier.bundle.size
        examine = partial(_examine, item, contents or {}, is_known, size, in_hand, keep)
        try:
            found = one(item, examine, alone=in_hand.is_suspect(item))
        except PhotoError as error:
            batch.failures.append(failure_of(item, error, is_there))
            continue
        if isinstance(found, Fresh):
            fresh.append(found)
        else:
            batch.seen.append((item, found))
    answers = classify(classifier, [each.frame for each in fresh])
    for each, (prediction, why_not) in zip(fresh, answers, strict=True):
        batch.records.append(_as_record(each, prediction))
        if why_not:
            photo = each.photo
            batch.problems.append(Problem(photo.card, photo.relative, UNCLASSIFIED, why_not))
    return batch


def failure_of(photo: Photo, error: PhotoError, is_there: Callable[[], bool]) -> Failure:
    """What an error says of its photo; where the system failed, the card may be gone with it."""
    cause = error.__cause__
    is_gone = isinstance(cause, FileNotFoundError) or (
        isinstance(cause, OSError) and not is_there()
    )
    return Failure(photo, error.reason, error.detail, is_gone)


def one(photo: Photo, work: Callable[[], T], *, alone: bool = False) -> T:
    """Work on one photo; once more, alone, where memory runs out or the unforeseen happens.

    With `alone` no other photo is decoded meanwhile, and the first try is the only one.

    Raises `PhotoError`; and `TrapsortError` where no photo is to blame.
    """
    if not alone:
        with FILES.share(photo.size):
            try:
                return foreseen(work)
            except PhotoError as error:
                if error.reason not in RETRIED:
                    raise
    with FILES.alone():
        return foreseen(work)


def foreseen(work: Callable[[], T]) -> T:
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


def classify(classifier: Classifier, frames: Sequence[Frame]) -> list[tuple[Prediction, str]]:
    """A prediction for each frame, and why it is no answer where it is none, else nothing.

    Each photo without an answer is tried once more, alone.
    """
    size = at_once(classifier)
    answers = [
        answer
        for start in range(0, len(frames), size)
        for answer in _attempt(classifier, frames[start : start + size])
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


def _examine(
    photo: Photo,
    contents: Mapping[bytes, Content],
    is_known: Callable[[bytes], bool],
    size: tuple[int, int],
    in_hand: InHand,
    keep: Keep | None,
) -> Fresh | bytes:
    """A decoded photo, or the digest of one that this model has classified before."""
    content = contents.get(photo.relative) or read(photo)
    if is_known(content.sha256):
        return content.sha256
    keep_it = None if keep is None else partial(keep, content.sha256.hex())
    with in_hand.holding(photo):
        frame = decode(content.data, size, keep=keep_it)
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
