"""`trapsort archive`: copies that are whole, verified, never over another, never on the card."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import trapsort.archive as room
from tests.toy import write_bundle
from trapsort.archive import LAYOUTS, MAX_NAME, safe_name
from trapsort.cli import archive as command
from trapsort.cli.main import main
from trapsort.errors import PhotoError
from trapsort.fingerprint import Content
from trapsort.scan import Photo

ROOT = Path(__file__).resolve().parent.parent
RED, GREEN, BLUE = (220, 10, 10), (10, 220, 10), (10, 10, 220)

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command line on this test's database with the toy bundle."""
    shared = ["--db", str(database(tmp_path)), "--bundle", str(write_bundle(tmp_path / "toy"))]
    return lambda *words: main([*map(str, words), *shared])


def database(tmp_path: Path) -> Path:
    return tmp_path / "record" / "sightings.sqlite3"


def draw(path: Path, colour: tuple[int, int, int], taken: str | None = None) -> Path:
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(0x8769)[0x9003] = taken
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), colour).save(path, "JPEG", exif=exif)
    os.utime(path, ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    return path


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Two photos with a time, one without, the same name in a second folder, and a note."""
    folder = tmp_path / "card"
    draw(folder / "DCIM/100/IMG_1.JPG", RED, "2024:03:01 10:00:00")
    draw(folder / "DCIM/100/IMG_2.JPG", GREEN, "2024:03:02 10:00:00")
    draw(folder / "DCIM/100/IMG_3.JPG", BLUE)
    draw(folder / "DCIM/101/IMG_1.JPG", (90, 90, 90), "2024:03:01 11:00:00")
    (folder / "note.txt").write_text("a note")
    return folder


SECOND = "IMG_1-{}.JPG"  # the name of 101/IMG_1.JPG, with the digest's first digits


def second_name(card: Path) -> str:
    return SECOND.format(hashlib.sha256((card / "DCIM/101/IMG_1.JPG").read_bytes()).hexdigest()[:8])


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes, hidden ones too."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def kept_names(card: Path, owner: str = "card") -> dict[str, str]:
    """Name in the archive -> name on the card."""
    return {
        f"{owner}/2024-03-01/IMG_1.JPG": "DCIM/100/IMG_1.JPG",
        f"{owner}/2024-03-01/{second_name(card)}": "DCIM/101/IMG_1.JPG",
        f"{owner}/2024-03-02/IMG_2.JPG": "DCIM/100/IMG_2.JPG",
        f"{owner}/undated/IMG_3.JPG": "DCIM/100/IMG_3.JPG",
    }


def expected(card: Path, owner: str = "card") -> dict[str, bytes]:
    names = kept_names(card, owner).items()
    return dict(sorted((name, (card / original).read_bytes()) for name, original in names))


# What is copied where --------------------------------------------------------------------------


def test_photos_are_kept_by_station_and_date(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "new" / "archive"
    run("ingest", card, "--station", "ridge")
    capfd.readouterr()
    assert run("archive", card, "--to", to) == 1
    size = sum(map(len, expected(card).values())) / 1e6
    assert capfd.readouterr() == (
        "path      state    detail\n"
        "note.txt  problem  not_an_image\n"
        f"card: 5 files: 4 copied ({size:.1f} MB), 0 already there, 1 left out\n",
        "",
    )
    assert files(to) == expected(card, "ridge")
    for name, original in kept_names(card, "ridge").items():
        assert (to / name).stat().st_mtime_ns == (card / original).stat().st_mtime_ns
    before = {path: path.stat().st_ino for path in to.rglob("*")}
    assert run("archive", card, "--to", to) == 1
    line = "card: 5 files: 0 copied (0.0 MB), 4 already there, 1 left out"
    assert capfd.readouterr().out.splitlines()[-1] == line
    assert {path: path.stat().st_ino for path in to.rglob("*")} == before


def test_a_card_of_photos_alone_succeeds(card: Path, tmp_path: Path, run: Run) -> None:
    (card / "note.txt").unlink()
    run("ingest", card)
    assert run("archive", card, "--to", tmp_path / "archive") == 0
    assert files(tmp_path / "archive") == expected(card)


@pytest.mark.parametrize(
    ("layout", "place"),
    [
        ("station/date", "card/2024-03-02/IMG_2.JPG"),
        ("date", "2024-03-02/IMG_2.JPG"),
        ("station", "card/IMG_2.JPG"),
        ("station/folders", "card/DCIM/100/IMG_2.JPG"),
    ],
)
def test_layouts(layout: str, place: str, card: Path, tmp_path: Path, run: Run) -> None:
    run("ingest", card)
    run("archive", card, "--to", tmp_path / "archive", "--layout", layout)
    kept = files(tmp_path / "archive")
    assert kept[place] == (card / "DCIM/100/IMG_2.JPG").read_bytes()
    assert len(kept) == 4


def test_the_command_offers_every_layout() -> None:
    assert tuple(LAYOUTS) == command.LAYOUTS


def test_programs_read_where_each_file_went(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    capfd.readouterr()
    assert run("archive", card, "--to", tmp_path / "archive", "--format", "csv") == 1
    printed = capfd.readouterr()
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [(row["path"], row["state"], row["target"]) for row in rows] == [
        ("DCIM/100/IMG_1.JPG", "copied", "card/2024-03-01/IMG_1.JPG"),
        ("DCIM/100/IMG_2.JPG", "copied", "card/2024-03-02/IMG_2.JPG"),
        ("DCIM/100/IMG_3.JPG", "copied", "card/undated/IMG_3.JPG"),
        ("DCIM/101/IMG_1.JPG", "copied", f"card/2024-03-01/{second_name(card)}"),
        ("note.txt", "problem", ""),
    ]
    assert printed.err.startswith("card: 5 files: 4 copied (")


def test_what_is_not_recorded_is_left_out(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    (card / "note.txt").unlink()
    run("ingest", card)
    kept = expected(card)
    draw(card / "late.jpg", (1, 2, 3))
    capfd.readouterr()
    assert run("archive", card, "--to", tmp_path / "archive") == 1
    assert capfd.readouterr().out.splitlines()[:2] == [
        "path      state         detail",
        "late.jpg  not_recorded  not in the record; take it in first (trapsort ingest)",
    ]
    assert files(tmp_path / "archive") == kept


def test_an_original_that_cannot_be_read_costs_itself_alone(
    card: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run("ingest", card)
    read = room.read_content

    def failing(photo: Photo) -> Content:
        if photo.name.endswith("IMG_2.JPG"):
            raise PhotoError("unreadable", "Input/output error")
        return read(photo)

    monkeypatch.setattr(room, "read_content", failing)
    capfd.readouterr()
    assert run("archive", card, "--to", tmp_path / "archive") == 1
    line = "DCIM/100/IMG_2.JPG  unreadable  unreadable: Input/output error"
    assert line in capfd.readouterr().out
    kept = expected(card)
    del kept["card/2024-03-02/IMG_2.JPG"]
    assert files(tmp_path / "archive") == kept


def test_nothing_is_written_to_the_card(card: Path, tmp_path: Path, run: Run) -> None:
    def state() -> list[tuple[Path, int, int]]:
        every = [card, *sorted(card.rglob("*"))]
        return [(p, p.stat().st_mtime_ns, p.stat().st_size) for p in every]

    before, contents = state(), files(card)
    run("ingest", card)
    run("archive", card, "--to", tmp_path / "archive")
    assert (state(), files(card)) == (before, contents)


# Never over another ----------------------------------------------------------------------------


def test_what_is_there_is_never_replaced(card: Path, tmp_path: Path, run: Run) -> None:
    to = tmp_path / "archive"
    other = to / "card/2024-03-02/IMG_2.JPG"
    other.parent.mkdir(parents=True)
    original = (card / "DCIM/100/IMG_2.JPG").read_bytes()
    other.write_bytes(bytes(len(original)))  # as long, so that the content must be read
    digest = hashlib.sha256(original).hexdigest()
    nearly = other.with_name(f"IMG_2-{digest[:8]}.JPG")
    nearly.mkdir()  # a folder of that name, too
    run("ingest", card)
    for _ in range(2):
        run("archive", card, "--to", to)
        assert other.read_bytes() == bytes(len(original))
        assert other.with_name(f"IMG_2-{digest[:16]}.JPG").read_bytes() == original
        assert len(files(to)) == 5


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_is_not_followed(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    to, outside = tmp_path / "archive", tmp_path / "outside"
    outside.mkdir()
    (to / "card/2024-03-01").mkdir(parents=True)
    (to / "card/2024-03-01/IMG_1.JPG").symlink_to(outside / "new.jpg")
    (to / "card/2024-03-02").symlink_to(outside, target_is_directory=True)
    run("ingest", card)
    capfd.readouterr()
    assert run("archive", card, "--to", to) == 2
    assert capfd.readouterr().err == (
        f"trapsort: {to}/card/2024-03-02 leads out of {to}.\n"
        "Remove that link, or name another --to.\n"
    )
    assert list(outside.iterdir()) == []
    digest = hashlib.sha256((card / "DCIM/100/IMG_1.JPG").read_bytes()).hexdigest()[:8]
    assert (to / f"card/2024-03-01/IMG_1-{digest}.JPG").is_file()


@pytest.mark.parametrize("has_links", [True, False])
def test_a_name_that_is_taken_meanwhile_is_left_alone(
    has_links: bool, card: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program makes the file between the look and the renaming."""
    to, taken = tmp_path / "archive", []
    name = room._name

    def late(part: Path, target: Path) -> None:
        if target.name == "IMG_2.JPG":
            target.write_text("another program's")
            taken.append(target)
        name(part, target)

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(room, "_name", late)
    if not has_links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    run("ingest", card)
    run("archive", card, "--to", to)
    assert [path.read_text() for path in taken] == ["another program's"]
    original = (card / "DCIM/100/IMG_2.JPG").read_bytes()
    digest = hashlib.sha256(original).hexdigest()[:8]
    assert (taken[0].parent / f"IMG_2-{digest}.JPG").read_bytes() == original
    assert len(files(to)) == 5


# Interrupted and failing -----------------------------------------------------------------------

KILLED = """
import os, sys
import trapsort.archive as room
from trapsort.cli.main import main
step, at = getattr(room, sys.argv[1]), int(sys.argv[2])
calls = []
def dying(*arguments):
    calls.append(1)
    if len(calls) == at:
        os._exit(9)
    return step(*arguments)
setattr(room, sys.argv[1], dying)
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.parametrize(
    ("step", "at", "whole"), [("_digest", 2, 1), ("_name", 1, 0), ("_sync_folder", 8, 3)]
)
def test_a_kill_leaves_whole_files_and_the_next_run_the_rest(
    step: str, at: int, whole: int, card: Path, tmp_path: Path, run: Run
) -> None:
    to = tmp_path / "archive"
    run("ingest", card)
    words = ["archive", str(card), "--to", str(to), "--db", str(database(tmp_path))]
    command = [sys.executable, "-c", KILLED, step, str(at), *words]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 9
    left = files(to)
    parts = [name for name in left if re.fullmatch(r".*/\.trapsort-[0-9a-f]{8}\.part", name)]
    assert len(parts) == (step != "_sync_folder")
    done = {name: data for name, data in left.items() if name not in parts}
    assert len(done) == whole
    assert done.items() <= expected(card).items()
    assert run("archive", card, "--to", to) == 1
    assert files(to) == expected(card)


def failing_at(number: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the fsync of the number-th file fail."""
    calls: list[int] = []
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        if not os.path.isdir(f"/proc/self/fd/{descriptor}"):  # noqa: PTH112
            calls.append(descriptor)
            if len(calls) == number:
                raise error
        sync(descriptor)

    monkeypatch.setattr(room.os, "fsync", fsync)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells files from folders by /proc")
@pytest.mark.parametrize(
    ("number", "hint"),
    [
        (errno.ENOSPC, "Make room, or name another folder with --to"),
        (errno.EIO, "Check the disk and its connection, or name another folder with --to"),
        (errno.EROFS, "Allow writing there, or name another folder with --to"),
        (errno.EACCES, "Allow writing there, or name another folder with --to"),
    ],
)
def test_a_failing_archive_says_what_is_missing(
    number: int,
    hint: str,
    card: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    to = tmp_path / "archive"
    (card / "note.txt").unlink()
    run("ingest", card)
    capfd.readouterr()
    with monkeypatch.context() as patch:
        failing_at(3, OSError(number, os.strerror(number)), patch)
        assert run("archive", card, "--to", to) == 2
    left = sum(
        len(expected(card)[f"card/{n}"])
        for n in ("undated/IMG_3.JPG", f"2024-03-01/{second_name(card)}")
    )
    printed = capfd.readouterr()
    assert printed.out == ""
    assert re.fullmatch(
        re.escape(
            f"trapsort: cannot write to {to}: {os.strerror(number)}; 2 files ({left / 1e6:,.1f} MB)"
            " are still to be looked at and "
        )
        + r"[\d,.]+ MB are free there\.\n"
        + re.escape(f"{hint}, then run the same again: what was copied is whole and is kept.\n"),
        printed.err,
    )
    assert len(files(to)) == 2
    assert files(to).items() <= expected(card).items()
    assert run("archive", card, "--to", to) == 0
    assert files(to) == expected(card)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="tells files from folders by /proc")
def test_ctrl_c_leaves_nothing_half(
    card: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ingest", card)
    with monkeypatch.context() as patch:
        failing_at(2, KeyboardInterrupt(), patch)
        assert run("archive", card, "--to", tmp_path / "archive") == 130
    assert list(files(tmp_path / "archive")) == ["card/2024-03-01/IMG_1.JPG"]


def test_a_copy_that_reads_back_as_something_else_gets_no_name(
    card: Path,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    run("ingest", card)
    write = Path.open

    class Worn(io.FileIO):
        def write(self, data: bytes) -> int:  # type: ignore[override]
            return super().write(b"\0" + data[1:])

    def worn(self: Path, mode: str = "r", *rest: object, **named: object) -> object:
        return Worn(self, "xb") if mode == "xb" else write(self, mode, *rest, **named)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", worn)
    assert run("archive", card, "--to", tmp_path / "archive") == 2
    assert "what was written reads back as something else; 5 files" in capfd.readouterr().err
    assert files(tmp_path / "archive") == {}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such lock")
def test_two_do_not_archive_into_one_folder(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "archive"
    to.mkdir()
    run("ingest", card)
    capfd.readouterr()
    with room._alone(to):
        assert run("archive", card, "--to", to) == 5
    assert capfd.readouterr().err == (
        f"trapsort: another trapsort archives to {to}\nwait for it to end, then try again\n"
    )
    assert files(to) == {}


@pytest.mark.parametrize("to", ["card", "card/DCIM/kept", "."])
def test_a_card_and_its_archive_lie_apart(
    to: str, card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    before = {path for path in tmp_path.rglob("*") if "record" not in path.parts}
    capfd.readouterr()
    assert run("archive", card, "--to", tmp_path / to) == 2
    said = "nothing is written to a card.\nName another folder with --to.\n"
    assert capfd.readouterr().err.endswith(said)
    assert {path for path in tmp_path.rglob("*") if "record" not in path.parts} == before


# Names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        (b"IMG_0001.JPG", "IMG_0001.JPG"),
        ("Bärental 2.jpg".encode(), "Bärental 2.jpg"),
        (b"=1+1.jpg", "=1+1.jpg"),
        (b"..", "__"),
        (b".", "_"),
        (b"", "_"),
        (b".hidden", "_hidden"),
        (b"../../etc/passwd", "_._.._etc_passwd"),
        (b"..\\evil.jpg", "_._evil.jpg"),
        (b"C:x.jpg", "C_x.jpg"),
        (b"a\nb\x1b[2J.jpg", "a_b_[2J.jpg"),
        (b"caf\xe9.jpg", "caf_.jpg"),
        ("gpj.\u202eexe".encode(), "gpj._exe"),
        (b"con", "_con"),
        (b"CON.jpg", "_CON.jpg"),
        (b"com1 .jpg", "_com1 .jpg"),
        (b"LPT9.tar.gz", "_LPT9.tar.gz"),
        (b"console.jpg", "console.jpg"),
        (b"end. .", "end_"),
        (b"x" * 250 + b".JPG", "x" * (MAX_NAME - 4) + ".JPG"),
        (b"x" * 250, "x" * MAX_NAME),
        ("ä".encode() * 120 + b".jpg", "ä" * 88 + ".jpg"),
    ],
)
def test_safe_names(raw: bytes, safe: str) -> None:
    assert safe_name(raw) == safe


@given(st.binary(max_size=400) | st.text(max_size=300).map(lambda t: t.encode("utf-8", "replace")))
def test_a_safe_name_is_one_name_on_every_system(raw: bytes) -> None:
    name = safe_name(raw)
    for kind in (PurePosixPath, PureWindowsPath):
        assert kind(name).parts == (name,)
        assert not kind(name).is_absolute()
    assert name not in ("", ".", "..")
    assert not name.endswith((".", " "))
    assert not PureWindowsPath(name).is_reserved()
    assert name.isprintable()
    assert len(name.encode()) <= MAX_NAME + 1
    assert safe_name(name.encode()) == name


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_hostile_names_stay_in_the_archive(tmp_path: Path, run: Run) -> None:
    card, to = tmp_path / "ca\nrd", tmp_path / "deep/er/archive"
    names = {
        b"a\nb.jpg": "a_b.jpg",
        b"CON.jpg": "_CON.jpg",
        b"x\\..\\..\\y.jpg": "x_.._.._y.jpg",
        b"=1+1.jpg": "=1+1.jpg",
        b"\xff\xfe.jpg": "__.jpg",
        b'<"|">.jpg': "_____.jpg",
    }
    for number, name in enumerate(names):
        draw(card / "plain.jpg", (20 * number, 255 - 20 * number, 9))
        try:
            (card / "plain.jpg").rename(card / os.fsdecode(name))
        except OSError:
            pytest.skip("this file system has no such names")
    run("ingest", card, "--station", "../../../evil\x00/..")
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "deep")}
    assert run("archive", card, "--to", to, "--layout", "station") == 0
    assert {p for p in tmp_path.rglob("*") if not p.is_relative_to(tmp_path / "deep")} == before
    assert [path.name for path in (tmp_path / "deep/er").iterdir()] == ["archive"]
    assert sorted(files(to)) == sorted(f"_._.._.._evil___/{name}" for name in names.values())
    assert sorted(files(to).values()) == sorted(files(card).values())


def test_a_card_without_station_is_named_with_its_volume(
    card: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards that take turns in one reader lie under one path."""
    import trapsort.scan

    monkeypatch.setattr(trapsort.scan, "volume_of", lambda _: "AAAA-0001")
    run("ingest", card)
    run("archive", card, "--to", tmp_path / "archive")
    assert [path.name for path in (tmp_path / "archive").iterdir()] == ["card-AAAA-0001"]


def test_a_card_elsewhere_keeps_its_station(card: Path, tmp_path: Path, run: Run) -> None:
    run("ingest", card, "--station", "ridge")
    moved = tmp_path / "mnt"
    shutil.copytree(card, moved)
    run("archive", moved, "--to", tmp_path / "archive")
    assert files(tmp_path / "archive") == expected(card, "ridge")


def test_a_photo_of_two_stations_goes_to_that_of_its_card(
    card: Path, tmp_path: Path, run: Run
) -> None:
    other = tmp_path / "other"
    shutil.copytree(card / "DCIM", other / "DCIM")
    run("ingest", card, "--station", "ridge")
    run("ingest", other, "--station", "lake")
    run("archive", other, "--to", tmp_path / "archive")
    assert files(tmp_path / "archive") == expected(card, "lake")
