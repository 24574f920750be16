"""Detection rates (relative abundance indices) and naive occupancy; each names its formula."""

from __future__ import annotations

import pandas as pd

from trapsort.errors import InputError

FORMULAS = {
    "events": "100 x independent events / days of effort (O'Brien et al. 2003)",
    "sequences": "100 x distinct sequences / days of effort (camtraptor get_rai)",
    "individuals": "100 x sum of individual counts / days of effort"
    " (camtraptor get_rai_individuals)",
    "photos": "100 x photos / days of effort",
    "nights": "days of effort / independent events (Carbone et al. 2001)",
}
OCCUPANCY = "stations with the species / stations that were watched"


def counts(
    records: pd.DataFrame,
    *,
    of: str,
    places: pd.Index,
    place: str = "station",
    name: str = "species",
) -> pd.DataFrame:
    """How many of each species at each place: columns `place`, `name` and `n` (int64).

    Every place of `places`, in that order, has every species that any record names, sorted; 0 where
    it was not seen. `of` is one of `FORMULAS`: events and nights count rows (give events), photos
    the records' `n_images`, or the rows of records, sequences the distinct `sequence_id` (a row
    without one is one), individuals the sum of `count`.

    Raises:
        InputError: there is no such count.
    """
    if of not in FORMULAS:
        raise InputError(f"there is no rate of {of}", f"choose from {', '.join(FORMULAS)}")
    known = records[records[name].notna() & records[place].isin(places)]
    grouped = known.groupby([place, name])
    if of == "individuals":
        number = grouped["count"].sum()
    elif of == "sequences":
        number = grouped["sequence_id"].nunique() + grouped["sequence_id"].agg(_without)
    elif of == "photos" and "n_images" in known:
        number = grouped["n_images"].sum()
    else:
        number = grouped.size()
    species = sorted(records.loc[records[name].notna(), name].unique())
    every = pd.MultiIndex.from_product([places, species], names=[place, name])
    return number.reindex(every, fill_value=0).astype("int64").rename("n").reset_index()


def _without(values: pd.Series) -> int:
    return int(values.isna().sum())


def rates(counted: pd.DataFrame, effort: pd.Series, *, of: str) -> pd.DataFrame:
    """`counts` with `effort` (days), `rate` (float64, NaN without effort) and `formula`.

    `effort` is days by place, `of` what was counted. A rate of nights is NaN
    without an event.
    """
    place = counted.columns[0]
    days = counted[place].map(effort).astype("float64")
    number = counted["n"].astype("float64")
    rate = (
        days / number.where(number > 0) if of == "nights" else 100 * number / days.where(days > 0)
    )
    return counted.assign(effort=days, rate=rate, formula=FORMULAS[of])


def survey_rates(counted: pd.DataFrame, effort: pd.Series, *, of: str) -> pd.DataFrame:
    """`rates` over all places together: columns species, `n`, `effort`, `rate` and `formula`."""
    name = counted.columns[1]
    total = counted.groupby(name, as_index=False)["n"].sum()
    whole = total.assign(place="").loc[:, ["place", name, "n"]]
    return rates(whole, pd.Series({"": effort.sum()}), of=of).drop(columns="place")


def naive_occupancy(records: pd.DataFrame, effort: pd.Series) -> pd.DataFrame:
    """Share of the watched stations at which a species was recorded at least once.

    Columns `species`, `stations` (with it), `watched` (effort above 0), `occupancy` and `formula`;
    detection is taken for certain, so this is a lower bound.
    """
    watched = effort.index[effort > 0]
    seen = records[records["station"].isin(watched)].groupby("species")["station"].nunique()
    names = sorted(records["species"].unique())
    stations = seen.reindex(names, fill_value=0).astype("int64")
    return pd.DataFrame(
        {
            "species": names,
            "stations": stations.to_numpy(),
            "watched": len(watched),
            "occupancy": (stations / max(1, len(watched))).to_numpy(),
            "formula": OCCUPANCY,
        }
    )
