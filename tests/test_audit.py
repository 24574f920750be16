"""`trapsort audit`: every file of a card is accounted for, or said not to be."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

import trapsort.audit as room
import trapsort.scan
from tests.toy import write_bundle
from trapsort.audit import CardView, audit, views_of
from trapsort.cli.main import main
from trapsort.errors import InputError
from trapsort.scan import card_of
from trapsort.settings import sqlite_url
from trapsort.store import Store

ROOT = Path(__file__).resolve().parent.parent
RED, GREEN, BLUE = (220, 10, 10), (10, 220, 10), (10, 10, 220)
WHOLE = "5 files: 2 photos recorded, 1 seen before, 2 problems"

Run = Callable[..., int]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command line on this test's database with the toy bundle."""
    bundle = str(write_bundle(tmp_path / "toy"))
    shared = ["--db", str(database(tmp_path)), "--bundle", bundle]
    return lambda *words: main([*map(str, words), *shared])


def database(tmp_path: Path) -> Path:
    return tmp_path / "record" / "sightings.sqlite3"


def draw(path: Path, colour: tuple[int, int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), colour).save(path, "JPEG")
    age(path)


def age(path: Path) -> None:
    old = time.time() - 3600
    os.utime(path, (old, old))


def wear(path: Path) -> None:
    """Change one bit in the middle of a file, and neither its size nor its time."""
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Two photos, a copy of one of them, half a photo and a text file."""
    folder = tmp_path / "card"
    draw(folder / "DCIM/100/a.jpg", RED)
    draw(folder / "DCIM/100/b.jpg", BLUE)
    shutil.copy2(folder / "DCIM/100/a.jpg", folder / "DCIM/100/c.jpg")
    half = folder / "DCIM/100/half.jpg"
    half.write_bytes((folder / "DCIM/100/b.jpg").read_bytes()[:400])
    (folder / "note.txt").write_text("a note")
    age(half)
    age(folder / "note.txt")
    return folder


def change(tmp_path: Path, statement: str) -> None:
    with closing(sqlite3.connect(database(tmp_path))) as connection, connection:
        connection.execute(statement)


# Accounted for ---------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--hash"]])
def test_the_numbers_are_those_of_the_first_ingest(
    options: list[str], card: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("ingest", card) == 0
    assert capfd.readouterr().out == f"card: {WHOLE}\n"
    assert run("audit", card, *options) == 0
    assert capfd.readouterr() == (f"card: {WHOLE}\n", "")
    assert run("ingest", card) == 0  # again: nothing new, and nothing else to say of the card
    capfd.readouterr()
    assert run("audit", card, *options) == 0
    assert capfd.readouterr().out == f"card: {WHOLE}\n"


def test_a_photo_of_another_card_is_seen_before(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    draw(other / "x.jpg", GREEN)
    shutil.copy2(card / "DCIM/100/a.jpg", other / "y.jpg")
    assert run("ingest", card, other) == 0
    capfd.readouterr()
    for options in ([], ["--hash"]):
        assert run("audit", other, *options) == 0
        line = "other: 2 files: 1 photo recorded, 1 seen before, 0 problems\n"
        assert capfd.readouterr().out == line


def test_every_database(
    url: str, card: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["--db", url, "--bundle", str(write_bundle(tmp_path / "toy"))]
    assert main(["ingest", str(card), *words]) == 0
    moved = card.rename(tmp_path / "moved")
    assert main(["audit", str(moved), "--hash", *words]) == 0
    assert main(["audit", str(moved), *words]) == 1
    moved.rename(card)
    assert main(["audit", str(card), *words]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert [lines[n] for n in (0, 1, 3)] == [f"{c}: {WHOLE}" for c in ("card", "moved", "card")]
    kept = tmp_path / "archive"
    assert main(["archive", str(card), "--to", str(kept), *words]) == 1
    assert sum(path.is_file() for path in kept.rglob("*")) == 3


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
@pytest.mark.parametrize("options", [[], ["--hash"]])
def test_a_link_is_a_problem_that_must_be_noted(
    options: list[str], card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    (card / "link.jpg").symlink_to(card / "DCIM/100/a.jpg")
    assert run("ingest", card) == 0
    assert run("audit", card, *options) == 0
    change(tmp_path, "DELETE FROM problems WHERE reason = 'link'")
    capfd.readouterr()
    assert run("audit", card, *options) == 1
    assert "link.jpg  missing  not in the record: link\n" in capfd.readouterr().out


@pytest.mark.parametrize("options", [[], ["--hash"]])
def test_a_card_and_its_folders_know_each_other(
    options: list[str], card: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("ingest", card / "DCIM") == 0
    capfd.readouterr()
    assert run("audit", card, *options) == 1
    assert capfd.readouterr().out.splitlines() == [
        "path      state    detail",
        "note.txt  missing  not in the record",
        "card: 5 files: 2 photos recorded, 1 seen before, 1 problem, 1 not accounted for",
    ]
    assert run("ingest", card) == 0
    capfd.readouterr()
    for part in (card / "DCIM/100", card / "DCIM/100/a.jpg"):
        assert run("audit", part, *options) == 0
    assert capfd.readouterr().out.splitlines() == [
        "100: 4 files: 2 photos recorded, 1 seen before, 1 problem",
        "a.jpg: 1 file: 1 photo recorded, 0 seen before, 0 problems",
    ]


# Not accounted for -----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--hash"]])
def test_a_file_that_came_later_is_missing(
    options: list[str], card: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    draw(card / "DCIM/100/new.jpg", GREEN)
    capfd.readouterr()
    assert run("audit", card, *options) == 1
    assert capfd.readouterr().out == (
        "path              state    detail\n"
        "DCIM/100/new.jpg  missing  not in the record\n"
        "card: 6 files: 2 photos recorded, 1 seen before, 2 problems, 1 not accounted for\n"
    )


@pytest.mark.parametrize(
    ("loss", "lost"),
    [
        ("DELETE FROM places_seen WHERE path = 'DCIM/100/b.jpg'", "DCIM/100/b.jpg"),
        ("DELETE FROM problems WHERE path = 'note.txt'", "note.txt"),
        ("UPDATE problems SET resolved = 'now' WHERE path = 'note.txt'", "note.txt"),
    ],
)
def test_a_row_that_was_lost_is_noticed(
    loss: str, lost: str, card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    change(tmp_path, loss)
    capfd.readouterr()
    assert run("audit", card) == 1
    assert capfd.readouterr().out.splitlines()[1] == f"{lost}  missing  not in the record"


def test_a_content_that_was_lost_is_noticed(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    change(tmp_path, "UPDATE photos SET sha256 = zeroblob(32) WHERE id = 2")
    capfd.readouterr()
    assert run("audit", card) == 0
    assert run("audit", card, "--hash") == 1
    assert "b.jpg  changed  other content at the recorded size" in capfd.readouterr().out


def test_only_contents_tell_of_a_worn_card(
    card: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    wear(card / "DCIM/100/b.jpg")
    capfd.readouterr()
    assert run("audit", card) == 0
    assert capfd.readouterr().out == f"card: {WHOLE}\n"
    assert run("audit", card, "--hash", "--format", "jsonl") == 1
    said = {line["path"]: line for line in map(json.loads, capfd.readouterr().out.splitlines())}
    assert said["DCIM/100/b.jpg"] == {
        "path": "DCIM/100/b.jpg",
        "state": "changed",
        "detail": "other content at the recorded size and time: the card or its reader fails",
    }


def test_another_time_is_a_change_and_the_same_content_none(
    card: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    os.utime(card / "DCIM/100/b.jpg")
    capfd.readouterr()
    assert run("audit", card) == 1
    line = "DCIM/100/b.jpg  changed  its size or time is not the recorded one"
    assert capfd.readouterr().out.splitlines()[1] == line
    assert run("audit", card, "--hash") == 0


def test_a_time_to_come_tells_nothing_of_a_problem(card: Path, run: Run) -> None:
    """As a camera's clock that runs ahead writes it; the content tells."""
    run("ingest", card)
    draw(card / "DCIM/100/half.jpg", GREEN)
    later = time.time() + 86400
    os.utime(card / "DCIM/100/half.jpg", (later, later))
    assert run("audit", card) == 0
    assert run("audit", card, "--hash") == 1


def test_a_problem_file_that_was_written_since(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    change(tmp_path, "UPDATE problems SET last_seen = '2020-01-01T00:00:00Z'")
    draw(card / "DCIM/100/half.jpg", GREEN)
    os.utime(card / "note.txt", (0, 0))
    capfd.readouterr()
    assert run("audit", card) == 1
    assert capfd.readouterr().out.splitlines()[1:] == [
        "DCIM/100/half.jpg  changed  written after it was noted as truncated",
        "card: 5 files: 2 photos recorded, 1 seen before, 1 problem, 1 not accounted for",
    ]
    assert run("audit", card, "--hash") == 1
    line = "DCIM/100/half.jpg  changed  was truncated and can be read now"
    assert capfd.readouterr().out.splitlines()[1] == line
    assert run("ingest", card) == 0
    assert run("audit", card) == run("audit", card, "--hash") == 0


@pytest.mark.parametrize("options", [[], ["--hash"]])
def test_an_earlier_content_that_is_back_is_not_accounted_for(
    options: list[str], card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    """It was superseded, so no listing shows it, until it is taken in again."""
    first = tmp_path / "first.jpg"
    shutil.copy2(card / "DCIM/100/b.jpg", first)
    run("ingest", card)
    draw(card / "DCIM/100/b.jpg", GREEN)
    assert run("ingest", card) == 0
    assert run("audit", card, *options) == 0
    shutil.copy2(first, card / "DCIM/100/b.jpg")
    capfd.readouterr()
    assert run("audit", card, *options) == 1
    assert "DCIM/100/b.jpg  changed  " in capfd.readouterr().out
    run("ingest", card)
    assert run("audit", card, *options) == 0


# Another place ---------------------------------------------------------------------------------


def test_a_card_elsewhere_is_known_by_its_contents(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    moved = tmp_path / "mnt" / "moved"
    shutil.copytree(card, moved)
    capfd.readouterr()
    assert run("audit", moved) == 1
    assert capfd.readouterr() == (
        "moved: 5 files: 0 photos recorded, 0 seen before, 0 problems, 5 not accounted for\n",
        f"no card at {moved} is in the record\n"
        "audit the path that it was taken in under, or compare contents with --hash\n",
    )
    assert run("audit", moved, "--hash") == 0
    assert capfd.readouterr().out == f"moved: {WHOLE}\n"
    (moved / "note.txt").rename(moved / "other.txt")  # no card had a problem of that name
    assert run("audit", moved, "--hash") == 1
    assert "other.txt  missing  not in the record" in capfd.readouterr().out


def test_cards_that_take_turns_in_one_reader(
    card: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(trapsort.scan, "volume_of", lambda _: "AAAA-0001")
    run("ingest", card)
    assert run("audit", card) == 0
    monkeypatch.setattr(trapsort.scan, "volume_of", lambda _: "BBBB-0002")
    capfd.readouterr()
    assert run("audit", card) == 1
    assert capfd.readouterr().err.startswith(f"no card at {card} is in the record\n")
    assert run("audit", card, "--hash") == 0


def test_views() -> None:
    inner, outer = CardView(1, stripped=b"DCIM/"), CardView(2, added=b"cards/7/")
    assert inner.path_of(b"DCIM/a.jpg") == b"a.jpg"
    assert inner.path_of(b"DCIM") is None
    assert inner.path_of(b"a.jpg") is None
    assert outer.path_of(b"a.jpg") == b"cards/7/a.jpg"


# What is printed, and what cannot be audited ---------------------------------------------------


def test_forms_for_programs_list_every_file(
    card: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    capfd.readouterr()
    assert run("audit", card, "--format", "csv") == 0
    assert capfd.readouterr() == (
        "path,state,detail\n"
        "DCIM/100/a.jpg,recorded,\n"
        "DCIM/100/b.jpg,recorded,\n"
        "DCIM/100/c.jpg,seen_before,\n"
        "DCIM/100/half.jpg,problem,truncated\n"
        "note.txt,problem,not_an_image\n",
        f"card: {WHOLE}\n",
    )


def test_a_long_table_is_cut_and_says_so(
    card: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import trapsort.cli.audit as command

    run("ingest", card)
    for number in range(5):
        draw(card / f"new{number}.jpg", (number, 90, 200))
    monkeypatch.setattr(command, "TABLE_ROWS", 2)
    capfd.readouterr()
    assert run("audit", card) == 1
    printed = capfd.readouterr()
    assert len(printed.out.splitlines()) == 1 + 2 + 1
    assert printed.err == (
        "and 3 more; --format csv lists all\n"
        f"to take in what is not accounted for: trapsort ingest {card}\n"
    )


@pytest.mark.skipif(os.name == "nt", reason="pipes break differently on Windows")
@pytest.mark.parametrize("form", ["table", "csv"])
def test_a_reader_that_had_enough_does_not_change_the_answer(
    form: str, card: Path, tmp_path: Path, run: Run
) -> None:
    run("ingest", card)
    draw(card / "z.jpg", GREEN)
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "trapsort", "audit", str(card), "--format", form]
    command += ["--db", str(database(tmp_path))]
    done = subprocess.run(
        command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert done.returncode == 1
    if form == "csv":
        assert done.stderr.endswith("2 problems, 1 not accounted for\n")


def test_names_do_not_steer_a_terminal(
    card: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    run("ingest", card)
    try:
        draw(card / "\x1b[2Jx\n.jpg", GREEN)
    except OSError:
        pytest.skip("this file system has no such names")
    capfd.readouterr()
    assert run("audit", card) == 1
    assert r"\x1b[2Jx\n.jpg  missing  not in the record" in capfd.readouterr().out


def test_what_cannot_be_audited(
    card: Path, tmp_path: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("audit", card) == 4
    assert "there is no database at" in capfd.readouterr().err
    assert not database(tmp_path).parent.exists()
    run("ingest", card)
    assert run("audit", tmp_path / "nowhere") == 2
    empty = tmp_path / "empty"
    empty.mkdir()
    capfd.readouterr()
    assert run("audit", empty) == 0
    assert capfd.readouterr() == (
        "empty: 0 files: 0 photos recorded, 0 seen before, 0 problems\n",
        f"there is no file in {empty}; is the card in?\n",
    )


@pytest.fixture
def store(card: Path, tmp_path: Path, run: Run) -> Iterator[Store]:
    run("ingest", card)
    with Store.open(sqlite_url(database(tmp_path))) as opened:
        yield opened


def test_a_card_that_is_pulled_out_ends_it(
    card: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "READ_AT_ONCE", 1)
    views = views_of(store, card_of(card))
    findings = audit(card, store=store, views=views, by_content=True)
    assert next(findings).state == "recorded"
    card.rename(card.with_name("pulled"))
    card.mkdir()  # the empty mount point
    with pytest.raises(InputError, match="went away while it was read"):
        list(findings)


def test_a_file_that_went_away_is_not_on_the_card(
    card: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "READ_AT_ONCE", 1)
    views = views_of(store, card_of(card))
    findings = audit(card, store=store, views=views, by_content=True)
    next(findings)
    (card / "DCIM/100/b.jpg").unlink()
    assert [finding.name for finding in findings] == [
        "DCIM/100/c.jpg",
        "DCIM/100/half.jpg",
        "note.txt",
    ]
