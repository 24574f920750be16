"""Where the sun is, and times of day told by it instead of by the clock.

Positions come from astral (NOAA's algorithm, a minute or better). Local time is UTC plus a fixed
offset, as cameras keep it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trapsort.errors import InputError
from trapsort.survey.activity import time_of_day

Floats = NDArray[np.float64]

EVENTS = ("dawn", "sunrise", "noon", "sunset", "dusk")  # dawn and dusk are civil
HORIZON = 90.833  # degrees from the zenith: refraction 0.567, and half of the sun 0.266
CIVIL = 96.0
DAY_SECONDS = 86_400
KINDS = ("average", "equinoctial")


def offset_seconds(text: str | None) -> int | None:
    """Seconds east of UTC of '+02:00', 'Z' or None where it is not known.

    Raises:
        InputError: it is no offset.
    """
    if not text:
        return None
    try:
        offset = datetime.fromisoformat(f"2000-01-01T00:00:00{text}").utcoffset()
    except ValueError:
        offset = None
    if offset is None:
        raise InputError(f"{text} is no offset from UTC", "give one like +02:00")
    return int(offset.total_seconds())


def sun_times(
    latitude: float, longitude: float, day: date, offset: int
) -> dict[str, datetime | None]:
    """The `EVENTS` of a local day, in UTC; None where the sun does not rise, set or come so low.

    `offset` is seconds east of UTC: it says when the local day begins. The sun rises before and
    sets after the noon of that day, also where that is beyond midnight.
    """
    from astral import Observer, SunDirection
    from astral.sun import time_of_transit

    observer = Observer(latitude, longitude)
    middle = datetime(day.year, day.month, day.day, 12, tzinfo=timezone(timedelta(seconds=offset)))
    days = [middle.astimezone(UTC).date() + timedelta(days=step) for step in (-1, 0, 1)]
    highest = min((_noon(longitude, each) for each in days), key=lambda each: abs(each - middle))

    def crossings(zenith: float, direction: SunDirection) -> Iterator[datetime]:
        for each in days:
            with contextlib.suppress(ValueError):  # it stays above, or below
                yield time_of_transit(observer, each, zenith, direction, with_refraction=False)

    def rising(zenith: float) -> datetime | None:
        found = [each for each in crossings(zenith, SunDirection.RISING) if each <= highest]
        return _within_a_day(max(found, default=None), highest)

    def setting(zenith: float) -> datetime | None:
        found = [each for each in crossings(zenith, SunDirection.SETTING) if each >= highest]
        return _within_a_day(min(found, default=None), highest)

    return {
        "dawn": rising(CIVIL),
        "sunrise": rising(HORIZON),
        "noon": highest,
        "sunset": setting(HORIZON),
        "dusk": setting(CIVIL),
    }


def _noon(longitude: float, day: date) -> datetime:
    """When the sun is highest on a day of UTC, by the equation of time at that moment."""
    from astral.julian import julianday, julianday_to_juliancentury
    from astral.sun import eq_of_time

    minutes = 720 - 4 * longitude
    for _ in range(2):
        century = julianday_to_juliancentury(julianday(day) + minutes / 1440)
        minutes = 720 - 4 * longitude - eq_of_time(century)
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(minutes=minutes)


def _within_a_day(moment: datetime | None, noon: datetime) -> datetime | None:
    """The moment, unless it belongs to another day's noon."""
    if moment is None or abs(moment - noon) > timedelta(hours=12, minutes=5):
        return None
    return moment


def sun_position(latitude: float, longitude: float, moment: datetime) -> tuple[float, float]:
    """Azimuth (degrees from north, clockwise) and elevation (degrees) at a moment in UTC."""
    from astral import Observer, sun

    observer = Observer(latitude, longitude)
    return sun.azimuth(observer, moment), sun.elevation(observer, moment)


def anchors(places: pd.DataFrame) -> tuple[Floats, Floats]:
    """Sunrise and sunset of each row, radians of local time; NaN where there is none, or no place.

    `places` has `time` (datetime64[s]), `latitude`, `longitude` and `utc_offset` (text).
    """
    keys = places.assign(day=places["time"].dt.normalize())
    columns = ["day", "latitude", "longitude", "utc_offset"]
    number = keys.groupby(columns, dropna=False, sort=False).ngroup().to_numpy()
    distinct = keys.drop_duplicates(columns)[columns].itertuples(index=False)
    table = np.array([_anchor(*key) for key in distinct], dtype=float).reshape(-1, 2)
    return table[number, 0], table[number, 1]


def _anchor(
    day: pd.Timestamp, latitude: float, longitude: float, utc_offset: object
) -> tuple[float, float]:
    offset = offset_seconds(utc_offset) if isinstance(utc_offset, str) else None
    if offset is None or math.isnan(latitude) or math.isnan(longitude):
        return math.nan, math.nan
    found = sun_times(latitude, longitude, day.date(), offset)
    midnight = datetime(day.year, day.month, day.day, tzinfo=timezone(timedelta(seconds=offset)))

    def radians(moment: datetime | None) -> float:
        if moment is None:
            return math.nan
        return (moment - midnight).total_seconds() / DAY_SECONDS * math.tau

    return radians(found["sunrise"]), radians(found["sunset"])


def sun_time(clock: Floats, sunrise: Floats, sunset: Floats, *, kind: str = "average") -> Floats:
    """Times of day, radians, told by sunrise and sunset (double anchoring, Nouvellet et al. 2012).

    Day and night are stretched so that the sun always rises and sets at the same two times: the
    averages of the `sunrise` and `sunset` given ('average', as the R package activity does), or 6
    and 18 o'clock ('equinoctial', as overlap's sunTime does). NaN where one of them is.

    Raises:
        InputError: there is no such kind.
    """
    if kind not in KINDS:
        raise InputError(f"there is no sun time by {kind}", f"choose from {', '.join(KINDS)}")
    rise, fall = math.pi / 2, 1.5 * math.pi
    if kind == "average":
        rise, fall = circular_mean(sunrise), circular_mean(sunset)
    length, told = (sunset - sunrise) % math.tau, (fall - rise) % math.tau
    since_sunrise, since_sunset = (clock - sunrise) % math.tau, (clock - sunset) % math.tau
    by_day = since_sunrise < length
    day = rise + since_sunrise / length * told
    night = fall + since_sunset / (math.tau - length) * (math.tau - told)
    return np.where(by_day, day, night) % math.tau


def circular_mean(angles: Floats) -> float:
    """Mean direction of radians, 0 to 2 pi; NaN are left out."""
    known = angles[~np.isnan(angles)]
    return (
        math.atan2(np.sin(known).mean(), np.cos(known).mean()) % math.tau
        if len(known)
        else math.nan
    )


def sun_time_of_day(
    events: pd.DataFrame, deployments: pd.DataFrame, *, kind: str = "average"
) -> Floats:
    """`sun_time` of events, by their deployments' places and offsets; NaN where one is unknown."""
    known = deployments.set_index("deployment")[["latitude", "longitude", "utc_offset"]]
    places = known.reindex(events["deployment"]).reset_index(drop=True)
    places["time"] = events["time"].to_numpy()
    return sun_time(time_of_day(events["time"]), *anchors(places), kind=kind)
