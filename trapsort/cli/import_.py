"""`trapsort import`: take in what other programs and people said of recorded photos."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.options import open_existing, profile_options, shared_options
from trapsort.cli.work import open_bundle, open_classifier, progress_of, say
from trapsort.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from trapsort.interchange.detected import LeftOut, Results
    from trapsort.interchange.take_in import Account
    from trapsort.store import Store

F = TypeVar("F", bound=Callable[..., object])

LISTED = 20  # files of one kind that are named; more are only counted
NOT_FOUND = ("unknown", "ambiguous", "unreachable")  # what makes the command end with 1

FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))


def matching_options(function: F) -> F:
    """Add --card and --left-out."""
    for option in (
        click.option(
            "--left-out",
            metavar="CSV",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Also write all that was not taken in to this file.",
        ),
        click.option(
            "--card",
            metavar="DIR|VOLUME",
            type=click.Path(path_type=Path),
            help="Card, or folder on it, that the paths in FILE are relative to.",
        ),
    ):
        function = option(function)
    return function


def detector_options(function: F) -> F:
    """Add --min-confidence, --classify and what a classifier takes."""
    for option in (
        setting_option("--workers", metavar="N", help="Threads that decode and classify."),
        click.option(
            "--classify",
            is_flag=True,
            help="Name the animals in the boxes with the bundle, from the original photos.",
        ),
        click.option(
            "--min-confidence",
            metavar="SHARE",
            type=click.FloatRange(0, 1),
            help="Boxes below this count for nothing.  [default: FILE's, else 0.2, SpeciesNet 0.1]",
        ),
        profile_options,
    ):
        function = option(function)
    return function


@click.group("import", no_args_is_help=True)
@shared_options
def import_() -> None:
    """Take in what other programs and people said of photos that trapsort has taken in.

    Photos are found by their path on the card, with or without the card's folder before it. What
    fits none, or several, is listed and left out. Importing a file twice changes nothing; a file
    that is not sound is refused as a whole. Ends with 1 where a photo was not found.
    """


@import_.command()
@FILE
@matching_options
@detector_options
@common_options
def megadetector(
    settings: Settings, /, *, file: Path, card: Path | None, left_out: Path | None,
    min_confidence: float | None, classify: bool,
) -> int:  # fmt: skip
    """Take in MegaDetector's results (JSON, formats 1.4 to 1.6), or those of its likes.

    Boxes become regions, each model keeps its own name. Animals, people, vehicles and blank photos
    are what a photo shows until a bundle or a person says more. Videos are left out.
    """
    from trapsort.interchange.read_megadetector import read_megadetector

    read = functools.partial(read_megadetector, file, min_confidence)
    return _detected(settings, file, read, card, left_out, classify=classify)


@import_.command()
@FILE
@matching_options
@detector_options
@common_options
def speciesnet(
    settings: Settings, /, *, file: Path, card: Path | None, left_out: Path | None,
    min_confidence: float | None, classify: bool,
) -> int:  # fmt: skip
    """Take in SpeciesNet's predictions (JSON, versions 4 and 5).

    A species is a label; a genus or a wider group is an animal without one, and kept.
    """
    from trapsort.interchange.read_speciesnet import MIN_CONFIDENCE, read_speciesnet

    least = MIN_CONFIDENCE if min_confidence is None else min_confidence
    read = functools.partial(read_speciesnet, file, least)
    return _detected(settings, file, read, card, left_out, classify=classify)


@import_.command("camtrap-dp")
@click.argument("file", metavar="PACKAGE", type=click.Path(path_type=Path))
@matching_options
@common_options
def camtrap_dp(
    settings: Settings, /, *, file: Path, card: Path | None, left_out: Path | None
) -> int:
    """Take in a Camtrap DP package: a folder, its datapackage.json, or a ZIP file.

    Deployments and stations that are new are added. What people observed becomes reviews, with who
    and when; what models did, their predictions. Photos are found by the sha256 that trapsort
    writes as mediaID, else by path.
    """
    from trapsort.interchange.exported import counted
    from trapsort.interchange.matching import Matcher
    from trapsort.interchange.read_camtrap_dp import import_camtrap_dp

    with open_existing(settings.db) as store, _progress(settings, file) as show:
        noted = _LeftOut(left_out)
        found = import_camtrap_dp(
            store, file, Matcher(store, card), on_left_out=noted.add, on_progress=show
        )
    say(
        f"{file.name}: of {counted(found.media, 'file')} {_recorded(found.photos)};"
        f" {counted(found.deployments, 'deployment')} ({found.new_deployments:,} new),"
        f" {counted(found.reviews, 'review')} ({found.new_reviews:,} new),"
        f" {counted(found.predictions, 'prediction')} ({found.new_predictions:,} new)"
    )
    return noted.told()


@import_.command()
@FILE
@matching_options
@click.option("--reviewer", default="", metavar="NAME", help="Who said what names nobody.")
@click.option("--new-labels", is_flag=True, help="Take labels that nobody has given before.")
@common_options
def reviews(
    settings: Settings, /, *, file: Path, card: Path | None, left_out: Path | None,
    reviewer: str, new_labels: bool,
) -> int:  # fmt: skip
    """Take in reviews: CSV with path or sha256, label, count, reviewer, time, note.

    Labels are those of the bundle, of the Red List table (or its scientific names), of the record,
    and blank, vehicle, person, other_animal and unknown. A time without a zone is UTC.
    """
    from trapsort.interchange.exported import counted
    from trapsort.interchange.matching import Matcher
    from trapsort.interchange.read_reviews import Labels, import_reviews

    bundle = open_bundle(settings)
    with open_existing(settings.db) as store, _progress(settings, file) as show:
        noted = _LeftOut(left_out)
        labels = Labels((*bundle.labels, *store.labels()), any_other=new_labels)
        found = import_reviews(
            store, file, Matcher(store, card), labels,
            reviewer=reviewer, on_left_out=noted.add, on_progress=show,
        )  # fmt: skip
    of = f"{counted(found.lines, 'review')} of {counted(found.photos, 'photo')}"
    say(f"{file.name}: {of}, {found.new:,} new")
    return noted.told()


def _detected(
    settings: Settings,
    file: Path,
    read: Callable[[], Results],
    card: Path | None,
    left_out: Path | None,
    *,
    classify: bool,
) -> int:
    """Read, record and, if wanted, classify."""
    from trapsort.interchange.exported import counted
    from trapsort.interchange.matching import Matcher
    from trapsort.interchange.take_in import take_in

    results = read()
    with open_existing(settings.db) as store:
        noted = _LeftOut(left_out)
        matcher = Matcher(store, card)
        with _progress(settings, file, results.files) as show:
            found = take_in(store, results, matcher, on_left_out=noted.add, on_progress=show)
        models = " and ".join(name for name in (results.detector, results.classifier) if name)
        say(
            f"{file.name}: of {counted(results.files, 'file')} {_recorded(len(found.photos))},"
            f" with {counted(found.boxes, 'box', 'boxes')} of {models};"
            f" new: {counted(found.new, 'answer')} (boxes count from {results.min_confidence:g})"
        )
        if classify:
            _classify(settings, store, file, found, results.min_confidence, noted)
    return noted.told()


def _classify(
    settings: Settings, store: Store, file: Path, found: Account, least: float, noted: _LeftOut
) -> None:
    from trapsort.interchange.crops import Unreached, classify_boxes
    from trapsort.interchange.detected import LeftOut
    from trapsort.interchange.exported import counted

    classifier = open_classifier(settings)
    boxes = photos = 0
    with _progress(settings, file, len(found.photos)) as show:
        for each in classify_boxes(
            store, classifier, found.photos, detector=found.detector, min_confidence=least,
            workers=settings.workers, on_progress=show,
        ):  # fmt: skip
            if isinstance(each, Unreached):
                noted.add(LeftOut(each.path, "unreachable", each.detail))
            else:
                boxes, photos = boxes + each, photos + 1
    of = f"{counted(boxes, 'box', 'boxes')} of {counted(photos, 'photo')}"
    say(f"{file.name}: classified by {classifier.bundle.model_name}: {of}")


def _recorded(photos: int) -> str:
    return f"{photos:,} {'is a recorded photo' if photos == 1 else 'are recorded photos'}"


def _progress(
    settings: Settings, file: Path, total: int | None = None
) -> AbstractContextManager[Callable[[int], None]]:
    """Show how many entries were dealt with."""
    from contextlib import contextmanager

    @contextmanager
    def shown() -> Iterator[Callable[[int], None]]:
        from trapsort.pipeline import Progress

        with progress_of(file, quiet=settings.verbosity < 0) as show:
            yield lambda done: show(Progress(done, total))

    return shown()


class _LeftOut:
    """What was not taken in: some of it to say, all of it for a file."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._counts: Counter[str] = Counter()
        self._first: dict[str, list[LeftOut]] = {}
        self._all: list[LeftOut] = []

    def add(self, each: LeftOut) -> None:
        """Note one."""
        self._counts[each.reason] += 1
        first = self._first.setdefault(each.reason, [])
        if len(first) < LISTED:
            first.append(each)
        if self._path is not None:
            self._all.append(each)

    def told(self) -> int:
        """Say what was left out, and return the exit code."""
        from trapsort.interchange.detected import LEFT_OUT
        from trapsort.reports.csv_file import csv_line, write_lines

        for reason, first in self._first.items():
            count = self._counts[reason]
            say(f"{count:,} {'file' if count == 1 else 'files'}: {LEFT_OUT[reason]}", err=True)
            for each in first:
                say(f"  {each.path}{': ' if each.detail else ''}{each.detail}", err=True)
            if count > len(first):
                say(f"  ... and {count - len(first):,} more; --left-out CSV has all", err=True)
        if self._counts["ambiguous"] or self._counts["unknown"]:
            say("name the card that the paths are of with --card", err=True)
        if self._path is not None:
            rows = ((each.path, each.reason, each.detail) for each in self._all)
            write_lines(self._path, map(csv_line, (("path", "reason", "detail"), *rows)))
        return int(any(self._counts[reason] for reason in NOT_FOUND))
