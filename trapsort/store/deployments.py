"""Stations, deployments and their clocks: what goes in and comes out, on `Store`'s connection."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from trapsort.errors import InputError
from trapsort.store.rows import Correction, DeploymentRow, StationRow
from trapsort.store.statements import chunks, insert_one, merge
from trapsort.store.tables import (
    attributions,
    clock_corrections,
    deployment_problems,
    deployments,
    stations,
)

TIME = "%Y-%m-%dT%H:%M:%S"
OFFSET = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")
WHOLE_DAY = ("T00:00:00", "T23:59:59")  # the first and last second of a day
COLUMNS = (
    *("name", "camera", "serial", "card", "folder", "start", "end"),
    *("utc_offset", "bait", "habitat", "comments"),
)
EVER = ("", "9999")  # before and after every time, as text


def find_stations(connection: Connection) -> list[StationRow]:
    """Return all stations by name."""
    columns = (stations.c.name, stations.c.latitude, stations.c.longitude)
    rows = connection.execute(select(*columns).order_by(stations.c.name))
    return [StationRow(**row) for row in rows.mappings()]


def add_stations(connection: Connection, rows: Iterable[StationRow]) -> None:
    """Add or move stations; one without a position keeps what is recorded.

    Raises:
        InputError: a row without a name, with half a position or one that is not on Earth.
    """
    for row in rows:
        at = row.origin.at if row.origin else lambda _, name=row.name: f"station {name}"
        if not row.name.strip():
            raise InputError(f"{at('station')}: a station has no name", "give each one a name")
        if (row.latitude is None) != (row.longitude is None):
            missing = "latitude" if row.latitude is None else "longitude"
            raise InputError(f"{at(missing)}: {row.name} has no {missing}", "give both, or neither")
        position = (("latitude", row.latitude, 90), ("longitude", row.longitude, 180))
        for name, value, most in position:
            if value is not None and not abs(value) <= most:
                raise InputError(
                    f"{at(name)}: the {name} {value} of {row.name} is not on Earth",
                    f"write degrees from -{most} to {most}",
                )
        place = {"name": row.name, "latitude": row.latitude, "longitude": row.longitude}
        moved = () if row.latitude is None else ("latitude", "longitude")
        merge(connection, stations, ("name",), [place], moved)


def find_deployments(connection: Connection) -> list[DeploymentRow]:
    """Return all deployments by station, start and name."""
    problems = defaultdict(list)
    order = (deployment_problems.c.start, deployment_problems.c.id)
    for row in connection.execute(select(deployment_problems).order_by(*order)):
        problems[row.deployment_id].append((row.start, row.end))
    corrections = defaultdict(list)
    for deployment_id, correction in _corrections(connection):
        corrections[deployment_id].append(correction)
    place = (stations.c.name.label("station"), stations.c.latitude, stations.c.longitude)
    columns = (deployments.c.id, *(deployments.c[name] for name in COLUMNS), *place)
    query = select(*columns).select_from(deployments.join(stations))
    found = connection.execute(query).mappings()
    rows = [
        DeploymentRow(
            **{name: value for name, value in row.items() if name != "id"},
            problems=tuple(problems[row["id"]]),
            corrections=tuple(corrections[row["id"]]),
        )
        for row in found
    ]
    return sorted(rows, key=lambda row: (row.station, row.start or "", row.name))


def add_deployments(connection: Connection, rows: Sequence[DeploymentRow]) -> None:
    """Add deployments, or replace those of the same names; see `Store.import_deployments`."""
    check(rows, find_deployments(connection))
    places = {row.station: StationRow(name=row.station, origin=row.origin) for row in rows}
    for row in rows:
        if row.latitude is not None or row.longitude is not None:
            position = {"latitude": row.latitude, "longitude": row.longitude}
            places[row.station] = StationRow(name=row.station, origin=row.origin, **position)
    add_stations(connection, places.values())
    known = connection.execute(select(stations.c.name, stations.c.id))
    station_ids = {name: station_id for name, station_id in known}  # noqa: C416 - rows, no tuples
    added = [
        {name: getattr(row, name) for name in COLUMNS} | {"station_id": station_ids[row.station]}
        for row in rows
    ]
    merge(connection, deployments, ("name",), added, ("station_id", *COLUMNS[1:]))
    ids = _ids(connection, [row.name for row in rows])
    for chunk in chunks(ids.values()):
        mine = deployment_problems.c.deployment_id.in_(chunk)
        connection.execute(delete(deployment_problems).where(mine))
    periods = [
        {"deployment_id": ids[row.name], "start": start, "end": end}
        for row in rows
        for start, end in row.problems
    ]
    if periods:
        connection.execute(insert(deployment_problems), periods)


def remove_deployments(connection: Connection, names: Sequence[str]) -> None:
    """Remove deployments with their problems and corrections; the photos stay.

    Raises:
        InputError: there is none of that name; nothing is removed.
    """
    ids = _ids(connection, names)
    for name in names:
        if name not in ids:
            raise _unknown(connection, name)
    for chunk in chunks(ids.values()):
        mine = attributions.c.deployment_id.in_(chunk)
        connection.execute(update(attributions).where(mine).values(deployment_id=None))
        for table in (deployment_problems, clock_corrections):
            connection.execute(delete(table).where(table.c.deployment_id.in_(chunk)))
        connection.execute(delete(deployments).where(deployments.c.id.in_(chunk)))


def add_correction(connection: Connection, correction: Correction) -> None:
    """Append a correction of a deployment's clock; a drift counts from its start, if not `since`.

    Raises:
        InputError: there is no such deployment, or nothing says from when the drift counts.
    """
    deployment = connection.execute(
        select(deployments.c.id, deployments.c.start).where(
            deployments.c.name == correction.deployment
        )
    ).first()
    if deployment is None:
        raise _unknown(connection, correction.deployment)
    since = correction.since or (deployment.start if correction.drift_seconds_per_day else None)
    if since is None and correction.drift_seconds_per_day:
        raise InputError(
            f"the deployment {correction.deployment} has no start from which its clock may drift",
            "say with --since when the clock was right",
        )
    if since is not None and not is_time(since):
        raise InputError(f"{since!r} is no time", "write it as 2026-03-01T05:06:07")
    row = {
        "deployment_id": deployment.id,
        "offset_seconds": correction.offset_seconds,
        "drift_seconds_per_day": correction.drift_seconds_per_day,
        "since": since,
        "created": correction.created,
        "note": correction.note,
    }
    insert_one(connection, clock_corrections, row)


def find_corrections(connection: Connection) -> list[Correction]:
    """Return every correction in the order in which they were made."""
    return [correction for _, correction in _corrections(connection)]


def is_time(text: str) -> bool:
    """Say whether a text is a time as the record writes it, and one that there is."""
    try:
        return datetime.strptime(text, TIME).strftime(TIME) == text
    except ValueError:
        return False


def check(rows: Sequence[DeploymentRow], recorded: Iterable[DeploymentRow]) -> None:
    """Refuse rows that cannot be, or that leave one camera in two places at once.

    Raises:
        InputError: it names line and column where the row knows them.
    """
    names: set[str] = set()
    for row in rows:
        _check_row(row)
        if row.name in names:
            raise _wrong(row, "name", f"the name {row.name} comes twice", "give each its own")
        names.add(row.name)
    by_camera = defaultdict(list)
    for row in (*rows, *(other for other in recorded if other.name not in names)):
        for camera in _cameras(row):
            by_camera[camera].append(row)
    for camera, there in by_camera.items():
        _check_overlap(camera, there)


def _check_row(row: DeploymentRow) -> None:
    for name, value in (("name", row.name), ("station", row.station)):
        if not value.strip():
            raise _wrong(row, name, f"the {name} is empty", "every deployment needs one")
    for name, time in (("start", row.start), ("end", row.end)):
        if time is not None and not is_time(time):
            raise _wrong(row, name, f"{time!r} is no time", "write it as 2026-03-01T05:06:07")
    if row.utc_offset is not None and not OFFSET.fullmatch(row.utc_offset):
        raise _wrong(row, "utc_offset", f"{row.utc_offset!r} is no offset", "write it as +02:00")
    first, last = row.start or EVER[0], row.end or EVER[1]
    if last < first:
        raise _wrong(
            row, "end", f"the end {row.end} comes before the start {row.start}", "correct the dates"
        )
    for start, end in row.problems:
        if end < start:
            raise _wrong(
                row, "problems", f"the problem ends {end}, before it begins {start}", "correct it"
            )
        if start[:10] < first[:10] or end[:10] > last[:10]:
            raise _wrong(
                row,
                "problems",
                f"the problem from {start} to {end} lies outside of the deployment",
                f"it lasted from {row.start} to {row.end}",
            )


def _cameras(row: DeploymentRow) -> Iterator[tuple[str, ...]]:
    """Yield what tells the camera of a deployment from others; without any, a station has one."""
    if row.camera:
        yield ("camera", row.camera)
    if row.serial:
        yield ("serial", row.serial)
    if not row.camera and not row.serial:
        yield ("camera at", row.station, row.card, row.folder)


def _check_overlap(camera: tuple[str, ...], there: Iterable[DeploymentRow]) -> None:
    """Refuse two deployments of one camera that overlap; they may share the day of a change."""
    before: DeploymentRow | None = None
    for row in sorted(there, key=lambda row: (row.start or EVER[0], row.end or EVER[1])):
        if before is not None and _overlap(before, row):
            # The one to blame is that of the file; what is recorded stands.
            blamed, other = (row, before) if row.origin or not before.origin else (before, row)
            raise _wrong(
                blamed,
                "start",
                f"{blamed.name} ({_period(blamed)}) and {other.name} ({_period(other)}) overlap,"
                f" both of the {camera[0]} {camera[1]}",
                "a camera is in one place at a time: correct the dates, or name two cameras",
            )
        if before is None or (row.end or EVER[1]) > (before.end or EVER[1]):
            before = row


def _overlap(one: DeploymentRow, next_one: DeploymentRow) -> bool:
    end, start = one.end or EVER[1], next_one.start or EVER[0]
    if end.endswith(WHOLE_DAY[1]) and start.endswith(WHOLE_DAY[0]):
        return end[:10] > start[:10]
    return end > start


def _period(row: DeploymentRow) -> str:
    return f"{row.start or 'ever'} to {row.end or 'now'}"


def _wrong(row: DeploymentRow, column: str, what: str, hint: str) -> InputError:
    where = row.origin.at(column) if row.origin else f"deployment {row.name}"
    return InputError(f"{where}: {what}", hint)


def _corrections(connection: Connection) -> Iterator[tuple[int, Correction]]:
    table = clock_corrections
    query = select(table, deployments.c.name.label("deployment"))
    query = query.select_from(table.join(deployments))
    for row in connection.execute(query.order_by(table.c.id)).mappings():
        values: dict[str, Any] = {name: row[name] for name in Correction.__slots__}
        yield row["deployment_id"], Correction(**values)


def _ids(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for chunk in chunks(names):
        query = select(deployments.c.name, deployments.c.id).where(deployments.c.name.in_(chunk))
        found.update((name, id_) for name, id_ in connection.execute(query))
    return found


def _unknown(connection: Connection, name: str) -> InputError:
    known = connection.scalars(select(deployments.c.name).order_by(deployments.c.name).limit(20))
    have = ", ".join(known.all()) or "none yet"
    return InputError(f"there is no deployment {name}", f"choose one of: {have}")
