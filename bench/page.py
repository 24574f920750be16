"""The page of the docs that holds the figures: each part's, between two marks of its own."""

from __future__ import annotations

import re
from pathlib import Path


def marks(part: str) -> tuple[str, str]:
    """Return the comments before and after a part's figures."""
    return f"<!-- figures: {part} -->", f"<!-- end of {part} -->"


def put(page: Path, part: str, figures: str) -> None:
    """Write a part's figures into a page in place of the former ones.

    Raises:
        ValueError: the page has no place for them.
    """
    first, last = marks(part)
    text = page.read_text(encoding="utf-8")
    between = re.compile(f"{re.escape(first)}.*?{re.escape(last)}", re.DOTALL)
    written, count = between.subn(lambda _: f"{first}\n\n{figures}\n\n{last}", text)
    if count != 1:
        raise ValueError(f"{page} has no single pair of lines {first} and {last}")
    page.write_text(written, encoding="utf-8")
