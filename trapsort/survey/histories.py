"""Detection histories and effort matrices for occupancy models, as camtrapR's detectionHistory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trapsort.errors import InputError

DAY_SECONDS = 86_400
DAY1 = ("survey", "station")
OUTPUTS = ("binary", "count")

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class History:
    """Detections and effort, station by occasion, float64; NaN where a station was not watched.

    Where the effort is scaled, `center` was taken away from its days and `scale` divides them.
    `left_out` counts records that lie in no occasion.
    """

    detections: pd.DataFrame
    effort: pd.DataFrame
    center: float | None = None
    scale: float | None = None
    left_out: int = 0


def detection_history(
    events: pd.DataFrame,
    operation: pd.DataFrame,
    species: str,
    *,
    occasion_days: int,
    day1: str = "survey",
    output: str = "binary",
    include_effort: bool = True,
    scale_effort: bool = False,
    min_active_days: float | None = None,
    max_days: int | None = None,
    buffer_days: int = 0,
    dates_as_names: bool = False,
) -> History:
    """Occasions of `occasion_days` days in which a species was, or was not, recorded.

    `events` has `station`, `species` and `time`; `operation` is a camera operation matrix by
    station. The first occasion begins at each station's first day ('station'), at the survey's
    ('survey') or at a date ('2024-03-01'), `buffer_days` later. `max_days` ends a station's
    history so many days after its first day; with a date as `day1`, after the survey's.

    Without `include_effort` an occasion counts only where the station was set up and worked on
    every one of its days, with it where it worked at all; `min_active_days` asks for so many days
    of work in either case; occasions of one day count where the station worked at all. A record
    exactly between two occasions belongs to the earlier one, but to the later one where a record
    lies at the very start of the first: as in camtrapR.

    Raises:
        InputError: an option does not fit the others or the survey.
    """
    _check(operation, occasion_days, day1, output, max_days, min_active_days, buffer_days)
    days, start_hour = _days(operation)
    worked = operation.to_numpy(dtype=np.float64, copy=True)
    if np.isnan(worked).all(axis=1).any():
        idle = operation.index[np.isnan(worked).all(axis=1)]
        raise InputError(f"no camera was ever set up at {', '.join(idle)}", "leave it out")
    setup, last = _edges(worked)
    begin, end = _span(days, setup, last, day1, buffer_days, max_days)
    columns = np.arange(worked.shape[1])
    worked[(columns < begin[:, None]) | (columns > end[:, None])] = np.nan
    if np.isnan(worked).all():
        raise InputError(
            "no station has a day left between the first day and the last",
            "give fewer days of buffer, a greater maximum or another first day",
        )
    if day1 == "station":
        worked, origin = _shifted(worked, begin), begin
        names = [f"day{number}" for number in range(1, worked.shape[1] + 1)]
    else:
        first = int(setup.min()) + buffer_days if day1 == "survey" else int(begin.min())
        final = int(end.max())
        worked, origin = worked[:, first : final + 1], np.full(len(worked), first)
        names = [str(name) for name in operation.columns[first : final + 1]]
    effort = _effort(worked, occasion_days, include_effort, min_active_days)
    mine = events[events["species"] == species]
    counts, left_out = _counts(
        mine,
        operation.index,
        days[0],
        start_hour,
        begin,
        end,
        last,
        origin,
        occasion_days,
        effort.shape,
    )
    detections = counts if output == "count" else np.minimum(counts, 1.0)
    detections = np.where(np.isnan(effort) | (effort == 0), np.nan, detections)
    labels = (
        _spans(names, occasion_days)
        if dates_as_names
        else [f"o{number}" for number in range(1, effort.shape[1] + 1)]
    )
    center, scale = _scaling(effort, occasion_days) if scale_effort else (None, None)
    if center is not None and scale is not None:
        effort = (effort - center) / scale

    def framed(matrix: Matrix) -> pd.DataFrame:
        return pd.DataFrame(matrix, index=operation.index, columns=labels)

    return History(framed(detections), framed(effort), center, scale, left_out)


def _check(
    operation: pd.DataFrame,
    occasion_days: int,
    day1: str,
    output: str,
    max_days: int | None,
    min_active_days: float | None,
    buffer_days: int,
) -> None:
    longest = operation.shape[1]
    if output not in OUTPUTS:
        raise InputError(f"a history is not {output}", f"choose from {', '.join(OUTPUTS)}")
    if not 1 <= occasion_days <= longest:
        message = f"occasions of {occasion_days} days do not fit a survey of {longest} days"
        raise InputError(message, f"give 1 to {longest} days")
    if max_days is not None and not occasion_days <= max_days <= longest:
        message = f"a history of at most {max_days} days does not fit"
        raise InputError(message, f"give {occasion_days} to {longest} days")
    if min_active_days is not None and min_active_days > occasion_days:
        message = f"no occasion of {occasion_days} days has {min_active_days:g} days of work"
        raise InputError(message, f"give {occasion_days} days or fewer")
    if day1 not in DAY1 and _day(day1) is None:
        raise InputError(f"{day1} is no first day", "give 'station', 'survey' or YYYY-MM-DD")
    if buffer_days < 0 or (buffer_days and day1 not in DAY1):
        raise InputError("a buffer is days after the first day of a station or the survey")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _days(operation: pd.DataFrame) -> tuple[NDArray[np.datetime64], int]:
    """The dates of the columns and the hour at which their days begin."""
    names = [str(name) for name in operation.columns]
    hour = re.search(r"\+(\d+)h$", names[0])
    dates = np.array([name[:10] for name in names], dtype="datetime64[D]")
    return dates, int(hour[1]) if hour else 0


def _edges(worked: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last column of each row that is not NaN."""
    there = ~np.isnan(worked)
    return there.argmax(axis=1), worked.shape[1] - 1 - there[:, ::-1].argmax(axis=1)


def _span(
    days: NDArray[np.datetime64],
    setup: NDArray[np.int64],
    last: NDArray[np.int64],
    day1: str,
    buffer_days: int,
    max_days: int | None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last column of each station's history."""
    begin, limit_from = setup + buffer_days, setup + buffer_days
    if day1 not in DAY1:
        place = int((np.datetime64(day1, "D") - days[0]).astype(int))
        if not setup.min() <= place <= last.max():
            raise InputError(
                f"the survey was not under way on {day1}",
                f"give a day from {days[setup.min()]} to {days[last.max()]}",
            )
        begin = np.full(len(setup), place)
        limit_from = np.full(len(setup), setup.min())
    if max_days is None:
        return begin, last
    return begin, np.minimum(last, limit_from + max_days - 1)


def _shifted(worked: Matrix, begin: NDArray[np.int64]) -> Matrix:
    """Every row moved left, so that its first day is in the first column."""
    places = np.arange(worked.shape[1]) + begin[:, None]
    rows = np.arange(len(worked))[:, None]
    inside = places < worked.shape[1]
    moved = np.where(inside, worked[rows, np.where(inside, places, 0)], np.nan)
    used = np.flatnonzero(~np.isnan(moved).all(axis=0))
    return moved[:, : used[-1] + 1]


def _effort(
    worked: Matrix, occasion_days: int, include_effort: bool, min_active_days: float | None
) -> Matrix:
    """Days of work in each occasion, NaN where the occasion does not count."""
    if occasion_days == 1:
        return worked
    occasions = -(-worked.shape[1] // occasion_days)
    missing = occasions * occasion_days - worked.shape[1]
    padded = np.pad(worked, ((0, 0), (0, missing)), constant_values=np.nan)
    blocks = padded.reshape(len(worked), occasions, occasion_days)
    effort = np.nansum(blocks, axis=2)
    without = ~(blocks > 0).any(axis=2)
    if min_active_days is not None:
        without |= effort < min_active_days
    elif not include_effort:
        without |= ~(blocks > 0).all(axis=2)
    return np.where(without, np.nan, effort)


def _counts(
    events: pd.DataFrame,
    stations: pd.Index,
    day0: np.datetime64,
    start_hour: int,
    begin: NDArray[np.int64],
    end: NDArray[np.int64],
    last: NDArray[np.int64],
    origin: NDArray[np.int64],
    occasion_days: int,
    shape: tuple[int, ...],
) -> tuple[Matrix, int]:
    """Records in each cell, and how many lie in none."""
    row = stations.get_indexer(events["station"])
    midnight = day0.astype("datetime64[s]")
    since = (events["time"].to_numpy().astype("datetime64[s]") - midnight).astype(np.int64)
    shift = start_hour * 3600
    first = begin[row] * DAY_SECONDS + shift
    final = np.minimum((end[row] + 1) * DAY_SECONDS + shift, (last[row] + 1) * DAY_SECONDS)
    inside = (row >= 0) & (since >= first) & (since < final)
    row, since = row[inside], since[inside]
    elapsed = (since - origin[row] * DAY_SECONDS - shift) / (occasion_days * DAY_SECONDS)
    place = np.ceil(elapsed).astype(int) - 1
    if (place < 0).any():
        place = np.floor(elapsed).astype(int)
    counts = np.zeros(shape)
    np.add.at(counts, (row, place), 1)
    return counts, int((~inside).sum())


def _scaling(effort: Matrix, occasion_days: int) -> tuple[float, float]:
    known = effort[~np.isnan(effort)]
    if occasion_days == 1 or len(np.unique(known)) < 2:
        raise InputError(
            "effort can be scaled only where occasions differ in it",
            "take occasions of several days, or leave it as it is",
        )
    return float(known.mean()), float(known.std(ddof=1))


def _spans(names: list[str], occasion_days: int) -> list[str]:
    """'2024-03-01_2024-03-07' for each occasion."""
    firsts = names[::occasion_days]
    lasts = [*names[occasion_days - 1 :: occasion_days], names[-1]][: len(firsts)]
    return [f"{first}_{last}" for first, last in zip(firsts, lasts, strict=True)]
