"""Stations, deployments and clocks: tables as people have them, and which photos belong where."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.records import CARD, LION, NOVEL, ask, record
from trapsort.cli.clock import parse_offset
from trapsort.cli.main import main
from trapsort.deployments import read_deployments, read_stations
from trapsort.errors import InputError
from trapsort.exif import NO_EXIF
from trapsort.moments import parse_moment
from trapsort.store import Counting, DeploymentRow, Record, SightingQuery, StationRow, Store
from trapsort.utm import from_utm

SINCE = date(2026, 3, 2)
SPRING = DeploymentRow(
    name="ridge spring", station="ridge", start="2026-03-01T00:00:00", end="2026-05-31T23:59:59"
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "table.csv"


def shot(
    name: str, time: str | None, serial: str | None = None, content: str | None = None
) -> Record:
    taken = record(name, content=content)
    return replace(taken, exif=replace(NO_EXIF, camera_time=time, serial=serial))


def where(store: Store) -> list[tuple[str, str | None, str | None]]:
    return [(each.path, each.deployment, each.station) for each in store.sightings()]


# Tables ------------------------------------------------------------------------------------------


def test_camtrapr_s_station_table_is_read_as_it_is(shared: Path) -> None:
    rows = read_deployments(shared / "reference" / "camtrapR" / "camtraps.csv")
    assert [(row.name, row.start, row.end, row.problems) for row in rows] == [
        ("StationA 2009-04-02", "2009-04-02T00:00:00", "2009-05-14T23:59:59", ()),
        ("StationB 2009-04-03", "2009-04-03T00:00:00", "2009-05-16T23:59:59", ()),
        (
            "StationC 2009-04-04",
            "2009-04-04T00:00:00",
            "2009-05-17T23:59:59",
            (("2009-05-12", "2009-05-17"),),
        ),
    ]
    assert {(row.latitude, row.longitude) for row in rows} == {(None, None)}


def test_camtrap_dp_s_deployments_are_read_as_they_are(shared: Path) -> None:
    rows = read_deployments(shared / "reference" / "camtrapdp" / "deployments.csv")
    assert rows[0] == DeploymentRow(
        name="00a2c20d",
        station="B_HS_val 2_processiepark",
        camera="320",
        start="2020-05-30T04:57:37",
        end="2020-07-01T11:41:41",
        utc_offset="+02:00",
        habitat="Campine area with a number of river valleys with valuable grasslands",
        latitude=51.496,
        longitude=4.774,
    )
    older = read_deployments(shared / "reference" / "mica" / "deployments.csv")
    assert [row.start for row in older][:2] == ["2020-07-29T05:29:41", "2020-06-19T21:00:00"]


def test_our_own_columns_say_everything(table: Path) -> None:
    table.write_text(
        "\ufeffDeployment;station;Latitude;longitude;camera;serial;card;folder;start;end;utc_offset"
        ";bait;habitat;comments;problem1_from;problem1_to;problem2_from;problem2_to\n"
        "d1;ridge;-1,5;36,25;CT5;H500;AB-12;DCIM/*;2026-03-01 07:30;NA;+03:00;fish;forest;"
        '"wet; cold";2026-03-04;2026-03-05;;\n\n',
        encoding="utf-8",
    )
    assert read_deployments(table) == [
        DeploymentRow(
            name="d1",
            station="ridge",
            camera="CT5",
            serial="H500",
            card="AB-12",
            folder="DCIM/*",
            start="2026-03-01T07:30:00",
            end=None,
            utc_offset="+03:00",
            bait="fish",
            habitat="forest",
            comments="wet; cold",
            latitude=-1.5,
            longitude=36.25,
            problems=(("2026-03-04", "2026-03-05"),),
        )
    ]


def test_times_with_another_offset_become_those_of_the_deployment(table: Path) -> None:
    table.write_text(
        "station,start,end,utc_offset\n"
        "a,2026-03-01T05:00:00Z,2026-04-01T07:00:00+0100,+02:00\n"
        "b,2026-03-01T05:00:00+01:00,2026-04-01T07:00:00+02:00,\n"
    )
    assert [(row.start, row.end, row.utc_offset) for row in read_deployments(table)] == [
        ("2026-03-01T07:00:00", "2026-04-01T08:00:00", "+02:00"),
        ("2026-03-01T05:00:00", "2026-04-01T06:00:00", "+01:00"),
    ]


def test_a_camera_of_camtrapr_is_one_of_its_station(table: Path) -> None:
    table.write_text("Station,Camera,Setup_date\na,1,2026-03-01\nb,1,2026-03-01\n")
    rows = read_deployments(table, folder="{station}/{camera}")
    assert [(row.name, row.camera, row.folder) for row in rows] == [
        ("a 1 2026-03-01", "a 1", "a/1"),
        ("b 1 2026-03-01", "b 1", "b/1"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("station,start,colour\na,2026-03-01,red\n", ", line 1: there is no column 'colour'"),
        ("start\n2026-03-01\n", ", line 1: no column is called Station"),
        (
            "station,start,setup_date\na,2026-03-01,2026-03-01\n",
            ", line 1: the columns start and setup_date say the same",
        ),
        ("station,start\na,2026-02-30\n", ", line 2, column start: '2026-02-30' is no date"),
        ("station,start\n\n,2026-02-03\n", ", line 3, column station: the station is empty"),
        ("station,start\na,\n", ", line 2, column start: the start is empty"),
        ("station,start\na,2026-03-01,x\n", ", line 2: 3 cells below 2 columns"),
        (
            "station,latitude,longitude,start\na,12N,3,2026-03-01\n",
            ", line 2, column latitude: '12N' is no number",
        ),
        (
            "station,latitude,longitude,start\na,1,3,2026-03-01\na,2,3,2027-03-01\n",
            ", line 3, column station: a lies elsewhere than in line 2",
        ),
        (
            "station,start,problem1_from,problem1_to\na,2026-03-01,2026-03-04,\n",
            ", line 2, column problem1_to: it is empty, but problem1_from is not",
        ),
        (
            "station,start\na,03/04/2026\n",
            ": dates like 03/04/2026 may begin with the day or with the month",
        ),
        ("station,start\n", " holds no deployments"),
    ],
)
def test_a_table_that_cannot_be_read_is_said(table: Path, text: str, message: str) -> None:
    table.write_text(text)
    with pytest.raises(InputError) as caught:
        read_deployments(table)
    assert caught.value.message == f"{table}{message}"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "order", "expected"),
    [
        ("2026-03-01", "dmy", "2026-03-01"),
        ("2026/3/1 5:06", "dmy", "2026-03-01T05:06:00"),
        ("2026-03-01T05:06:07.5Z", "dmy", "2026-03-01T05:06:07"),
        ("03.04.2026", "dmy", "2026-04-03"),
        ("03/04/2026 23:59:59", "mdy", "2026-03-04T23:59:59"),
        ("13/04/2026", "mdy", None),
        ("2026-03-01 24:00", "dmy", None),
        ("March", "dmy", None),
    ],
)
def test_moments(text: str, order: str, expected: str | None) -> None:
    moment = parse_moment(text, order)
    assert (moment.text if moment else None) == expected


@pytest.mark.parametrize(
    ("easting", "northing", "zone", "latitude", "longitude"),
    [
        (448251.795, 5411932.678, "31N", 48.8582, 2.2945),
        (334873, 6252266, "56s", -33.857001, 151.214998),
        (500000, 0, "50 N", 0, 117),
    ],
)
def test_utm(easting: float, northing: float, zone: str, latitude: float, longitude: float) -> None:
    assert from_utm(easting, northing, zone) == pytest.approx((latitude, longitude), abs=1e-6)


@pytest.mark.parametrize("zone", ["61N", "0S", "50", "50X"])
def test_a_utm_zone_that_is_not_there_is_refused(zone: str) -> None:
    with pytest.raises(InputError, match="there is no UTM zone"):
        from_utm(500000, 0, zone)


def test_stations_come_from_any_table_and_degrees_from_utm_columns(table: Path) -> None:
    table.write_text("Station,utm_y,utm_x\na,-1.5,36.25\nb,604000,526000\na,-1.5,36.25\n")
    assert read_stations(table, utm_zone="50N") == [
        StationRow(name="a", latitude=-1.5, longitude=36.25),
        StationRow(name="b", latitude=5.464365522715929, longitude=117.23471432991924),
    ]
    assert read_stations(table)[1] == StationRow(name="b")


# The record --------------------------------------------------------------------------------------


def test_stations_are_added_moved_and_kept(store: Store) -> None:
    store.import_stations([StationRow(name="b"), StationRow(name="a", latitude=1, longitude=2)])
    store.import_stations([StationRow(name="a"), StationRow(name="b", latitude=3, longitude=4)])
    assert store.stations() == [
        StationRow(name="a", latitude=1, longitude=2),
        StationRow(name="b", latitude=3, longitude=4),
    ]
    for row, message in (
        (StationRow(name=" "), "station  : a station has no name"),
        (StationRow(name="c", latitude=1), "station c: c has no longitude"),
        (
            StationRow(name="c", latitude=91, longitude=1),
            "station c: the latitude 91 of c is not on Earth",
        ),
    ):
        with pytest.raises(InputError) as caught:
            store.import_stations([StationRow(name="d"), row])
        assert caught.value.message == message
    assert len(store.stations()) == 2


def test_a_deployment_comes_out_as_it_went_in_and_is_replaced_by_name(store: Store) -> None:
    row = replace(
        SPRING,
        serial="H1",
        utc_offset="-03:30",
        latitude=1.0,
        longitude=2.0,
        problems=(("2026-03-04", "2026-03-05"), ("2026-04-01T10:00:00", "2026-04-02T11:00:00")),
    )
    store.import_deployments([row])
    assert store.deployments() == [row]
    store.import_deployments([SPRING])
    assert store.deployments() == [replace(SPRING, latitude=1.0, longitude=2.0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "deployment : the name is empty"),
        ({"start": "2026-03-01"}, "deployment x: '2026-03-01' is no time"),
        ({"utc_offset": "2"}, "deployment x: '2' is no offset"),
        (
            {"end": "2026-02-01T00:00:00"},
            "deployment x: the end 2026-02-01T00:00:00 comes before the start 2026-03-01T00:00:00",
        ),
        (
            {"problems": (("2026-03-04", "2026-03-03"),)},
            "deployment x: the problem ends 2026-03-03, before it begins 2026-03-04",
        ),
        (
            {"problems": (("2026-02-04", "2026-03-03"),)},
            "deployment x: the problem from 2026-02-04 to 2026-03-03 lies outside of the"
            " deployment",
        ),
        ({"name": "ok"}, "deployment ok: the name ok comes twice"),
    ],
)
def test_a_deployment_that_cannot_be_leaves_nothing(
    store: Store, changes: dict[str, object], message: str
) -> None:
    wrong = replace(SPRING, **{"name": "x", "station": "brook"} | changes)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        store.import_deployments([replace(SPRING, name="ok"), wrong])
    assert caught.value.message == message
    assert store.deployments() == [] and store.stations() == []


def test_a_camera_cannot_be_in_two_places_at_once(store: Store) -> None:
    ridge = replace(SPRING, camera="CT5")
    store.import_deployments([ridge])
    brook = replace(ridge, name="brook", station="brook", start="2026-05-31T00:00:00", end=None)
    later = replace(brook, start="2026-05-30T12:00:00")
    with pytest.raises(InputError) as caught:
        store.import_deployments([later])
    assert caught.value.message == (
        "deployment brook: brook (2026-05-30T12:00:00 to now) and ridge spring"
        " (2026-03-01T00:00:00 to 2026-05-31T23:59:59) overlap, both of the camera CT5"
    )
    store.import_deployments([brook])  # it was moved on that day
    store.import_deployments([replace(later, name="other", camera="CT6")])
    with pytest.raises(InputError, match="both of the camera at ridge"):
        store.import_deployments([replace(SPRING, name="1"), replace(SPRING, name="2")])


# Photos ------------------------------------------------------------------------------------------


def test_serial_comes_before_folder_card_and_station(store: Store) -> None:
    model = store.model("iucn11", "1.0.0", "d1")
    card = store.card(CARD, volume="AB-12")
    inside = "2026-03-02T00:00:00"
    store.record(
        card,
        model,
        records=[
            shot("DCIM/1/a.jpg", inside, "h1"),
            shot("DCIM/1/b.jpg", inside, "H2"),
            shot("DCIM/1/c.jpg", inside),
            shot("DCIM/2/d.jpg", inside),
            shot("DCIM/2/e.jpg", None),
            shot("DCIM/2/f.jpg", "1970-01-01T00:00:00"),
        ],
    )
    store.record(
        store.card(Path("/media/other"), station="brook"), model, records=[shot("g.jpg", inside)]
    )
    rows = [
        replace(SPRING, name="serial", station="A", serial="H1"),
        replace(SPRING, name="folder", station="B", folder="**/1"),
        replace(SPRING, name="card", station="C", card="ab-12"),
        replace(SPRING, name="station", station="brook"),
    ]
    store.import_deployments(rows)
    assert where(store) == [
        ("DCIM/2/f.jpg", None, None),
        ("DCIM/1/a.jpg", "serial", "A"),
        ("DCIM/1/b.jpg", "folder", "B"),
        ("DCIM/1/c.jpg", "folder", "B"),
        ("DCIM/2/d.jpg", "card", "C"),
        ("g.jpg", "station", "brook"),
        ("DCIM/2/e.jpg", None, None),
    ]
    assert store.count_matched() == (5, 2)
    assert [(row.path, row.why) for row in store.unmatched()] == [
        ("DCIM/2/e.jpg", "it has no time: card (2026-03-01T00:00:00 to 2026-05-31T23:59:59)"),
        ("DCIM/2/f.jpg", "its time is outside: card (2026-03-01T00:00:00 to 2026-05-31T23:59:59)"),
    ]
    store.remove_deployments(["folder", "station"])
    found = {path: deployment for path, deployment, _ in where(store)}
    assert (found["DCIM/1/b.jpg"], found["g.jpg"]) == ("card", None)
    with pytest.raises(InputError) as caught:
        store.remove_deployments(["card", "nix"])
    assert str(caught.value) == "there is no deployment nix\nchoose one of: card, serial"
    assert len(store.deployments()) == 2


def test_what_contradicts_a_deployment_is_not_its_photo(store: Store) -> None:
    card = store.card(CARD, station="brook")
    model = store.model("iucn11", "1.0.0", "d1")
    store.import_deployments(
        [
            replace(SPRING, name="other serial", station="brook", serial="H9"),
            replace(SPRING, name="other station", folder="DCIM"),
            replace(SPRING, name="other card", station="brook", card="/media/x"),
        ]
    )
    store.record(card, model, records=[shot("DCIM/a.jpg", "2026-03-02T00:00:00", "H1")])
    assert where(store) == [("DCIM/a.jpg", None, "brook")]
    (row,) = store.unmatched()
    assert row.why == "no deployment names its camera, folder, card or station"


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("DCIM", "DCIM/100/a.jpg", True),
        ("DCIM/", "DCIM/a.jpg", True),
        ("DCI", "DCIM/a.jpg", False),
        ("*/100", "DCIM/100/a.jpg", True),
        ("*/100", "x/DCIM/100/a.jpg", False),
        ("**/100", "x/DCIM/100/a.jpg", True),
        ("**/100", "100/a.jpg", True),
        ("**", "a.jpg", True),
        ("DCIM/10?", "DCIM/1000/a.jpg", False),
        ("DCIM/*", "DCIM/a.jpg", True),
        ("DCIM/*.jpg", "DCIM/a.jpg", True),
        ("DCIM/*.jpg", "DCIM/a.png", False),
        ("a*.jpg", "ab.jpg", True),
        ("site [1]", "site [1]/a.jpg", True),
    ],
)
def test_folder_patterns(tmp_path: Path, pattern: str, path: str, expected: bool) -> None:
    with Store.open(f"sqlite:///{tmp_path / 'x.db'}") as store:
        card, model = store.card(CARD), store.model("iucn11", "1.0.0", "d1")
        store.import_deployments([replace(SPRING, folder=pattern)])
        store.record(card, model, records=[shot(path, "2026-03-02T00:00:00")])
        assert store.count_matched() == (int(expected), int(not expected))


def test_two_that_fit_are_none_but_their_station_is_known(store: Store) -> None:
    card, model = store.card(CARD), store.model("iucn11", "1.0.0", "d1")
    one = replace(SPRING, name="one", camera="1", folder="DCIM")
    store.import_deployments([one, replace(one, name="two", camera="2")])
    store.record(card, model, records=[shot("DCIM/a.jpg", "2026-03-02T00:00:00")])
    assert where(store) == [("DCIM/a.jpg", None, "ridge")]
    (row,) = store.unmatched()
    assert (row.why, row.rivals) == ("more than one deployment: one, two", ("one", "two"))


def test_a_card_that_gets_its_station_later_brings_its_photos_along(store: Store) -> None:
    card, model = store.card(CARD), store.model("iucn11", "1.0.0", "d1")
    store.import_deployments([SPRING])
    store.record(card, model, records=[shot("a.jpg", "2026-03-02T00:00:00")])
    assert where(store) == [("a.jpg", None, None)]
    assert store.card(CARD, station="ridge") == card
    assert where(store) == [("a.jpg", "ridge spring", "ridge")]


def test_attributing_again_changes_nothing(store: Store, url: str) -> None:
    card, model = store.card(CARD, station="ridge"), store.model("iucn11", "1.0.0", "d1")
    store.import_deployments([SPRING])
    shots = [shot(f"{n}.jpg", f"2026-03-02T00:{n:02}:00") for n in range(20)]
    store.record(card, model, records=shots)
    before = ask(url, "SELECT * FROM attributions ORDER BY photo_id")
    assert {(row[3][:10], row[4]) for row in before} == {("2026-03-02", "station")}
    store.attribute()
    store.attribute([1, 2, 999])
    assert ask(url, "SELECT * FROM attributions ORDER BY photo_id") == before


# Clocks ------------------------------------------------------------------------------------------


def test_corrections_add_up_and_originals_stay(store: Store) -> None:
    card, model = store.card(CARD, station="ridge"), store.model("iucn11", "1.0.0", "d1")
    store.import_deployments([SPRING])
    store.record(card, model, records=[shot("a.jpg", "2026-02-28T23:30:00")])
    assert [row.why for row in store.unmatched()] != []
    store.correct_clock("ridge spring", offset_seconds=3600, note="summer time")
    (found,) = store.sightings()
    assert (found.deployment, found.camera_time, found.time) == (
        "ridge spring",
        "2026-02-28T23:30:00",
        "2026-03-01T00:30:00",
    )
    # Days are those of the true time, in every listing and in every export.
    march, february = date(2026, 3, 1), date(2026, 2, 28)
    asked = ({"since": march}, {"until": february}, {"since": march, "until": march})
    assert [len(list(store.sightings(SightingQuery(**each)))) for each in asked] == [1, 0, 1]
    assert store.count(SightingQuery(), "day") == [("2026-03-01", 1)]
    store.correct_clock("ridge spring", drift_seconds_per_day=10, since="2026-02-18T23:30:00")
    assert [each.time for each in store.sightings()] == ["2026-03-01T00:31:40"]
    store.correct_clock("ridge spring", drift_seconds_per_day=1)  # since the deployment's start
    assert [row.since for row in store.corrections()] == [
        None,
        "2026-02-18T23:30:00",
        "2026-03-01T00:00:00",
    ]
    assert [row.note for row in store.deployments()[0].corrections] == ["summer time", "", ""]
    with pytest.raises(InputError, match="there is no deployment nix"):
        store.correct_clock("nix", offset_seconds=1)


def test_a_drift_needs_a_beginning(store: Store) -> None:
    store.import_deployments([replace(SPRING, start=None)])
    with pytest.raises(InputError) as caught:
        store.correct_clock("ridge spring", drift_seconds_per_day=1)
    assert caught.value.hint == "say with --since when the clock was right"
    assert store.corrections() == []


# What counts -------------------------------------------------------------------------------------


def test_what_counts_is_named_and_has_a_time(store: Store) -> None:
    card, model = store.card(CARD, station="ridge"), store.model("iucn11", "1.0.0", "d1")
    store.import_deployments([SPRING])
    time = "2026-03-02T00:00:0"
    shots = [shot(f"{n}.jpg", f"{time}{n}") for n in range(6)]
    shots[1] = replace(shots[1], prediction=NOVEL)
    shots[2] = replace(shots[2], prediction=replace(LION, probability=0.6))
    store.record(card, model, records=[*shots, shot("timeless.jpg", None)])
    store.record(store.card(Path("/x")), model, records=[shot("x.jpg", "2026-04-01T00:00:00")])
    store.review(4, "Blank", reviewer="ada")
    store.review(5, "unknown", reviewer="ada")
    store.review(6, "Panthers", reviewer="ada", count=3)

    def counted(**how: object) -> list[str]:
        return [each.path for each in store.detections(Counting(**how))]  # type: ignore[arg-type]

    assert counted() == ["0.jpg", "2.jpg", "5.jpg", "x.jpg"]
    assert counted(reviewed_only=True) == ["5.jpg"]
    assert counted(min_probability=0.9) == ["0.jpg", "5.jpg", "x.jpg"]
    assert counted(station="ridge", species=("Panthera leo",)) == ["0.jpg", "2.jpg"]
    assert counted(station="") == ["x.jpg"]
    assert counted(until=SINCE) == ["0.jpg", "2.jpg", "5.jpg"]
    assert counted(since=SINCE) == ["0.jpg", "2.jpg", "5.jpg", "x.jpg"]
    store.correct_clock("ridge spring", offset_seconds=86_400)
    assert counted(until=SINCE) == []
    panther = list(store.detections())[2]
    assert (panther.count, panther.reviewer, panther.probability) == (3, "ada", None)
    assert (panther.deployment, panther.time) == ("ridge spring", "2026-03-03T00:00:05")
    assert list(store.detections())[3].station == ""


# Commands ----------------------------------------------------------------------------------------


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_from_a_table_to_a_corrected_clock(
    tmp_path: Path,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    database = f"sqlite:///{tmp_path / 'x.db'}"
    monkeypatch.setenv("TRAPSORT_DB", database)
    table.write_text("Station,Setup_date,Retrieval_date\nridge,2026-03-01,2026-05-31\n")
    assert run(capsys, "stations", "import", str(table)) == (0, "1 station\n", "")
    with Store.open(database) as store:
        card, model = store.card(CARD), store.model("iucn11", "1.0.0", "d1")
        store.record(card, model, records=[shot("ridge/a.jpg", "2026-03-02T00:00:00")])
    found = run(capsys, "deployments", "import", str(table), "--folder", "{station}")
    assert found == (0, "1 deployment at 1 station\n1 photo in deployments, 0 in none\n", "")
    name = "ridge 2026-03-01"
    assert run(capsys, "clock", "shift", name, "-2d1h") == (
        0,
        f"{name}: -176,400 s\n0 photos in deployments, 1 in none\n",
        "see which and why: trapsort deployments list --unmatched\n",
    )
    code, out, _ = run(capsys, "deployments", "list", "--unmatched", "--format", "csv")
    assert (code, out) == (
        0,
        "photo_id,path,card,station,camera_time,serial,why\n"
        "1,ridge/a.jpg,/media/card,,2026-03-02T00:00:00,,"
        f"its time is outside: {name} (2026-03-01T00:00:00 to 2026-05-31T23:59:59)\n",
    )
    pair = ("--from-time", "2026-03-02 00:00", "--to-time", "2026-03-02 00:01")
    late = ("--from-time", "2026-03-12 00:00", "--to-time", "2026-03-12 00:00:30")
    assert run(capsys, "clock", "shift", name, *pair, *late)[1].startswith(
        f"{name}: +176,460 s, -3 s a day\n1 photo in"
    )
    _, out, _ = run(capsys, "clock", "list", "--format", "json")
    listed = [(each["offset_seconds"], each["drift_seconds_per_day"]) for each in json.loads(out)]
    assert listed == [(-176400.0, 0.0), (176460.0, -3.0)]
    _, out, _ = run(capsys, "sightings", "--format", "json")
    assert json.loads(out)[0]["time"] == "2026-03-02T00:01:00"
    _, out, _ = run(capsys, "deployments", "list", "--format", "jsonl")
    assert (json.loads(out)["folder"], json.loads(out)["corrections"]) == ("ridge", 2)
    assert run(capsys, "deployments", "remove", name)[0] == 0
    _, out, _ = run(capsys, "stations", "list", "--format", "csv")
    assert out == "station,latitude,longitude\nridge,,\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["+1x"], "'+1x' is no offset"),
        ([], "nothing says how wrong the clock was"),
        (["--from-time", "2026-03-01 10:00"], "--from-time and --to-time belong together"),
        (["+1h", "--drift", "x"], "'x' is no number of seconds"),
        (["--since", "2026-03-01", "+1h"], "'2026-03-01' is no time"),
    ],
)
def test_a_shift_that_says_nothing_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, "clock", "shift", "ridge", *arguments)
    assert (code, out, err.splitlines()[0]) == (2, "", f"trapsort: {message}")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("+1h30m", 5400), ("-3600s", -3600), ("2d", 172_800), ("1.5m", 90), ("\N{MINUS SIGN}1s", -1)],
)
def test_offsets(text: str, seconds: float) -> None:
    assert parse_offset(text) == seconds


def test_a_table_with_an_error_writes_nothing(
    tmp_path: Path,
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TRAPSORT_DB", f"sqlite:///{tmp_path / 'x.db'}")
    table.write_text(
        "Station,Setup_date,Retrieval_date\na,01/02/2026,13/02/2026\na,12/02/2026,14/02/2026\n"
    )
    assert run(capsys, "deployments", "import", str(table)) == (
        2,
        "",
        f"trapsort: {table}, line 3, column Setup_date: a 2026-02-12 (2026-02-12T00:00:00 to"
        " 2026-02-14T23:59:59) and a 2026-02-01 (2026-02-01T00:00:00 to 2026-02-13T23:59:59)"
        " overlap, both of the camera at a\n"
        "a camera is in one place at a time: correct the dates, or name two cameras\n",
    )
    assert run(capsys, "stations", "list", "--format", "csv")[1] == "station,latitude,longitude\n"


def test_stations_are_listed_to_a_metre(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = f"sqlite:///{tmp_path / 'x.db'}"
    monkeypatch.setenv("TRAPSORT_DB", database)
    with Store.open(database) as store:
        place = StationRow(name="ridge", latitude=5.4824683537, longitude=117.2076382765)
        store.import_stations([place, StationRow(name="river")])
    assert run(capsys, "stations", "list")[1].splitlines() == [
        "station  latitude  longitude",
        "ridge    5.48247   117.20764",
        "river",
    ]
    assert "5.4824683537,117.2076382765" in run(capsys, "stations", "list", "--format", "csv")[1]


def test_a_day_without_a_time_is_listed_as_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    database = f"sqlite:///{tmp_path / 'x.db'}"
    monkeypatch.setenv("TRAPSORT_DB", database)
    with Store.open(database) as store:
        store.import_deployments(
            [SPRING, replace(SPRING, name="b", camera="2", end="2026-05-31T12:00:00")]
        )
    assert [line.split()[-2:] for line in run(capsys, "deployments", "list")[1].splitlines()] == [
        ["start", "end"],
        ["2026-03-01", "2026-05-31T12:00:00"],
        ["2026-03-01", "2026-05-31"],
    ]
