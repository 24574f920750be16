"""What the commands that classify share: a bundle that runs, and progress that people can read."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from trapsort.errors import InputError
from trapsort.settings import Settings, sqlite_file

if TYPE_CHECKING:
    from PIL.Image import Image

    from trapsort.bundle import Bundle
    from trapsort.ensemble import Classifier
    from trapsort.pipeline import Progress
    from trapsort.profile import Profile
    from trapsort.urls import Url

LINE_EVERY_SECONDS = 10.0
"""Without a terminal: how often a line says how far a card is."""


PATHS = click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
"""The cards and folders that a command works on."""


def say(text: str, *, err: bool = False) -> None:
    """Print a line while work goes on; where it cannot be printed, go on without output.

    A closed pipe or a full disk behind `> log` must not cost a card that is being taken in.
    """
    from trapsort.cli.listing import shown

    try:
        click.echo(shown(text), err=err)
    except OSError:
        discard(sys.stderr if err else sys.stdout)


def discard(stream: TextIO) -> None:
    """Point a stream at nothing, so that Python's own flush at the end stays quiet too."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def check_apart(settings: Settings, roots: Sequence[Path]) -> None:
    """Refuse a database that a scan of `roots` would meet: it would be taken in itself.

    Raises:
        InputError: it names the database and the folder.
    """
    file = sqlite_file(settings.db)
    if file is None:
        return
    database = file.resolve()
    for root in roots:
        # A scan leaves out what is hidden, and with it SQLite's own files beside the database.
        top = root.resolve()
        met = database.is_relative_to(top) and not any(
            part.startswith(".") for part in database.relative_to(top).parts
        )
        if met:
            raise InputError(
                f"The database {database} lies inside {root}, which is to be taken in.",
                "Keep it elsewhere: name another place with --db.",
            )


def open_bundle(settings: Settings, profile: Profile | None = None) -> Bundle:
    """Verify the bundle and apply site profile and taxon; raises `BundleError`, `InputError`.

    `profile` comes before that of the settings.
    """
    from dataclasses import replace

    from trapsort.bundle import load_bundle
    from trapsort.profile import apply_profile, read_profile, with_taxon

    bundle = replace(load_bundle(settings.bundle), precision=settings.graph_precision)
    if profile is None and settings.profile is not None:
        profile = read_profile(settings.profile)
    bundle = bundle if profile is None else apply_profile(profile, bundle)
    return bundle if settings.taxon is None else with_taxon(bundle, settings.taxon)


def open_classifier(settings: Settings, bundle: Bundle | None = None) -> Classifier:
    """Load the graph of a bundle, or else of that of the settings, as `open_bundle` opens it."""
    import logging

    from trapsort.ensemble import Classifier
    from trapsort.session import open_session

    bundle = bundle or open_bundle(settings)
    session = open_session(bundle)
    logging.getLogger(__name__).info(
        "%s runs on %s in %s precision with %d threads",
        bundle.model_name,
        session.provider,
        session.precision,
        settings.workers,
    )
    return Classifier(bundle, session)


def previews_of(settings: Settings) -> Callable[[str, Image], None] | None:
    """Return what keeps a picture of each photo that is taken in; None where none are wanted."""
    if not settings.previews:
        return None
    from trapsort.settings import pictures_path
    from trapsort.web.thumbnails import Thumbnails

    return Thumbnails(pictures_path(), settings.cache_mb << 20).keep


def count_files(root: Path) -> int:
    """Files below a root, for the time that is left; a fast walk that opens nothing."""
    from trapsort.scan import scan

    return sum(1 for _ in scan(root))


@contextmanager
def progress_of(root: Path | Url, *, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """Show how far a card is on stderr: a bar on a terminal, a line now and then elsewhere."""
    if quiet:
        yield lambda progress: None
    elif sys.stderr.isatty():
        with _bar(root) as show:
            yield show
    else:
        yield _Lines(root).show


@contextmanager
def _bar(root: Path | Url) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar
    from rich.text import Text

    from trapsort.cli.listing import shown

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.1f} photos/s" if task.speed else "")

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(),
    )
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(shown(root.name or str(root)), total=None)

    def show(progress: Progress) -> None:
        bar.start()  # not before there is something to show: a look may find nothing
        bar.update(task, completed=progress.files, total=progress.total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


class _Lines:
    """A line every few seconds, for logs."""

    def __init__(self, root: Path | Url) -> None:
        self.root, self.start = root, time.monotonic()
        self.last = self.start

    def show(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self.last < LINE_EVERY_SECONDS:
            return
        self.last = now
        rate = progress.files / (now - self.start)
        of = f" of {progress.total:,}" if progress.total else ""
        left = f", {(progress.total - progress.files) / rate:.0f} s left" if progress.total else ""
        say(f"{self.root}: {progress.files:,}{of} files, {rate:.1f}/s{left}", err=True)
