"""The schema: how it is made and migrated, and which files are left as they are."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import shutil
import sqlite3
import sys
import traceback
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from trapsort.errors import DatabaseError
from trapsort.store import Store
from trapsort.store.engine import connect
from trapsort.store.migrate import FOLDER, REVISIONS, migrate
from trapsort.store.tables import METADATA, sightings

NEXT = """
from alembic import op
import sqlalchemy as sa
revision = "0002"
down_revision = "0001"
def upgrade():
    op.add_column("stations", sa.Column("habitat", sa.Text))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "100% sightings.sqlite3"


def url(file: Path) -> str:
    return f"sqlite:///{file}"


def ask(file: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def columns(file: Path, table: str) -> list[object]:
    return [row[1] for row in ask(file, f"PRAGMA table_info({table})")]


def newer(folder: Path, revision: str = NEXT) -> Path:
    """Copy the migrations and add a revision 0002, as a later version of trapsort would have it."""
    shutil.copytree(FOLDER, folder)
    (folder / "versions" / "0002_next.py").write_text(revision)
    return folder


def migrated(file: Path, folder: Path, revisions: tuple[str, ...]) -> None:
    engine = connect(url(file))
    try:
        migrate(engine, revisions=revisions, folder=folder)
    finally:
        engine.dispose()


def test_the_revisions_listed_are_those_in_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    walked = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(script.revision for script in walked) == REVISIONS[::-1]


def test_a_new_database_has_the_tables_and_the_view_that_the_code_expects(file: Path) -> None:
    Store.open(url(file)).close()
    engine: Engine = connect(url(file))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
    assert columns(file, "sightings") == [column.name for column in sightings.columns]
    assert ask(file, "SELECT version_num FROM alembic_version") == [(REVISIONS[-1],)]
    assert ask(file, "PRAGMA journal_mode") == [("wal",)]
    assert sorted(path.name for path in file.parent.iterdir()) == [file.name]


def test_a_connection_syncs_fully_and_holds_foreign_keys(file: Path) -> None:
    engine = connect(url(file), busy_seconds=30)
    with engine.connect() as connection:
        asked = ("synchronous", "foreign_keys", "busy_timeout")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    engine.dispose()
    assert found == [2, 1, 30_000]


def test_an_older_schema_is_copied_and_then_migrated(file: Path, tmp_path: Path) -> None:
    with Store.open(url(file)) as store:
        store.card(Path("/card"), station="ridge")
    migrated(file, newer(tmp_path / "newer"), ("0001", "0002"))
    copy = file.with_name(f"{file.name}.before-0002")
    assert columns(file, "stations") == ["id", "name", "latitude", "longitude", "habitat"]
    assert columns(copy, "stations") == ["id", "name", "latitude", "longitude"]
    assert ask(file, "SELECT name FROM stations") == [("ridge",)]
    assert ask(copy, "SELECT name FROM stations") == [("ridge",)]
    assert ask(copy, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert not list(file.parent.glob("*.part"))


def test_a_migration_that_fails_half_way_changes_nothing(file: Path, tmp_path: Path) -> None:
    Store.open(url(file)).close()
    folder = newer(tmp_path / "newer", f"{NEXT}    op.drop_table('no_such_table')\n")
    with pytest.raises(DatabaseError) as caught:
        migrated(file, folder, ("0001", "0002"))
    assert caught.value.message == f"database {file}: no such table: no_such_table"
    assert columns(file, "stations") == ["id", "name", "latitude", "longitude"]
    assert ask(file, "SELECT version_num FROM alembic_version") == [("0001",)]
    Store.open(url(file)).close()


def test_without_a_copy_there_is_no_migration(file: Path, tmp_path: Path) -> None:
    Store.open(url(file)).close()
    part = file.with_name(f"{file.name}.before-0002.part")
    part.mkdir()
    with pytest.raises(DatabaseError) as caught:
        migrated(file, newer(tmp_path / "newer"), ("0001", "0002"))
    assert caught.value.message.startswith(f"cannot copy the database to {file}.before-0002: ")
    assert caught.value.hint == "its schema was not changed; make room beside it, then try again"
    assert columns(file, "stations") == ["id", "name", "latitude", "longitude"]


def test_a_newer_schema_is_refused_and_left_as_it_is(file: Path, tmp_path: Path) -> None:
    migrated(file, newer(tmp_path / "newer"), ("0001", "0002"))
    before = file.read_bytes()
    with pytest.raises(DatabaseError) as caught:
        Store.open(url(file))
    assert str(caught.value) == (
        f"database {file} was written by a newer trapsort: its schema is 0002, this version knows"
        " up to 0001\n"
        "it was left as it is; install the newer trapsort: pip install --upgrade trapsort"
    )
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"Dear diary, today we saw a lion.\n" * 200, b"\xff\xd8\xff\xe0" * 1024]
)
def test_a_file_that_is_no_database_is_left_as_it_is(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(DatabaseError) as caught:
        Store.open(url(file))
    assert str(caught.value) == (
        f"database {file}: file is not a database\n"
        "the file was left as it is; name another one with --db"
    )
    assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_database_of_another_program_is_left_as_it_is(file: Path) -> None:
    file.parent.mkdir()
    ask(file, "CREATE TABLE photos (id INTEGER)")
    before = file.read_bytes()
    with pytest.raises(DatabaseError) as caught:
        Store.open(url(file))
    assert str(caught.value) == (
        f"database {file} belongs to another program\n"
        "it was left as it is; name another one with --db"
    )
    assert file.read_bytes() == before


def test_an_empty_file_becomes_a_database(file: Path) -> None:
    file.parent.mkdir()
    file.touch()
    with Store.open(url(file)) as store:
        assert store.models() == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "sightings.db",
            "'sightings.db' is not a database URL\nwrite sqlite:///FILE",
        ),
        (
            "sqlite+nothing:///x",
            "'sqlite+nothing:///x' is not a database URL\nwrite sqlite:///FILE",
        ),
        (
            "postgresql://ada:secret",
            "what was given is not a database URL\nwrite sqlite:///FILE",
        ),
        (
            "postgresql://ada:secret@host:port/x",
            "what was given is not a database URL\nwrite sqlite:///FILE",
        ),
        (
            "host=x password=secret",
            "what was given is not a database URL\nwrite sqlite:///FILE",
        ),
        (
            "sqlite+nothing://ada:secret@host/x",
            "what was given is not a database URL\nwrite sqlite:///FILE",
        ),
        (
            "sqlite://",
            "a database in memory would forget everything\nwrite sqlite:///FILE",
        ),
        (
            "mysql://localhost/x",
            "trapsort cannot use mysql\nwrite sqlite:///FILE or postgresql://",
        ),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_write(given: str, message: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        Store.open(given)
    assert str(caught.value) == message
    assert "secret" not in "".join(traceback.format_exception(caught.value)).replace(given, "")


def test_a_missing_driver_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseError) as caught:
        Store.open("postgresql://localhost/x")
    assert caught.value.message.startswith("no driver for the database: import of psycopg halted")
    assert caught.value.hint == "install it: pip install 'trapsort[postgres]'"


def test_a_folder_that_cannot_be_created_is_said(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(DatabaseError) as caught:
        Store.open(url(tmp_path / "taken" / "sightings.db"))
    assert caught.value.message.startswith(f"cannot create the folder {tmp_path / 'taken'}: ")
    assert caught.value.hint == "allow writing there, or name another file with --db"


def test_processes_that_open_a_new_database_together_create_it_once(file: Path) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    openers = [context.Process(target=_open, args=(url(file), together)) for _ in range(3)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(60)
    assert [opener.exitcode for opener in openers] == [0, 0, 0]
    assert ask(file, "SELECT version_num FROM alembic_version") == [("0001",)]
    assert ask(file, "SELECT count(*) FROM red_list") == [(22,)]


def _open(database: str, together: multiprocessing.synchronize.Barrier) -> None:
    import trapsort.store

    together.wait(30)
    trapsort.store.Store.open(database).close()
