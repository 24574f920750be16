"""Rows on stdout: a table for people; CSV, JSON, JSON lines and GeoJSON for programs.

The forms for programs are UTF-8 on every system and stream: no listing is held in memory, a table
only a page at a time.
"""

from __future__ import annotations

import functools
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import click

from trapsort.reports.csv_file import Cell, csv_line, encoded

Row = Sequence[Cell]
F = TypeVar("F", bound=Callable[..., object])

PAGE_ROWS = 500  # a table's columns fit the rows of one page
LONG = ("path", "detail", "error", "bundle", "card")  # columns that may take more than one line
EMPTY = (None, "", False)  # a column of a page that holds nothing else is left out
NARROWEST = 60  # below this a table is unreadable, and scrolling sideways is better


def format_option(*formats: str) -> Callable[[F], F]:
    """Return the option --format; the first of `formats` is the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to print.",
    )


def write_listing(columns: Sequence[str], rows: Iterable[Row], form: str) -> None:
    """Print rows in one of `FORMS`; every row has the length of `columns`."""
    write_text(FORMS[form](columns, rows))


def write_text(chunks: Iterable[str]) -> None:
    """Print text as UTF-8 bytes with its own line ends, or to a terminal as the terminal is set."""
    if sys.stdout.isatty():
        for chunk in chunks:
            click.echo(chunk, nl=False)
        return
    sys.stdout.flush()
    stream = sys.stdout.buffer
    for chunk in chunks:
        stream.write(encoded(chunk))
    stream.flush()


def _csv(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    yield csv_line(columns)
    yield from map(csv_line, rows)


def _object(columns: Sequence[str], row: Row) -> str:
    return json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False, allow_nan=False)


def _jsonl(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        yield _object(columns, row) + "\n"


def _array(objects: Iterable[str], head: str, tail: str) -> Iterator[str]:
    """Yield a JSON array, an element a line, between a head and a tail."""
    yield head
    for place, text in enumerate(objects):
        yield f"{',' if place else ''}\n{text}"
    yield f"\n{tail}\n"


def _json(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    return _array((_object(columns, row) for row in rows), "[", "]")


def _geojson(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """RFC 7946: a feature a row, longitude first; a row without a place has a null geometry."""
    longitude, latitude = columns.index("longitude"), columns.index("latitude")

    def feature(row: Row) -> str:
        point = [row[longitude], row[latitude]]
        geometry = None if None in point else {"type": "Point", "coordinates": point}
        properties = dict(zip(columns, row, strict=True))
        del properties["longitude"], properties["latitude"]
        shape = {"type": "Feature", "geometry": geometry, "properties": properties}
        return json.dumps(shape, ensure_ascii=False, allow_nan=False)

    head = '{"type": "FeatureCollection", "features": ['
    return _array(map(feature, rows), head, "]}")


def _table(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    """Yield pages of a plain table, at most as wide as the terminal (100 without one)."""
    remaining = iter(rows)
    number = 0
    while page := list(itertools.islice(remaining, PAGE_ROWS)):
        yield ("\n" if number else "") + _page(columns, page)
        number += 1
    if not number:
        click.echo("nothing found", err=True)


def _page(columns: Sequence[str], rows: Sequence[Row]) -> str:
    import io

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    used = [i for i in range(len(columns)) if any(row[i] not in EMPTY for row in rows)]
    for place in used:
        numbers = all(isinstance(row[place], int | float | None) for row in rows)
        table.add_column(
            columns[place],
            overflow="fold",
            no_wrap=columns[place] not in LONG,
            justify="right" if numbers else "left",
        )
    for row in rows:
        table.add_row(*(Text(shown(row[place])) for place in used))
    page = io.StringIO()
    width = max(NARROWEST, shutil.get_terminal_size((100, 24)).columns)
    Console(file=page, width=width, force_terminal=sys.stdout.isatty()).print(table)
    return "".join(line.rstrip() + "\n" for line in page.getvalue().splitlines())


@functools.singledispatch
def shown(value: object) -> str:
    """Return a cell for people: what a terminal would obey is shown as its escape."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@shown.register(type(None))
def _(_value: None) -> str:
    return ""


@shown.register(bool)
def _(value: bool) -> str:
    return "yes" if value else ""


@shown.register(float)
def _(value: float) -> str:
    return f"{value:.4g}"


FORMS: dict[str, Callable[[Sequence[str], Iterable[Row]], Iterator[str]]] = {
    "table": _table,
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
    "geojson": _geojson,
}
