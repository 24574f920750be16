"""Record tables, camera operation, detection histories and survey report: equal to camtrapR's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from trapsort.errors import InputError
from trapsort.survey.events import independent, record_table
from trapsort.survey.histories import detection_history
from trapsort.survey.operation import camera_operation
from trapsort.survey.summary import survey_report

IMAGES = ("image_first", "image_last")


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "reference" / "camtrapR"


def records(table: pd.DataFrame) -> pd.DataFrame:
    """A record table of camtrapR as records of ours."""
    path = table["FileName"]
    return pd.DataFrame(
        {
            "station": table["Station"],
            "species": table["Species"],
            "time": pd.to_datetime(table["DateTimeOriginal"]).astype("datetime64[s]"),
            "count": 1,
            "card": "",
            "path": table["Directory"] + "/" + path if "Directory" in table else path,
        }
    )


def matrix(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, index_col=0).astype("float64").rename_axis("station")


def deployments(*rows: tuple[str, str, str, str], timed: bool = False) -> pd.DataFrame:
    """Rows of deployment, camera, start and end; the station is the deployment's first part."""
    frame = pd.DataFrame(rows, columns=["deployment", "camera", "start", "end"])
    moments = {
        name: pd.to_datetime(frame[name]).astype("datetime64[s]") for name in ("start", "end")
    }
    station = frame["deployment"].str.split("-").str[0]
    return frame.assign(station=station, timed=timed, **moments)


def problems(*rows: tuple[str, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["deployment", "start", "end"])
    moments = {
        name: pd.to_datetime(frame[name]).astype("datetime64[s]") for name in ("start", "end")
    }
    return frame.assign(**moments)


@pytest.fixture(scope="module")
def camtraps(reference: Path) -> pd.DataFrame:
    table = pd.read_csv(reference / "camtraps.csv")
    noon = pd.Timedelta(hours=12)
    times = {
        name: (pd.to_datetime(table[column], dayfirst=True) + noon).astype("datetime64[s]")
        for name, column in (("start", "Setup_date"), ("end", "Retrieval_date"))
    }
    names = {"deployment": table["Station"], "station": table["Station"], "camera": ""}
    return pd.DataFrame({**names, **times, "timed": False})


BROKEN = ("StationC", "2009-05-12", "2009-05-18")


@pytest.fixture(scope="module")
def sample(reference: Path) -> pd.DataFrame:
    return records(pd.read_csv(reference / "recordTableSample.csv"))


@pytest.mark.parametrize(
    ("minutes", "rule", "expected"),
    [
        (0, "lastRecord", "recordTable_noUNID_min0.csv"),
        (0, "lastIndependentRecord", "recordTable_noUNID_min0.csv"),
        (60, "lastRecord", "recordTable_noUNID_min60_lastRecord.csv"),
    ],
)
def test_record_tables(reference: Path, minutes: int, rule: str, expected: str) -> None:
    wanted = pd.read_csv(reference / expected)
    table = record_table(
        independent(
            records(pd.read_csv(reference / "recordTable_noUNID_min0.csv")),
            minutes=minutes,
            rule=rule,
        )
    )
    pd.testing.assert_frame_equal(
        table[wanted.columns], wanted, check_dtype=False, check_exact=True
    )


@pytest.mark.parametrize(("minutes", "rule"), [(30, "lastRecord"), (60, "lastIndependentRecord")])
def test_independence_of_1503_records(shared: Path, minutes: int, rule: str) -> None:
    folder = shared / "reference" / "independence"
    wanted = pd.read_csv(folder / f"expected_{minutes}min_{rule}.csv")
    found = independent(records(pd.read_csv(folder / "records_in.csv")), minutes=minutes, rule=rule)
    table = record_table(found)
    pd.testing.assert_frame_equal(
        table[wanted.columns], wanted, check_dtype=False, check_exact=True
    )


def test_camera_operation(reference: Path, camtraps: pd.DataFrame) -> None:
    for broken, name in (((), "noproblem"), ((BROKEN,), "problem")):
        found = camera_operation(camtraps, problems(*broken))
        pd.testing.assert_frame_equal(found, matrix(reference / f"cameraOperation_{name}.csv"))


@pytest.mark.parametrize("day1", ["station", "survey"])
@pytest.mark.parametrize("days", [1, 7])
@pytest.mark.parametrize("effort", [True, False])
def test_detection_histories(
    reference: Path,
    camtraps: pd.DataFrame,
    sample: pd.DataFrame,
    day1: str,
    days: int,
    effort: bool,
) -> None:
    operation = camera_operation(camtraps, problems())
    found = detection_history(
        sample, operation, "PBE", occasion_days=days, day1=day1, include_effort=effort
    )
    name = f"PBE_occ{days}_{day1}_{'' if effort else 'no'}effort.csv"
    wanted = matrix(reference / f"detectionHistory_{name}")
    pd.testing.assert_frame_equal(found.detections, wanted)
    assert found.left_out == 0
    if effort and day1 == "station":
        wanted = matrix(reference / f"effort_occ{days}_station.csv")
        pd.testing.assert_frame_equal(found.effort, wanted)


def test_history_of_counts(reference: Path, camtraps: pd.DataFrame, sample: pd.DataFrame) -> None:
    operation = camera_operation(camtraps, problems())
    found = detection_history(
        sample, operation, "PBE", occasion_days=7, day1="station", output="count"
    )
    name = "detectionHistory_PBE_occ7_station_effort_COUNT.csv"
    pd.testing.assert_frame_equal(found.detections, matrix(reference / name))


def test_survey_report(reference: Path, camtraps: pd.DataFrame, sample: pd.DataFrame) -> None:
    report = survey_report(sample, camtraps, camera_operation(camtraps, problems()))
    tables = (
        ("survey_dates", report.survey_dates),
        ("events_by_species", report.events_by_species),
        ("events_by_station", report.events_by_station),
    )
    for name, found in tables:
        wanted = pd.read_csv(reference / f"surveyReport_problem-no_{name}.csv")
        for column in wanted.columns.intersection(["setup", "retrieval", *IMAGES]):
            wanted[column] = pd.to_datetime(wanted[column])
        pd.testing.assert_frame_equal(found, wanted, check_dtype=False, check_exact=True)
    assert report.species_by_station.to_csv(index=False) == (
        "Station,n_species\nStationA,2\nStationB,3\nStationC,4\n"
    )
    zeros = report.events_by_station2
    assert (len(zeros), zeros["n_events"].sum()) == (15, 39)


def cells(found: pd.DataFrame, station: str) -> str:
    """A row of a matrix as R prints it."""
    return " ".join("NA" if np.isnan(v) else f"{v:g}" for v in found.loc[station])


# By the definitions of camtrapR's cameraOperation; camera 1 stood from 1 to 4 March, camera 2
# from 2 to 3 March.
@pytest.mark.parametrize(
    ("timed", "options", "row"),
    [
        (False, {}, "0.5 1 1 0.5"),
        (True, {}, "0.5 0.75 0.75 0.5"),
        (False, {"cameras_independent": True}, "0.5 1.5 1.5 0.5"),
        (True, {"cameras_independent": True}, "0.5 1.5 1.5 0.5"),
        (False, {"all_cameras_on": True}, "0 0 0 0"),
        (True, {"all_cameras_on": True}, "NA 0.5 0.5 NA"),
        (True, {"all_cameras_on": True, "cameras_independent": True}, "NA 1 1 NA"),
    ],
)
def test_several_cameras_at_a_station(timed: bool, options: dict[str, bool], row: str) -> None:
    two = deployments(
        ("A-1", "1", "2024-03-01 12:00", "2024-03-04 12:00"),
        ("A-2", "2", "2024-03-02 12:00", "2024-03-03 12:00"),
        timed=timed,
    )
    assert cells(camera_operation(two, problems(), **options), "A") == row


def test_all_cameras_on_counts_whole_days_of_all_only() -> None:
    two = deployments(
        ("A-1", "1", "2024-03-01 12:00", "2024-03-05 12:00"),
        ("A-2", "2", "2024-03-01 12:00", "2024-03-04 12:00"),
    )
    found = camera_operation(two, problems(), all_cameras_on=True)
    assert cells(found, "A") == "0 1 1 0 0"
    found = camera_operation(two, problems(), all_cameras_on=True, cameras_independent=True)
    assert cells(found, "A") == "0 2 2 0 0"
    found = camera_operation(two, problems(), by_camera=True)
    assert list(found.index) == ["A__CAM_1", "A__CAM_2"]
    assert cells(found, "A__CAM_2") == "0.5 1 1 0.5 NA"


def test_a_camera_set_up_again_is_the_same_camera() -> None:
    twice = deployments(
        ("A-spring", "", "2024-03-01 06:00", "2024-03-02 12:00"),
        ("A-summer", "", "2024-03-02 12:00", "2024-03-03 18:00"),
        ("A-autumn", "", "2024-03-05 00:00", "2024-03-06 06:00"),
        timed=True,
    )
    found = camera_operation(twice, problems())
    assert cells(found, "A") == "0.75 1 0.75 NA 1 0.25"


def test_problems_in_hours_and_days() -> None:
    one = deployments(("A", "", "2024-03-01 09:00", "2024-03-05 15:00"), timed=True)
    broken = problems(
        ("A", "2024-03-01 09:00", "2024-03-01 15:00"),
        ("A", "2024-03-02 12:00", "2024-03-02 18:00"),
        ("A", "2024-03-02 15:00", "2024-03-03 06:00"),  # overlaps the one before
        ("A", "2024-03-05 12:00", "2024-03-09 12:00"),  # ends after the retrieval
        ("B", "2024-03-01 00:00", "2024-03-05 00:00"),  # another one's
    )
    assert cells(camera_operation(one, broken), "A") == "0.375 0.5 0.75 1 0.5"


def test_days_that_begin_at_another_hour() -> None:
    one = deployments(("A", "", "2024-03-01 12:00", "2024-03-03 12:00"))
    found = camera_operation(one, problems(), start_hour=12)
    assert list(found.columns) == ["2024-03-01+12h", "2024-03-02+12h", "2024-03-03+12h"]
    assert cells(found, "A") == "1 1 0"  # not NA on the last: records of its morning must count
    assert cells(camera_operation(one, problems(), start_hour=6), "A") == "0.75 1 0.25"


def test_camera_operation_needs_a_start_and_an_end() -> None:
    with pytest.raises(InputError, match=r"^no start or end is known of A\ngive both, or"):
        camera_operation(deployments(("A", "", "2024-03-01 12:00", "")), problems())
    with pytest.raises(InputError, match=r"^retrieved before, or when, it was set up: A\n"):
        same = "2024-03-01 12:00"
        camera_operation(deployments(("A", "", same, same)), problems())
    with pytest.raises(InputError, match=r"^there are no deployments\nbring them in with: "):
        camera_operation(deployments(), problems())


def history_of(*moments: str, **options: object) -> str:
    """The history of a lion at station A, 1 to 10 March, camera broken on the fifth."""
    both = deployments(
        ("A", "", "2024-03-01 12:00", "2024-03-10 12:00"),
        ("B", "", "2024-03-04 12:00", "2024-03-06 12:00"),
    )
    operation = camera_operation(both, problems(("A", "2024-03-05", "2024-03-06")))
    lions = pd.DataFrame({"station": "A", "species": "Lion", "time": pd.to_datetime(list(moments))})
    given = {"occasion_days": 1, "day1": "survey", **options}
    return cells(detection_history(lions, operation, "Lion", **given).detections, "A")


@pytest.mark.parametrize(
    ("moment", "options", "row"),
    [
        # Days without effort are not watched, whatever was recorded on them.
        ("2024-03-05 10:00", {}, "0 0 0 0 NA 0 0 0 0 0"),
        ("2024-03-01 01:00", {}, "1 0 0 0 NA 0 0 0 0 0"),
        ("2024-02-29 23:59", {}, "0 0 0 0 NA 0 0 0 0 0"),
        # A record between two days belongs to the first, as in camtrapR ...
        ("2024-03-03 00:00:00", {}, "0 1 0 0 NA 0 0 0 0 0"),
        ("2024-03-03 00:00:01", {}, "0 0 1 0 NA 0 0 0 0 0"),
        # ... unless that is before the first day.
        ("2024-03-01 00:00:00", {}, "1 0 0 0 NA 0 0 0 0 0"),
        ("2024-03-08 10:00", {"occasion_days": 3}, "0 0 1 0"),
        ("2024-03-08 10:00", {"occasion_days": 3, "include_effort": False}, "0 NA 1 NA"),
        ("2024-03-08 10:00", {"occasion_days": 3, "min_active_days": 2.5}, "0 NA 1 NA"),
        ("2024-03-08 10:00", {"occasion_days": 3, "min_active_days": 2}, "0 0 1 NA"),
        (
            "2024-03-08 10:00",
            {"occasion_days": 3, "min_active_days": 2, "include_effort": False},
            "0 0 1 NA",
        ),
        ("2024-03-08 10:00", {"day1": "2024-03-04"}, "0 NA 0 0 1 0 0"),
        ("2024-03-03 10:00", {"day1": "2024-03-04"}, "0 NA 0 0 0 0 0"),
        ("2024-03-03 10:00", {"max_days": 3}, "0 0 1 NA NA NA"),  # B's days are there still
        ("2024-03-04 10:00", {"max_days": 3}, "0 0 0 NA NA NA"),
        ("2024-03-04 10:00", {"max_days": 3, "day1": "station"}, "0 0 0"),
        ("2024-03-06 10:00", {"max_days": 7, "day1": "2024-03-04"}, "0 NA 1 0"),
        ("2024-03-03 10:00", {"buffer_days": 2}, "1 0 NA 0 0 0 0 0"),
        ("2024-03-02 10:00", {"buffer_days": 2}, "0 0 NA 0 0 0 0 0"),
    ],
)
def test_histories_by_definition(moment: str, options: dict[str, object], row: str) -> None:
    assert history_of(moment, **options) == row


def test_midnight_records_count_on_their_own_day_where_one_is_at_the_very_start() -> None:
    assert history_of("2024-03-01", "2024-03-03") == "1 0 1 0 NA 0 0 0 0 0"


def test_effort_is_scaled_as_r_scales(camtraps: pd.DataFrame, sample: pd.DataFrame) -> None:
    operation = camera_operation(camtraps, problems(BROKEN))
    plain = detection_history(sample, operation, "PBE", occasion_days=10)
    found = detection_history(sample, operation, "PBE", occasion_days=10, scale_effort=True)
    days = plain.effort.stack()
    assert (found.center, found.scale) == pytest.approx((days.mean(), days.std()), abs=1e-12)
    pd.testing.assert_frame_equal(
        found.effort * found.scale + found.center, plain.effort, check_exact=False
    )
    pd.testing.assert_frame_equal(found.detections, plain.detections)


def test_occasions_named_by_their_dates(camtraps: pd.DataFrame, sample: pd.DataFrame) -> None:
    operation = camera_operation(camtraps, problems())
    found = detection_history(sample, operation, "PBE", occasion_days=20, dates_as_names=True)
    assert list(found.effort.columns) == [
        "2009-04-02_2009-04-21",
        "2009-04-22_2009-05-11",
        "2009-05-12_2009-05-17",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"output": "sum"}, "a history is not sum\nchoose from binary, count"),
        (
            {"occasion_days": 11},
            "occasions of 11 days do not fit a survey of 10 days\ngive 1 to 10",
        ),
        ({"max_days": 11}, "a history of at most 11 days does not fit\ngive 1 to 10 days"),
        ({"min_active_days": 2}, "no occasion of 1 days has 2 days of work\ngive 1 days or fewer"),
        ({"day1": "monday"}, "monday is no first day\ngive 'station', 'survey' or YYYY-MM-DD"),
        ({"day1": "2024-03-11"}, "the survey was not under way on 2024-03-11\ngive a day from "),
        ({"day1": "2024-03-02", "buffer_days": 1}, "a buffer is days after the first day of"),
        ({"buffer_days": 12}, "no station has a day left between the first day and the last\n"),
        ({"scale_effort": True}, "effort can be scaled only where occasions differ in it\n"),
    ],
)
def test_options_of_histories_that_do_not_fit(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        history_of("2024-03-02 10:00", **options)
    assert str(caught.value).startswith(message)
