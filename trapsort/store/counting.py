"""How many photos show what, where and when: from `sighting_counts` where that can tell.

Functions on a connection whose transaction `Store` opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from trapsort.errors import InputError
from trapsort.redlist import RedList
from trapsort.redlist import red_list as read_red_list
from trapsort.store.derived import ALL_STATIONS, NO_STATION, sighting_counts
from trapsort.store.first import index_or_view
from trapsort.store.query import UNKNOWN, conditions, wanted_labels
from trapsort.store.rows import SightingQuery
from trapsort.store.tables import stations

COUNTS = ("species", "station", "day", "iucn", "hour")

counts = sighting_counts.c


def count_sightings(
    connection: Connection, query: SightingQuery, by: str, *more: ColumnElement[bool]
) -> list[tuple[str, int]]:
    """Count photos by one of `COUNTS`: days and hours in their order, others most first.

    '' is for none; `more` are conditions.
    """
    listed = read_red_list(query.red_list)
    if by not in COUNTS:
        raise InputError(f"cannot count by {by}", f"choose one of {', '.join(COUNTS)}")
    is_kept = not more and is_counted(query, by)
    asked = counted(query, by, listed) if is_kept else one_by_one(query, by, listed, more)
    names = _station_names(connection) if by == "station" else {}
    totals: Counter[str] = Counter()
    value: Any
    for value, number in connection.execute(asked):
        name = value
        if by == "station":
            name = names.get(value)
        elif by == "iucn":
            name = listed.category(value or None)
        totals[name or (UNKNOWN if by == "species" else "")] += int(number)
    if by in ("day", "hour"):
        return sorted(totals.items())
    return sorted(totals.items(), key=lambda item: (-item[1], item[0]))


def is_counted(query: SightingQuery, by: str) -> bool:
    """Say whether the counts that are kept can tell: they know no probability, card or reason."""
    others = (query.min_probability, query.reason, query.card)
    recorded = (query.recorded_since, query.recorded_until)
    is_of_days = query.since is not None or query.until is not None
    return not any(each is not None for each in (*others, *recorded)) and not (
        by == "hour" and is_of_days
    )


def counted(query: SightingQuery, by: str, listed: RedList) -> Select[Any]:
    """Ask the counts that are kept."""
    is_of_days = query.since is not None or query.until is not None
    # Each station has far fewer hours than days.
    span = "day" if by != "hour" and (is_of_days or by != "station") else "hour"
    groups = {"species": counts.label, "iucn": counts.label, "station": counts.station_id}
    group = groups.get(by, counts.moment)
    statement = select(group, func.sum(counts.photos)).where(counts.span == span).group_by(group)
    if query.station is not None:
        here = select(stations.c.id).where(stations.c.name == query.station).scalar_subquery()
        statement = statement.where(counts.station_id == here)
    elif by == "station" or span == "hour":
        # Named one by one, so that the days of each are found by the key.
        each = select(stations.c.id).union_all(select(func.abs(NO_STATION)))
        statement = statement.where(counts.station_id.in_(each))
    else:
        statement = statement.where(counts.station_id == ALL_STATIONS)
    if query.since is not None or query.until is not None:
        statement = statement.where(counts.moment != "")
    if query.since is not None:
        statement = statement.where(counts.moment >= query.since.isoformat())
    if query.until is not None:
        statement = statement.where(counts.moment <= query.until.isoformat())
    labels = wanted_labels(query, listed)
    if labels is not None:
        statement = statement.where(counts.label.in_([label or "" for label in labels]))
    if query.reviewed is not None:
        statement = statement.where(counts.reviewed == query.reviewed)
    return statement


def one_by_one(
    query: SightingQuery, by: str, listed: RedList, more: Iterable[ColumnElement[bool]]
) -> Select[Any]:
    """Ask for every photo."""
    row, wanted = index_or_view([*conditions(query, listed), *more])
    groups: dict[str, ColumnElement[Any]] = {
        "species": row.label,
        "iucn": row.label,
        "station": row.station_id,
        "day": func.substr(row.time, 1, 10),  # by a clock put right, as the hour
        "hour": func.substr(row.time, 12, 2),
    }
    group = groups[by]
    statement = select(group, func.count(row.photo_id)).group_by(group)
    return statement.where(*wanted)


def _station_names(connection: Connection) -> dict[int, str]:
    found = connection.execute(select(stations.c.id, stations.c.name))
    return {number: name for number, name in found}  # noqa: C416 - rows, no tuples
