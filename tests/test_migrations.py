"""The schema: how it is made and migrated, and which files are left as they are."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import shutil
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from tests import records
from trapsort.errors import DatabaseError
from trapsort.store import ModelRow, Store
from trapsort.store.engine import connect
from trapsort.store.migrate import FOLDER, REVISIONS, migrate
from trapsort.store.tables import METADATA, sightings

if TYPE_CHECKING:
    from tests.postgres import Server

LATEST = REVISIONS[-1]
LATER = (*REVISIONS, "9999")
NEXT = f"""
from alembic import op
import sqlalchemy as sa
revision = "9999"
down_revision = "{LATEST}"
def upgrade():
    op.add_column("stations", sa.Column("habitat", sa.Text))
"""
STATION_COLUMNS = ["id", "name", "latitude", "longitude"]

# What 0001 held of one card: a photo that was seen twice, one like it, and a problem.
OLD_ROWS = """
INSERT INTO stations (name) VALUES ('ridge');
INSERT INTO cards (root, volume, station_id, first_seen, last_seen)
VALUES ('/card', 'AB-12', 1, 't', 't');
INSERT INTO models (name, version, digest, added, last_used)
VALUES ('iucn11', '1.0.0', 'd1', 't', 1);
INSERT INTO photos (sha256, size, camera_time, perceptual_hash, width, height, format, flags,
    near_duplicate_of, near_duplicate_bits, first_seen)
VALUES (CAST('a' AS BLOB), 9, '2026-03-01T05:06:07', -1, 640, 480, 'JPEG', '', NULL, NULL, 't'),
    (CAST('b' AS BLOB), 9, '2026-03-01T05:06:07', -2, 640, 480, 'JPEG', '', 1, 3, 't');
INSERT INTO places_seen (photo_id, card_id, path_bytes, path, mtime_ns, first_seen, last_seen)
VALUES (1, 1, CAST('1.jpg' AS BLOB), '1.jpg', 7, 't', 't'),
    (1, 1, CAST('copy.jpg' AS BLOB), 'copy.jpg', 7, 't', 't'),
    (2, 1, CAST('2.jpg' AS BLOB), '2.jpg', 7, 't', 't');
INSERT INTO regions (photo_id, x, y, width, height, detector)
VALUES (1, 0, 0, 1, 1, ''), (2, 0, 0, 1, 1, '');
INSERT INTO predictions (region_id, model_id, label, probability, top, members, created)
VALUES (1, 1, 'Lion', 0.9, '[]', '[]', 't'), (2, 1, 'Lion', 0.9, '[]', '[]', 't');
INSERT INTO reviews (photo_id, label, count, reviewer, time, note)
VALUES (2, 'Panda', 1, 'ada', 't', '');
INSERT INTO problems (card_id, path_bytes, path, reason, detail, first_seen, last_seen)
VALUES (1, CAST('x' AS BLOB), 'x', 'empty', '0 bytes', 't', 't');
INSERT INTO runs (card_id, model_id, started, files, recorded, seen_before, problems)
VALUES (1, 1, 't', 4, 2, 1, 1);
INSERT INTO outbox (kind, key, payload, created) VALUES ('mail', 'k', '{}', 't');
"""
# Until 0002 and since 0003.
OLD_DEPLOYMENTS = """
INSERT INTO deployments (station_id, card_pattern, start, "end", utc_offset,
    clock_correction_seconds)
VALUES (1, 'AB-12', '2026-02-01T12:00:00', NULL, '+02:00', 3600.5), (1, '', NULL, NULL, NULL, 0)
"""
NAMED_DEPLOYMENTS = """
INSERT INTO deployments (name, station_id, card, start, utc_offset)
VALUES ('deployment-1', 1, 'AB-12', '2026-02-01T12:00:00', '+02:00'),
    ('deployment-2', 1, '', NULL, NULL);
INSERT INTO clock_corrections (deployment_id, offset_seconds, drift_seconds_per_day, created)
VALUES (1, 3600.5, 0, 't')
"""
DEPLOYMENTS = """
SELECT name, station_id, card, folder, start, "end", utc_offset, offset_seconds,
    drift_seconds_per_day
FROM deployments LEFT JOIN clock_corrections ON deployment_id = deployments.id
ORDER BY deployments.id
"""
OUTBOX = "SELECT kind, key, payload, created, sent, attempts, next_try, last_error FROM outbox"


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, file: Path) -> str:
    """The URL of a database that holds nothing, not even the schema."""
    if request.param == "sqlite":
        return url(file)
    server: Server = request.getfixturevalue("server")
    return server.database()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "100% sightings.sqlite3"


def url(file: Path) -> str:
    return f"sqlite:///{file}"


def ask(database: Path | str, query: str) -> list[tuple[object, ...]]:
    return records.ask(url(database) if isinstance(database, Path) else database, query)


def columns(database: Path | str, table: str) -> list[object]:
    engine = connect(url(database) if isinstance(database, Path) else database)
    try:
        return [column["name"] for column in inspect(engine).get_columns(table)]
    finally:
        engine.dispose()


def newer(folder: Path, revision: str = NEXT) -> Path:
    """Copy the migrations and add revision 9999, as a later version of trapsort would have it."""
    shutil.copytree(FOLDER, folder)
    (folder / "versions" / "9999_next.py").write_text(revision)
    return folder


def older(database: str, folder: Path, revision: str) -> None:
    """Make a database as the version of trapsort made it whose schema that was."""
    shutil.copytree(FOLDER, folder)
    for script in (folder / "versions").glob("[0-9]*.py"):
        if script.name[:4] > revision:
            script.unlink()
    migrated(database, folder, REVISIONS[: REVISIONS.index(revision) + 1])


def migrated(database: str, folder: Path, revisions: tuple[str, ...]) -> None:
    engine = connect(database)
    try:
        migrate(engine, revisions=revisions, folder=folder)
    finally:
        engine.dispose()


def test_the_revisions_listed_are_those_in_the_folder() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    walked = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(script.revision for script in walked) == REVISIONS[::-1]


def test_a_new_database_has_the_tables_and_the_view_that_the_code_expects(empty: str) -> None:
    Store.open(empty).close()
    engine: Engine = connect(empty)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
    assert columns(empty, "sightings") == [column.name for column in sightings.columns]
    assert ask(empty, "SELECT version_num FROM alembic_version") == [(LATEST,)]


def test_a_new_file_is_in_wal_and_alone(file: Path) -> None:
    Store.open(url(file)).close()
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
    migrated(url(file), newer(tmp_path / "newer"), LATER)
    copy = file.with_name(f"{file.name}.before-9999")
    assert columns(file, "stations") == [*STATION_COLUMNS, "habitat"]
    assert columns(copy, "stations") == STATION_COLUMNS
    assert ask(file, "SELECT name FROM stations") == [("ridge",)]
    assert ask(copy, "SELECT name FROM stations") == [("ridge",)]
    assert ask(copy, "SELECT version_num FROM alembic_version") == [(LATEST,)]
    assert not list(file.parent.glob("*.part"))


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_a_record_of_every_earlier_version_is_migrated_with_its_data(
    empty: str, file: Path, tmp_path: Path, revision: str
) -> None:
    older(empty, tmp_path / "older", revision)
    deployments = OLD_DEPLOYMENTS if revision < "0003" else NAMED_DEPLOYMENTS
    for statement in (OLD_ROWS + deployments).split(";"):
        ask(empty, statement if empty == url(file) else statement.replace("BLOB", "bytea"))
    with Store.open(empty) as store:
        found = [(s.path, s.station, s.label, s.near_duplicate_of) for s in store.sightings()]
        assert found == [("1.jpg", "ridge", "Lion", None), ("2.jpg", "ridge", "Panda", 1)]
        assert [row.path for row in store.problems()] == ["x"]
        assert store.models() == [ModelRow("iucn11", "1.0.0", "d1", "t", "")]
        assert store.perceptual_hashes()[0].tolist() == [2**64 - 1, 2**64 - 2]
        card = store.card(Path("/card"), volume="AB-12")
        whole = records.record("2.jpg", content="whole", camera_time="2026-03-01T05:06:07")
        assert store.record(card, 1, records=[whole]).photo_ids == (3,)
        assert [(s.path, s.photo_id) for s in store.sightings()] == [("1.jpg", 1), ("2.jpg", 3)]
    assert ask(empty, "SELECT count(*) FROM places_seen WHERE superseded IS NULL") == [(3,)]
    assert ask(empty, DEPLOYMENTS) == [
        ("deployment-1", 1, "AB-12", "", "2026-02-01T12:00:00", None, "+02:00", 3600.5, 0),
        ("deployment-2", 1, "", "", None, None, None, None, None),
    ]
    assert ask(empty, OUTBOX) == [("mail", "k", "{}", "t", None, 0, None, "")]
    assert ask(empty, "SELECT DISTINCT source FROM models") == [("",)]
    assert ask(empty, "SELECT version_num FROM alembic_version") == [(LATEST,)]
    engine = connect(empty)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    engine.dispose()
    if empty == url(file):
        copy = file.with_name(f"{file.name}.before-{LATEST}")
        assert ask(copy, "SELECT version_num FROM alembic_version") == [(revision,)]
        assert ask(copy, "SELECT path, label FROM sightings ORDER BY path") == [
            ("1.jpg", "Lion"),
            ("2.jpg", "Panda"),
        ]
        for each in (file, copy):
            assert ask(each, "PRAGMA integrity_check") == [("ok",)]
            assert ask(each, "PRAGMA foreign_key_check") == []


def test_a_migration_that_fails_half_way_changes_nothing(empty: str, tmp_path: Path) -> None:
    Store.open(empty).close()
    folder = newer(tmp_path / "newer", f"{NEXT}    op.drop_table('no_such_table')\n")
    with pytest.raises(DatabaseError, match="no_such_table"):
        migrated(empty, folder, LATER)
    assert columns(empty, "stations") == STATION_COLUMNS
    assert ask(empty, "SELECT version_num FROM alembic_version") == [(LATEST,)]
    Store.open(empty).close()


def test_without_a_copy_there_is_no_migration(file: Path, tmp_path: Path) -> None:
    Store.open(url(file)).close()
    part = file.with_name(f"{file.name}.before-9999.part")
    part.mkdir()
    with pytest.raises(DatabaseError) as caught:
        migrated(url(file), newer(tmp_path / "newer"), LATER)
    assert caught.value.message.startswith(f"cannot copy the database to {file}.before-9999: ")
    assert caught.value.hint == "its schema was not changed; make room beside it, then try again"
    assert columns(file, "stations") == STATION_COLUMNS


def test_a_newer_schema_is_refused_and_left_as_it_is(file: Path, tmp_path: Path) -> None:
    migrated(url(file), newer(tmp_path / "newer"), LATER)
    before = file.read_bytes()
    with pytest.raises(DatabaseError) as caught:
        Store.open(url(file))
    assert str(caught.value) == (
        f"database {file} was written by a newer trapsort: its schema is 9999, this version knows"
        f" up to {LATEST}\n"
        "it was left as it is; install the newer trapsort: pip install --upgrade trapsort"
    )
    assert file.read_bytes() == before


def test_a_newer_schema_on_a_server_is_refused(server: Server, tmp_path: Path) -> None:
    database = server.database()
    migrated(database, newer(tmp_path / "newer"), LATER)
    with pytest.raises(DatabaseError, match="was written by a newer trapsort") as caught:
        Store.open(database)
    assert "postgres@127.0.0.1" in caught.value.message
    assert ask(database, "SELECT version_num FROM alembic_version") == [("9999",)]


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


def test_a_database_of_another_program_is_left_as_it_is(empty: str, file: Path) -> None:
    file.parent.mkdir()
    ask(empty, "CREATE TABLE photos (id INTEGER)")
    before = file.read_bytes() if file.exists() else b""
    with pytest.raises(DatabaseError) as caught:
        Store.open(empty)
    assert str(caught.value) == (
        f"database {records.named(empty)} belongs to another program\n"
        "it was left as it is; name another one with --db"
    )
    assert (file.read_bytes() if file.exists() else b"") == before
    assert columns(empty, "photos") == ["id"]


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


def test_processes_that_open_a_new_database_together_create_it_once(empty: str) -> None:
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    openers = [context.Process(target=_open, args=(empty, together)) for _ in range(3)]
    for opener in openers:
        opener.start()
    for opener in openers:
        opener.join(60)
    assert [opener.exitcode for opener in openers] == [0, 0, 0]
    assert ask(empty, "SELECT version_num FROM alembic_version") == [(LATEST,)]
    assert ask(empty, "SELECT count(*) FROM red_list") == [(22,)]


def _open(database: str, together: multiprocessing.synchronize.Barrier) -> None:
    import trapsort.store

    together.wait(30)
    trapsort.store.Store.open(database).close()
