"""The commands that classify, as a user runs them: what they print, write and return."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.toy import LABELS, write_bundle
from trapsort.cli.main import main
from trapsort.store import Store

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    return str(write_bundle(tmp_path / "toy"))


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """A lion, a blank night and a text file."""
    folder = tmp_path / "card"
    folder.mkdir()
    Image.new("RGB", (640, 480), (220, 10, 10)).save(folder / "a.jpg")
    Image.new("RGB", (640, 480)).save(folder / "b.jpg")
    (folder / "c.txt").write_text("a note")
    old = time.time() - 3600
    for path in folder.iterdir():
        os.utime(path, (old, old))
    return folder


def database(tmp_path: Path) -> str:
    return str(tmp_path / "record" / "sightings.sqlite3")


def test_classify_as_json_lines(card: Path, bundle: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(card), "--bundle", bundle, "--format", "jsonl"]) == 1
    printed = capfd.readouterr()
    lion, blank, note = map(json.loads, printed.out.splitlines())
    keys = ["path", "label", "probability", "reason", "top", "members", "iucn", "model"]
    assert list(lion) == keys == list(blank) == list(note)
    assert lion["path"] == str(card / "a.jpg")
    assert (lion["label"], lion["iucn"], lion["reason"]) == ("Lion", "VU", None)
    assert lion["model"] == "toy-1.0.0"
    assert {each["label"] for each in lion["top"]} == set(LABELS)
    assert lion["top"][0] == {"label": "Lion", "probability": lion["probability"]}
    assert sum(each["probability"] for each in lion["top"]) == pytest.approx(1, abs=1e-5)
    assert [each["name"] for each in lion["members"]] == ["first", "second", "third"]
    assert (blank["label"], blank["reason"], blank["iucn"]) == (None, "blank", None)
    assert (note["label"], note["probability"], note["reason"]) == (None, None, "not_an_image")
    assert printed.err == "1 file could not be read as a photo\n"


def test_classify_as_a_table_and_one_photo(
    card: Path, bundle: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", str(card / "a.jpg"), "--bundle", bundle]) == 0
    printed = capfd.readouterr()
    head, row = printed.out.splitlines()[:2]
    assert head.split() == ["path", "label", "probability", "iucn"]
    assert "Lion" in row
    assert printed.err == ""


def test_ingest_prints_the_account_and_records(
    card: Path, bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["ingest", str(card), "--bundle", bundle, "--db", database(tmp_path)]
    assert main([*arguments, "--station", "ridge"]) == 0
    assert capfd.readouterr().out == (
        "card: 3 files: 2 photos recorded, 0 seen before, 1 problem\n"
    )
    assert main(arguments) == 0
    assert capfd.readouterr().out == (
        "card: 3 files: 0 photos recorded, 2 seen before, 1 problem\n"
    )
    with Store.open(f"sqlite:///{database(tmp_path)}") as store:
        assert [(s.label, s.station) for s in store.sightings()] == [
            ("Lion", "ridge"),
            (None, "ridge"),
        ]


def test_watch_once_takes_all_and_ends(
    card: Path, bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["watch", "--once", str(card), "--bundle", bundle, "--db", database(tmp_path)]
    assert main(arguments) == 0
    assert capfd.readouterr().out == (
        "card: 3 files: 2 photos recorded, 0 seen before, 1 problem\n"
    )


def test_watch_takes_what_arrives_and_ends_on_a_signal(
    card: Path, bundle: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-u", "-m", "trapsort", "watch", str(card), "--bundle", bundle]
    command += ["--db", database(tmp_path)]
    watching = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert watching.stdout is not None
        first = watching.stdout.readline()
        assert first == "card: 3 files: 2 photos recorded, 0 seen before, 1 problem\n"
        Image.new("RGB", (640, 480), (10, 220, 10)).save(card / "d.jpg")
        assert watching.stdout.readline() == (
            "card: 1 file: 1 photo recorded, 0 seen before, 0 problems\n"
        )
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert second.returncode == 5
        assert f"process {watching.pid}" in second.stderr
        watching.send_signal(signal.SIGTERM)
        _, errors = watching.communicate(timeout=30)
    finally:
        watching.kill()
    assert watching.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ingest", "nowhere"], 2, "nowhere"),
        (["watch", "--once", "nowhere"], 2, "nowhere"),
        (["classify", "nowhere"], 2, "nowhere"),
        (["explain", "nowhere", "--out", "x.png"], 2, "nowhere"),
        (["explain", "card", "--out", "x.png"], 2, "is a folder"),
        (["explain", "card/c.txt", "--out", "x.png"], 2, "c.txt"),
        (["explain", "card/a.jpg", "--out", "no/such/x.png"], 2, "cannot write"),
        (["explain", "card/a.jpg", "--out", "card/a.jpg"], 2, "is the photo itself"),
        (["ingest", "card", "--bundle", "card"], 3, "There is no bundle"),
        (["watch", "card", "--report-at", "06:00"], 2, "--report-at needs a folder"),
        (["ingest", "card", "--db", "card/x.sqlite3"], 2, "lies inside"),
        (["watch", "--once", "card", "--db", "card/x.sqlite3"], 2, "lies inside"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    code: int,
    message: str,
    card: Path,
    bundle: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAPSORT_BUNDLE", bundle)
    before = sorted(path.name for path in card.iterdir())
    assert main(arguments) == code
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("trapsort: ")
    assert message in printed.err
    assert len(printed.err.splitlines()) >= 2  # what to do
    assert sorted(path.name for path in card.iterdir()) == before


@pytest.mark.parametrize("command", [["ingest"], ["watch", "--once"]])
@pytest.mark.skipif(os.name == "nt", reason="pipes break differently on Windows")
def test_a_reader_that_went_away_costs_no_card(
    command: list[str], card: Path, bundle: str, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    Image.new("RGB", (640, 480), (10, 220, 10)).save(second / "d.jpg")
    os.utime(second / "d.jpg", (1, 1))
    reader, writer = os.pipe()
    os.close(reader)
    options = ["--bundle", bundle, "--db", database(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "trapsort", *command, str(card), str(second), *options],
        cwd=ROOT,
        text=True,
        check=False,
        stdout=writer,
        stderr=subprocess.PIPE,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
    with Store.open(f"sqlite:///{database(tmp_path)}") as store:
        assert [s.label for s in store.sightings()] == ["Lion", None, "Panda"]


@pytest.mark.skipif(os.name == "nt", reason="pipes break differently on Windows")
def test_a_watch_goes_on_where_nobody_reads_its_messages(
    card: Path, bundle: str, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "trapsort", "watch", str(card), "--bundle", bundle]
    command += ["--db", database(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=writer, text=True
    ) as watching:
        os.close(writer)
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("card: 3 files: 2 photos recorded")
        watching.send_signal(signal.SIGTERM)
        assert watching.wait(timeout=30) == 0


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_closed_streams_do_no_harm(card: Path, bundle: str, tmp_path: Path) -> None:
    """Were descriptor 1 free, the database could become it, and what is printed spoil it."""
    line = f'exec "{sys.executable}" -m trapsort "$@" <&- >&- 2>&-'
    options = [str(card), "--bundle", bundle, "--db", database(tmp_path)]
    for arguments in (["ingest", *options], ["sightings", *options[1:]]):
        shell = ["sh", "-c", line, "sh", *arguments]
        assert subprocess.run(shell, cwd=ROOT, check=False).returncode == 0, arguments
    with Store.open(f"sqlite:///{database(tmp_path)}") as store:
        assert [s.label for s in store.sightings()] == ["Lion", None]


def test_a_folder_with_a_hidden_database_may_be_taken_in(
    card: Path, bundle: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """As `trapsort ingest ~` with the default database in ~/.local/share."""
    arguments = ["ingest", str(card), "--bundle", bundle]
    for name in (".local/share/x.sqlite3", ".x.sqlite3"):
        assert main([*arguments, "--db", str(card / name)]) == 0
        assert capfd.readouterr().out.startswith("card: 3 files: 2 photos recorded, ")
    assert main([*arguments, "--db", str(card / "local/.x/../y.sqlite3")]) == 2
    assert "lies inside" in capfd.readouterr().err
    hidden = card / ".hidden"  # but a hidden folder that is named is taken in
    hidden.mkdir()
    (card / "a.jpg").rename(hidden / "a.jpg")
    arguments[1] = str(hidden)
    assert main([*arguments, "--db", str(hidden / "y.sqlite3")]) == 2


@pytest.mark.parametrize("name", ["100%.sqlite3", "a%20b.sqlite3", "a#b c.sqlite3", "what?.db"])
def test_a_database_may_have_any_name(
    name: str, card: Path, bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "record" / name
    arguments = [str(card), "--bundle", bundle, "--db", str(file)]
    assert main(["ingest", *arguments]) == 0
    assert file.read_bytes().startswith(b"SQLite format 3")
    assert {path.name for path in file.parent.iterdir()} <= {name, f"{name}-wal", f"{name}-shm"}
    capfd.readouterr()
    assert main(["sightings", "--count-by", "species", "--format", "csv", *arguments[1:]]) == 0
    assert capfd.readouterr().out == "species,photos\nLion,1\nunknown,1\n"
    assert main(["ingest", *arguments[:-1], str(card / name)]) == 2
    assert f"The database {card / name} lies inside {card}" in capfd.readouterr().err


def test_explain_leaves_the_photo_alone(
    card: Path, bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    photo, link = card / "a.jpg", tmp_path / "link.png"
    before = photo.read_bytes()
    try:
        link.symlink_to(photo)
    except OSError:
        pytest.skip("this system makes no links")
    for out in (photo, card / ".." / "card" / "a.jpg", link):
        assert main(["explain", str(photo), "--out", str(out), "--bundle", bundle]) == 2
        assert capfd.readouterr().err == (
            f"trapsort: --out {out} is the photo itself.\nChoose another --out.\n"
        )
    assert photo.read_bytes() == before


def test_explain_writes_a_picture_whole_or_not_at_all(
    card: Path, bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out" / "why.png"
    out.parent.mkdir()
    out.write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk full")))
    assert main(["explain", str(card / "a.jpg"), "--out", str(out), "--bundle", bundle]) == 2
    assert out.read_text() == "old"
    assert list(out.parent.iterdir()) == [out]


def test_explain_draws_a_picture(
    card: Path, bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "why.png"
    assert main(["explain", str(card / "a.jpg"), "--out", str(out), "--bundle", bundle]) == 0
    with Image.open(out) as picture:
        assert (picture.format, picture.width) == ("PNG", 640)
    assert capfd.readouterr().out.startswith("Lion, probability 9")


def test_the_shipped_bundle_names_and_abstains(
    shared: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Real camera-trap elephants are named; a dog, cattle and blanks are never a species."""
    oddities = shared / "cards" / "oddities"
    assert main(["classify", str(oddities), "--format", "jsonl"]) == 1
    said = {
        Path(line["path"]).name: line
        for line in map(json.loads, capfd.readouterr().out.splitlines())
    }
    assert said["african_elephants_truncated_file.jpg"]["reason"] == "truncated"
    for name in ("blank.jpg", "blank2.jpg", "blank3.jpg", "vehicle.jpg", "domestic_cattle.jpg"):
        assert said[name]["label"] is None, name
        assert said[name]["reason"] is not None
