"""What a part of the suite found: tables for a terminal, for a page of the docs, and as JSON."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from bench.charts import Chart

WIDEST = 1000  # characters, of a table

Cell = str | float | int | None


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name in JSON, its heading, and how numbers are shown (digits, then a unit)."""

    key: str
    heading: str
    digits: int = 0
    unit: str = ""
    is_text: bool = False

    def shown(self, cell: Cell) -> str:
        """Return a cell as people read it."""
        if cell is None:
            return "-"
        return cell if isinstance(cell, str) else f"{cell:,.{self.digits}f}{self.unit}"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells beneath columns; the first column says what a row is.

    `notes` are said below it, a line each.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, object]:
        """Return what JSON shows."""
        keys = [column.key for column in self.columns]
        rows = [dict(zip(keys, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


@dataclass(frozen=True, slots=True)
class Section:
    """What one part of the suite found: tables and a chart, or what it printed itself.

    `options` are those that it was asked with, where not the usual ones.
    """

    part: str
    tables: tuple[Table, ...] = ()
    chart: Chart | None = None
    printed: str = ""
    options: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The command that finds the same again."""
        return shlex.join(("python", "-m", "bench", self.part, *self.options))

    def as_dict(self) -> dict[str, object]:
        """Return what JSON shows."""
        shown: dict[str, object] = {"part": self.part, "command": self.command}
        if self.tables:
            shown["tables"] = [table.as_dict() for table in self.tables]
        if self.printed:
            shown["printed"] = self.printed.splitlines()
        return shown


def print_tables(tables: Iterable[Table]) -> None:
    """Print tables on stdout, each with its notes below it."""
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table as Drawn

    console = Console(soft_wrap=True, highlight=False)
    roomy = console.options.update(max_width=WIDEST)
    for table in tables:
        drawn = Drawn(title=table.title, title_justify="left")
        for place, column in enumerate(table.columns):
            left = column.is_text or not place
            drawn.add_column(column.heading, justify="left" if left else "right", no_wrap=True)
        for row in table.rows:
            cells = zip(table.columns, row, strict=True)
            drawn.add_row(*(column.shown(cell) for column, cell in cells))
        # Rather lines that a narrow terminal breaks than figures that are cut off.
        console.width = max(console.width, Measurement.get(console, roomy, drawn).maximum)
        console.print(drawn)
        for note in table.notes:
            console.print(note, markup=False)


def markdown(section: Section, machine: str, picture: str = "") -> str:
    """Return a section as Markdown that ends with the command and the machine of its figures.

    `picture` is the file of its chart, seen from the page.
    """
    parts = []
    if section.chart is not None and picture:
        parts.append(f"![{section.chart.title}]({picture})")
    for table in section.tables:
        rules = ["---" if c.is_text else "---:" for c in table.columns[1:]]
        lines = [[column.heading for column in table.columns], ["---", *rules]]
        for row in table.rows:
            cells = zip(table.columns, row, strict=True)
            lines.append([column.shown(cell) for column, cell in cells])
        drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        notes = "\n".join(f"- {note}" for note in table.notes)
        parts.append(f"**{table.title}**\n\n{drawn}" + (f"\n\n{notes}" if notes else ""))
    if section.printed:
        parts.append(f"```text\n{section.printed.strip()}\n```")
    parts.append(f"Measured by `{section.command}` on:\n\n```text\n{machine}\n```")
    return "\n\n".join(parts)
