"""Why a photo has no species: the reasons that predictions, reviews and listings have in common."""

from __future__ import annotations

UNCLASSIFIED = "unclassified"
"""Reason of a prediction without a finite answer, and of the problem that such a photo has."""

REASON_CODES: dict[str, str] = {
    "blank": "nothing to see",
    "vehicle": "a vehicle",
    "person": "a person",
    "other_animal": "an animal that the bundle does not name",
    "low_confidence": "the most probable species is not probable enough",
    "members_disagree": "too few members of the ensemble put the same species first",
    "novel": "unlike every photo that the bundle learned from",
    UNCLASSIFIED: "the network gave no finite answer",
}
"""The reasons, in words."""
