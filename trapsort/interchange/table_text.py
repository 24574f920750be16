"""CSV for programs that look cells up: exact, also where a spreadsheet would see a formula."""

from __future__ import annotations

from collections.abc import Iterable


def exact_line(cells: Iterable[str]) -> str:
    """Return one line of RFC 4180 with its line end."""
    return ",".join(map(_cell, cells)) + "\n"


def _cell(text: str) -> str:
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
