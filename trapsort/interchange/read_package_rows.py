"""What the rows of a Camtrap DP package say, each checked: deployments, media and observations."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from trapsort.abstentions import REASON_CODES
from trapsort.errors import InputError
from trapsort.interchange.detected import box_in, label_of, name_in, number
from trapsort.interchange.read_package import Package, utc_text
from trapsort.store.imported import BoxOf
from trapsort.store.rows import DeploymentRow

NEEDED = {
    "deployments": ("deploymentID", "latitude", "longitude", "deploymentStart", "deploymentEnd"),
    "media": ("mediaID", "deploymentID", "timestamp", "filePath"),
    "observations": (
        *("deploymentID", "mediaID", "eventID", "eventStart", "eventEnd"),
        *("observationLevel", "observationType", "scientificName", "count"),
        *("classificationMethod", "classifiedBy", "classificationTimestamp"),
    ),
}
BOX = ("bboxX", "bboxY", "bboxWidth", "bboxHeight")
TYPES = ("animal", "human", "vehicle", "blank", "unknown", "unclassified")
NO_SPECIES = {"blank": "blank", "vehicle": "vehicle", "human": "person", "animal": "other_animal"}
"""Observation types without a species -> a person's label, and why a model names no species."""

UNNAMED = "unnamed model"


@dataclass(frozen=True, slots=True)
class File:
    """A row of `media`; `time` in seconds since 1970."""

    id: str
    deployment: str
    path: str
    time: float


@dataclass(frozen=True, slots=True)
class Observation:
    """An observation that says something of a file (`media`), or else of an event.

    A person said `label` (None: cannot tell), a model that or the `reason` why it names none;
    `first` and `last` are seconds since 1970, `time` is UTC text or ''.
    """

    deployment: str
    media: str
    event: str
    first: float
    last: float
    by: str
    is_human: bool
    time: str
    label: str | None
    reason: str | None
    count: int
    probability: float | None
    box: BoxOf | None
    note: str


def read_deployments(package: Package) -> Iterator[DeploymentRow]:
    """Deployments as the package has them; the camera's id is `camera`, the station may be ''.

    Raises `InputError` with the line that is wrong, as the other readers do.
    """
    for line, cells in package.rows("deployments", NEEDED["deployments"]):
        with _at(package, "deployments", line):
            start, end = (_time(cells[each], each) for each in ("deploymentStart", "deploymentEnd"))
            end = end.astimezone(start.tzinfo)  # a deployment has one offset
            bait = _tag(cells.get("deploymentTags", ""), "bait")
            unsure = cells.get("timestampIssues") == "true" and not start.utcoffset()
            row = DeploymentRow(
                name=name_in(cells["deploymentID"], "deploymentID"),
                station=cells.get("locationName") or cells.get("locationID") or "",
                camera=cells.get("cameraID", ""),
                start=_local(start),
                end=_local(end),
                utc_offset=None if unsure else start.isoformat()[-6:],
                bait=bait or ("yes" if cells.get("baitUse") == "true" else ""),
                habitat=cells.get("habitat", ""),
                comments=cells.get("deploymentComments", ""),
                latitude=_number(cells["latitude"], "latitude"),
                longitude=_number(cells["longitude"], "longitude"),
            )
        yield row


def read_files(package: Package, deployments: Collection[str]) -> Iterator[File]:
    """The media of a package."""
    for line, cells in package.rows("media", NEEDED["media"]):
        with _at(package, "media", line):
            deployment = cells["deploymentID"]
            if deployment not in deployments:
                raise ValueError(f"there is no deployment {deployment!r}")
            time = _time(cells["timestamp"], "timestamp").timestamp()
            path = name_in(cells["filePath"], "filePath")
            file = File(name_in(cells["mediaID"], "mediaID"), deployment, path, time)
        yield file


def read_observations(
    package: Package, deployments: Collection[str], media: Collection[str]
) -> Iterator[Observation]:
    """The observations that say something; those that nobody classified say nothing."""
    for line, cells in package.rows("observations", NEEDED["observations"]):
        with _at(package, "observations", line):
            if cells["deploymentID"] not in deployments:
                raise ValueError(f"there is no deployment {cells['deploymentID']!r}")
            if cells["mediaID"] and cells["mediaID"] not in media:
                raise ValueError(f"there is no media file {cells['mediaID']!r}")
            kind = cells["observationType"]
            if kind not in TYPES:
                raise ValueError(f"observationType is {kind[:40]!r}")
            said = None if kind == "unclassified" else _observation(cells, kind)
        if said is not None:
            yield said


def _observation(cells: dict[str, str], kind: str) -> Observation:
    is_human = cells["classificationMethod"] != "machine"
    label, reason = _said(cells, kind, is_human=is_human)
    probability = cells.get("classificationProbability", "")
    count = cells["count"]
    if count and not (count.isascii() and count.isdigit() and int(count) < 1 << 31):
        raise ValueError(f"count is {count[:40]!r}")
    time = cells["classificationTimestamp"]
    by = cells["classifiedBy"].strip()
    return Observation(
        deployment=cells["deploymentID"],
        media=cells["mediaID"],
        event=cells["eventID"],
        first=_time(cells["eventStart"], "eventStart").timestamp(),
        last=_time(cells["eventEnd"], "eventEnd").timestamp(),
        by=by if is_human else name_in(by or UNNAMED, "classifiedBy"),
        is_human=is_human,
        time=utc_text(_time(time, "classificationTimestamp")) if time else "",
        label=label,
        reason=reason,
        count=int(count or 1),
        probability=number(_number(probability, "classificationProbability"), "it")
        if probability
        else None,
        box=_box(cells),
        note=cells.get("observationComments", ""),
    )


def _said(cells: dict[str, str], kind: str, *, is_human: bool) -> tuple[str | None, str | None]:
    """Label and reason; trapsort's own export keeps both as tags."""
    tags = cells.get("observationTags", "")
    label, reason = _tag(tags, "label"), _tag(tags, "reason")
    species = cells["scientificName"].strip() if kind == "animal" else ""
    label = label or (label_of(species) if species else "")
    if is_human:
        return label or NO_SPECIES.get(kind), None
    if label:
        return label, None
    return None, reason if reason in REASON_CODES else NO_SPECIES.get(kind, "low_confidence")


def _tag(text: str, key: str) -> str:
    """The value of a tag `key:value` among those that `|` parts."""
    tags = (each.strip().partition(":") for each in text.split("|"))
    return next((value for name, _, value in tags if name == key), "")


def _box(cells: dict[str, str]) -> BoxOf | None:
    texts = [cells.get(name, "") for name in BOX]
    return box_in([_number(text, "bbox") for text in texts]) if all(texts) else None


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{what} is {text[:40]!r}, not a number") from None


def _time(text: str, what: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{what} is {text[:40]!r}, not a time") from None
    if time.tzinfo is None:
        raise ValueError(f"{what} is {text!r}, a time without its zone")
    return time


def _local(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat(timespec="seconds")


@contextmanager
def _at(package: Package, table: str, line: int) -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{package.path}: {package.files[table]}, line {line:,}: {error}.",
            "Have the package written anew; nothing was recorded.",
        ) from error
