"""The frames that the statistics work on, from the rows of the record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from trapsort.errors import InputError

if TYPE_CHECKING:
    from trapsort.store import DeploymentRow, Detection

RECORDS = (
    "station",
    "deployment",
    "species",
    "scientific_name",
    "iucn",
    "time",
    "count",
    "photo_id",
    "card",
    "path",
    "sequence_id",
)
DEPLOYMENTS = (
    "deployment",
    "station",
    "camera",
    "latitude",
    "longitude",
    "start",
    "end",
    "timed",
    "utc_offset",
)
PROBLEMS = ("deployment", "station", "start", "end")

FIRST_SECOND, LAST_SECOND = "T00:00:00", "T23:59:59"  # what the record makes of a day without time
_FIELDS = attrgetter(*("label" if name == "species" else name for name in RECORDS))


def records_frame(detections: Iterable[Detection]) -> pd.DataFrame:
    """One row a detection, columns `RECORDS`, sorted by station, species and time.

    `species` is the label, `time` datetime64[s], `count` int64, `photo_id` and `sequence_id` Int64.
    A time that is no date is left out.
    """
    frame = pd.DataFrame(list(map(_FIELDS, detections)), columns=list(RECORDS))
    frame["time"] = times(frame["time"])
    frame["count"] = frame["count"].fillna(1).astype("int64")
    for name in ("photo_id", "sequence_id"):
        frame[name] = frame[name].astype("Int64")
    frame = frame[frame["time"].notna()]
    return frame.sort_values(["station", "species", "time"], kind="stable", ignore_index=True)


def times(texts: pd.Series) -> pd.Series:
    """Text as datetime64[s]; a fraction of a second is cut off, what is no time becomes NaT."""
    whole = texts.astype("object").map(lambda text: text[:19] if isinstance(text, str) else None)
    parsed = pd.to_datetime(whole, format="ISO8601", errors="coerce")
    return parsed.astype("datetime64[s]")


def deployments_frame(rows: Iterable[DeploymentRow]) -> pd.DataFrame:
    """One row a deployment, columns `DEPLOYMENTS`, sorted by station, start and name.

    `start` and `end` are datetime64[s], NaT where nobody said. Where only days are known, `timed`
    is False and both are at noon, as camtrapR takes them since 2.1.
    """
    frame = pd.DataFrame(map(_deployment, rows), columns=list(DEPLOYMENTS))
    frame["start"], frame["end"] = times(frame["start"]), times(frame["end"])
    frame["timed"] = frame["timed"].astype(bool)
    for name in ("latitude", "longitude"):
        frame[name] = frame[name].astype("float64")
    order = ["station", "start", "deployment"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _deployment(row: DeploymentRow) -> tuple[object, ...]:
    start, start_timed = _noon(row.start, FIRST_SECOND)
    end, end_timed = _noon(row.end, LAST_SECOND)
    place = (row.name, row.station, row.camera, row.latitude, row.longitude)
    return (*place, start, end, start_timed or end_timed, row.utc_offset)


def _noon(text: str | None, filler: str) -> tuple[str | None, bool]:
    """A time and whether it was given as one: noon where the record holds only the day."""
    if text is None:
        return None, False
    day, time = text[:10], text[10:]
    return (text, True) if time not in ("", filler) else (f"{day}T12:00:00", False)


def problems_frame(rows: Iterable[DeploymentRow]) -> pd.DataFrame:
    """One row a period in which a camera did not work, columns `PROBLEMS`.

    From `start` up to, and without, `end`: a day given as the end is over at its midnight.
    """
    frame = pd.DataFrame(_problems(rows), columns=list(PROBLEMS))
    last_day = frame["end"].astype("object").map(lambda text: text[10:] in ("", LAST_SECOND))
    frame["start"] = times(frame["start"])
    days = times(frame["end"].str[:10]) + np.timedelta64(1, "D")
    frame["end"] = days.where(last_day.astype(bool), times(frame["end"]))
    return frame


def _problems(rows: Iterable[DeploymentRow]) -> Iterator[tuple[str, str, str, str]]:
    for row in rows:
        for start, end in row.problems:
            yield row.name, row.station, start, end


def with_ends(deployments: pd.DataFrame, seen: pd.DataFrame) -> pd.DataFrame:
    """The deployments, those that still run ending with their last photo.

    One without a start begins with its first photo; one that has neither is left out. `seen` has
    `deployment` and `time` of photos, of species or not.
    """
    photos = seen.groupby("deployment")["time"].agg(["min", "max"])
    photos = photos.reindex(deployments["deployment"]).set_axis(deployments.index)
    filled = deployments.assign(
        start=deployments["start"].fillna(photos["min"]),
        end=deployments["end"].fillna(photos["max"]),
    )
    return filled[filled["end"] > filled["start"]].reset_index(drop=True)


def within(deployments: pd.DataFrame, since: date | None, until: date | None) -> pd.DataFrame:
    """The deployments cut to the days from `since` to `until`, included; those outside left out."""
    cut = deployments.copy()
    if since is not None:
        cut["start"] = cut["start"].clip(lower=np.datetime64(since, "s"))
    if until is not None:
        cut["end"] = cut["end"].clip(upper=np.datetime64(until + timedelta(days=1), "s"))
    return cut[cut["end"] > cut["start"]].reset_index(drop=True)


def of_species(records: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The records of some species, each named by its label or a scientific name; all without names.

    Raises:
        InputError: no record is of that species; it lists those that there are.
    """
    if not names:
        return records
    labels = {label: {label.casefold()} for label in records["species"].unique()}
    for label, taxa in records[["species", "scientific_name"]].drop_duplicates().to_numpy():
        labels[label] |= {taxon.casefold() for taxon in (taxa or "").split("; ")}
    wanted: set[str] = set()
    for name in names:
        meant = {label for label, known in labels.items() if name.casefold() in known}
        if not meant:
            there = ", ".join(sorted(labels, key=str.casefold)) or "none"
            raise InputError(f"no record that counts is of {name}", f"there are: {there}")
        wanted |= meant
    return records[records["species"].isin(wanted)].reset_index(drop=True)
