"""Tables for the R package camtrapR: the record table and the station table.

Niedballa et al. 2016, https://doi.org/10.1111/2041-210X.12600. What counts and what is independent
are those of `trapsort survey`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from trapsort import __version__
from trapsort.blur import EXACT, blurred
from trapsort.errors import InputError
from trapsort.interchange.exported import Exported, counted
from trapsort.interchange.place import Table, check_place, new_folder
from trapsort.interchange.sites import Precisions

if TYPE_CHECKING:
    from trapsort.store import Counting, DeploymentRow, Detection, StationRow, Store

RECORDS = (
    *("Station", "Species", "DateTimeOriginal", "Date", "Time"),
    *("delta.time.secs", "delta.time.mins", "delta.time.hours", "delta.time.days"),
    *("Directory", "FileName", "n_images"),
)
STATIONS = ("Station", "latitude", "longitude", "Setup_date", "Retrieval_date")
FILES = ("records.csv", "stations.csv", "about.txt")
DAY = timedelta(days=1)

Span = tuple[date, date]


def export(
    store: Store,
    counting: Counting,
    out: Path,
    *,
    minutes: float,
    rule: str,
    precision: float | None = None,
    force: bool = False,
) -> Exported:
    """Write records.csv, stations.csv and about.txt, which names the rule, into the folder `out`.

    Raises:
        InputError: no photo of a species has a station and a time, or `out` cannot be written.
    """
    check_place(out, store)
    stations = {row.name: row for row in store.stations()}
    days: dict[str, Span] = {}
    with new_folder(out, force=force, is_ours=lambda path: path.name in FILES) as folder:
        with Table(folder / FILES[0], RECORDS) as records:
            for name in sorted(stations) if counting.station is None else [counting.station]:
                span = _add_records(store, replace(counting, station=name), records, minutes, rule)
                if span is not None:
                    days[name] = span
        if not days:
            raise InputError(
                "no photo of a species has both a station and a time",
                "give cards their station (trapsort ingest CARD --station NAME) or deployments"
                " (trapsort deployments import FILE)",
            )
        rows = store.deployments()
        effort = {name: _Effort.of(rows, name, span) for name, span in days.items()}
        for row in rows:  # a camera that saw nothing worked all the same
            span = _span(row)
            wanted = span and counting.station in (None, row.station)
            if span and wanted and row.station not in effort:
                effort[row.station] = _Effort.of(rows, row.station, span)
        labels = store.labels_at() if precision is None else {}
        places = Precisions(labels, precision)
        _write_stations(folder / FILES[1], stations, effort, places)
        about = _about(counting, minutes, rule, precision)
        (folder / FILES[2]).write_text("\n".join(about) + "\n", encoding="utf-8", newline="\n")
    return Exported(
        photos=records.rows, notes=(about[0], *_notes(store, counting, effort, precision))
    )


def _about(counting: Counting, minutes: float, rule: str, precision: float | None) -> list[str]:
    """Say what the tables cannot: what an event is, and what counts."""
    from trapsort.survey.events import rule_text

    sure = counting.min_probability
    return [
        f"event: {rule_text(minutes, rule)}",
        "what counts: "
        + ("what people named" if counting.reviewed_only else "what people or the model named")
        + ("" if sure is None else f", the model with a probability of {sure:g} or more"),
        f"positions: {'exact' if precision == EXACT else 'rounded'}",
        f"written by trapsort {__version__}",
    ]


def _animals(store: Store, counting: Counting) -> Iterator[Detection]:
    from trapsort.store.reporting import PEOPLE

    return (each for each in store.detections(counting) if each.label.lower() not in PEOPLE)


def _add_records(
    store: Store, counting: Counting, records: Table, minutes: float, rule: str
) -> Span | None:
    """Write a station's independent records; return its first and last day."""
    from trapsort.survey.events import independent, record_table
    from trapsort.survey.rows import records_frame

    frame = records_frame(_animals(store, counting))
    if frame.empty:
        return None
    table = record_table(independent(frame, minutes=minutes, rule=rule))
    for row in table[list(RECORDS)].itertuples(index=False, name=None):
        records.add(row)
    return frame["time"].min().date(), frame["time"].max().date()


@dataclass(slots=True)
class _Effort:
    """From when to when a station had a camera, and when none of them worked."""

    setup: date
    retrieval: date
    problems: list[Span] = field(default_factory=list)
    is_derived: bool = False

    @classmethod
    def of(cls, rows: Iterable[DeploymentRow], station: str, seen: Span) -> _Effort:
        """Return a station's: of its deployments, else of its records."""
        here = [row for row in rows if row.station == station]
        spans = sorted(_span(row, seen) or seen for row in here) or [seen]
        problems = [
            (date.fromisoformat(start[:10]), date.fromisoformat(end[:10]))
            for row in here
            for start, end in row.problems
        ]
        setup, retrieval = spans[0][0], max(end for _, end in spans)
        return cls(setup, retrieval, sorted([*problems, *_gaps(spans)]), not here)


def _span(row: DeploymentRow, seen: Span | None = None) -> Span | None:
    """Return the days of a deployment; an open end is that of the records."""
    start = date.fromisoformat(row.start[:10]) if row.start else seen and seen[0]
    end = date.fromisoformat(row.end[:10]) if row.end else seen and seen[1]
    return None if not start or not end else (start, max(start, end))


def _gaps(spans: Sequence[Span]) -> Iterator[Span]:
    """Yield the whole days between deployments on which there was no camera."""
    last = spans[0][1]
    for start, end in spans[1:]:
        if start - last > DAY:
            yield last + DAY, start - DAY
        last = max(last, end)


def _write_stations(
    path: Path, stations: dict[str, StationRow], effort: dict[str, _Effort], places: Precisions
) -> None:
    most = max((len(each.problems) for each in effort.values()), default=0)
    numbers = range(1, most + 1)
    problems = [f"Problem{number}_{end}" for number in numbers for end in ("from", "to")]
    with Table(path, (*STATIONS, *problems)) as table:
        for name, each in sorted(effort.items()):
            row = stations.get(name)
            place: tuple[object, object] = ("", "")
            if row is not None and row.latitude is not None and row.longitude is not None:
                place = blurred(row.latitude, row.longitude, places.at(name, ""))
            days = [day.isoformat() for span in each.problems for day in span]
            cells = (name, *place, each.setup.isoformat(), each.retrieval.isoformat(), *days)
            table.add((*cells, *("" for _ in range(2 * most - len(days)))))


def _notes(
    store: Store, counting: Counting, effort: dict[str, _Effort], precision: float | None
) -> Iterator[str]:
    if counting.station is None:
        nowhere = Counter(each.card for each in _animals(store, replace(counting, station="")))
        if nowhere:
            yield (
                f"left out, as camtrapR needs a station: {counted(nowhere.total(), 'photo')} of"
                f" {counted(len(nowhere), 'card')} without one"
                " (trapsort ingest CARD --station NAME)"
            )
    derived = sum(each.is_derived for each in effort.values())
    if derived:
        yield (
            f"{counted(derived, 'station')} without a deployment: Setup_date and Retrieval_date are"
            " the days of the first and last record; trapsort deployments import FILE says better"
        )
    if precision != EXACT:
        yield "positions are rounded by the most threatened species of each station (--precision)"
