"""What was recorded on a local date, one line a photo."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import Cell

if TYPE_CHECKING:
    from trapsort.store import Store

COLUMNS: dict[str, str] = {
    "station": "station of the card, empty when the card has none",
    "card": "folder that was taken in",
    "path": "where on the card the photo was first seen",
    "camera_time": "as the camera wrote it, YYYY-MM-DDTHH:MM:SS, no zone",
    "label": "what the photo shows; empty when the model abstained and nobody reviewed it",
    "scientific_name": "taxa behind the label, joined by '; '",
    "iucn": "Red List category, or a range such as NT-CR where the label is ambiguous",
    "probability": "calibrated probability, 0 to 1, four decimals",
    "reason": "why the model abstained; empty when it did not",
    "reviewed": "true when a person has looked",
    "model": "model that made the prediction, NAME-VERSION",
}


def utc_bounds(since: date | None, until: date | None) -> tuple[str | None, str | None]:
    """Return the first and the last second of a span of local dates, as UTC text.

    None is no bound; the last day of the calendar, which has no day after it, is none either.
    """
    first = None if since is None else _midnight(since)
    last = None
    if until is not None and until != date.max:
        last = _midnight(until + timedelta(days=1)) - timedelta(seconds=1)
    texts = [None if t is None else f"{t.replace(tzinfo=None).isoformat()}Z" for t in (first, last)]
    return texts[0], texts[1]


def _midnight(day: date) -> datetime:
    """Return when a local date begins, in UTC."""
    midnight = datetime.combine(day, time.min)
    try:
        return midnight.astimezone(UTC)
    except (OverflowError, ValueError, OSError):
        # At the ends of the calendar (Windows: before 1970) a few hours select the same photos.
        return midnight.replace(tzinfo=UTC)


def rows(
    store: Store, since: date | None, until: date | None, *, red_list: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield the sightings recorded on these local dates, by camera time and path."""
    from trapsort.store import SightingQuery

    first, last = utc_bounds(since, until)
    query = SightingQuery(recorded_since=first, recorded_until=last, red_list=red_list)
    for sighting in store.sightings(query):
        yield (
            sighting.station,
            sighting.card,
            sighting.path,
            sighting.camera_time,
            sighting.label,
            sighting.scientific_name,
            sighting.iucn,
            None if sighting.probability is None else round(sighting.probability, 4),
            sighting.reason,
            sighting.reviewed,
            sighting.model,
        )
