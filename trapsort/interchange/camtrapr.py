"""Tables for the R package camtrapR: the record table and the station table.

Niedballa et al. 2016, https://doi.org/10.1111/2041-210X.12600. What counts and what is independent
are those of `trapsort survey`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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
FIRST_SECOND, LAST_SECOND = "T00:00:00", "T23:59:59"  # what the record makes of a mere day

Span = tuple[datetime, datetime]  # from, and up to without


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
        rows = [row for row in store.deployments() if counting.station in (None, row.station)]
        timed = any(map(_is_timed, rows))
        for row in rows:  # a camera that saw nothing worked all the same
            span = _span(row, timed=timed)
            if span is not None:
                days.setdefault(row.station, span)
        effort = {name: _Effort.of(rows, name, span, timed=timed) for name, span in days.items()}
        labels = store.labels_at() if precision is None else {}
        places = Precisions(labels, precision)
        _write_stations(folder / FILES[1], stations, effort, places)
        about = _about(counting, minutes, rule, precision, timed=timed)
        (folder / FILES[2]).write_text("\n".join(about) + "\n", encoding="utf-8", newline="\n")
    return Exported(
        photos=records.rows, notes=(about[0], *_notes(store, counting, effort, precision))
    )


def _about(
    counting: Counting, minutes: float, rule: str, precision: float | None, *, timed: bool
) -> list[str]:
    """Say what the tables cannot: what an event is, and what counts."""
    from trapsort.survey.events import rule_text

    sure = counting.min_probability
    return [
        f"event: {rule_text(minutes, rule)}",
        "what counts: "
        + ("what people named" if counting.reviewed_only else "what people or the model named")
        + ("" if sure is None else f", the model with a probability of {sure:g} or more"),
        f"positions: {'exact' if precision == EXACT else 'rounded'}",
        f'dates of stations.csv: dateFormat = "{"ymd HMS" if timed else "ymd"}" in cameraOperation',
        f"written by trapsort {__version__}",
    ]


def _animals(store: Store, counting: Counting) -> Iterator[Detection]:
    from trapsort.store.reporting import PEOPLE

    return (each for each in store.detections(counting) if each.label.lower() not in PEOPLE)


def _add_records(
    store: Store, counting: Counting, records: Table, minutes: float, rule: str
) -> Span | None:
    """Write a station's independent records; return its days, from midnight to midnight."""
    from trapsort.survey.events import independent, record_table
    from trapsort.survey.rows import records_frame

    frame = records_frame(_animals(store, counting))
    if frame.empty:
        return None
    table = record_table(independent(frame, minutes=minutes, rule=rule))
    for row in table[list(RECORDS)].itertuples(index=False, name=None):
        records.add(row)
    first, last = (frame["time"].agg(end).normalize() for end in ("min", "max"))
    return first.to_pydatetime(), last.to_pydatetime() + DAY


@dataclass(frozen=True, slots=True)
class _Effort:
    """From when to when a station had a camera, and when none of them worked.

    With `timed`, times are the camera's clock; else they are at midnight, the end of a span is
    that of its last day, and days of which a part was worked are no problem.
    """

    setup: datetime
    retrieval: datetime
    problems: tuple[Span, ...]
    timed: bool
    is_derived: bool

    @classmethod
    def of(cls, rows: Iterable[DeploymentRow], station: str, seen: Span, *, timed: bool) -> _Effort:
        """Return a station's: of its deployments, else of its records."""
        here = [row for row in rows if row.station == station]
        whole = [_span(row, seen, timed=timed) or seen for row in here] or [seen]
        setup, retrieval = min(start for start, _ in whole), max(end for _, end in whole)
        parts = (_parts(row, span) for row, span in zip(here, whole, strict=False))
        worked = [part for each in parts for part in each] if here else whole
        off = _without((setup, retrieval), worked)
        return cls(setup, retrieval, tuple(off), timed, not here)

    def cells(self) -> list[str]:
        """Return Setup_date, Retrieval_date, and from and to of each problem."""
        moments = [self.setup, self.retrieval, *(each for span in self.problems for each in span)]
        if self.timed:
            return [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in moments]
        lasts = [moment - DAY if place % 2 else moment for place, moment in enumerate(moments)]
        return [f"{moment:%Y-%m-%d}" for moment in lasts]


def _is_timed(row: DeploymentRow) -> bool:
    """Say whether setup, retrieval or a problem is known to the minute."""
    spans = ((row.start, row.end), *row.problems)
    return any(
        text is not None and text[10:] not in ("", whole_day)
        for span in spans
        for text, whole_day in zip(span, (FIRST_SECOND, LAST_SECOND), strict=True)
    )


def _span(row: DeploymentRow, seen: Span | None = None, *, timed: bool) -> Span | None:
    """Return the time of a deployment; an open end is that of the records.

    Among times a day stands for its noon, as camtrapR takes it.
    """
    start, end = seen or (None, None)
    if row.start:
        start = _moment(row.start, FIRST_SECOND, timed=timed)
    if row.end:
        end = _moment(row.end, LAST_SECOND, timed=timed) + (timedelta() if timed else DAY)
    return None if start is None or end is None else (start, max(start, end))


def _moment(text: str, whole_day: str, *, timed: bool) -> datetime:
    day = datetime.fromisoformat(text[:10])
    if not timed:
        return day
    return day + DAY / 2 if text[10:] in ("", whole_day) else datetime.fromisoformat(text[:19])


def _parts(row: DeploymentRow, span: Span) -> list[Span]:
    """Return when a deployment's camera worked: its span without its problems."""
    off = []
    for start, end in row.problems:
        until = datetime.fromisoformat(end[:19])
        is_day = end[10:] in ("", LAST_SECOND)
        off.append(
            (
                datetime.fromisoformat(start[:19]),
                datetime.fromisoformat(end[:10]) + DAY if is_day else until,
            )
        )
    return _without(span, off)


def _without(span: Span, taken: Iterable[Span]) -> list[Span]:
    """Return what is left of a span of time, in order."""
    start, end = span
    left = []
    for begin, stop in sorted(taken):
        if start < min(begin, end):
            left.append((start, min(begin, end)))
        start = max(start, stop)
    return [*left, (start, end)] if start < end else left


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
            cells = each.cells()
            table.add((name, *place, *cells, *[""] * (2 * most + 2 - len(cells))))


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
