"""One figure of the report, before it is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trapsort.reports.survey.tables import Table


@dataclass(frozen=True, slots=True)
class Part:
    """A figure of the report; `draw` is None where there is nothing to draw: `caption` says why."""

    name: str
    heading: str
    caption: str
    alt: str = ""
    draw: Callable[[], Figure] | None = None
    table: Table | None = None
