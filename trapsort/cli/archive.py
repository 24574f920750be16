"""`trapsort archive`: copy a card's recorded photos to where they are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options
from trapsort.cli.audit import TABLE_ROWS, write_every
from trapsort.cli.listing import Row, format_option
from trapsort.cli.options import open_existing
from trapsort.cli.work import count_files, progress_of, say
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.archive import Kept

COLUMNS = ("path", "state", "target", "size", "detail")
TABLE = ("path", "state", "detail")
LAYOUTS = ("station/date", "date", "station", "station/folders")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--to", required=True, metavar="DIR", type=click.Path(path_type=Path), help="The archive."
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default=LAYOUTS[0],
    show_default=True,
    help="The folders in the archive; `folders` are those of the card.",
)
@format_option("table", "csv", "json", "jsonl")
@common_options
def archive(settings: Settings, /, *, path: Path, to: Path, layout: str, form: str) -> int:
    """Copy the recorded photos of the card or folder PATH into DIR.

    Each goes to STATION/YYYY-MM-DD/NAME by the station and the camera's time (a card without a
    station by the card's name, a photo without a time to `undated`). Every copy is synced, read
    back and compared with the record before it gets its name. Nothing is overwritten or deleted,
    and nothing is written to the card: where other content has the name already, a part of the
    digest is added to it. After an interruption run it again; what is there is checked and kept.

    Files that are not recorded are left out and listed, and the exit code is then 1.
    """
    import sys

    from trapsort.archive import COPIED, sentence
    from trapsort.archive import archive as copies_of
    from trapsort.audit import views_of
    from trapsort.pipeline import Progress
    from trapsort.scan import card_of

    root, target = path.absolute(), to.absolute()
    card = card_of(root)
    states: Counter[str] = Counter()
    copied_bytes = 0
    left_out: list[Row] = []
    quiet = settings.verbosity < 0 or (form != "table" and sys.stdout.isatty())
    with open_existing(settings.db) as store:
        total = count_files(root)
        copies = copies_of(root, target, views=views_of(store, card), layout=layout)
        with progress_of(root, quiet=quiet) as show:

            def counted(found: Iterator[Kept]) -> Iterator[Row]:
                nonlocal copied_bytes
                for kept in found:
                    states[kept.state] += 1
                    copied_bytes += kept.size if kept.state == "copied" else 0
                    show(Progress(states.total(), total))
                    yield kept.name, kept.state, kept.target, kept.size, kept.detail

            rows = counted(copies)
            if form == "table":
                for row in rows:
                    if row[1] not in COPIED and len(left_out) < TABLE_ROWS:
                        left_out.append((row[0], row[1], row[4]))
            else:
                write_every(COLUMNS, rows, form)
    all_left_out = sum(number for state, number in states.items() if state not in COPIED)
    if left_out:
        write_every(TABLE, left_out, form)
        if all_left_out > len(left_out):
            say(f"and {all_left_out - len(left_out):,} more; --format csv lists all", err=True)
    say(f"{root.name or root}: {sentence(states, copied_bytes)}", err=form != "table")
    return 1 if all_left_out else 0
