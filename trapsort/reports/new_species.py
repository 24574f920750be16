"""Species that a station had not seen before, threatened ones first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import Cell

if TYPE_CHECKING:
    from trapsort.store import Detection, Store

COLUMNS: dict[str, str] = {
    "station": "station",
    "label": "what the photos show",
    "scientific_name": "taxa behind the label, joined by '; '",
    "iucn": "Red List category, or a range where the label is ambiguous",
    "first_time": "time of the earliest of these photos, local and true",
    "photos": "photos of it that were recorded on the report's days",
    "probability": "greatest calibrated probability, four decimals; empty where people named all",
    "reviewed": "true when a person has looked at one of them",
    "card": "folder from which the earliest was taken in",
    "path": "where on the card it is",
}


def rows(
    store: Store, since: date | None, until: date | None, *, red_list: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield what was first recorded at a station on these local dates.

    First is what was recorded first, not what was photographed first: what an old card brings late
    is news, too. Photos without a station do not count.
    """
    from trapsort.redlist import red_list as read
    from trapsort.reports.events import animals, window
    from trapsort.reports.iucn import threat
    from trapsort.reports.nightly import utc_bounds

    photos = store.new_photos(*utc_bounds(since, until))
    counting = window(photos)
    mine: dict[tuple[str, str], list[Detection]] = {}
    for each in animals(store, counting) if counting is not None else ():
        if each.station and each.photo_id in photos.ids:
            mine.setdefault((each.station, each.label), []).append(each)
    new = store.first_at_stations(mine)
    entries = read(red_list)
    found = [(pair, entries.category(pair[1])) for pair in sorted(mine) if new[pair] in photos.ids]
    for (station, label), category in sorted(
        found, key=lambda item: tuple(-part for part in threat(item[1] or ""))
    ):
        seen = mine[station, label]
        first = min(seen, key=lambda each: (each.time, each.photo_id))
        surest = max((each.probability for each in seen if each.probability), default=None)
        yield (
            station,
            label,
            entries.scientific_name(label) or first.scientific_name,
            category,
            first.time,
            len(seen),
            None if surest is None else round(surest, 4),
            any(each.reviewed for each in seen),
            first.card,
            first.path,
        )
