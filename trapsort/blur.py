"""Coordinates that leave the machine: rounded to a grid that a poacher cannot walk to.

How coarse follows the most threatened category of what was seen there, in the steps of
Chapman AD (2020) Current best practices for generalizing sensitive species occurrence data.
GBIF Secretariat, https://doi.org/10.15468/doc-5jp4-5g10: 0.1, 0.01 and 0.001 degrees, about 10 km,
1 km and 100 m at the equator.
"""

from __future__ import annotations

import math
from decimal import Decimal

from trapsort.errors import InputError

COARSE, MIDDLE, FINE = 0.1, 0.01, 0.001
PRECISIONS = {
    **dict.fromkeys(("EX", "EW", "RE", "CR", "EN"), COARSE),
    **dict.fromkeys(("VU", "DD", "NE"), MIDDLE),
    **dict.fromkeys(("NT", "LC", "NA"), FINE),
}
UNLISTED = MIDDLE
"""For what is on no list, as for DD and NE: not known to be safe."""
EXACT = 0.0
"""The precision that leaves coordinates as they are."""
COARSEST = 90.0


def precision_for(category: str | None, chosen: float | None) -> float:
    """Return degrees: `chosen` where it is given, else by the category or range ('NT-CR').

    The most threatened end of a range counts; 0 is `EXACT`.
    """
    if chosen is not None:
        return chosen
    ends = (category or "").split("-")
    return max(PRECISIONS.get(end, UNLISTED) for end in ends)


def parsed_precision(text: str) -> float:
    """Read what `--precision` takes: degrees, or 'none' for `EXACT`; raises InputError."""
    if text.strip().lower() == "none":
        return EXACT
    try:
        degrees = float(text)
    except ValueError:
        degrees = math.nan
    if not 0 < degrees <= COARSEST:
        raise InputError(
            f"--precision must be degrees above 0, at most {COARSEST:.0f}, or none, not {text!r}",
            "0.1 is about 10 km, 0.01 about 1 km; none gives the exact place away",
        )
    return degrees


def blurred(latitude: float, longitude: float, precision: float) -> tuple[float, float]:
    """Round degrees to the nearest multiple of `precision`, never beyond the poles or 180 degrees.

    The result has no more decimals than the precision; rounding it again changes nothing.

    Raises:
        ValueError: a number is not finite.
    """
    return _rounded(latitude, precision, 90), _rounded(longitude, precision, 180)


def _rounded(degrees: float, precision: float, limit: int) -> float:
    if not (math.isfinite(degrees) and math.isfinite(precision)):
        raise ValueError(f"no place to blur: {degrees!r} degrees to {precision!r}")
    if precision == EXACT:
        return degrees
    grid = Decimal(repr(precision))
    last = Decimal(limit) // grid  # of the grid's lines on this half of the globe
    line = (Decimal(repr(degrees)) / grid).to_integral_value()
    return float(min(max(line, -last), last) * grid) + 0.0  # no minus zero
