"""A bundle that has learned from corrections: a new meta-learner over the same members, in seconds.

The members stay as they are. The meta-learner, its temperature and the thresholds are fitted anew
on the out-of-fold photos of the training run together with the corrected ones, which no member has
seen.
"""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import onnx

from training.ablation import calibration_error
from training.data import Dataset
from training.evaluate import open_everyone
from training.export import GRAPH, TOLERANCE, ExportError, describe_files
from training.fit import Floats
from training.graph import FIRST, THRESHOLD, replace_constants
from training.leakage import digest_of
from training.meta import Stack, fit_ensemble
from training.recipe import Recipe
from training.second_graph import drop_precisions
from training.stack import (
    OutOfFold,
    Rule,
    choose_rule,
    out_of_fold,
    witness_limits,
)
from trapsort.bundle import SINGLE, Bundle, load_bundle
from trapsort.decode import decode
from trapsort.ensemble import novelty
from trapsort.errors import InputError, PhotoError
from trapsort.scores import Scores, joined
from trapsort.session import Session, open_session

BATCH = 8


@dataclass(frozen=True, slots=True)
class Correction:
    """A photo that a person has labelled; `group` joins near-duplicates."""

    path: Path
    label: str
    group: str


def read_corrections(path: Path, labels: tuple[str, ...]) -> list[Correction]:
    """The rows of a CSV with `path`, `label` and, if it likes, `group`; raises `InputError`."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", "Name a CSV.") from error
    if not rows or not {"path", "label"} <= set(rows[0]):
        raise InputError(f"{path} has no rows with the columns path and label.", "See the docs.")
    unknown = sorted({row["label"] for row in rows} - set(labels))
    if unknown:
        raise InputError(
            f"{path}: the bundle has no label {unknown[0]!r}.", f"It has: {', '.join(labels)}."
        )
    return [
        Correction(path.parent / row["path"], row["label"], row.get("group") or row["path"])
        for row in rows
    ]


def unseen(corrections: list[Correction], dataset: Dataset) -> list[Correction]:
    """The corrections without photos that the training run has, the test photos among them.

    The members were fitted on those, or the figures of the model card rest on them. Raises
    `InputError` where a photo cannot be read, or where nothing is left.
    """
    known, left = {digest_of(pixels) for pixels in dataset.pixels}, []
    for each in corrections:
        try:
            pixels = decode(each.path.read_bytes()).pixels
        except (OSError, PhotoError) as error:
            raise InputError(f"{each.path}: {error}", "Leave it out.") from error
        if digest_of(pixels) not in known:
            left.append(each)
    if len(left) < len(corrections):
        of = f"{len(corrections) - len(left)} of {len(corrections)} corrected photos"
        click.echo(f"{of} are in the training run already and are left out", err=True)
    if not left:
        raise InputError("The training run has every corrected photo.", "Give photos of the field.")
    return left


def answer_corrections(session: Session, corrections: list[Correction]) -> Scores:
    """What a bundle's graph says of the photos, in their order; raises `InputError`."""
    parts = []
    for start in range(0, len(corrections), BATCH):
        pixels = []
        for each in corrections[start : start + BATCH]:
            try:
                pixels.append(decode(each.path.read_bytes()).pixels)
            except (OSError, PhotoError) as error:
                raise InputError(f"{each.path}: {error}", "Leave it out.") from error
        parts.append(session.run(np.stack(pixels)))
    return joined(parts)


def join(
    known: OutOfFold, scores: Scores, votes: Floats, corrections: list[Correction], bundle: Bundle
) -> OutOfFold:
    """Out-of-fold photos and corrected ones as one; a group of corrections shares a fold.

    votes: (corrections, members, labels), of all members, whatever the cascade would have asked.
    """
    groups = sorted({each.group for each in corrections})
    folds = int(known.fold.max()) + 1
    place = {group: number % folds for number, group in enumerate(groups)}
    label = np.array([bundle.labels.index(each.label) for each in corrections])
    centroids = bundle.decision.centroids
    distance = (
        np.zeros(len(label), np.float32)
        if centroids is None
        else novelty(scores.features, centroids)
    )
    other = None
    if known.other is not None and scores.other is not None:
        other = np.concatenate([known.other, scores.other])
    return OutOfFold(
        index=np.concatenate([known.index, np.full(len(label), -1)]),
        label=np.concatenate([known.label, label]),
        fold=np.concatenate([known.fold, [place[each.group] for each in corrections]]),
        members=np.concatenate([known.members, votes]),
        distance=np.concatenate([known.distance, distance]).astype(np.float32),
        other=other,
    )


def refit(
    dataset: Dataset,
    recipe: Recipe,
    *,
    corrections: Path,
    bundle_folder: Path,
    out: Path,
    exports: Path,
) -> Path:
    """Write the bundle's next version with a stack that has learned from `corrections`; its folder.

    Raises `InputError` for corrections that cannot be used and `ExportError` where the new graph
    does not answer what the new stack does.
    """
    bundle = load_bundle(bundle_folder)
    if bundle.labels != dataset.labels or len(bundle.members) != len(recipe.members):
        raise InputError(
            f"{bundle.model_name} is not what the files in {out} made.", "Name it with --bundle."
        )
    rows = unseen(read_corrections(corrections, bundle.labels), dataset)
    everyone = answer_corrections(open_everyone(bundle), rows)  # the witness, too
    votes = everyone.members
    single = open_session(replace(bundle, precision=SINGLE))
    scores = replace(answer_corrections(single, rows), other=everyone.other)
    joined = join(out_of_fold(dataset, recipe, out), scores, votes, rows, bundle)
    fitted = fit_ensemble(
        joined.members,
        joined.label,
        joined.fold,
        labels=len(bundle.labels),
        species=len(bundle.species),
        recipe=recipe.cascade,
    )
    stack, probabilities = fitted.stack, fitted.probabilities
    limits = witness_limits(
        joined.other, joined.label, probabilities.argmax(axis=1), recipe.witness
    )
    rule = choose_rule(
        probabilities,
        fitted.votes,
        joined,
        species=len(bundle.species),
        limits=limits,
        recipe=recipe.decision,
    )
    target = exports / f"{bundle.name}-{next_version(bundle.version)}"
    draft = out / "refit"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(bundle_folder, draft)
    drop_precisions(draft)
    replace_stack(draft / GRAPH, stack)
    _write(draft, stack, rule, _figures(scores, joined, probabilities))
    _check(load_bundle(draft), rows, stack.apply(votes))
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(draft, target)
    return target


def next_version(version: str) -> str:
    """`1.0.0` to `1.0.1`."""
    *front, last = version.split(".")
    return ".".join([*front, str(int(last) + 1)])


def replace_stack(graph: Path, stack: Stack) -> None:
    """Put the meta-learner into an exported graph; without a cascade now, everyone is asked."""
    model = onnx.load(graph)
    values = {"stack/W": stack.kernel, "stack/b": stack.bias, THRESHOLD: 2.0}
    if stack.cascade is not None:
        first = stack.cascade.stack
        values |= {f"{FIRST}/W": first.kernel, f"{FIRST}/b": first.bias}
        values[THRESHOLD] = stack.cascade.min_probability
    replace_constants(model, values)
    graph.write_bytes(model.SerializeToString())


def _figures(scores: Scores, joined: OutOfFold, probabilities: Floats) -> dict[str, float]:
    """What the corrections changed: on the corrected photos before, and after out of fold."""
    count = len(scores.probabilities)
    label, after = joined.label[-count:], probabilities[-count:]
    return {
        "corrections": count,
        "top1_before": float((scores.probabilities.argmax(axis=1) == label).mean()),
        "top1_after": float((after.argmax(axis=1) == label).mean()),
        "ece_before": calibration_error(scores.probabilities, label),
        "ece_after": calibration_error(after, label),
    }


def _write(folder: Path, stack: Stack, rule: Rule, figures: dict[str, float]) -> None:
    """Bring `bundle.json`, `metrics.json` and the model card up to date."""
    table = json.loads((folder / "bundle.json").read_text("utf-8"))
    before, table["version"] = table["version"], next_version(table["version"])
    table["calibration"]["temperature"] = stack.temperature
    if "cascade" in table:
        table["cascade"] |= {
            "min_probability": stack.cascade.min_probability if stack.cascade else 2.0,
            "temperature": stack.cascade.stack.temperature if stack.cascade else 1.0,
        }
    table["decision"] |= {
        "min_probability": round(rule.min_probability, 4),
        "min_agreement": rule.min_agreement,
        "max_distance": round(rule.max_distance, 4),
        "max_other": None if rule.max_other is None else [round(x, 4) for x in rule.max_other],
    }
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    metrics["refit"] = {"from": before, **figures}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    with (folder / "MODEL_CARD.md").open("a", encoding="utf-8") as card:
        card.write(
            f"\n## Version {table['version']}: refitted from corrections\n\n"
            f"The meta-learner, its calibration and the thresholds were fitted anew with "
            f"{figures['corrections']} photos that people have labelled; members and the figures "
            f"above are those of version {before}. Of the corrected photos "
            f"{figures['top1_before']:.1%} were named rightly before and, by a stack that had not "
            f"seen them, {figures['top1_after']:.1%} after.\n"
        )
    table["files"] = describe_files(folder)
    (folder / "bundle.json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def _check(bundle: Bundle, rows: list[Correction], expected: Floats) -> None:
    said = answer_corrections(open_session(bundle), rows).probabilities
    if not np.abs(said - expected).max() <= TOLERANCE:
        raise ExportError("The new graph does not answer what its stack does.", "Nothing written.")
