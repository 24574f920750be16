"""`trapsort watch`: take in what is there, then everything that arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.options import previews_option, profile_options
from trapsort.cli.work import (
    PATHS,
    check_apart,
    open_classifier,
    previews_of,
    progress_of,
    say,
)
from trapsort.errors import InputError
from trapsort.settings import Settings

if TYPE_CHECKING:
    from threading import Event

    from trapsort.store import Account, Store


BUSY_SECONDS = 5.0
"""How long a write waits for another program's before the loop tries again; a signal waits, too."""


@click.command()
@PATHS
@click.option(
    "--cards",
    is_flag=True,
    help="Take in the cards in each PATH: folders that hold DCIM, mounted or copied there.",
)
@click.option("--once", is_flag=True, help="End when everything that is there has been taken in.")
@setting_option("--report-at", metavar="HH:MM", help="Write the nightly reports at this time.")
@setting_option("--report-dir", metavar="DIR", help="Folder for the nightly reports.")
@setting_option("--station", metavar="NAME", help="Station that these cards belong to.")
@setting_option("--workers", metavar="N", help="Threads that decode and classify.")
@profile_options
@previews_option
@common_options
def watch(settings: Settings, /, *, paths: tuple[Path, ...], cards: bool, once: bool) -> None:
    """Take in what is in each folder PATH, then everything that arrives there.

    With --cards each PATH is a place where cards appear, /media for example, and every folder in
    it, at most three levels below, that holds a folder DCIM is a card of its own. Ctrl-C or SIGTERM
    finish the photos in hand and end it; starting it again goes on. One watch at a time works on a
    database.
    """
    import threading

    from trapsort.daemon import Skip, run, stop_on_signals
    from trapsort.in_hand import InHand
    from trapsort.lock import Lock
    from trapsort.scan import check_root

    report = _reporter(settings)
    roots = [path.absolute() for path in paths]
    check_apart(settings, roots)
    for root in roots if once else []:
        check_root(root)
    stop = threading.Event()
    with stop_on_signals(stop), Lock(settings.db), InHand(settings.db) as in_hand:
        # What takes long to import comes after the signals are heard.
        from trapsort.pipeline import ingest
        from trapsort.store import Store

        classifier = open_classifier(settings)
        keep = previews_of(settings)
        with (
            Store.open(settings.db, busy_seconds=BUSY_SECONDS) as store,
            store.hold() as held,
        ):

            def take_in(root: Path, skip: Skip) -> Account:
                held.renew()
                with progress_of(root, quiet=settings.verbosity < 0) as show:
                    return ingest(
                        root,
                        store=store,
                        classifier=classifier,
                        station=settings.station,
                        workers=settings.workers,
                        stop=stop,
                        in_hand=in_hand,
                        skip=skip,
                        on_progress=show,
                        keep=keep,
                    )

            def account_of(root: Path, account: Account) -> None:
                say(f"{_name(root, roots if cards else [])}: {account.sentence}")

            if not once and settings.verbosity >= 0:
                say(_greeting(roots, cards=cards), err=True)
            run(
                roots,
                ingest=take_in,
                stop=stop,
                once=once,
                on_account=account_of,
                cards=cards,
                report=report(store) if report else None,
                report_at=settings.report_at,
                alerts=_alerts(settings, store, stop),
            )


def _alerts(settings: Settings, store: Store, stop: Event) -> Callable[[], None] | None:
    """The step between two scans that sends alerts, where there are rules for them."""
    if not settings.alerts:
        return None
    from trapsort.alerts import Alerts

    return Alerts(store=store, rules=settings.alerts, stop=stop).attempt


def _greeting(roots: Sequence[Path], *, cards: bool) -> str:
    from trapsort.watch import way_of

    if cards:
        return (
            f"watching {', '.join(map(str, roots))} for cards (folders with DCIM); Ctrl-C ends it"
        )
    return f"watching {', '.join(f'{root} ({way_of(root)})' for root in roots)}; Ctrl-C ends it"


def _name(root: Path, places: Sequence[Path]) -> str:
    """What the account calls a root: its name, or the path of a card in its place."""
    for place in places:
        if root != place and root.is_relative_to(place):
            return str(root.relative_to(place))
    return root.name or str(root)


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
