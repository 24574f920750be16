"""What the parts of the suite share: photos, a scratch folder, and where their figures go."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from bench import photos
from bench.charts import draw
from bench.measure import MIN_REPEATS, Machine, this_machine
from bench.page import put
from bench.progress import progress
from bench.tables import Section, markdown, print_tables

COUNT = 128
"""Photos: so many that what is done once a run counts little."""

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass
class Workshop:
    """Where the parts of one run work; figures go to stdout and, where one is named, to a page."""

    stack: ExitStack
    is_json: bool = False
    page: Path | None = None
    machine: Machine = field(default_factory=this_machine)
    sections: list[Section] = field(default_factory=list)
    _drawn: dict[tuple[int, int, int, int], Path] = field(default_factory=dict)
    _copied: int = 0

    def __post_init__(self) -> None:
        folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="trapsort-bench-"))
        self.scratch = Path(folder)

    def photos(
        self,
        count: int,
        card: Path | None = None,
        *,
        width: int = photos.WIDTH,
        height: int = photos.HEIGHT,
        quality: int = photos.QUALITY,
    ) -> tuple[Path, list[Path]]:
        """Return a folder and its `count` photos: drawn ones, or at most so many of a card."""
        if card is not None:
            self._copied += 1
            folder = self.scratch / f"card-{self._copied}"
            found = photos.copy_distinct(card, folder, count)
            if not found:
                raise click.BadParameter(f"no JPEG file below {card}", param_hint="--card")
            return folder, found
        what = (count, width, height, quality)
        if what not in self._drawn:
            folder = self.scratch / "-".join(map(str, ("drawn", *what)))
            with progress("photos", count) as step:
                photos.draw(
                    folder, count, width=width, height=height, quality=quality, on_step=step
                )
            self._drawn[what] = folder
        folder = self._drawn[what]
        return folder, sorted(folder.iterdir())

    def take(self, section: Section) -> None:
        """Show what a part found, and write it into the page where one is named."""
        self.sections.append(section)
        if not self.is_json:
            print_tables(section.tables)
        if self.page is not None:
            self._write(section, self.page)

    def _write(self, section: Section, page: Path) -> None:
        picture = f"{page.stem}-{section.part}.svg" if section.chart else ""
        try:
            put(page, section.part, markdown(section, self.machine.sentence, picture))
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        if section.chart:
            draw(section.chart, page.parent / picture)

    def finish(self) -> None:
        """Print the whole as JSON, or the machine below the tables."""
        if self.is_json:
            sections = [section.as_dict() for section in self.sections]
            shown = {"machine": self.machine.as_dict(), "parts": sections}
            click.echo(json.dumps(shown, indent=2))
        else:
            click.echo(self.machine.sentence)


def count_option(default: int) -> Callable[[Command], Command]:
    """`--photos N`."""
    kind = click.IntRange(min=1)
    return click.option("--photos", "count", default=default, show_default=True, type=kind)


def repeats_option(command: Command) -> Command:
    """`--repeats N`, enough for a median."""
    return click.option(
        "--repeats",
        default=MIN_REPEATS,
        show_default=True,
        type=click.IntRange(min=MIN_REPEATS),
        help="Rounds, in which all take turns.",
    )(command)


def card_option(command: Command) -> Command:
    """`--card DIR`."""
    return click.option(
        "--card",
        metavar="DIR",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Measure on the JPEG files of this folder, not on drawn photos.",
    )(command)


def bundle_option(command: Command) -> Command:
    """`--bundle NAME|DIR`."""
    return click.option("--bundle", metavar="NAME|DIR", help="Model; the default one if not.")(
        command
    )
