"""The cache of pictures: bounded, least recently looked at first, and never in the way."""

from __future__ import annotations

import io
import os
from pathlib import Path

from PIL import Image

from trapsort.web.thumbnails import Thumbnails

KEYS = [f"{n:02x}" * 32 for n in range(10)]


def held(cache: Thumbnails) -> list[int]:
    return [n for n, key in enumerate(KEYS) if cache.get(key, 256) is not None]


def aged(folder: Path) -> None:
    """Make every file older by a minute, so that what is looked at next is newer."""
    for path in folder.glob("*/*"):
        then = path.stat().st_mtime - 60
        os.utime(path, (then, then))


def test_it_stays_within_its_bound_and_keeps_what_was_looked_at(tmp_path: Path) -> None:
    cache = Thumbnails(tmp_path, 1000)
    for key in KEYS[:4]:
        cache.put(key, 256, b"x" * 225)
        aged(tmp_path)
    assert cache.get(KEYS[0], 256) is not None  # looked at: the oldest is now the second
    cache.put(KEYS[4], 256, b"x" * 225)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*")) == 900
    assert held(cache) == [0, 2, 3, 4]


def test_a_new_start_knows_what_is_there(tmp_path: Path) -> None:
    for key in KEYS[:4]:
        Thumbnails(tmp_path, 1000).put(key, 256, b"x" * 240)
        aged(tmp_path)
    Thumbnails(tmp_path, 1000).put(KEYS[4], 256, b"x" * 240)
    assert held(Thumbnails(tmp_path, 1000)) == [2, 3, 4]


def test_what_is_left_half_written_is_no_picture_and_is_cleared_up(tmp_path: Path) -> None:
    cache = Thumbnails(tmp_path, 1000)
    cache.put(KEYS[0], 256, b"x" * 300)
    part = tmp_path / KEYS[0][:2] / ".0000.part"
    part.write_bytes(b"x" * 900)
    aged(tmp_path)
    Thumbnails(tmp_path, 1000).put(KEYS[1], 256, b"x" * 300)
    assert not part.exists()
    assert held(cache)[-1] == 1


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    cache = Thumbnails(tmp_path / "taken", 1000)
    cache.put(KEYS[0], 256, b"x")
    assert cache.get(KEYS[0], 256) is None


def test_a_smaller_picture_comes_from_the_larger_one(tmp_path: Path) -> None:
    cache = Thumbnails(tmp_path, 1 << 20)
    photo = io.BytesIO()
    Image.new("RGB", (2000, 1000)).save(photo, format="JPEG")
    assert cache.make(KEYS[0], 1280, photo.getvalue) is not None
    small = cache.make(KEYS[0], 256, lambda: None)
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (256, 128)
    assert cache.make(KEYS[1], 256, lambda: None) is None
