"""What detectors and classifiers of other programs found on photos, whatever the format.

A reader turns a file into `Results`; `matching` finds the photos; the store keeps the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from trapsort.ensemble import Prediction
from trapsort.redlist import red_list

MIN_CONFIDENCE = 0.2
"""Boxes below this count for nothing where a file does not say better (MegaDetector 5's own)."""

OUTSIDE = 0.01
"""How far a box may lie outside its photo, as a share: programs round to three or four digits."""

VIDEOS = (
    *(".mp4", ".avi", ".mpeg", ".mpg", ".mov", ".mkv", ".flv"),
    *(".m4v", ".wmv", ".webm", ".3gp", ".mts"),
)
MOST_TEXT = 1000  # characters of a name

TOKENS = 7  # of SpeciesNet's classes: guid;class;order;family;genus;species;common name
NO_RESULT = "no cv result"  # common name of the class with which SpeciesNet gives up
NOTHING = ("empty", "blank")
REASONS = {
    "animal": "other_animal",
    "person": "person",
    "human": "person",
    "people": "person",
    "homo sapiens": "person",
    "vehicle": "vehicle",
    "blank": "blank",
    "empty": "blank",
}
"""What other programs call what is no species, in lower case -> why a photo has no species."""

Box4: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """What a detector put a box around; `said` is the detector's, `named` a classifier's answer.

    The box is left, top, width and height as shares of the upright photo; confidence 0..1.
    """

    box: Box4
    confidence: float
    said: Prediction
    named: Prediction | None = None

    def discounted(self) -> Box:
        """The same, as what counts for nothing."""
        named = None if self.named is None else discounted(self.named)
        return replace(self, said=discounted(self.said), named=named)


@dataclass(frozen=True, slots=True)
class Detected:
    """What was found on one photo; `said` and `named` are of the whole photo, where they are."""

    path: str
    boxes: tuple[Box, ...] = ()
    said: Prediction | None = None
    named: Prediction | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file of the list that gives nothing: `reason` is a key of `LEFT_OUT`."""

    path: str
    reason: str
    detail: str


LEFT_OUT = {
    "video": "videos are not supported",
    "failed": "the other program could not read them",
    "unknown": "no recorded photo is at that path",
    "ambiguous": "several recorded photos may be meant",
    "unreachable": "the originals cannot be read, so that their boxes are not classified",
}


@dataclass(frozen=True, slots=True)
class Results:
    """A file of results that was read to its end and found sound.

    `source` is the format, `detector` and `classifier` ('' for none) the models' own names, `files`
    and `boxes` how many it lists; `read` goes over it again.
    """

    source: str
    detector: str
    classifier: str
    min_confidence: float
    files: int
    boxes: int
    read: Callable[[], Iterator[Detected | LeftOut]]


@cache
def label_of(name: str) -> str:
    """The label of a species that another program names, else the name as it is.

    A scientific name means a label of the Red List table where that label alone covers it: a
    leopard is not a 'Panthers', which may be a jaguar too.
    """
    wanted = name.casefold().replace("_", " ")
    entries = red_list().entries.values()
    covering = []
    for entry in entries:
        if wanted == entry.label.casefold().replace("_", " "):
            return entry.label
        names = {taxon.scientific_name.casefold() for taxon in entry.taxa}
        others = set(
            chain.from_iterable(
                (taxon.scientific_name.casefold() for taxon in other.taxa)
                for other in entries
                if other is not entry
            )
        )
        if wanted in names and (len(names) == 1 or not names & others):
            covering.append(entry.label)
    return covering[0] if len(covering) == 1 else name


def answer(name: str, score: float | None, top: Sequence[tuple[str, float]] = ()) -> Prediction:
    """What a model says that names something: a species, or why it is none."""
    listed = tuple(top) or (((name, score),) if score is not None else ())
    reason = REASONS.get(name.casefold())
    return Prediction(label_of(name) if reason is None else None, score, reason, listed, ())


def scientific(text: str) -> str:
    """The species, else the lowest rank or the common name, of seven tokens; or the text itself."""
    tokens = [token.strip() for token in text.split(";")]
    if len(tokens) != TOKENS:
        return text
    *_, genus, species, common = tokens
    if genus and species:
        return f"{genus.capitalize()} {species}"
    ranks = [token.capitalize() for token in tokens[1:5] if token]
    return ranks[-1] if ranks else common or text


def named(text: str, score: float, top: Sequence[tuple[str, float]]) -> Prediction | None:
    """What a classifier says with a name or seven tokens; None where it says that it cannot tell.

    Of the tokens a species becomes a label; a coarser rank is an animal, and `top` keeps its name.
    """
    name = scientific(text)
    listed = [(scientific(each), value) for each, value in top]
    if all(name != each for each, _ in listed):
        listed.insert(0, (name, score))
    is_class = text.count(";") == TOKENS - 1
    *_, genus, species, common = text.split(";") if is_class else [text] * TOKENS
    if common.casefold() == NO_RESULT:
        return None
    if common.casefold() in REASONS:
        return answer(common, score, listed)
    return answer(name if genus and species else "animal", score, listed)


def discounted(said: Prediction) -> Prediction:
    """What a model says with too little confidence: `top` keeps it, and it counts for nothing."""
    return replace(said, label=None, probability=None, reason="low_confidence")


def blank(boxes: Sequence[Box]) -> Prediction:
    """What a detector says that found nothing it was sure of."""
    most = max((box.confidence for box in boxes), default=0.0)
    return Prediction(None, 1 - most, "blank", (), ())


# Checks: what they raise says what is wrong with a value, and the reader where it stands ----------


def is_video(path: str) -> bool:
    """Whether a path is that of a film."""
    return PurePosixPath(path.replace("\\", "/")).suffix.casefold() in VIDEOS


def number(value: Any, what: str) -> float:
    """A share from 0 to 1; raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{what} is {_shown(value)}, not a number from 0 to 1")
    return float(value)


def name_in(value: Any, what: str) -> str:
    """A name of a model, a label or a file; raises ValueError for no text, or one unfit to keep."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{what} is {_shown(value)}, not a name")
    if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise ValueError(f"{what} holds characters that are no text: {_shown(value)}")
    if len(value) > MOST_TEXT:
        raise ValueError(f"{what} is longer than {MOST_TEXT:,} characters")
    return value.strip()


def box_in(value: Any) -> Box4:
    """A box inside the photo; raises ValueError."""
    if not isinstance(value, list) or len(value) != 4:
        raise ValueError(f"bbox is {_shown(value)}, not four numbers")
    for each in value:
        if isinstance(each, bool) or not isinstance(each, int | float) or not math.isfinite(each):
            raise ValueError(f"bbox is {_shown(value)}, not four numbers")
    x, y, width, height = map(float, value)
    inside = min(x, y) >= -OUTSIDE and max(x + width, y + height) <= 1 + OUTSIDE
    if not inside or min(width, height) < 0:
        raise ValueError(f"bbox {_shown(value)} lies outside its photo")
    return x, y, width, height


def members(value: Any, what: str, kind: type) -> Any:
    """A list or an object; raises ValueError."""
    if not isinstance(value, kind):
        wanted = "a list" if kind is list else "an object"
        raise ValueError(f"{what} is {_shown(value)}, not {wanted}")
    return value


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
