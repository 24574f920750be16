"""`trapsort ingest`: take in cards or folders once."""

from __future__ import annotations

from pathlib import Path

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.options import profile_options
from trapsort.cli.work import PATHS, check_apart, count_files, open_classifier, progress_of, say
from trapsort.settings import Settings


@click.command()
@PATHS
@setting_option("--station", metavar="NAME", help="Station that these cards belong to.")
@setting_option("--workers", metavar="N", help="Threads that decode and classify.")
@profile_options
@common_options
def ingest(settings: Settings, /, *, paths: tuple[Path, ...]) -> None:
    """Take in each card or folder PATH once, and account for every file on it.

    That is every file but hidden and unfinished ones (.part, .tmp, ~) and what lies in lost+found
    and other folders of the system. A photo that was taken in before, under whatever name, is not
    counted twice. Nothing is ever written to a card.
    """
    import threading

    from trapsort.daemon import stop_on_signals
    from trapsort.in_hand import InHand
    from trapsort.pipeline import ingest as take_in
    from trapsort.scan import check_root
    from trapsort.store import Store

    for path in paths:
        check_root(path)
    check_apart(settings, paths)
    classifier = open_classifier(settings)
    stop = threading.Event()
    with Store.open(settings.db) as store, InHand(settings.db) as in_hand, stop_on_signals(stop):
        for path in paths:
            root = path.absolute()
            if stop.is_set():
                break
            with progress_of(root, quiet=settings.verbosity < 0) as show:
                account = take_in(
                    root,
                    store=store,
                    classifier=classifier,
                    station=settings.station,
                    workers=settings.workers,
                    total=count_files(root),
                    stop=stop,
                    in_hand=in_hand,
                    on_progress=show,
                )
            say(f"{root.name or root}: {account.sentence}")
    if stop.is_set():
        say("stopped; run the same again to go on", err=True)
