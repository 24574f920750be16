"""Statements that SQLite and PostgreSQL both take, however many values there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Insert, Table, insert

T = TypeVar("T")
Row = Mapping[str, Any]  # column -> value, as SQLAlchemy takes them

IN_CHUNK = 500  # values in one IN; a statement of old SQLite takes 999


def utc_now() -> str:
    """Return the time as the record writes it, UTC to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def chunks(values: Iterable[T], size: int = IN_CHUNK) -> Iterator[list[T]]:
    """Cut distinct values into lists that fit one statement."""
    distinct = list(dict.fromkeys(values))
    return (distinct[at : at + size] for at in range(0, len(distinct), size))


def insert_one(connection: Connection, table: Table, row: Row) -> int:
    """Insert a row and return its id."""
    return int(connection.execute(insert(table).values(row).returning(table.c.id)).scalar_one())


def merge(
    connection: Connection,
    table: Table,
    keys: Sequence[str],
    rows: Sequence[Row],
    changes: Sequence[str] = (),
) -> None:
    """Insert rows; where one with these keys is there, set its `changes` or leave it alone."""
    if rows:
        made = _merging(connection.dialect.name, table, tuple(keys), tuple(changes))
        connection.execute(made, rows)


def add_up(
    connection: Connection,
    table: Table,
    keys: Sequence[str],
    rows: Sequence[Row],
    numbers: Sequence[str],
) -> None:
    """Insert rows; where one with these keys is there, add to its `numbers`."""
    if rows:
        made = _merging(connection.dialect.name, table, tuple(keys), tuple(numbers), sums=True)
        connection.execute(made, rows)


@cache  # putting one together takes longer than SQLite does with eight rows
def _merging(
    dialect: str,
    table: Table,
    keys: tuple[str, ...],
    changes: tuple[str, ...],
    *,
    sums: bool = False,
) -> Insert:
    if dialect == "postgresql":  # the one that is not used takes a while to import
        from sqlalchemy.dialects import postgresql

        statement: Any = postgresql.insert(table)
    else:
        from sqlalchemy.dialects import sqlite

        statement = sqlite.insert(table)
    given = statement.excluded
    new = {name: table.c[name] + given[name] if sums else given[name] for name in changes}
    whole: Insert = (
        statement.on_conflict_do_update(index_elements=keys, set_=new)
        if changes
        else statement.on_conflict_do_nothing(index_elements=keys)
    )
    return whole
