"""The map of the stations: no tiles, so that it can be drawn without a network.

Equirectangular, true to scale at the middle latitude; a square is all that is said of a place
whose coordinates were made less precise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from trapsort.reports.survey.style import ACCENT, INK, PAPER, QUIET, WIDTH, canvas

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KM_PER_DEGREE = 111.195  # of a great circle, mean radius 6371.0088 km
MOST_NAMES = 40
MARGIN = 0.18  # of the extent, on every side
SMALLEST = 0.02  # degrees that a map shows at least, about 2 km


def stations(places: pd.DataFrame) -> Figure:
    """Draw places: station (names, a line each), latitude, longitude, precision (degrees), events.

    The area of a mark grows with the events; a ring is a place without any.
    """
    west, east, south, north = _extent(places)
    middle = math.radians((south + north) / 2)
    shrink = max(0.1, math.cos(middle))
    height = min(6.5, max(2.8, 0.86 * WIDTH * (north - south) / ((east - west) * shrink)))
    figure, axes = canvas(height)
    axes.set_aspect(1 / shrink)
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    most = max(1, int(places["events"].max()))
    for row in places.itertuples():
        _place(axes, row, most, named=len(places) <= MOST_NAMES)
    _scale(axes, shrink)
    axes.annotate(
        "N", (0.965, 0.965), (0.965, 0.83), xycoords="axes fraction", ha="center", va="center",
        fontweight="bold", arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.2},
    )  # fmt: skip
    axes.xaxis.set_major_formatter(lambda value, _: _degrees(value, "EW"))
    axes.yaxis.set_major_formatter(lambda value, _: _degrees(value, "NS"))
    axes.locator_params(nbins=5)
    axes.grid(True, axis="both")
    for spine in axes.spines.values():
        spine.set_visible(True)
    return figure


def _extent(places: pd.DataFrame) -> tuple[float, float, float, float]:
    """Return west, east, south, north with room around the places."""
    half = places["precision"] / 2
    west, east = (places["longitude"] - half).min(), (places["longitude"] + half).max()
    south, north = (places["latitude"] - half).min(), (places["latitude"] + half).max()
    side = max(east - west, north - south, SMALLEST)
    wide, high = max(east - west, side / 2), max(north - south, side / 2)
    x, y = (west + east) / 2, (south + north) / 2
    grow = 0.5 + MARGIN
    return x - wide * grow, x + wide * grow, y - high * grow, y + high * grow


def _place(axes: Axes, row: Any, most: int, *, named: bool) -> None:
    from matplotlib.patches import Rectangle

    side = row.precision
    if side > 0:
        corner = (row.longitude - side / 2, row.latitude - side / 2)
        axes.add_patch(
            Rectangle(corner, side, side, facecolor=ACCENT, alpha=0.1, edgecolor=ACCENT, lw=0.8)
        )
    size = 18 + 260 * row.events / most if row.events else 22
    axes.scatter(
        [row.longitude], [row.latitude], s=size, zorder=3, linewidth=1,
        facecolor=ACCENT if row.events else PAPER, edgecolor=PAPER if row.events else QUIET,
    )  # fmt: skip
    if named:
        axes.annotate(
            row.station, (row.longitude, row.latitude), (math.sqrt(size) / 2 + 2, 0),
            textcoords="offset points", va="center", fontsize=8, zorder=4,
        )  # fmt: skip


def _scale(axes: Axes, shrink: float) -> None:
    """Draw a bar of a round length, about a fifth of the map."""
    west, east = axes.get_xlim()
    kilometres = round_length((east - west) * shrink * KM_PER_DEGREE / 5)
    share = kilometres / (KM_PER_DEGREE * shrink) / (east - west)
    axes.plot(
        [0.03, 0.03 + share], [0.045, 0.045], color=INK, linewidth=2.2, solid_capstyle="butt",
        transform=axes.transAxes,
    )  # fmt: skip
    text = f"{kilometres:g} km" if kilometres >= 1 else f"{kilometres * 1000:g} m"
    axes.text(0.03, 0.06, text, transform=axes.transAxes, fontsize=8)


def round_length(kilometres: float) -> float:
    """Return the greatest 1, 2 or 5 times a power of ten that is not longer."""
    power: float = 10.0 ** math.floor(math.log10(kilometres))
    return max(step * power for step in (1, 2, 5) if step * power <= kilometres * (1 + 1e-9))


def _degrees(value: float, ends: str) -> str:
    return f"{abs(value):.6g}°{'' if value == 0 else ends[int(value < 0)]}"
