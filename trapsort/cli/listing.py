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
# Columns that may take more than one line, and how narrow they may become.
LONG = ("path", "detail", "error", "bundle", "card", "why", "problems")
LONG_WIDTH = 20
GAP = 2  # between columns
WHOLE_FROM = 1_000  # from here on four digits could be powers of ten: 1.263e+04 days
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


def write_matrix(columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Print a matrix for people: every column, as many at a time as fit beside the first."""
    cells = [tuple(map(shown, row)) for row in rows]
    widths = [max(map(len, column)) + GAP for column in zip(columns, *cells, strict=True)]
    blocks: list[list[int]] = []
    room = 0
    for place, width in enumerate(widths[1:], start=1):
        if width > room or not blocks:
            blocks.append([0])
            room = _width() + GAP - widths[0]
        blocks[-1].append(place)
        room -= width
    for number, block in enumerate(blocks if cells else []):
        part = [tuple(row[place] for place in block) for row in cells]
        page = _page([columns[place] for place in block], part, whole=True)
        write_text([("\n" if number else "") + page])
    if not cells:
        click.echo("nothing found", err=True)


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
    """Yield pages of a plain table, as wide as the terminal (100 without one).

    Where that is too narrow it is wider: a name or a time that is cut off would be a wrong one.
    """
    remaining = iter(rows)
    number = 0
    while page := list(itertools.islice(remaining, PAGE_ROWS)):
        yield ("\n" if number else "") + _page(columns, page)
        number += 1
    if not number:
        click.echo("nothing found", err=True)


def _width() -> int:
    return max(NARROWEST, shutil.get_terminal_size((100, 24)).columns)


def _page(columns: Sequence[str], rows: Sequence[Row], *, whole: bool = False) -> str:
    """Return a page, of empty columns too where it is to be whole."""
    import io

    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0))
    used = [
        place
        for place in range(len(columns))
        if whole or any(row[place] not in EMPTY for row in rows)
    ]
    cells = [[shown(row[place]) for place in used] for row in rows]
    needed = 0
    for name, column, place in zip(
        (columns[p] for p in used), zip(*cells, strict=True), used, strict=True
    ):
        numbers = all(isinstance(row[place], int | float | None) for row in rows)
        is_long = name in LONG
        table.add_column(
            name, overflow="fold", no_wrap=not is_long, justify="right" if numbers else "left"
        )
        widest = max(map(cell_len, (name, *column)))
        needed += GAP + (min(widest, LONG_WIDTH) if is_long else widest)
    for row_cells in cells:
        table.add_row(*map(Text, row_cells))
    page = io.StringIO()
    width = max(_width(), needed)
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
    return f"{value:.4g}" if abs(value) < WHOLE_FROM else f"{value:.0f}"


FORMS: dict[str, Callable[[Sequence[str], Iterable[Row]], Iterator[str]]] = {
    "table": _table,
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
    "geojson": _geojson,
}
