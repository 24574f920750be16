"""`trapsort doctor`: what runs, what is wrong and what to do."""

from __future__ import annotations

from pathlib import Path

import click

from trapsort.cli.listing import format_option, write_listing, write_text
from trapsort.cli.options import (
    current_config,
    current_settings,
    open_existing,
    profile_options,
    shared_options,
)

COLUMNS = ("check", "state", "detail", "advice")
TABLE = ("state", "check", "detail")


@click.command()
@click.argument("path", required=False, type=click.Path(path_type=Path))
@click.option("--full", is_flag=True, help="Check all of the database, however long it takes.")
@click.option(
    "--rebuild", is_flag=True, help="First make anew the index and the counts of the record."
)
@format_option("table", "csv", "json", "jsonl")
@profile_options
@shared_options
def doctor(*, path: Path | None, full: bool, rebuild: bool, form: str) -> int:
    """Say what runs here, what is wrong and what to do about it.

    With a folder PATH also how `watch` would notice what arrives there. Nothing is created,
    migrated or changed without --rebuild. The exit code is 1 if there is a PROBLEM, else 0.
    """
    from trapsort.cli.listing import shown
    from trapsort.doctor import OK, PROBLEM, WARNING, examine
    from trapsort.errors import SettingsError
    from trapsort.settings import Settings

    settings: Settings | SettingsError
    try:
        settings = current_settings()
    except SettingsError as error:
        settings = error
    if rebuild:
        if isinstance(settings, SettingsError):
            raise settings
        with open_existing(settings.db) as store:
            store.rebuild()
    checks = list(examine(settings, config=current_config(), path=path, full=full))
    columns = TABLE if form == "table" else COLUMNS
    write_listing(columns, ([getattr(each, c) for c in columns] for each in checks), form)
    if form == "table":
        advised = [each for each in checks if each.state != OK]
        write_text(["\n"] if advised else [])
        write_text(f"{each.check}: {shown(each.advice)}\n" for each in advised)
        counts = {state: sum(c.state == state for c in checks) for state in (PROBLEM, WARNING)}
        words = [f"{n} {s.lower()}{'' if n == 1 else 's'}" for s, n in counts.items() if n]
        write_text([f"\n{', '.join(words) or 'everything is well'}\n"])
    return 1 if any(each.state == PROBLEM for each in checks) else 0
