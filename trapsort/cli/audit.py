"""`trapsort audit`: prove from the record that nothing on a card was lost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options
from trapsort.cli.listing import Row, format_option, write_listing
from trapsort.cli.options import open_existing
from trapsort.cli.work import count_files, discard, progress_of, say
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.audit import Finding

COLUMNS = ("path", "state", "detail")
TABLE_ROWS = 1000
"""A table lists so many files at most, after the progress; the other forms list every file."""


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--hash", "by_content", is_flag=True, help="Read every file and compare contents.")
@format_option("table", "csv", "json", "jsonl")
@common_options
def audit(settings: Settings, /, *, path: Path, by_content: bool, form: str) -> int:
    """Prove from the record that every file on the card or folder PATH is accounted for.

    \b
    recorded     a photo in the record, seen here first
    seen_before  a photo in the record, seen at another place first
    problem      gave no sighting, and is listed by `trapsort problems`
    missing      not in the record
    changed      not what the record says was here

    Without --hash a file is told by its path, size and time, which takes seconds. With --hash every
    file is read again and told by its content, also where the card lies elsewhere now. A table
    shows only what is not accounted for, the other forms every file. The exit code is 0 if
    everything is accounted for, else 1.
    """
    import sys

    from trapsort.audit import ACCOUNTED, sentence, views_of
    from trapsort.audit import audit as findings_of
    from trapsort.pipeline import Progress
    from trapsort.scan import card_of

    root = path.absolute()
    card = card_of(root)
    states: Counter[str] = Counter()
    lost: list[Row] = []
    quiet = settings.verbosity < 0 or (form != "table" and sys.stdout.isatty())
    with open_existing(settings.db) as store:
        views = views_of(store, card)
        total = count_files(root) if by_content else None
        findings = findings_of(root, store=store, views=views, by_content=by_content)
        with progress_of(root, quiet=quiet) as show:

            def counted(found: Iterator[Finding]) -> Iterator[Row]:
                for finding in found:
                    states[finding.state] += 1
                    show(Progress(states.total(), total))
                    yield finding.name, finding.state, finding.detail

            rows = counted(findings)
            if form == "table":
                for row in rows:
                    if row[1] not in ACCOUNTED and len(lost) < TABLE_ROWS:
                        lost.append(row)
            else:
                write_every(COLUMNS, rows, form)
    is_known = by_content or views.all
    all_lost = sum(number for state, number in states.items() if state not in ACCOUNTED)
    if form == "table" and lost and is_known:
        write_every(COLUMNS, lost, form)
        if all_lost > len(lost):
            say(f"and {all_lost - len(lost):,} more; --format csv lists all", err=True)
    if all_lost and not is_known:
        say(f"no card at {root} is in the record", err=True)
        say("audit the path that it was taken in under, or compare contents with --hash", err=True)
    elif all_lost:
        say(f"to take in what is not accounted for: trapsort ingest {path}", err=True)
    if not states:
        say(f"there is no file in {root}; is the card in?", err=True)
    say(f"{root.name or root}: {sentence(states)}", err=form != "table")
    return 1 if all_lost else 0


def write_every(columns: Sequence[str], rows: Iterable[Row], form: str) -> None:
    """Print rows that do work as they come; where nobody reads them, do the rest of the work.

    So a reader that had enough changes nothing, least of all the exit code.
    """
    import sys

    try:
        write_listing(columns, rows, form)
    except BrokenPipeError:
        discard(sys.stdout)
        deque(rows, maxlen=0)
