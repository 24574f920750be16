"""Bars for the docs, as small SVG files that are the same each time for the same figures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BAR_INCHES, WIDTH_INCHES = 0.32, 7.0
COLOUR = "#2f6f4f"


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars from top to bottom, each with a label and a value in `unit`."""

    title: str
    unit: str
    bars: tuple[tuple[str, float], ...]


def draw(chart: Chart, path: Path) -> None:
    """Write a chart as SVG; text stays text."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    labels = [label for label, _ in chart.bars]
    values = [value for _, value in chart.bars]
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "trapsort", "font.size": 9}):
        height = 0.9 + BAR_INCHES * len(labels)
        figure = Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        axes = figure.subplots()
        bars = axes.barh(labels, values, color=COLOUR)
        axes.bar_label(bars, labels=[f"{value:,.3g}" for value in values], padding=3)
        axes.invert_yaxis()
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(chart.title, loc="left")
        axes.set_xlabel(chart.unit)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
