"""`trapsort watch`: take in what is there, then everything that arrives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.work import PATHS, check_apart, open_classifier, progress_of, say
from trapsort.errors import InputError
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.store import Account, Store


@click.command()
@PATHS
@click.option("--once", is_flag=True, help="End when everything that is there has been taken in.")
@setting_option("--report-at", metavar="HH:MM", help="Write the nightly reports at this time.")
@setting_option("--report-dir", metavar="DIR", help="Folder for the nightly reports.")
@setting_option("--station", metavar="NAME", help="Station that these cards belong to.")
@setting_option("--workers", metavar="N", help="Threads that decode and classify.")
@common_options
def watch(settings: Settings, /, *, paths: tuple[Path, ...], once: bool) -> None:
    """Take in what is in each folder PATH, then everything that arrives there.

    Ctrl-C or SIGTERM finish the photos in hand and end it; starting it again goes on. One watch at
    a time works on a database.
    """
    import threading

    from trapsort.daemon import Lock, Skip, run, stop_on_signals
    from trapsort.pipeline import ingest
    from trapsort.scan import check_root
    from trapsort.store import Store

    report = _reporter(settings)
    roots = [path.absolute() for path in paths]
    check_apart(settings, roots)
    for root in roots if once else []:
        check_root(root)
    stop = threading.Event()
    with stop_on_signals(stop), Lock(settings.db):
        classifier = open_classifier(settings)
        with Store.open(settings.db) as store:

            def take_in(root: Path, skip: Skip) -> Account:
                with progress_of(root, quiet=settings.verbosity < 0) as show:
                    return ingest(
                        root,
                        store=store,
                        classifier=classifier,
                        station=settings.station,
                        workers=settings.workers,
                        stop=stop,
                        skip=skip,
                        on_progress=show,
                    )

            if not once:
                say(f"watching {', '.join(map(str, roots))}; Ctrl-C ends it", err=True)
            run(
                roots,
                ingest=take_in,
                stop=stop,
                once=once,
                on_account=_say,
                report=report(store) if report else None,
                report_at=settings.report_at,
            )


def _say(root: Path, account: Account) -> None:
    say(f"{root.name or root}: {account.sentence}")


def _reporter(settings: Settings) -> Callable[[Store], Callable[[date], None]] | None:
    """What writes the nightly reports, if they are asked for; raises `InputError`."""
    folder = settings.report_dir
    if settings.report_at is None:
        return None
    if folder is None:
        raise InputError(
            "--report-at needs a folder for the reports.", "Name it with --report-dir DIR."
        )

    def reporter(store: Store) -> Callable[[date], None]:
        from trapsort.reports import write_reports

        def write(day: date) -> None:
            write_reports(store, folder, day, red_list=settings.red_list)

        return write

    return reporter
