"""lock: one daemon a database, whatever it is called, and none left behind."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from trapsort.errors import BusyError, DatabaseError
from trapsort.lock import Lock, lock_path


def test_a_second_daemon_is_refused_and_told_of_the_first(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/sightings.db"
    with Lock(url) as lock:
        assert lock.path == tmp_path / "new" / "sightings.db.daemon.lock"
        holder = json.loads(lock.path.read_text())
        assert holder["pid"] == os.getpid()
        assert holder["host"] == socket.gethostname()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", holder["since"])
        with pytest.raises(BusyError) as refused, Lock(url):
            pass
        assert refused.value.exit_code == 5
        assert str(refused.value) == (
            f"this database is being watched already: process {os.getpid()} on "
            f"{socket.gethostname()} since {holder['since']}\n"
            f"Stop it first (process {os.getpid()}), or choose another database with --db."
        )
    with Lock(url):  # released
        pass


def test_a_killed_daemon_leaves_no_lock(tmp_path: Path) -> None:
    database = tmp_path / "sightings.db"
    program = (
        "import sys, time; from trapsort.lock import Lock\n"
        "with Lock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", program, str(database)], stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    with pytest.raises(BusyError, match=f"process {first.pid} on "), Lock(database):
        pass
    first.kill()
    first.wait()
    first.stdout.close()
    with Lock(database):
        pass


def test_the_lock_follows_links_to_the_database(tmp_path: Path) -> None:
    (tmp_path / "real.db").touch()
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    with Lock(tmp_path / "link.db"), pytest.raises(BusyError), Lock(tmp_path / "real.db"):
        pass


def test_where_each_database_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "a.db.daemon.lock"
    for database in ("a.db", Path("a.db"), "sqlite:///a.db", f"sqlite+pysqlite:///{tmp_path}/a.db"):
        assert lock_path(database) == here
    assert lock_path("sqlite:///file:a.db?mode=rw&uri=true") == here
    assert lock_path("sqlite://") is None
    assert lock_path("sqlite:///:memory:") is None
    with Lock("sqlite://"), Lock("sqlite://"):
        pass
    server = lock_path("postgresql+psycopg://me:secret@db/traps")
    other = lock_path("postgresql+psycopg://me:secret@db/other")
    assert server is not None
    assert other is not None
    assert server != other
    assert server.parent.name == "trapsort"
    assert re.fullmatch(r"[0-9a-f]{16}\.daemon\.lock", server.name)


def test_a_lock_that_cannot_be_made_is_a_database_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"cannot lock .*sightings\.db\.daemon\.lock: "):
        Lock(tmp_path / "file" / "sightings.db").__enter__()


def test_the_lock_is_one_from_wherever_the_database_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    monkeypatch.chdir(tmp_path / "real")
    with Lock(f"sqlite:///{tmp_path}/link/sightings.db"), pytest.raises(BusyError):
        Lock("sqlite:///./sightings.db").__enter__()


def test_a_full_disk_costs_the_holders_name_and_not_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        lock = Lock(tmp_path / "sightings.db").__enter__()
    with pytest.raises(BusyError, match="watched already: another process"):
        Lock(tmp_path / "sightings.db").__enter__()
    lock.__exit__()
