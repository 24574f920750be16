"""The steps of a recipe without a kind, such as `iucn11.toml`, from photos to a bundle.

All but two share one folder, and what `fit` has made is never made again (see `training.crossval`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from training.data import check_unchanged, load_dataset
from training.manifests import absent_step, flat_is_whole, not_there, record_flat, sha256_of
from training.quiet import start_keras
from training.recipe import Recipe, load_recipe
from trapsort.bundle import load_bundle
from trapsort.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatRun:
    """Where a run reads and writes; see `python -m training --help`."""

    recipe: Path
    data: Path
    weights: Path
    out: Path
    exports: Path
    only: str | None = None
    refit: Path | None = None
    resume: bool = False
    small: bool = False


def run_flat(step: str, run: FlatRun) -> None:
    """Run a step, or `all`; with `resume` only what is not whole.

    Raises `TrapsortError`s with what to do.
    """
    recipe = load_recipe(run.recipe, small=run.small)
    if step in ABSENT:
        raise absent_step(recipe.name, step, ABSENT[step], STEPS)
    members = [member.name for member in recipe.members]
    if run.only not in (None, *members):
        raise SettingsError(
            f"{recipe.name} has no member {run.only!r}.", f"It has: {', '.join(members)}."
        )
    run.out.mkdir(parents=True, exist_ok=True)
    check_unchanged(recipe, run.out)
    for name in STEPS if step == "all" else (step,):
        recorded = "refit" if run.refit is not None else name
        if run.resume and _whole(recorded, run, recipe):
            click.echo(f"{name}: whole, nothing to do", err=True)
            continue
        if name not in ("prepare", "explore"):
            start_keras()
        (STEPS | ASIDE)[name](run, recipe)
        record_flat(recorded, run.out, recipe, _inputs(recorded, run, recipe))


def _whole(step: str, run: FlatRun, recipe: Recipe) -> bool:
    """Whether a step need not run; the bundle that is given away has to be the one of this run."""
    whole = flat_is_whole(step, run.out, recipe, _inputs(step, run, recipe))
    if step == "prepare":
        return whole and (run.out / "pixels.npy").is_file()
    if step == "export":
        made, given = run.out / "bundle" / "bundle.json", _bundle(run, recipe) / "bundle.json"
        known = {sha256_of(made)} if made.is_file() else set()
        quantised = run.out / "manifest-quantise.json"
        if quantised.is_file():
            known.add(json.loads(quantised.read_text(encoding="utf-8"))["inputs"].get("bundle"))
        return whole and given.is_file() and sha256_of(given) in known
    return whole and step != "refit"  # which always makes the version after the last one


def _inputs(step: str, run: FlatRun, recipe: Recipe) -> dict[str, str]:
    """Digests of what a step reads beside the steps before: photos, weights, corrections."""
    found = {}
    if step == "prepare" and (run.out / "dataset.json").is_file():
        found["photos"] = sha256_of(run.out / "dataset.json")  # which holds each photo's digest
    if step in ("fit", "export"):
        names = {member.weights for member in recipe.members}
        names |= {teacher.weights for member in recipe.members for teacher in member.teachers}
        names |= {recipe.witness.weights} if recipe.witness else set()
        for name in sorted(names):
            if (run.weights / name).is_file():
                found[f"weights/{name}"] = sha256_of(run.weights / name)
    given = _bundle(run, recipe) / "bundle.json"
    if step == "quantise" and given.is_file():
        found["bundle"] = sha256_of(given)  # as the step leaves it
    if run.refit is not None:
        found["corrections"] = sha256_of(run.refit)
    return found


def _bundle(run: FlatRun, recipe: Recipe) -> Path:
    return run.exports / f"{recipe.name}-{recipe.version}"


def _prepare(run: FlatRun, recipe: Recipe) -> None:
    from training.data import prepare

    if not (run.out / "dataset.json").exists():
        prepare(recipe, run.data, run.out)


def _explore(run: FlatRun, recipe: Recipe) -> None:
    from training.explore import draw_all, of_dataset

    photos = of_dataset(load_dataset(run.out))
    shutil.rmtree(run.out / "explore", ignore_errors=True)
    draw_all(photos, run.out / "explore")


def _fit(run: FlatRun, recipe: Recipe) -> None:
    from training.crossval import crossvalidate

    crossvalidate(load_dataset(run.out), recipe, run.weights, run.out, run.only)


def _stack(run: FlatRun, recipe: Recipe) -> None:
    dataset = load_dataset(run.out)
    if run.refit is None:
        from training.stack import fit_stack

        fit_stack(dataset, recipe, run.out)
        return
    from training.refit import refit

    folder = refit(
        dataset,
        recipe,
        corrections=run.refit,
        bundle_folder=_bundle(run, recipe),
        out=run.out,
        exports=run.exports,
    )
    click.echo(f"written to {folder}")


def _export(run: FlatRun, recipe: Recipe) -> None:
    from training.export import export_bundle

    folder = export_bundle(
        load_dataset(run.out),
        recipe,
        data=run.data,
        weights=run.weights,
        out=run.out,
        exports=run.exports,
    )
    click.echo(f"written to {folder}")


def _explain(run: FlatRun, recipe: Recipe) -> None:
    from training.gradcam import draw_bundle

    dataset, made = load_dataset(run.out), run.out / "bundle"
    if not (made / "bundle.json").is_file():
        raise not_there("explain", "export")
    shutil.rmtree(run.out / "explain", ignore_errors=True)
    draw_bundle(load_bundle(made), dataset, run.out / "explain")


def _quantise(run: FlatRun, recipe: Recipe) -> None:
    from training.precisions import described, quantise_bundle

    click.echo(described(quantise_bundle(load_dataset(run.out), recipe, _bundle(run, recipe))))


STEPS: dict[str, Callable[[FlatRun, Recipe], None]] = {
    "prepare": _prepare,
    "explore": _explore,
    "fit": _fit,
    "stack": _stack,
    "export": _export,
    "explain": _explain,
}
"""In the order of `all`: what `explain` shows are the maps of the exported graph."""

ASIDE: dict[str, Callable[[FlatRun, Recipe], None]] = {"quantise": _quantise}
"""Steps that are not part of `all`."""

ABSENT = {
    "crossval": "the step fit fits every member on each fold too",
    "evaluate": "the step export measures the test photos by the exported graph",
    "tune": "nothing is searched for, the recipe says all settings",
}
"""Steps of other recipes, and where they are here."""
