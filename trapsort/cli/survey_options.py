"""What every `trapsort survey` shares: its options, the study that they make, and printing."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Concatenate, ParamSpec

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
from trapsort.cli.listing import Row, format_option, write_listing, write_matrix
from trapsort.cli.options import open_existing
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.survey.study import Study
    from trapsort.survey.tables import Table

P = ParamSpec("P")

_OPTIONS = (
    minutes_option,
    rule_option,
    species_option,
    station_option,
    since_option,
    until_option,
    reviewed_only_option,
    min_probability_option,
    effort_option,
    click.option("--all-cameras-on", is_flag=True, help="A station works where all cameras do."),
    click.option("--cameras-independent", is_flag=True, help="Sum effort and events over cameras."),
    click.option(
        "--start-hour", type=click.IntRange(0, 23), default=0, metavar="HOUR",
        help="When the day of a camera begins.",
    ),
    format_option("table", "csv", "json", "jsonl"),
)  # fmt: skip


sun_option = click.option(
    "--sun-time",
    "sun",
    type=click.Choice(("average", "equinoctial")),
    help="Tell times of day by sunrise and sunset, not by the clock.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The shared options of a command, as they were given."""

    settings: Settings
    minutes: float
    rule: str
    species: tuple[str, ...]
    station: str | None
    since: date | None
    until: date | None
    reviewed_only: bool
    min_probability: float | None
    effort: str
    all_cameras_on: bool
    cameras_independent: bool
    start_hour: int
    form: str

    def study(self) -> Study:
        """Read the record and make the frames of what counts."""
        from trapsort.store import Counting
        from trapsort.store.reporting import PEOPLE
        from trapsort.survey.study import Choices, study

        counting = Counting(
            reviewed_only=self.reviewed_only,
            min_probability=self.min_probability,
            since=self.since,
            until=self.until,
            station=self.station,
        )
        choices = Choices(
            minutes=self.minutes,
            rule=self.rule,
            effort=self.effort,
            since=self.since,
            until=self.until,
            station=self.station,
            species=self.species,
            all_cameras_on=self.all_cameras_on,
            cameras_independent=self.cameras_independent,
            start_hour=self.start_hour,
        )
        with open_existing(self.settings.db) as store:
            animals = (
                each for each in store.detections(counting) if each.label.lower() not in PEOPLE
            )
            made = study(animals, store.deployments(), store.photo_days(), choices)
        if made.running:
            named = ", ".join(made.running)
            click.echo(f"still running, so counted to the last photo: {named}", err=True)
        return made


def survey_options(command: Callable[Concatenate[Chosen, P], None]) -> Callable[..., None]:
    """Give a command the options of every survey and, as its first argument, what was chosen."""
    names = Chosen.__slots__

    @functools.wraps(command)
    def with_chosen(settings: Settings, /, *args: P.args, **options: P.kwargs) -> None:
        shared = {name: options.pop(name) for name in names if name in options}
        command(Chosen(settings=settings, **shared), *args, **options)  # type: ignore[arg-type]

    whole: Callable[..., None] = common_options(with_chosen)
    for option in reversed(_OPTIONS):
        whole = option(whole)
    return whole


def print_table(chosen: Chosen, table: Table, *, matrix: bool = False) -> None:
    """Print a table, and its notes on stderr; a matrix for people in blocks of columns."""
    for note in table.notes:
        click.echo(note, err=True)
    if chosen.form != "table":
        write_listing(table.columns, table.rows(), chosen.form)
        return
    brief = table.for_people()
    (write_matrix if matrix else _write_table)(brief.columns, brief.rows())


def _write_table(columns: Sequence[str], rows: Iterable[Row]) -> None:
    write_listing(columns, rows, "table")
