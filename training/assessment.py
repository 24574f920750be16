"""Every figure of a published system on its test photos, the first time that they are used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from training import assess
from training.fit import Floats
from training.folds import fitted_and_scored_on_test
from training.prepared import PhotoSet
from training.publish import stacked
from training.train import load_network, predict
from training.work import Work, write_table
from trapsort.redlist import red_list


def _said(work: Work, photos: PhotoSet) -> dict[str, tuple[Floats, Floats]]:
    """What each network says of the training and of the test photos, and the stack, if any."""
    said = {}
    for network in work.recipe.networks:
        model = load_network(work.folder("fit") / f"{network.name}.keras")
        both = (predict(model, photos, photos.of(part)) for part in ("train", "test"))
        said[network.name] = (next(both), next(both))
    stack = work.stack()
    if stack is not None:
        pair = (stack["kernel"], stack["bias"])
        train, test = (np.stack([both[side] for both in said.values()], axis=1) for side in (0, 1))
        said["stack"] = (stacked(train, pair), stacked(test, pair))
    return said


def evaluate(work: Work) -> None:
    """Score and draw what each network and the stack say; `metrics.json` holds every figure."""
    photos, folder = work.photos(), work.folder("evaluate")
    train, test = photos.of("train"), photos.of("test")
    said, label = _said(work, photos), photos.label[test]
    scores = {name: assess.score(label, own, photos.labels) for name, (_, own) in said.items()}
    learned = {
        name: float((own.argmax(1) == photos.label[train]).mean())
        for name, (own, _) in said.items()
    }
    figures: dict[str, Any] = {
        "weights": work.starts,
        "small": work.run.small,
        "test": scores,
        "train_accuracy": learned,
    }
    for rank in work.recipe.export.ranks:
        figures.setdefault("masked", {})[rank] = {
            name: assess.score(label, assess.masked(own, photos, test, rank), photos.labels)
            for name, (_, own) in said.items()
        }
    for name, (_, own) in said.items():
        confusion = scores[name]["confusion"]
        assess.draw_confusion(confusion, photos.labels, folder / f"{name}-confusion.png")
        assess.draw_roc(label, own, photos.labels, folder / f"{name}-roc.png")
        assess.write_report(label, own, photos.labels, folder / f"{name}-report.txt")
        assess.draw_misclassified(photos, test, own, folder / f"{name}-misclassified.png")
    both = {n: {"train": learned[n], "test": scores[n]["accuracy"]} for n in said}
    assess.draw_bars(both, "accuracy", folder / "train-test.png")
    best = said[work.recipe.export.network][1].argmax(axis=1)
    figures |= _stack_figures(work, said, label) | _fold_figures(work)
    figures |= _iucn_figures(photos, label, best, folder)
    write_table(folder / "metrics.json", figures)
    for name, entry in scores.items():
        click.echo(f"{name}: {entry['accuracy']:.4f} of {len(test)} test photos right", err=True)


def _stack_figures(
    work: Work, said: dict[str, tuple[Floats, Floats]], label: NDArray[np.int64]
) -> dict[str, Any]:
    """The stack's honest out-of-fold accuracy, and the figure that was published in its place."""
    stack = work.stack()
    if stack is None or work.recipe.stack is None:
        return {}
    members = np.stack([said[network.name][1] for network in work.recipe.networks], axis=1)
    published = fitted_and_scored_on_test(members, label, work.recipe.stack.strength)
    honest = float(stack["accuracy"])
    return {"stack": {"out_of_fold_accuracy": honest, "fitted_and_scored_on_test": published}}


def _fold_figures(work: Work) -> dict[str, Any]:
    if not work.recipe.source.folds:
        return {}
    text = (work.folder("crossval") / "folds.json").read_text(encoding="utf-8")
    folds = json.loads(text)
    assess.draw_folds(folds, work.folder("evaluate") / "folds.png")
    return {"folds": folds}


def _iucn_figures(
    photos: PhotoSet, label: NDArray[np.int64], best: NDArray[np.int64], folder: Path
) -> dict[str, Any]:
    """Photos of each IUCN category by both Red List mappings, where they know a label."""
    found = {}
    for mapping in ("iucn", "published"):
        known = red_list(mapping)
        if any(known.category(name) for name in photos.labels):
            truth, said = (assess.iucn_counts(k, photos.labels, known) for k in (label, best))
            found[mapping] = {"labels": truth, "predicted": said}
            assess.draw_iucn(truth, said, mapping, folder / f"iucn-{mapping}.png")
    return {"iucn": found} if found else {}
