"""The figures of a survey: what is drawn, what it shows in words, and its numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from trapsort.reports.survey import chart, figures, times
from trapsort.reports.survey.data import threatened_first
from trapsort.reports.survey.part import Part
from trapsort.reports.survey.summary import counted, in_words, joined, shown
from trapsort.reports.survey.tables import Column, table_of

if TYPE_CHECKING:
    from trapsort.reports.survey.data import Survey
    from trapsort.reports.survey.reliability import Reliability

POINTS = 200  # of an accumulation curve
STATIONS_TOGETHER = 3  # names of stations at one place of the map


def parts_of(survey: Survey, reliability: Reliability) -> dict[str, Part]:
    """Return every figure by its name, in the order of the page."""
    made = (
        _iucn(survey),
        times.detections(survey),
        times.activity(survey),
        _map(survey),
        times.operation(survey),
        _accumulation(survey),
        _reliability(reliability),
    )
    return {part.name: part for part in made}


def _iucn(survey: Survey) -> Part:
    heading = "Red List categories"
    table = survey.species
    if not len(table):
        return Part("iucn", heading, "There is no species whose category could be drawn.")
    grouped = table.groupby("iucn").agg(
        labels=("species", lambda names: "; ".join(sorted(map(shown, names)))),
        species=("species", "size"),
        events=("events", "sum"),
    )
    frame = threatened_first(grouped.reset_index().rename(columns={"species": "n"}).assign(
        species=lambda each: each["labels"]
    ))  # fmt: skip
    drawn = frame.assign(species=frame["n"])
    alt = "Independent events by IUCN Red List category: " + "; ".join(
        f"{in_words(row['iucn']) if row['iucn'] else 'no category known'}, "
        f"{counted(row['events'], 'event')} of {row['species']}"
        for row in frame.to_dict("records")
    )
    return Part(
        "iucn",
        heading,
        "Independent events by category, the most threatened on top, in the Red List's own "
        "colours. A range, where a name covers several assessed species, has the colour of its "
        f"worse end, hatched. Events: {survey.study.rule}.",
        alt,
        partial(figures.iucn, drawn),
        table_of(
            "iucn",
            "Events by Red List category",
            frame,
            (
                Column("iucn", "Red List", "category"),
                Column("labels", "species"),
                Column("events", "events", "number"),
            ),
        ),
    )


def _map(survey: Survey) -> Part:
    import pandas as pd

    heading = "Where the stations are"
    placed = survey.stations.dropna(subset=["latitude", "longitude"])
    if not len(placed):
        return Part("map", heading, "No station has coordinates: trapsort stations import.")
    rows = [
        {
            "station": _names(list(part["station"])),
            **dict(zip(("latitude", "longitude", "precision"), place, strict=True)),
            "events": int(part["events"].sum()),
        }
        for place, part in placed.groupby(["latitude", "longitude", "precision"])
    ]
    frame = pd.DataFrame(rows)
    coarse = sorted({each for each in placed["precision"] if each > 0}, reverse=True)
    if coarse:
        degrees = joined([f"{each:g}" for each in coarse])
        words = (
            f"Coordinates are rounded to {degrees} degrees, according to the most threatened "
            "species seen at a station (Chapman 2020, GBIF): each is somewhere in its square."
            if survey.asked.precision is None
            else f"Coordinates are rounded to {degrees} degrees: each is somewhere in its square."
        )
    else:
        words = "Coordinates are exact: take care to whom this goes."
    most = placed.loc[placed["events"].idxmax()]
    return Part(
        "map",
        heading,
        f"Stations with their independent events ({survey.study.rule}) as the area of the mark; a "
        f"ring is a station without any. {words} Scale and proportions hold at its middle.",
        f"Map of {counted(len(placed), 'station')}; most events ({most['events']:,}) at "
        f"{most['station']}.",
        partial(chart.stations, frame),
    )


def _names(stations: list[str]) -> str:
    more = len(stations) - STATIONS_TOGETHER
    return "\n".join([*stations[:STATIONS_TOGETHER], *([f"and {more} more"] if more > 0 else [])])


def _accumulation(survey: Survey) -> Part:
    import numpy as np

    from trapsort.survey.accumulation import exact, incidence

    heading = "How complete the list of species is"
    if not len(survey.events):
        return Part("accumulation", heading, "There are no events to draw.")
    found = incidence(survey.events, unit="station-day")
    active = 0 if survey.operation is None else int((survey.operation.to_numpy() > 0).sum())
    if max(active, len(found)) < 2:
        return Part("accumulation", heading, "One day at one station makes no curve.")
    curve = exact(found, units=active or None)
    places = np.unique(np.linspace(0, len(curve) - 1, POINTS).astype(int))
    frame = curve.iloc[places].rename(columns={"sites": "units", "richness": "species"})
    unit = "camera days (a station on a day)" if active else "station-days with a detection"
    richness = curve["richness"].to_numpy()
    total = float(richness[-1])
    half = int(np.searchsorted(richness, total / 2)) + 1
    gain = total - float(richness[int(len(richness) * 0.9) - 1])
    return Part(
        "accumulation",
        heading,
        "Expected number of species in so many "
        + unit
        + ", over all orders in which they could have "
        "come (exact accumulation, Mao Tau, as in vegan; Colwell et al. 2004), with one standard "
        f"deviation. The last tenth of the effort brought {gain:.1f} species: the flatter the end, "
        "the fewer are still missing.",
        f"Species accumulation curve: half of the {counted(total, 'species', 'species')} after "
        f"{half:,} of {len(curve):,} {unit}.",
        partial(figures.accumulation, frame, unit),
        table_of(
            "accumulation",
            "Species accumulation",
            frame,
            (
                Column("units", unit, "number"),
                Column("species", "species expected", "number", 2),
                Column("sd", "standard deviation", "number", 2),
            ),
        ),
    )


def _reliability(found: Reliability) -> Part:
    heading = "Is the model as sure as it is right?"
    if not len(found.bins):
        return Part("reliability", heading, found.words)
    return Part(
        "reliability",
        heading,
        f"{found.words} Each point is a group of photos by how sure the model was, its size grows "
        "with their number, the line is a 95 % interval (Wilson); on the dashed line it is as "
        "sure as it is right.",
        found.alt,
        partial(figures.reliability, found.bins),
        table_of(
            "reliability",
            "Certainty and correctness",
            found.bins,
            (
                Column("sure", "mean probability", "number", 3),
                Column("right", "share right", "number", 3),
                Column("photos", "photos", "number"),
                Column("low", "at least", "number", 3),
                Column("high", "at most", "number", 3),
            ),
        ),
    )
