"""Options that say what counts, the same for exports, statistics and reports."""

from __future__ import annotations

import click

from trapsort.cli.options import day_option

species_option = click.option(
    "--species",
    multiple=True,
    metavar="NAME",
    help="Only this label or scientific name; may be repeated.",
)
station_option = click.option("--station", metavar="NAME", help="Only this station.")
since_option = day_option("--since", help="Only from this day on.")
until_option = day_option("--until", help="Only to this day, included.")
minutes_option = click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=60,
    show_default=True,
    metavar="N",
    help="An event begins so long after the last record.",
)
rule_option = click.option(
    "--rule",
    type=click.Choice(("lastRecord", "lastIndependentRecord")),
    default="lastRecord",
    show_default=True,
    help="After the last record, or after the last that began an event.",
)
reviewed_only_option = click.option(
    "--reviewed-only", is_flag=True, help="Only what a person has named."
)
min_probability_option = click.option(
    "--min-probability",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Of what the model named only what it was so sure of.",
)
effort_option = click.option(
    "--effort",
    type=click.Choice(("camtrapR", "camtraptor")),
    default="camtrapR",
    show_default=True,
    help="Whose definition of effort.",
)
