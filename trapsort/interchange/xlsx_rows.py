"""Sheets that take a million rows in seconds: whole rows as text of SpreadsheetML.

xlsxwriter makes an object of each cell, which is most of the time that a long sheet takes. Rows of
plain text and numbers, as nearly all are, go straight into its file of rows (Office Open XML,
ECMA-376 part 1, 18.3.1.73), byte for byte as it would write them; all others through its methods.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from math import isfinite

from xlsxwriter.format import Format
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

Cell = str | float | None

# Nothing that XML or Excel (spaces at an end, _xHHHH_, 32,767 characters) wants written otherwise.
_PLAIN = re.compile(r"(?! )[ -%'-;=?-~\u00a1-\ud7ff]{1,16000}(?<! )")
_ESCAPE = "_x"


class RowSheet(Worksheet):  # type: ignore[misc]  # xlsxwriter has no types
    """A sheet of a workbook in `constant_memory`, filled from the top."""

    def add_row(self, at: int, values: Sequence[Cell], formats: Sequence[Format | None]) -> None:
        """Write the row `at`, counted from 0; None and '' are empty cells."""
        if self.table:
            self._write_single_row(at)  # what was written cell by cell stands above
        line = _line(at + 1, values, formats)
        if line is None:
            self._add_cells(at, values, formats)
            return
        self.fh.write(line)
        self.previous_row = self.dim_rowmax = at

    def _add_cells(self, at: int, values: Sequence[Cell], formats: Sequence[Format | None]) -> None:
        for place, (value, style) in enumerate(zip(values, formats, strict=True)):
            if isinstance(value, str):
                if value:
                    self.write_string(at, place, value, style)
            elif value is not None:
                self.write_number(at, place, value, style)


def _line(number: int, values: Sequence[Cell], formats: Sequence[Format | None]) -> str | None:
    """Return a row as text; None where a cell is not plain, or none holds anything."""
    cells = []
    for begin, value, style in zip(_begins(len(values)), values, formats, strict=True):
        if value is None or value == "":
            continue
        index = "" if style is None else f' s="{style._get_xf_index()}"'
        if isinstance(value, str):
            if not _PLAIN.fullmatch(value) or _ESCAPE in value:
                return None
            cells.append(f'{begin}{number}"{index} t="inlineStr"><is><t>{value}</t></is></c>')
        else:
            if not isfinite(value):
                return None
            cells.append(f'{begin}{number}"{index}><v>{value:.16G}</v></c>')
    return f'<row r="{number}">{"".join(cells)}</row>' if cells else None


@cache
def _begins(columns: int) -> tuple[str, ...]:
    """Return how a cell of each column begins."""
    return tuple(f'<c r="{xl_col_to_name(place)}' for place in range(columns))
