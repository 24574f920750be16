"""What a survey did and found: camtrapR's survey report, and the captures of each station."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from trapsort.survey.effort import trap_nights


@dataclass(frozen=True, slots=True)
class SurveyReport:
    """The five tables of camtrapR's surveyReport, with its columns."""

    survey_dates: pd.DataFrame
    species_by_station: pd.DataFrame
    events_by_species: pd.DataFrame
    events_by_station: pd.DataFrame
    events_by_station2: pd.DataFrame


def survey_report(
    events: pd.DataFrame, deployments: pd.DataFrame, operation: pd.DataFrame
) -> SurveyReport:
    """Dates, days and trap nights of each station, and its events by species.

    Stations without events are in `survey_dates` too, where camtrapR leaves them out.
    """
    pairs = events.groupby(["station", "species"]).size()
    every = pd.MultiIndex.from_product(
        [sorted(events["station"].unique()), sorted(events["species"].unique())],
        names=["station", "species"],
    )
    by_species = events.groupby("species")["station"].agg(n_events="size", n_stations="nunique")
    species = pairs.groupby(level="station").size()
    return SurveyReport(
        _dates(events, deployments, operation),
        _named(species.rename("n_species")),
        by_species.reset_index(),
        _named(pairs.rename("n_events")),
        _named(pairs.reindex(every, fill_value=0).rename("n_events")),
    )


def _named(column: pd.Series) -> pd.DataFrame:
    return column.reset_index().rename(columns={"station": "Station", "species": "Species"})


def _dates(
    events: pd.DataFrame, deployments: pd.DataFrame, operation: pd.DataFrame
) -> pd.DataFrame:
    stations = deployments.groupby("station")
    taken = events.groupby("station")["time"].agg(["min", "max"]).reindex(operation.index)
    dates = pd.DataFrame(
        {
            "setup": stations["start"].min().dt.normalize(),
            "retrieval": stations["end"].max().dt.normalize(),
            "image_first": taken["min"].dt.normalize(),
            "image_last": taken["max"].dt.normalize(),
            "n_cameras": stations["camera"].nunique(),
            "n_calendar_days_total": (operation >= 0).sum(axis=1),
            "n_calendar_days_active": (operation > 0).sum(axis=1),
            "n_calendar_days_inactive": (operation == 0).sum(axis=1),
            "n_trap_nights_active": trap_nights(operation),
        }
    )
    return dates.rename_axis("Station").reset_index()


def captures(records: pd.DataFrame, events: pd.DataFrame, effort: pd.Series) -> pd.DataFrame:
    """What each station brought: a row a station, those without records included, sorted.

    Columns `station`, `effort` (days; NaN where no deployment is known), `photos`, `events`,
    `species`, `individuals` (sum over events of the greatest count in a photo), `first` and `last`
    (times, NaT without records) and `rate` (events in 100 days).
    """
    seen = records.groupby("station")["time"].agg(["size", "min", "max"])
    visits = events.groupby("station").agg(
        events=("species", "size"), species=("species", "nunique"), individuals=("count", "sum")
    )
    stations = effort.index.union(seen.index).rename("station")
    numbers = visits.reindex(stations, fill_value=0)
    days = effort.reindex(stations).astype("float64")
    return pd.DataFrame(
        {
            "effort": days,
            "photos": seen["size"].reindex(stations, fill_value=0),
            **numbers,
            "first": seen["min"].reindex(stations),
            "last": seen["max"].reindex(stations),
            "rate": 100 * numbers["events"] / days.where(days > 0),
        }
    ).reset_index()
