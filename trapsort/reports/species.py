"""How often each label was seen, one line a label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import Cell

if TYPE_CHECKING:
    from trapsort.store import Sighting, Store

COLUMNS: dict[str, str] = {
    "label": "what the photos show; empty for those that nobody and nothing could name",
    "scientific_name": "taxa behind the label, joined by '; '",
    "iucn": "Red List category, or a range where the label is ambiguous",
    "photos": "photos with this label; a burst counts each of its photos",
    "reviewed": "how many of them a person has looked at",
    "stations": "at how many stations",
    "first_camera_time": "earliest, as the cameras wrote it",
    "last_camera_time": "latest, as the cameras wrote it",
}


@dataclass(slots=True)
class _Tally:
    scientific_name: str
    iucn: str | None
    photos: int = 0
    reviewed: int = 0
    stations: set[str] = field(default_factory=set)
    first: str | None = None
    last: str | None = None

    def add(self, sighting: Sighting) -> None:
        self.photos += 1
        self.reviewed += sighting.reviewed
        if sighting.station:
            self.stations.add(sighting.station)
        if sighting.camera_time:
            self.first = min(self.first or sighting.camera_time, sighting.camera_time)
            self.last = max(self.last or sighting.camera_time, sighting.camera_time)


def rows(
    store: Store, since: date | None, until: date | None, *, red_list: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield the labels in alphabetical order, the unnamed last; dates are the cameras'."""
    from trapsort.store import SightingQuery

    tallies: dict[str, _Tally] = {}
    for sighting in store.sightings(SightingQuery(since=since, until=until, red_list=red_list)):
        label = sighting.label or ""
        if label not in tallies:
            tallies[label] = _Tally(sighting.scientific_name, sighting.iucn)
        tallies[label].add(sighting)
    for label, tally in sorted(tallies.items(), key=lambda each: (each[0] == "", each[0])):
        yield (
            label,
            tally.scientific_name,
            tally.iucn,
            tally.photos,
            tally.reviewed,
            len(tally.stations),
            tally.first,
            tally.last,
        )
