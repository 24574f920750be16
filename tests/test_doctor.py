"""`trapsort doctor`: each thing that can be wrong is a line that says what to do."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

import trapsort
import trapsort.doctor as room
from tests.toy import write_bundle, write_precisions
from trapsort.cli.main import main
from trapsort.doctor import Check
from trapsort.store import Store
from trapsort.store.migrate import REVISIONS

if TYPE_CHECKING:
    from tests.postgres import Server

Run = Callable[..., int]
Look = Callable[..., dict[str, Check]]


@pytest.fixture(autouse=True)
def _ordinary_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local disk with room and no GPU, whatever the machine is."""
    monkeypatch.delenv("TRAPSORT_SHARED", raising=False)  # not a setting, but named like one
    for module in ("doctor", "watch", "store.engine"):
        monkeypatch.setattr(f"trapsort.{module}.mount_table", lambda: "")
    usage = shutil.disk_usage(tmp_path)._replace(free=50_000_000_000)
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage)
    monkeypatch.setattr(room, "NVIDIA", tmp_path / "none")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "toy")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "record" / "sightings.sqlite3"


@pytest.fixture
def run(bundle: Path, database: Path) -> Run:
    """Run a command line on this test's database with the toy bundle."""
    shared = ["--db", str(database), "--bundle", str(bundle)]
    return lambda *words: main([*shared, *map(str, words)])


@pytest.fixture
def look(run: Run, capfd: pytest.CaptureFixture[str]) -> Look:
    """Run doctor; return its checks by name, after asserting the exit code."""

    def looked(*words: object) -> dict[str, Check]:
        capfd.readouterr()
        code = run("doctor", *words, "--format", "json")
        checks = [Check(**each) for each in json.loads(capfd.readouterr().out)]
        assert code == any(check.state == "PROBLEM" for check in checks)
        assert all(bool(check.advice) == (check.state != "OK") for check in checks)
        # One that failed stands below others of its name.
        return {check.check: check for check in checks}

    return looked


@pytest.fixture
def card(tmp_path: Path, run: Run) -> Path:
    """A card that was taken in."""
    folder = tmp_path / "card"
    (folder / "DCIM" / "100").mkdir(parents=True)
    Image.new("RGB", (64, 48), (220, 10, 10)).save(folder / "DCIM" / "a.jpg")
    (folder / "note.txt").write_text("a note")
    run("ingest", folder)
    return folder


def change(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(statement)


def state_of(folder: Path) -> dict[str, bytes]:
    """Every file with its bytes, without what SQLite keeps beside a database that is open."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    }


# All well --------------------------------------------------------------------------------------


def test_everything_is_well(
    card: Path, bundle: Path, database: Path, run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    assert run("doctor", card) == 0
    printed = capfd.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert lines[0].split() == ["state", "check", "detail"]
    assert lines[1].startswith(f"OK     trapsort      {trapsort.__version__}, Python 3.")
    assert lines[-2:] == ["", "everything is well"]
    said = " ".join(printed.out.split())
    for part in (
        "OK settings no configuration file OK ",
        "OK bundle toy-1.0.0 at ",
        " and files verified OK provider ",
        "OK precision single, of single OK threads ",
        "OK database ",
        f"OK schema {REVISIONS[-1]} OK integrity whole OK journal wal",
        "OK record 1 photo, 1 place, 1 card, 1 open problem, 0 reviews",
        "OK disk 50.0 GB free at ",
        "OK watching ",
    ):
        assert part in said, part


def test_nothing_is_changed_or_made(card: Path, database: Path, tmp_path: Path, look: Look) -> None:
    before = state_of(tmp_path)
    look(card)
    look(card, "--full")
    assert state_of(tmp_path) == before


def test_no_database_yet_is_no_problem(tmp_path: Path, look: Look, database: Path) -> None:
    before = state_of(tmp_path)
    assert look()["database"] == Check(
        "database",
        "WARNING",
        f"there is none at {database} yet",
        "Take in a card first (trapsort ingest DIR), or name another one with --db.",
    )
    assert state_of(tmp_path) == before
    assert not database.parent.exists()


def test_the_graphs_that_answer_are_named(look: Look, bundle: Path) -> None:
    write_precisions(bundle, margins={"int8": 0.2})
    said = look("--graph-precision", "int8")["precision"].detail
    assert said == "int8, but close calls in single, of single and int8"
    assert look("--graph-precision", "single")["precision"].detail == "single, of single and int8"


def test_the_sources_of_the_settings_are_named(
    tmp_path: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mine.toml"
    config.write_text('station = "north"\n', encoding="utf-8")
    monkeypatch.setenv("TRAPSORT_WORKERS", "2")
    assert look("--config", config)["settings"].detail == f"{config}, TRAPSORT_WORKERS"
    monkeypatch.setenv("TRAPSORT_CONFIG", str(config))
    said = look()["settings"].detail
    assert said.startswith(f"{config}, TRAPSORT_CONFIG")


# The database ----------------------------------------------------------------------------------


def test_a_damaged_database_is_left_as_it_is(
    card: Path, database: Path, tmp_path: Path, look: Look
) -> None:
    database.write_bytes(database.read_bytes()[:8192])
    before = state_of(tmp_path)
    check = look()["database"]
    assert check.state == "PROBLEM"
    assert check.detail == f"database {database}: database disk image is malformed"
    assert check.advice.startswith("the file is damaged: keep a copy of it, then either restore")
    assert state_of(tmp_path) == before


def test_a_file_that_is_no_database(database: Path, look: Look) -> None:
    database.parent.mkdir()
    database.write_bytes(b"something else\n" * 200)
    check = look()["database"]
    assert (check.state, check.detail) == (
        "PROBLEM",
        f"database {database}: file is not a database",
    )


def test_a_database_of_another_program(database: Path, look: Look) -> None:
    database.parent.mkdir()
    change(database, "CREATE TABLE bookmarks (url)")
    check = look()["schema"]
    assert (check.state, check.detail) == ("PROBLEM", "it is not one of trapsort's")


def test_a_server(bundle: Path, server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    url = server.database()

    def lines() -> list[str]:
        capfd.readouterr()
        assert main(["doctor", "--bundle", str(bundle), "--db", url]) == 0
        return capfd.readouterr().out.splitlines()

    assert "WARNING  schema        it has no tables yet" in lines()
    Store.open(url).close()
    said = " ".join(" ".join(lines()).split())
    assert ", PostgreSQL 1" in said
    assert f"OK schema {REVISIONS[-1]} OK record 0 photos, 0 places, " in said
    assert "disk" not in said
    assert "journal" not in said


def test_schemas_of_other_versions(card: Path, database: Path, tmp_path: Path, look: Look) -> None:
    change(database, "UPDATE alembic_version SET version_num = '9999'")
    check = look()["schema"]
    assert (check.state, check.advice) == ("PROBLEM", "pip install --upgrade trapsort")
    assert check.detail == f"9999; this version knows up to {REVISIONS[-1]}"
    change(database, "UPDATE alembic_version SET version_num = '0001'")
    before = state_of(tmp_path)
    check = look()["schema"]
    assert (check.state, check.detail) == ("WARNING", f"0001, to become {REVISIONS[-1]}")
    assert state_of(tmp_path) == before


def test_a_full_check_follows_references(card: Path, database: Path, look: Look) -> None:
    change(database, "UPDATE places_seen SET photo_id = 99")
    assert look()["integrity"].state == "OK"
    check = look("--full")["integrity"]
    assert check.state == "PROBLEM"
    assert "of places_seen refers to a row of photos that is not there" in check.detail


def test_a_full_check_compares_the_index_and_a_rebuild_makes_it_anew(
    card: Path, database: Path, look: Look
) -> None:
    said = "says what the record says, as do the counts"
    assert "index" not in look()
    assert look("--full")["index"] == Check("index", "OK", said)
    change(database, "UPDATE sighting_index SET label = 'Unicorn'")
    check = look("--full")["index"]
    assert check.state == "PROBLEM"
    assert "rows of sighting_index do not say what the record says" in check.detail
    assert check.advice == "Nothing is lost; make them anew: trapsort doctor --rebuild"
    assert look("--full", "--rebuild")["index"] == Check("index", "OK", said)


def test_a_big_database_is_not_waited_for(
    card: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trapsort.store.health as health

    monkeypatch.setattr(room, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(health, "STEPS", 1)
    checks = look()
    said = "not checked to the end in 0 s; doctor --full checks all of it"
    assert checks["integrity"] == Check("integrity", "OK", said)
    assert "record" not in checks
    assert look("--full")["integrity"].detail == "whole, references included"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_database_that_may_not_be_written(card: Path, database: Path, look: Look) -> None:
    database.chmod(0o444)
    assert look()["database"].detail == f"{database} may not be written"


def test_other_journals(card: Path, database: Path, look: Look) -> None:
    change(database, "PRAGMA journal_mode = DELETE")
    check = look()["journal"]
    assert (check.state, check.detail) == ("WARNING", "delete")


def test_a_network_drive(
    card: Path, database: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"36 35 98:0 / {card.parent} rw,noatime shared:1 - nfs4 server:/share rw"
    monkeypatch.setattr(room, "mount_table", lambda: line)
    monkeypatch.setattr("trapsort.watch.mount_table", lambda: line)
    checks = look(card)
    assert checks["journal"] == Check(
        "journal",
        "WARNING",
        "wal, on a network drive (nfs4)",
        "One program at a time is safe there; for several machines use PostgreSQL.",
    )
    assert checks["disk"].detail.endswith(" (nfs4)")
    assert checks["watching"] == Check(
        "watching",
        "WARNING",
        "polling (nfs4)",
        "Nothing: new photos are noticed, but up to 10 s later.",
    )


@pytest.mark.parametrize(("free", "state"), [(5e9, "OK"), (5e8, "WARNING"), (5e7, "PROBLEM")])
def test_free_disk(free: float, state: str, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = room.shutil.disk_usage("/")._replace(free=int(free))
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: usage)
    assert look()["disk"].state == state


def test_an_address_that_is_none(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    words = ["doctor", "--bundle", str(bundle), "--format", "json", "--db"]
    assert main([*words, "mysql://someone:secret@server/x"]) == 1
    printed = capfd.readouterr().out
    assert "trapsort cannot use mysql" in printed
    assert "secret" not in printed


# The rest --------------------------------------------------------------------------------------


def test_a_corrupt_bundle(bundle: Path, look: Look) -> None:
    graph = bundle / "ensemble.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    checks = look()
    assert checks["bundle"].state == "PROBLEM"
    assert str(graph) in checks["bundle"].detail
    assert "provider" not in checks


def test_a_bundle_that_is_not_there(bundle: Path, look: Look) -> None:
    shutil.rmtree(bundle)
    check = look()["bundle"]
    assert (check.state, check.detail) == ("PROBLEM", f"There is no bundle {str(bundle)!r}.")


def test_settings_that_are_wrong(
    look: Look, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRAPSORT_WORKERS", "many")
    check = look()["settings"]
    assert check.state == "PROBLEM"
    assert "workers in the environment" in check.detail
    monkeypatch.delenv("TRAPSORT_WORKERS")
    check = look("--config", tmp_path / "none.toml")["settings"]
    assert check.detail == f"cannot read {tmp_path / 'none.toml'}: No such file or directory"


def test_two_runtimes_break_each_other(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.metadata, "version", lambda _: "1.2.3")
    check = look()["ONNX Runtime"]
    assert check == Check(
        "ONNX Runtime",
        "PROBLEM",
        "onnxruntime-gpu 1.2.3 and onnxruntime 1.2.3",
        "pip uninstall onnxruntime-gpu onnxruntime; then install trapsort again",
    )


def test_a_gpu_that_is_not_used(
    look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "NVIDIA", tmp_path)
    monkeypatch.setattr("trapsort.session._providers", lambda: ["CPUExecutionProvider"])
    check = look()["provider"]
    assert check.state == "WARNING"
    assert check.detail == "CPUExecutionProvider, although there is an NVIDIA GPU"


def test_too_many_threads(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "cores", lambda: 2)
    monkeypatch.setenv("TRAPSORT_WORKERS", "100")
    check = look()["threads"]
    assert (check.state, check.detail) == ("WARNING", "100 on 2 cores")


def test_a_folder_that_is_not_there(tmp_path: Path, look: Look) -> None:
    check = look(tmp_path / "none")["folder"]
    assert (check.state, check.detail) == ("PROBLEM", f"{tmp_path / 'none'} does not exist.")


def test_a_folder_that_cannot_be_listed(
    card: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> list[str]:
        raise PermissionError(errno.EACCES, "Permission denied", str(card))

    monkeypatch.setattr(room.os, "listdir", refuse)
    check = look(card)["folder"]
    assert (check.state, check.detail) == ("PROBLEM", f"[Errno 13] Permission denied: '{card}'")


def test_the_limits_of_watching(
    card: Path, tmp_path: Path, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = tmp_path / "inotify"
    limits.mkdir()
    (limits / "max_user_watches").write_text("3\n")
    (limits / "max_user_instances").write_text("128\n")
    monkeypatch.setattr(room, "INOTIFY", limits)
    said = "3 watches needed, {} and 128 instances allowed (inotify)"
    assert look(card)["watching"] == Check("watching", "OK", f"events: {said.format(3)}")
    (limits / "max_user_watches").write_text("2\n")
    assert look(card)["watching"] == Check(
        "watching",
        "WARNING",
        f"polling: {said.format(2)}",
        "sudo sysctl fs.inotify.max_user_watches=1048576",
    )
    monkeypatch.setattr(room, "INOTIFY", tmp_path / "none")  # another system
    assert look(card)["watching"] == Check("watching", "OK", "events")


def test_what_nobody_foresaw_is_a_line(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room.platform, "python_version", lambda: 1 / 0)
    check = look()["trapsort"]
    assert check.state == "PROBLEM"
    assert check.detail == "cannot be looked at: ZeroDivisionError: division by zero"


def test_what_is_wrong_is_said_again_with_what_to_do(
    tmp_path: Path, run: Run, bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("doctor", tmp_path / "none") == 1
    lines = capfd.readouterr().out.splitlines()
    assert lines[-4:] == [
        "database: Take in a card first (trapsort ingest DIR), or name another one with --db.",
        "folder: Give a folder or a file that exists.",
        "",
        "1 problem, 1 warning",
    ]
