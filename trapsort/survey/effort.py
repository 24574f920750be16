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
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
PERIODS = {"day": "D", "week": "W-SAT", "month": "M", "year": "Y"}  # a week begins on Sunday


def trap_nights(operation: pd.DataFrame) -> pd.Series:
    """camtrapR's trap nights by row of a camera operation matrix, float64."""
    return operation.sum(axis=1).rename("trap_nights")


def elapsed(deployments: pd.DataFrame, *, unit: str = "day") -> pd.Series:
    """camtraptor's effort by deployment (index, in the order given): end minus start, float64.

    Raises:
        InputError: there is no such unit.
    """
    if unit not in SECONDS:
        raise InputError(f"effort is not counted in {unit}s", f"choose from {', '.join(SECONDS)}")
    lasted = (deployments["end"] - deployments["start"]).dt.total_seconds() / SECONDS[unit]
    return lasted.set_axis(deployments["deployment"]).rename("effort")


def elapsed_by_period(deployments: pd.DataFrame, period: str, *, unit: str = "day") -> pd.DataFrame:
    """camtraptor's effort of each deployment in each day, week, month or year of the survey.

    Columns `deployment`, `period` (its first day) and `effort`, 0 included.

    Raises:
        InputError: there is no such period or unit.
    """
    if period not in PERIODS:
        message = f"effort is not grouped by {period}"
        raise InputError(message, f"choose from {', '.join(PERIODS)}")
    if unit not in SECONDS:
        raise InputError(f"effort is not counted in {unit}s", f"choose from {', '.join(SECONDS)}")
    parts = pd.period_range(
        deployments["start"].min(), deployments["end"].max(), freq=PERIODS[period]
    )
    begins = parts.start_time.to_numpy().astype("datetime64[s]")
    ends = (parts + 1).start_time.to_numpy().astype("datetime64[s]")
    start = deployments["start"].to_numpy().astype("datetime64[s]")[:, None]
    end = deployments["end"].to_numpy().astype("datetime64[s]")[:, None]
    shared = (np.minimum(end, ends) - np.maximum(start, begins)).astype(np.int64)
    return pd.DataFrame(
        {
            "deployment": np.repeat(deployments["deployment"].to_numpy(), len(parts)),
            "period": np.tile(begins, len(deployments)),
            "effort": (np.maximum(shared, 0) / SECONDS[unit]).ravel(),
        }
    )


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
