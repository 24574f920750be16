"""How the figures look, and how they become files and parts of a page.

Text stays text in SVG, and the same data gives the same bytes. On the page the colours of ink and
paper follow the reader's light or dark theme; in files they are those of paper.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trapsort.redlist import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Stand-ins for the page's own colours: each is replaced by the CSS variable of its name.
INK, QUIET, RULE, PAPER, ACCENT = "#1d2422", "#57625d", "#d8ded9", "#fdfefc", "#1f6f5c"
VARIABLES = {INK: "ink", QUIET: "quiet", RULE: "rule", PAPER: "paper", ACCENT: "accent"}

# Okabe and Ito (2008), "Color Universal Design": told apart with every kind of colour vision.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

WIDTH = 7.2  # inches; 518 points of SVG
DOTS_PER_INCH = 160
NO_CATEGORY = "NE"  # the colour of species that the Red List mapping does not know


@contextmanager
def styled() -> Iterator[None]:
    """Draw inside with the report's settings of matplotlib."""
    import matplotlib

    settings: dict[Any, object] = {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that sizes are the same
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.edgecolor": QUIET,
        "axes.labelcolor": INK,
        "axes.facecolor": "none",
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": RULE,
        "grid.linewidth": 0.6,
        "text.color": INK,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "legend.frameon": False,
        "figure.facecolor": PAPER,
        "hatch.linewidth": 0.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "trapsort",
        "path.simplify": True,
        "text.parse_math": False,  # a name may hold dollars
        "text.usetex": False,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever a matplotlibrc of the machine says
        matplotlib.rcParams.update(settings)
        yield


def canvas(height: float) -> tuple[Figure, Axes]:
    """Return a figure of the report's width and `height` in inches, and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def ends(category: str) -> tuple[str, str]:
    """Return the least and the most threatened category of a range, twice the same of one."""
    low, _, high = (category or NO_CATEGORY).partition("-")
    return low, high or low


def colour(category: str) -> str:
    """Return the Red List's colour of a category, of a range that of its worse end."""
    return COLOURS.get(ends(category)[1], COLOURS[NO_CATEGORY])


def text_on(background: str) -> str:
    """Return black or white, whichever stands out more on a colour (WCAG 2.2, contrast ratio)."""
    channels = [int(background[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def svg_of(draw: Callable[[], Figure]) -> str:
    """Return what a figure is as SVG text, complete and without a date."""
    return _saved(draw, "svg", {"Date": None, "Creator": None}).decode("utf-8")


def png_of(draw: Callable[[], Figure]) -> bytes:
    """Return what a figure is as PNG."""
    return _saved(draw, "png", {"Software": None})


def _saved(draw: Callable[[], Figure], form: str, metadata: dict[str, None]) -> bytes:
    file = io.BytesIO()
    with styled():
        draw().savefig(file, format=form, dpi=DOTS_PER_INCH, metadata=metadata)
    return file.getvalue()


def inline(svg: str, name: str) -> str:
    """Return an SVG file as part of a page: ids of its own, the page's colours, no namespaces.

    The element is hidden from screen readers, for which the page has words and a table.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    head, _, rest = body.partition(">")
    box = re.search(r'viewBox="[^"]*"', head)
    body = f'<svg {box.group() if box else ""} aria-hidden="true" focusable="false">{rest}'
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'xlink:href="#', f'href="#{name}-', body)
    for value, variable in VARIABLES.items():
        body = body.replace(value, f"var(--{variable})")
    # An attribute takes no variable, a style does.
    return re.sub(r'(fill|stroke)="(var\([^"]*\))"', r'style="\1: \2"', body)
