"""What files show, without a record: nothing is written anywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from trapsort.decode import Frame, decode
from trapsort.ensemble import Classifier, Prediction
from trapsort.errors import PhotoError
from trapsort.examine import Item, at_once, classify, one, read
from trapsort.scan import Photo, Problem, scan
from trapsort.settings import cores
from trapsort.workers import in_order


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one file: a prediction, or the reason why it is no usable photo."""

    path: str
    prediction: Prediction | None
    problem: str | None


def classify_folder(
    root: Path, classifier: Classifier, *, workers: int | None = None
) -> Iterator[Answer]:
    """Say what each file below `root` shows, in the order of the folder."""

    def work(items: Sequence[Item]) -> list[Answer]:
        return _answers(items, classifier)

    for answers in in_order(scan(root), work, workers or cores(), at_once(classifier)):
        yield from answers


def _answers(items: Sequence[Item], classifier: Classifier) -> list[Answer]:
    frames: dict[int, Frame] = {}
    problems: dict[int, str] = {}
    for place, item in enumerate(items):
        if isinstance(item, Problem):
            problems[place] = item.reason
            continue
        try:
            frames[place] = one(item, partial(_frame, item, classifier))
        except PhotoError as error:
            problems[place] = error.reason
    answers = classify(classifier, list(frames.values()))
    said = {place: found for place, (found, _) in zip(frames, answers, strict=True)}
    return [
        Answer(str(item.card / item.name), said.get(place), problems.get(place))
        for place, item in enumerate(items)
    ]


def _frame(photo: Photo, classifier: Classifier) -> Frame:
    return decode(read(photo).data, classifier.bundle.size)
