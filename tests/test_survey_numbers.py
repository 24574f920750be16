"""Effort, counts, rates, occupancy, accumulation and captures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trapsort.errors import InputError
from trapsort.survey import accumulation, effort, rates
from trapsort.survey.summary import captures

MALLARD = "29b7d356-4bb4-4ec4-b792-2af5cc32efa8"


@pytest.fixture(scope="module")
def mica(shared: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Observations and deployments of camtraptor's example, as frames of ours."""
    folder = shared / "reference" / "mica"
    deployments = pd.read_csv(folder / "deployments.csv")
    for name in ("start", "end"):
        deployments[name] = pd.to_datetime(deployments[name].str[:19]).astype("datetime64[s]")
    deployments = deployments.rename(columns={"deploymentID": "deployment"})
    names = {"deploymentID": "deployment", "scientificName": "species", "sequenceID": "sequence_id"}
    return pd.read_csv(folder / "observations.csv").rename(columns=names), deployments


def test_camtraptor_effort(mica: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    _, deployments = mica
    found = effort.elapsed(deployments)
    # 29 July 05:29:41 to 8 August 04:20:40, 19 June 21:00:00 to 28 June 23:33:22, ...
    seconds = [859_859, 786_802, 1_903_602, 1_204_929]
    assert list(found) == pytest.approx([each / 86_400 for each in seconds], abs=1e-9)
    assert list(effort.elapsed(deployments, unit="second")) == seconds
    for period, rows in (("day", 558), ("week", 81), ("month", 19), ("year", 3)):
        parts = effort.elapsed_by_period(deployments, period)
        assert len(parts) == 4 * rows
        sums = parts.groupby("deployment")["effort"].sum().reindex(found.index)
        assert list(sums) == pytest.approx(list(found), abs=1e-9)
    weeks = effort.elapsed_by_period(deployments, "week")["period"]
    assert set(weeks.dt.day_name()) == {"Sunday"}


def test_camtraptor_counts_and_rates(mica: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    observations, deployments = mica
    places = pd.Index(deployments["deployment"])
    days = effort.elapsed(deployments)
    wanted = {  # by hand from observations.csv: sequences and individuals of the mallard's site
        "sequences": {"Anas platyrhynchos": 4, "Anas strepera": 3},
        "individuals": {"Anas platyrhynchos": 13, "Anas strepera": 6},
    }
    for of, numbers in wanted.items():
        counted = rates.counts(observations, of=of, places=places, place="deployment")
        assert len(counted) == 4 * 9  # every species at every deployment
        assert list(counted["deployment"].unique()) == list(places)
        found = rates.rates(counted, days, of=of).set_index(["deployment", "species"])
        for species, number in numbers.items():
            row = found.loc[(MALLARD, species)]
            assert row["n"] == number
            assert row["rate"] == pytest.approx(100 * number / (859_859 / 86_400), abs=1e-9)
        assert found.loc[MALLARD, "n"].sum() == sum(numbers.values())
        assert found["formula"].unique() == [rates.FORMULAS[of]]


@pytest.mark.parametrize(
    ("kept", "of", "expected"),  # by hand from observations.csv
    [
        ({"lifeStage": "subadult"}, "individuals", {"Anas platyrhynchos": 11, "Anas strepera": 5}),
        ({"lifeStage": "subadult"}, "sequences", {"Anas platyrhynchos": 3, "Anas strepera": 2}),
        ({"sex": "female"}, "individuals", {"Anas strepera": 1}),
        ({"sex": "unknown", "lifeStage": "unknown"}, "individuals", {"Anas platyrhynchos": 2}),
    ],
)
def test_camtraptor_counts_of_some_individuals(
    mica: tuple[pd.DataFrame, pd.DataFrame],
    kept: dict[str, str],
    of: str,
    expected: dict[str, int],
) -> None:
    observations, deployments = mica
    chosen = observations[(observations[list(kept)] == pd.Series(kept)).all(axis=1)]
    places = pd.Index(deployments["deployment"])
    counted = rates.counts(chosen, of=of, places=places, place="deployment")
    at = counted[(counted["deployment"] == MALLARD) & (counted["n"] > 0)]
    assert dict(zip(at["species"], at["n"], strict=True)) == expected


EVENTS = pd.DataFrame(
    {
        "station": ["A", "A", "B", "B", "C"],
        "species": ["Lion", "Ox", "Lion", "Lion", "Ox"],
        "count": [1, 5, 2, 1, 1],
        "n_images": [3, 9, 1, 2, 1],
        "time": pd.to_datetime([f"2024-03-0{day} 10:00" for day in (1, 2, 1, 3, 4)]),
    }
)
DAYS = pd.Series({"A": 10.0, "B": 20.0, "C": 0.0, "D": 5.0}).rename_axis("station")


@pytest.mark.parametrize(
    ("of", "lions", "rate"),
    [
        ("events", [1, 2, 0, 0], [10, 10, None, 0]),
        ("photos", [3, 3, 0, 0], [30, 15, None, 0]),
        ("individuals", [1, 3, 0, 0], [10, 15, None, 0]),
        ("nights", [1, 2, 0, 0], [10, 10, None, None]),
    ],
)
def test_rates_by_formula(of: str, lions: list[int], rate: list[float | None]) -> None:
    found = rates.rates(rates.counts(EVENTS, of=of, places=DAYS.index), DAYS, of=of)
    mine = found[found["species"] == "Lion"]
    assert list(mine["n"]) == lions
    assert [None if np.isnan(each) else each for each in mine["rate"]] == rate


def test_rates_of_the_whole_survey() -> None:
    counted = rates.counts(EVENTS, of="events", places=DAYS.index)
    found = rates.survey_rates(counted, DAYS, of="events")
    columns = ["species", "n", "effort", "rate"]
    assert found[columns].to_numpy().tolist() == [
        ["Lion", 3, 35.0, pytest.approx(300 / 35)],
        ["Ox", 2, 35.0, pytest.approx(200 / 35)],
    ]


def test_naive_occupancy_counts_watched_stations_only() -> None:
    found = rates.naive_occupancy(EVENTS, DAYS)
    columns = ["species", "stations", "watched", "occupancy"]
    assert found[columns].to_numpy().tolist() == [["Lion", 2, 3, 2 / 3], ["Ox", 1, 3, 1 / 3]]


def test_exact_accumulation_equals_vegan(shared: Path) -> None:
    folder = shared / "reference" / "accumulation"
    wanted = pd.read_csv(folder / "expected_specaccum_exact.csv")
    found = accumulation.exact(pd.read_csv(folder / "incidence_stationdays.csv", index_col=0))
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False, rtol=0, atol=1e-9)


def test_accumulation_is_the_mean_and_variance_over_all_orders(shared: Path) -> None:
    plots = pd.read_csv(shared / "reference" / "accumulation" / "BCI.csv")
    found = accumulation.exact(plots)
    assert found["richness"].iloc[0] == pytest.approx((plots > 0).sum(axis=1).mean(), abs=1e-9)
    assert found["richness"].iloc[-1] == 225
    # With one unit drawn the variance is that of the units' own numbers of species.
    assert found["sd"].iloc[0] == pytest.approx((plots > 0).sum(axis=1).std(ddof=0), abs=1e-9)
    random = np.random.default_rng(1)
    there = plots.to_numpy() > 0
    drawn = [there[random.permutation(50)[:10]].any(axis=0).sum() for _ in range(2000)]
    assert found["richness"].iloc[9] == pytest.approx(np.mean(drawn), abs=0.5)


def test_units_with_one_species_each_do_not_vary() -> None:
    found = pd.DataFrame(np.eye(2, dtype=bool), columns=["Lion", "Ox"])
    assert list(accumulation.exact(found)["sd"]) == [0, 0]


def test_units_of_accumulation() -> None:
    assert list(accumulation.incidence(EVENTS).index) == [
        "A 2024-03-01",
        "A 2024-03-02",
        "B 2024-03-01",
        "B 2024-03-03",
        "C 2024-03-04",
    ]
    stations = accumulation.incidence(EVENTS, unit="station")
    assert stations.to_numpy().tolist() == [[True, True], [True, False], [False, True]]
    # Lion and Ox at two of three stations each: 4/3 of one, all of two.
    assert list(accumulation.exact(stations)["richness"]) == pytest.approx([4 / 3, 2, 2])
    with_empty = accumulation.exact(stations, units=4)
    assert list(with_empty["richness"]) == pytest.approx([1, 2 - 2 / 6, 2, 2])
    assert accumulation.exact(stations.iloc[:0]).empty


def test_captures_of_every_station() -> None:
    found = captures(EVENTS, EVENTS, DAYS).set_index("station")
    numbers = found[["effort", "photos", "events", "species", "individuals"]]
    assert numbers.to_numpy().tolist() == [
        [10, 2, 2, 2, 6],
        [20, 2, 2, 1, 3],
        [0, 1, 1, 1, 1],
        [5, 0, 0, 0, 0],
    ]
    assert list(found["rate"])[:2] == [20, 10]
    assert found["rate"].isna().tolist() == [False, False, True, False]
    assert found["first"].isna().tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: rates.counts(EVENTS, of="herds", places=DAYS.index),
            "there is no rate of herds\nchoose from events, sequences, individuals, photos, nights",
        ),
        (
            lambda: accumulation.incidence(EVENTS, unit="year"),
            "year is no sampling unit\nchoose from station-day, station, day",
        ),
        (
            lambda: effort.elapsed(EVENTS, unit="century"),
            "effort is not counted in centurys\n"
            "choose from second, minute, hour, day, week, month, year",
        ),
        (
            lambda: effort.elapsed_by_period(EVENTS, "century"),
            "effort is not grouped by century\nchoose from day, week, month, year",
        ),
        (
            lambda: effort.by_station(EVENTS, EVENTS, definition="mine"),
            "there is no effort as in mine\nchoose from camtrapR, camtraptor",
        ),
    ],
)
def test_names_that_do_not_exist(call: object, message: str) -> None:
    assert callable(call)
    with pytest.raises(InputError) as caught:
        call()
    assert str(caught.value) == message
