"""The tables that a study can show, each with notes that say by which rule it was made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trapsort.errors import InputError
from trapsort.survey import accumulation as accumulations
from trapsort.survey import rates as rates_of
from trapsort.survey.activity import bandwidth, curve, time_of_day
from trapsort.survey.effort import DEFINITIONS, by_station_and_period, in_unit
from trapsort.survey.events import record_table
from trapsort.survey.histories import detection_history
from trapsort.survey.overlap import bootstrap as bootstrapped
from trapsort.survey.overlap import confidence
from trapsort.survey.overlap import overlap as overlap_of
from trapsort.survey.rows import within
from trapsort.survey.study import Study
from trapsort.survey.summary import captures
from trapsort.survey.sun import sun_time_of_day

Cell = str | int | float | bool | None

CLOCK = "clock"
INTERVAL = "basic0"  # the bootstrap interval that overlap's authors advise
TOO_FEW = "too few events at different times for a curve"


SAID = ("rule", "formula", "definition", "effort_definition")  # columns that repeat a note


@dataclass(frozen=True, slots=True)
class Table:
    """A frame to print, and what to say beside it; `brief` are columns enough for people."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()
    brief: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [str(name) for name in self.frame.columns]

    def for_people(self) -> Table:
        """The table without what is said beside it."""
        brief = self.brief or [name for name in self.columns if name not in SAID]
        return Table(self.frame.loc[:, list(brief)], self.notes)

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """The rows in plain Python: None where nothing is known, times as ISO 8601 text."""
        for row in self.frame.itertuples(index=False, name=None):
            yield tuple(map(_cell, row))


def _cell(value: object) -> Cell:
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp):
        return str(value.isoformat())
    plain = value.item() if isinstance(value, np.generic) else value
    return plain if isinstance(plain, str | int | float) else str(plain)


def events(study: Study) -> Table:
    """camtrapR's record table of the independent events, with names, counts and the rule."""
    table = record_table(study.events)
    table.insert(2, "scientific_name", study.events["scientific_name"])
    return Table(
        table.assign(count=study.events["count"], rule=study.rule),
        (f"event: {study.rule}",),
        ("Station", "Species", "DateTimeOriginal", "count", "n_images", "FileName"),
    )


def effort(study: Study, *, unit: str = "day", period: str | None = None) -> Table:
    """Effort by station, and how many of its days the station worked; or by station and period."""
    if period is not None:
        return _effort_by_period(study, unit, period)
    matrix, definition = study.operation(), study.choices.effort
    days = {
        "effort": in_unit(study.effort, unit),
        "unit": unit,
        "days_set_up": matrix.notna().sum(axis=1),
        "days_active": (matrix > 0).sum(axis=1),
        "days_inactive": (matrix == 0).sum(axis=1),
    }
    table = pd.DataFrame(days).rename_axis("station").reset_index()
    return Table(table.assign(definition=definition), (_effort_note(study),))


def _effort_by_period(study: Study, unit: str, period: str) -> Table:
    chosen = study.choices
    inside = within(study.deployments, chosen.since, chosen.until)
    table = by_station_and_period(inside, study.operation(), period, definition=chosen.effort)
    first = table["period"].dt.strftime("%Y-%m-%d")
    table = table.assign(period=first, effort=in_unit(table["effort"], unit), unit=unit)
    return Table(table.assign(definition=chosen.effort), (_effort_note(study),))


def _effort_note(study: Study) -> str:
    return f"effort as in {study.choices.effort}: {DEFINITIONS[study.choices.effort]}"


def rates(study: Study, of: str, *, by_station: bool) -> Table:
    """Detection rates, one of `rates.FORMULAS`, of the survey or of each station."""
    rows = study.records if of in ("sequences", "photos") else study.events
    counted = rates_of.counts(rows, of=of, places=study.effort.index)
    made = rates_of.rates if by_station else rates_of.survey_rates
    table = made(counted, study.effort, of=of)
    notes = (f"rate: {rates_of.FORMULAS[of]}", _effort_note(study), f"event: {study.rule}")
    return Table(
        table.assign(rule=study.rule, effort_definition=study.choices.effort),
        (*notes, *_without_effort(study)),
    )


def _without_effort(study: Study) -> Iterator[str]:
    """Say what a rate cannot count: events where nobody knows how long a camera watched."""
    known = study.events["station"].isin(study.effort.index)
    if left_out := int((~known).sum()):
        places = sorted({name or "no station" for name in study.events.loc[~known, "station"]})
        events = "1 event" if left_out == 1 else f"{left_out:,} events"
        named = ", ".join(places)
        yield f"{events} left out, of {named}: no deployment says when cameras stood there"


def occupancy(study: Study) -> Table:
    """Naive occupancy by species."""
    table = rates_of.naive_occupancy(study.records, study.effort)
    notes = (f"occupancy: {rates_of.OCCUPANCY}", *_without_effort(study))
    return Table(table.assign(rule=study.rule), notes)


def history(study: Study, *, effort_matrix: bool, **options: object) -> Table:
    """The detection history, or the effort matrix, of the study's one species.

    `options` are those of `histories.detection_history`.

    Raises:
        InputError: the records are of more than one species, or of none.
    """
    labels = sorted(study.records["species"].unique())
    if len(labels) != 1:
        raise InputError(
            f"a history is of one species, and {len(labels)} were recorded",
            f"name one with --species: {', '.join(labels)}" if labels else "record one first",
        )
    made = detection_history(study.events, study.operation(), labels[0], **options)  # type: ignore[arg-type]
    notes = [f"event: {study.rule}"]
    if made.left_out:
        notes.append(f"{made.left_out} events lie in no occasion and are left out")
    if made.center is not None:
        notes.append(f"effort: less {made.center:.10g} days, divided by {made.scale:.10g} days")
    matrix = made.effort if effort_matrix else made.detections
    return Table(matrix.reset_index().assign(rule=study.rule), tuple(notes))


def operation(study: Study, *, by_camera: bool) -> Table:
    """The camera operation matrix."""
    return Table(study.operation(by_camera=by_camera).reset_index())


def _times(study: Study, sun: str | None) -> tuple[dict[str, NDArray[np.float64]], list[str]]:
    """Radians of the events by species, of those that have a curve; and what is left out."""
    times, notes = time_of_day(study.events["time"]), [f"event: {study.rule}"]
    if sun is not None:
        times = sun_time_of_day(study.events, study.deployments, kind=sun)
        if missing := int(np.isnan(times).sum()):
            notes.append(f"{missing} events without place, offset or sunrise are left out")
    kept = study.events.assign(radians=times).dropna(subset="radians")
    found = {str(name): rows.to_numpy() for name, rows in kept.groupby("species")["radians"]}
    for species in [name for name, radians in found.items() if bandwidth(radians) is None]:
        notes.append(f"{species}: {TOO_FEW}")
        del found[species]
    return found, notes


def activity(study: Study, *, points: int, sun: str | None) -> Table:
    """Activity curves: density an hour by the hour of the day."""
    times, notes = _times(study, sun)
    columns = ["species", "hour", "density", "events", "bandwidth"]
    curves = [
        curve(radians, points=points)
        .assign(species=species, events=len(radians), bandwidth=bandwidth(radians))
        .loc[:, columns]
        for species, radians in times.items()
    ]
    table = pd.concat(curves, ignore_index=True) if curves else pd.DataFrame(columns=columns)
    return Table(table.assign(time=sun or CLOCK, rule=study.rule), tuple(notes))


def overlap(study: Study, *, bootstrap: int, sun: str | None) -> Table:
    """Coefficients of overlap of every two species, with a 95 % interval where resamples are asked
    for.
    """
    times, notes = _times(study, sun)
    rows = []
    for one, other in combinations(times, 2):
        found = overlap_of(times[one], times[other])
        limits = (np.nan, np.nan)
        if bootstrap:
            drawn = bootstrapped(times[one], times[other], repeats=bootstrap, estimate=found.best)
            limits = tuple(confidence(found.estimate, drawn).loc[INTERVAL])
        sizes = (one, other, found.n, found.m)
        rows.append((*sizes, found.dhat1, found.dhat4, found.dhat5, found.best, *limits))
    names = ("species", "other", "n", "m", "dhat1", "dhat4", "dhat5", "advised", "lower", "upper")
    table = pd.DataFrame(rows, columns=list(names))
    return Table(table.assign(time=sun or CLOCK, rule=study.rule), tuple(notes))


def accumulation(study: Study, *, unit: str) -> Table:
    """Species in 1, 2, ... sampling units."""
    table = accumulations.exact(accumulations.incidence(study.records, unit=unit))
    return Table(table.assign(unit=unit), (f"units are {unit}s with a record; exact (Mao Tau)",))


def summary(study: Study) -> Table:
    """What each station brought."""
    table = captures(study.records, study.events, study.effort)
    return Table(
        table.assign(rule=study.rule, effort_definition=study.choices.effort),
        (f"rate: {rates_of.FORMULAS['events']}", _effort_note(study), f"event: {study.rule}"),
        ("station", "effort", "photos", "events", "species", "first", "last", "rate"),
    )
