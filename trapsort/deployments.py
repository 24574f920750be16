"""Tables of stations and deployments as people have them: CSV files, read as they are.

These are camtrapR's station table, Camtrap DP's `deployments.csv`, and trapsort's own columns;
upper or lower case does not matter.
"""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from trapsort.errors import InputError
from trapsort.moments import Moment, parse_moment, possible_orders
from trapsort.store import DeploymentRow, Origin, StationRow
from trapsort.store.deployments import OFFSET, WHOLE_DAY
from trapsort.utm import from_utm

# What a column is called -> what it says. camtrapR's are `Station` to `Retrieval_date`.
COLUMNS = {
    **{"deployment": "name", "deploymentid": "name", "name": "name"},
    **{"station": "station", "locationname": "station", "locationid": "location"},
    **{"latitude": "latitude", "lat": "latitude", "longitude": "longitude", "lon": "longitude"},
    **{"utm_x": "utm_x", "utm_y": "utm_y"},
    **{"camera": "camera", "cameraid": "camera", "serial": "serial"},
    **{"card": "card", "folder": "folder"},
    **{"start": "start", "setup_date": "start", "deploymentstart": "start"},
    **{"end": "end", "retrieval_date": "end", "deploymentend": "end"},
    **{"utc_offset": "utc_offset", "timestampissues": "timestamp_issues"},
    **{"bait": "bait", "baituse": "bait_use", "habitat": "habitat"},
    **{"comments": "comments", "deploymentcomments": "comments"},
}
# Columns of those formats that the record has no place for.
NOT_KEPT = {
    *("session", "array", "setupby", "cameramodel", "cameradelay", "camerainterval"),
    *("cameraheight", "cameradepth", "cameratilt", "cameraheading", "detectiondistance"),
    *("featuretype", "deploymentgroups", "deploymenttags", "tags", "coordinateuncertainty", "_id"),
}
OURS = (
    "deployment station latitude longitude camera serial card folder start end utc_offset bait"
    " habitat comments problem1_from problem1_to"
)
PROBLEM = re.compile(r"problem(\d+)_(from|to)")
NONE = ("", "NA")  # R writes NA
FIRST_SECOND, LAST_SECOND = WHOLE_DAY
FAR_DEGREES = 0.01  # about a kilometre: no station moves so far

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file: what each known column says, and where it stands."""

    cells: Mapping[str, str]
    origin: Origin
    comma: bool  # whether decimals have a comma

    def get(self, name: str) -> str:
        """Return a cell, '' where nobody wrote anything."""
        text = self.cells.get(name, "")
        return "" if text in NONE else text

    def wrong(self, name: str, what: str, hint: str) -> InputError:
        """Return an error that names file, line and column."""
        return InputError(f"{self.origin.at(name)}: {what}", hint)


def read_stations(
    path: Path, *, utm_zone: str | None = None, ignored: Sequence[str] = ()
) -> list[StationRow]:
    """Return the stations of a table, each once.

    Raises:
        InputError: the file or a line of it cannot be used; it names line and column.
    """
    found: dict[str, StationRow] = {}
    has_no_zone = False
    for line in _lines(path, ignored):
        name = _station(line)
        latitude, longitude = _position(line, utm_zone)
        has_no_zone |= latitude is None and bool(line.get("utm_x"))
        before = found.get(name)
        row = StationRow(name=name, latitude=latitude, longitude=longitude, origin=line.origin)
        if before is None or before.latitude is None:
            found[name] = row
        _check_same_place(line, before, row)
    if has_no_zone:
        _log.warning("%s: without --utm-zone its UTM coordinates say no place; left out", path)
    return list(found.values())


def read_deployments(
    path: Path,
    *,
    utm_zone: str | None = None,
    dates: str | None = None,
    folder: str = "",
    ignored: Sequence[str] = (),
) -> list[DeploymentRow]:
    """Return the deployments of a table.

    One without a name is named by station, camera and first day. `dates` is the order of dates that
    do not begin with the year (`moments.ORDERS`); without it, the one that the file shows. `folder`
    is the pattern of paths where the file has none; {station} and {camera} in it stand for theirs.

    Raises:
        InputError: the file or a line of it cannot be used; it names line and column.
    """
    places = {row.name: row for row in read_stations(path, utm_zone=utm_zone, ignored=ignored)}
    lines = list(_lines(path, ignored))
    order = dates or _order(path, lines)
    rows = [_deployment(line, places, order, folder) for line in lines]
    if not rows:
        raise InputError(f"{path} holds no deployments", "write one on each line below the first")
    return rows


def _lines(path: Path, ignored: Sequence[str]) -> Iterator[Line]:
    """Yield the lines of a file that say something."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "name a CSV file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no CSV file in UTF-8", "save it as CSV UTF-8") from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        header = [cell.strip() for cell in next(reader, [])]
        columns = _columns(path, header, ignored)
        origins = {field: header[place] for place, field in columns.items()}
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            origin = Origin(str(path), reader.line_num, origins)
            if len(cells) > len(header):
                raise InputError(
                    f"{origin.at('')}: {len(cells)} cells below {len(header)} columns",
                    "put text with commas into quotes",
                )
            texts = {field: cells[i].strip() for i, field in columns.items() if i < len(cells)}
            yield Line(texts, origin, delimiter == ";")
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}", "correct the line") from error


def _columns(path: Path, header: Sequence[str], ignored: Sequence[str]) -> dict[int, str]:
    """Return what each known column says, by its place."""
    left_out = {name.casefold() for name in ignored}
    found: dict[int, str] = {}
    for place, name in enumerate(header):
        known = name.casefold()
        if known in left_out or (not name and place == 0):  # R numbers the rows so
            continue
        if known in NOT_KEPT:
            _log.info("%s: the column %s is not kept", path, name)
            continue
        field = known if PROBLEM.fullmatch(known) else COLUMNS.get(known)
        if field is None:
            raise InputError(
                f"{path}, line 1: there is no column {name!r}",
                f"leave it out with --ignore {name!r}, or choose from {OURS.replace(' ', ', ')}",
            )
        if field in found.values():
            other = header[next(i for i, each in found.items() if each == field)]
            raise InputError(
                f"{path}, line 1: the columns {other} and {name} say the same",
                f"leave one out: --ignore {name!r}",
            )
        found[place] = field
    if "station" not in found.values() and "location" not in found.values():
        raise InputError(
            f"{path}, line 1: no column is called Station", "every line needs its station"
        )
    return found


def _station(line: Line) -> str:
    name = line.get("station") or line.get("location") or line.get("name")
    if not name:
        raise line.wrong("station", "the station is empty", "give each line its station")
    return name


def _position(line: Line, utm_zone: str | None) -> tuple[float | None, float | None]:
    """Return latitude and longitude in degrees, None where the table has none that are known."""
    if line.get("latitude") or line.get("longitude"):
        return _number(line, "latitude"), _number(line, "longitude")
    east, north = _number(line, "utm_x"), _number(line, "utm_y")
    if east is None or north is None:
        return None, None
    if abs(east) <= 180 and abs(north) <= 90:  # degrees, as many write them into these columns
        return north, east
    return (None, None) if utm_zone is None else from_utm(east, north, utm_zone)


def _number(line: Line, name: str) -> float | None:
    text = line.get(name)
    if not text:
        return None
    try:
        return float(text.replace(",", ".") if line.comma else text)
    except ValueError:
        raise line.wrong(name, f"{text!r} is no number", "write it as 51.496") from None


def _check_same_place(line: Line, before: StationRow | None, row: StationRow) -> None:
    if before is None or None in (before.latitude, row.latitude):
        return
    pairs = ((before.latitude, row.latitude), (before.longitude, row.longitude))
    if any(abs((one or 0) - (other or 0)) > FAR_DEGREES for one, other in pairs):
        at = before.origin.line if before.origin else 0
        raise line.wrong(
            "station",
            f"{row.name} lies elsewhere than in line {at}",
            "give two places two names, or correct the coordinates",
        )


def _deployment(
    line: Line, places: Mapping[str, StationRow], order: str, folder: str
) -> DeploymentRow:
    station, camera = _station(line), line.get("camera")
    start, zone = _moment(line, "start", order)
    if start is None:
        raise line.wrong("start", "the start is empty", "say when the camera was set up")
    end, _ = _moment(line, "end", order, last=True, zone=zone)
    if line.get("timestamp_issues").casefold() == "true" and zone == "+00:00":
        zone = None  # what is written where nobody knows it
    name = line.get("name") or " ".join(filter(None, (station, camera, start[:10])))
    pattern = line.get("folder") or folder.format(station=station, camera=camera)
    if line.origin.columns.get("start", "").casefold() == "setup_date" and camera:
        camera = f"{station} {camera}"  # camtrapR's cameras are those of a station
    return DeploymentRow(
        name=name,
        station=station,
        camera=camera,
        serial=line.get("serial"),
        card=line.get("card"),
        folder=pattern,
        start=start,
        end=end,
        utc_offset=zone,
        bait=line.get("bait") or ("yes" if line.get("bait_use").casefold() == "true" else ""),
        habitat=line.get("habitat"),
        comments=line.get("comments"),
        latitude=places[station].latitude,
        longitude=places[station].longitude,
        problems=tuple(_problems(line, order)),
        origin=line.origin,
    )


def _problems(line: Line, order: str) -> Iterator[tuple[str, str]]:
    numbers = sorted({int(found[1]) for name in line.cells if (found := PROBLEM.fullmatch(name))})
    for number in numbers:
        start, end = (f"problem{number}_{side}" for side in ("from", "to"))
        if not line.get(start) and not line.get(end):
            continue
        for name, other in ((start, end), (end, start)):
            if not line.get(name):
                raise line.wrong(name, f"it is empty, but {other} is not", "write both, or neither")
        began, ended = _read(line, start, order), _read(line, end, order)
        yield began.text, ended.text


def _read(line: Line, name: str, order: str) -> Moment:
    moment = parse_moment(line.get(name), order)
    if moment is None:
        raise line.wrong(
            name,
            f"{line.get(name)!r} is no date",
            "write it as 2026-03-01, or 2026-03-01 05:06:07",
        )
    return moment


def _moment(
    line: Line, name: str, order: str, *, last: bool = False, zone: str | None = None
) -> tuple[str | None, str | None]:
    """Return a time as the record writes it and its offset; a day as its first or last second.

    The time is that of the deployment's offset: the column's, else `zone`, else its own.
    """
    if not line.get(name):
        return None, line.get("utc_offset") or zone
    moment = _read(line, name, order)
    wanted = line.get("utc_offset") or zone or moment.zone
    if not moment.clock:
        return f"{moment.day}{LAST_SECOND if last else FIRST_SECOND}", wanted
    if moment.zone is None or wanted is None or not OFFSET.fullmatch(wanted):
        return moment.text, wanted
    there = datetime.fromisoformat(f"{moment.text}{moment.zone}")
    here = there.astimezone(datetime.fromisoformat(f"{moment.text}{wanted}").tzinfo)
    return here.replace(tzinfo=None).isoformat(), wanted


def _order(path: Path, lines: Sequence[Line]) -> str:
    """Return how a table writes dates that do not begin with the year.

    Raises:
        InputError: it may be either.
    """
    names = {name for line in lines for name in line.cells if PROBLEM.fullmatch(name)}
    texts = [line.get(name) for line in lines for name in ("start", "end", *sorted(names))]
    orders = possible_orders(text for text in texts if text)
    if len(orders) > 1:
        example = next(text for text in texts if len(possible_orders([text])) > 1)
        raise InputError(
            f"{path}: dates like {example} may begin with the day or with the month",
            "say which: --dates dmy or --dates mdy",
        )
    return orders[0]
