"""When cameras worked: the camera operation matrix of camtrapR, in days, station by date.

NaN: no camera was set up; 0: set up but not working; else the share of the day, summed over cameras
where they count by themselves. Since camtrapR 2.1 a day of setup or retrieval counts one half
unless the time is known.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trapsort.errors import InputError
from trapsort.survey.rounding import rounded

DAY_SECONDS = 86_400
DIGITS = 4  # camtrapR's: its days are a second short, which this rounds away
SEPARATOR = "__CAM_"  # between station and camera, as camtrapR writes them

Seconds = NDArray[np.int64]


def camera_operation(
    deployments: pd.DataFrame,
    problems: pd.DataFrame,
    *,
    by_camera: bool = False,
    all_cameras_on: bool = False,
    cameras_independent: bool = False,
    start_hour: int = 0,
) -> pd.DataFrame:
    """Station (index, sorted) by date ('YYYY-MM-DD', every day from the first setup to the last
    retrieval), float64 days that its cameras worked.

    Deployments of one station with the same `camera` are one camera, set up again: their times are
    joined. `by_camera` gives a row a camera ('Station__CAM_camera'). Else, with `all_cameras_on`, a
    station works where all its cameras do, otherwise where any does; `cameras_independent` sums
    over cameras. With `start_hour` a day lasts from that hour to the same hour of the next day, and
    its name ends in '+12h'. `deployments` and `problems` are frames of `rows`.

    Raises:
        InputError: a deployment lacks its start or end, or ends before it starts.
    """
    _check(deployments)
    if not 0 <= start_hour < 24:
        raise InputError(f"{start_hour} is no hour at which a day begins", "give 0 to 23")
    timed = bool(deployments["timed"].any())
    first, last = deployments["start"].min(), deployments["end"].max()
    dates = pd.date_range(first.normalize(), last.normalize(), freq="D", unit="s")
    days = _seconds(dates.to_series()) + start_hour * 3600
    late = int(start_hour == 12 and not timed)  # else the day of retrieval would hold no camera
    cameras = deployments.groupby(["station", "camera"], sort=True)
    broken = dict(iter(problems.groupby("deployment")))
    cells = np.vstack([_camera_days(rows, broken, days, late) for _, rows in cameras])
    names = [f"{date}+{start_hour}h" if start_hour else date for date in dates.strftime("%Y-%m-%d")]
    matrix = pd.DataFrame(rounded(cells, DIGITS), columns=names)
    stations = [station for (station, _), _ in cameras]
    if by_camera:
        matrix.index = pd.Index([f"{s}{SEPARATOR}{c}" for (s, c), _ in cameras], name="station")
        return matrix
    matrix.index = pd.Index(stations, name="station")
    if matrix.index.is_unique and not all_cameras_on:
        return matrix
    several = deployments.groupby("station")["camera"].nunique()
    if all_cameras_on:
        matrix = _where_all(matrix, timed, cameras_independent, several)
    else:
        matrix = _where_any(matrix, timed, cameras_independent)
    return matrix


def _check(deployments: pd.DataFrame) -> None:
    if deployments.empty:
        raise InputError(
            "there are no deployments", "bring them in with: trapsort deployments import FILE.csv"
        )
    unknown = deployments["start"].isna() | deployments["end"].isna()
    if unknown.any():
        names = ", ".join(deployments.loc[unknown, "deployment"])
        raise InputError(f"no start or end is known of {names}", "give both, or leave them out")
    backwards = deployments["end"] <= deployments["start"]
    if backwards.any():
        names = ", ".join(deployments.loc[backwards, "deployment"])
        raise InputError(f"retrieved before, or when, it was set up: {names}", "correct its times")


def _seconds(times: pd.Series) -> Seconds:
    seconds: Seconds = times.to_numpy().astype("datetime64[s]").astype(np.int64)
    return seconds


def _camera_days(
    rows: pd.DataFrame, broken: dict[str, pd.DataFrame], days: Seconds, late: int
) -> NDArray[np.float64]:
    """Share of each day that one camera worked, NaN where it was not set up.

    Every interval holds its first and its last second, so that a full day is 86,399 seconds long,
    as in camtrapR.
    """
    worked = np.full(len(days), np.nan)
    for setup, retrieval in _joined(
        zip(_seconds(rows["start"]), _seconds(rows["end"]) + late, strict=True)
    ):
        first, last = setup, retrieval - 1
        there = _overlap(first, last, days)
        for begin, end in _joined(_problems(rows["deployment"], broken)):
            begin, end = max(begin, first), min(end, retrieval)
            if begin < end:
                there = there - np.nan_to_num(_overlap(begin, end - 1, days))
        worked = np.where(np.isnan(there), worked, np.nan_to_num(worked) + np.maximum(there, 0))
    return np.minimum(worked / DAY_SECONDS, 1.0)


def _overlap(first: int, last: int, days: Seconds) -> NDArray[np.float64]:
    """Seconds that [first, last] shares with each day, NaN where they do not touch."""
    shared = np.minimum(last, days + DAY_SECONDS - 1) - np.maximum(first, days)
    return np.where(shared >= 0, shared, np.nan)


def _problems(deployments: pd.Series, broken: dict[str, pd.DataFrame]) -> Iterable[tuple[int, int]]:
    for name in deployments:
        if name in broken:
            yield from zip(
                _seconds(broken[name]["start"]), _seconds(broken[name]["end"]), strict=True
            )


def _joined(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The intervals in order, those that overlap or touch as one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted((int(start), int(end)) for start, end in intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _where_any(matrix: pd.DataFrame, timed: bool, independent: bool) -> pd.DataFrame:
    cameras = matrix.groupby(level=0)
    if independent:
        return cameras.sum(min_count=1)
    return cameras.mean() if timed else cameras.sum(min_count=1).clip(upper=1)


def _where_all(
    matrix: pd.DataFrame, timed: bool, independent: bool, cameras: pd.Series
) -> pd.DataFrame:
    """camtrapR: without times, a day on which a camera worked less than a day counts nothing."""
    grouped = matrix.groupby(level=0)
    least, complete = grouped.min(), grouped.count().eq(cameras, axis=0)
    full = least >= 1  # no camera works more than a day a day
    each = cameras if independent else cameras.clip(upper=1)
    if timed:
        return least.mul(each, axis=0).where(complete)
    return full.astype("float64").mul(each, axis=0).where(complete | (least < 1))
