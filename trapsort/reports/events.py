"""The independent events among what was recorded on a local date, threatened species first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import Cell

if TYPE_CHECKING:
    import pandas as pd

    from trapsort.store import Counting, Detection, NewPhotos, Store


COLUMNS: dict[str, str] = {
    "station": "station, empty where none is known",
    "deployment": "deployment of the first photo, empty where none is known",
    "label": "what the photos show",
    "scientific_name": "taxa behind the label, joined by '; '",
    "iucn": "Red List category, or a range where the label is ambiguous",
    "start": "time of the first photo, local and true, YYYY-MM-DDTHH:MM:SS",
    "end": "time of the last photo",
    "photos": "photos of the event",
    "count": "greatest number of animals in one of them",
    "probability": "greatest calibrated probability, four decimals; empty where people named all",
    "reviewed": "true when a person has looked at one of them",
    "card": "folder from which the first photo was taken in",
    "path": "where on the card that photo is",
    "rule": "minutes and rule that part events",
}


def animals(store: Store, counting: Counting) -> Iterator[Detection]:
    """Yield what counts and does not show people."""
    from trapsort.store.reporting import PEOPLE

    return (each for each in store.detections(counting) if each.label.lower() not in PEOPLE)


def window(photos: NewPhotos) -> Counting | None:
    """Return what holds these photos and all that may belong to their events, None for no photo."""
    from trapsort.store import Counting

    if photos.first is None or photos.last is None:
        return None
    margin = timedelta(days=1)  # more than the minutes that part events
    try:
        first, last = (date.fromisoformat(time[:10]) for time in (photos.first, photos.last))
        return Counting(since=first - margin, until=last + margin)
    except (ValueError, OverflowError):  # a clock that shows no date, or the end of the calendar
        return Counting()


def rows(
    store: Store, since: date | None, until: date | None, *, red_list: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield the events whose first recorded photo was recorded on these local dates.

    So each event stands in the file of one day. Order: the most threatened first, then station,
    label and time.
    """
    from trapsort.reports.nightly import utc_bounds

    photos = store.new_photos(*utc_bounds(since, until))
    counting = window(photos)
    detections = [] if counting is None else list(animals(store, counting))
    if detections:
        yield from _rows(detections, photos.ids, red_list)


def _rows(
    detections: list[Detection], new: frozenset[int], listed: str
) -> Iterator[tuple[Cell, ...]]:
    import numpy as np

    from trapsort.redlist import red_list
    from trapsort.reports.iucn import threat
    from trapsort.survey.rows import records_frame

    records = records_frame(detections)
    said = {each.photo_id: (each.reviewed, each.probability) for each in detections}
    records["reviewed"] = [said[photo][0] for photo in records["photo_id"]]
    records["probability"] = np.array([said[photo][1] for photo in records["photo_id"]], float)
    records["event"], rule = numbered(records)
    events = records.groupby("event", sort=True)
    first = records[~records["event"].duplicated()].set_index("event")
    table = first.assign(
        end=events["time"].max(),
        photos=events.size(),
        most=events["count"].max(),
        surest=events["probability"].max(),
        looked=events["reviewed"].any(),
        recorded=events["photo_id"].min(),
    )
    table = table[table["recorded"].isin(new)]
    entries = red_list(listed)
    categories = {label: entries.category(label) for label in table["species"].unique()}
    order = sorted(
        table.itertuples(),
        key=lambda row: tuple(-part for part in threat(categories[row.species] or "")),
    )
    for row in order:
        yield (
            row.station or None,
            row.deployment if isinstance(row.deployment, str) else None,
            row.species,
            entries.scientific_name(row.species) or row.scientific_name,
            categories[row.species],
            row.time.isoformat(),
            row.end.isoformat(),
            int(row.photos),
            int(row.most),
            None if row.surest != row.surest else round(float(row.surest), 4),
            bool(row.looked),
            row.card,
            row.path,
            rule,
        )


def numbered(records: pd.DataFrame) -> tuple[pd.Series, str]:
    """Return the number of each record's event, and the rule, in words.

    `records` is a frame of `survey.rows`, sorted by station, species and time.
    """
    from trapsort.survey.events import MINUTES, RULE, independent, rule_text

    begun = independent(records, minutes=MINUTES, rule=RULE)["photo_id"]
    return records["photo_id"].isin(begun).cumsum(), rule_text(MINUTES, RULE)
