"""`trapsort survey WHAT`: the statistics of a survey, as tables."""

from __future__ import annotations

import click

from trapsort.cli.options import shared_options
from trapsort.cli.survey_options import Chosen, print_table, sun_option, survey_options


@click.group(no_args_is_help=True)
@shared_options
def survey() -> None:
    """Survey statistics from the sightings that count.

    What counts: reviewed photos, and others where the model did not abstain (see --reviewed-only
    and --min-probability). Photos of nothing, of people and of the unknown never count as species,
    and the frames of a burst count once. By which rule a table is made is said in it or on stderr.
    """


@survey.command()
@survey_options
def events(chosen: Chosen) -> None:
    """Independent events: the record table of camtrapR."""
    from trapsort.survey import tables

    print_table(chosen, tables.events(chosen.study()))


@survey.command()
@click.option(
    "--unit",
    type=click.Choice(("second", "minute", "hour", "day", "week", "month", "year")),
    default="day",
    show_default=True,
    help="What effort is counted in.",
)
@click.option(
    "--period",
    type=click.Choice(("day", "week", "month", "year")),
    help="For each of these, by its first day; weeks begin on Sunday.",
)
@survey_options
def effort(chosen: Chosen, unit: str, period: str | None) -> None:
    """Trap nights by station, and the days of which they are made."""
    from trapsort.survey import tables

    print_table(chosen, tables.effort(chosen.study(), unit=unit, period=period))


@survey.command()
@click.option(
    "--rate",
    type=click.Choice(("events", "sequences", "individuals", "photos", "nights")),
    default="events",
    show_default=True,
    help="What is counted in 100 days of effort; 'nights': days of effort an event.",
)
@click.option("--by-station", is_flag=True, help="For each station, not for the whole survey.")
@survey_options
def rates(chosen: Chosen, rate: str, by_station: bool) -> None:
    """Detection rates (relative abundance indices) by species, with their formula."""
    from trapsort.survey import tables

    print_table(chosen, tables.rates(chosen.study(), rate, by_station=by_station))


@survey.command()
@survey_options
def occupancy(chosen: Chosen) -> None:
    """Naive occupancy: the share of the watched stations with a species."""
    from trapsort.survey import tables

    print_table(chosen, tables.occupancy(chosen.study()))


@survey.command()
@click.option(
    "--occasion-days",
    type=click.IntRange(1),
    default=7,
    show_default=True,
    metavar="DAYS",
    help="How long an occasion lasts.",
)
@click.option(
    "--day1",
    default="survey",
    show_default=True,
    metavar="survey|station|YYYY-MM-DD",
    help="When the first occasion begins.",
)
@click.option(
    "--buffer-days", type=click.IntRange(0), default=0, metavar="DAYS", help="And how much later."
)
@click.option(
    "--max-days", type=click.IntRange(1), metavar="DAYS", help="How long a history lasts at most."
)
@click.option(
    "--min-active-days", type=float, metavar="DAYS", help="Only occasions with so much work."
)
@click.option("--counts", is_flag=True, help="How many events there were, not whether one.")
@click.option("--complete", is_flag=True, help="Only occasions without a day off.")
@click.option("--effort-matrix", is_flag=True, help="The days of work instead of detections.")
@click.option("--scale-effort", is_flag=True, help="Give those mean 0 and standard deviation 1.")
@click.option("--dates", is_flag=True, help="Name the occasions by their days.")
@survey_options
def history(
    chosen: Chosen,
    occasion_days: int,
    day1: str,
    buffer_days: int,
    max_days: int | None,
    min_active_days: float | None,
    counts: bool,
    complete: bool,
    effort_matrix: bool,
    scale_effort: bool,
    dates: bool,
) -> None:
    """Detection history of one species, or its effort matrix, for occupancy models.

    An empty cell is an occasion in which the station was not watched.
    """
    from trapsort.survey import tables

    made = tables.history(
        chosen.study(),
        effort_matrix=effort_matrix,
        occasion_days=occasion_days,
        day1=day1,
        output="count" if counts else "binary",
        include_effort=not complete,
        scale_effort=scale_effort,
        min_active_days=min_active_days,
        max_days=max_days,
        buffer_days=buffer_days,
        dates_as_names=dates,
    )
    print_table(chosen, made, matrix=True)


@survey.command()
@click.option("--by-camera", is_flag=True, help="A row a camera, not a station.")
@survey_options
def operation(chosen: Chosen, by_camera: bool) -> None:
    """Camera operation matrix: the share of each day that a station worked.

    An empty cell is a day on which no camera was set up.
    """
    from trapsort.survey import tables

    print_table(chosen, tables.operation(chosen.study(), by_camera=by_camera), matrix=True)


@survey.command()
@click.option(
    "--points",
    type=click.IntRange(2),
    default=25,
    show_default=True,
    metavar="N",
    help="At how many times of day; midnight is the first and the last.",
)
@sun_option
@survey_options
def activity(chosen: Chosen, points: int, sun: str | None) -> None:
    """Activity curve of each species: the density of its events by the hour of the day."""
    from trapsort.survey import tables

    print_table(chosen, tables.activity(chosen.study(), points=points, sun=sun))


@survey.command()
@click.option(
    "--bootstrap",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Resamples for a 95 % interval of the advised estimate, e.g. 1000.",
)
@sun_option
@survey_options
def overlap(chosen: Chosen, bootstrap: int, sun: str | None) -> None:
    """How far species share the day: Dhat1, Dhat4 and Dhat5 of every two."""
    from trapsort.survey import tables

    print_table(chosen, tables.overlap(chosen.study(), bootstrap=bootstrap, sun=sun))


@survey.command()
@click.option(
    "--unit",
    type=click.Choice(("station-day", "station", "day")),
    default="station-day",
    show_default=True,
    help="The sampling unit.",
)
@survey_options
def accumulation(chosen: Chosen, unit: str) -> None:
    """How many species so many sampling units hold on average (exact, Mao Tau)."""
    from trapsort.survey import tables

    print_table(chosen, tables.accumulation(chosen.study(), unit=unit))


@survey.command()
@survey_options
def summary(chosen: Chosen) -> None:
    """What each station brought: photos, events, species, individuals, effort and rate."""
    from trapsort.survey import tables

    print_table(chosen, tables.summary(chosen.study()))
