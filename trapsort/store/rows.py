"""What goes into the record and what comes out of it, as small frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trapsort.ensemble import Prediction
    from trapsort.exif import Exif
    from trapsort.scan import Photo


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

    Where and when it was taken, `station`, `deployment` and `time` (local, by a clock put right),
    is what its deployment says, else the card's station and the camera's time. A label comes either
    from a reviewer or from a model with its calibrated probability, never from both: `reviewed`
    says which, and the fields of the other are None. `label` is None where the model abstained, for
    `reason`; `count` is the reviewer's, else 1 where there is a label. `path` and `card` are the
    first place where the photo was seen and nothing took its place, `flags` are sorted and
    separated by spaces, the position is the station's, else the camera's. `sequence_label` is what
    the frames of its sequence say together: None where they abstain, are one, or nobody asked.
    """

    photo_id: int
    sha256: str
    path: str
    card: str
    station: str | None
    deployment: str | None
    sequence_id: int | None
    camera_time: str | None
    time: str | None
    utc_offset: str | None
    label: str | None
    count: int | None
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
    sequence_label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SightingQuery:
    """Which sightings; every condition that is set must hold, all bounds are included.

    `species` names labels or scientific names ('unknown': those without a label), `iucn` categories
    that lie within a label's range, `card` a folder where the photo was ever seen and nothing took
    its place. `since` and `until` are true dates, `recorded_since` and `recorded_until` UTC text.
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
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StationRow:
    """A place with cameras; degrees north and east, None where nobody said."""

    name: str
    latitude: float | None = None
    longitude: float | None = None
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """What puts a deployment's clock right, in seconds and seconds a day; never changed again.

    The drift counts nothing at the camera time `since`. `created` is UTC.
    """

    deployment: str
    offset_seconds: float
    drift_seconds_per_day: float
    since: str | None
    created: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRow:
    """A camera at a station for a while.

    `start` and `end` are 'YYYY-MM-DDTHH:MM:SS', local and true; where only days were given they are
    00:00:00 of the first and 23:59:59 of the last. `problems` are periods in which the camera did
    not work, dates or such times. Photos belong to it by `serial`, `card` (folder or volume) and
    `folder` (a pattern of the path on the card): whichever are set. The position is the station's.
    """

    name: str
    station: str
    camera: str = ""
    serial: str = ""
    card: str = ""
    folder: str = ""
    start: str | None = None
    end: str | None = None
    utc_offset: str | None = None
    bait: str = ""
    habitat: str = ""
    comments: str = ""
    latitude: float | None = None
    longitude: float | None = None
    problems: tuple[tuple[str, str], ...] = ()
    corrections: tuple[Correction, ...] = ()
    origin: Origin | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """The line of a file that a row was read from; `columns`: field -> name in the file."""

    file: str
    line: int
    columns: Mapping[str, str]

    def at(self, name: str) -> str:
        """'stations.csv, line 3, column Setup_date'."""
        column = self.columns.get(name)
        return f"{self.file}, line {self.line}" + (f", column {column}" if column else "")


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A photo that belongs to no deployment, and why; `rivals` where it might be one of several."""

    photo_id: int
    path: str
    card: str
    station: str | None
    camera_time: str | None
    serial: str | None
    why: str
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NamingRule:
    """When a bundle names a species: it is one of these, and at least so probable."""

    species: tuple[str, ...]
    min_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counting:
    """What counts as a detection: reviewed, or named by a model that was sure enough.

    `since` and `until` are included dates by true time; `min_probability` is asked of models only;
    `species` are labels or scientific names.
    """

    reviewed_only: bool = False
    min_probability: float | None = None
    since: date | None = None
    until: date | None = None
    station: str | None = None
    species: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One photo that shows a species, as a survey counts it.

    `time` is local and true, `station` '' where nobody said. `probability` and `model` are None
    where a person said what it is. `sequence_label` is what all frames of the sequence say together
    by the same model, None where they abstain or are one.
    """

    photo_id: int
    sha256: str
    station: str
    deployment: str | None
    label: str
    scientific_name: str
    iucn: str | None
    count: int
    time: str
    utc_offset: str | None
    card: str
    path: str
    sequence_id: int | None
    reviewed: bool
    reviewer: str | None
    probability: float | None
    reason: str | None
    model: str | None
    sequence_label: str | None = None


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
