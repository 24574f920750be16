"""What the record holds, as the API answers it: the Red List in words, the look-alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from trapsort.abstentions import REASON_CODES
from trapsort.redlist import RedList
from trapsort.store.details import Detail, SaidNow
from trapsort.store.paging import Shown
from trapsort.web.answers import (
    Iucn,
    LookAlike,
    PhotoDetail,
    Place,
    Review,
    Said,
    Share,
    Sighting,
    Vote,
)

NAMES = {
    "LC": "Least Concern",
    "NT": "Near Threatened",
    "VU": "Vulnerable",
    "EN": "Endangered",
    "CR": "Critically Endangered",
    "EW": "Extinct in the Wild",
    "EX": "Extinct",
    "DD": "Data Deficient",
    "NE": "Not Evaluated",
}
_AS_THEY_ARE = (
    *("sha256", "label", "probability", "reason", "reviewed", "reviewer", "count", "station"),
    *("deployment", "time", "camera_time", "card", "path", "sequence_id"),
    *("near_duplicate_of", "width", "height", "model"),
)
Top = Sequence[tuple[str, float | None]]


def iucn(label: str | None, listed: RedList) -> Iucn | None:
    """Return what a Red List says of a label, None where it does not know it."""
    entry = listed.entries.get(label) if label is not None else None
    if entry is None:
        return None
    ends = " to ".join(NAMES.get(each, each) for each in entry.category.split("-"))
    return Iucn(category=entry.category, text=ends, citation=entry.citation)


def sighting(shown: Shown, listed: RedList) -> Sighting:
    """Return a sighting as the API answers it."""
    return Sighting(**_fields(shown, listed))


def sightings(found: Iterable[Shown], listed: RedList) -> list[Sighting]:
    """Return sightings as the API answers them."""
    return [sighting(each, listed) for each in found]


def photo(detail: Detail, listed: RedList) -> PhotoDetail:
    """Return a photo as the API answers it."""
    said, label = detail.said, detail.shown.sighting.label
    taken_back = {each.retracts for each in detail.reviews}
    return PhotoDetail(
        **_fields(detail.shown, listed),
        said=None if said is None else _said(said),
        top=shares(said.top if said else ()),
        members=votes(said.members if said else ()),
        exif=detail.facts,
        flags=detail.shown.sighting.flags.split(),
        near_duplicates=detail.near_duplicates,
        sequence=detail.sequence,
        places=[
            Place(
                card=each.card,
                path=each.path,
                first_seen=each.first_seen,
                last_seen=each.last_seen,
                gone=each.superseded,
            )
            for each in detail.places
        ],
        reviews=[
            Review(**asdict(each), retracted=each.id in taken_back) for each in detail.reviews
        ],
        look_alike=look_alike(said.top if said else (), label, listed),
    )


def look_alike(top: Top, label: str | None, listed: RedList) -> LookAlike | None:
    """Return the most probable species but the one that is named, or the first where none is."""
    named = label if label is not None else next((name for name, _ in top), None)
    for name, probability in top:
        if name != named and name in listed.entries:
            return LookAlike(
                label=name,
                species=listed.scientific_name(name),
                iucn=iucn(name, listed),
                probability=probability,
            )
    return None


def reason_text(reason: str | None) -> str:
    """Return why there is no species, in words."""
    return "" if reason is None else REASON_CODES.get(reason, reason)


def shares(top: Top) -> list[Share]:
    """Return labels with their probabilities."""
    return [Share(label=label, probability=probability) for label, probability in top]


def votes(members: Iterable[tuple[str, str, float | None]]) -> list[Vote]:
    """Return what each member said."""
    return [
        Vote(member=member, label=label, probability=probability)
        for member, label, probability in members
    ]


def _said(said: SaidNow) -> Said:
    return Said(
        label=said.label,
        probability=said.probability,
        reason=said.reason,
        reason_text=reason_text(said.reason),
        model=said.model,
    )


def _fields(shown: Shown, listed: RedList) -> dict[str, Any]:
    found = shown.sighting
    return {name: getattr(found, name) for name in _AS_THEY_ARE} | {
        "id": found.photo_id,
        "review_id": shown.review_id,
        "note": shown.note,
        "likely": shown.likely,
        "species": found.scientific_name,
        "iucn": iucn(found.label, listed),
    }
