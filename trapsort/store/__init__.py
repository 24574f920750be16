"""The record of photos, sightings and problems: `Store`, and what goes in and comes out."""

from trapsort.store.reporting import Judged, NewPhotos, PhotoDay
from trapsort.store.rows import (
    Account,
    Correction,
    Counting,
    DeploymentRow,
    Detection,
    ModelRow,
    NamingRule,
    Origin,
    ProblemRow,
    Record,
    Recorded,
    Sighting,
    SightingQuery,
    StationRow,
    Unmatched,
)
from trapsort.store.store import Store

__all__ = [
    "Account",
    "Correction",
    "Counting",
    "DeploymentRow",
    "Detection",
    "Judged",
    "ModelRow",
    "NamingRule",
    "NewPhotos",
    "Origin",
    "PhotoDay",
    "ProblemRow",
    "Record",
    "Recorded",
    "Sighting",
    "SightingQuery",
    "StationRow",
    "Store",
    "Unmatched",
]
