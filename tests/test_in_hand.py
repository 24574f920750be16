"""in_hand: a photo that ends the program is found out, and costs no other one."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

from tests.toy import write_bundle
from trapsort import in_hand as room
from trapsort.cli.main import main
from trapsort.errors import PhotoError
from trapsort.in_hand import MOST_DEATHS, InHand
from trapsort.scan import Photo, scan

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def photos(tmp_path: Path) -> list[Photo]:
    (tmp_path / "card").mkdir()
    for number in range(3):
        (tmp_path / "card" / f"{number}.jpg").write_bytes(bytes(number))
    return [item for item in scan(tmp_path / "card") if isinstance(item, Photo)]


def die_with(database: Path, *photos: Photo) -> None:
    """Leave what a process leaves that ends while it has these photos in hand."""
    with InHand(database) as dying:
        held = [dying.holding(photo) for photo in photos]
        for each in held:
            each.__enter__()
        assert dying._descriptor is not None
        os.close(dying._descriptor)
        dying._descriptor = None


def test_what_was_in_hand_at_the_end_is_suspect_until_it_was_decoded(
    tmp_path: Path, photos: list[Photo]
) -> None:
    database = tmp_path / "record.sqlite3"
    with InHand(database) as calm:
        for photo in photos:
            assert not calm.is_suspect(photo)
            with calm.holding(photo):
                assert calm.path is not None
                assert calm.path.name == "record.sqlite3.in-hand"
    assert not calm.path.exists()
    with InHand(database), InHand(database) as second, second.holding(photos[0]):
        assert second._descriptor is None  # of two programs the first one notes
    die_with(database, photos[0], photos[1])
    with InHand(database) as again:
        assert [again.is_suspect(photo) for photo in photos] == [True, True, False]
        with pytest.raises(ZeroDivisionError), again.holding(photos[1]):
            print(1 / 0)  # that is no end of the program
        assert [again.is_suspect(photo) for photo in photos] == [True, False, False]
    with InHand(database) as again:
        assert [again.is_suspect(photo) for photo in photos] == [True, False, False]


def test_what_was_in_hand_too_often_is_refused_until_it_is_another_file(
    tmp_path: Path, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, (bad, good, other) = tmp_path / "record.sqlite3", photos
    for _ in range(MOST_DEATHS):
        die_with(database, bad)
        die_with(database, good, other)
        with InHand(database) as between, between.holding(good), between.holding(other):
            pass
    with InHand(database) as first, InHand(database) as second:
        for holder in (first, second):
            with pytest.raises(PhotoError) as refused, holder.holding(bad):
                pytest.fail("it was decoded")
            assert str(refused.value) == "fatal: trapsort died 3 times while it decoded this photo"
            with holder.holding(good), holder.holding(other):
                pass
    os.utime(bad.path, ns=(1, 1))
    (changed, *_) = scan(tmp_path / "card")
    assert isinstance(changed, Photo)
    with InHand(database) as later, later.holding(changed):
        assert later.is_suspect(bad)
    monkeypatch.setattr("trapsort.__version__", "99.0.0")
    with InHand(database) as newer, newer.holding(bad):
        assert not newer.is_suspect(bad)


def test_a_full_disk_or_a_damaged_file_costs_the_note_alone(
    tmp_path: Path, photos: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, InHand(tmp_path / "a") as holder:
        patch.setattr(room.os, "write", full)
        with holder.holding(photos[0]):
            pass
    (tmp_path / "b.in-hand").write_bytes(b"\xff\n" * 50 + b"1.0.0\nx y z\n")
    (tmp_path / "c.in-hand").mkdir()
    for name in "bc":
        with InHand(tmp_path / name) as holder, holder.holding(photos[0]):
            assert not holder.is_suspect(photos[0])


DYING = """
import os, signal, sys, time
from trapsort import examine

whole = examine.decode

def dies(data, size, **options):
    frame = whole(data, size, **options)
    if (frame.pixels[0, 0] == (255, 255, 0)).all():
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory runs out
    if (frame.pixels[0, 0] == (0, 255, 255)).all():
        time.sleep(0.5)  # so that it is always in hand, too, if it may
    return frame

examine.decode = dies
from trapsort.cli.main import main
sys.exit(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal that Windows does not know")
def test_a_photo_that_ends_the_program_costs_itself_alone(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bundle = str(write_bundle(tmp_path / "toy"))
    card = tmp_path / "card"
    card.mkdir()
    for number in range(30):
        Image.new("RGB", (320, 240), (200, number, 10)).save(card / f"{number:02}.png")
    Image.new("RGB", (320, 240), (255, 255, 0)).save(card / "00 poison.png")
    Image.new("RGB", (320, 240), (0, 255, 255)).save(card / "07 beside it.png")  # another handful
    url = f"sqlite:///{tmp_path / 'record.sqlite3'}"
    options = ["--db", url, "--bundle", bundle, "--workers", "4", "--quiet"]
    line = [sys.executable, "-c", DYING, "ingest", str(card), *options]
    codes = []
    for _ in range(4):
        codes.append(subprocess.run(line, check=False, cwd=ROOT, capture_output=True).returncode)
    assert codes == [-signal.SIGKILL] * 3 + [0]
    with closing(sqlite3.connect(tmp_path / "record.sqlite3")) as connection:
        assert connection.execute("SELECT count(*) FROM photos").fetchone() == (31,)
        assert connection.execute("SELECT path, reason, detail FROM problems").fetchall() == [
            ("00 poison.png", "fatal", "trapsort died 3 times while it decoded this photo")
        ]
    capfd.readouterr()
    for hashed in ([], ["--hash"]):
        assert main(["audit", str(card), "--db", url, *hashed]) == 0
        out = capfd.readouterr().out
        assert out == "card: 32 files: 31 photos recorded, 0 seen before, 1 problem\n"
