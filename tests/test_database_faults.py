"""A database that is locked, damaged, full, read-only or far away: what is said, what is kept."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from tests.records import CARD, ask, keys, named, record, sizes
from trapsort.errors import DatabaseError
from trapsort.store import Account, Record, Store
from trapsort.store.engine import connect, writing
from trapsort.store.write import add_batch

if TYPE_CHECKING:
    from tests.postgres import Server

ROOM = "make room, then run the same again: what was recorded is kept"
DISK = "check the disk and its connection, then run the same again: what was recorded is kept"
ADDRESS = (
    "check the address, the network and whether the server runs, then run the same again: what was"
    " recorded is kept"
)
WRITE = "allow writing to the file and to its folder, or name another one with --db"
FOLDER = "check that the folder is there and may be written, or name another file with --db"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "record.sqlite3"


def some(count: int, start: int = 0) -> list[Record]:
    return [record(f"{number:05d}") for number in range(start, start + count)]


def is_whole(file: Path) -> bool:
    return ask(f"sqlite:///{file}", "PRAGMA integrity_check") == [("ok",)]


# Locked ------------------------------------------------------------------------------------------


def test_a_database_that_another_program_holds_is_said(url: str) -> None:
    other = connect(url)
    with Store.open(url, busy_seconds=0.1) as store:
        with writing(other):
            with pytest.raises(DatabaseError) as caught:
                store.card(CARD)
            assert list(store.sightings()) == []  # readers go on
        assert store.card(CARD) > 0
    other.dispose()
    assert caught.value.message.startswith(f"database {named(url)}: ")
    assert "lock" in caught.value.message
    assert caught.value.hint == (
        "another program is writing to it; wait for it or end it, then try again"
    )


def test_a_writer_waits_its_turn(url: str) -> None:
    other, held, done = connect(url), threading.Event(), threading.Event()

    def hold() -> None:
        with writing(other):
            held.set()
            assert not done.wait(0.5)  # nothing is recorded while it writes

    with Store.open(url, busy_seconds=20) as store:
        holder = threading.Thread(target=hold)
        holder.start()
        assert held.wait(10)
        assert store.card(CARD) > 0
        done.set()
        holder.join()
    other.dispose()


# Damaged -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [8192, 4096 * 30])
def test_a_damaged_database_says_how_to_recover_and_is_kept(file: Path, start: int) -> None:
    with Store.open(f"sqlite:///{file}") as store:
        card, model = keys(store)
        store.record(card, model, records=some(400))
    content = bytearray(file.read_bytes())
    assert len(content) > start + 4096
    content[start:] = b"\x55" * (len(content) - start)
    file.write_bytes(content)
    with pytest.raises(DatabaseError) as caught, Store.open(f"sqlite:///{file}") as store:
        list(store.sightings())
        store.record(card, model, records=some(400))
    assert caught.value.message == f"database {file}: database disk image is malformed"
    assert caught.value.hint == (
        "the file is damaged: keep a copy of it, then either restore a backup or save what is"
        " readable with: sqlite3 DAMAGED .recover | sqlite3 NEW"
    )
    assert file.read_bytes() == content


# Full --------------------------------------------------------------------------------------------


def test_a_full_disk_costs_a_batch_and_nothing_else(file: Path) -> None:
    url = f"sqlite:///{file}"
    with Store.open(url) as store:
        card, model = keys(store)
        store.record(card, model, records=some(100))
    (pages,) = ask(url, "PRAGMA page_count")[0]
    engine = connect(url)
    event.listen(engine, "connect", lambda c, _: c.execute(f"PRAGMA max_page_count = {pages + 2}"))
    with closing(Store(engine)) as store:
        for _ in range(2):
            with pytest.raises(DatabaseError) as caught:
                store.record(card, model, records=some(100, start=100))
            assert str(caught.value) == f"database {file}: database or disk is full\n{ROOM}"
        assert len(list(store.sightings())) == 100  # and reading goes on
    assert set(sizes(url).values()) == {100, 0}
    assert is_whole(file)
    with Store.open(url) as store:
        found = store.record(card, model, records=some(200))
        assert found.account == Account(200, 100, 100, 0)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Let writes beyond this many bytes of a file fail, as those on a bad disk do."""
    import resource  # which Windows does not have

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("spare", [0, 5_000, 20_000, 80_000])
def test_a_write_that_fails_anywhere_leaves_the_batch_before_it(file: Path, spare: int) -> None:
    url, journal = f"sqlite:///{file}", Path(f"{file}-wal")
    with Store.open(url) as store:
        card, model = keys(store)
        store.record(card, model, records=some(100))
        with no_file_larger_than(journal.stat().st_size + spare):
            for _ in range(2):
                with pytest.raises(DatabaseError) as caught:
                    store.record(card, model, records=some(100, start=100))
                assert str(caught.value) == f"database {file}: disk I/O error\n{DISK}"
            assert len(list(store.sightings())) == 100
        found = store.record(card, model, records=some(200))
        assert found.account == Account(200, 100, 100, 0)
    assert set(sizes(url).values()) == {200, 0}
    assert is_whole(file)


# Read-only ---------------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user can reach, which those of pytest are not."""
    made = Path(tempfile.mkdtemp(prefix="trapsort-test-"))
    yield made
    made.chmod(0o700)
    shutil.rmtree(made)


@contextmanager
def without_privileges(*owned: Path) -> Iterator[None]:
    """Be another user than root, who may write everywhere, and own these files."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    for path in owned:
        os.chown(path, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("new.sqlite3", f"unable to open database file\n{FOLDER}"),
        ("record.sqlite3", f"attempt to write a readonly database\n{WRITE}"),
    ],
)
def test_a_folder_that_may_not_be_written_is_said(folder: Path, name: str, said: str) -> None:
    Store.open(f"sqlite:///{folder / 'record.sqlite3'}").close()
    before = sorted(folder.iterdir())
    folder.chmod(0o555)
    with without_privileges(folder, *before), pytest.raises(DatabaseError) as caught:
        Store.open(f"sqlite:///{folder / name}")
    assert str(caught.value) == f"database {folder / name}: {said}"
    assert sorted(folder.iterdir()) == before


def test_a_file_that_may_not_be_written_is_said(folder: Path) -> None:
    file = folder / "record.sqlite3"
    Store.open(f"sqlite:///{file}").close()
    file.chmod(0o444)
    content = file.read_bytes()
    with without_privileges(folder, file), Store.open(f"sqlite:///{file}") as store:
        assert list(store.sightings()) == []  # what is there can be looked at
        with pytest.raises(DatabaseError) as caught:
            store.card(CARD)
    message = "attempt to write a readonly database"
    assert str(caught.value) == f"database {file}: {message}\n{WRITE}"
    assert file.read_bytes() == content


# On a network ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "fuse.sshfs", "9p"])
def test_a_file_on_a_network_drive_is_warned_of_and_has_no_wal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    drive = tmp_path / "net drive"
    drive.mkdir()
    point = os.path.realpath(drive).replace(" ", "\\040")
    table = (
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        f"28 27 0:25 / {point} rw,relatime shared:7 - {kind} host:/export rw\n"
    )
    local = tmp_path / "record.sqlite3"
    Store.open(f"sqlite:///{local}").close()
    shutil.copy(local, drive / "copied.sqlite3")
    monkeypatch.setattr("trapsort.store.engine.mount_table", lambda: table)
    for name in ("new.sqlite3", "copied.sqlite3"):
        file = drive / name
        caplog.clear()
        with Store.open(f"sqlite:///{file}") as store:
            card, model = keys(store)
            store.record(card, model, records=some(3))
            assert not list(drive.glob("*-wal")) and not list(drive.glob("*-shm"))
            assert len(list(store.sightings())) == 3
        assert ask(f"sqlite:///{file}", "PRAGMA journal_mode") == [("delete",)]
        assert caplog.messages == [
            f"the database {file} is on a network drive ({kind}), where SQLite may lose data when"
            " two programs use it: keep it on a local disk, or use PostgreSQL for several machines"
        ]
        assert caplog.records[0].levelno == logging.WARNING
    caplog.clear()
    Store.open(f"sqlite:///{local}").close()
    assert caplog.messages == []


# A server ----------------------------------------------------------------------------------------


def test_a_server_that_does_not_answer_is_said(server: Server) -> None:
    there = server.database()
    port = int(there.rpartition("/")[0].rpartition(":")[2])
    away = there.replace(f":{port}/", ":1/").replace("postgres@", "ada:secret@")
    with pytest.raises(DatabaseError) as caught:
        Store.open(away)
    assert caught.value.hint == ADDRESS
    assert "refused" in caught.value.message
    assert "ada:***@127.0.0.1:1/" in caught.value.message
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("/record_", "/nowhere_", "create it on the server (createdb NAME), or check the address"),
        ("postgres@", "nobody_knows@", "check the user in the database's address"),
    ],
)
def test_a_server_that_refuses_is_said(server: Server, old: str, new: str, hint: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        Store.open(server.database().replace(old, new))
    assert "does not exist" in caught.value.message
    assert caught.value.hint == hint


def test_a_store_outlives_a_restart_of_its_server(server: Server) -> None:
    with Store.open(server.database()) as store:
        card, model = keys(store)
        store.record(card, model, records=some(3))
        server.end_sessions()
        store.record(card, model, records=some(6))
        assert len(list(store.sightings())) == 6


def test_a_connection_that_breaks_within_a_batch_leaves_nothing_of_it(server: Server) -> None:
    url = server.database()
    with Store.open(url) as store:
        card, model = keys(store)
        with pytest.raises(DatabaseError) as caught, writing(store._engine) as connection:
            add_batch(connection, card, model, records=some(8), seen=[], failed=[])
            server.end_sessions()
        assert caught.value.hint == ADDRESS
        assert set(sizes(url).values()) == {0}
        assert store.record(card, model, records=some(8)).account == Account(8, 8, 0, 0)
