"""The synthetic card: what it holds, that it says so, and that it is the same each time."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from trapsort.decode import decode
from trapsort.demo import LABEL, DemoCard, draw_card
from trapsort.errors import InputError, PhotoError
from trapsort.exif import read_exif
from trapsort.fingerprint import perceptual_hash, read_content
from trapsort.near import NEAR_DUPLICATE_BITS
from trapsort.scan import Photo, scan


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> DemoCard:
    return draw_card(tmp_path_factory.mktemp("demo") / "new" / "card")


@pytest.fixture(scope="module")
def contents(card: DemoCard) -> dict[str, bytes]:
    photos = [item for item in scan(card.folder) if isinstance(item, Photo)]
    return {photo.name: read_content(photo).data for photo in photos}


def test_the_account_is_what_is_on_the_card(card: DemoCard, contents: dict[str, bytes]) -> None:
    assert card == DemoCard(
        folder=card.folder,
        files=25,
        photos=21,
        duplicates=2,
        near_duplicates=1,
        burst=3,
        broken=2,
    )
    reasons: Counter[str] = Counter()
    readable = set()
    for data in contents.values():
        try:
            decode(data)
            readable.add(hashlib.sha256(data).digest())
            reasons["ok"] += 1
        except PhotoError as error:
            reasons[error.reason] += 1
    assert reasons == {"ok": 23, "truncated": 1, "not_an_image": 1}
    assert len(readable) == card.photos


def test_names(contents: dict[str, bytes]) -> None:
    assert list(contents) == [
        "DCIM/100TRAPS/=1+1.JPG",
        *(f"DCIM/100TRAPS/IMG_{number:04}.JPG" for number in range(1, 23)),
        "DCIM/101TRAPS/IMG_0001.JPG",
        "NOTES.TXT",
    ]


def test_every_picture_says_that_it_is_synthetic(
    card: DemoCard, contents: dict[str, bytes]
) -> None:
    for name in contents:
        if name.endswith(".JPG"):
            with Image.open(card.folder / name) as image:
                assert image.size == (1920, 1080)
                assert image.getexif()[0x010E] == (
                    "synthetic drawing by trapsort demo, not a photograph"
                )
    with Image.open(card.folder / "DCIM/100TRAPS/IMG_0001.JPG") as image:
        label = image.convert("L").crop((1000, 1010, 1920, 1080))
        bright = sum(label.histogram()[128:])
    assert 5_000 < bright < 20_000  # the printed label: letters, neither nothing nor a bar
    assert LABEL == "SYNTHETIC DRAWING - NOT A PHOTOGRAPH"
    assert LABEL.encode() in contents["NOTES.TXT"]


def test_camera_times_and_the_burst(contents: dict[str, bytes]) -> None:
    found = [read_exif(contents[f"DCIM/100TRAPS/IMG_{n:04}.JPG"]) for n in range(1, 20)]
    times = [exif.camera_time or "" for exif in found]
    assert times == sorted(times)
    assert times[5:8] == ["2025-03-15T07:22:00", "2025-03-15T07:22:01", "2025-03-15T07:22:02"]
    assert {(exif.make, exif.model, exif.flags) for exif in found} == {("trapsort", "DEMO 1", ())}


def test_night_frames_are_grey(contents: dict[str, bytes]) -> None:
    def colour(number: int) -> int:
        pixels = decode(contents[f"DCIM/100TRAPS/IMG_{number:04}.JPG"]).pixels[:200].astype(int)
        return int(abs(pixels[..., 0] - pixels[..., 2]).max())

    assert colour(4) <= 2
    assert colour(1) > 50


def test_the_near_duplicate_is_near_and_no_copy(contents: dict[str, bytes]) -> None:
    one, other = contents["DCIM/100TRAPS/IMG_0002.JPG"], contents["DCIM/100TRAPS/IMG_0020.JPG"]
    assert one != other
    bits = perceptual_hash(decode(one).pixels) ^ perceptual_hash(decode(other).pixels)
    assert bits.bit_count() <= NEAR_DUPLICATE_BITS


def test_the_same_bytes_each_time(
    card: DemoCard, contents: dict[str, bytes], tmp_path: Path
) -> None:
    again = draw_card(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in contents} == contents
    first, second = (
        [(item.relative, item.mtime_ns) for item in scan(each.folder) if isinstance(item, Photo)]
        for each in (card, again)
    )
    assert first == second


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InputError) as caught:
        draw_card(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} is not empty.\nGive a new folder for the synthetic card."
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        draw_card(tmp_path / "file")
    assert str(caught.value) == (
        f"Cannot draw a card in {tmp_path / 'file'}: File exists.\nGive another folder."
    )
