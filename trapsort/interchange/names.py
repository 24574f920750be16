"""What a photo shows, in the words of other programs: the kind of thing, and the taxon's name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from trapsort.redlist import red_list

if TYPE_CHECKING:
    from trapsort.store.captures import Answer, Capture, Joint

KINDS = ("animal", "human", "vehicle", "unknown", "unclassified", "blank")
"""Camtrap DP's observation types, the most telling first."""

_OF_LABEL = {
    **dict.fromkeys(("animal", "other_animal", "other animal"), "animal"),
    **dict.fromkeys(("human", "person", "people", "homo sapiens"), "human"),
    **dict.fromkeys(("vehicle", "car"), "vehicle"),
    **dict.fromkeys(("blank", "empty"), "blank"),
    **dict.fromkeys(("unknown", "unidentified"), "unknown"),
    "unclassified": "unclassified",
}
_OF_REASON = {
    "blank": "blank",
    "vehicle": "vehicle",
    "human": "human",
    "person": "human",
    "other_animal": "animal",
    "unclassified": "unclassified",
}
# Labels whose taxa share no genus, and what they share.
_SHARED = {"Rhino": ("Rhinocerotidae", "family")}
_SCIENTIFIC = re.compile(r"[A-Z][a-z]{2,} [a-z-]{2,}( [a-z-]{2,})?")
_RANKS = {1: "genus", 2: "species", 3: "subspecies"}


@dataclass(frozen=True, slots=True)
class Taxon:
    """The narrowest taxon that holds all that a label may mean; name and rank '' where unknown."""

    scientific_name: str = ""
    rank: str = ""


def kind_of(label: str | None, reason: str | None, *, reviewed: bool) -> str:
    """Return one of `KINDS` for a label, or for the reason why there is none."""
    if label is not None:
        return _OF_LABEL.get(label.casefold(), "animal")
    if reviewed:
        return "unknown"
    return "unclassified" if reason is None else _OF_REASON.get(reason, "unknown")


def is_species(label: str | None) -> bool:
    """Whether a label names an animal, not a kind of thing such as `blank` or `vehicle`."""
    return label is not None and label.casefold() not in _OF_LABEL


@cache
def taxon_of(label: str) -> Taxon:
    """Return what a label stands for: one species, or the genus or family of several."""
    entry = red_list().entries.get(label)
    if entry is None:
        words = label.replace("_", " ")
        return Taxon(words, _RANKS[len(words.split())]) if _SCIENTIFIC.fullmatch(words) else Taxon()
    names = [taxon.scientific_name for taxon in entry.taxa]
    genera = {name.split()[0] for name in names}
    if len(names) == 1:
        return Taxon(names[0], _RANKS[len(names[0].split())])
    if len(genera) == 1:
        return Taxon(genera.pop(), "genus")
    return Taxon(*_SHARED.get(label, ("", "")))


def common_name(label: str) -> str:
    """Return a label as people write it: 'Amur_Leopard' is 'Amur Leopard'."""
    return label.replace("_", " ")


def answer_of(capture: Capture) -> Answer | None:
    """Return the model's answer that the sighting shows; None where a person said it."""
    if capture.reviewed:
        return None
    label, probability = capture.label, capture.probability
    for each in capture.answers:
        if each.label == label and each.probability == probability:
            return each
    return None


def calibrated(answer: Answer | Joint | None) -> float | None:
    """Return the probability of an answer, None where it is no calibrated one."""
    if answer is None or answer.source or answer.probability is None:
        return None
    return round(answer.probability, 6)
