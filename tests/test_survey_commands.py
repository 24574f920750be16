"""`trapsort survey WHAT` on a database: camtrapR's sample survey, reviewed, and one by a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tests.records import CARD, LION, NOVEL, keys, record
from trapsort.cli.main import main
from trapsort.ensemble import Prediction
from trapsort.store import DeploymentRow, Store
from trapsort.survey.rows import FIRST_SECOND, LAST_SECOND

FIRST = "2024-03-01T00:00:00"
OX = Prediction("Ox", 0.6, None, (("Ox", 0.6),), ())


def database(tmp_path: Path) -> str:
    return f"sqlite:///{(tmp_path / 'x.sqlite3').as_posix()}"


def run(
    capfd: pytest.CaptureFixture[str], url: str, *arguments: str, code: int = 0
) -> tuple[str, str]:
    """What a survey command prints on stdout and on stderr."""
    assert main(["survey", *arguments, "--db", url]) == code
    printed = capfd.readouterr()
    return printed.out, printed.err


@pytest.fixture
def sample(shared: Path, tmp_path: Path) -> str:
    """camtrapR's sample survey as reviewed photos, with its deployments."""
    folder = shared / "reference" / "camtrapR"
    table = pd.read_csv(folder / "recordTable_noUNID_min0.csv").to_dict("records")
    stations = pd.read_csv(folder / "camtraps.csv").fillna("").to_dict("records")
    url = database(tmp_path)

    def day(text: str) -> str:
        return "-".join(reversed(text.split("/")))

    with Store.open(url) as store:
        store.import_deployments(
            [
                DeploymentRow(
                    name=row["Station"],
                    station=row["Station"],
                    folder=row["Station"],
                    start=day(row["Setup_date"]) + FIRST_SECOND,
                    end=day(row["Retrieval_date"]) + LAST_SECOND,
                    problems=((day(row["Problem1_from"]), day(row["Problem1_to"])),)
                    if row["Problem1_from"]
                    else (),
                )
                for row in stations
            ]
        )
        photos = [
            record(
                f"{row['Station']}/{row['FileName']}",
                prediction=NOVEL,
                camera_time=row["DateTimeOriginal"].replace(" ", "T"),
            )
            for row in table
        ]
        recorded = store.record(*keys(store), records=photos)
        for row, photo_id in zip(table, recorded.photo_ids, strict=True):
            store.review(photo_id, row["Species"], reviewer="anna")
        store.attribute()
    return url


def test_events_equal_camtrapr(
    sample: str, shared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out, err = run(capfd, sample, "events", "--minutes", "60", "--format", "csv")
    (tmp_path / "events.csv").write_text(out, encoding="utf-8")
    found = pd.read_csv(tmp_path / "events.csv")
    name = "recordTable_noUNID_min60_lastRecord.csv"
    wanted = pd.read_csv(shared / "reference" / "camtrapR" / name)
    pd.testing.assert_frame_equal(found[wanted.columns], wanted, check_dtype=False)
    assert set(found["rule"]) == {"60 min, lastRecord"}
    assert set(found["Directory"]) == {f"{CARD}/Station{name}" for name in "ABC"}
    assert err == "event: 60 min, lastRecord\n"


def test_history_and_operation_equal_camtrapr(
    sample: str, shared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def matrix(*arguments: str) -> pd.DataFrame:
        out, _ = run(capfd, sample, *arguments, "--format", "csv")
        (tmp_path / "matrix.csv").write_text(out, encoding="utf-8")
        return pd.read_csv(tmp_path / "matrix.csv", index_col=0).drop(
            columns="rule", errors="ignore"
        )

    folder = shared / "reference" / "camtrapR"
    wanted = pd.read_csv(folder / "cameraOperation_problem.csv", index_col=0)
    found = matrix("operation")
    pd.testing.assert_frame_equal(found, wanted.rename_axis("station"), check_dtype=False)
    of_station = ("history", "--species", "PBE", "--day1", "station")
    wanted = pd.read_csv(folder / "detectionHistory_PBE_occ7_station_effort.csv", index_col=0)
    found = matrix(
        *of_station
    )  # the problem of station C ends its history, and changes nothing else
    pd.testing.assert_frame_equal(
        found.iloc[:2], wanted.rename_axis("station").iloc[:2], check_dtype=False
    )
    assert found.loc["StationC"].fillna(-1).tolist() == [1, 1, 1, 0, 1, 0, -1]
    effort = matrix(*of_station, "--effort-matrix")
    assert effort.loc["StationC"].fillna(-1).tolist() == [6.5, 7, 7, 7, 7, 3, -1]


@pytest.fixture
def camp(tmp_path: Path) -> str:
    """Lions, an ox, a person and an unknown at station A; a station without photos."""
    url = database(tmp_path)
    first = replace(LION, probability=0.95)
    photos = [
        record("1.jpg", prediction=first, camera_time="2024-03-02T06:00:00"),
        record("2.jpg", prediction=first, camera_time="2024-03-02T06:20:00"),
        record("3.jpg", prediction=LION, camera_time="2024-03-02T07:00:00"),
        record("4.jpg", prediction=LION, camera_time="2024-03-03T20:00:00"),
        record("5.jpg", prediction=OX, camera_time="2024-03-03T21:00:00"),
        record("6.jpg", prediction=NOVEL, camera_time="2024-03-03T22:00:00"),
        record("7.jpg", prediction=NOVEL, camera_time="2024-03-03T23:00:00"),
        record("8.jpg", prediction=LION, camera_time=None),
    ]
    with Store.open(url) as store:
        store.import_deployments(
            [
                DeploymentRow(name="A-1", station="A", card=str(CARD), start=FIRST),
                DeploymentRow(name="B-1", station="B", start=FIRST, end="2024-03-05T23:59:59"),
            ]
        )
        recorded = store.record(*keys(store), records=photos)
        store.review(recorded.photo_ids[6], "human", reviewer="anna")
        store.review(recorded.photo_ids[3], "Lion", reviewer="anna", count=3)
        store.attribute()
    return url


def test_what_counts_is_a_choice(camp: str, capfd: pytest.CaptureFixture[str]) -> None:
    def counted(*arguments: str) -> list[tuple[str, str, int]]:
        out, _ = run(capfd, camp, "events", "--format", "jsonl", *arguments)
        rows = [json.loads(line) for line in out.splitlines()]
        return [(row["Species"], row["DateTimeOriginal"][8:16], row["count"]) for row in rows]

    lions = [("Lion", "02 06:00", 1), ("Lion", "03 20:00", 3)]
    assert counted() == [*lions, ("Ox", "03 21:00", 1)]
    assert counted("--minutes", "30") == [
        lions[0],
        ("Lion", "02 07:00", 1),
        lions[1],
        ("Ox", "03 21:00", 1),
    ]
    assert counted("--rule", "lastIndependentRecord", "--species", "Lion") == [
        lions[0],
        ("Lion", "02 07:00", 1),
        lions[1],
    ]
    assert counted("--species", "panthera leo") == lions
    assert counted("--min-probability", "0.9") == lions
    assert (
        counted("--min-probability", "0.93") == lions
    )  # the first by its model, the last reviewed
    assert counted("--reviewed-only") == [lions[1]]
    assert counted("--since", "2024-03-03") == [lions[1], ("Ox", "03 21:00", 1)]
    assert counted("--until", "2024-03-02") == [lions[0]]
    assert counted("--station", "B") == []


def test_tables_say_by_which_rule(camp: str, capfd: pytest.CaptureFixture[str]) -> None:
    out, err = run(capfd, camp, "summary", "--format", "csv")
    assert out == (
        "station,effort,photos,events,species,individuals,first,last,rate,rule,effort_definition\n"
        "A,2.4583,5,3,2,5,2024-03-02T06:00:00,2024-03-03T21:00:00,"
        '122.0355530244478,"60 min, lastRecord",camtrapR\n'
        'B,4.0,0,0,0,0,,,0.0,"60 min, lastRecord",camtrapR\n'
    )
    assert err.splitlines() == [
        "still running, so counted to the last photo: A-1",
        "rate: 100 x independent events / days of effort (O'Brien et al. 2003)",
        "effort as in camtrapR: camera operation matrix summed over days; setup and retrieval days "
        "count one half unless times are known, problem days nothing",
        "event: 60 min, lastRecord",
    ]


def test_rates_as_a_table(camp: str, capfd: pytest.CaptureFixture[str]) -> None:
    out, _ = run(capfd, camp, "rates", "--effort", "camtraptor", "--format", "csv")
    assert out.splitlines()[1].startswith("Lion,2,6.458333333333")
    assert out.splitlines()[1].endswith('(O\'Brien et al. 2003),"60 min, lastRecord",camtraptor')
    out, _ = run(capfd, camp, "occupancy")
    assert [line.split()[:4] for line in out.splitlines()[1:]] == [
        ["Lion", "1", "2", "0.5"],
        ["Ox", "1", "2", "0.5"],
    ]


@pytest.mark.parametrize("definition", ["camtrapR", "camtraptor"])
def test_effort_in_other_units_and_periods(
    camp: str, capfd: pytest.CaptureFixture[str], definition: str
) -> None:
    """A from noon of the 1st to 23 h of the 3rd, a Sunday; B to noon of the 5th."""
    options = ("--effort", definition, "--format", "csv")
    out, _ = run(capfd, camp, "effort", "--unit", "hour", "--period", "week", *options)
    head, *lines = (line.split(",") for line in out.splitlines())
    assert head == ["station", "period", "effort", "unit", "definition"]
    assert [(*line[:2], round(float(line[2])), *line[3:]) for line in lines] == [
        ("A", "2024-02-25", 36, "hour", definition),
        ("A", "2024-03-03", 23, "hour", definition),
        ("B", "2024-02-25", 36, "hour", definition),
        ("B", "2024-03-03", 60, "hour", definition),
    ]
    out, _ = run(capfd, camp, "effort", "--unit", "month", "--period", "year", *options)
    assert float(out.splitlines()[2].split(",")[2]) == pytest.approx(4 / 30.4375, rel=1e-12)
    out, _ = run(capfd, camp, "effort", "--unit", "year", *options)
    assert float(out.splitlines()[2].split(",")[1]) == pytest.approx(4 / 365.25, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "columns"),
    [
        (("effort",), "station,effort,unit,days_set_up,days_active,days_inactive,definition"),
        (("activity", "--points", "3"), "species,hour,density,events,bandwidth,time,rule"),
        (
            ("overlap", "--bootstrap", "5"),
            "species,other,n,m,dhat1,dhat4,dhat5,advised,lower,upper,time,rule",
        ),
        (("accumulation", "--unit", "day"), "sites,richness,sd,unit"),
    ],
)
def test_columns(
    camp: str, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], columns: str
) -> None:
    out, _ = run(capfd, camp, *arguments, "--format", "csv")
    assert out.splitlines()[0] == columns


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("history",),
            "trapsort: a history is of one species, and 2 were recorded\n"
            "name one with --species: Lion, Ox\n",
        ),
        (
            ("events", "--species", "Tiger"),
            "trapsort: no record that counts is of Tiger\nthere are: Lion, Ox\n",
        ),
        (
            ("history", "--species", "Lion", "--occasion-days", "1", "--day1", "then"),
            "trapsort: then is no first day\ngive 'station', 'survey' or YYYY-MM-DD\n",
        ),
    ],
)
def test_what_cannot_be_computed(
    camp: str, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    out, err = run(capfd, camp, *arguments, code=2)
    assert out == ""
    assert err.removeprefix("still running, so counted to the last photo: A-1\n") == message


def test_without_deployments(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    url = database(tmp_path)
    Store.open(url).close()
    _, err = run(capfd, url, "effort", code=2)
    assert err == (
        "trapsort: there are no deployments\n"
        "bring them in with: trapsort deployments import FILE.csv\n"
    )
    assert run(capfd, url, "events") == ("", "event: 60 min, lastRecord\nnothing found\n")


def test_tables_for_people_leave_out_what_stderr_says(
    camp: str, capfd: pytest.CaptureFixture[str]
) -> None:
    out, _ = run(capfd, camp, "events", "--species", "Ox")
    assert [line.split() for line in out.splitlines()] == [
        ["Station", "Species", "DateTimeOriginal", "count", "n_images", "FileName"],
        ["A", "Ox", "2024-03-03", "21:00:00", "1", "1", "5.jpg"],
    ]
    lion = ("history", "--species", "Lion", "--occasion-days", "1")
    out, err = run(capfd, camp, *lion)
    assert out.splitlines() == [
        "station  o1  o2  o3  o4  o5",
        "A        0   1   1",
        "B        0   0   0   0   0",  # columns of zeros are shown
    ]
    assert err.endswith("event: 60 min, lastRecord\n")
