"""The steps of a recipe of kind `published`, each resumable, from photos to a bundle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from training.config import PublishedRecipe, load_published
from training.manifests import Step, sha256_of
from trapsort.errors import InputError, SettingsError

if TYPE_CHECKING:
    from training.fit import Floats
    from training.prepared import PhotoSet
    from training.tune import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRun:
    """Where a run reads and writes; see `python -m training --help`."""

    recipe: Path
    data: Path
    weights: str
    out: Path
    resume: bool = False
    small: bool = False
    clip: Path | None = None
    persons: Path | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """A run with its recipe read, and where each network's weights come from."""

    run: PublishedRun
    recipe: PublishedRecipe
    starts: dict[str, str]

    def folder(self, step: str) -> Path:
        """Where a step's outputs are."""
        return self.run.out / step

    def photos(self) -> PhotoSet:
        """The prepared photos."""
        from training.prepared import load_photos

        return load_photos(self.folder("prepare"))

    def settings(self) -> dict[str, Settings]:
        """What the search found, by network; nothing without one."""
        if self.recipe.tune is None:
            return {}
        text = (self.folder("tune") / "settings.json").read_text(encoding="utf-8")
        found: dict[str, Settings] = json.loads(text)
        return found

    def stack(self) -> dict[str, Any] | None:
        """The fitted meta-learner, or None for a recipe without one."""
        from training.fit import load_arrays

        return load_arrays(self.folder("stack") / "stack.npz") if self.recipe.stack else None


def starting_weights(recipe: PublishedRecipe, weights: str) -> dict[str, str]:
    """`imagenet`, `none` or a file for each network, from what `--weights` says.

    A folder gives each network the file that the recipe names, where it is there. Raises
    `InputError`.
    """
    if weights in ("imagenet", "none"):
        return {network.name: weights for network in recipe.networks}
    path = Path(weights)
    if path.is_file():
        return {network.name: weights for network in recipe.networks}
    if not path.is_dir():
        raise InputError(f"{weights} does not exist.", "Give --weights imagenet, none or FILE.")
    starts = {}
    for network in recipe.networks:
        file = path / network.weights_file
        starts[network.name] = str(file) if network.weights_file and file.is_file() else "none"
    return starts


def _listing(data: Path) -> str:
    """Digest of the names, sizes and times of all files of a source."""
    files = sorted(data.rglob("*")) if data.is_dir() else [data]
    text = "\n".join(f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files if p.is_file())
    return hashlib.sha256(text.encode()).hexdigest()


def _prepare(work: Work) -> None:
    from training.outliers import OnnxClip, OnnxPersons, chain
    from training.prepared import prepare

    run = work.run
    filters = chain(
        work.recipe,
        work.starts,
        OnnxClip(run.clip) if run.clip else None,
        OnnxPersons(run.persons) if run.persons else None,
    )
    prepare(work.recipe, run.data, work.folder("prepare"), filters)


def _explore(work: Work) -> None:
    from training.explore import draw_all

    folder = work.folder("explore")
    _write(folder / "explore.json", draw_all(work.photos(), folder))


def _tune(work: Work) -> None:
    from training.tune import search

    if work.recipe.tune is not None:
        search(work.recipe, work.recipe.tune, work.photos(), work.starts, work.folder("tune"))


def _crossval(work: Work) -> None:
    from training.folds import crossvalidate

    folder = work.folder("crossval")
    crossvalidate(work.recipe, work.settings(), work.photos(), work.starts, folder)


def _fit(work: Work) -> None:
    import keras

    from training.networks import build_network, parameters
    from training.train import fit_network, save_network
    from training.tune import apply_settings

    photos, folder, facts = work.photos(), work.folder("fit"), {}
    targets = _targets(work, photos)
    for network in work.recipe.networks:
        kept = folder / f"{network.name}.keras"
        keras.backend.clear_session()
        changed, own = apply_settings(
            work.recipe, network.name, work.settings().get(network.name, {})
        )
        model = build_network(
            own,
            work.recipe.input,
            len(photos.labels),
            weights=work.starts[network.name],
            binary=work.recipe.binary,
        )
        total, learned = parameters(model)
        facts[network.name] = {
            "weights": work.starts[network.name],
            "parameters": total,
            "trainable": learned,
        }
        if not kept.exists():
            click.echo(f"{network.name}: {total:,} parameters, {learned:,} learned", err=True)
            fit_network(
                model,
                photos,
                changed,
                train=photos.of("train"),
                held=photos.of("validation"),
                folder=folder / network.name,
                step="fit",
                targets=targets,
            )
            save_network(model, kept)
            for weights in (folder / network.name).rglob("*.weights.h5"):
                weights.unlink()
    _write(folder / "networks.json", facts)


def _targets(work: Work, photos: PhotoSet) -> Floats | None:
    """What the networks learn in place of the labels, or None."""
    from training.folds import distilled

    share = work.recipe.stack.distil if work.recipe.stack else 0.0
    stack = work.stack() if share else None
    return None if stack is None else distilled(photos, stack["index"], stack["said"], share)


def _stack(work: Work) -> None:
    from training.fit import save_arrays
    from training.folds import fit_stack, out_of_fold

    if work.recipe.stack is None:
        return
    photos = work.photos()
    index, members = out_of_fold(work.recipe, work.folder("crossval"))
    photos.learning(index, "stack")
    fitted = fit_stack(work.recipe.stack, members, photos.label[index], photos.fold[index])
    save_arrays(work.folder("stack") / "stack.npz", fitted | {"index": index})
    click.echo(f"out-of-fold accuracy of the stack: {fitted['accuracy']:.4f}", err=True)


def _said(work: Work, photos: PhotoSet) -> dict[str, tuple[Floats, Floats]]:
    """What each network says of the training and of the test photos, and the stack, if any."""
    from training.publish import stacked
    from training.train import load_network, predict

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


def _evaluate(work: Work) -> None:
    from training import assess

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
    _write(folder / "metrics.json", figures)
    for name, entry in scores.items():
        click.echo(f"{name}: {entry['accuracy']:.4f} of {len(test)} test photos right", err=True)


def _stack_figures(
    work: Work, said: dict[str, tuple[Floats, Floats]], label: NDArray[np.int64]
) -> dict[str, Any]:
    """The stack's honest out-of-fold accuracy, and the figure that was published in its place."""
    from training.folds import fitted_and_scored_on_test

    stack = work.stack()
    if stack is None or work.recipe.stack is None:
        return {}
    members = np.stack([said[network.name][1] for network in work.recipe.networks], axis=1)
    published = fitted_and_scored_on_test(members, label, work.recipe.stack.strength)
    honest = float(stack["accuracy"])
    return {"stack": {"out_of_fold_accuracy": honest, "fitted_and_scored_on_test": published}}


def _fold_figures(work: Work) -> dict[str, Any]:
    from training.assess import draw_folds

    if not work.recipe.source.folds:
        return {}
    text = (work.folder("crossval") / "folds.json").read_text(encoding="utf-8")
    folds = json.loads(text)
    draw_folds(folds, work.folder("evaluate") / "folds.png")
    return {"folds": folds}


def _iucn_figures(
    photos: PhotoSet, label: NDArray[np.int64], best: NDArray[np.int64], folder: Path
) -> dict[str, Any]:
    """Photos of each IUCN category by both Red List mappings, where they know a label."""
    from training.assess import draw_iucn, iucn_counts
    from trapsort.redlist import red_list

    found = {}
    for mapping in ("iucn", "published"):
        known = red_list(mapping)
        if any(known.category(name) for name in photos.labels):
            truth, said = (iucn_counts(k, photos.labels, known) for k in (label, best))
            found[mapping] = {"labels": truth, "predicted": said}
            draw_iucn(truth, said, mapping, folder / f"iucn-{mapping}.png")
    return {"iucn": found} if found else {}


def _explain(work: Work) -> None:
    from training.gradcam import draw_maps
    from training.train import load_network, predict

    photos = work.photos()
    test = photos.of("test")
    chosen = test[np.unique(np.linspace(0, len(test) - 1, min(6, len(test))).astype(int))]
    for network in work.recipe.networks:
        model = load_network(work.folder("fit") / f"{network.name}.keras")
        path = work.folder("explain") / f"{network.name}.png"
        draw_maps(model, photos, list(chosen), predict(model, photos, chosen), path)


def _export(work: Work) -> None:
    from training.publish import write_bundle

    recipe, stack = work.recipe, work.stack()
    whole = recipe.export.network == "stack"
    names = [n.name for n in recipe.networks] if whole else [recipe.export.network]
    text = (work.folder("evaluate") / "metrics.json").read_text(encoding="utf-8")
    target = write_bundle(
        recipe,
        work.photos(),
        [(name, work.folder("fit") / f"{name}.keras") for name in names],
        stack=(stack["kernel"], stack["bias"]) if whole and stack is not None else None,
        figures=json.loads(text),
        folder=work.folder("export"),
    )
    click.echo(f"written to {target}", err=True)


def _quantise(work: Work) -> None:
    from training.eight_bits import described, quantise_networks

    found = quantise_networks(
        work.recipe, work.photos(), work.folder("fit"), work.folder("quantise")
    )
    for name, (right, change) in found.items():
        click.echo(f"{name}: {right:.1%} of the test photos right in single precision")
        click.echo(described(name, change))


def _write(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


STEPS: dict[str, Callable[[Work], None]] = {
    "prepare": _prepare,
    "explore": _explore,
    "tune": _tune,
    "crossval": _crossval,
    "stack": _stack,
    "fit": _fit,
    "evaluate": _evaluate,
    "explain": _explain,
    "export": _export,
}
"""In the order of `all`: the search comes before the folds, so that both fit the same settings; and
the stack before the last fit, which may learn what it says."""

ASIDE: dict[str, Callable[[Work], None]] = {"quantise": _quantise}
"""Steps that are not part of `all`."""


def steps_of(recipe: PublishedRecipe) -> tuple[str, ...]:
    """The steps that a recipe has."""
    absent = {
        "tune": recipe.tune is None,
        "crossval": not recipe.source.folds,
        "stack": recipe.stack is None,
    }
    return tuple(step for step in STEPS if not absent.get(step, False))


def needs(step: str, recipe: PublishedRecipe) -> tuple[str, ...]:
    """The steps whose outputs a step reads, of those that the recipe has."""
    before = {
        "explore": ("prepare",),
        "tune": ("prepare",),
        "crossval": ("prepare", "tune"),
        "fit": ("prepare", "tune", *(("stack",) if recipe.stack and recipe.stack.distil else ())),
        "stack": ("prepare", "crossval"),
        "evaluate": ("prepare", "crossval", "fit", "stack"),
        "explain": ("prepare", "fit"),
        "export": ("prepare", "fit", "stack", "evaluate"),
        "quantise": ("prepare", "fit"),
    }
    return tuple(each for each in before.get(step, ()) if each in steps_of(recipe))


def run_published(step: str, run: PublishedRun) -> None:
    """Run a step, or `all` that the recipe has; with `resume` only what is not whole.

    Raises `TrapsortError`s with what to do.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    recipe = load_published(run.recipe, small=run.small)
    have = steps_of(recipe)
    if step not in ("all", *have, *ASIDE):
        raise SettingsError(f"{recipe.name} has no step {step}.", f"It has: {', '.join(have)}.")
    work = Work(run, recipe, starting_weights(recipe, run.weights))
    for name, start in work.starts.items():
        if start == "none":
            click.echo(
                f"{name} starts from random weights: its figures say nothing about the published "
                "system",
                err=True,
            )
    for name in have if step == "all" else (step,):
        this = Step(name, run.out, recipe, needs(name, recipe), _options(name, work))
        if run.resume and this.whole():
            click.echo(f"{name}: whole, nothing to do", err=True)
            continue
        click.echo(f"{name}:", err=True)
        this.begin(resume=run.resume)
        (STEPS | ASIDE)[name](work)
        this.finish()


def _options(step: str, work: Work) -> dict[str, str]:
    """Digests of what else a step depends on: the source, and files with weights."""
    run = work.run
    options = {
        f"weights/{name}": sha256_of(Path(start)) if Path(start).is_file() else start
        for name, start in work.starts.items()
    }
    if step == "prepare":
        from training.sources import listing, read_source

        options["data"] = listing(read_source(run.data, work.recipe.source))
        for name, path in (("clip", run.clip), ("persons", run.persons)):
            if path is not None:
                options[name] = _listing(path)
    return options
