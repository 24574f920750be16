"""Bring a database to this version's schema, in one transaction, after a copy of it."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from trapsort.errors import DatabaseError
from trapsort.store.engine import name_of, on_network, reading, set_journal, told, writing

FOLDER = Path(__file__).parent / "migrations"
# Oldest first; listed, because importing Alembic costs every start.
REVISIONS = ("0001", "0002", "0003", "0004", "0005")

_log = logging.getLogger(__name__)


def migrate(engine: Engine, *, revisions: Sequence[str] = REVISIONS, folder: Path = FOLDER) -> None:
    """Create or migrate the schema; a file that holds an older one is copied first.

    Nothing is written unless the database is empty or holds a schema that this version knows.

    Raises:
        DatabaseError: it holds something else, a newer schema, or cannot be copied or written.
    """
    drive = on_network(engine)
    if drive:
        _log.warning(
            "the database %s is on a network drive (%s), where SQLite may lose data when two"
            " programs use it: keep it on a local disk, or use PostgreSQL for several machines",
            name_of(engine),
            drive,
        )
    with reading(engine) as connection:
        found = _revision(connection, revisions)
    if drive and found is not None:
        set_journal(engine)  # it may have been made on a local disk
    if found == revisions[-1]:
        return
    set_journal(engine)
    with writing(engine) as connection:
        found = _revision(connection, revisions)  # another process may have been first
        if found == revisions[-1]:
            return
        if found is not None:
            _copy(engine, revisions[-1])
        _upgrade(connection, folder)


def _revision(connection: Connection, known: Sequence[str]) -> str | None:
    """Return the schema's revision, None for an empty database; refuse what we do not know."""
    name = name_of(connection.engine)
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if not tables >= {"alembic_version", "places_seen"}:
        raise DatabaseError(
            f"database {name} belongs to another program",
            "it was left as it is; name another one with --db",
        )
    found = str(connection.scalar(text("SELECT version_num FROM alembic_version")))
    if found not in known:
        raise DatabaseError(
            f"database {name} was written by a newer trapsort: its schema is {found}, this"
            f" version knows up to {known[-1]}",
            "it was left as it is; install the newer trapsort: pip install --upgrade trapsort",
        )
    return found


def _copy(engine: Engine, revision: str) -> None:
    """Copy a SQLite file to FILE.before-REVISION; a PostgreSQL database has its own backups."""
    if engine.dialect.name != "sqlite":
        return
    copy = Path(f"{name_of(engine)}.before-{revision}")
    part = copy.with_name(f"{copy.name}.part")
    # The caller holds the write lock, so this second connection reads what nobody can change.
    try:
        with told(engine, str(copy)):
            part.unlink(missing_ok=True)
            with (
                closing(sqlite3.connect(name_of(engine))) as source,
                closing(sqlite3.connect(part)) as target,
            ):
                source.backup(target)
            part.replace(copy)
    except OSError as error:
        raise DatabaseError(
            f"cannot copy the database to {copy}: {error.strerror}",
            "its schema was not changed; make room beside it, then try again",
        ) from error
    _log.info("copied the database to %s before its schema changes", copy)


def _upgrade(connection: Connection, folder: Path) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    command.upgrade(config, "head")
