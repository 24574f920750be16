"""The figures of a survey report: each a function of plain frames, drawn with matplotlib.

A figure shows what its frame holds and nothing else; the frame is also its table of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trapsort.reports.iucn import threat
from trapsort.reports.survey.style import (
    ACCENT,
    INK,
    PAPER,
    QUIET,
    RULE,
    SERIES,
    WIDTH,
    canvas,
    colour,
    ends,
)
from trapsort.reports.survey.summary import shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

HATCH = "#1a1a1a"  # dark on every category, in either theme
MOST_ROWS = 150  # deployments in the operation chart
NAMED_ROWS = 60  # of more the names would touch
MONTHS_ARE_ENOUGH = 500  # days after which bars are months, not weeks
DAYS_ARE_ENOUGH = 45  # days up to which bars are days


def _whole(axis: Any) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _clock() -> Any:
    """Return matplotlib's room for dates, which carries no types."""
    from matplotlib import dates

    return dates


def _dates(axes: Axes) -> None:
    locator = _clock().AutoDateLocator(minticks=3, maxticks=8)
    axes.xaxis.set_major_locator(locator)
    text = _clock().ConciseDateFormatter(
        locator,
        formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S"],  # of each a month, not of the last
        zero_formats=["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
        offset_formats=["", "%Y", "%Y", "%Y", "%Y", "%Y"],
    )
    axes.xaxis.set_major_formatter(text)


def step_of(days: int) -> tuple[str, str]:
    """Return the length of a bar for a survey of so many days: pandas' code and our word."""
    if days <= DAYS_ARE_ENOUGH:
        return "D", "day"
    return ("W-SUN", "week") if days <= MONTHS_ARE_ENOUGH else ("M", "month")


def over_time(events: pd.DataFrame) -> Figure:
    """Draw events over time. `events`: from, to (days, the last not included), iucn, events."""
    figure, axes = canvas(2.9)
    starts = np.unique(events["from"].to_numpy("datetime64[s]"))
    widths = events.groupby("from")["to"].first().sort_index().to_numpy() - starts
    at = _clock().date2num(starts)
    days = widths / np.timedelta64(1, "D")
    floor = np.zeros(len(starts))
    for category in sorted(events["iucn"].unique(), key=threat, reverse=True):
        part = events[events["iucn"] == category].set_index("from")["events"]
        heights = part.reindex(starts, fill_value=0).to_numpy(float)
        name = category.replace("-", " to ") or "none"
        look = {"linewidth": 0.5, "edgecolor": INK, **_fill(category)}
        axes.bar(at, heights, days * 0.88, floor, align="edge", label=name, **look)
        floor += heights
    axes.xaxis_date()
    _dates(axes)
    _whole(axes.yaxis)
    axes.set_ylim(0, 1.05 * floor.max())
    axes.set_ylabel("independent events")
    axes.legend(
        title="Red List", loc="upper left", bbox_to_anchor=(1.0, 1.0), alignment="left",
        handlelength=1.1, handleheight=1.1,
    )  # fmt: skip
    return figure


def _fill(category: str) -> dict[str, Any]:
    """Return a bar's fill: the colour of a range's worse end, hatched."""
    low, high = ends(category)
    fill: dict[str, Any] = {"facecolor": colour(category)}
    return fill | ({"hatch": "////", "hatchcolor": HATCH} if low != high else {})


def activity(
    curves: pd.DataFrame,
    times: pd.DataFrame,
    numbers: Mapping[str, int],
    night: tuple[float, float] | None,
) -> Figure:
    """Draw a panel a species: density over the day, and the events' times below it.

    `curves`: label, hour (0..24), density (per hour); `times`: label, hour; `numbers`: label ->
    events. `night`: sunset and sunrise as hours, drawn grey.
    """
    from matplotlib.figure import Figure

    labels = list(numbers)
    columns = min(3, len(labels))
    rows = math.ceil(len(labels) / columns)
    figure = Figure(figsize=(WIDTH, 0.6 + 1.55 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    top = float(curves["density"].max()) if len(curves) else 0.1
    for axes, label, line in zip(grid.flat, labels, SERIES * rows, strict=False):
        _night(axes, night)
        curve = curves[curves["label"] == label]
        axes.plot(curve["hour"], curve["density"], color=line, linewidth=1.6)
        axes.fill_between(curve["hour"], curve["density"], color=line, alpha=0.18, linewidth=0)
        hours = times.loc[times["label"] == label, "hour"].to_numpy(float)
        low, high = (np.full(len(hours), share * top) for share in (-0.09, -0.02))
        _marks(axes, hours, low, high, line, 0.6)
        axes.set_title(f"{shown(label)} ({numbers[label]:,})", fontsize=9)
        axes.set_xlim(0, 24)
        axes.set_ylim(-0.1 * top, 1.08 * top)
        axes.set_xticks(range(0, 25, 6), [f"{hour}:00" for hour in range(0, 24, 6)] + ["24"])
        axes.set_yticks([])
    for axes in list(grid.flat)[len(labels) :]:
        axes.set_axis_off()
    figure.supylabel("density of events", fontsize=9)
    return figure


def _night(axes: Axes, night: tuple[float, float] | None) -> None:
    if night is not None:
        sunset, sunrise = night
        for begin, end in ((0, sunrise), (sunset, 24)):
            axes.axvspan(begin, end, color=QUIET, alpha=0.16, linewidth=0)


def _marks(axes: Axes, x: Floats, low: Floats, high: Floats, line: str, width: float) -> None:
    """Draw upright strokes as one path: thousands of them stay small in a file."""
    gaps = np.full(len(x), np.nan)
    both, ends = np.stack([x, x, gaps], axis=1), np.stack([low, high, gaps], axis=1)
    axes.plot(both.ravel(), ends.ravel(), color=line, linewidth=width, solid_capstyle="butt")


def accumulation(curve: pd.DataFrame, unit: str) -> Figure:
    """Draw species against effort. `curve`: units, species, sd."""
    figure, axes = canvas(2.7)
    units, species, sd = (curve[name].to_numpy(float) for name in ("units", "species", "sd"))
    axes.fill_between(
        units, np.maximum(species - sd, 0), species + sd, color=ACCENT, alpha=0.2, lw=0
    )
    axes.plot(units, species, color=ACCENT, linewidth=1.8)
    axes.annotate(
        f"{species[-1]:.0f}", (units[-1], species[-1]), (4, 0), textcoords="offset points",
        va="center", color=INK, fontweight="bold",
    )  # fmt: skip
    axes.set_xlim(left=min(units[0], 1))
    axes.set_ylim(bottom=0)
    axes.set_xlabel(unit)
    axes.set_ylabel("species")
    _whole(axes.yaxis)
    return figure


def iucn(categories: pd.DataFrame) -> Figure:
    """Draw events by Red List category, the most threatened on top.

    `categories`: iucn, species, events.
    """
    rows = categories.to_dict("records")
    figure, axes = canvas(0.75 + 0.36 * len(rows))
    for place, row in enumerate(reversed(rows)):
        axes.barh(place, row["events"], 0.72, edgecolor=INK, linewidth=0.7, **_fill(row["iucn"]))
        species = f"{row['species']} species" if row["species"] > 1 else "1 species"
        axes.annotate(
            f"{row['events']:,} ({species})", (row["events"], place), (5, 0),
            textcoords="offset points", va="center",
        )  # fmt: skip
    names = [row["iucn"].replace("-", " to ") or "none" for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), names, fontweight="bold")
    axes.set_xlim(0, max(row["events"] for row in rows) * 1.3)
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("independent events")
    _whole(axes.xaxis)
    return figure


def operation(deployments: pd.DataFrame, problems: pd.DataFrame, days: pd.DataFrame) -> Figure:
    """Draw when each camera worked, and on which days it took a photo.

    `deployments`: deployment, start, end; `problems`: deployment, start, end; `days`: deployment,
    day. The first 150 are drawn.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    names = list(deployments["deployment"])[:MOST_ROWS]
    place = {name: row for row, name in enumerate(names)}
    figure, axes = canvas(0.9 + (0.2 if len(names) <= NAMED_ROWS else 0.08) * len(names))
    there: dict[str, Any] = {"color": ACCENT, "alpha": 0.45, "linewidth": 0}
    broken: dict[str, Any] = {
        "facecolor": PAPER, "edgecolor": "#b3261e", "hatch": "/////", "linewidth": 0,
    }  # fmt: skip
    for frame, look in ((deployments, there), (problems, broken)):
        for row in frame[frame["deployment"].isin(place)].itertuples():
            begin, end = _clock().date2num(row.start), _clock().date2num(row.end)
            axes.broken_barh([(begin, end - begin)], (place[row.deployment] - 0.34, 0.68), **look)
    seen = days[days["deployment"].isin(place)]
    rows = seen["deployment"].map(place).to_numpy(float)
    _marks(axes, _clock().date2num(seen["day"].to_numpy()) + 0.5, rows - 0.2, rows + 0.2, INK, 0.8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names)
    if len(names) > NAMED_ROWS:
        axes.set_yticks([])
        axes.set_ylabel(f"{len(names)} deployments")
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.grid(True, axis="x")
    axes.xaxis_date()
    _dates(axes)
    handles: Sequence[Any] = [
        Patch(**there, label="at its station"),
        Patch(**broken, label="did not work"),
        Line2D([], [], color=INK, marker="|", linestyle="", label="day with a photo"),
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, handlelength=1.4)
    return figure


def reliability(bins: pd.DataFrame) -> Figure:
    """Draw how often the model was right against how sure it was, with 95 % intervals.

    `bins`: sure, right (shares 0..1), photos, low, high.
    """
    figure, axes = canvas(3.4)
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.9, linestyle=(0, (4, 3)))
    sure, right = bins["sure"].to_numpy(float), bins["right"].to_numpy(float)
    low, high = bins["low"].to_numpy(float), bins["high"].to_numpy(float)
    axes.vlines(sure, low, high, color=ACCENT, linewidth=1.2)
    size = 22 + 150 * np.sqrt(bins["photos"].to_numpy(float) / bins["photos"].max())
    axes.scatter(sure, right, s=size, color=ACCENT, edgecolor=PAPER, linewidth=0.8, zorder=3)
    percent = [f"{tick}%" for tick in range(0, 101, 20)]
    axes.set_xticks(np.linspace(0, 1, 6), percent)
    axes.set_yticks(np.linspace(0, 1, 6), percent)
    axes.set_xlim(0, 1.03)
    axes.set_ylim(0, 1.05)
    axes.grid(True, axis="both", color=RULE)
    axes.set_xlabel("how sure the model was (calibrated probability)")
    axes.set_ylabel("how often it was right")
    axes.annotate("as sure as right", (0.13, 0.17), rotation=27, color=QUIET, fontsize=8)
    return figure
