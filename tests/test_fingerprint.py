"""Content, its digest, and what looks alike."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from trapsort import fingerprint
from trapsort.decode import decode
from trapsort.errors import PhotoError
from trapsort.fingerprint import perceptual_hash, read_content
from trapsort.near import NearDuplicates
from trapsort.scan import Photo, scan

posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file systems")


def photo_of(path: Path, content: bytes = b"content") -> Photo:
    path.write_bytes(content)
    (photo,) = scan(path)
    assert isinstance(photo, Photo)
    return photo


def reason_of(photo: Photo) -> tuple[str, str]:
    with pytest.raises(PhotoError) as caught:
        read_content(photo)
    return caught.value.reason, caught.value.detail


def test_content_is_the_bytes_and_their_digest(tmp_path: Path) -> None:
    photo = photo_of(tmp_path / "a.jpg", b"abc")
    content = read_content(photo)
    assert (content.photo, content.data) == (photo, b"abc")
    assert content.sha256.hex() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_an_empty_file(tmp_path: Path) -> None:
    assert reason_of(photo_of(tmp_path / "a", b"")) == ("empty", "the file has no bytes")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 16 * 1024**3)  # takes no space
    (photo,) = scan(path)
    assert isinstance(photo, Photo)
    assert reason_of(photo) == (
        "too_large",
        "17,179,869,184 bytes; at most 268,435,456 are read",
    )


def test_a_file_that_changed_since_the_scan(tmp_path: Path) -> None:
    photo = photo_of(tmp_path / "a")
    detail = "size or time changed since the folder was listed"
    assert reason_of(replace(photo, mtime_ns=photo.mtime_ns - 1)) == ("changed", detail)
    (tmp_path / "a").write_bytes(b"longer content")
    os.utime(tmp_path / "a", ns=(photo.mtime_ns, photo.mtime_ns))
    assert reason_of(photo) == ("changed", detail)


@pytest.mark.parametrize("change", ["append", "touch"])
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    photo = photo_of(tmp_path / "a")
    check = fingerprint._check

    def check_then_change(checked: Photo, status: os.stat_result) -> None:
        check(checked, status)
        if change == "append":
            with photo.path.open("ab") as file:
                file.write(b"more")
        os.utime(photo.path, ns=(photo.mtime_ns, photo.mtime_ns + (change == "touch")))

    monkeypatch.setattr(fingerprint, "_check", check_then_change)
    assert reason_of(photo) == ("changed", "size or time changed while the file was read")


def test_a_file_that_went_away(tmp_path: Path) -> None:
    photo = photo_of(tmp_path / "a")
    photo.path.unlink()
    assert reason_of(photo) == ("unreadable", "No such file or directory")


@posix
def test_what_took_a_files_place_is_not_followed_and_never_blocks(tmp_path: Path) -> None:
    photo = photo_of(tmp_path / "a")
    photo.path.unlink()
    photo.path.symlink_to("b")
    (tmp_path / "b").write_bytes(b"content")
    detail = "a link took the place of the file or of a folder that it lies in"
    assert reason_of(photo) == ("link", detail)
    photo.path.unlink()
    os.mkfifo(photo.path)
    assert reason_of(photo) == ("special_file", "something else took the file's place")
    photo.path.unlink()
    photo.path.mkdir()
    assert reason_of(photo) == ("unreadable", "Is a directory")


@posix
def test_no_link_leads_out_of_a_card_not_even_one_that_took_a_folders_place(
    tmp_path: Path,
) -> None:
    inside, outside = tmp_path / "card/DCIM/100", tmp_path / "outside/100"
    for folder in (inside, outside):
        folder.mkdir(parents=True)
        (folder / "1.jpg").write_bytes(b"content")
        os.utime(folder / "1.jpg", ns=(1, 1))
    (photo,) = scan(tmp_path / "card")
    assert isinstance(photo, Photo)
    (tmp_path / "card/DCIM").rename(tmp_path / "aside")
    (tmp_path / "card/DCIM").symlink_to(tmp_path / "outside")
    assert photo.path.read_bytes() == b"content"  # the same size and time: only the way differs
    assert reason_of(photo)[0] == "link"
    (tmp_path / "link to card").symlink_to(tmp_path / "aside")
    (linked,) = scan(tmp_path / "link to card")  # a card that is named through a link is read
    assert isinstance(linked, Photo)
    assert read_content(linked).data == b"content"


@posix
def test_the_time_of_reading_is_not_written(tmp_path: Path) -> None:
    photo = photo_of(tmp_path / "a")
    os.utime(photo.path, ns=(1, photo.mtime_ns))  # "relatime" would write a newer one
    read_content(photo)
    assert photo.path.stat().st_atime_ns == 1


@posix
def test_descriptors_are_closed_whatever_happens(tmp_path: Path) -> None:
    opened = Path("/proc/self/fd")
    if not opened.is_dir():
        pytest.skip("needs /proc to count open files")
    photo = photo_of(tmp_path / "a")
    before = len(list(opened.iterdir()))
    read_content(photo)
    photo.path.unlink()
    reason_of(photo)
    photo.path.mkdir()
    reason_of(photo)
    list(scan(tmp_path))
    assert len(list(opened.iterdir())) == before


def test_hash_of_a_drawn_picture_is_golden() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    assert f"{perceptual_hash(pixels):016x}" == "923862d2cb5cf593"
    assert perceptual_hash(np.zeros((224, 224, 3), np.uint8)) == 0


def test_hash_is_imagehashs_on_real_frames(shared: Path) -> None:
    photos = sorted((shared / "cards").glob("[hps]*/DCIM/*/*.JPG"))
    assert len(photos) == 28
    for photo in photos[::3]:
        pixels = decode(photo.read_bytes()).pixels
        expected = imagehash.phash(Image.fromarray(pixels))
        number = perceptual_hash(pixels)
        assert f"{number:016x}" == str(expected)
        assert [bool(number >> (63 - bit) & 1) for bit in range(64)] == list(expected.hash.flat)


def test_a_recompressed_photo_is_near_and_another_place_is_not(
    shared: Path, tmp_path: Path
) -> None:
    heron = next((shared / "cards" / "heron").glob("DCIM/*/*0031.JPG")).read_bytes()
    peru = next((shared / "cards" / "peru").glob("DCIM/*/*1.JPG")).read_bytes()
    with Image.open(next((shared / "cards" / "heron").glob("DCIM/*/*0031.JPG"))) as image:
        image.save(tmp_path / "again.jpg", quality=60)
    near = NearDuplicates()
    near.add(7, perceptual_hash(decode(heron).pixels))
    match = near.nearest(perceptual_hash(decode((tmp_path / "again.jpg").read_bytes()).pixels))
    assert match is not None
    assert match[0] == 7
    assert near.nearest(perceptual_hash(decode(peru).pixels)) is None


def test_sha256_is_the_standard_librarys(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    assert (
        read_content(photo_of(tmp_path / "a", content)).sha256 == hashlib.sha256(content).digest()
    )
