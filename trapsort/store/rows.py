"""What goes into the record and what comes out of it, as small frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trapsort.ensemble import Prediction
    from trapsort.exif import Exif
    from trapsort.scan import Photo

UNCLASSIFIED = "unclassified"
"""Reason of a prediction without a finite answer, and of the problem that such a photo has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One photo as the pipeline leaves it.

    `sha256` is 32 bytes, `width` and `height` the upright original's pixels, `flags` those of the
    decoder (EXIF brings its own), `perceptual_hash` 64 bits unsigned. `near` is the photo that this
    one nearly equals and the distance in bits; a photo of the same batch has no id yet and is named
    by -1 - its place among the batch's records.
    """

    photo: Photo
    sha256: bytes
    size: int
    exif: Exif
    width: int
    height: int
    format: str
    flags: tuple[str, ...]
    perceptual_hash: int
    near: tuple[int, int] | None = None
    prediction: Prediction | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """What became of the files of a card.

    `again` are those of the problems that another try may not have: files that could not be read.
    """

    files: int = 0
    recorded: int = 0
    seen_before: int = 0
    problems: int = 0
    again: tuple[Photo, ...] = field(default=(), repr=False, compare=False)

    def __add__(self, other: Account) -> Account:
        return Account(
            self.files + other.files,
            self.recorded + other.recorded,
            self.seen_before + other.seen_before,
            self.problems + other.problems,
            self.again + other.again,
        )

    @property
    def sentence(self) -> str:
        """'4,812 files: 4,790 photos recorded, 14 seen before, 8 problems'."""
        files, photos = _counted(self.files, "file"), _counted(self.recorded, "photo")
        problems = _counted(self.problems, "problem")
        return f"{files}: {photos} recorded, {self.seen_before:,} seen before, {problems}"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a batch: its account, and the photo id of each of its records, in order.

    A record whose content was known already counts as seen before.
    """

    account: Account
    photo_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One photo and what it shows: the newest review, else what the model used last said.

    A label comes either from a reviewer or from a model with its calibrated probability, never from
    both: `reviewed` says which, and the fields of the other are None. `label` is None where the
    model abstained, for `reason`. `path` and `card` are the first place where the photo was seen
    and nothing took its place, `flags` are sorted and separated by spaces, the position is the
    station's, else the camera's.
    """

    photo_id: int
    sha256: str
    path: str
    card: str
    station: str | None
    camera_time: str | None
    label: str | None
    scientific_name: str
    iucn: str | None
    probability: float | None
    reason: str | None
    reviewed: bool
    reviewer: str | None
    model: str | None
    width: int
    height: int
    near_duplicate_of: int | None
    flags: str
    latitude: float | None
    longitude: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SightingQuery:
    """Which sightings; every condition that is set must hold, all bounds are included.

    `species` names labels or scientific names ('unknown': those without a label), `iucn` categories
    that lie within a label's range, `card` a folder where the photo was ever seen and nothing took
    its place. `since` and `until` are camera dates, `recorded_since` and `recorded_until` UTC text.
    `min_probability` is asked of models only: what a person said passes.
    """

    species: tuple[str, ...] = ()
    iucn: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    station: str | None = None
    min_probability: float | None = None
    reason: str | None = None
    reviewed: bool | None = None
    card: str | None = None
    red_list: str = "iucn"
    recorded_since: str | None = None
    recorded_until: str | None = None


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A file that gave no sighting; `resolved` is when the same place could be read later (UTC)."""

    card: str
    path: str
    reason: str
    detail: str
    first_seen: str
    last_seen: str
    resolved: str | None


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A bundle that has classified into this record, first at `added` (UTC).

    With a site profile in force, `profile` names it and `digest` is that of both together.
    """

    name: str
    version: str
    digest: str
    added: str
    profile: str = ""


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
