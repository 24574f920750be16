"""What trapsort exports it takes in again: the same sightings in an empty record with the card."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tests.records import ask
from tests.test_import_detections import box, image, megadetector
from tests.toy import write_bundle
from trapsort.cli.main import main
from trapsort.store import Store
from trapsort.store.rows import DeploymentRow

PHOTOS = 6  # of the card
OF_THE_RECORD = ("photo_id", "sequence_id", "near_duplicate_of")  # numbers of one record alone


@pytest.fixture
def card(shared: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "card"
    shutil.copytree(shared / "cards" / "serengeti", folder, copy_function=shutil.copyfile)
    return folder


def run(tmp_path: Path, database: str, *arguments: str) -> int:
    bundle = str(write_bundle(tmp_path / "toy"))
    return main([*arguments, "--bundle", bundle, "--db", str(tmp_path / database)])


def opened(tmp_path: Path, database: str) -> Store:
    return Store.open(f"sqlite:///{tmp_path / database}")


def sightings(tmp_path: Path, database: str) -> list[dict[str, Any]]:
    with opened(tmp_path, database) as store:
        rows = [asdict(each) for each in store.sightings()]
    return [{key: row[key] for key in row if key not in OF_THE_RECORD} for row in rows]


def test_a_camtrap_dp_package(card: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "one.db", "ingest", str(card)) == 0
    with opened(tmp_path, "one.db") as store:
        deployment = DeploymentRow(
            name="ridge-1", station="ridge", latitude=-2.4321, longitude=34.8765,
            utc_offset="+03:00",
            start="2010-08-01T00:00:00", end="2010-08-31T23:59:59", card=str(card),
            habitat="savanna", bait="none", comments="by the kopje",
        )  # fmt: skip
        store.import_deployments([deployment])
        ids = [each.photo_id for each in store.sightings()]
        assert len(ids) == PHOTOS
        said = ("Lion", "Panthers", "blank", "person", None)
        for number, (photo, label) in enumerate(zip(ids, said, strict=False)):
            count = number + 1 if label in ("Lion", "Panthers") else 1
            store.review(photo, label, reviewer="Ana", count=count, note=f"note, {number}")
    out = tmp_path / "package"
    assert (
        run(tmp_path, "one.db", "export", "camtrap-dp", "--out", str(out), "--precision", "none")
        == 0
    )
    assert run(tmp_path, "two.db", "ingest", str(card)) == 0
    assert sightings(tmp_path, "two.db") != sightings(tmp_path, "one.db")
    assert run(tmp_path, "two.db", "import", "camtrap-dp", str(out)) == 0
    assert sightings(tmp_path, "two.db") == sightings(tmp_path, "one.db")
    with opened(tmp_path, "one.db") as one, opened(tmp_path, "two.db") as two:
        assert two.stations() == one.stations()
        (was,), (now,) = one.deployments(), two.deployments()
    for name in ("name", "station", "start", "end", "utc_offset", "habitat", "bait", "comments"):
        assert getattr(now, name) == getattr(was, name)
    reviews = "SELECT sha256, label, count, reviewer, time, note FROM reviews JOIN photos"
    reviews += " ON photos.id = photo_id ORDER BY sha256"
    urls = [f"sqlite:///{tmp_path / name}" for name in ("one.db", "two.db")]
    assert ask(urls[1], reviews) == ask(urls[0], reviews)


def test_megadetector_results(card: Path, tmp_path: Path) -> None:
    """Boxes, what was seen in them and how surely; what trapsort says itself it says again."""
    assert run(tmp_path, "one.db", "ingest", str(card)) == 0
    names = [each["path"] for each in sightings(tmp_path, "one.db")]
    boxes = (
        [box("1", 0.9)],
        [box("2", 0.75), box("1", 0.5, at=[0.5, 0.5, 0.25, 0.25])],
        [box("3", 0.5)],
    )
    images = [image(name, *found) for name, found in zip(names, boxes, strict=False)]
    file = str(megadetector(tmp_path / "md.json", *images))
    assert run(tmp_path, "one.db", "import", "megadetector", file) == 0
    out = str(tmp_path / "out.json")
    assert run(tmp_path, "one.db", "export", "megadetector", "--out", out) == 0
    assert run(tmp_path, "two.db", "ingest", str(card)) == 0
    assert run(tmp_path, "two.db", "import", "megadetector", out) == 0
    assert sightings(tmp_path, "two.db") == sightings(tmp_path, "one.db")
    query = """
        SELECT sha256, x, y, regions.width, regions.height, detector_confidence, reason
        FROM regions JOIN photos ON photos.id = photo_id
        JOIN predictions ON region_id = regions.id WHERE detector_confidence < 1 ORDER BY 1, 2, 3"""
    urls = [f"sqlite:///{tmp_path / name}" for name in ("one.db", "two.db")]
    assert len(ask(urls[0], query)) == 4
    assert ask(urls[1], query) == ask(urls[0], query)
