"""The record of photos, sightings and problems: `Store`, and what goes in and comes out."""

from trapsort.store.rows import (
    UNCLASSIFIED,
    Account,
    ModelRow,
    ProblemRow,
    Record,
    Recorded,
    Sighting,
    SightingQuery,
)
from trapsort.store.store import Store

__all__ = [
    "UNCLASSIFIED",
    "Account",
    "ModelRow",
    "ProblemRow",
    "Record",
    "Recorded",
    "Sighting",
    "SightingQuery",
    "Store",
]
