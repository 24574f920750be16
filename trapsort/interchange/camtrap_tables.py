"""Camtrap DP 1.0.2: the columns of its tables, and what its own schema does not catch.

https://camtrap-dp.tdwg.org; Bubnicki et al. 2024, https://doi.org/10.1002/rse2.374.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from trapsort.errors import InputError

VERSION = "1.0.2"
SCHEMAS = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}/"

DEPLOYMENTS = (
    *("deploymentID", "locationID", "locationName", "latitude", "longitude"),
    *("coordinateUncertainty", "deploymentStart", "deploymentEnd", "setupBy", "cameraID"),
    *("cameraModel", "cameraDelay", "cameraHeight", "cameraDepth", "cameraTilt", "cameraHeading"),
    *("detectionDistance", "timestampIssues", "baitUse", "featureType", "habitat"),
    *("deploymentGroups", "deploymentTags", "deploymentComments"),
)
MEDIA = (
    *("mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic"),
    *("fileName", "fileMediatype", "exifData", "favorite", "mediaComments"),
)
OBSERVATIONS = (
    *("observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd"),
    *("observationLevel", "observationType", "cameraSetupType", "scientificName", "count"),
    *("lifeStage", "sex", "behavior", "individualID", "individualPositionRadius"),
    *("individualPositionAngle", "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight"),
    *("classificationMethod", "classifiedBy", "classificationTimestamp"),
    *("classificationProbability", "observationTags", "observationComments"),
)
TABLES = {"deployments": DEPLOYMENTS, "media": MEDIA, "observations": OBSERVATIONS}
PACKAGE = ("datapackage.json", *(f"{name}.csv" for name in TABLES))

_PATH = re.compile(r"(?![./~])(?!.*\.\.)[^\\\r\n]+")
_MEDIA_ID, _FILE_PATH = MEDIA.index("mediaID"), MEDIA.index("filePath")
_OBSERVED = tuple(
    OBSERVATIONS.index(name)
    for name in ("observationID", "mediaID", "eventStart", "eventEnd", "observationLevel")
)


def is_before(one: str, other: str) -> bool:
    """Say whether a time with an offset comes before another."""
    if one[19:] == other[19:]:
        return one < other
    return datetime.fromisoformat(one) < datetime.fromisoformat(other)


def check_deployment(row: Mapping[str, Any]) -> None:
    """Refuse a deployment that ends before it starts.

    Raises:
        InputError: it names the deployment.
    """
    start, end = row["deploymentStart"], row["deploymentEnd"]
    if is_before(end, start):
        raise InputError(
            f"deployment {row['deploymentID']} ends at {end}, before it starts at {start}",
            "put its dates right, then: trapsort deployments import FILE.csv",
        )


def check_media(row: Sequence[Any]) -> None:
    """Refuse a path that no package may hold.

    Raises:
        InputError: it names the media file.
    """
    if not _PATH.fullmatch(row[_FILE_PATH]):
        raise InputError(
            f"media {row[_MEDIA_ID]} has the path {row[_FILE_PATH]!r}, which Camtrap DP does not"
            " allow",
            "a path is relative, with forward slashes and without '..'",
        )


def check_observation(row: Sequence[Any]) -> None:
    """Refuse an event that ends before it starts, and an event row with a mediaID.

    Raises:
        InputError: it names the observation.
    """
    name, media, start, end, level = (row[place] for place in _OBSERVED)
    if is_before(end, start):
        raise InputError(
            f"observation {name} ends at {end}, before it starts at {start}",
            "put the times right",
        )
    if (level == "event") == bool(media):
        has = f"the mediaID {media}" if media else "no mediaID"
        raise InputError(
            f"observation {name} of level {level} has {has}",
            "event rows leave mediaID empty, media rows name their file",
        )


def check_species(seen: Iterable[str], taxonomic: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a species that the metadata do not list.

    Raises:
        InputError: it names the species.
    """
    unlisted = sorted(set(seen) - {taxon["scientificName"] for taxon in taxonomic} - {""})
    if unlisted:
        raise InputError(
            f"the observations name {', '.join(unlisted)}, which the metadata do not list",
            "add it to `taxonomic` in datapackage.json",
        )
