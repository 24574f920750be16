"""The steps of a recipe of kind `published`, each resumable, from photos to a bundle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from training.config import PublishedRecipe, load_published
from training.manifests import Step, absent_step, sha256_of
from training.quiet import start_keras
from training.work import PublishedRun, Work, starting_weights, write_table
from trapsort.errors import SettingsError

if TYPE_CHECKING:
    from training.fit import Floats
    from training.prepared import PhotoSet


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
    from training.explore import draw_all, of_photos

    draw_all(of_photos(work.photos()), work.folder("explore"))


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
    write_table(folder / "networks.json", facts)


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


def _evaluate(work: Work) -> None:
    from training.assessment import evaluate

    evaluate(work)


def _explain(work: Work) -> None:
    from training.gradcam import draw_network, spread
    from training.train import load_network, predict

    photos = work.photos()
    chosen = spread(photos.of("test"))
    for network in work.recipe.networks:
        model = load_network(work.folder("fit") / f"{network.name}.keras")
        path = work.folder("explain") / f"{network.name}.png"
        draw_network(model, photos, chosen, predict(model, photos, chosen), path)


def _export(work: Work) -> None:
    from training.publish import write_bundle

    recipe, stack = work.recipe, work.stack()
    whole = recipe.export.network == "stack"
    names = [n.name for n in recipe.networks] if whole else [recipe.export.network]
    text = (work.folder("evaluate") / "metrics.json").read_text(encoding="utf-8")
    write_bundle(
        recipe,
        work.photos(),
        [(name, work.folder("fit") / f"{name}.keras") for name in names],
        stack=(stack["kernel"], stack["bias"]) if whole and stack is not None else None,
        figures=json.loads(text),
        folder=work.folder("export"),
    )


def _hand_over(work: Work) -> None:
    """Say where the bundle is, once it is a copy in the folder that was asked for."""
    from trapsort.bundle import load_bundle

    name = f"{work.recipe.name}-{work.recipe.version}"
    made = work.folder("export") / name
    wanted = (work.run.exports or work.folder("export")) / name
    if wanted.resolve() != made.resolve():
        partial = wanted.with_name(f".{name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(made, partial)
        load_bundle(partial)
        shutil.rmtree(wanted, ignore_errors=True)
        partial.rename(wanted)
    click.echo(f"written to {wanted}", err=True)


def _quantise(work: Work) -> None:
    from training.eight_bits import described, quantise_networks

    found = quantise_networks(
        work.recipe, work.photos(), work.folder("fit"), work.folder("quantise")
    )
    for name, (right, change) in found.items():
        click.echo(f"{name}: {right:.1%} of the test photos right in single precision")
        click.echo(described(name, change))


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
    absent = _absent(recipe)
    return tuple(step for step in STEPS if step not in absent)


def _absent(recipe: PublishedRecipe) -> dict[str, str]:
    """The steps that a recipe does not have, and why."""
    found = {
        "tune": (recipe.tune is None, "it has no part [tune]"),
        "crossval": (not recipe.source.folds, "it says nothing of source.folds"),
        "stack": (recipe.stack is None, "it has no part [stack]"),
    }
    return {step: why for step, (absent, why) in found.items() if absent}


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
    recipe = load_published(run.recipe, small=run.small)
    have = steps_of(recipe)
    if step not in ("all", *have, *ASIDE):
        raise absent_step(recipe.name, step, _absent(recipe)[step], have)
    _check_filters(step, run, recipe)
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
        else:
            click.echo(f"{name}:", err=True)
            start_keras()
            this.begin(resume=run.resume)
            (STEPS | ASIDE)[name](work)
            this.finish()
        if name == "export":
            _hand_over(work)


def _check_filters(step: str, run: PublishedRun, recipe: PublishedRecipe) -> None:
    """Refuse a model of a filter that would not be asked; raises `SettingsError`."""
    wanted = recipe.outliers
    for option, given, asked in (
        ("--clip", run.clip, wanted is not None and bool(wanted.animal)),
        ("--persons", run.persons, wanted is not None),
    ):
        if given is not None and step not in ("prepare", "all"):
            raise SettingsError(f"{option} belongs to the step prepare.", "Name the step prepare.")
        if given is not None and not asked:
            key = "animal in its part [outliers]" if option == "--clip" else "part [outliers]"
            raise SettingsError(
                f"{option} has no meaning for {recipe.name}, which has no {key}.",
                "Leave the option out, or see docs/howto/recipes.md.",
            )


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
