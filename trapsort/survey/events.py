"""Independent events: which records of a species at a station count as one visit.

The two rules and the columns are those of camtrapR's recordTable (Niedballa et al. 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trapsort.errors import InputError
from trapsort.survey.rounding import rounded

RULES = ("lastRecord", "lastIndependentRecord")
BY = ("station", "species")
MINUTES, RULE = 60, "lastRecord"  # what most studies take, where nobody chooses
DELTAS = ("delta_secs", "delta_mins", "delta_hours", "delta_days")


def rule_text(minutes: float, rule: str) -> str:
    """'60 min, lastRecord': how a table says what an event is."""
    return f"{minutes:g} min, {rule}"


def independent(
    records: pd.DataFrame, *, minutes: float, rule: str, by: Sequence[str] = BY
) -> pd.DataFrame:
    """The first record of each event, sorted by `by` and time.

    A record begins an event where at least `minutes` have passed since the last record of its group
    (`lastRecord`), or since the last one that began an event (`lastIndependentRecord`). Records of
    one group in the same second are one, the first in the order given; where there is a column
    `sequence_id`, the frames of a burst never begin a second event. Added are `DELTAS` (seconds,
    minutes, hours and days since that record, rounded as camtrapR does, 0 for a group's first),
    `n_images` (records of the event, same seconds once), `last` (time of its last record) and
    `rule`; `count` is the greatest of the event's records.

    Cameras that count by themselves: `by=("station", "species", "camera")`.

    Raises:
        InputError: there is no such rule, or the minutes are negative.
    """
    if rule not in RULES:
        raise InputError(f"there is no rule {rule}", f"choose from {', '.join(RULES)}")
    if not minutes >= 0:
        raise InputError(f"{minutes:g} minutes is no gap between events", "give 0 or more")
    ordered = records.sort_values([*by, "time"], kind="stable", ignore_index=True)
    group = ordered.groupby(list(by), sort=False, dropna=False).ngroup().to_numpy()
    seconds = ordered["time"].to_numpy().astype("datetime64[s]").astype(np.int64)
    distinct = _changes(group) | _changes(seconds)  # the first record of each second
    begins = np.zeros(len(ordered), dtype=bool)
    places = np.flatnonzero(distinct)
    burst = _continues(ordered, group)[places]
    begun, gaps = _begun(group[places], seconds[places], burst, minutes * 60, rule)
    begins[places[begun]] = True
    return _events(ordered, begins, distinct, gaps).assign(rule=rule_text(minutes, rule))


def _changes(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a value differs from the one before; the first always does."""
    return np.concatenate([np.ones(min(1, len(values)), dtype=bool), values[1:] != values[:-1]])


def _continues(ordered: pd.DataFrame, group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which records are of the same burst as the record before."""
    if "sequence_id" not in ordered:
        return np.zeros(len(ordered), dtype=bool)
    burst = ordered["sequence_id"]
    same = (burst == burst.shift()).fillna(False).to_numpy(dtype=bool)
    continues: NDArray[np.bool_] = same & ~_changes(group)
    return continues


def _begun(
    group: NDArray[np.int64],
    seconds: NDArray[np.int64],
    burst: NDArray[np.bool_],
    gap: float,
    rule: str,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the records that begin events, and seconds since the record compared with."""
    if not len(group):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    first = _changes(group)
    if rule == "lastRecord":
        since = np.where(first, 0, np.diff(seconds, prepend=seconds[0]))
        begun = np.flatnonzero(first | ((since >= gap) & ~burst))
        return begun, since[begun]
    if burst.any():
        kept = np.flatnonzero(~burst | first)
        begun, gaps = _begun(group[kept], seconds[kept], np.zeros(len(kept), dtype=bool), gap, rule)
        return kept[begun], gaps
    # One time line, on which the groups lie further apart than any gap.
    span = int(seconds.max() - seconds.min() + np.ceil(gap) + 1)
    line = seconds - seconds.min() + (np.cumsum(first) - 1) * span
    following = np.maximum(np.searchsorted(line, line + gap), np.arange(1, len(line) + 1)).tolist()
    chain, place = [], 0
    while place < len(following):
        chain.append(place)
        place = following[place]
    begun = np.array(chain)
    return begun, np.where(first[begun], 0, np.diff(seconds[begun], prepend=0))


def _events(
    ordered: pd.DataFrame,
    begins: NDArray[np.bool_],
    distinct: NDArray[np.bool_],
    gaps: NDArray[np.int64],
) -> pd.DataFrame:
    event = np.cumsum(begins) - 1
    minutes = rounded(gaps / 60, 1)
    hours = rounded(minutes / 60, 1)
    grouped = ordered.groupby(event)
    return (
        ordered[begins]
        .assign(
            count=grouped["count"].max().to_numpy(),
            delta_secs=gaps,
            delta_mins=minutes,
            delta_hours=hours,
            delta_days=rounded(hours / 24, 1),
            n_images=np.bincount(event[distinct], minlength=int(begins.sum())),
            last=grouped["time"].max().to_numpy(),
        )
        .reset_index(drop=True)
    )


def record_table(events: pd.DataFrame) -> pd.DataFrame:
    """Events as camtrapR's recordTable has them: its columns, text for dates and times."""
    paths = [path.rpartition("/") for path in events["path"]]
    time = events["time"].dt
    deltas = {f"delta.time.{name.removeprefix('delta_')}": events[name] for name in DELTAS}
    return pd.DataFrame(
        {
            "Station": events["station"],
            "Species": events["species"],
            "DateTimeOriginal": time.strftime("%Y-%m-%d %H:%M:%S"),
            "Date": time.strftime("%Y-%m-%d"),
            "Time": time.strftime("%H:%M:%S"),
            **deltas,
            "Directory": [
                "/".join(filter(None, (card, folder)))
                for card, (folder, _, _) in zip(events["card"], paths, strict=True)
            ],
            "FileName": [name for _, _, name in paths],
            "n_images": events["n_images"],
        }
    )
