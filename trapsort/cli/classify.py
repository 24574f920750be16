"""`trapsort classify`: what photos show, without a database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trapsort.cli import common_options, setting_option
from trapsort.cli.listing import FORMS, format_option, write_text
from trapsort.cli.options import profile_options, redlist_option
from trapsort.cli.work import PATHS, open_classifier
from trapsort.settings import Settings

if TYPE_CHECKING:
    from trapsort.classify import Answer
    from trapsort.redlist import RedList

TABLE = ("path", "label", "probability", "iucn", "reason")


@click.command()
@PATHS
@format_option("table", "jsonl")
@setting_option("--workers", metavar="N", help="Threads that decode and classify.")
@profile_options
@redlist_option
@common_options
def classify(settings: Settings, /, *, paths: tuple[Path, ...], form: str) -> int:
    """Say what each photo shows; folders are walked. Nothing is recorded.

    A null label means that the model abstains; `reason` says why. `top` holds every label with its
    calibrated probability, `members` what each member of the ensemble says alone, `profile` names
    the site profile and taxon in force, if any. Ends with 1 where a file could not be read as a
    photo.
    """
    from trapsort.classify import classify_folder
    from trapsort.redlist import red_list
    from trapsort.scan import check_root

    for path in paths:
        check_root(path)
    categories = red_list(settings.red_list)
    classifier = open_classifier(settings)
    answers = (
        answer
        for path in paths
        for answer in classify_folder(path, classifier, workers=settings.workers)
    )
    failures = 0

    def counted() -> Iterator[Answer]:
        nonlocal failures
        for answer in answers:
            failures += answer.problem is not None
            yield answer

    if form == "jsonl":
        bundle = classifier.bundle
        model = {"model": bundle.model_name}
        model |= {"profile": bundle.profile} if bundle.profile else {}
        write_text(_line(answer, categories, model) for answer in counted())
    else:
        write_text(FORMS["table"](TABLE, (_row(answer, categories) for answer in counted())))
    if failures:
        files = "1 file" if failures == 1 else f"{failures:,} files"
        click.echo(f"{files} could not be read as a photo", err=True)
    return 1 if failures else 0


def _line(answer: Answer, categories: RedList, model: dict[str, str]) -> str:
    found = answer.prediction
    said: dict[str, Any] = {"path": answer.path, "label": None, "probability": None}
    if found is None:
        said |= {"reason": answer.problem, "top": [], "members": [], "iucn": None}
    else:
        said |= {
            "label": found.label,
            "probability": _rounded(found.probability),
            "reason": found.reason,
            "top": [{"label": label, "probability": _rounded(p)} for label, p in found.top],
            "members": [
                {"name": name, "label": label, "probability": _rounded(p)}
                for name, label, p in found.members
            ],
            "iucn": categories.category(found.label) if found.label else None,
        }
    return json.dumps(said | model, ensure_ascii=False, allow_nan=False) + "\n"


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 6)


def _row(answer: Answer, categories: RedList) -> tuple[str | float | None, ...]:
    found = answer.prediction
    if found is None:
        return answer.path, None, None, None, answer.problem
    category = categories.category(found.label) if found.label else None
    return answer.path, found.label, found.probability, category, found.reason
