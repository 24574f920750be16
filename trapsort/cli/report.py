"""`trapsort report`: CSV reports, the nightly set of them, and the survey report for people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options
from trapsort.cli.counting import (
    effort_option,
    min_probability_option,
    minutes_option,
    reviewed_only_option,
    rule_option,
    since_option,
    species_option,
    station_option,
    until_option,
)
from trapsort.cli.listing import write_text
from trapsort.cli.options import day_option, open_existing, redlist_option, shared_options
from trapsort.errors import InputError, TrapsortError
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.bundle import Bundle
    from trapsort.ensemble import Classifier

# Name -> its line in the list and its help. Literal, so that `--help` imports no report.
LINES = {
    "nightly": "The sightings recorded on a local date, one line a photo.",
    "species": "Photos by label; the dates are the cameras'.",
    "iucn": "Photos by Red List category; the dates are the cameras'.",
    "problems": "The files that gave no sighting, by the local date last seen.",
    "events": "The independent events recorded on a local date, threatened species first.",
    "new-species": "Species that a station had not seen before a local date.",
    "effort": "Trap nights of each deployment, up to a day.",
    "silent": "Running cameras without a photo for days, against their usual rate.",
}
OF_A_DAY = ("nightly", "events", "new-species", "effort", "silent")
"""Reports that are of today where no day is given."""
FORM = """

    Columns and order are fixed (docs/reference/columns.md), and the same data gives the same
    bytes: UTF-8, LF line ends. Text that a spreadsheet would run as a formula begins with an
    apostrophe.
"""


@click.group()
@shared_options
def report() -> None:
    """Write a report: CSV files, the nightly set of them, or the survey as one HTML file."""


def _csv_report(name: str) -> Callable[..., object]:
    @report.command(name, help=LINES[name] + FORM)
    @day_option("--date", "day", help="Only this day" + _today(name))
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
    def command(
        settings: Settings,
        /,
        *,
        day: date | None,
        since: date | None,
        until: date | None,
        out: Path,
    ) -> None:
        from trapsort.reports import REPORTS, report_lines, write_lines

        if day is not None and (since or until):
            raise InputError("--date is one day, --since and --until a span", "give one of them")
        if day is None and since is None and until is None and name in OF_A_DAY:
            day = date.today()
        first, last = (since, until) if day is None else (day, day)
        with open_existing(settings.db) as store:
            lines = report_lines(REPORTS[name], store, first, last, red_list=settings.red_list)
            if str(out) == "-":
                write_text(lines)
            else:
                write_lines(out, lines)

    return command


def _today(name: str) -> str:
    return "; today if not given." if name in OF_A_DAY else "."


for _name in LINES:
    _csv_report(_name)


@report.command("nightly-set")
@day_option("--date", "day", help="The day, today if not given; the day before is written, too.")
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the files; made where it is missing.",
)
@redlist_option
@common_options
def nightly_set(settings: Settings, /, *, day: date | None, out: Path) -> None:
    """Write what `watch --report-dir` writes every day: six CSV files and a summary in words.

    nightly, events, new-species, effort, silent and problems of the day and of the day before, as
    NAME-DATE.csv, and summary-DATE.txt. The paths are printed.
    """
    from trapsort.reports import write_reports

    with open_existing(settings.db) as store:
        for path in write_reports(store, out, day or date.today(), red_list=settings.red_list):
            click.echo(path)


@report.command()
@click.option(
    "--out", required=True, metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="HTML file to write.",
)  # fmt: skip
@click.option(
    "--figures", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Also write each figure as PNG and SVG here.",
)  # fmt: skip
@click.option(
    "--tables", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Also write each table as CSV here.",
)  # fmt: skip
@click.option(
    "--xlsx", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Also write all tables as one workbook.",
)  # fmt: skip
@click.option("--title", default="Camera-trap survey", show_default=True, help="Its heading.")
@day_option("--date", "day", help="Print this as the day on which it was written.")
@since_option
@until_option
@station_option
@species_option
@reviewed_only_option
@min_probability_option
@minutes_option
@rule_option
@effort_option
@click.option(
    "--precision", metavar="DEGREES|none",
    help="Round coordinates so; else by the most threatened species seen at a station.",
)  # fmt: skip
@click.option(
    "--photos", default=8, show_default=True, type=click.IntRange(0, 50), metavar="N",
    help="Example photos with heat maps, at most.",
)  # fmt: skip
@redlist_option
@common_options
def survey(
    settings: Settings, /, *, out: Path, figures: Path | None, tables: Path | None,
    xlsx: Path | None, title: str, day: date | None, since: date | None, until: date | None,
    station: str | None, species: tuple[str, ...], reviewed_only: bool,
    min_probability: float | None, minutes: float, rule: str, effort: str,
    precision: str | None, photos: int,
) -> None:  # fmt: skip
    """Write the survey as one HTML file that needs no network: to read, print and send.

    A summary in words, threatened species first; species and stations with effort and rates;
    detections over time, activity curves, a map, when the cameras worked, species accumulation, how
    reliable the model is, and example photos. People are never shown, coordinates are blurred. The
    same record and options give the same bytes.
    """
    from trapsort.blur import parsed_precision
    from trapsort.reports.survey import Asked, survey_report, write_figures, write_tables
    from trapsort.survey.study import Choices

    asked = Asked(
        rules=Choices(
            minutes=minutes,
            rule=rule,
            effort=effort,
            since=since,
            until=until,
            station=station,
            species=species,
        ),
        reviewed_only=reviewed_only,
        min_probability=min_probability,
        precision=None if precision is None else parsed_precision(precision),
        red_list=settings.red_list,
    )
    with open_existing(settings.db) as store:
        made = survey_report(
            store,
            asked,
            title=title,
            made=day,
            photos=photos,
            classifier=lambda: _classifier(settings),
            bundle=lambda: _bundle(settings),
        )
    made.write(out)
    if figures is not None:
        write_figures(list(made.parts.values()), figures)
    if tables is not None:
        write_tables(made, tables)
    if xlsx is not None:
        made.write_workbook(xlsx)
    click.echo(f"written to {out}", err=True)


def _bundle(settings: Settings) -> Bundle | None:
    """Open the bundle; a report is made without one, too."""
    from trapsort.cli.work import open_bundle

    try:
        return open_bundle(settings)
    except TrapsortError as error:
        click.echo(f"trapsort: {error.message} The report goes without it.", err=True)
        return None


def _classifier(settings: Settings) -> Classifier | None:
    """Load the bundle for heat maps; a report is made without it, too."""
    from trapsort.cli.work import open_classifier

    bundle = _bundle(settings)
    return None if bundle is None else open_classifier(settings, bundle)
