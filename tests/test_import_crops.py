"""`import ... --classify`: the animals in a detector's boxes, cut out and named by the bundle."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.records import ask
from tests.test_import_detections import box, image, megadetector
from tests.toy import write_bundle
from trapsort.cli.main import main
from trapsort.decode import SIDE, crops, decode
from trapsort.errors import PhotoError
from trapsort.interchange.crops import square
from trapsort.store import Store

RED, GREEN, BLACK = (220, 10, 10), (10, 220, 10), (0, 0, 0)


def painted(path: Path, *parts: tuple[tuple[int, int, int, int], tuple[int, int, int]]) -> None:
    """A black photo of 400 x 200 with coloured rectangles: left, top, right, bottom."""
    picture = Image.new("RGB", (400, 200), BLACK)
    for corners, colour in parts:
        picture.paste(colour, corners)
    picture.save(path, quality=95)
    old = time.time() - 3600
    os.utime(path, (old, old))


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A black photo with a red and a green animal, and a green one."""
    folder = tmp_path / "card"
    folder.mkdir()
    painted(folder / "a.jpg", ((0, 0, 100, 100), RED), ((300, 100, 400, 200), GREEN))
    painted(folder / "b.jpg", ((0, 0, 100, 100), GREEN))
    return folder


def run(tmp_path: Path, *arguments: str) -> int:
    common = ["--bundle", str(tmp_path / "toy"), "--db", str(tmp_path / "x.sqlite3")]
    return main([*arguments, *common])


@pytest.fixture
def taken_in(card: Path, tmp_path: Path) -> str:
    """The URL of a record that holds the card; nothing is named on its photos."""
    write_bundle(tmp_path / "toy")
    assert run(tmp_path, "ingest", str(card)) == 0
    return f"sqlite:///{tmp_path / 'x.sqlite3'}"


def said(url: str) -> dict[str, tuple[str | None, str | None]]:
    with Store.open(url) as store:
        return {each.path: (each.label, each.reason) for each in store.sightings()}


def results(tmp_path: Path) -> str:
    red, green = [0.05, 0.1, 0.15, 0.3], [0.8, 0.6, 0.15, 0.3]
    boxes = [box("1", 0.9, at=red), box("1", 0.3, at=green), box("2", 0.9, at=[0.3, 0, 0.2, 0.2])]
    return str(
        megadetector(
            tmp_path / "md.json",
            image("a.jpg", *boxes),
            image("b.jpg", box("1", 0.1, at=red)),
        )
    )


def test_animals_in_boxes_are_named(
    taken_in: str, card: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert said(taken_in) == {"a.jpg": (None, "blank"), "b.jpg": (None, "blank")}
    capfd.readouterr()
    assert run(tmp_path, "import", "megadetector", results(tmp_path), "--classify") == 0
    printed = capfd.readouterr()
    assert printed.out == (
        "md.json: of 2 files 2 are recorded photos, with 4 boxes of md_v5a.0.1.pt; new: 5 answers"
        " (boxes count from 0.2)\n"
        "md.json: classified by toy-1.0.0: 2 boxes of 1 photo\n"
    )
    assert printed.err == ""
    assert said(taken_in)["a.jpg"][0] in ("Lion", "Panda")
    query = """
        SELECT detector_confidence, label FROM predictions JOIN regions ON regions.id = region_id
        JOIN models ON models.id = model_id
        WHERE detector <> '' AND source = '' ORDER BY detector_confidence"""
    assert ask(taken_in, query) == [(0.3, "Panda"), (0.9, "Lion")]


def test_what_is_done_is_not_done_again(
    taken_in: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = results(tmp_path)
    assert run(tmp_path, "import", "megadetector", file, "--classify") == 0
    before = ask(taken_in, "SELECT * FROM predictions ORDER BY id")
    green = "SELECT id FROM regions WHERE detector_confidence = 0.3"
    ask(taken_in, f"DELETE FROM predictions WHERE label = 'Panda' AND region_id = ({green})")  # noqa: S608
    capfd.readouterr()
    assert run(tmp_path, "import", "megadetector", file, "--classify") == 0
    assert ": 1 box of 1 photo\n" in capfd.readouterr().out
    assert run(tmp_path, "import", "megadetector", file, "--classify") == 0
    assert ": 0 boxes of 0 photos\n" in capfd.readouterr().out
    after = ask(taken_in, "SELECT * FROM predictions ORDER BY id")
    assert sorted(row[1:8] for row in after) == sorted(row[1:8] for row in before)


def test_a_lower_confidence_takes_more_boxes(
    taken_in: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = results(tmp_path)
    options = ("--classify", "--min-confidence", "0.05")
    assert run(tmp_path, "import", "megadetector", file, *options) == 0
    assert ": 3 boxes of 2 photos\n" in capfd.readouterr().out
    assert said(taken_in)["b.jpg"] == ("Panda", None)


def test_originals_that_cannot_be_read_are_said(
    taken_in: str, card: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    painted(card / "a.jpg", ((0, 0, 400, 200), GREEN))  # another photo at its place
    capfd.readouterr()
    assert run(tmp_path, "import", "megadetector", results(tmp_path), "--classify") == 1
    assert capfd.readouterr().err == (
        "1 file: the originals cannot be read, so that their boxes are not classified\n"
        f"  {card / 'a.jpg'}: another file is there now: not the photo of these boxes\n"
    )
    (card / "a.jpg").unlink()
    assert run(tmp_path, "import", "megadetector", results(tmp_path), "--classify") == 1
    assert f"  {card / 'a.jpg'}: No such file or directory\n" in capfd.readouterr().err


def test_a_new_bundle_still_classifies_the_whole_photo(
    taken_in: str, card: Path, tmp_path: Path
) -> None:
    """What a bundle says of a box does not count as its answer for the photo."""
    toy = write_bundle(tmp_path / "toy", version="2.0.0")
    assert run(tmp_path, "import", "megadetector", results(tmp_path), "--classify") == 0
    assert run(tmp_path, "ingest", str(card)) == 0
    query = """
        SELECT count(*) FROM predictions JOIN regions ON regions.id = region_id
        JOIN models ON models.id = model_id WHERE detector = '' AND version = ?"""
    version = json.loads((toy / "bundle.json").read_text())["version"]
    assert ask(taken_in, query, version) == [(2,)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        # 100 x 100 pixels of 400 x 200: a square of 120 pixels
        ((0.375, 0.25, 0.25, 0.5), (0.35, 0.2, 0.65, 0.8)),
        # a tall box, 20 x 100 pixels: as wide as it is high
        ((0.475, 0.25, 0.05, 0.5), (0.35, 0.2, 0.65, 0.8)),
        # at the corner: moved inside
        ((0.0, 0.0, 0.25, 0.5), (0.0, 0.0, 0.3, 0.6)),
        ((0.75, 0.5, 0.25, 0.5), (0.7, 0.4, 1.0, 1.0)),
        # wider than the photo is high: all of its height
        ((0.1, 0.4, 0.75, 0.2), (0.025, 0.0, 0.925, 1.0)),
        ((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, 1.0, 1.0)),
    ],
)
def test_what_is_cut_out_is_a_square_with_a_margin(where: Any, expected: Any) -> None:
    assert square(where, 400, 200) == pytest.approx(expected)


def test_crops_are_upright_and_of_full_size(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    picture = Image.new("RGB", (3200, 1600), BLACK)
    picture.paste(RED, (0, 0, 400, 400))  # upright, it is at the top right
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    picture.save(path, exif=exif, quality=95)
    data = path.read_bytes()
    red, black = crops(data, [(0.75, 0.0, 1.0, 0.125), (0.0, 0.5, 0.5, 1.0)], (64, 32))
    assert (red.width, red.height, black.width, black.height) == (400, 400, 800, 1600)
    assert red.pixels.shape == (SIDE, SIDE, 3)
    assert red.model_input.shape == (32, 64, 3)
    assert np.abs(red.pixels[8:-8, 8:-8].astype(int) - RED).max() < 12
    assert black.pixels.max() < 12


def test_a_crop_of_all_is_the_photo(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rng = np.random.default_rng(5)
    Image.fromarray(rng.integers(0, 255, (90, 120, 3), np.uint8)).save(path)
    data = path.read_bytes()
    whole, dot = crops(data, [(0, 0, 1, 1), (1.0, 1.0, 1.0, 1.0)])
    assert (whole.pixels == decode(data).pixels).all()
    assert (dot.width, dot.height) == (1, 1)
    with pytest.raises(PhotoError, match="not_an_image"):
        crops(b"no photo", [])
