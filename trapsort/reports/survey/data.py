"""What a survey report is made of: frames from the record, by the rules that the reader chose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trapsort.errors import InputError
from trapsort.reports.iucn import threat

if TYPE_CHECKING:
    import pandas as pd

    from trapsort.store import Counting, Detection, Judged, PhotoDay, Store
    from trapsort.survey.study import Choices, Study

RATE = "events"  # the rate, one of survey.rates.FORMULAS


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the reader chose beside the rules of the survey.

    reviewed_only, min_probability: what counts; precision: of coordinates, degrees, 0 for exact
    ones, None for what the species seen at a place ask for; red_list: whose categories.
    """

    rules: Choices
    reviewed_only: bool = False
    min_probability: float | None = None
    precision: float | None = None
    red_list: str = "iucn"

    @property
    def counting(self) -> Counting:
        """What the record is asked for; species are chosen among all of it."""
        from trapsort.store import Counting

        return Counting(
            reviewed_only=self.reviewed_only,
            min_probability=self.min_probability,
            since=self.rules.since,
            until=self.rules.until,
            station=self.rules.station,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """Frames of a survey; `species` and `stations` are its two main tables.

    records, events: those of the study, with `reviewed` and this Red List's `iucn` ('' for none);
    species: species, scientific_name, iucn, events, photos, stations, rate, reviewed (share of
    photos), first, last, the most threatened first; stations: those of `survey.summary.captures`
    with cameras, latitude, longitude and precision; deployments and problems: on the days that
    count, with both ends; operation: a camera operation matrix, None where no camera was set up;
    detections: what the records are made of; people: photos of people, which are in none of these.
    """

    asked: Asked
    study: Study
    records: pd.DataFrame
    events: pd.DataFrame
    species: pd.DataFrame
    stations: pd.DataFrame
    deployments: pd.DataFrame
    problems: pd.DataFrame
    operation: pd.DataFrame | None
    photo_days: list[PhotoDay]
    detections: list[Detection]
    judged: list[Judged]
    people: int
    models: tuple[str, ...]

    @property
    def nights(self) -> float | None:
        """Trap nights of all stations, None where no deployment is known."""
        return None if self.operation is None else float(self.stations["effort"].sum())


def gather(store: Store, asked: Asked) -> Survey:
    """Read the record and compute every frame; one pass over what counts.

    Raises:
        InputError: nothing that counts is of a species that was named.
    """
    from trapsort.store.reporting import PEOPLE
    from trapsort.survey.rows import within
    from trapsort.survey.study import study

    counted = store.detections(asked.counting)
    animals = [each for each in counted if each.label.lower() not in PEOPLE]
    photo_days = _photo_days(store, asked.rules)
    made = study(animals, store.deployments(), photo_days, asked.rules)
    records = _records(made.records, animals, asked.red_list)
    events = made.events.assign(iucn=_categories(made.events, asked.red_list))
    operation, effort = _effort(made)
    deployments = within(made.deployments, asked.rules.since, asked.rules.until)
    shown = set(records["photo_id"])
    return Survey(
        asked=asked,
        study=made,
        records=records,
        events=events,
        species=_species(records, events, effort),
        stations=_stations(store, records, events, deployments, effort, asked),
        deployments=deployments,
        problems=made.problems[made.problems["deployment"].isin(deployments["deployment"])],
        operation=operation,
        photo_days=photo_days,
        detections=[each for each in animals if each.photo_id in shown],
        judged=store.judged(),
        people=_people(store, asked.rules),
        models=tuple(sorted({each.model for each in animals if each.model})),
    )


def _people(store: Store, rules: Choices) -> int:
    """Return how many photos are named as people, on the days and at the station that count."""
    from trapsort.store import SightingQuery
    from trapsort.store.reporting import PEOPLE

    asked = SightingQuery(since=rules.since, until=rules.until, station=rules.station)
    return sum(photos for label, photos in store.count(asked, "species") if label.lower() in PEOPLE)


def _photo_days(store: Store, rules: Choices) -> list[PhotoDay]:
    first = rules.since.isoformat() if rules.since else ""
    last = rules.until.isoformat() if rules.until else "9999"
    return [
        each
        for each in store.photo_days()
        if first <= each.day <= last and rules.station in (None, each.station)
    ]


def _categories(frame: pd.DataFrame, listed: str) -> pd.Series:
    from trapsort.redlist import red_list

    entries = red_list(listed)
    known = {label: entries.category(label) or "" for label in frame["species"].unique()}
    return frame["species"].map(known).astype(object)


def _records(records: pd.DataFrame, detections: list[Detection], listed: str) -> pd.DataFrame:
    reviewed = {each.photo_id: each.reviewed for each in detections}
    return records.assign(
        iucn=_categories(records, listed),
        reviewed=[reviewed[photo] for photo in records["photo_id"]],
    )


def _effort(made: Study) -> tuple[pd.DataFrame | None, pd.Series]:
    """Return the operation matrix and days of effort by station; without deployments, none."""
    import pandas as pd

    nothing = pd.Series(dtype="float64", index=pd.Index([], dtype=object, name="station"))
    if not len(made.deployments):
        return None, nothing
    try:
        return made.operation(), made.effort
    except InputError:  # no camera was set up on the days that count
        return None, nothing


def _species(records: pd.DataFrame, events: pd.DataFrame, effort: pd.Series) -> pd.DataFrame:
    from trapsort.survey.rates import counts, survey_rates

    table = records.groupby("species").agg(
        scientific_name=("scientific_name", "first"),
        iucn=("iucn", "first"),
        photos=("time", "size"),
        stations=("station", "nunique"),
        reviewed=("reviewed", "mean"),
        first=("time", "min"),
        last=("time", "max"),
    )
    table["events"] = events.groupby("species").size()
    counted = counts(events, of=RATE, places=effort.index)
    rates = survey_rates(counted, effort, of=RATE).set_index("species")["rate"]
    table["rate"] = rates.reindex(table.index)
    return threatened_first(table.reset_index())


def threatened_first(table: pd.DataFrame) -> pd.DataFrame:
    """Sort by Red List category, then events, then species."""
    keys = zip(table["iucn"], table["events"], table["species"], range(len(table)), strict=True)
    order = sorted(
        keys, key=lambda key: (*(-part for part in threat(key[0])), -int(key[1]), key[2])
    )
    return table.iloc[[key[-1] for key in order]].reset_index(drop=True)


def _stations(
    store: Store,
    records: pd.DataFrame,
    events: pd.DataFrame,
    deployments: pd.DataFrame,
    effort: pd.Series,
    asked: Asked,
) -> pd.DataFrame:
    """Return what each station brought, and where it may be said to be."""
    import numpy as np

    from trapsort.blur import blurred, precision_for
    from trapsort.survey.summary import captures

    table = captures(records, events, effort)
    cameras = deployments.groupby("station").size()
    known = {row.name: row for row in store.stations()}
    worst = {
        str(station): max(set(categories), key=threat)
        for station, categories in records.groupby("station")["iucn"]
    }
    places = np.full((len(table), 3), np.nan)
    for place, station in enumerate(table["station"]):
        row = known.get(station)
        if row is not None and row.latitude is not None and row.longitude is not None:
            precision = precision_for(worst.get(station), asked.precision)
            places[place] = (*blurred(row.latitude, row.longitude, precision), precision)
    table["cameras"] = table["station"].map(cameras).fillna(0)
    return table.assign(latitude=places[:, 0], longitude=places[:, 1], precision=places[:, 2])
