"""How many photos fall into each Red List category, one line a category or range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import Cell

if TYPE_CHECKING:
    from trapsort.store import Store

COLUMNS: dict[str, str] = {
    "iucn": "category, or a range such as NT-CR; empty for photos without one",
    "labels": "labels in it, alphabetical, joined by '; '",
    "photos": "photos in it",
    "reviewed": "how many of them a person has looked at",
}


def rows(
    store: Store, since: date | None, until: date | None, *, red_list: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield the categories, most threatened first, the empty one last; dates are the cameras'."""
    from trapsort.store import SightingQuery

    photos: Counter[str] = Counter()
    reviewed: Counter[str] = Counter()
    labels: dict[str, set[str]] = {}
    for sighting in store.sightings(SightingQuery(since=since, until=until, red_list=red_list)):
        category = sighting.iucn or ""
        photos[category] += 1
        reviewed[category] += sighting.reviewed
        labels.setdefault(category, set()).update([sighting.label] if sighting.label else [])
    for category in sorted(photos, key=threat, reverse=True):
        joined = "; ".join(sorted(labels[category]))
        yield (category, joined, photos[category], reviewed[category])


def threat(category: str) -> tuple[int, int]:
    """Return a sort key: the worse end of a range decides, then the better end; none is lowest.

    Both ends are always there, so that CR comes above EN-CR and that above NT-CR.
    """
    from trapsort.redlist import CATEGORIES

    if not category:
        return -2, -2
    order = {name: place for place, name in enumerate(CATEGORIES)}
    best, _, worst = category.partition("-")
    return order.get(worst or best, -1), order.get(best, -1)
