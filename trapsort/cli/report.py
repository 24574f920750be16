"""`trapsort report`: one of the CSV reports, to a file or to stdout."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from trapsort.cli import common_options
from trapsort.cli.listing import write_text
from trapsort.cli.options import day_option, open_existing, redlist_option
from trapsort.errors import InputError
from trapsort.reports import REPORTS
from trapsort.settings import Settings


@click.command()
@click.argument("name", type=click.Choice(tuple(REPORTS)))
@day_option("--date", "day", help="Only this day; for `nightly` today if not given.")
@day_option("--since", help="From this day on.")
@day_option("--until", help="To this day, included.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="-",
    metavar="FILE",
    help="File to write; '-', the default, is stdout.",
)
@redlist_option
@common_options
def report(
    settings: Settings,
    /,
    *,
    name: str,
    day: date | None,
    since: date | None,
    until: date | None,
    out: Path,
) -> None:
    """Write a report as CSV.

    \b
    nightly   the sightings recorded on a local date, one line a photo
    species   photos by label; the dates are the cameras'
    iucn      photos by Red List category; the dates are the cameras'
    problems  the files that gave no sighting, by the local date last seen

    Columns and order are fixed (docs/reference/columns.md), and the same data gives the same
    bytes: UTF-8, LF line ends. Text that a spreadsheet would run as a formula begins with an
    apostrophe.
    """
    from trapsort.reports import report_lines, write_lines

    if day is not None and (since or until):
        raise InputError("--date is one day, --since and --until a span", "give one or the other")
    if day is None and since is None and until is None and name == "nightly":
        day = date.today()
    first, last = (since, until) if day is None else (day, day)
    with open_existing(settings.db) as store:
        lines = report_lines(REPORTS[name], store, first, last, red_list=settings.red_list)
        if str(out) == "-":
            write_text(lines)
        else:
            write_lines(out, lines)
