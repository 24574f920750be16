"""Camtrap DP packages: what they say of recorded photos, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.records import ask, keys, record, sha
from trapsort.errors import InputError
from trapsort.exif import NO_EXIF
from trapsort.interchange.detected import LeftOut
from trapsort.interchange.matching import Matcher
from trapsort.interchange.read_camtrap_dp import Account, import_camtrap_dp
from trapsort.store import Store

PROFILE = "https://raw.githubusercontent.com/tdwg/camtrap-dp/1.0.2/camtrap-dp-profile.json"
RIDGE = {
    "deploymentID": "ridge-1", "locationName": "ridge", "latitude": "-2.5", "longitude": "34.8",
    "deploymentStart": "2026-03-01T00:00:00+03:00", "deploymentEnd": "2026-03-31T20:59:59Z",
    "cameraID": "P800", "baitUse": "false", "habitat": "wood", "timestampIssues": "false",
}  # fmt: skip
MOMENT = "2026-03-05T10:00:00+03:00"


def media(name: str, path: str, time: str = MOMENT) -> dict[str, str]:
    return {"mediaID": name, "deploymentID": "ridge-1", "timestamp": time, "filePath": path}


def seen(kind: str, name: str = "", **more: str) -> dict[str, str]:
    row = {
        "deploymentID": "ridge-1", "mediaID": "m1", "eventID": "e1", "eventStart": MOMENT,
        "eventEnd": MOMENT, "observationLevel": "media", "observationType": kind,
        "scientificName": name, "count": "1" if kind == "animal" else "",
        "classificationMethod": "human", "classifiedBy": "Ana",
        "classificationTimestamp": "2026-04-01T12:00:00+02:00",
    }  # fmt: skip
    return row | more


def machine(kind: str, name: str = "", **more: str) -> dict[str, str]:
    who = {"classificationMethod": "machine", "classifiedBy": "Western Europe model Version 1"}
    return seen(kind, name) | who | more


def package(
    folder: Path,
    files: list[dict[str, str]],
    observations: list[dict[str, str]],
    deployments: tuple[Mapping[str, str], ...] = (RIDGE,),
    **changes: Any,
) -> Path:
    folder.mkdir(exist_ok=True)
    tables: dict[str, Any] = {
        "deployments": deployments, "media": files, "observations": observations,
    }  # fmt: skip
    for name, rows in tables.items():
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
    resources = [{"name": name, "path": f"{name}.csv"} for name in tables]
    about = {"profile": PROFILE, "created": "2026-05-01T00:00:00Z", "resources": resources}
    (folder / "datapackage.json").write_text(json.dumps(about | changes), encoding="utf-8")
    return folder


def imported(store: Store, path: Path) -> tuple[Account, list[LeftOut]]:
    left: list[LeftOut] = []
    account = import_camtrap_dp(
        store, path, Matcher(store), on_left_out=left.append, on_progress=lambda _: None
    )
    return account, left


def with_photos(store: Store, *names: str, serial: str = "P800") -> None:
    card, model = keys(store)
    exif = replace(NO_EXIF, camera_time="2026-03-05T10:00:00", serial=serial)
    records = [replace(record(name, prediction=None), exif=exif) for name in names]
    store.record(card, model, records=records)


def said(store: Store) -> dict[str, tuple[str | None, str | None, int | None, str | None]]:
    return {
        each.path: (each.label, each.reason, each.count, each.reviewer)
        for each in store.sightings()
    }


REVIEWS = "SELECT label, count, reviewer, time, note FROM reviews ORDER BY id"


def test_people_become_reviewers_and_models_models(store: Store, url: str, tmp_path: Path) -> None:
    with_photos(store, "DCIM/a.jpg", "DCIM/b.jpg", "DCIM/c.jpg")
    files = [media("m1", "DCIM/a.jpg"), media(sha("DCIM/b.jpg").hex(), "elsewhere/x.jpg")]
    files += [media("m3", "https://example.org/c.jpg"), media("m4", "DCIM/d.mp4")]
    box = {"bboxX": "0.1", "bboxY": "0.2", "bboxWidth": "0.3", "bboxHeight": "0.4"}
    second = sha("DCIM/b.jpg").hex()
    rows = [
        seen("animal", "Panthera leo", count="2", observationComments="a pride, at noon"),
        machine("animal", "Vulpes vulpes", mediaID=second, classificationProbability="0.75", **box),
        machine("blank", mediaID=second),
        seen("unclassified", mediaID=second),
    ]
    account, left = imported(store, package(tmp_path / "dp", files, rows))
    assert account == Account(
        media=4, photos=2, deployments=1, reviews=1, predictions=2,
        new_deployments=1, new_reviews=1, new_predictions=2,
    )  # fmt: skip
    assert left == [
        LeftOut("https://example.org/c.jpg", "unknown", "it is an address in the web"),
        LeftOut("DCIM/d.mp4", "video", ""),
    ]
    assert said(store) == {
        "DCIM/a.jpg": ("Lion", None, 2, "Ana"),
        "DCIM/b.jpg": ("Vulpes vulpes", None, 1, None),
        "DCIM/c.jpg": (None, None, None, None),
    }
    assert ask(url, REVIEWS) == [("Lion", 2, "Ana", "2026-04-01T10:00:00Z", "a pride, at noon")]
    query = """
        SELECT x, y, regions.width, regions.height, detector, label, probability, reason, name
        FROM predictions JOIN regions ON regions.id = region_id JOIN models ON models.id = model_id
        ORDER BY label"""
    model = "Western Europe model Version 1"
    found = sorted(ask(url, query), key=str)
    assert found == [
        (0.0, 0.0, 1.0, 1.0, "", None, None, "blank", model),
        (0.1, 0.2, 0.3, 0.4, model, "Vulpes vulpes", 0.75, None, model),
    ]


def test_deployments_are_added_with_where_their_photos_are(store: Store, tmp_path: Path) -> None:
    with_photos(store, "DCIM/100EK113/a.jpg", "DCIM/101EK113/b.jpg")
    files = [media("m1", "DCIM/100EK113/a.jpg"), media("m2", "DCIM/101EK113/b.jpg")]
    imported(store, package(tmp_path / "dp", files, [seen("blank")]))
    (row,) = store.deployments()
    assert (row.name, row.station, row.serial, row.camera) == ("ridge-1", "ridge", "P800", "")
    assert (row.card, row.folder) == ("/media/card", "DCIM/**")
    assert (row.start, row.end) == ("2026-03-01T00:00:00", "2026-03-31T23:59:59")
    assert (row.utc_offset, row.habitat, row.bait) == ("+03:00", "wood", "")
    assert (row.latitude, row.longitude) == (-2.5, 34.8)
    assert {each.deployment for each in store.sightings()} == {"ridge-1"}


def test_what_is_recorded_of_deployments_and_stations_stays(store: Store, tmp_path: Path) -> None:
    with_photos(store, "a.jpg", serial="other")
    imported(store, package(tmp_path / "1", [media("m1", "a.jpg")], [seen("blank")]))
    before = store.deployments()
    assert (before[0].serial, before[0].camera) == ("", "P800")
    moved = {**RIDGE, "latitude": "-2.6", "habitat": "scrub"}
    new = {**moved, "deploymentID": "ridge-2", "cameraID": "P900"}
    files = [media("m1", "a.jpg")]
    account, _ = imported(store, package(tmp_path / "2", files, [seen("blank")], (moved, new)))
    assert (account.deployments, account.new_deployments) == (2, 1)
    assert store.deployments()[:1] == before
    assert [each.latitude for each in store.stations()] == [-2.5]


def test_an_unknown_zone_stays_unknown(store: Store, tmp_path: Path) -> None:
    with_photos(store, "a.jpg")
    times = {"deploymentStart": "2026-03-01T00:00:00Z", "deploymentEnd": "2026-03-31T00:00:00Z"}
    row = {**RIDGE, **times, "timestampIssues": "true", "locationName": ""}
    imported(store, package(tmp_path / "1", [media("m1", "a.jpg")], [seen("blank")], (row,)))
    (found,) = store.deployments()
    assert (found.station, found.utc_offset) == ("ridge-1", None)


def test_twice_is_once(store: Store, url: str, tmp_path: Path) -> None:
    with_photos(store, "a.jpg")
    untimed = seen("animal", "Panthera leo", classificationTimestamp="")
    path = package(tmp_path / "dp", [media("m1", "a.jpg")], [untimed, machine("human")])
    imported(store, path)
    tables = ("photos", "regions", "predictions", "models", "reviews", "deployments", "stations")
    before = [ask(url, f"SELECT * FROM {table} ORDER BY id") for table in tables]  # noqa: S608
    assert [len(rows) for rows in before] == [1, 1, 1, 2, 1, 1, 1]
    account, _ = imported(store, path)
    assert (account.new_reviews, account.new_predictions, account.new_deployments) == (0, 0, 0)
    assert [ask(url, f"SELECT * FROM {table} ORDER BY id") for table in tables] == before  # noqa: S608
    assert before[4][0][5] == "2026-05-01T00:00:00Z"  # nobody noted when: that of the package


def test_several_rows_of_a_photo(store: Store, url: str, tmp_path: Path) -> None:
    """Hen and drake are one species; of several the most, and the most telling, is the sighting."""
    with_photos(store, "a.jpg")
    rows = [
        seen("animal", "Anas platyrhynchos", count="3", sex="female", observationComments="hens"),
        seen("animal", "Anas platyrhynchos", count="2", sex="male", observationComments="drakes"),
        seen("animal", "Ardea cinerea", count="1"),
        seen("human"),
        seen("blank"),
    ]
    imported(store, package(tmp_path / "dp", [media("m1", "a.jpg")], rows))
    assert [row[:2] + row[4:] for row in ask(url, REVIEWS)] == [
        ("blank", 1, ""),
        ("person", 1, ""),
        ("Ardea cinerea", 1, ""),
        ("Anas platyrhynchos", 5, "hens; drakes"),
    ]
    assert said(store)["a.jpg"] == ("Anas platyrhynchos", None, 5, "Ana")


def test_rows_of_events_count_where_no_row_is_of_a_photo(store: Store, tmp_path: Path) -> None:
    with_photos(store, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    times = [f"2026-03-05T10:00:{second:02}+03:00" for second in (0, 1, 2, 30)]
    files = [media(f"m{n}", f"{'abcd'[n - 1]}.jpg", times[n - 1]) for n in (1, 2, 3, 4)]
    event = {"mediaID": "", "observationLevel": "event"}
    first = {"eventStart": times[0], "eventEnd": "2026-03-05T07:00:02Z"}
    last = {"eventID": "e2", "eventStart": times[3], "eventEnd": times[3]}
    rows = [
        seen("animal", "Panthera leo", count="4", **event, **first),
        seen("blank", mediaID="m4", **last),
        seen("human", **event, **last),
    ]
    imported(store, package(tmp_path / "dp", files, rows))
    assert said(store) == {
        "a.jpg": ("Lion", None, 4, "Ana"),
        "b.jpg": ("Lion", None, 4, "Ana"),
        "c.jpg": ("Lion", None, 4, "Ana"),
        "d.jpg": ("blank", None, 1, "Ana"),
    }


def test_labels_and_reasons_that_trapsort_tagged(store: Store, tmp_path: Path) -> None:
    with_photos(store, "a.jpg", "b.jpg", "c.jpg")
    files = [media(f"m{n}", f"{'abc'[n - 1]}.jpg") for n in (1, 2, 3)]
    rows = [
        seen("animal", "Panthera", observationTags="x:y | label:Panthers"),
        machine("animal", mediaID="m2", observationTags="reason:novel"),
        machine("unknown", mediaID="m3", observationTags="reason:nonsense"),
    ]
    imported(store, package(tmp_path / "dp", files, rows))
    assert said(store) == {
        "a.jpg": ("Panthers", None, 1, "Ana"),
        "b.jpg": (None, "novel", None, None),
        "c.jpg": (None, "low_confidence", None, None),
    }


@pytest.mark.parametrize("form", ["folder", "description", "zip", "nested zip"])
def test_a_package_is_a_folder_or_a_zip_file(store: Store, tmp_path: Path, form: str) -> None:
    with_photos(store, "a.jpg")
    path = package(tmp_path / "dp", [media("m1", "a.jpg")], [seen("animal", "Panthera leo")])
    if "zip" in form:
        base = path.parent if form == "nested zip" else path
        packed = tmp_path / "dp.zip"
        with zipfile.ZipFile(packed, "w") as archive:
            for file in path.iterdir():
                archive.write(file, file.relative_to(base))
        path = packed
    account, _ = imported(store, path / "datapackage.json" if form == "description" else path)
    assert account.new_reviews == 1


def test_the_official_example(store: Store, shared: Path) -> None:
    """Its 423 files are addresses in the web; photos with their mediaIDs' times are not here."""
    account, left = imported(store, shared / "reference" / "camtrapdp")
    assert (account.media, account.photos, account.new_deployments) == (423, 0, 4)
    assert {each.reason for each in left} == {"unknown"}
    offsets = {row.name: (row.start, row.utc_offset) for row in store.deployments()}
    assert offsets["00a2c20d"] == ("2020-05-30T04:57:37", "+02:00")


def test_another_version_is_refused(store: Store, shared: Path) -> None:
    with pytest.raises(InputError, match=r"version of Camtrap DP is .*, trapsort reads 1\.0\.2"):
        imported(store, shared / "reference" / "mica")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"rows": [seen("animal", mediaID="m9")]}, "observations.csv, line 2: there is no media file"),
    ({"rows": [seen("animal", deploymentID="x")]}, "line 2: there is no deployment 'x'"),
    ({"rows": [seen("plant")]}, "line 2: observationType is 'plant'"),
    ({"rows": [seen("animal", count="1.5")]}, "line 2: count is '1.5'"),
    ({"rows": [seen("animal", eventStart="noon")]}, "line 2: eventStart is 'noon', not a time"),
    (
        {"rows": [seen("animal", eventStart="2026-03-05T10:00:00")]},
        "line 2: eventStart is '2026-03-05T10:00:00', a time without its zone",
    ),
    ({"rows": [machine("animal", classificationProbability="1.5")]}, "line 2: it is 1.5"),
    ({"rows": [machine("animal", classificationProbability="nan")]}, "line 2: it is nan"),
    ({"rows": [machine("animal", **dict.fromkeys(("bboxX", "bboxY", "bboxWidth", "bboxHeight"),
      "0.9"))]}, "line 2: bbox [0.9, 0.9, 0.9, 0.9] lies outside its photo"),
    ({"rows": [seen("animal", observationComments="a\0b")]}, "line 2: it holds NUL characters"),
    ({"files": [media("m1", "a.jpg", "yesterday")]}, "media.csv, line 2: timestamp is 'yesterday'"),
    ({"files": [media("m1", "")]}, "media.csv, line 2: filePath is '', not a name"),
    ({"deployments": ({**RIDGE, "latitude": "x"},)}, "deployments.csv, line 2: latitude is 'x'"),
    ({"profile": "camtrap-dp/2.0/x"}, "its version of Camtrap DP is 2.0"),
    ({"resources": []}, "it names no file of deployments"),
    ({"resources": [{"name": "deployments", "path": "../x.csv"}]}, "'../x.csv', is not beside it"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "why"), BAD, ids=[why for _, why in BAD])
def test_a_package_that_cannot_be_is_refused_whole(
    store: Store, url: str, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    with_photos(store, "a.jpg")
    rest = {key: value for key, value in changes.items() if key not in ("files", "rows")}
    files = changes.get("files", [media("m1", "a.jpg")])
    path = package(tmp_path / "dp", files, changes.get("rows", [seen("blank")]), **rest)
    with pytest.raises(InputError) as raised:
        imported(store, path)
    assert why in raised.value.message
    for table in ("reviews", "regions", "deployments", "stations"):
        assert ask(url, f"SELECT count(*) FROM {table}") == [(0,)]  # noqa: S608


def test_a_package_that_is_not_whole_is_refused(store: Store, tmp_path: Path) -> None:
    path = package(tmp_path / "dp", [media("m1", "a.jpg")], [seen("blank")])
    text = (path / "observations.csv").read_text()
    (path / "observations.csv").write_text(text + "ridge-1,m1")
    with pytest.raises(InputError, match="line 3: it has more or fewer cells than the header"):
        imported(store, path)
    (path / "observations.csv").write_text(text.replace("observationType", "type"))
    with pytest.raises(InputError, match=r"observations\.csv has no column observationType"):
        imported(store, path)
    (path / "observations.csv").write_bytes(text.encode() + b"\xff")
    with pytest.raises(InputError, match=r"observations\.csv, line .*: not UTF-8"):
        imported(store, path)
    (path / "observations.csv").unlink()
    with pytest.raises(InputError, match=r"holds no observations\.csv"):
        imported(store, path)
    (path / "datapackage.json").write_text("{")
    with pytest.raises(InputError, match=r"datapackage\.json cannot be used"):
        imported(store, path)
    shutil.rmtree(path)
    path.write_bytes(b"no zip")
    with pytest.raises(InputError, match="is no package: File is not a zip file"):
        imported(store, path)
