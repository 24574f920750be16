"""`trapsort schedule`: print or write what starts trapsort by itself."""

from __future__ import annotations

import sys
from datetime import time
from pathlib import Path

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.listing import write_text
from trapsort.cli.options import current_config
from trapsort.cli.work import say
from trapsort.errors import InputError
from trapsort.settings import Settings

AT = time(6, 30)


@click.command()
@click.argument("kind", type=click.Choice(("systemd", "cron", "windows")))
@setting_option("--at", "report_at", metavar="HH:MM", help="When the report is made; 06:30.")
@click.option(
    "--card",
    "cards",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder that `watch` is to take in; may be given more than once.",
)
@click.option("--cards", "in_them", is_flag=True, help="Each --card is a place where cards appear.")
@setting_option("--report-dir", metavar="DIR", help="Folder for the reports.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Write files there.")
@common_options
def schedule(
    settings: Settings,
    /,
    *,
    kind: str,
    cards: tuple[Path, ...],
    in_them: bool,
    out: Path | None,
) -> None:
    """Print what starts trapsort by itself, or write it as files with --out.

    \b
    systemd   a service for `watch`, a service and a timer for the nightly report (Linux)
    cron      the lines of a crontab (Linux, macOS)
    windows   tasks for the Task Scheduler

    Nothing is installed or started; how to do that stands in the text. Without --card there is only
    the report. All commands use the configuration file that is in use now.
    """
    from trapsort.schedule import KINDS, Plan, write_schedule

    plan = Plan(
        program=_program(),
        options=_options(settings),
        cards=tuple(card.absolute() for card in cards),
        cards_in_them=in_them,
        report_dir=(settings.report_dir or _reports(settings)).absolute(),
        at=settings.report_at or AT,
    )
    files = KINDS[kind](plan)
    if not cards:
        say("without --card nothing watches; this is the nightly report alone", err=True)
    if out is None:
        one = len(files) == 1
        write_text(text if one else f"# {name}\n{text}\n" for name, text in files.items())
        return
    for path in write_schedule(files, out):
        say(str(path))


def _program() -> tuple[str, ...]:
    """Return what starts this trapsort: its script, or this Python."""
    script = Path(sys.argv[0])
    if script.stem == "trapsort" and script.is_file():
        return (str(script.absolute()),)
    return (sys.executable, "-m", "trapsort")


def _options(settings: Settings) -> tuple[str, ...]:
    """Return --config, and --db where the file does not say the same.

    Raises:
        InputError: a server's address, which may hold a password, would have to be written.
    """
    from trapsort.settings import merged, sqlite_file

    config = current_config()
    named = () if config is None else ("--config", str(config.absolute()))
    if merged({}, environment={}, config=config).db == settings.db:
        return named
    if sqlite_file(settings.db) is None:
        raise InputError(
            "the address of a database server is not written into a schedule",
            "put db = ... into the configuration file: it may hold a password",
        )
    return (*named, "--db", settings.db)


def _reports(settings: Settings) -> Path:
    from trapsort.settings import default_database, sqlite_file

    file = sqlite_file(settings.db) or sqlite_file(default_database())
    return (file.parent if file else Path()) / "reports"
