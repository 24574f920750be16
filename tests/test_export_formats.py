"""Exports that other programs open: exact content, and what is refused."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.export_record import (
    MODEL,
    ODD,
    Sample,
    export,
    make_record,
    photo_record,
    rows,
    said,
    sample_in,
)
from tests.records import ask
from trapsort import __version__
from trapsort.interchange import FORMATS
from trapsort.interchange.names import kind_of, taxon_of
from trapsort.interchange.visits import seen_in
from trapsort.store import Store
from trapsort.store.captures import Joint


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A record that no test changes."""
    return sample_in(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def own(tmp_path: Path) -> Sample:
    """A record for a test that changes it."""
    return sample_in(tmp_path)


def test_every_format_is_a_command_and_has_an_export() -> None:
    from trapsort.cli.export import export as group

    assert set(group.commands) == set(FORMATS)
    assert all(callable(module.export) for module in FORMATS.values())


# MegaDetector ----------------------------------------------------------------------------------


def test_megadetector(sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "md.json"
    assert export(sample, "megadetector", "--out", out) == 0
    assert capsys.readouterr().err == (
        f"paths are relative to {sample.north.parent}\n8 photos: {out}\n"
    )
    found = json.loads(out.read_text(encoding="utf-8"))
    assert found["info"]["format_version"] == "1.6"
    assert found["detection_categories"] == {"1": "animal", "2": "person", "3": "vehicle"}
    assert found["classification_categories"] == {"1": "Lion", "2": "Rhino", "3": "Arctic Fox"}
    descriptions = found["classification_category_descriptions"].values()
    assert [text.split(";")[1:] for text in descriptions] == [
        ["", "", "", "panthera", "leo", "lion"],
        ["", "", "rhinocerotidae", "", "", "rhino"],
        ["", "", "", "vulpes", "lagopus", "arctic fox"],
    ]
    images = {image.pop("file"): image for image in found["images"]}
    whole = [0.0, 0.0, 1.0, 1.0]
    assert images == {
        "north/DCIM/IMG_0001.JPG": _one("1", 0.91, whole, [["1", 0.91]]),
        "north/DCIM/IMG_0002.JPG": _one("1", 1.0, whole, [["2", 1.0]]),
        "north/DCIM/IMG_0003.JPG": {"detections": []},
        "north/DCIM/IMG_0005.JPG": _one("1", 0.99, whole, [["1", 0.99]]),
        "north/DCIM/IMG_0006.JPG": {"failure": "truncated", "detections": None},
        f"north/{ODD}": _one("1", 0.4, whole),
        "south/IMG_0001.JPG": _one("1", 0.7, whole, [["3", 0.7]]),
        "south/IMG_0002.JPG": _one("3", 0.5, whole),
        "south/IMG_0003.JPG": _one("1", 0.875, [0.25, 0.5, 0.5, 0.25]),
    }
    assert '"conf": 1.0' in out.read_text(encoding="utf-8")  # a JSON float, not `1`


def _one(
    category: str, conf: float, box: list[float], classes: list[list[object]] | None = None
) -> dict[str, object]:
    found = {"category": category, "conf": conf, "bbox": box}
    return {"detections": [found | ({"classifications": classes} if classes else {})]}


def test_megadetectors_own_validator_passes(shared: Path, sample: Sample, tmp_path: Path) -> None:
    pytest.importorskip("megadetector", reason="pip install --no-deps megadetector tqdm")
    out = tmp_path / "md.json"
    assert export(sample, "megadetector", "--out", out) == 0
    tool = shared.parent / "tools" / "validate_megadetector.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(tool), "--stub", str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["errors"], told["warnings"]) == ([], [])


def test_paths_of_one_card_start_at_it_and_filters_leave_failures_out(
    sample: Sample, tmp_path: Path
) -> None:
    out = tmp_path / "md.json"
    assert export(sample, "megadetector", "--card", sample.south, "--out", out) == 0
    found = json.loads(out.read_text(encoding="utf-8"))["images"]
    assert [image["file"] for image in found] == ["IMG_0001.JPG", "IMG_0002.JPG", "IMG_0003.JPG"]


def test_cards_that_took_turns_in_a_reader_are_not_mixed_up(
    own: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(own.url) as store:
        other = photo_record(
            own.north, "DCIM/IMG_0001.JPG", said("Lion", 0.9), "2026-05-01T00:00:00", 77
        )
        card = store.card(own.north, volume="1234-ABCD", station="S3")
        store.record(card, store.model("iucn11", "1.0.0", "d1"), records=[other])
    assert export(own, "timelapse", "--out", tmp_path / "x.csv") == 2
    assert capsys.readouterr().err == (
        f"trapsort: two photos were seen at north/DCIM/IMG_0001.JPG below {own.north.parent}\n"
        "cards that took turns in one reader cannot be told apart by their paths: export one at a"
        " time, by --station or by --since and --until\n"
    )
    assert export(own, "timelapse", "--station", "S3", "--out", tmp_path / "x.csv") == 0
    assert len(rows(tmp_path / "x.csv")) == 1


# Timelapse -------------------------------------------------------------------------------------


def test_timelapse_is_minimal(sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "timelapse.csv"
    assert export(sample, "timelapse", "--out", out) == 0
    text = out.read_bytes().decode()
    assert text.startswith("File,RelativePath\n")
    assert text.endswith(
        "\nIMG_0005.JPG,north\\DCIM\nIMG_0001.JPG,south\nIMG_0002.JPG,south\nIMG_0003.JPG,south\n"
    )
    # Exact, without the apostrophe that keeps a spreadsheet from running it.
    assert [row["File"] for row in rows(out) if row["RelativePath"] == "north"] == [ODD]


def test_timelapse_takes_columns_of_the_template(sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "timelapse.csv"
    wanted = ("Species=species", "Seen=reviewed", "When=time", "N=count")
    options = [text for name in wanted for text in ("--column", name)]
    assert export(sample, "timelapse", "--out", out, *options, "--station", "S1") == 0
    assert [tuple(row.values())[2:] for row in rows(out)[1:4]] == [
        ("Lion", "false", "2026-03-01 10:00:00", "1"),
        ("Rhino", "true", "2026-03-01 10:01:30", "2"),
        ("", "false", "2026-03-01 12:00:00", ""),
    ]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["Species"], "--column 'Species' is not NAME=FIELD"),
        (["Species=colour"], "--column 'Species=colour' is not NAME=FIELD"),
        (["A=species", "A=count"], "the column A is given twice"),
        (["File=species"], "the column File is given twice"),
    ],
)
def test_columns_that_timelapse_would_refuse(
    sample: Sample,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    columns: list[str],
    message: str,
) -> None:
    options = [text for name in columns for text in ("--column", name)]
    assert export(sample, "timelapse", "--out", tmp_path / "x.csv", *options) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"trapsort: {message}"


# camtrapR --------------------------------------------------------------------------------------


def test_camtrapr_tables(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "camtrapr"
    assert export(sample, "camtrapr", "--out", out) == 0
    assert capsys.readouterr().err.splitlines() == [
        "event: 60 min, lastRecord",
        "1 station without a deployment: Setup_date and Retrieval_date are the days of the first"
        " and last record; trapsort deployments import FILE says better",
        "positions are rounded by the most threatened species of each station (--precision)",
        f"3 photos: {out}",
    ]
    assert (out / "records.csv").read_text(encoding="utf-8") == (
        "Station,Species,DateTimeOriginal,Date,Time,delta.time.secs,delta.time.mins,"
        "delta.time.hours,delta.time.days,Directory,FileName,n_images\n"
        "S1,Lion,2026-03-01 10:00:00,2026-03-01,10:00:00,0,0.0,0.0,0.0,"
        f"{sample.north}/DCIM,IMG_0001.JPG,1\n"
        "S1,Rhino,2026-03-01 10:01:30,2026-03-01,10:01:30,0,0.0,0.0,0.0,"
        f"{sample.north}/DCIM,IMG_0002.JPG,1\n"
        "S2,Arctic_Fox,2026-03-05 08:00:00,2026-03-05,08:00:00,0,0.0,0.0,0.0,"
        f"{sample.south},IMG_0001.JPG,1\n"
    )
    assert (out / "stations.csv").read_text(encoding="utf-8") == (
        "Station,latitude,longitude,Setup_date,Retrieval_date\n"
        "S1,-2.3,34.8,2026-02-28,2026-03-31\n"
        "S2,64.123,-21.988,2026-03-05,2026-03-05\n"
    )
    assert (out / "about.txt").read_text(encoding="utf-8") == (
        "event: 60 min, lastRecord\n"
        "what counts: what people or the model named\n"
        "positions: rounded\n"
        'dates of stations.csv: dateFormat = "ymd" in cameraOperation\n'
        f"written by trapsort {__version__}\n"
    )


def test_days_without_a_camera_are_problems_of_a_station(own: Sample, tmp_path: Path) -> None:
    from trapsort.store import DeploymentRow

    with Store.open(own.url) as store:
        found = {row.name: row for row in store.deployments()}
        broken = replace(found["S1-2026"], problems=(("2026-03-10", "2026-03-12"),))
        later = DeploymentRow(
            name="S1-later",
            station="S1",
            card="/media/x",
            start="2026-04-05T00:00:00",
            end="2026-04-30T23:59:59",
        )
        store.import_deployments([broken, later])
    assert export(own, "camtrapr", "--out", tmp_path / "r") == 0
    first = rows(tmp_path / "r" / "stations.csv")[0]
    assert list(first.items())[3:] == [
        ("Setup_date", "2026-02-28"),
        ("Retrieval_date", "2026-04-30"),
        ("Problem1_from", "2026-03-10"),
        ("Problem1_to", "2026-03-12"),
        ("Problem2_from", "2026-04-01"),
        ("Problem2_to", "2026-04-04"),
    ]


def test_a_station_table_has_times_where_they_are_known(own: Sample, tmp_path: Path) -> None:
    """A day stands for its noon, and a problem is when none of a station's cameras worked."""
    from trapsort.store import DeploymentRow

    with Store.open(own.url) as store:
        found = {row.name: row for row in store.deployments()}
        day = found["S1-2026"]  # from the end of February to the end of March
        second = DeploymentRow(
            name="S1-b",
            station="S1",
            camera="b",
            start="2026-03-10T08:30:00",
            end="2026-04-02T16:45:00",
            problems=(("2026-03-11T09:00:00", "2026-03-11T10:00:00"), ("2026-03-31", "2026-03-31")),
        )
        later = replace(second, name="S1-c", start="2026-04-04T00:00:00", end=None, problems=())
        broken = replace(day, problems=(("2026-03-09", "2026-03-10"), ("2026-03-31", "2026-03-31")))
        store.import_deployments([broken, second, replace(later, end="2026-04-05T10:00:00")])
    assert export(own, "camtrapr", "--out", tmp_path / "r") == 0
    first = rows(tmp_path / "r" / "stations.csv")[0]
    assert list(first.values())[3:] == [
        *("2026-02-28 12:00:00", "2026-04-05 10:00:00"),
        *("2026-03-09 00:00:00", "2026-03-10 08:30:00"),  # until the second camera came
        *("2026-03-31 00:00:00", "2026-04-01 00:00:00"),  # both were broken
        *("2026-04-02 16:45:00", "2026-04-04 12:00:00"),  # until the third came
    ]
    about = (tmp_path / "r" / "about.txt").read_text(encoding="utf-8")
    assert 'dateFormat = "ymd HMS"' in about


def test_camtrapr_refuses_filters_that_would_bias_it(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(sample, "camtrapr", "--out", tmp_path / "r", "--iucn", "VU") == 2
    assert capsys.readouterr().err == (
        "trapsort: a record table holds all that counts at a station\n"
        "leave out --card, --reason, --iucn and --unreviewed\n"
    )


def test_the_record_table_has_the_shape_of_camtraprs(
    shared: Path, sample: Sample, tmp_path: Path
) -> None:
    assert export(sample, "camtrapr", "--out", tmp_path / "r") == 0
    with (shared / "reference/camtrapR/recordTable_noUNID_min60_lastRecord.csv").open() as file:
        theirs = next(csv.reader(file))
    ours = list(rows(tmp_path / "r" / "records.csv")[0])
    assert [name for name in ours if name != "Directory"] == theirs


# GeoJSON ---------------------------------------------------------------------------------------


def test_geojson(sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "map.json"
    assert export(sample, "geojson", "--out", out) == 0
    found = json.loads(out.read_text(encoding="utf-8"))["features"]
    assert len(found) == 8
    first = found[0]
    # The Lion's station saw a Rhino too, so that all of it is coarse.
    assert first["geometry"] == {"type": "Point", "coordinates": [34.8, -2.3]}
    assert first["properties"] | {"photo": ""} == {
        "photo": "",
        "station": "S1",
        "deployment": "S1-2026",
        "time": "2026-03-01T10:00:00",
        "utc_offset": "+03:00",
        "label": "Lion",
        "scientific_name": "Panthera leo",
        "iucn": "VU",
        "count": 1,
        "probability": 0.91,
        "reason": None,
        "reviewed": False,
        "coordinatePrecision": 0.1,
        "coordinateUncertaintyInMeters": 7872,
    }
    assert found[5]["geometry"]["coordinates"] == [-21.988, 64.123]


def test_a_filter_does_not_give_a_threatened_species_away(sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "map.json"
    assert export(sample, "geojson", "--out", out, "--species", "Lion") == 0
    places = {
        tuple(each["geometry"]["coordinates"])
        for each in json.loads(out.read_text(encoding="utf-8"))["features"]
    }
    assert places == {(34.8, -2.3)}


def test_geojson_is_valid_against_its_schema(shared: Path, sample: Sample, tmp_path: Path) -> None:
    import jsonschema

    out = tmp_path / "map.json"
    assert export(sample, "geojson", "--out", out) == 0
    schema = shared / "reference/camtrapdp/profile-1.0.2/geojson.org-GeoJSON.json"
    validator = jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8")))
    assert list(validator.iter_errors(json.loads(out.read_text(encoding="utf-8")))) == []


# Excel -----------------------------------------------------------------------------------------


def test_workbook(sample: Sample, tmp_path: Path) -> None:
    import openpyxl

    out = tmp_path / "sightings.xlsx"
    assert export(sample, "xlsx", "--out", out) == 0
    book = openpyxl.load_workbook(out)
    sheets = {sheet.title: list(sheet.iter_rows(values_only=True)) for sheet in book}
    assert list(sheets) == ["Sightings", "Species", "Deployments"]
    assert sheets["Sightings"][1] == (
        *("S1", "S1-2026", "2026-03-01 10:00:00", "Lion", "Panthera leo", "VU", 1, 0.91),
        *(None, None, str(sample.north), "DCIM/IMG_0001.JPG"),
    )
    assert sheets["Species"][1:] == [
        ("Arctic_Fox", "Vulpes lagopus", "LC", 1, 0, 1),
        ("Lion", "Panthera leo", "VU", 2, 0, 1),
        ("Rhino", "Rhinocerotidae", "NT-CR", 1, 1, 1),
        (None, None, None, 4, 0, 2),
    ]
    assert sheets["Deployments"][1][:4] == ("S1-2026", "S1", -2.3, 34.8)
    assert [row[-1] for row in sheets["Deployments"]] == ["coordinatePrecision", 0.1, 0.001]
    paths = [row[-1] for row in sheets["Sightings"]]
    assert any(path.startswith("=a..b") for path in paths)  # text, no formula
    assert {cell.data_type for row in book["Sightings"].iter_rows() for cell in row} <= {"s", "n"}


# What is there already, and cards --------------------------------------------------------------


FILES = ("megadetector", "timelapse", "geojson", "xlsx")
FOLDERS = ("camtrap-dp", "darwin-core", "camtrapr", "keywords")


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_replaced_only_by_force(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "out"
    out.write_text("mine")
    assert export(sample, name, "--out", out) == 2
    assert capsys.readouterr().err == f"trapsort: {out} is there already\n--force replaces it\n"
    assert out.read_text() == "mine"
    assert export(sample, name, "--out", out, "--force") == 0
    assert out.stat().st_size > 100
    assert export(sample, name, "--out", tmp_path, "--force") == 2
    assert f"trapsort: {tmp_path} is a folder\n" in capsys.readouterr().err


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_replaced_only_by_force_and_only_where_it_is_an_export(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / "out"
    assert export(sample, name, "--out", out) == 0
    before = sorted(path.name for path in out.iterdir())
    capsys.readouterr()
    assert export(sample, name, "--out", out) == 2
    assert capsys.readouterr().err == (
        f"trapsort: {out} holds an export already\n--force replaces it\n"
    )
    assert export(sample, name, "--out", out, "--force") == 0
    assert sorted(path.name for path in out.iterdir()) == before
    (out / "thesis.doc").write_text("years of work")
    capsys.readouterr()
    assert export(sample, name, "--out", out, "--force") == 2
    assert capsys.readouterr().err == (
        f"trapsort: {out} holds thesis.doc, which is none of this export\n"
        "name another folder with --out: this one would be replaced as a whole\n"
    )
    assert (out / "thesis.doc").read_text() == "years of work"
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("name", (*FILES, *FOLDERS))
def test_nothing_is_written_to_a_card(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    before = sorted(sample.north.parent.rglob("*"))
    assert export(sample, name, "--out", sample.south / "x") == 2
    assert capsys.readouterr().err == (
        f"trapsort: {sample.south / 'x'} lies on the card {sample.south}: nothing is written to a"
        " card.\nName a place on this computer's own disk with --out.\n"
    )
    unknown = tmp_path / "other"  # a card that nobody took in yet
    (unknown / "DCIM").mkdir(parents=True)
    assert export(sample, name, "--out", unknown / "a" / "b") == 2
    assert f"lies on the card {unknown}" in capsys.readouterr().err
    assert sorted(sample.north.parent.rglob("*")) == before


def test_a_disk_that_fails_leaves_what_was_there(
    sample: Sample,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    assert export(sample, "camtrap-dp", "--out", out) == 0
    before = (out / "media.csv").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trapsort.interchange.place.os.fsync", full)
    capsys.readouterr()
    assert export(sample, "camtrap-dp", "--out", out, "--force") == 2
    assert capsys.readouterr().err.startswith(
        f"trapsort: cannot write {out}: No space left on device\n"
    )
    assert (out / "media.csv").read_bytes() == before
    assert not list(tmp_path.glob(".out*"))


# Words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "reason", "reviewed", "kind"),
    [
        ("Lion", None, False, "animal"),
        ("animal", None, True, "animal"),
        ("Person", None, True, "human"),
        ("blank", None, True, "blank"),
        (None, None, True, "unknown"),
        (None, None, False, "unclassified"),
        (None, "unclassified", False, "unclassified"),
        (None, "blank", False, "blank"),
        (None, "person", False, "human"),
        (None, "vehicle", False, "vehicle"),
        (None, "other_animal", False, "animal"),
        (None, "members_disagree", False, "unknown"),
    ],
)
def test_kinds(label: str | None, reason: str | None, reviewed: bool, kind: str) -> None:
    assert kind_of(label, reason, reviewed=reviewed) == kind


@pytest.mark.parametrize(
    ("label", "name", "rank"),
    [
        ("Lion", "Panthera leo", "species"),
        ("Amur_Leopard", "Panthera pardus orientalis", "subspecies"),
        ("Orangutan", "Pongo", "genus"),
        ("Panthers", "Panthera", "genus"),
        ("Rhino", "Rhinocerotidae", "family"),
        ("Vulpes vulpes", "Vulpes vulpes", "species"),
        ("Vulpes_vulpes", "Vulpes vulpes", "species"),
        ("leopard cat", "", ""),
    ],
)
def test_scientific_names(label: str, name: str, rank: str) -> None:
    assert (taxon_of(label).scientific_name, taxon_of(label).rank) == (name, rank)


def test_a_sequence_speaks_for_its_frames_and_a_person_for_the_photo(sample: Sample) -> None:
    with Store.open(sample.url) as store:
        first, second, third = [c for c in store.captures() if c.deployment == "S1-2026"][:3]
    joint = Joint("cheetahs", 0.66, None, MODEL, "", "2026-03-01T00:00:00Z")
    seen = seen_in([first._replace(joint=joint), second._replace(joint=joint), third])
    assert [(s.label, s.count, s.reviewer, s.probability) for s in seen] == [
        ("Rhino", 2, "Ada", None),
        ("cheetahs", 1, None, 0.66),
    ]
    assert [(s.kind, s.probability) for s in seen_in([third])] == [("blank", 0.97)]
    twice = seen_in([first, first._replace(probability=0.5)])
    assert [(s.label, s.photos, s.probability) for s in twice] == [("Lion", 2, None)]


def test_a_sequence_in_the_record_is_found(own: Sample) -> None:
    (first, *_), *_ = ask(own.url, "SELECT min(id) FROM photos")
    ask(own.url, "INSERT INTO sequences (id, first_photo_id) VALUES (1, ?)", first)
    ask(own.url, "UPDATE photos SET sequence_id = 1 WHERE id = ?", first)
    ask(
        own.url,
        "INSERT INTO sequence_predictions (sequence_id, model_id, label, probability, top, frames,"
        " created) VALUES (1, 1, 'Lion', 0.95, '[]', 3, '2026-03-03T00:00:00Z')",
    )
    with Store.open(own.url) as store:
        joint = next(c.joint for c in store.captures() if c.photo_id == first)
    assert joint == Joint("Lion", 0.95, None, MODEL, "", "2026-03-03T00:00:00Z")


def test_photos_come_whole_from_a_file_and_from_a_server(url: str, tmp_path: Path) -> None:
    make_record(url, tmp_path)
    with Store.open(url) as store:
        found = list(store.captures())
        places = store.labels_at()
    assert [(c.deployment, c.path) for c in found][:3] == [
        ("S1-2026", "DCIM/IMG_0001.JPG"),
        ("S1-2026", "DCIM/IMG_0002.JPG"),
        ("S1-2026", "DCIM/IMG_0003.JPG"),
    ]
    reviewed = next(c for c in found if c.reviewed)
    assert (reviewed.reviewer, reviewed.note, reviewed.individuals) == ("Ada", "two of them", 2)
    assert (reviewed.reviewed_at or "").endswith("Z")
    boxed = next(c for c in found if c.path == "IMG_0003.JPG")
    (answer,) = boxed.answers
    assert answer[:6] == (0.25, 0.5, 0.5, 0.25, "md_v5a", 0.875)
    assert (answer.model, answer.source) == ("md_v5a", "megadetector")
    assert places == {("station", "S1"): {"Lion", "Rhino"}, ("station", "S2"): {"Arctic_Fox"}}


def test_the_bench_makes_a_record_and_exports_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.__main__ import main as bench

    arguments = ["export", "--photos", "200", "--format", "geojson"]
    bench(arguments, standalone_mode=False)
    out = capsys.readouterr().out
    assert out.startswith("geojson") and out.splitlines()[0].endswith("MiB")
