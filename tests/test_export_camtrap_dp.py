"""Camtrap DP and Darwin Core: exact rows, the validators of others, and what these do not catch."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.export_record import MODEL, Sample, export, rows, sample_in
from tests.toy import write_bundle
from trapsort.errors import InputError
from trapsort.interchange import camtrap_tables as tables
from trapsort.interchange.darwin_core import export_package

VALIDATE = """
import runpy, sys
validate = runpy.run_path(sys.argv[1])["validate"]
for path in sys.argv[2:]:
    report = validate(path)
    print(path, report.flatten(["type", "rowNumber", "fieldName", "note"])[:5] or "valid")
"""


def validated(shared: Path, *packages: Path) -> list[str]:
    """What the validator says of each package, in a process of its own."""
    tool = shared.parent / "tools" / "validate_camtrapdp.py"
    paths = [str(package / "datapackage.json") for package in packages]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", VALIDATE, str(tool), *paths],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    return [line.removeprefix(f"{path} ") for line, path in zip(told, paths, strict=True)]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A record that no test changes."""
    return sample_in(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def own(tmp_path: Path) -> Sample:
    """A record for a test that changes it."""
    return sample_in(tmp_path)


@pytest.fixture
def package(sample: Sample, tmp_path: Path) -> Path:
    assert export(sample, "camtrap-dp", "--out", tmp_path / "package") == 0
    return tmp_path / "package"


def test_what_is_said_on_stderr(
    sample: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(sample, "camtrap-dp", "--out", tmp_path / "package") == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "event: photos of a camera no more than 120 s apart, and the frames of one trigger",
        "left out, as this format needs a time: 1 photo without one",
        "positions are rounded to 0.001, 0.1 degrees (--precision)",
        "3 photos without a deployment: what a card holds begins with its first photo and ends"
        " with its last; trapsort deployments import FILE says better",
        "1 deployment without a UTC offset: times are written as UTC, with timestampIssues; give"
        " utc_offset with trapsort deployments import",
        "name who made the package: --contributor 'NAME <EMAIL>'",
        "the photos are not part of the package; --copy-media puts them into it",
        f"7 photos: {tmp_path / 'package'}",
    ]


def test_deployments(package: Path) -> None:
    given, derived = rows(package / "deployments.csv")
    shown = {name: value for name, value in given.items() if value}
    assert shown == {
        "deploymentID": "S1-2026",
        "locationID": "S1",
        "locationName": "S1",
        "latitude": "-2.3",  # a Rhino was there: 0.1 degrees
        "longitude": "34.8",
        "coordinateUncertainty": "7872",
        "deploymentStart": "2026-02-28T00:00:00+03:00",
        "deploymentEnd": "2026-03-31T23:59:59+03:00",
        "cameraModel": "RECONYX-HF2",
        "timestampIssues": "false",
        "baitUse": "true",
        "habitat": "savanna",
        "deploymentTags": "bait:sardines",
    }
    assert derived["deploymentID"] == "S2-card-2"
    assert (derived["latitude"], derived["longitude"]) == ("64.123", "-21.988")
    assert (derived["deploymentStart"], derived["deploymentEnd"]) == (
        "2026-03-05T08:00:00Z",
        "2026-03-05T10:00:00Z",
    )
    assert (derived["timestampIssues"], derived["baitUse"]) == ("true", "")


def test_media(package: Path) -> None:
    found = rows(package / "media.csv")
    assert [(row["timestamp"], row["filePath"]) for row in found] == [
        ("2026-03-01T10:00:00+03:00", "media/S1-2026/DCIM/IMG_0001.JPG"),
        ("2026-03-01T10:01:30+03:00", "media/S1-2026/DCIM/IMG_0002.JPG"),
        ("2026-03-01T12:00:00+03:00", "media/S1-2026/DCIM/IMG_0003.JPG"),
        ("2026-03-02T00:00:00+03:00", f"media/S1-2026/=a__b _n[1]-{found[3]['mediaID'][:8]}.JPG"),
        ("2026-03-05T08:00:00Z", "media/S2-card-2/IMG_0001.JPG"),
        ("2026-03-05T09:00:00Z", "media/S2-card-2/IMG_0002.JPG"),
        ("2026-03-05T10:00:00Z", "media/S2-card-2/IMG_0003.JPG"),
    ]
    assert {row["fileMediatype"] for row in found} == {"image/jpeg"}
    assert {row["captureMethod"] for row in found} == {"activityDetection"}
    assert {row["filePublic"] for row in found} == {"false"}
    assert json.loads(found[0]["exifData"]) == {
        "Make": "RECONYX",
        "Model": "HF2",
        "DateTimeOriginal": "2026-03-01T10:00:00",
        "ImageWidth": 32,
        "ImageHeight": 24,
    }


def test_observations(package: Path) -> None:
    media = [row["mediaID"] for row in rows(package / "media.csv")]
    found = rows(package / "observations.csv")
    columns = ("observationLevel", "observationType", "scientificName", "count")
    columns += ("classificationMethod", "classifiedBy", "classificationProbability")
    columns += ("observationTags", "observationComments")
    machine = ("machine", MODEL)
    assert [tuple(row[name] for name in columns) for row in found] == [
        ("media", "animal", "Panthera leo", "1", *machine, "0.91", "label:Lion", ""),
        (
            "media",
            "animal",
            "Rhinocerotidae",
            "2",
            "human",
            "Ada",
            "",
            "label:Rhino",
            "two of them",
        ),
        ("event", "animal", "Panthera leo", "1", *machine, "0.91", "label:Lion", ""),
        ("event", "animal", "Rhinocerotidae", "2", "human", "Ada", "", "label:Rhino", ""),
        ("media", "blank", "", "", *machine, "0.97", "reason:blank", ""),
        ("event", "blank", "", "", *machine, "0.97", "reason:blank", ""),
        ("media", "unknown", "", "", *machine, "0.4", "reason:novel", ""),
        ("event", "unknown", "", "", *machine, "0.4", "reason:novel", ""),
        ("media", "animal", "Vulpes lagopus", "1", *machine, "0.7", "label:Arctic_Fox", ""),
        ("event", "animal", "Vulpes lagopus", "1", *machine, "0.7", "label:Arctic_Fox", ""),
        ("media", "vehicle", "", "", *machine, "0.5", "reason:vehicle", ""),
        ("event", "vehicle", "", "", *machine, "0.5", "reason:vehicle", ""),
        ("media", "animal", "", "", "machine", "md_v5a", "", "reason:other_animal", ""),
        ("event", "animal", "", "", "machine", "md_v5a", "", "reason:other_animal", ""),
    ]
    assert [row["mediaID"] for row in found[:4]] == [*media[:2], "", ""]
    assert {row["eventID"] for row in found[:4]} == {media[0][:32]}
    assert (found[2]["eventStart"], found[2]["eventEnd"]) == (
        "2026-03-01T10:00:00+03:00",
        "2026-03-01T10:01:30+03:00",
    )
    box = tuple(found[12][f"bbox{name}"] for name in ("X", "Y", "Width", "Height"))
    assert box == ("0.25", "0.5", "0.5", "0.25")
    assert found[12]["classificationTimestamp"] == "2026-04-01T00:00:00Z"


def test_photos_further_apart_than_a_visit_are_events_of_their_own(
    sample: Sample, tmp_path: Path
) -> None:
    out = tmp_path / "package"
    assert export(sample, "camtrap-dp", "--out", out, "--visit-seconds", "60") == 0
    events = [r for r in rows(out / "observations.csv") if r["observationLevel"] == "event"]
    assert [row["scientificName"] for row in events[:2]] == ["Panthera leo", "Rhinocerotidae"]
    assert events[0]["eventID"] != events[1]["eventID"]


def test_the_package_describes_itself(sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "package"
    arguments = ["--title", "Lions of the North", "--contributor", "Ada <ada@example.org>"]
    arguments += ["--data-license", "CC0-1.0", "--media-license", "CC-BY-4.0"]
    assert export(sample, "camtrap-dp", "--out", out, *arguments) == 0
    about = json.loads((out / "datapackage.json").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", about.pop("created"))
    assert about["name"] == "lions-of-the-north"
    assert about["contributors"] == [{"title": "Ada", "email": "ada@example.org"}]
    assert about["coordinatePrecision"] == 0.1
    assert about["description"] == (
        "An event is photos of a camera no more than 120 s apart, and the frames of one trigger."
    )
    assert about["temporal"] == {"start": "2026-02-28", "end": "2026-03-31"}
    assert about["spatial"]["coordinates"][0][0] == [-21.988, -2.3]
    assert [each["scope"] for each in about["licenses"]] == ["data", "media"]
    assert about["taxonomic"] == [
        {
            "scientificName": "Panthera leo",
            "taxonRank": "species",
            "vernacularNames": {"eng": "Lion"},
        },
        {
            "scientificName": "Rhinocerotidae",
            "taxonRank": "family",
            "vernacularNames": {"eng": "Rhino"},
        },
        {
            "scientificName": "Vulpes lagopus",
            "taxonRank": "species",
            "vernacularNames": {"eng": "Arctic Fox"},
        },
    ]


def test_the_same_record_gives_the_same_tables(
    sample: Sample, package: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    assert export(sample, "camtrap-dp", "--out", again) == 0
    for name in tables.PACKAGE[1:]:
        assert (again / name).read_bytes() == (package / name).read_bytes()


def test_photos_are_copied_on_demand_and_proven(
    own: Sample, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "package"
    assert export(own, "camtrap-dp", "--out", out, "--copy-media") == 0
    for row in rows(out / "media.csv"):
        assert (out / row["filePath"]).is_file()
    (own.south / "IMG_0002.JPG").write_bytes(b"something else")
    capsys.readouterr()
    assert export(own, "camtrap-dp", "--out", tmp_path / "other", "--copy-media") == 2
    assert capsys.readouterr().err == (
        f"trapsort: IMG_0002.JPG of the card {own.south} is not the photo that was recorded\n"
        "put in the card that was taken in, or take this one in: trapsort ingest\n"
    )
    (own.south / "IMG_0002.JPG").unlink()
    assert export(own, "camtrap-dp", "--out", tmp_path / "other", "--copy-media") == 2
    assert "IMG_0002.JPG" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*"))  # nothing half-made is left


def test_exact_positions_where_asked_for(sample: Sample, tmp_path: Path) -> None:
    out = tmp_path / "package"
    assert export(sample, "camtrap-dp", "--out", out, "--precision", "none") == 0
    row = rows(out / "deployments.csv")[0]
    assert (row["latitude"], row["longitude"]) == ("-2.33336", "34.83336")
    assert row["coordinateUncertainty"] == ""
    assert "coordinatePrecision" not in json.loads((out / "datapackage.json").read_text())


def test_without_a_position_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.records import CARD, record
    from trapsort.store import Store

    url = f"sqlite:///{tmp_path / 'x.sqlite3'}"
    with Store.open(url) as store:
        model = store.model("iucn11", "1.0.0", "d1")
        found = [record("a.jpg", camera_time="2026-03-01T10:00:00")]
        store.record(store.card(CARD), model, records=found)
    sample = Sample(url, CARD, CARD)
    assert export(sample, "camtrap-dp", "--out", tmp_path / "package") == 2
    assert capsys.readouterr().err == (
        f"trapsort: no position is known of 1 card without a station ({CARD})\n"
        "give each card its station: trapsort ingest CARD --station NAME\n"
        "or a deployment that holds its photos; trapsort deployments list --unmatched says why"
        " none does\n"
        "write the stations' coordinates into a CSV file (station,latitude,longitude), then:"
        " trapsort stations import FILE\n"
    )
    assert not (tmp_path / "package").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--species", "Panda"], "there is no photo with a time to export"),
        (["--data-license", "CC0-1.0"], "Camtrap DP takes no licence, or one for the data and one"),
        (["--precision", "x"], "--precision must be degrees above 0"),
    ],
)
def test_what_cannot_be_exported_is_said(
    sample: Sample,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert export(sample, "camtrap-dp", "--out", tmp_path / "package", *arguments) == 2
    assert capsys.readouterr().err.startswith(f"trapsort: {message}")
    assert not (tmp_path / "package").exists()


OBSERVATION = dict.fromkeys(tables.OBSERVATIONS, "") | {
    "observationID": "o1",
    "eventStart": "2026-03-01T10:00:00Z",
    "eventEnd": "2026-03-01T10:00:00Z",
    "observationLevel": "event",
}


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: tables.check_deployment(
                {
                    "deploymentID": "d1",
                    "deploymentStart": "2026-03-01T10:00:00+03:00",
                    "deploymentEnd": "2026-03-01T06:59:59Z",
                }
            ),
            "deployment d1 ends at 2026-03-01T06:59:59Z, before it starts at"
            " 2026-03-01T10:00:00+03:00",
        ),
        (
            lambda: tables.check_observation(
                list((OBSERVATION | {"eventEnd": "2026-02-01T10:00:00Z"}).values())
            ),
            "observation o1 ends at 2026-02-01T10:00:00Z, before it starts at 2026-03-01T10:00:00Z",
        ),
        (
            lambda: tables.check_observation(list((OBSERVATION | {"mediaID": "m1"}).values())),
            "observation o1 of level event has the mediaID m1",
        ),
        (
            lambda: tables.check_observation(
                list((OBSERVATION | {"observationLevel": "media"}).values())
            ),
            "observation o1 of level media has no mediaID",
        ),
        (
            lambda: tables.check_media(
                ["m1", "d1", "", "", "a\\b.jpg", "false", "", "", "", "", ""]
            ),
            "media m1 has the path 'a\\\\b.jpg', which Camtrap DP does not allow",
        ),
        (
            lambda: tables.check_species(["Panthera leo", ""], [{"scientificName": "Pan"}]),
            "the observations name Panthera leo, which the metadata do not list",
        ),
    ],
)
def test_what_validators_do_not_catch(check: Callable[[], None], message: str) -> None:
    with pytest.raises(InputError) as caught:
        check()
    assert caught.value.message == message
    assert caught.value.hint


# The validators and the references of others ---------------------------------------------------


def test_the_tables_have_the_columns_of_the_schema(shared: Path) -> None:
    folder = shared / "reference" / "camtrapdp" / "profile-1.0.2"
    for name, columns in tables.TABLES.items():
        schema = json.loads((folder / f"{name}-table-schema.json").read_text(encoding="utf-8"))
        assert columns == tuple(field["name"] for field in schema["fields"])


def test_the_validator_passes(shared: Path, package: Path) -> None:
    assert validated(shared, package) == ["valid"]


def test_the_validator_passes_on_every_card(shared: Path, tmp_path: Path) -> None:
    cards = sorted(path for path in (shared / "cards").iterdir() if path.is_dir())
    bundle = write_bundle(tmp_path / "toy")
    stations = "".join(f"{card.name},-2.{number},34.5\n" for number, card in enumerate(cards))
    (tmp_path / "stations.csv").write_text(f"station,latitude,longitude\n{stations}")
    sample = Sample(f"sqlite:///{tmp_path / 'cards.sqlite3'}", cards[0], cards[1])
    from trapsort.cli.main import main

    packages = []
    for card in cards:
        arguments = ["--db", sample.url, "--bundle", str(bundle), "-q", "ingest", str(card)]
        assert main([*arguments, "--station", card.name]) == 0
    assert main(["--db", sample.url, "stations", "import", str(tmp_path / "stations.csv")]) == 0
    for card in cards:
        packages.append(tmp_path / card.name)
        assert export(sample, "camtrap-dp", "--card", card, "--out", packages[-1]) == 0
    assert validated(shared, *packages) == ["valid"] * len(cards)


def test_darwin_core_of_the_example_equals_the_snapshot(shared: Path, tmp_path: Path) -> None:
    example = shared / "reference" / "camtrapdp"
    export_package(example, tmp_path / "dwc")
    for name in ("occurrence.csv", "multimedia.csv"):
        made, expected = rows(tmp_path / "dwc" / name), rows(example / "dwc" / name)
        assert list(made[0]) == list(expected[0])
        for column in expected[0]:
            assert [row[column] for row in made] == [row[column] for row in expected], column
    meta = (tmp_path / "dwc" / "meta.xml").read_text(encoding="utf-8")
    assert meta.split() == (example / "dwc" / "meta.xml").read_text(encoding="utf-8").split()
    assert sorted(path.name for path in (tmp_path / "dwc").iterdir()) == [
        "meta.xml",
        "multimedia.csv",
        "occurrence.csv",
    ]


def test_darwin_core_of_our_own_record(sample: Sample, tmp_path: Path) -> None:
    assert export(sample, "darwin-core", "--out", tmp_path / "dwc", "--title", "Lions") == 0
    found = rows(tmp_path / "dwc" / "occurrence.csv")
    columns = ("scientificName", "individualCount", "eventDate", "identificationRemarks")
    assert [tuple(row[name] for name in columns) for row in found] == [
        (
            "Panthera leo",
            "1",
            "2026-03-01T07:00:00Z/2026-03-01T07:01:30Z",
            "classified by a machine with 91% certainty",
        ),
        (
            "Rhinocerotidae",
            "2",
            "2026-03-01T07:00:00Z/2026-03-01T07:01:30Z",
            "classified by a human",
        ),
        (
            "Vulpes lagopus",
            "1",
            "2026-03-05T08:00:00Z",
            "classified by a machine with 70% certainty",
        ),
        ("Animalia", "", "2026-03-05T10:00:00Z", "classified by a machine"),
    ]
    assert found[0]["dataGeneralizations"] == "coordinates rounded to 0.1 degree"
    assert found[0]["eventRemarks"] == (
        "camera trap with bait | tags: label:Lion"
        " | event: photos of a camera no more than 120 s apart, and the frames of one trigger"
    )
    # Each row says what was done to its own place, not what was done to the most sensitive one.
    assert [(row["coordinatePrecision"], row["decimalLatitude"]) for row in found[1:3]] == [
        ("0.1", "-2.3"),
        ("0.001", "64.123"),
    ]
    assert found[2]["dataGeneralizations"] == "coordinates rounded to 0.001 degree"
    assert len(rows(tmp_path / "dwc" / "multimedia.csv")) == 6


def test_what_is_no_package_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = Sample("sqlite:////nowhere/x", tmp_path, tmp_path)
    arguments = ("darwin-core", "--package", tmp_path, "--out", tmp_path / "dwc")
    assert export(sample, *arguments) == 2
    assert capsys.readouterr().err == (
        f"trapsort: {tmp_path} is no Camtrap DP package: datapackage.json cannot be read: No such"
        " file or directory\nname the folder with datapackage.json\n"
    )
    (tmp_path / "datapackage.json").write_text("[]")
    assert export(sample, *arguments) == 2
    assert "is no description of a Camtrap DP package" in capsys.readouterr().err


def test_a_package_with_events_alone_links_media_by_time(shared: Path, tmp_path: Path) -> None:
    example, package = shared / "reference" / "camtrapdp", tmp_path / "package"
    package.mkdir()
    for name in ("datapackage.json", "deployments.csv", "media.csv"):
        (package / name).write_bytes((example / name).read_bytes())
    with (package / "observations.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, tables.OBSERVATIONS)
        writer.writeheader()
        found = rows(example / "observations.csv")
        writer.writerows(row for row in found if row["observationLevel"] == "event")
    export_package(package, tmp_path / "dwc")
    made, expected = (
        {(row["occurrenceID"], row["identifier"]) for row in rows(folder / "multimedia.csv")}
        for folder in (tmp_path / "dwc", example / "dwc")
    )
    assert expected - made == set()
