"""What the API takes and answers, as Pydantic models: they are the OpenAPI document."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_AT_ONCE = 500
"""Photos in one decision, and at most in one page."""

BIGGEST = 2**63 - 1
"""The greatest id that a database holds."""

Id = Annotated[int, Field(ge=1, le=BIGGEST)]


class _Answer(BaseModel):
    """Answers are built by name and never changed."""

    model_config = ConfigDict(frozen=True)


class _Asked(BaseModel):
    """A field that does not exist is an error, because a misspelt `seen` would overwrite."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Refusal(_Answer):
    """What went wrong, and what to do about it."""

    error: str
    hint: str = ""


class Iucn(_Answer):
    """A Red List category, or a range ('NT-CR') where a label covers several taxa."""

    category: str
    text: str
    citation: str


class Sighting(_Answer):
    """A photo and what it shows; `review_id` is the review in force, to be sent back as `seen`.

    `likely` is what a model thought most probable where there is no label; `probability` is its.
    """

    id: int
    sha256: str
    label: str | None
    probability: float | None
    reason: str | None
    likely: str | None
    reviewed: bool
    reviewer: str | None
    review_id: int | None
    note: str
    count: int | None
    species: str
    iucn: Iucn | None
    station: str | None
    deployment: str | None
    time: str | None
    camera_time: str | None
    card: str | None
    path: str | None
    sequence_id: int | None
    near_duplicate_of: int | None
    width: int
    height: int
    model: str | None


class SightingPage(_Answer):
    """Some sightings; `next` asks for those after them. `total_hint` stops at `total_limit`."""

    items: list[Sighting]
    next: str | None
    total_hint: int | None
    total_limit: int


class Share(_Answer):
    """A label and its probability."""

    label: str
    probability: float | None


class Vote(_Answer):
    """What one member of the ensemble said alone."""

    member: str
    label: str
    probability: float | None


class Place(_Answer):
    """Where a photo was seen; `gone` where other content took its place since (UTC)."""

    card: str
    path: str
    first_seen: str
    last_seen: str
    gone: str | None


class Review(_Answer):
    """What somebody said; `retracts` names the review that a row takes back."""

    id: int
    label: str | None
    count: int
    reviewer: str
    time: str
    note: str
    retracts: int | None
    retracted: bool


class LookAlike(_Answer):
    """The species that is the nearest after the one that is named, or that might be."""

    label: str
    species: str
    iucn: Iucn | None
    probability: float | None


class Said(_Answer):
    """What the model said of the photo last, whatever people said since."""

    label: str | None
    probability: float | None
    reason: str | None
    reason_text: str
    model: str


class PhotoDetail(Sighting):
    """A photo and all that is known of it."""

    said: Said | None
    top: list[Share]
    members: list[Vote]
    exif: dict[str, str | int | float | None]
    flags: list[str]
    near_duplicates: list[int]
    sequence: list[int]
    places: list[Place]
    reviews: list[Review]
    look_alike: LookAlike | None


class Decision(_Asked):
    """One answer for one or more photos.

    `label` null: looked, cannot say. `seen` holds, for every photo, the `review_id` that its author
    saw. `new_label` allows a label that the record does not know yet.
    """

    photos: Annotated[list[Id], Field(min_length=1, max_length=MOST_AT_ONCE)]
    label: Annotated[str | None, Field(min_length=1, max_length=100)]
    count: Annotated[int, Field(ge=0, le=100_000)] = 1
    note: Annotated[str, Field(max_length=2_000)] = ""
    reviewer: Annotated[str, Field(max_length=100)] = ""
    seen: dict[Id, Id | None]
    new_label: bool = False


class Made(_Answer):
    """A review that was written."""

    photo: int
    review_id: int


class Decided(_Answer):
    """The reviews that were written, all of them or none, in the order of the photos."""

    reviews: list[Made]


class Conflict(Refusal):
    """Somebody was faster: what is in force now on those photos. Nothing was written."""

    sightings: list[Sighting]


class Undo(_Asked):
    """Reviews to take back."""

    reviews: Annotated[list[Id], Field(min_length=1, max_length=MOST_AT_ONCE)]
    reviewer: Annotated[str, Field(max_length=100)] = ""


class Undone(_Answer):
    """The photos whose reviews were taken back, as they are now."""

    sightings: list[Sighting]


Kind = Literal["species", "other", "unknown"]


class Label(_Answer):
    """A label that a reviewer may give; `label` null is 'unknown'. `key` is its key on the page."""

    label: str | None
    name: str
    kind: Kind
    key: str | None
    species: str
    iucn: Iucn | None
    used: int


class Count(_Answer):
    """How many photos a value has; `value` '' means none."""

    value: str
    photos: int


class Counts(_Answer):
    """Photos by one of the questions."""

    by: str
    counts: list[Count]


class Station(_Answer):
    """A place with cameras."""

    name: str
    latitude: float | None
    longitude: float | None
    photos: int


class Account(_Answer):
    """What became of a card's files the last time; `finished` null: it never came to its end."""

    started: str
    finished: str | None
    files: int
    recorded: int
    seen_before: int
    problems: int


class Card(_Answer):
    """A card as the record names it; `photos` are those that were ever seen on it."""

    id: int
    root: str
    volume: str
    station: str | None
    first_seen: str
    last_seen: str
    photos: int
    reviewed: int
    open_problems: int
    account: Account | None


class Problem(_Answer):
    """A file that gave no sighting."""

    id: int
    card: str
    path: str
    reason: str
    detail: str
    first_seen: str
    last_seen: str


class ProblemPage(_Answer):
    """Some open problems, the newest first; `next` asks for those after them."""

    items: list[Problem]
    next: int | None


class Progress(_Answer):
    """A card that is being taken in."""

    card: str
    station: str | None
    since: str
    last: str
    files: int
    recorded: int
    problems: int


class Classified(_Answer):
    """What one photo shows; nothing of it is stored. Pictures are base64: `heatmap` a PNG,
    `preview` a JPEG of the same size."""

    name: str
    label: str | None
    probability: float | None
    reason: str | None
    reason_text: str
    explained: str
    top: list[Share]
    members: list[Vote]
    species: str
    iucn: Iucn | None
    look_alike: LookAlike | None
    width: int
    height: int
    model: str
    preview: str
    heatmap: str


class Session(_Answer):
    """What a program needs to write: `token` goes into the header X-Trapsort-Token."""

    token: str
    reviewer: str
    version: str


class Stopped(_Answer):
    """The server stops after this answer."""

    stopped: bool


class Filter(_Asked):
    """Which sightings; every condition that is given must hold, all bounds are included."""

    species: list[Annotated[str, Field(max_length=200)]] = Field(default=[], max_length=100)
    iucn: list[Annotated[str, Field(max_length=2)]] = Field(default=[], max_length=20)
    station: Annotated[str | None, Field(max_length=1_000)] = None
    since: date | None = None
    until: date | None = None
    min_probability: Annotated[float | None, Field(ge=0, le=1)] = None
    max_probability: Annotated[float | None, Field(ge=0, le=1)] = None
    reviewed: bool | None = None
    reason: Annotated[str | None, Field(max_length=100)] = None
    card: Id | None = None
    sequence: Id | None = None


class PageFilter(Filter):
    """A filter, an order and where to go on."""

    order: Literal["newest", "uncertain"] = "newest"
    after: Annotated[str | None, Field(max_length=100)] = None
    limit: Annotated[int, Field(ge=1, le=MOST_AT_ONCE)] = 60


class CountFilter(Filter):
    """A filter and what to count by."""

    by: Literal["species", "station", "day", "iucn", "hour"] = "species"
