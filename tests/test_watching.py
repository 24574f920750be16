"""`trapsort watch` as a program: what it says, and what signals and faults do to it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests import toy
from trapsort import daemon
from trapsort.cli import watch as command
from trapsort.cli.main import main

ROOT = Path(__file__).resolve().parent.parent
RED, GREEN = (220, 10, 10), (10, 220, 10)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(toy.write_bundle(tmp_path_factory.mktemp("bundle") / "toy"))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files and failures are over after 0.3 s, and a signal that comes late ends no test."""
    for name in ("quiet_seconds", "rescan_seconds"):
        monkeypatch.setitem(daemon.run.__kwdefaults__, name, 0.3)
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGTERM, before)


def card(folder: Path, colour: tuple[int, int, int]) -> Path:
    (folder / "DCIM").mkdir(parents=True)
    Image.new("RGB", (640, 480), colour).save(folder / "DCIM" / "IMG_0001.JPG")
    return folder


def recorded(database: Path) -> int:
    connection = sqlite3.connect(database)
    try:
        return int(connection.execute("SELECT count(*) FROM photos").fetchone()[0])
    except sqlite3.OperationalError:  # no tables yet
        return 0
    finally:
        connection.close()


def when(condition: Callable[[], bool], act: Callable[[], object]) -> threading.Thread:
    """Act from a thread as soon as the condition holds; after ten seconds in any case."""

    def wait() -> None:
        deadline = time.monotonic() + 10
        try:
            while not condition() and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_once_with_cards_accounts_for_each_card_by_its_path(
    bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    media = tmp_path / "media"
    card(media / "ranger" / "CARD", RED)
    card(media / "visitor" / "CARD", GREEN)
    (media / "stick").mkdir()
    Image.new("RGB", (64, 48)).save(media / "stick" / "holiday.jpg")
    options = ["--bundle", bundle, "--db", str(tmp_path / "s.db"), "--station", "ridge"]
    assert main(["watch", "--once", "--cards", str(media), *options]) == 0
    assert capfd.readouterr() == (
        "ranger/CARD: 1 file: 1 photo recorded, 0 seen before, 0 problems\n"
        "visitor/CARD: 1 file: 1 photo recorded, 0 seen before, 0 problems\n",
        "",
    )
    connection = sqlite3.connect(tmp_path / "s.db")
    query = "SELECT root, name FROM cards JOIN stations ON stations.id = station_id ORDER BY root"
    assert connection.execute(query).fetchall() == [
        (str(media / "ranger" / "CARD"), "ridge"),
        (str(media / "visitor" / "CARD"), "ridge"),
    ]
    connection.close()


@pytest.mark.parametrize("cards", [False, True])
def test_the_first_line_says_what_is_watched_and_how(
    bundle: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    cards: bool,
) -> None:
    from trapsort import watch

    table = f"36 35 0:52 / {tmp_path}/nas rw - cifs //nas/photos rw\n"
    monkeypatch.setattr(watch, "mount_table", lambda: table)
    card(tmp_path / "ONE", RED)
    (tmp_path / "nas").mkdir()
    (tmp_path / ".record").mkdir()
    database = tmp_path / ".record" / "s.db"
    options = ["--bundle", bundle, "--db", str(database)]
    places = [str(tmp_path)] if cards else [str(tmp_path / "ONE"), str(tmp_path / "nas")]
    ended = when(lambda: recorded(database) == 1, stop)
    assert main(["watch", *(["--cards"] * cards), *places, *options]) == 0
    ended.join()
    errors = capfd.readouterr().err.splitlines()
    assert errors[0] == (
        f"watching {tmp_path} for cards (folders with DCIM); Ctrl-C ends it"
        if cards
        else f"watching {tmp_path}/ONE (events), {tmp_path}/nas (polling (cifs)); Ctrl-C ends it"
    )


def test_a_locked_database_is_waited_for(
    bundle: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "BUSY_SECONDS", 0.1)
    database, root = tmp_path / "s.db", tmp_path / "CARD"
    options = [str(root), "--bundle", bundle, "--db", str(database)]
    card(root, RED)
    assert main(["watch", "--once", *options]) == 0
    other = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    Image.new("RGB", (640, 480), GREEN).save(root / "DCIM" / "IMG_0002.JPG")
    released = when(lambda: "locked" in caplog.text, lambda: other.execute("ROLLBACK"))
    ended = when(lambda: recorded(database) == 2, stop)
    assert main(["watch", *options]) == 0
    released.join()
    ended.join()
    other.close()
    assert capfd.readouterr().out.splitlines()[1:] == [
        "CARD: 2 files: 1 photo recorded, 1 seen before, 0 problems"
    ]
    said = [each for each in caplog.messages if "database" in each]
    assert said == [
        f"database {database}: database is locked; trying again until it works, nothing is lost",
        "the database works again; going on",
    ]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes; skips where none may be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    done = (
        subprocess.run(mount, capture_output=True, check=False) if shutil.which("mount") else None
    )
    if done is None or done.returncode:
        pytest.skip("a small disk cannot be mounted here; root may")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_waited_for(
    bundle: str,
    tmp_path: Path,
    small_disk: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    database, root = small_disk / "s.db", card(tmp_path / "CARD", RED)
    ballast = small_disk / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        for number in range(2, 10):
            shade = (10, 20 * number, 10)
            Image.new("RGB", (640, 480), shade).save(root / "DCIM" / f"IMG_{number:04d}.JPG")

    filled = when(lambda: recorded(database) == 1, fill)
    freed = when(lambda: "trying again" in caplog.text, ballast.unlink)
    ended = when(lambda: recorded(database) == 9, stop)
    assert main(["watch", str(root), "--bundle", bundle, "--db", str(database)]) == 0
    for thread in (filled, freed, ended):
        thread.join()
    assert recorded(database) == 9
    failures = [each for each in caplog.messages if "database" in each]
    assert failures == [
        f"database {database}: database or disk is full; trying again until it works, nothing is "
        "lost",
        "the database works again; going on",
    ]


def test_a_card_may_be_read_only_and_a_database_not(
    bundle: str, tmp_path: Path, small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card(small_disk, RED)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    options = ["--bundle", bundle, "--db"]
    assert main(["watch", "--once", str(small_disk), *options, str(tmp_path / "s.db")]) == 0
    assert capfd.readouterr() == (
        "disk: 1 file: 1 photo recorded, 0 seen before, 0 problems\n",
        "",
    )
    other = card(tmp_path / "CARD", RED)
    assert main(["watch", "--once", str(other), *options, str(small_disk / "s.db")]) == 4
    assert capfd.readouterr().err == (
        f"trapsort: cannot lock {small_disk}/s.db.daemon.lock: Read-only file system\n"
        "Choose a database in a folder that you may write to, with --db.\n"
    )


def test_a_damaged_database_ends_it_with_a_way_out(
    bundle: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    database, root = tmp_path / "s.db", card(tmp_path / "CARD", RED)
    options = [str(root), "--bundle", bundle, "--db", str(database)]
    assert main(["watch", "--once", *options]) == 0
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (database.stat().st_size - 4096))
    damaged = database.read_bytes()
    Image.new("RGB", (640, 480), GREEN).save(root / "DCIM" / "IMG_0002.JPG")
    capfd.readouterr()
    assert main(["watch", *options]) == 4
    said = capfd.readouterr().err
    assert f"database {database}: " in said
    assert "restore a backup" in said
    assert database.read_bytes()[4096:] == damaged[4096:], "left as it is"


def test_a_damaged_bundle_is_refused_by_the_files_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = toy.write_bundle(tmp_path / "toy") / "ensemble.onnx"
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    options = ["--bundle", str(tmp_path / "toy"), "--db", str(tmp_path / "s.db")]
    assert main(["watch", str(card(tmp_path / "CARD", RED)), *options]) == 3
    assert "ensemble.onnx" in capfd.readouterr().err
    assert not (tmp_path / "s.db").exists()


def test_an_unreadable_file_is_reported_and_the_others_are_taken(
    bundle: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = card(tmp_path / "CARD", RED)
    shutil.copy(root / "DCIM" / "IMG_0001.JPG", root / "DCIM" / "IMG_0002.JPG")
    fault = [errno.EIO]
    real = os.open

    def failing(path: Path | bytes, *rest: Any, **named: Any) -> int:
        if fault and os.fsencode(path).endswith(b"IMG_0002.JPG"):
            raise OSError(fault[0], os.strerror(fault[0]))
        return real(path, *rest, **named)

    monkeypatch.setattr(os, "open", failing)
    database = tmp_path / "s.db"

    def problems() -> list[tuple[str, str, bool]]:
        if not database.exists():
            return []
        connection = sqlite3.connect(database)
        try:
            query = "SELECT reason, detail, resolved IS NOT NULL FROM problems"
            return [(r, d, bool(over)) for r, d, over in connection.execute(query)]
        except sqlite3.OperationalError:  # no tables yet
            return []
        finally:
            connection.close()

    mended = when(lambda: problems() != [], fault.clear)
    ended = when(lambda: any(over for *_, over in problems()), stop)
    assert main(["watch", str(root), "--bundle", bundle, "--db", str(database)]) == 0
    mended.join()
    ended.join()
    assert problems() == [("unreadable", os.strerror(errno.EIO), True)]
    assert capfd.readouterr().out.splitlines() == [
        "CARD: 2 files: 1 photo recorded, 0 seen before, 1 problem",
        "CARD: 1 file: 0 photos recorded, 1 seen before, 0 problems",
    ]


# signals, to real processes


def start(program: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-c", program, "watch", *arguments],
        cwd=ROOT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("names", [("click",), ("numpy", "sqlalchemy", "onnxruntime")])
def test_a_signal_while_it_starts_ends_it_well(
    names: tuple[str, ...], bundle: str, tmp_path: Path
) -> None:
    """All imports come after the signals are heard: here, the first of some waits."""
    program = (
        "import sys\n"
        "class Pause:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name in {names}:\n"
        "            sys.meta_path.remove(self)\n"
        "            print('importing', name)\n"
        "            sys.stdin.readline()\n"
        "sys.meta_path.insert(0, Pause())\n"
        "from trapsort.__main__ import main\n"
        "sys.exit(main())\n"
    )
    root, database = card(tmp_path / "CARD", RED), tmp_path / "s.db"
    with start(program, str(root), "--bundle", bundle, "--db", str(database)) as watching:
        assert watching.stdin is not None
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("importing ")
        watching.send_signal(signal.SIGTERM)
        time.sleep(0.1)  # heard while it is blocked
        out, errors = watching.communicate("go on\n", timeout=20)
    assert (watching.returncode, out) == (0, "")
    assert "Traceback" not in errors
    assert recorded(database) == 0


def test_a_second_interrupt_ends_it_at_once(bundle: str, tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from trapsort import pipeline\n"
        "from trapsort.cli.main import main\n"
        "def ingest(root, *, stop, **others):\n"
        "    print('busy')\n"
        "    while not stop.is_set(): time.sleep(0.01)\n"
        "    print('asked to stop')\n"
        "    time.sleep(60)\n"
        "pipeline.ingest = ingest\n"
        "sys.exit(main())\n"
    )
    root = card(tmp_path / "CARD", RED)
    options = ["--bundle", bundle, "--db", str(tmp_path / "s.db")]
    with start(program, str(root), *options) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "busy\n"
        watching.send_signal(signal.SIGINT)
        assert watching.stdout.readline() == "asked to stop\n"
        asked = time.monotonic()
        watching.send_signal(signal.SIGINT)
        _, errors = watching.communicate(timeout=20)
    assert time.monotonic() - asked < 10
    assert watching.returncode == 130
    assert errors.endswith("trapsort: interrupted\n")
