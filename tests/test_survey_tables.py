"""From rows of the record to frames, and from a study to the tables that are printed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from trapsort.errors import InputError
from trapsort.store import DeploymentRow, Detection, PhotoDay
from trapsort.survey import tables
from trapsort.survey.rows import deployments_frame, of_species, problems_frame, records_frame
from trapsort.survey.study import Choices, Study, study

ELEPHANTS = "Loxodonta africana; Loxodonta cyclotis"


def detection(
    time: str,
    *,
    station: str = "A",
    label: str = "Lion",
    name: str = "Panthera leo",
    sequence: int | None = None,
    count: int = 1,
) -> Detection:
    return Detection(
        photo_id=1,
        sha256="00",
        station=station,
        deployment=f"{station}-1",
        label=label,
        scientific_name=name,
        iucn="VU",
        count=count,
        time=time,
        utc_offset="+02:00",
        card="/media/card",
        path="DCIM/1.JPG",
        sequence_id=sequence,
        reviewed=False,
        reviewer=None,
        probability=0.9,
        reason=None,
        model="iucn11-1.0.0",
    )


def deployment(
    station: str, start: str | None, end: str | None, *problems: tuple[str, str]
) -> DeploymentRow:
    return DeploymentRow(
        name=f"{station}-1",
        station=station,
        start=start,
        end=end,
        latitude=-1.3,
        longitude=36.8,
        utc_offset="+03:00",
        problems=problems,
    )


DETECTIONS = [
    detection("2024-03-02T06:00:00", sequence=1),
    detection("2024-03-02T06:00:01", sequence=1, count=2),
    detection("2024-03-02T08:00:00"),
    detection("2024-03-03T18:30:00"),
    detection("2024-03-02T12:00:00", label="African_Elephant", name=ELEPHANTS),
    detection("2024-03-04T13:00:00.25", station="B", label="African_Elephant", name=ELEPHANTS),
    detection("0000-00-00T00:00:00"),
]
DEPLOYMENTS = [
    deployment("B", "2024-03-01T00:00:00", None),
    deployment("A", "2024-03-01T00:00:00", "2024-03-05T23:59:59", ("2024-03-04", "2024-03-04")),
    deployment("C", None, None),
]
DAYS = [PhotoDay("B-1", "B", "2024-03-04", 3, "2024-03-04T18:00:00")]


def made(**choices: object) -> Study:
    return study(DETECTIONS, DEPLOYMENTS, DAYS, Choices(**choices))  # type: ignore[arg-type]


def lines(table: tables.Table, *columns: str) -> list[str]:
    """The rows of some columns as text, empty where nothing is known."""
    places = [table.columns.index(name) for name in columns or table.columns]
    return [
        " ".join("-" if row[place] is None else str(row[place]) for place in places)
        for row in table.rows()
    ]


def test_records_are_sorted_and_what_is_no_time_is_left_out() -> None:
    frame = records_frame(DETECTIONS)
    assert list(frame["time"].dt.strftime("%d %H:%M:%S")) == [
        "02 12:00:00",
        "02 06:00:00",
        "02 06:00:01",
        "02 08:00:00",
        "03 18:30:00",
        "04 13:00:00",
    ]
    assert frame["time"].dtype == "datetime64[s]"
    assert frame["sequence_id"].isna().tolist() == [True, False, False, True, True, True]


def test_no_rows_make_empty_frames() -> None:
    assert records_frame([])["time"].dtype == "datetime64[s]"
    assert deployments_frame([])["start"].dtype == "datetime64[s]"
    assert problems_frame([]).empty


def test_a_day_without_a_time_is_noon_and_a_problem_lasts_to_midnight() -> None:
    rows = [
        *DEPLOYMENTS,
        deployment("D", "2024-03-01T09:30:00", "2024-03-02", ("2024-03-01T10:00:00", "2024-03-02")),
        deployment("E", "2024-03-01", None, ("2024-03-01", "2024-03-02T23:59:59")),
    ]
    frame = deployments_frame(rows)
    assert moments(frame, "start") == [
        "2024-03-01T12:00:00",
        "2024-03-01T12:00:00",
        "NaT",
        "2024-03-01T09:30:00",
        "2024-03-01T12:00:00",
    ]
    assert moments(frame, "end")[0] == "2024-03-05T12:00:00"
    assert frame["timed"].tolist() == [False, False, False, True, False]
    broken = problems_frame(rows)
    assert moments(broken, "start") == [
        "2024-03-04T00:00:00",
        "2024-03-01T10:00:00",
        "2024-03-01T00:00:00",
    ]
    assert moments(broken, "end") == [
        "2024-03-05T00:00:00",
        "2024-03-03T00:00:00",
        "2024-03-03T00:00:00",
    ]


def moments(frame: pd.DataFrame, column: str) -> list[str]:
    return [str(each) for each in frame[column].to_numpy()]


def test_species_by_label_or_by_one_of_its_names() -> None:
    records = records_frame(DETECTIONS)
    assert set(of_species(records, ["loxodonta CYCLOTIS"])["species"]) == {"African_Elephant"}
    assert len(of_species(records, ["lion", "African_Elephant"])) == len(records)
    assert len(of_species(records, [])) == len(records)
    with pytest.raises(InputError) as caught:
        of_species(records, ["Tiger"])
    assert str(caught.value) == (
        "no record that counts is of Tiger\nthere are: African_Elephant, Lion"
    )


def test_events_are_a_record_table_that_names_its_rule() -> None:
    table = tables.events(made())
    assert lines(table, "Station", "Species", "DateTimeOriginal", "n_images", "count", "rule") == [
        "A African_Elephant 2024-03-02 12:00:00 1 1 60 min, lastRecord",
        "A Lion 2024-03-02 06:00:00 2 2 60 min, lastRecord",
        "A Lion 2024-03-02 08:00:00 1 1 60 min, lastRecord",
        "A Lion 2024-03-03 18:30:00 1 1 60 min, lastRecord",
        "B African_Elephant 2024-03-04 13:00:00 1 1 60 min, lastRecord",
    ]


@pytest.mark.parametrize("rule", ["lastRecord", "lastIndependentRecord"])
def test_frames_of_a_burst_never_begin_two_events(rule: str) -> None:
    table = tables.events(made(minutes=0, rule=rule, species=("Lion",)))
    assert lines(table, "Time", "n_images") == ["06:00:00 2", "08:00:00 1", "18:30:00 1"]


def test_effort_of_a_station_that_still_runs_ends_with_its_last_photo() -> None:
    found = made()
    assert found.running == ("B-1", "C-1")
    columns = ("station", "effort", "days_set_up", "days_active", "days_inactive")
    # A: 1 to 5 March without the 4th; B: noon of the 1st to 18:00 of the 4th.
    assert lines(tables.effort(found), *columns) == ["A 3.0 5 4 1", "B 3.25 4 4 0"]
    exact = tables.effort(made(effort="camtraptor"))
    assert lines(exact, "station", "effort", "definition") == [
        "A 4.0 camtraptor",
        "B 3.25 camtraptor",
    ]
    assert exact.notes == ("effort as in camtraptor: end minus start of a deployment, problems "
                           "included",)  # fmt: skip


def test_days_that_count_cut_the_effort() -> None:
    cut = made(since=date(2024, 3, 2), until=date(2024, 3, 3))
    assert lines(tables.effort(cut), "station", "effort") == ["A 2.0", "B 2.0"]
    exact = made(since=date(2024, 3, 2), until=date(2024, 3, 3), effort="camtraptor")
    assert lines(tables.effort(exact), "station", "effort") == ["A 2.0", "B 2.0"]
    with pytest.raises(InputError, match=r"^no camera was set up on the days that count\n"):
        tables.effort(made(since=date(2025, 1, 1)))


def test_cameras_that_count_by_themselves() -> None:
    left, right = (
        DeploymentRow(
            name=f"A-{side}",
            station="A",
            camera=side,
            start="2024-03-01T00:00:00",
            end="2024-03-03T23:59:59",
        )
        for side in ("left", "right")
    )
    seen = [
        replace(detection(f"2024-03-02T06:0{minute}:00"), deployment=name)
        for minute, name in enumerate(("A-left", "A-right", "A-left"))
    ]
    together = study(seen, [left, right], [], Choices())
    # As in camtrapR, the halves of two cameras on the days of setup and retrieval make a day.
    assert lines(tables.summary(together), "station", "effort", "events") == ["A 3.0 1"]
    apart = study(seen, [left, right], [], Choices(cameras_independent=True))
    assert lines(tables.summary(apart), "station", "effort", "events") == ["A 4.0 2"]


def test_rates_name_their_formula() -> None:
    table = tables.rates(made(), "events", by_station=False)
    assert lines(table, "species", "n", "effort", "rate") == [
        "African_Elephant 2 6.25 32.0",
        "Lion 3 6.25 48.0",
    ]
    assert table.notes[0] == "rate: 100 x independent events / days of effort (O'Brien et al. 2003)"
    assert table.notes[2] == "event: 60 min, lastRecord"
    stations = tables.rates(made(species=("Lion",)), "sequences", by_station=True)
    assert lines(stations, "station", "species", "n") == ["A Lion 3", "B Lion 0"]


def test_rates_say_what_has_no_effort() -> None:
    elsewhere = [
        detection("2024-03-02T06:00:00", station=""),
        detection("2024-03-02T09:00:00", station=""),
        detection("2024-03-02T06:00:00", station="Z"),
    ]
    found = study([*DETECTIONS, *elsewhere], DEPLOYMENTS, DAYS, Choices())
    table = tables.rates(found, "events", by_station=False)
    assert lines(table, "species", "n") == ["African_Elephant 2", "Lion 3"]
    said = "3 events left out, of Z, no station: no deployment says when cameras stood there"
    assert table.notes[3:] == (said,)
    assert tables.occupancy(found).notes[1:] == (said,)
    assert tables.occupancy(made()).notes[1:] == ()


def test_occupancy() -> None:
    table = tables.occupancy(made())
    assert lines(table, "species", "stations", "watched", "occupancy") == [
        "African_Elephant 2 2 1.0",
        "Lion 1 2 0.5",
    ]


def test_history_of_the_one_species() -> None:
    found = made(species=("Lion",))
    table = tables.history(found, effort_matrix=False, occasion_days=2, output="count")
    assert lines(table) == ["A 2.0 1.0 0.0 60 min, lastRecord", "B 0.0 0.0 - 60 min, lastRecord"]
    effort = tables.history(found, effort_matrix=True, occasion_days=2)
    assert lines(effort, "station", "o1", "o2", "o3") == ["A 1.5 1.0 0.5", "B 1.5 1.75 -"]
    assert tables.history(found, effort_matrix=True, occasion_days=2, day1="2024-03-03").notes == (
        "event: 60 min, lastRecord",
        "2 events lie in no occasion and are left out",
    )
    with pytest.raises(InputError) as caught:
        tables.history(made(), effort_matrix=False, occasion_days=2)
    assert str(caught.value) == (
        "a history is of one species, and 2 were recorded\n"
        "name one with --species: African_Elephant, Lion"
    )


def test_operation() -> None:
    assert lines(tables.operation(made(), by_camera=False)) == [
        "A 0.5 1.0 1.0 0.0 0.5",
        "B 0.5 1.0 1.0 0.75 -",
    ]


def test_activity_leaves_out_what_has_no_curve() -> None:
    table = tables.activity(made(station="A"), points=3, sun=None)
    assert lines(table, "species", "hour", "events", "time") == [
        "African_Elephant 0.0 2 clock",
        "African_Elephant 12.0 2 clock",
        "African_Elephant 24.0 2 clock",
        "Lion 0.0 3 clock",
        "Lion 12.0 3 clock",
        "Lion 24.0 3 clock",
    ]
    alone = study(DETECTIONS[:3], DEPLOYMENTS, DAYS, Choices(minutes=120))
    found = tables.activity(alone, points=3, sun=None)
    assert list(found.rows()) == []
    assert found.notes == (
        "event: 120 min, lastRecord",
        "Lion: too few events at different times for a curve",
    )


def test_overlap_by_clock_and_by_sun() -> None:
    table = tables.overlap(made(), bootstrap=0, sun=None)
    assert lines(table, "species", "other", "n", "m", "advised", "lower", "time") == [
        "African_Elephant Lion 2 3 Dhat1 - clock"
    ]
    by_sun = tables.overlap(made(), bootstrap=100, sun="equinoctial")
    (row,) = by_sun.rows()
    found = dict(zip(by_sun.columns, row, strict=True))
    assert found["time"] == "equinoctial"
    for name in ("lower", "dhat1", "upper"):
        assert isinstance(found[name], float)


def test_events_without_a_place_have_no_sun_time() -> None:
    nowhere = [
        DeploymentRow(name="A-1", station="A", start="2024-03-01", end="2024-03-05"),
    ]
    found = tables.overlap(study(DETECTIONS, nowhere, [], Choices()), bootstrap=0, sun="average")
    assert found.notes[1] == "5 events without place, offset or sunrise are left out"


def test_accumulation_and_summary() -> None:
    table = tables.accumulation(made(), unit="station")
    assert lines(table, "sites", "richness", "unit") == ["1 1.5 station", "2 2.0 station"]
    found = tables.summary(made())
    columns = ("station", "effort", "photos", "events", "species", "individuals", "first", "rate")
    assert lines(found, *columns) == [
        f"A 3.0 5 4 2 5 2024-03-02T06:00:00 {400 / 3}",
        f"B 3.25 1 1 1 1 2024-03-04T13:00:00 {100 / 3.25}",
    ]


def test_without_deployments_there_is_no_effort() -> None:
    with pytest.raises(InputError) as caught:
        tables.summary(study(DETECTIONS, [], [], Choices()))
    assert str(caught.value) == (
        "there are no deployments\nbring them in with: trapsort deployments import FILE.csv"
    )
