"""Reports: CSV files with fixed columns in a fixed order, the same bytes for the same data.

One module a report; each names its `COLUMNS` (with what they mean) and yields its `rows`. `survey`
makes the report that people read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trapsort.reports import (
    effort,
    events,
    iucn,
    new_species,
    night,
    nightly,
    problems,
    silent,
    species,
)
from trapsort.reports.csv_file import Cell, csv_line, write_lines

if TYPE_CHECKING:
    from trapsort.store import Store

__all__ = ["REPORTS", "Report", "report_lines", "write_lines", "write_reports"]


class Report(Protocol):
    """What a report module offers."""

    COLUMNS: dict[str, str]
    """column -> what it holds, in the order of the file"""

    def rows(
        self, store: Store, since: date | None, until: date | None, *, red_list: str
    ) -> Iterator[tuple[Cell, ...]]:
        """Yield one tuple a line, in the order of `COLUMNS`; both days are included."""


REPORTS: dict[str, Report] = {
    "nightly": nightly,
    "species": species,
    "iucn": iucn,
    "problems": problems,
    "events": events,
    "new-species": new_species,
    "effort": effort,
    "silent": silent,
}
NIGHTLY = ("nightly", "events", "new-species", "effort", "silent", "problems")


def report_lines(
    report: Report, store: Store, since: date | None, until: date | None, *, red_list: str = "iucn"
) -> Iterator[str]:
    """Yield the lines of a report as CSV, the header first, each with its line end."""
    yield csv_line(tuple(report.COLUMNS))
    for row in report.rows(store, since, until, red_list=red_list):
        yield csv_line(row)


def write_reports(store: Store, folder: Path, day: date, *, red_list: str = "iucn") -> list[Path]:
    """Write the nightly set of `day`, and that of the day before; return the paths.

    The day before is written again because the last time its night was not over: so every
    sighting stands in the file of the day on which it was recorded, whenever reports are written.

    Raises:
        InputError: the folder or a file cannot be written.
    """
    return [
        path
        for each in (day - timedelta(days=1), day)
        for path in _write_set(store, folder, each, red_list)
    ]


def _write_set(store: Store, folder: Path, day: date, red_list: str) -> list[Path]:
    """Write the files of one day, `summary` the last; only `nightly` is not held in memory."""
    paths, rows, photos = [], {}, 0

    def counted(lines: Iterator[tuple[Cell, ...]]) -> Iterator[tuple[Cell, ...]]:
        nonlocal photos
        for photos, line in enumerate(lines, start=1):  # noqa: B007 - counted for the summary
            yield line

    for name in NIGHTLY:
        report = REPORTS[name]
        found = report.rows(store, day, day, red_list=red_list)
        kept = counted(found) if name == "nightly" else list(found)
        path = folder / f"{name}-{day.isoformat()}.csv"
        lines = itertools.chain([tuple(report.COLUMNS)], kept)
        write_lines(path, map(csv_line, lines), make_folder=True)
        if isinstance(kept, list):
            rows[name] = [dict(zip(report.COLUMNS, row, strict=True)) for row in kept]
        paths.append(path)
    summary = folder / f"summary-{day.isoformat()}.txt"
    write_lines(summary, night.words(day, photos, rows))
    return [*paths, summary]
