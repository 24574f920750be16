"""`trapsort evaluate`: what the model is worth on photos that somebody has named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.listing import format_option, write_text
from trapsort.cli.options import profile_options
from trapsort.cli.work import open_bundle, open_classifier, progress_of, say
from trapsort.errors import InputError
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.bundle import Bundle
    from trapsort.evaluate import Answers, Evaluation, LeftOut

PRECISION = 0.98  # wanted where none is said
FEW_PHOTOS = 10  # of a species, below which its own figures say little
LISTED = 20  # files that were left out, and species; more are only counted


@click.command()
@click.argument("source", metavar="DIR|CSV", type=click.Path(path_type=Path))
@format_option("table", "json", "csv")
@click.option(
    "--out", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, not the screen; with --fit-thresholds the profile.",
)  # fmt: skip
@click.option("--fit-thresholds", is_flag=True, help="Fit a site profile to these photos.")
@click.option(
    "--precision", metavar="SHARE", type=click.FloatRange(0, 1, min_open=True),
    help="Right ones among all named that the profile is fitted for.  [default: 0.98]",
)  # fmt: skip
@click.option("--name", metavar="NAME", help="Name of the profile; else that of its file.")
@setting_option("--workers", metavar="N", help="Threads that decode and classify.")
@profile_options
@common_options
def evaluate(
    settings: Settings, /, *, source: Path, form: str, out: Path | None, fit_thresholds: bool,
    precision: float | None, name: str | None,
) -> int:  # fmt: skip
    """Measure the model on your own labelled photos: DIR holds a folder for each label.

    Or a CSV file with the columns path and label, and group, site and split where there are. Labels
    are those of the bundle; photos labelled blank, vehicle, other_animal, unknown or none are
    negatives. CSV has a line a photo. Nothing is recorded. Ends with 1 where a file could not be
    read as a photo.

    --fit-thresholds fits a temperature and min_probability for the largest coverage with at least
    the precision, and writes them as a site profile for --profile. With a column split it fits on
    all but test and reports on test; with a column site or group each gets half of those.
    """
    from trapsort.evaluate import answer
    from trapsort.evaluate import evaluate as measure
    from trapsort.labelled import read_labelled
    from trapsort.pipeline import Progress

    _check_options(source, out, fit_thresholds, precision, name)
    if fit_thresholds and settings.profile is not None:
        say(f"fitting starts from the bundle: {settings.profile} is not used", err=True)
        settings = replace(settings, profile=None)
    bundle = open_bundle(settings)
    photos = read_labelled(source, bundle.labels)
    classifier = open_classifier(settings, bundle)
    with progress_of(source, quiet=settings.verbosity < 0) as show:
        answers = answer(
            photos,
            classifier,
            workers=settings.workers,
            on_progress=lambda done: show(Progress(done, len(photos))),
        )
    _say_left_out(answers.left_out)
    if fit_thresholds and out is not None:
        evaluation = _fitted(answers, bundle, settings, precision or PRECISION, name, out)
        out = None
    else:
        evaluation = _Evaluation(bundle, answers, measure(answers, bundle))
    _say_thin(evaluation.found)
    evaluation.write(form, out)
    return 1 if answers.left_out else 0


def _check_options(
    source: Path, out: Path | None, fit: bool, precision: float | None, name: str | None
) -> None:
    """Refuse options that do not go together, before anything is read."""
    if fit and out is None:
        raise InputError("--fit-thresholds needs a file.", "Name it: --out site.toml.")
    if not fit and (precision is not None or name is not None):
        raise InputError("--precision and --name go with --fit-thresholds.", "Add it.")
    if fit and out is not None:
        from trapsort.profile import check_name

        check_name(name or out.stem)
    if out is not None:
        with suppress(OSError):  # mostly: there is no such file yet
            if out.samefile(source):
                raise InputError(f"--out {out} is the list of photos.", "Choose another --out.")
        if not out.absolute().parent.is_dir():
            raise InputError(f"There is no folder {out.parent}.", "Make it, or change --out.")


@dataclass(frozen=True, slots=True)
class _Evaluation:
    """Figures and how to write them; `extra` comes first in JSON, `rules` first in the tables."""

    bundle: Bundle
    answers: Answers
    found: Evaluation
    extra: dict[str, Any] = field(default_factory=dict)
    rules: tuple[tuple[str, Evaluation], ...] = ()

    def write(self, form: str, out: Path | None) -> None:
        from trapsort.cli import figures
        from trapsort.reports.csv_file import write_lines

        bundle, found = self.bundle, self.found
        terminal = out is None
        lines: Iterable[str]
        if form == "csv":
            lines = figures.photo_lines(self.answers, found)
        elif form == "json":
            model = {"model": bundle.model_name, "profile": bundle.profile, **self.extra}
            lines = [figures.as_json(model, self.answers, found)]
        else:
            under = f" with {bundle.profile}" if bundle.profile else ""
            negatives = f" and {found.negatives:,} negatives" if found.negatives else ""
            title = f"{bundle.model_name}{under}: {found.photos:,} photos of species{negatives}"
            lines = [figures.as_tables(title, found, terminal=terminal)]
            if self.rules:
                lines = [figures.comparison(self.rules, terminal=terminal), "\n", *lines]
        if out is None:
            write_text(lines)
        else:
            write_lines(out, lines)
            say(f"written to {out}", err=True)


def _fitted(
    answers: Answers,
    bundle: Bundle,
    settings: Settings,
    precision: float,
    name: str | None,
    out: Path,
) -> _Evaluation:
    """Fit a profile on one part of the photos, write it, and measure it on the other."""
    from trapsort.cli.figures import fit_summary, summary
    from trapsort.evaluate import evaluate as measure
    from trapsort.profile import Profile, profile_text
    from trapsort.reports.csv_file import write_lines
    from trapsort.thresholds import fit_thresholds, parts

    fitted_on, reported_on, column = parts(answers.photos)
    fit = fit_thresholds(answers.part(fitted_on), bundle, precision)
    base = open_bundle(replace(settings, taxon=None))
    profile = Profile(
        name=name or out.stem,
        bundle=base.model_name,
        digest=base.digest,
        temperature=fit.temperature,
        min_probability=fit.min_probability,
    )
    stands_on = f"{fit.photos:,} photos of species and {fit.negatives:,} negatives"
    comment = f"For a precision of {precision:g}; fitted on {stands_on}."
    write_lines(out, [profile_text(profile, comment)])
    low, high = fit.named_right.interval or (0.0, 1.0)
    say(
        f"{out}: profile {profile.name!r}, temperature {fit.temperature:g}, min_probability "
        f"{fit.min_probability:g}; fitted on {stands_on}. Of these {fit.named_right.of:,} are "
        f"named, {fit.named_right.count:,} rightly (95 % interval {low:.1%} to {high:.1%}).",
        err=True,
    )
    say(
        f"The figures are of the other photos, parted by the column {column}."
        if column
        else "The figures are of the same photos that the profile was fitted on, so they are too "
        "good. A CSV file with a column split, site or group keeps some photos for the report.",
        err=True,
    )
    changed, part = open_bundle(settings, profile), answers.part(reported_on)
    before, after = measure(part, bundle), measure(part, changed)
    extra = {
        "fit": {**fit_summary(fit), "reported_on": column or "the same photos"},
        "without_profile": summary(before),
    }
    rules = (("the bundle's own rule", before), (f"profile {profile.name}", after))
    return _Evaluation(changed, part, after, extra, rules)


def _say_left_out(left_out: Sequence[LeftOut]) -> None:
    for each in left_out[:LISTED]:
        say(f"{each.photo.name}: {each.reason}: {each.detail}", err=True)
    if (more := len(left_out) - LISTED) > 0:
        say(f"... and {more:,} more; --format json and csv list all", err=True)
    if left_out:
        files = "1 file is" if len(left_out) == 1 else f"{len(left_out):,} files are"
        say(f"{files} left out: no photo that could be read", err=True)


def _say_thin(found: Evaluation) -> None:
    photos = {each.label: each.photos for each in found.labels}
    few = [f"{x} ({photos[x]})" for x in found.species if 0 < photos.get(x, 0) < FEW_PHOTOS]
    none = [label for label in found.species if not photos.get(label)]
    for said, labels in (
        ("few photos, so that their own figures say little:", few),
        ("no photos at all:", none),
    ):
        if labels:
            more = f" and {len(labels) - LISTED} more" if len(labels) > LISTED else ""
            say(f"{said} {', '.join(labels[:LISTED])}{more}", err=True)
