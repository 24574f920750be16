"""Effort: how long cameras watched, by the definitions of camtrapR and of camtraptor."""

from __future__ import annotations

import numpy as np
import pandas as pd

from trapsort.errors import InputError

DEFINITIONS = {
    "camtrapR": "camera operation matrix summed over days; setup and retrieval days count one half"
    " unless times are known, problem days nothing",
    "camtraptor": "end minus start of a deployment, problems included",
}
# A month and a year are lubridate's, as in camtraptor: 365.25 days, and a twelfth of that.
SECONDS = {
    **{"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800},
    **{"month": 2_629_800, "year": 31_557_600},
}
PERIODS = {"day": "D", "week": "W-SAT", "month": "M", "year": "Y"}  # a week begins on Sunday


def trap_nights(operation: pd.DataFrame) -> pd.Series:
    """camtrapR's trap nights by row of a camera operation matrix, float64."""
    return operation.sum(axis=1).rename("trap_nights")


def elapsed(deployments: pd.DataFrame, *, unit: str = "day") -> pd.Series:
    """camtraptor's effort by deployment (index, in the order given): end minus start, float64.

    Raises:
        InputError: there is no such unit.
    """
    length = _seconds(unit)
    lasted = (deployments["end"] - deployments["start"]).dt.total_seconds() / length
    return lasted.set_axis(deployments["deployment"]).rename("effort")


def elapsed_by_period(deployments: pd.DataFrame, period: str, *, unit: str = "day") -> pd.DataFrame:
    """camtraptor's effort of each deployment in each day, week, month or year of the survey.

    Columns `deployment`, `period` (its first day) and `effort`, 0 included.

    Raises:
        InputError: there is no such period or unit.
    """
    length, frequency = _seconds(unit), _frequency(period)
    parts = pd.period_range(deployments["start"].min(), deployments["end"].max(), freq=frequency)
    begins = parts.start_time.to_numpy().astype("datetime64[s]")
    ends = (parts + 1).start_time.to_numpy().astype("datetime64[s]")
    start = deployments["start"].to_numpy().astype("datetime64[s]")[:, None]
    end = deployments["end"].to_numpy().astype("datetime64[s]")[:, None]
    shared = (np.minimum(end, ends) - np.maximum(start, begins)).astype(np.int64)
    return pd.DataFrame(
        {
            "deployment": np.repeat(deployments["deployment"].to_numpy(), len(parts)),
            "period": np.tile(begins, len(deployments)),
            "effort": (np.maximum(shared, 0) / length).ravel(),
        }
    )


def _seconds(unit: str) -> int:
    if unit not in SECONDS:
        raise InputError(f"effort is not counted in {unit}s", f"choose from {', '.join(SECONDS)}")
    return SECONDS[unit]


def _frequency(period: str) -> str:
    if period not in PERIODS:
        message = f"effort is not grouped by {period}"
        raise InputError(message, f"choose from {', '.join(PERIODS)}")
    return PERIODS[period]


def in_unit(days: pd.Series, unit: str) -> pd.Series:
    """Days of effort in another of `SECONDS`.

    Raises:
        InputError: there is no such unit.
    """
    return days * (SECONDS["day"] / _seconds(unit))


def by_station_and_period(
    deployments: pd.DataFrame, operation: pd.DataFrame, period: str, *, definition: str = "camtrapR"
) -> pd.DataFrame:
    """Days of effort of each station in each period of the survey, by one of `DEFINITIONS`.

    Columns `station`, `period` (its first day) and `effort`, 0 included; a day of the camera
    operation matrix belongs to the period in which it begins.

    Raises:
        InputError: there is no such period or definition.
    """
    if definition not in DEFINITIONS:
        message = f"there is no effort as in {definition}"
        raise InputError(message, f"choose from {', '.join(DEFINITIONS)}")
    if definition == "camtraptor":
        station = dict(zip(deployments["deployment"], deployments["station"], strict=True))
        parts = elapsed_by_period(deployments, period)
        parts["station"] = parts["deployment"].map(station)
    else:
        days = pd.to_datetime([str(name)[:10] for name in operation.columns])
        first = days.to_period(_frequency(period)).start_time.to_numpy().astype("datetime64[s]")
        parts = pd.DataFrame(
            {
                "station": np.repeat(operation.index.to_numpy(), len(days)),
                "period": np.tile(first, len(operation)),
                "effort": np.nan_to_num(operation.to_numpy(dtype="float64")).ravel(),
            }
        )
    return parts.groupby(["station", "period"], as_index=False)["effort"].sum()


def by_station(
    deployments: pd.DataFrame, operation: pd.DataFrame, *, definition: str = "camtrapR"
) -> pd.Series:
    """Days of effort by station (index, sorted), by one of `DEFINITIONS`.

    Raises:
        InputError: there is no such definition.
    """
    if definition not in DEFINITIONS:
        message = f"there is no effort as in {definition}"
        raise InputError(message, f"choose from {', '.join(DEFINITIONS)}")
    if definition == "camtrapR":
        return trap_nights(operation).rename("effort").sort_index()
    days = elapsed(deployments).set_axis(pd.Index(deployments["station"], name="station"))
    return days.groupby(level=0).sum()
