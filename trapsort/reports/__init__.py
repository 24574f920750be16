"""Reports: CSV files with fixed columns in a fixed order, the same bytes for the same data.

One module a report; each names its `COLUMNS` (with what they mean) and yields its `rows`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trapsort.reports import iucn, nightly, problems, species
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
}
NIGHTLY = ("nightly", "problems")


def report_lines(
    report: Report, store: Store, since: date | None, until: date | None, *, red_list: str = "iucn"
) -> Iterator[str]:
    """Yield the lines of a report as CSV, the header first, each with its line end."""
    yield csv_line(tuple(report.COLUMNS))
    for row in report.rows(store, since, until, red_list=red_list):
        yield csv_line(row)


def write_reports(store: Store, folder: Path, day: date, *, red_list: str = "iucn") -> list[Path]:
    """Write the nightly files of `day`, and those of the day before; return their paths.

    The day before is written again because the last time its night was not over: so every
    sighting stands in the file of the day on which it was recorded, whenever reports are written.

    Raises:
        InputError: the folder or a file cannot be written.
    """
    paths = []
    for each in (day - timedelta(days=1), day):
        for name in NIGHTLY:
            path = folder / f"{name}-{each.isoformat()}.csv"
            lines = report_lines(REPORTS[name], store, each, each, red_list=red_list)
            write_lines(path, lines, make_folder=True)
            paths.append(path)
    return paths
