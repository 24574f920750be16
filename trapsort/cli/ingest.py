"""`trapsort ingest`: take in cards or folders once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.options import previews_option, profile_options
from trapsort.cli.work import (
    check_apart,
    count_files,
    open_bundle,
    open_classifier,
    previews_of,
    progress_of,
    say,
)
from trapsort.errors import InputError
from trapsort.settings import Settings

if TYPE_CHECKING:
    from threading import Event

    from trapsort.ensemble import Classifier
    from trapsort.urls import Url
    from trapsort.workers import Workers


@click.command()
@click.argument("places", nargs=-1, required=True, metavar="PATH|URL...")
@setting_option("--station", metavar="NAME", help="Station that these cards belong to.")
@setting_option("--workers", metavar="N", help="Threads that decode and classify.")
@setting_option(
    "--cluster",
    metavar="local:N|slurm|tcp://HOST:PORT",
    help="Have photos decoded and classified by Dask workers, not by threads.",
)
@previews_option
@profile_options
@common_options
def ingest(settings: Settings, /, *, places: tuple[str, ...]) -> None:
    """Take in each card or folder PATH once, and account for every file on it.

    That is every file but hidden and unfinished ones (.part, .tmp, ~) and what lies in lost+found
    and other folders of the system. A photo that was taken in before, under whatever name, is not
    counted twice. Nothing is ever written to a card. A folder of a store may be given by its URL:
    s3://bucket/folder, gs://bucket/folder, sftp://user@host/folder.
    """
    import threading

    from trapsort.daemon import stop_on_signals
    from trapsort.in_hand import InHand
    from trapsort.pipeline import ingest as take_in
    from trapsort.store import Store

    roots = [_root(place) for place in places]
    check_apart(settings, [root for root in roots if isinstance(root, Path)])
    if settings.previews and settings.cluster is not None:
        raise InputError(
            "The workers of a cluster keep no pictures on this machine.",
            "Leave out --previews or --cluster.",
        )
    keep = previews_of(settings)
    stop = threading.Event()
    with (
        stop_on_signals(stop),
        _workers(settings, stop) as workers,
        Store.open(settings.db) as store,
        InHand(settings.db) as in_hand,
    ):
        for root in roots:
            if stop.is_set():
                break
            with progress_of(root, quiet=settings.verbosity < 0) as show:
                account = take_in(
                    root,
                    store=store,
                    classifier=workers,
                    station=settings.station,
                    workers=settings.workers,
                    total=count_files(root) if isinstance(root, Path) else None,
                    stop=stop,
                    in_hand=in_hand,
                    keep=keep,
                    on_progress=show,
                )
            say(f"{root.name or root}: {account.sentence}")
    if stop.is_set():
        say("stopped; run the same again to go on", err=True)


def _root(place: str) -> Path | Url:
    """A folder or file that is there, by path or URL; raises `InputError`."""
    from trapsort.scan import check_root, check_url
    from trapsort.urls import is_url, url_of

    if is_url(place):
        url = url_of(place)
        check_url(url)
        return url
    path = Path(place)
    check_root(path)
    return path.absolute()


@contextmanager
def _workers(settings: Settings, stop: Event) -> Iterator[Classifier | Workers]:
    """The classifier that threads of this process share, or else a cluster's workers."""
    if settings.cluster is None:
        yield open_classifier(settings)
        return
    from trapsort.cluster.connect import open_cluster
    from trapsort.cluster.tasks import Model
    from trapsort.profile import read_profile

    bundle = open_bundle(settings)
    profile = None if settings.profile is None else read_profile(settings.profile)
    model = Model.of(bundle, profile, settings.taxon)
    with open_cluster(settings.cluster, bundle, model, slurm=settings.slurm, stop=stop) as workers:
        yield workers
