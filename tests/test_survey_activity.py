"""Activity and overlap equal the R package overlap; the sun stands where NOAA says."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from trapsort.errors import InputError
from trapsort.survey import activity, overlap, sun


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "reference" / "overlap"


@pytest.fixture(scope="module")
def tiger(folder: Path) -> activity.Floats:
    return pd.read_csv(folder / "tigerObs.csv")["x"].to_numpy()


@pytest.fixture(scope="module")
def pig(folder: Path) -> activity.Floats:
    return pd.read_csv(folder / "pigObs.csv")["x"].to_numpy()


def test_bandwidths_and_overlap(folder: Path, tiger: activity.Floats, pig: activity.Floats) -> None:
    wanted = pd.read_csv(folder / "expected_pig_tiger.csv").set_index("quantity")["value"]
    assert activity.bandwidth(tiger) == pytest.approx(wanted["bw_tigerObs"], abs=1e-7)
    assert activity.bandwidth(pig) == pytest.approx(wanted["bw_pigObs"], abs=1e-7)
    found = overlap.overlap(tiger, pig)
    assert found.dhat1 == pytest.approx(wanted["tiger_pig_Dhat1"], abs=1e-9)
    assert found.dhat4 == pytest.approx(wanted["tiger_pig_Dhat4"], abs=1e-9)
    assert round(found.dhat5, 5) == 0.2275  # as overlap's own tests have it
    assert (found.best, found.estimate) == ("Dhat4", found.dhat4)


def test_densities(tiger: activity.Floats, pig: activity.Floats) -> None:
    at = np.linspace(0, 2 * math.pi, 5)
    # What overlap's own tests expect of densityFit.
    wanted = [0.02440435, 0.44522913, 0.02179983, 0.50513539, 0.02440435]
    assert list(activity.density(tiger, at, 30)) == pytest.approx(wanted, rel=1e-6)
    wanted = [7.877244e-06, 4.522317e-02, 4.622752e-01, 1.216268e-01, 7.877244e-06]
    assert list(activity.density(pig, at, 10)) == pytest.approx(wanted, rel=1e-6)


def test_a_curve_holds_one_animal_a_day(tiger: activity.Floats) -> None:
    found = activity.curve(tiger, points=1025)
    assert found["density"].iloc[1:].sum() * 24 / 1024 == pytest.approx(1, abs=1e-9)
    assert list(found["hour"].iloc[[0, 512, 1024]]) == [0, 12, 24]


def test_samples_that_are_large_are_interpolated(folder: Path) -> None:
    kerinci = pd.read_csv(folder / "kerinci.csv")
    radians = {name: rows["Time"].to_numpy() * 2 * math.pi for name, rows in kerinci.groupby("Sps")}
    macaque, tapir, boar = (radians[name] for name in ("macaque", "tapir", "boar"))
    found = overlap.overlap(macaque, tapir)
    exact = overlap.overlap(macaque, tapir, points=2049)  # a grid finer than interpolation
    assert found.dhat4 == pytest.approx(exact.dhat4, abs=1e-3)
    assert found.dhat4 != exact.dhat4
    swapped = overlap.overlap(tapir, macaque)
    assert swapped.dhat1 == pytest.approx(found.dhat1, abs=1e-12)
    assert overlap.overlap(boar, tapir).best == "Dhat1"  # 28 boar


def test_a_species_overlaps_itself_wholly(pig: activity.Floats) -> None:
    found = overlap.overlap(pig, pig)
    assert (found.dhat1, found.dhat4) == (pytest.approx(1), pytest.approx(1))


def test_too_few_times_make_no_curve() -> None:
    assert activity.bandwidth(np.array([1.0, 1.0])) is None
    with pytest.raises(InputError) as caught:
        activity.curve(np.array([1.0, 1.0]))
    assert str(caught.value) == (
        "2 times, 1 of them different, make no activity curve\ntake a species with more events"
    )


def test_root_finds_what_is_there() -> None:
    assert activity.root(math.cos, 0, 3, 1e-12) == pytest.approx(math.pi / 2, abs=1e-11)
    assert activity.root(lambda x: x**3 - 2, 0, 5, 1e-12) == pytest.approx(2 ** (1 / 3), abs=1e-11)
    assert activity.root(lambda x: x - 1, 1, 3, 1e-12) == 1


@pytest.mark.parametrize("smooth", [True, False])
def test_bootstrap_surrounds_the_estimate(
    tiger: activity.Floats, pig: activity.Floats, smooth: bool
) -> None:
    found = overlap.bootstrap(tiger, pig, repeats=99, estimate="Dhat4", smooth=smooth)
    again = overlap.bootstrap(tiger, pig, repeats=99, estimate="Dhat4", smooth=smooth)
    assert list(found) == list(again)
    # Means of overlap's own tests, of other random numbers: smooth 0.33061, plain 0.26333.
    assert found.mean() == pytest.approx(0.33061 if smooth else 0.26333, abs=0.02)
    limits = overlap.confidence(0.2692, found)
    assert limits.loc["basic0", "lower"] < 0.2692 < limits.loc["basic0", "upper"]


def test_confidence_by_hand() -> None:
    values = np.arange(1, 40) / 40  # ranks 1 and 39 of 39: the ends themselves
    found = overlap.confidence(0.5, values, level=0.9)
    assert found.loc["perc"].tolist() == pytest.approx([2 / 40, 38 / 40])
    assert found.loc["basic"].tolist() == pytest.approx([2 / 40, 38 / 40])
    error = 1.6448536 * values.std(ddof=1)
    assert found.loc["norm0"].tolist() == pytest.approx([0.5 - error, 0.5 + error])
    assert overlap.confidence(0.5, values, level=0.99).loc["perc"].isna().all()


def test_time_of_day() -> None:
    times = pd.Series(pd.to_datetime(["2024-03-01 00:00:00", "2024-03-01 18:00:00"]))
    assert list(activity.time_of_day(times)) == [0, 1.5 * math.pi]


def local_offset(day: str, zone: str) -> int:
    moment = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=ZoneInfo(zone))
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def test_sun_times_are_noaas(shared: Path) -> None:
    table = pd.read_csv(shared / "reference" / "sun" / "expected_sun.csv")
    columns = {
        "sunrise": "sunrise",
        "sunset": "sunset",
        "noon": "noon",
        "dawn": "civil_dawn",
        "dusk": "civil_dusk",
    }
    for row in table.to_dict("records"):
        offset = local_offset(row["date"], row["tz"])
        found = sun.sun_times(row["lat"], row["lon"], date.fromisoformat(row["date"]), offset)
        for event, column in columns.items():
            moment = found[event]
            assert moment is not None
            assert abs((moment - datetime.fromisoformat(row[column])).total_seconds()) <= 2
        at = datetime.fromisoformat(f"{row['date']}T09:00:00+00:00")
        azimuth, elevation = sun.sun_position(row["lat"], row["lon"], at)
        assert azimuth == pytest.approx(row["azimuth_0900Z"], abs=0.01)
        assert elevation == pytest.approx(row["elevation_0900Z"], abs=0.01)


@pytest.mark.parametrize(
    ("place", "day", "offset", "sunrise", "sunset"),
    [
        # NOAA's solar calculator, minutes of local time.
        ((51.4769, 0.0), "2024-06-20", 0, "03:42", "20:21"),  # Greenwich
        ((69.65, 18.96), "2024-06-20", 7200, None, None),  # Tromsø: the sun stays up
        ((69.65, 18.96), "2024-12-21", 3600, None, None),  # and down
        ((64.15, -21.94), "2024-06-20", 0, "02:55", "00:04"),  # Reykjavik: sets after midnight
        ((-17.7, 178.0), "2024-03-20", 43_200, "06:12", "18:18"),  # Fiji, half a day from Greenwich
        ((21.3, -157.9), "2024-03-20", -36_000, "06:35", "18:42"),  # Hawaii
    ],
)
def test_sun_times_far_from_greenwich_and_near_the_pole(
    place: tuple[float, float], day: str, offset: int, sunrise: str | None, sunset: str | None
) -> None:
    found = sun.sun_times(*place, date.fromisoformat(day), offset)
    for event, wanted in (("sunrise", sunrise), ("sunset", sunset)):
        moment = found[event]
        if wanted is None:
            assert moment is None
            continue
        assert moment is not None
        local = (moment.astimezone(UTC).timestamp() + offset) % 86_400 / 60
        hours, minutes = map(int, wanted.split(":"))
        assert abs(local - (60 * hours + minutes)) < 2


def test_sun_time_equals_overlaps(folder: Path) -> None:
    calls = pd.read_csv(folder / "simCalls.csv")
    times = pd.to_datetime(calls["dates"]).astype("datetime64[s]")
    places = pd.DataFrame({"time": times, "latitude": 56.0, "longitude": -3.0, "utc_offset": "Z"})
    clock = calls["time"].to_numpy()
    found = sun.sun_time(clock, *sun.anchors(places), kind="equinoctial")
    assert found.sum() == pytest.approx(207.0542, abs=1e-3)  # as overlap's own tests have it


def test_sun_time_by_hand() -> None:
    hour = 2 * math.pi / 24
    clock = np.array([5, 12, 19, 0, 12]) * hour
    sunrise, sunset = np.array([5, 5, 5, 5, np.nan]) * hour, np.array([19, 19, 19, 19, 19]) * hour
    found = sun.sun_time(clock, sunrise, sunset, kind="equinoctial") / hour
    assert list(found[:4]) == pytest.approx([6, 12, 18, 0], abs=1e-9)
    assert np.isnan(found[4])
    # The average of these sunrises is 6, of these sunsets 18:30.
    mixed = sun.sun_time(
        np.array([5.0, 7.0, 18.0, 19.0]) * hour,
        np.array([5.0, 7.0, 5.0, 7.0]) * hour,
        np.array([18.0, 19.0, 18.0, 19.0]) * hour,
    )
    assert list(mixed / hour) == pytest.approx([6, 6, 18.5, 18.5])


def test_events_are_told_by_the_sun_of_their_deployments() -> None:
    events = pd.DataFrame(
        {
            "deployment": ["A", "B", None],
            "time": pd.to_datetime(["2024-03-20 06:36:46"] * 3).astype("datetime64[s]"),
        }
    )
    deployments = pd.DataFrame(
        {
            "deployment": ["A", "B"],
            "latitude": [-1.2921, np.nan],
            "longitude": [36.8219, np.nan],
            "utc_offset": ["+03:00", "+03:00"],
        }
    )
    found = sun.sun_time_of_day(events, deployments, kind="equinoctial")
    assert found[0] == pytest.approx(math.pi / 2, abs=1e-3)  # at sunrise
    assert np.isnan(found[1:]).all()


def test_offsets() -> None:
    assert [sun.offset_seconds(text) for text in ("+02:00", "-09:30", "Z", "", None)] == [
        7200,
        -34_200,
        0,
        None,
        None,
    ]
    with pytest.raises(InputError) as caught:
        sun.offset_seconds("CET")
    assert str(caught.value) == "CET is no offset from UTC\ngive one like +02:00"
    with pytest.raises(InputError, match=r"^there is no sun time by moon\n"):
        sun.sun_time(np.zeros(1), np.zeros(1), np.ones(1), kind="moon")
