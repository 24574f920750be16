"""The files that gave no sighting, one line a file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from trapsort.reports.csv_file import Cell

if TYPE_CHECKING:
    from trapsort.store import Store

COLUMNS: dict[str, str] = {
    "card": "folder that was taken in",
    "path": "where on the card the file is",
    "reason": "reason code, see reference/problems.md",
    "detail": "what exactly was found",
    "first_seen": "UTC, YYYY-MM-DDTHH:MM:SSZ",
    "last_seen": "UTC, YYYY-MM-DDTHH:MM:SSZ",
}


def rows(
    store: Store, since: date | None, until: date | None, *, red_list: str
) -> Iterator[tuple[Cell, ...]]:
    """Yield the unresolved problems that were last seen on these local dates."""
    from trapsort.reports.nightly import utc_bounds

    first, last = utc_bounds(since, until)
    for problem in store.problems(since=first, until=last):
        yield (
            problem.card,
            problem.path,
            problem.reason,
            problem.detail,
            problem.first_seen,
            problem.last_seen,
        )
