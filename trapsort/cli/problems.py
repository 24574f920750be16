"""`trapsort problems`: the files that gave no sighting, and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options
from trapsort.cli.listing import Row, format_option, write_listing, write_text
from trapsort.cli.options import day_option, open_existing
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.store import ProblemRow

COLUMNS = ("card", "path", "reason", "detail", "first_seen", "last_seen", "resolved")
TABLE = ("reason", "path", "detail", "last_seen")


@click.command()
@day_option("--since", help="Only last seen on this local date or later.")
@day_option("--until", help="Only last seen on this local date or earlier.")
@click.option("--all", "everything", is_flag=True, help="Also those that were resolved since.")
@format_option("table", "csv", "json", "jsonl")
@common_options
def problems(
    settings: Settings,
    /,
    *,
    since: date | None,
    until: date | None,
    everything: bool,
    form: str,
) -> None:
    """List the files that gave no sighting, and say what to do about each kind."""
    from trapsort.reports.nightly import utc_bounds
    from trapsort.scan import REASONS

    columns = TABLE if form == "table" else COLUMNS
    met: dict[str, None] = {}  # the reasons in the order in which they come

    def rows(found: Iterator[ProblemRow]) -> Iterator[Row]:
        for problem in found:
            met[problem.reason] = None
            yield tuple(getattr(problem, column) for column in columns)

    first, last = utc_bounds(since, until)
    with open_existing(settings.db) as store:
        found = store.problems(since=first, until=last, include_resolved=everything)
        write_listing(columns, rows(found), form)
    if form == "table" and met:
        write_text(["\n", *(f"{each}: {REASONS[each]}\n" for each in met if each in REASONS)])
