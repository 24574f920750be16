"""A small record with everything that an export must tell apart, and how the tests export it."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from trapsort.cli.main import main
from trapsort.ensemble import Prediction
from trapsort.exif import NO_EXIF
from trapsort.scan import Photo, Problem
from trapsort.store import DeploymentRow, Record, StationRow, Store
from trapsort.store.imported import Told

MODEL = "iucn11-1.0.0"
ODD = "=a..b \n[1].JPG"


@dataclass(frozen=True)
class Sample:
    """Where the record and its cards are."""

    url: str
    north: Path
    south: Path


def said(label: str | None, probability: float, reason: str | None = None) -> Prediction:
    return Prediction(label, probability, reason, (), ())


def jpeg(colour: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (32, 24), (colour, 2 * colour % 256, 90)).save(file, "JPEG")
    return file.getvalue()


def photo_record(
    card: Path, name: str, prediction: Prediction | None, time: str | None, number: int
) -> Record:
    """Write a photo to a card and return it as the pipeline would record it."""
    data = jpeg(number)
    path = card / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Record(
        photo=Photo(card, path, name.encode(), len(data), 1),
        sha256=hashlib.sha256(data).digest(),
        size=len(data),
        exif=replace(
            NO_EXIF, camera_time=time, make="RECONYX", model="HF2", trigger="motion", flags=()
        ),
        width=32,
        height=24,
        format="JPEG",
        flags=(),
        perceptual_hash=number,
        prediction=prediction,
    )


def make_record(url: str, folder: Path) -> Sample:
    """Two cards: `north` at S1 with a deployment, `south` at S2 without one, boxes and a review."""
    north, south = folder / "cards" / "north", folder / "cards" / "south"
    with Store.open(url) as store:
        model = store.model("iucn11", "1.0.0", "d1")
        store.record(
            store.card(north, station="S1"),
            model,
            records=[
                photo_record(north, *each)
                for each in (
                    ("DCIM/IMG_0001.JPG", said("Lion", 0.91), "2026-03-01T10:00:00", 1),
                    ("DCIM/IMG_0002.JPG", said("Lion", 0.8), "2026-03-01T10:01:30", 2),
                    ("DCIM/IMG_0003.JPG", said(None, 0.97, "blank"), "2026-03-01T12:00:00", 3),
                    (ODD, said(None, 0.4, "novel"), "2026-03-02T00:00:00", 4),
                    ("DCIM/IMG_0005.JPG", said("Lion", 0.99), None, 5),
                )
            ],
            problems=[Problem(north, b"DCIM/IMG_0006.JPG", "truncated", "it ends early")],
        )
        store.record(
            store.card(south, station="S2"),
            model,
            records=[
                photo_record(south, *each)
                for each in (
                    ("IMG_0001.JPG", said("Arctic_Fox", 0.7), "2026-03-05T08:00:00", 11),
                    ("IMG_0002.JPG", said(None, 0.5, "vehicle"), "2026-03-05T09:00:00", 12),
                    ("IMG_0003.JPG", None, "2026-03-05T10:00:00", 13),
                )
            ],
        )
        ids = {(each.card, each.path): each.photo_id for each in store.sightings()}
        second = ids[str(north), "DCIM/IMG_0002.JPG"]
        store.review(second, "Rhino", reviewer="Ada", count=2, note="two of them")
        detector = store.imported_model("md_v5a", "megadetector")
        animal = Prediction(None, None, "other_animal", (), ())
        third = ids[str(south), "IMG_0003.JPG"]
        store.tell(
            [
                Told(
                    third,
                    detector,
                    animal,
                    (0.25, 0.5, 0.5, 0.25),
                    "md_v5a",
                    0.875,
                    "2026-04-01T00:00:00Z",
                )
            ]
        )
        store.import_stations(
            [
                StationRow(name="S1", latitude=-2.33336, longitude=34.83336),
                StationRow(name="S2", latitude=64.12345, longitude=-21.98765),
            ]
        )
        store.import_deployments(
            [
                DeploymentRow(
                    name="S1-2026",
                    station="S1",
                    serial="",
                    card=str(north),
                    start="2026-02-28T00:00:00",
                    end="2026-03-31T23:59:59",
                    utc_offset="+03:00",
                    bait="sardines",
                    habitat="savanna",
                )
            ]
        )
    return Sample(url, north, south)


def sample_in(folder: Path) -> Sample:
    return make_record(f"sqlite:///{(folder / 'sightings.sqlite3').as_posix()}", folder)


def export(sample: Sample, *arguments: str | Path) -> int:
    return main(["--db", sample.url, "export", *map(str, arguments)])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
