"""Label -> taxa -> IUCN category, or a range of categories where the label is ambiguous.

Two lists: `iucn`, each taxon with the year and the citation of its assessment, and `published`, the
one-category mapping that was published with the eleven labels, kept for comparison.
The Red List itself may not be redistributed: `data/redlist.csv` holds small cited facts only.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from itertools import groupby
from types import MappingProxyType

from trapsort.errors import InputError

CATEGORIES = ("LC", "NT", "VU", "EN", "CR", "EW", "EX")  # least to most threatened
UNRANKED = ("DD", "NE")  # say nothing about the threat, so they have no place in the order

# The Red List's official colours (IUCN Red List branding guidelines).
COLOURS = {
    "EX": "#000000",
    "EW": "#542344",
    "RE": "#9B4F96",
    "CR": "#D81E05",
    "EN": "#FC7F3F",
    "VU": "#F9E814",
    "NT": "#CCE226",
    "LC": "#60C659",
    "DD": "#D1D1C6",
    "NE": "#FFFFFF",
    "NA": "#C1B5A5",
}

LISTS = {
    "iucn": "assessed categories with citations; a range where a label covers several",
    "published": "the one category a label that was published with the eleven labels",
}
VERSION = "2026-11"  # the month in which the facts of data/redlist.csv were last looked at


@dataclass(frozen=True, slots=True)
class Taxon:
    """One assessed taxon; `year` is '' and `note` says so where the year is not confirmed."""

    scientific_name: str
    category: str
    year: str
    citation: str
    note: str


@dataclass(frozen=True, slots=True)
class RedListEntry:
    """What a list says of one label; `category` is 'VU', or 'NT-CR' where `ambiguous`."""

    label: str
    taxa: tuple[Taxon, ...]
    category: str
    ambiguous: bool

    @property
    def scientific_name(self) -> str:
        """The names of all taxa, joined by '; '."""
        return "; ".join(taxon.scientific_name for taxon in self.taxa)

    @property
    def citation(self) -> str:
        """Where the categories come from, each source once, taxon by taxon."""
        cited = [f"{t.scientific_name} {t.category}: {t.citation}" for t in self.taxa]
        notes = [f" [{t.note}]" if t.note else "" for t in self.taxa]
        return "; ".join(a + b for a, b in zip(cited, notes, strict=True))


@dataclass(frozen=True, slots=True)
class RedList:
    """One list: its name, the month of its facts, and an entry a label."""

    name: str
    version: str
    entries: Mapping[str, RedListEntry]

    def category(self, label: str | None) -> str | None:
        """Return the category or range of `label`, None where the list does not know it."""
        entry = self.entries.get(label) if label is not None else None
        return entry.category if entry else None

    def scientific_name(self, label: str | None) -> str:
        """Return the taxa behind `label`, '' where the list does not know it."""
        entry = self.entries.get(label) if label is not None else None
        return entry.scientific_name if entry else ""

    def labels(self, name: str) -> tuple[str, ...]:
        """Return the labels that a label or a scientific name means, in upper or lower case."""
        wanted = name.casefold()
        return tuple(
            label
            for label, entry in self.entries.items()
            if wanted in (label.casefold(), *(t.scientific_name.casefold() for t in entry.taxa))
        )


@cache
def red_list(name: str = "iucn") -> RedList:
    """Read one of `LISTS` from the package; raises InputError for another name."""
    if name not in LISTS:
        raise InputError(f"no Red List mapping is named {name!r}", f"choose {' or '.join(LISTS)}")
    text = files("trapsort").joinpath("data", "redlist.csv").read_text(encoding="utf-8")
    rows = groupby(csv.DictReader(text.splitlines()), key=lambda row: row["label"])
    taxon_of = _published if name == "published" else _assessed
    entries = {label: _entry(label, map(taxon_of, group)) for label, group in rows}
    return RedList(name, VERSION, MappingProxyType(entries))


def matches(category_of_label: str, wanted: str) -> bool:
    """Say whether `wanted` ('VU') is the category of a label or lies inside its range ('NT-CR')."""
    wanted = wanted.upper()
    if wanted not in CATEGORIES or category_of_label in UNRANKED:
        return wanted == category_of_label
    low, _, high = category_of_label.partition("-")
    rank = CATEGORIES.index
    return rank(low) <= rank(wanted) <= rank(high or low)


def _assessed(row: dict[str, str]) -> Taxon:
    keys = ("scientific_name", "category", "year", "citation", "note")
    return Taxon(*(row[key] for key in keys))


def _published(row: dict[str, str]) -> Taxon:
    cited = "the mapping published with the label, not an assessment"
    return replace(_assessed(row), category=row["published"], year="", citation=cited, note="")


def _entry(label: str, taxa: Iterable[Taxon]) -> RedListEntry:
    taxa = tuple(taxa)
    found = {taxon.category for taxon in taxa}
    ranked = [category for category in CATEGORIES if category in found] or sorted(found)
    ends = dict.fromkeys((ranked[0], ranked[-1]))
    return RedListEntry(label, taxa, "-".join(ends), len(found) > 1)
