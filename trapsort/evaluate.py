"""What a bundle is worth on a user's own labelled photos.

Figures are of photos that show a species of the bundle, but where negatives (photos of anything
else) are named. Definitions are those of the model cards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trapsort.abstentions import REASON_CODES, UNCLASSIFIED
from trapsort.bundle import Bundle
from trapsort.decode import decode
from trapsort.ensemble import Classifier, Prediction, decide
from trapsort.errors import InputError, PhotoError
from trapsort.fingerprint import read_content
from trapsort.labelled import NEGATIVES, Labelled
from trapsort.measures import Bools, RiskCoverage, Share, calibration_error, risk_coverage, share
from trapsort.scan import Problem, scan
from trapsort.scores import Scores, adjusted, is_finite, joined

BATCH = 8


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A labelled photo without an answer: `reason` is a key of `scan.REASONS`."""

    photo: Labelled
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Answers:
    """Photos, the graph's scores of each, in order, and what had to be left out."""

    photos: tuple[Labelled, ...]
    scores: Scores
    left_out: tuple[LeftOut, ...]

    def part(self, index: NDArray[np.intp]) -> Answers:
        """The photos at some places; what was left out belongs to no part."""
        return Answers(tuple(self.photos[i] for i in index), self.scores.part(index), ())


def answer(
    photos: Sequence[Labelled],
    classifier: Classifier,
    *,
    workers: int,
    on_progress: Callable[[int], None] | None = None,
) -> Answers:
    """Ask a bundle's graph for each photo, whatever profile is in force.

    `on_progress` gets the number of finished photos. Raises `InputError` where none can be read.
    """
    handfuls = [photos[start : start + BATCH] for start in range(0, len(photos), BATCH)]
    kept: list[Labelled] = []
    left_out: list[LeftOut] = []
    scores: list[Scores] = []
    done = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="trapsort") as pool:
        for handful, answered in zip(
            handfuls, pool.map(partial(_ask, classifier=classifier), handfuls), strict=True
        ):
            kept += answered.photos
            left_out += answered.left_out
            scores += [answered.scores] if answered.photos else []
            done += len(handful)
            if on_progress is not None:
                on_progress(done)
    if not kept:
        first = left_out[0]
        raise InputError(
            f"None of the {len(photos)} files could be read as a photo; the first is "
            f"{first.photo.name}: {first.detail}.",
            "Check the paths.",
        )
    return Answers(tuple(kept), joined(scores), tuple(left_out))


def _ask(handful: Sequence[Labelled], classifier: Classifier) -> Answers:
    """Read and answer a handful of photos; a bad one is left out."""
    pixels: list[NDArray[np.uint8]] = []
    kept: list[Labelled] = []
    left_out: list[LeftOut] = []
    for photo in handful:
        try:
            pixels.append(decode(_read(photo.path), classifier.bundle.size).model_input)
            kept.append(photo)
        except PhotoError as error:
            left_out.append(LeftOut(photo, error.reason, error.detail))
    if not kept:
        nothing = np.zeros((0, 0), np.float32)
        return Answers((), Scores(nothing, nothing, nothing), tuple(left_out))
    scores = classifier.session.run(np.stack(pixels))
    answers = Answers(tuple(kept), scores, tuple(left_out))
    finite = is_finite(scores)
    if finite.all():
        return answers
    good = answers.part(np.flatnonzero(finite))
    detail = REASON_CODES[UNCLASSIFIED]
    bad = [LeftOut(kept[i], UNCLASSIFIED, detail) for i in np.flatnonzero(~finite)]
    return replace(good, left_out=(*left_out, *bad))


def _read(path: Path) -> bytes:
    try:
        items = [] if path.is_dir() else list(scan(path))
    except InputError as error:
        raise PhotoError(
            "unreadable", error.message.removeprefix(f"{path} ").rstrip(".")
        ) from error
    if not items:
        raise PhotoError("not_an_image", "it is a folder")
    if isinstance(items[0], Problem):
        raise PhotoError(items[0].reason, items[0].detail)
    return read_content(items[0]).data


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """One label of the bundle, by the most probable label of every photo, negatives included.

    precision is None where nothing was called so, recall without photos; named: how many of its
    photos were reported as it.
    """

    label: str
    photos: int
    precision: float | None
    recall: float | None
    f1: float | None
    named: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of some photos.

    top1: the most probable label is right; coverage: a species was named; accepted: the named one
    is right; calibration_error: of the most probable label. These are of photos of species, the
    next two not: named_right: right ones among all photos that were named; false_species:
    negatives that were named. reasons: why photos of species were not. confusion: int (rows,
    labels) of photos, rows are true labels, those of negatives last; columns all of the bundle's.
    """

    species: tuple[str, ...]

    photos: int
    negatives: int
    top1: Share
    coverage: Share
    accepted: Share
    named_right: Share
    false_species: Share
    calibration_error: float
    risk_coverage: RiskCoverage
    reasons: dict[str, int]
    labels: tuple[LabelFigures, ...]
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    confusion: NDArray[np.int64]
    predictions: tuple[Prediction, ...]


def evaluate(answers: Answers, bundle: Bundle) -> Evaluation:
    """Every figure, as the bundle's own rule or the profile in force decides.

    Raises `InputError` where no photo shows a species of the bundle.
    """
    predictions = tuple(decide(answers.scores, bundle))
    probabilities = adjusted(answers.scores, bundle).probabilities
    truth = [photo.label for photo in answers.photos]
    species = np.array([label in bundle.species for label in truth])
    if not species.any():
        raise InputError(
            "No photo that could be read shows a species of the bundle.",
            f"Label some as one of: {', '.join(bundle.species)}.",
        )
    best = np.array([bundle.labels[i] for i in probabilities.argmax(axis=1)])
    right: Bools = best == np.array(truth)
    named = np.array([each.label is not None for each in predictions])
    sure = probabilities.max(axis=1)[species]
    rows = [label for label in (*bundle.labels, *NEGATIVES) if label in set(truth)]
    rows = sorted(dict.fromkeys(rows), key=lambda label: label not in bundle.species)
    places = {label: place for place, label in enumerate(rows)}
    confusion = np.zeros((len(rows), len(bundle.labels)), np.int64)
    np.add.at(confusion, ([places[label] for label in truth], probabilities.argmax(axis=1)), 1)
    return Evaluation(
        species=bundle.species,
        photos=int(species.sum()),
        negatives=int((~species).sum()),
        top1=share(right[species]),
        coverage=share(named[species]),
        accepted=share(right[species & named]),
        named_right=share(right[named]),
        false_species=share(named[~species]),
        calibration_error=calibration_error(sure, right[species]),
        risk_coverage=risk_coverage(sure, right[species]),
        reasons=dict(
            Counter(
                each.reason
                for each, animal in zip(predictions, species, strict=True)
                if animal and each.reason
            ).most_common()
        ),
        labels=tuple(_label_figures(bundle.labels, np.array(truth), best, named)),
        rows=tuple(rows),
        columns=bundle.labels,
        confusion=confusion,
        predictions=predictions,
    )


def _label_figures(
    labels: Sequence[str], truth: NDArray[np.str_], best: NDArray[np.str_], named: Bools
) -> list[LabelFigures]:
    """Figures of each label that is somewhere true or somewhere the most probable."""
    found = []
    for label in labels:
        own, said = truth == label, best == label
        photos, called, hit = int(own.sum()), int(said.sum()), int((own & said).sum())
        if photos or called:
            found.append(
                LabelFigures(
                    label=label,
                    photos=photos,
                    precision=hit / called if called else None,
                    recall=hit / photos if photos else None,
                    f1=2 * hit / (photos + called),
                    named=int((own & said & named).sum()),
                )
            )
    return found
