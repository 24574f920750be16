"""Days and times as people write them in tables and on command lines."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

ORDERS = {"dmy": (2, 1, 0), "mdy": (2, 0, 1)}
"""Where year, month and day stand in a date that does not begin with the year."""

_YEAR_FIRST = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:$|[T ](.+))")
_YEAR_LAST = re.compile(r"(\d{1,2})[-/.](\d{1,2})[-/.](\d{4})(?:$|[T ](.+))")
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d)(?:\.\d+)?)?\s*(Z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True, slots=True)
class Moment:
    """A day, and if it was given a time (HH:MM:SS) and an offset (+02:00)."""

    day: str
    clock: str = ""
    zone: str | None = None

    @property
    def text(self) -> str:
        """Return the day, or the day and the time."""
        return f"{self.day}T{self.clock}" if self.clock else self.day


def parse_moment(text: str, order: str = "dmy") -> Moment | None:
    """Read a date, with or without a time; one that does not begin with the year in an order.

    None where the text is none, or of a day that there is not.
    """
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day, rest = found.groups()
    elif found := _YEAR_LAST.fullmatch(text):
        (year, month, day), rest = (found.groups()[place] for place in ORDERS[order]), found[4]
    else:
        return None
    clock = _CLOCK.fullmatch(rest.strip()) if rest else None
    if rest and clock is None:
        return None
    hour, minute, second, zone = clock.groups() if clock else ("0", "0", "0", None)
    try:
        date = (int(year), int(month), int(day))
        whole = datetime(*date, int(hour), int(minute), int(second or 0))
    except ValueError:
        return None
    if zone is not None:
        zone = "+00:00" if zone == "Z" else f"{zone[:3]}:{zone[-2:]}"
    return Moment(whole.date().isoformat(), whole.time().isoformat() if clock else "", zone)


def possible_orders(texts: Iterable[str]) -> list[str]:
    """Return the orders by which all these dates can be read, one where they say the same.

    The first of `ORDERS` where none fits: some text is no date in it.
    """
    written = list(texts)
    read = {order: [parse_moment(text, order) for text in written] for order in ORDERS}
    fitting = [order for order, moments in read.items() if None not in moments]
    if len(fitting) > 1 and read["dmy"] == read["mdy"]:
        return fitting[:1]
    return fitting or ["dmy"]
