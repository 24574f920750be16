"""Naming the animals in a detector's boxes: each is cut out of its photo and classified alone.

What is cut is a square around the box, a tenth of its side wider on every side, moved to lie inside
the photo. The bundle learned from whole photos: animals that are not squeezed out of shape and have
some surroundings. A tight box would be squeezed (an upright deer to a third of its height), and
black bars beside it are what no photo has. Only a box that is wider than the photo is high, or the
reverse, stays a rectangle, and is squeezed as the whole photo would be.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trapsort.decode import crops, in_brief
from trapsort.ensemble import Classifier, Prediction
from trapsort.errors import PhotoError, TrapsortError
from trapsort.examine import NO_ANSWER, RUNS
from trapsort.fingerprint import read_content
from trapsort.memory import FILES
from trapsort.scan import Photo
from trapsort.store import Store
from trapsort.store.imported import Unnamed
from trapsort.store.rows import NamingRule

MARGIN = 0.1
AT_ONCE = 32  # photos in one transaction

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unreached:
    """A photo whose boxes could not be classified, and why."""

    path: str
    detail: str


def classify_boxes(
    store: Store,
    classifier: Classifier,
    photo_ids: Sequence[int],
    *,
    detector: int,
    min_confidence: float,
    workers: int,
    on_progress: Callable[[int], None],
) -> Iterator[int | Unreached]:
    """Name the animals in a detector's (model id) boxes on these photos.

    Yields how many boxes of a photo were classified and recorded, or why none could be. What this
    bundle has said before is not asked again, so that a run that was stopped goes on. `on_progress`
    gets the number of photos looked at.
    """
    bundle = classifier.bundle
    model = store.model(bundle.name, bundle.version, bundle.digest, bundle.profile)
    name = partial(_name, classifier=classifier)
    with ThreadPoolExecutor(workers, thread_name_prefix="trapsort") as pool:
        for start in range(0, len(photo_ids), AT_ONCE):
            part = photo_ids[start : start + AT_ONCE]
            found = store.unnamed(part, model, detector, min_confidence)
            named = list(pool.map(name, found))
            answers = {k: v for each in named if isinstance(each, dict) for k, v in each.items()}
            if answers:
                store.answer(model, answers)
            on_progress(start + len(part))
            yield from (len(each) if isinstance(each, dict) else each for each in named)
    store.group(model, NamingRule(bundle.species, bundle.decision.min_probability))


def square(
    box: tuple[float, float, float, float], width: int, height: int
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what is cut out for a box, as shares of the photo.

    box: left, top, width and height as shares; width, height: pixels of the upright photo.
    """
    x, y, across, down = box
    side = max(across * width, down * height) * (1 + 2 * MARGIN)  # pixels
    left, right = _span(x + across / 2, side / width)
    top, bottom = _span(y + down / 2, side / height)
    return left, top, right, bottom


def _span(middle: float, length: float) -> tuple[float, float]:
    length = min(length, 1.0)
    start = min(max(middle - length / 2, 0.0), 1.0 - length)
    return start, start + length


def _name(photo: Unnamed, classifier: Classifier) -> dict[int, Prediction] | Unreached:
    """What a bundle says of each box (region id) of a photo."""
    why = PhotoError("unreadable", "it is at no place")
    for root, relative in photo.places:
        try:
            return _name_at(photo, Path(root), relative, classifier)
        except PhotoError as error:
            why = error
    root, relative = photo.places[0] if photo.places else ("", b"")
    return Unreached(str(Path(root) / os.fsdecode(relative)), why.detail)


def _name_at(
    photo: Unnamed, root: Path, relative: bytes, classifier: Classifier
) -> dict[int, Prediction]:
    path = root / os.fsdecode(relative)
    try:
        status = path.lstat()
    except OSError as error:
        raise PhotoError("unreadable", error.strerror or str(error)) from error
    squares = [square(box, photo.width, photo.height) for _, box in photo.boxes]
    with FILES.share(status.st_size):
        content = read_content(Photo(root, path, relative, status.st_size, status.st_mtime_ns))
        if content.sha256 != photo.sha256:
            raise PhotoError("changed", "another file is there now: not the photo of these boxes")
        frames = crops(content.data, squares, classifier.bundle.size)
    # One at a time, as for whole photos: what is said of a box cannot depend on those beside it.
    answers = {}
    for (region, _), frame in zip(photo.boxes, frames, strict=True):
        try:
            with RUNS:
                answers[region] = classifier.classify([frame])[0]
        except TrapsortError:
            raise
        except Exception as error:  # ONNX Runtime's have no common base, and memory may run out
            _log.debug("a box could not be classified: %s", in_brief(error), exc_info=True)
            answers[region] = NO_ANSWER
    return answers
