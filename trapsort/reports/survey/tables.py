"""The tables of a survey report: on the page, as CSV files and as sheets of one workbook."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal

from trapsort.reports.csv_file import Cell, csv_line

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["text", "label", "taxon", "category", "number", "degrees", "day"]

SHEET_NAME = 31  # characters, Excel's limit
WIDEST = 60  # characters that a sheet's column is wide at most
UNDATED = datetime(2000, 1, 1)  # a workbook must say when it was made; the same data, the same day


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in files, its heading on the page, what it holds, decimals of numbers."""

    name: str
    heading: str
    kind: Kind = "text"
    digits: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A table: `name` of its file and sheet, a title for people, rows of plain cells."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def shown(self) -> Iterator[list[tuple[Column, Cell, str]]]:
        """Yield each row as column, cell and the cell's text for people."""
        for row in self.rows:
            yield [
                (column, cell, for_people(column, cell))
                for column, cell in zip(self.columns, row, strict=True)
            ]


def table_of(name: str, title: str, frame: pd.DataFrame, columns: Sequence[Column]) -> Table:
    """Return the columns of a frame as a table; a number of a day is a date, none is None."""
    taken = ([_cell(column, value) for value in frame[column.name]] for column in columns)
    return Table(name, title, tuple(columns), tuple(zip(*taken, strict=True)))


def _cell(column: Column, value: object) -> Cell:
    if value is None or value != value:  # NaN, NaT and pandas' NA
        return None
    if column.kind == "degrees":
        return float(str(value))
    if column.kind == "number":
        number = float(str(value))
        return round(number, max(column.digits, 6)) if column.digits else round(number)
    if column.kind == "day":
        return str(value)[:10]
    return str(value)


def for_people(column: Column, cell: Cell) -> str:
    """Return a cell as people read it: 1,234.5, a dash for nothing, names without underscores."""
    if cell is None or cell == "":
        return "–"  # noqa: RUF001 - an en dash is meant
    if column.kind == "number":
        return f"{cell:,.{column.digits}f}"
    if column.kind == "degrees":
        return f"{cell:g}"
    if column.kind == "label":
        return str(cell).replace("_", " ")
    if column.kind == "day":
        day = date.fromisoformat(str(cell))
        return f"{day.day} {day:%b %Y}"
    return str(cell)


def csv_lines(table: Table) -> Iterator[str]:
    """Yield a table as CSV, the names of its columns first."""
    yield csv_line(column.name for column in table.columns)
    yield from map(csv_line, table.rows)


def workbook(about: Iterable[tuple[str, str]], tables: Sequence[Table]) -> bytes:
    """Return an XLSX workbook: a sheet of names and texts, then the tables; without formulas."""
    import xlsxwriter

    file = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(file, options) as book:
        book.set_properties({"created": UNDATED})
        bold = book.add_format({"bold": True, "bottom": 1})
        wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        first = book.add_worksheet("about")
        first.set_column(0, 0, 24, wrapped)
        first.set_column(1, 1, 90, wrapped)
        for place, line in enumerate(about):
            first.write_row(place, 0, line)
        for table in tables:
            sheet = book.add_worksheet(table.name[:SHEET_NAME])
            sheet.write_row(0, 0, [column.name for column in table.columns], bold)
            for place, row in enumerate(table.rows, start=1):
                sheet.write_row(place, 0, row)
            for place, column in enumerate(table.columns):
                cells = [column.name, *(str(row[place] or "") for row in table.rows)]
                sheet.set_column(place, place, min(WIDEST, max(map(len, cells)) + 2))
            sheet.freeze_panes(1, 0)
            if table.rows:
                sheet.autofilter(0, 0, len(table.rows), len(table.columns) - 1)
    return file.getvalue()
