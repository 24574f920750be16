"""Hostile files and hostile names through the real program, in a process of its own.

Each file ends as one photo or one problem, the memory stays small, nothing is written to the card,
and a second run changes nothing.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from trapsort.cli.main import main
from trapsort.reports.csv_file import FORMULA_STARTS

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="needs names of any bytes, and Linux's /proc to measure"
)

ROOT = Path(__file__).resolve().parent.parent
MOST_MEMORY = 600 * 1024 * 1024
LINKS_AND_SPECIAL = 6

NAMES = [
    b"L\xf6we.jpg",  # not UTF-8
    b"a\nb\r\nc.jpg",
    b"tab\tquote\"single'back\\slash,comma;.jpg",
    b"=cmd|' !A0'.jpg",
    b"+1.jpg",
    b"-1.jpg",
    b"@SUM(1).jpg",
    b"\t=1.jpg",
    b"\r=1.jpg",
    b"<img src=x onerror=alert(1)>.jpg",
    b"\x1b[31mred\x1b[0m\x1b]0;title\x07.jpg",
    "gpj.\u202eexe".encode(),
    "Löwe 獅子.jpg".encode(),
    b"%s%n{0}$(id)`id`.jpg",
    b"--help",
    b" ",
    b"n" * 251 + b".jpg",
    b"\xff" * 255,
]
DEEP = b"/".join([b"d" * 50] * 60)  # 3,059 bytes


def put(root: bytes, name: bytes, content: bytes) -> None:
    """Write a file however long its path is."""
    folder, _, _ = name.rpartition(b"/")
    os.makedirs(os.path.join(root, folder), exist_ok=True)  # noqa: PTH103, PTH118 - bytes
    with open(os.path.join(root, name), "wb") as file:  # noqa: PTH118, PTH123 - bytes
        file.write(content)


def photo(number: int) -> bytes:
    """A small photo of which there is no other."""
    stream = io.BytesIO()
    Image.new("RGB", (320, 240), (number, 5 * number % 256, 99)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def card(tmp_path: Path) -> Path:
    """Hostile names, links that lead out, special files, and 16 GB that take no space."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(photo(250))
    top = tmp_path / "card"
    top.mkdir()
    root = os.fsencode(top)
    for number, name in enumerate(NAMES):
        put(root, name, photo(number))
        put(root, b"=folder\n/" + name, photo(number) if number % 2 else b"no photo")
    put(root, DEEP + b"/deep.jpg", photo(200))
    (top / "to a file").symlink_to(outside / "secret.jpg")
    (top / "to a folder").symlink_to(outside)
    (top / "loop").symlink_to(top)
    (top / "loop of its own").symlink_to("loop of its own")
    os.mkfifo(top / "pipe")
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(top)  # a socket's path must be short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    (top / "empty.jpg").touch()
    (top / "sparse.jpg").touch()
    os.truncate(top / "sparse.jpg", 16 * 1024**3)
    return top


def files_below(top: Path) -> list[bytes]:
    """Everything that is no folder, by the standard library's own walk."""
    root = os.fsencode(top)
    found = []
    for folder, folders, names in os.walk(root):
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118
        for name in [*names, *linked]:
            found.append(os.path.relpath(os.path.join(folder, name), root))  # noqa: PTH118
    return sorted(found)


# The program -----------------------------------------------------------------------------------

MEASURED = """
import atexit, os, re, sys
from pathlib import Path

# On two cores: each one more runs the graph once more at a time, which takes 25 MB.
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
from trapsort.cli.main import main

def tell():
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) * 1024
    Path(sys.argv[1]).write_text(str(peak))

atexit.register(tell)
sys.exit(main(sys.argv[2:]))
"""


@dataclass(frozen=True)
class Done:
    """What a run of the program printed, its exit code and its peak memory in bytes.

    The peak is Linux's own of this process alone: `ru_maxrss` begins with that of the process that
    started it, which is the test's.
    """

    code: int
    out: bytes
    err: bytes
    peak: int


def trapsort(tmp_path: Path, *arguments: str) -> Done:
    peak = tmp_path / "peak"
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, peak, *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        timeout=300,
    )
    return Done(done.returncode, done.stdout, done.stderr, int(peak.read_text()))


def database(tmp_path: Path) -> tuple[str, Path]:
    file = tmp_path / "record.sqlite3"
    return f"sqlite:///{file}", file


WHEN = {"last_seen", "last_used"}
"""Columns in which a second look leaves its time."""


def dump(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every table as it is, but for the list of runs and when something was last seen."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        tables = [name for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'runs' ORDER BY name"
        )]  # fmt: skip
        found = {}
        for table in tables:
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            kept = ", ".join(f'"{name}"' for name in columns if name not in WHEN)
            found[table] = sorted(connection.execute(f"SELECT {kept} FROM {table}"), key=repr)  # noqa: S608
    connection.close()
    return found


def ends(file: Path) -> Counter[bytes]:
    """How often each path is a photo or an open problem."""
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        rows = [
            *connection.execute("SELECT path_bytes FROM places_seen"),
            *connection.execute("SELECT path_bytes FROM problems WHERE resolved IS NULL"),
        ]
    connection.close()
    return Counter(path for (path,) in rows)


def numbers(done: Done) -> list[int]:
    """Files, photos recorded, seen before and problems, of the sentence that ends an ingest."""
    match = re.search(
        rb": ([\d,]+) files?: ([\d,]+) photos? recorded, ([\d,]+) seen before, ([\d,]+) problems?",
        done.out,
    )
    assert match is not None, (done.out, done.err)
    return [int(number.replace(b",", b"")) for number in match.groups()]


def ingest_twice(card: Path, tmp_path: Path) -> Path:
    """Take in a card two times and check all that must hold of any card; return the database."""
    url, file = database(tmp_path)
    expected = files_below(card)
    first = trapsort(tmp_path, "ingest", str(card), "--db", url, "--workers", "32", "-q")
    assert (first.code, first.err) == (0, b"")
    assert first.peak < MOST_MEMORY
    assert ends(file) == Counter(expected)
    files, recorded, seen, problems = numbers(first)
    assert files == len(expected) == recorded + seen + problems
    before = dump(file)
    again = trapsort(tmp_path, "ingest", str(card), "--db", url, "--workers", "2", "-q")
    assert (again.code, again.err) == (0, b"")
    assert again.peak < MOST_MEMORY
    assert numbers(again) == [files, 0, recorded + seen, problems]
    assert dump(file) == before
    return file


def reasons(file: Path) -> dict[bytes, str]:
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        rows = connection.execute("SELECT path_bytes, reason FROM problems").fetchall()
    connection.close()
    return dict(rows)


def test_every_bad_file_and_name_is_one_photo_or_one_problem(
    card: Path, tmp_path: Path, shared: Path
) -> None:
    bad = [path for path in (shared / "badfiles").iterdir() if path.name != "manifest.csv"]
    for path in bad:
        shutil.copy(path, card)
    file = ingest_twice(card, tmp_path)
    assert len(ends(file)) == len(bad) + 2 * len(NAMES) + 3 + LINKS_AND_SPECIAL


def test_hostile_names_are_photos_and_what_is_no_file_is_a_problem(
    card: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    file = ingest_twice(card, tmp_path)
    even = [name for number, name in enumerate(NAMES) if number % 2 == 0]
    assert reasons(file) == {
        **{b"=folder\n/" + name: "not_an_image" for name in even},
        b"empty.jpg": "empty",
        b"loop": "link",
        b"loop of its own": "link",
        b"pipe": "special_file",
        b"socket": "special_file",
        b"sparse.jpg": "too_large",
        b"to a file": "link",
        b"to a folder": "link",
    }
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        (recorded,) = connection.execute("SELECT count(*) FROM photos").fetchone()
        places = dict(connection.execute("SELECT path_bytes, path FROM places_seen"))
    connection.close()
    assert recorded == len(NAMES) + 1  # the secret is none of them
    assert places[b"L\xf6we.jpg"] == "L\\xf6we.jpg"
    assert all(path.isprintable() for path in places.values())
    assert places[DEEP + b"/deep.jpg"] == (DEEP + b"/deep.jpg").decode()

    check_listings(tmp_path, capfdbinary)


def check_listings(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """No listing holds anything that a terminal or a spreadsheet would obey."""
    url, _ = database(tmp_path)
    for command in ("sightings", "problems"):
        for form in ("table", "csv", "json", "jsonl"):
            capfdbinary.readouterr()
            assert main([command, "--db", url, "--format", form]) == 0
            out, err = capfdbinary.readouterr()
            assert err == b""
            text = out.decode("utf-8")
            # What a terminal or a spreadsheet would obey: all controls but the end of a line.
            assert all(c.isprintable() or c == "\n" for c in text), (command, form)
            if form == "csv":
                for row in csv.reader(io.StringIO(text)):
                    for cell in row:
                        assert not cell.startswith(FORMULA_STARTS) or is_number(cell), cell
            if form == "jsonl":
                paths = [json.loads(line)["path"] for line in text.splitlines()]
                assert any(path.startswith("=") for path in paths)


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return cell == cell.strip()


# Nothing is written to a card ------------------------------------------------------------------


def statuses(top: Path, names: list[bytes]) -> dict[bytes, tuple[int, ...]]:
    found: dict[bytes, tuple[int, ...]] = {}
    for name in names:
        status = os.lstat(os.path.join(os.fsencode(top), name))  # noqa: PTH118 - bytes
        found[name] = (
            status.st_mode,
            status.st_ino,
            status.st_size,
            status.st_atime_ns,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )
    return found


@pytest.fixture
def sealed(card: Path) -> Iterator[tuple[Path, list[bytes]]]:
    """The card with nothing writable on it, and all its paths, folders included.

    Times of reading are so old that the system would write new ones if it was let.
    """
    root = os.fsencode(card)
    names = [b"."]
    for folder, folders, files in os.walk(root):
        names += [os.path.relpath(os.path.join(folder, name), root) for name in folders + files]  # noqa: PTH118
    for name in reversed(names):
        path = os.path.join(root, name)  # noqa: PTH118
        status = os.lstat(path)
        os.utime(path, ns=(1, status.st_mtime_ns), follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(path, stat.S_IMODE(status.st_mode) & ~0o222)  # noqa: PTH101
    yield card, names
    for name in names:
        path = os.path.join(root, name)  # noqa: PTH118
        if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
            os.chmod(path, 0o700)  # noqa: PTH101


def test_nothing_is_ever_written_to_a_card(
    sealed: tuple[Path, list[bytes]], tmp_path: Path
) -> None:
    card, names = sealed
    before = statuses(card, names)
    url, file = database(tmp_path)
    for arguments in (
        ["ingest", str(card), "--db", url, "-q"],
        ["watch", str(card), "--db", url, "--once", "-q"],
        ["classify", str(card)],
    ):
        done = trapsort(tmp_path, *arguments)
        assert done.code in (0, 1), done.err
        assert statuses(card, names) == before, arguments[0]
    assert files_below(card) == sorted(ends(file))
