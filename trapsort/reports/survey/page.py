"""The page: one HTML file that loads nothing, from the templates beside this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import trapsort
from trapsort.redlist import COLOURS, LISTS, VERSION
from trapsort.reports.survey import style, summary
from trapsort.reports.survey.data import RATE
from trapsort.reports.survey.tables import Column, Table, table_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup

    from trapsort.reports.survey.data import Survey
    from trapsort.reports.survey.examples import Examples
    from trapsort.reports.survey.part import Part


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure on the page: `svg` is markup of our own, '' where there is nothing to draw."""

    name: str
    heading: str
    caption: str
    alt: str
    svg: Markup | str
    table: Table | None


def render(
    survey: Survey,
    parts: Mapping[str, Part],
    examples: Examples,
    attention: Sequence[str],
    *,
    title: str,
    made: date | None,
) -> str:
    """Return the whole page; `made` is printed as the day on which it was written."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("trapsort.reports.survey"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        ends_of=lambda category: tuple(dict.fromkeys(style.ends(category))),
        colour_of=lambda category: COLOURS.get(category, COLOURS[style.NO_CATEGORY]),
        text_on=style.text_on,
        name_of=lambda category: summary.CATEGORY_NAMES.get(category, category),
    )
    return environment.get_template("survey.html").render(
        title=title,
        version=trapsort.__version__,
        period=summary.period(survey),
        made=summary.spoken(made) if made else "",
        tiles=summary.tiles(survey),
        lead=summary.lead(survey),
        threatened=summary.threatened(survey),
        summary=list(summary.sentences(survey)),
        attention=attention,
        species=species_table(survey),
        species_caption="Threatened species first, then by events. Rate: independent events in 100 "
        "trap nights. Checked: photos that a person has named.",
        effort=station_table(survey),
        effort_caption="Each station with its effort and what came of it. Rate: independent events "
        "of all species in 100 trap nights.",
        figures={name: drawn(part) for name, part in parts.items()},
        examples=examples,
        methods=methods(survey),
    )


def drawn(part: Part) -> Drawn:
    """Draw a figure for the page."""
    from markupsafe import Markup

    svg: Markup | str = ""
    if part.draw is not None:
        # Not of the record: matplotlib has escaped every name in it.
        svg = Markup(style.inline(style.svg_of(part.draw), part.name))  # noqa: S704
    return Drawn(part.name, part.heading, part.caption, part.alt, svg, part.table)


def species_table(survey: Survey) -> Table:
    """Return the main table: a species a row, the threatened first."""
    return table_of(
        "species",
        "Species",
        survey.species.assign(reviewed=survey.species["reviewed"] * 100),
        (
            Column("species", "species", "label"),
            Column("scientific_name", "scientific name", "taxon"),
            Column("iucn", "Red List", "category"),
            Column("events", "events", "number"),
            Column("photos", "photos", "number"),
            Column("stations", "stations", "number"),
            Column("rate", "rate", "number", 2),
            Column("reviewed", "checked, %", "number"),
            Column("first", "first", "day"),
            Column("last", "last", "day"),
        ),
    )


def station_table(survey: Survey) -> Table:
    """Return effort and captures, a station a row; coordinates as they may leave."""
    return table_of(
        "stations",
        "Stations",
        survey.stations,
        (
            Column("station", "station"),
            Column("latitude", "latitude", "degrees"),
            Column("longitude", "longitude", "degrees"),
            Column("precision", "rounded to", "degrees"),
            Column("cameras", "deployments", "number"),
            Column("effort", "trap nights", "number", 1),
            Column("photos", "photos", "number"),
            Column("events", "events", "number"),
            Column("species", "species", "number"),
            Column("rate", "rate", "number", 1),
        ),
    )


def methods(survey: Survey) -> list[tuple[str, str]]:
    """Return how each number was made: rules, formulas and sources."""
    from trapsort.survey.effort import DEFINITIONS
    from trapsort.survey.rates import FORMULAS

    asked, rules = survey.asked, survey.asked.rules
    what = "photos that a person has named" if asked.reviewed_only else (
        "photos that a person has named, and those that the model named where it did not abstain"
    )  # fmt: skip
    if asked.min_probability is not None and not asked.reviewed_only:
        what += f" and was sure by at least {asked.min_probability:g}"
    span = [
        f"{word} {summary.spoken(day)}"
        for word, day in (("from", rules.since), ("to", rules.until))
        if day is not None
    ]
    only = f" Only {' '.join(span)}." if span else ""
    only += f" Only station {rules.station}." if rules.station is not None else ""
    only += f" Only {summary.joined(rules.species)}." if rules.species else ""
    since = (
        "the last photo of that species at that station"
        if rules.rule == "lastRecord"
        else "the last photo that began an event of that species at that station"
    )
    listed = "IUCN Red List" if asked.red_list == "iucn" else "Red List (as published)"
    return [
        (
            "What counts",
            f"{_capital(what)}. Blank, unknown, vehicles and people never count as "
            f"species. Times are local, by the cameras' corrected clocks.{only}",
        ),
        (
            "Independent event",
            f"Rule {rules.rule}, {rules.minutes:g} minutes: a photo begins an event where at "
            f"least {rules.minutes:g} minutes have passed since {since} (as camtrapR, Niedballa "
            "et al. 2016).",
        ),
        ("Trap nights", f"As {rules.effort}: {DEFINITIONS[rules.effort]}."),
        ("Rate", f"{_capital(FORMULAS[RATE])}."),
        (
            listed,
            f"{_capital(LISTS[asked.red_list])}; facts of {VERSION}. A range stands where a name "
            "covers several assessed species; its worse end decides the order.",
        ),
        ("Coordinates", _coordinates(asked.precision)),
        (
            "Model",
            f"{summary.joined(survey.models)}." if survey.models else "None: people named all.",
        ),
    ]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _coordinates(precision: float | None) -> str:
    if precision == 0:
        return "Exact, as asked for."
    if precision is not None:
        return f"Rounded to {precision:g} degrees, as asked for."
    return (
        "Rounded by the most threatened species seen at each station: 0.1 degrees for CR and EN, "
        "0.01 for VU, 0.001 for NT and LC (Chapman 2020, Current best practices for generalizing "
        "sensitive species occurrence data, GBIF)."
    )
