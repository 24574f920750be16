"""Independent events, against a slow model in plain Python, and how they round and count."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trapsort.errors import InputError
from trapsort.survey.events import RULES, independent, record_table
from trapsort.survey.rounding import rounded

Row = tuple[str, str, int, int]  # station, species, seconds, count


def frame(rows: list[Row]) -> pd.DataFrame:
    columns = ["station", "species", "seconds", "count"]
    made = pd.DataFrame(rows, columns=columns).astype({"seconds": "int64", "count": "int64"})
    base = np.datetime64("2024-03-01", "s")
    made["time"] = base + made["seconds"].to_numpy().astype("timedelta64[s]")
    return made


def slow(rows: list[Row], minutes: float, rule: str) -> list[tuple[object, ...]]:
    """Station, species, seconds, gap, images and greatest count of each event, one by one."""
    groups: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for station, species, seconds, count in rows:
        known = groups[station, species]
        known[seconds] = max(count, known.get(seconds, 0))
    events: list[list[object]] = []
    for (station, species), photos in sorted(groups.items()):
        compared: int | None = None
        for seconds in sorted(photos):
            gap = 0 if compared is None else seconds - compared
            begins = compared is None or gap >= minutes * 60
            if begins:
                events.append([station, species, seconds, gap, 0, 0])
            if begins or rule == "lastRecord":
                compared = seconds
            events[-1][4] += 1  # type: ignore[operator]
            events[-1][5] = max(events[-1][5], photos[seconds])  # type: ignore[type-var]
    return [tuple(event) for event in events]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["S1", "S2"]),
        st.sampled_from(["Lion", "Ox"]),
        st.integers(0, 400).map(lambda minutes: minutes * 30) | st.integers(0, 12_000),
        st.integers(1, 4),
    ),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(ROWS, st.sampled_from([0, 0.5, 1, 30, 60, 200]), st.sampled_from(RULES))
def test_events_are_those_of_a_slow_model(rows: list[Row], minutes: float, rule: str) -> None:
    found = independent(frame(rows), minutes=minutes, rule=rule)
    columns = ["station", "species", "seconds", "delta_secs", "n_images", "count"]
    assert list(found[columns].itertuples(index=False, name=None)) == slow(rows, minutes, rule)
    assert set(found["rule"]) <= {f"{minutes:g} min, {rule}"}


@pytest.mark.parametrize("minutes", [0, 1, 5, 15, 30, 45, 60, 120, 1440])
@pytest.mark.parametrize("rule", RULES)
def test_1503_records_at_many_thresholds(shared: Path, minutes: int, rule: str) -> None:
    table = pd.read_csv(shared / "reference" / "independence" / "records_in.csv")
    time = pd.to_datetime(table["DateTimeOriginal"])
    seconds = (time - pd.Timestamp("2024-03-01")) // pd.Timedelta(seconds=1)
    rows = list(zip(table["Station"], table["Species"], seconds, [1] * len(table), strict=True))
    found = independent(frame(rows), minutes=minutes, rule=rule)
    columns = ["station", "species", "seconds", "delta_secs", "n_images", "count"]
    assert list(found[columns].itertuples(index=False, name=None)) == slow(rows, minutes, rule)


def test_the_two_rules_differ_and_the_threshold_is_included() -> None:
    rows = [("A", "Lion", 60 * minute, 1) for minute in (0, 40, 80, 120, 180)]
    last = independent(frame(rows), minutes=60, rule="lastRecord")
    assert list(last["seconds"] // 60) == [0, 180]
    chained = independent(frame(rows), minutes=60, rule="lastIndependentRecord")
    assert list(chained["seconds"] // 60) == [0, 80, 180]
    assert list(chained["last"]) == list(frame(rows)["time"].iloc[[1, 3, 4]])


def test_a_burst_counts_once_with_its_greatest_count() -> None:
    rows = [("A", "Ox", 0, 1), ("A", "Ox", 0, 3), ("A", "Ox", 1, 2), ("A", "Ox", 2, 1)]
    found = independent(frame(rows), minutes=30, rule="lastRecord")
    assert list(found[["count", "n_images"]].itertuples(index=False, name=None)) == [(3, 3)]


def test_cameras_that_count_by_themselves() -> None:
    records = frame([("A", "Ox", 0, 1), ("A", "Ox", 0, 1), ("A", "Ox", 60, 1)])
    records["camera"] = ["left", "right", "left"]
    by = ("station", "species", "camera")
    found = independent(records, minutes=5, rule="lastRecord", by=by)
    assert list(found["camera"]) == ["left", "right"]
    assert len(independent(records, minutes=5, rule="lastRecord")) == 1


def test_no_records_make_no_events() -> None:
    assert independent(frame([]), minutes=30, rule="lastRecord").empty


def test_rules_and_minutes_that_do_not_exist() -> None:
    with pytest.raises(InputError) as caught:
        independent(frame([]), minutes=30, rule="last")
    assert str(caught.value) == (
        "there is no rule last\nchoose from lastRecord, lastIndependentRecord"
    )
    with pytest.raises(InputError, match=r"^-1 minutes is no gap between events\ngive 0 or more$"):
        independent(frame([]), minutes=-1, rule="lastRecord")


def test_record_table_splits_the_path() -> None:
    records = frame([("A", "Ox", 0, 1), ("B", "Ox", 1, 1)])
    records["card"], records["path"] = "/media/card", ["DCIM/100/I1.JPG", "I2.JPG"]
    table = record_table(independent(records, minutes=0, rule="lastRecord"))
    places = list(table[["Directory", "FileName"]].itertuples(index=False, name=None))
    assert places == [("/media/card/DCIM/100", "I1.JPG"), ("/media/card", "I2.JPG")]


def test_rounds_as_r_does() -> None:
    values = np.array([95.45, 95.55, 0.15, 0.25, 0.35, 2.5, 1159.35, 0.05, np.nan])
    found = rounded(values, 1)
    assert list(found[:-1]) == [95.4, 95.6, 0.1, 0.2, 0.3, 2.5, 1159.3, 0.0]
    assert np.isnan(found[-1])
    assert list(rounded(np.array([43199 / 86400, 1 / 86400]), 4)) == [0.5, 0.0]


@given(st.integers(0, 10**9))
def test_rounding_takes_the_nearest(seconds: int) -> None:
    (found,) = rounded(np.array([seconds / 60]), 1)
    error = abs(Fraction(Decimal(str(found))) - Fraction(seconds, 60))
    assert error <= Fraction(1, 20) + Fraction(1, 10**6)
