"""A survey in words: what was seen, threatened species first, how long, and what to look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from trapsort.reports.survey.style import ends

if TYPE_CHECKING:
    import pandas as pd

    from trapsort.reports.silent import Silence
    from trapsort.reports.survey.data import Survey

THREATENED = ("VU", "EN", "CR", "EW", "EX", "RE")
CATEGORY_NAMES = {
    "EX": "Extinct",
    "EW": "Extinct in the Wild",
    "RE": "Regionally Extinct",
    "CR": "Critically Endangered",
    "EN": "Endangered",
    "VU": "Vulnerable",
    "NT": "Near Threatened",
    "LC": "Least Concern",
    "DD": "Data Deficient",
    "NE": "Not Evaluated",
    "NA": "Not Applicable",
}
MOST_NAMED = 6  # species in one sentence
FEW_REVIEWED = 0.1  # share of photos below which a report says that nearly nobody looked


def counted(number: float, noun: str, plural: str = "") -> str:
    """Return '1 event', '2,345 events'."""
    return f"{number:,.0f} {noun if round(number) == 1 else plural or noun + 's'}"


def joined(parts: Sequence[str]) -> str:
    """Return 'a', 'a and b', 'a, b and c'."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def in_words(category: str) -> str:
    """Return 'Vulnerable', or of a range 'Near Threatened to Critically Endangered'."""
    low, high = ends(category)
    return " to ".join(dict.fromkeys(CATEGORY_NAMES.get(end, end) for end in (low, high)))


def spoken(day: date | Any) -> str:
    """Return '3 March 2026'."""
    return f"{day.day} {day:%B %Y}"


def span(first: Any, last: Any) -> str:
    """Return '3 March to 20 June 2026', the year once where it is one."""
    if first.date() == last.date():
        return spoken(first)
    same_year = first.year == last.year
    if same_year and first.month == last.month:
        return f"{first.day} to {spoken(last)}"
    begin = f"{first.day} {first:%B}" if same_year else spoken(first)
    return f"{begin} to {spoken(last)}"


def is_threatened(category: str) -> bool:
    """Say whether a category, or the worse end of a range, is VU or worse."""
    return bool(category) and ends(category)[1] in THREATENED


def period(survey: Survey) -> str:
    """Return the days from the first camera or detection to the last, or that there are none."""
    import pandas as pd

    moments = pd.concat(
        [survey.deployments["start"], survey.deployments["end"], survey.records["time"]]
    )
    return span(moments.min(), moments.max()) if len(moments) else "no days yet"


def tiles(survey: Survey) -> list[tuple[str, str]]:
    """Return the few numbers of a survey, each with its name."""
    table = survey.species
    endangered = table["iucn"].map(is_threatened).sum()
    nights = survey.nights
    return [
        ("species", f"{len(table):,}"),
        ("threatened, at least in part", f"{endangered:,}"),
        ("independent events", f"{len(survey.events):,}"),
        ("photos that show them", f"{len(survey.records):,}"),
        ("stations", f"{len(survey.stations):,}"),
        ("trap nights, not known", "–") if nights is None else ("trap nights", f"{nights:,.0f}"),  # noqa: RUF001
    ]


@dataclass(frozen=True, slots=True)
class Threatened:
    """A line of the list of threatened species: its name, category and what was seen of it."""

    name: str
    iucn: str
    words: str


def lead(survey: Survey) -> str:
    """Return the first sentence: how many species, events and photos, where and when."""
    if not len(survey.species):
        return "No species was seen that counts under the rules below."
    where = counted(survey.stations["events"].gt(0).sum(), "station")
    return (
        f"From {period(survey)}, {counted(len(survey.species), 'species', 'species')} came past "
        f"the cameras at {where} in {counted(len(survey.events), 'independent event')}, on "
        f"{counted(len(survey.records), 'photo')}."
    )


def threatened(survey: Survey) -> list[Threatened]:
    """Return the threatened species, the most threatened first."""
    return [
        Threatened(
            shown(row["species"]),
            row["iucn"],
            f"{in_words(row['iucn'])}: {counted(row['events'], 'event')} at "
            f"{counted(row['stations'], 'station')}",
        )
        for row in survey.species.to_dict("records")
        if is_threatened(row["iucn"])
    ]


def sentences(survey: Survey) -> Iterator[str]:
    """Yield what follows the lead and the threatened: the others, effort, who has looked."""
    table = survey.species
    if len(table):
        yield _others(table)
    yield _effort(survey)
    if len(survey.records):
        yield _looked(survey)


def _others(table: pd.DataFrame) -> str:
    rows = [row for row in table.to_dict("records") if not is_threatened(row["iucn"])]
    if not rows:
        return "All of the species are threatened, or some of those behind their name are."
    rows.sort(key=lambda row: -row["events"])
    named = [f"{shown(row['species'])} ({counted(row['events'], 'event')})" for row in rows]
    if len(rows) == len(table):
        begin = "None of the species is known to be threatened on the IUCN Red List:"
    else:
        begin = "The others were" if len(rows) > 1 else "The other was"
    more = len(rows) - MOST_NAMED
    rest = [f"{more:,} more"] if more > 0 else []
    return f"{begin} {joined([*named[:MOST_NAMED], *rest])}."


def shown(label: str) -> str:
    """Return a label as people write it."""
    return label.replace("_", " ")


def _effort(survey: Survey) -> str:
    if survey.nights is None:
        return (
            "How long the cameras watched is not known, because no deployments are in the record; "
            "so there are no rates, and absence says nothing."
        )
    stations = survey.operation.index if survey.operation is not None else []
    running = len(set(survey.study.running) & set(survey.deployments["deployment"]))
    still = f", {running:,} of them still running" if running else ""
    return (
        f"{counted(len(survey.deployments), 'deployment')} at {counted(len(stations), 'station')}"
        f"{still}: together {counted(survey.nights, 'trap night')}."
    )


def _looked(survey: Survey) -> str:
    reviewed = int(survey.records["reviewed"].sum())
    if survey.asked.reviewed_only:
        return "Only photos that a person has named are counted."
    share = reviewed / len(survey.records)
    models = f" ({joined(survey.models)})" if survey.models else ""
    if not reviewed:
        return f"Nobody has looked at these photos: the model{models} named all of them."
    if reviewed == len(survey.records):
        return "People have named all of these photos."
    return (
        f"A person has named {counted(reviewed, 'photo')} of these ({share:.0%}); the others were "
        f"named by the model{models} where it was sure enough."
    )


def attention(
    survey: Survey,
    *,
    problems: int,
    unmatched: int,
    silent: Iterable[Silence],
) -> Iterator[str]:
    """Yield what a person should look at, the most important first."""
    table = survey.species
    unseen = table[table["iucn"].map(is_threatened) & (table["reviewed"] == 0)]
    if len(unseen):
        names = joined([shown(name) for name in unseen["species"]])
        yield f"Nobody has looked at the photos of {names}: threatened, named by the model alone."
    elif len(survey.records) and survey.records["reviewed"].mean() < FEW_REVIEWED:
        yield "Few of the photos have been looked at by a person; review some of each species."
    single = table[table["events"] == 1]
    if len(single):
        names = joined([shown(name) for name in single["species"][:MOST_NAMED]])
        others = len(single) - MOST_NAMED
        tail = f" and {others:,} more" if others > 0 else ""
        yield f"Seen in one event only: {names}{tail}. A single mistake would do."
    if quiet := [f"{each.deployment} ({counted(each.days_silent, 'day')})" for each in silent]:
        more = f" and {len(quiet) - MOST_NAMED:,} more" if len(quiet) > MOST_NAMED else ""
        yield f"Cameras that fell silent: {', '.join(quiet[:MOST_NAMED])}{more}."
    if survey.nights is None:
        yield "No deployments are known: bring them in with trapsort deployments import."
    elif unmatched:
        yield (
            f"{counted(unmatched, 'photo')} of this record without a deployment: where they were "
            "taken is watched for no known time (trapsort deployments list)."
        )
    nowhere = int((survey.records["station"] == "").sum())
    if nowhere:
        yield f"{counted(nowhere, 'photo')} with a species carry no station."
    unplaced = survey.stations[
        survey.stations["latitude"].isna() & (survey.stations["station"] != "")
    ]
    if len(unplaced):
        names = joined([str(name) for name in unplaced["station"][:MOST_NAMED]])
        more = f" and {len(unplaced) - MOST_NAMED:,} more" if len(unplaced) > MOST_NAMED else ""
        yield f"Without coordinates, so not on the map: {names}{more}."
    if problems:
        yield f"{counted(problems, 'file')} could not be read: trapsort problems lists them."
    if survey.people:
        verb = "is" if survey.people == 1 else "are"
        yield f"{counted(survey.people, 'photo')} of people {verb} neither counted nor shown."
