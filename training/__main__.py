"""`python -m training STEP --recipe FILE`: the steps from photos to a bundle, each resumable."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.errors import SettingsError, TrapsortError

if TYPE_CHECKING:
    from training.recipe import Recipe

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@dataclass(frozen=True, slots=True)
class Run:
    """Where a run reads and writes."""

    recipe: Path
    data: Path
    weights: Path
    out: Path
    exports: Path
    only: str | None
    refit: Path | None = None
    small: bool = False


def _prepare(run: Run) -> None:
    from training.data import prepare

    if not (run.out / "dataset.json").exists():
        prepare(_recipe(run), run.data, run.out)


def _recipe(run: Run) -> Recipe:
    from training.data import check_unchanged
    from training.recipe import load_recipe

    recipe = load_recipe(run.recipe, small=run.small)
    run.out.mkdir(parents=True, exist_ok=True)
    check_unchanged(recipe, run.out)
    return recipe


def _fit(run: Run) -> None:
    from training.crossval import crossvalidate
    from training.data import load_dataset

    crossvalidate(load_dataset(run.out), _recipe(run), run.weights, run.out, run.only)


def _stack(run: Run) -> None:
    from training.data import load_dataset
    from training.stack import fit_stack

    if run.refit is not None:
        from training.refit import refit

        recipe = _recipe(run)
        folder = refit(
            load_dataset(run.out),
            recipe,
            corrections=run.refit,
            bundle_folder=run.exports / f"{recipe.name}-{recipe.version}",
            out=run.out,
            exports=run.exports,
        )
        click.echo(f"written to {folder}")
        return
    fit_stack(load_dataset(run.out), _recipe(run), run.out)


def _export(run: Run) -> None:
    from training.data import load_dataset
    from training.export import export_bundle

    folder = export_bundle(
        load_dataset(run.out),
        _recipe(run),
        data=run.data,
        weights=run.weights,
        out=run.out,
        exports=run.exports,
    )
    click.echo(f"written to {folder}")


STEPS: dict[str, Callable[[Run], None]] = {
    "prepare": _prepare,
    "fit": _fit,
    "stack": _stack,
    "export": _export,
}


def _record(step: str, run: Run) -> None:
    """Write the step's manifest; photos by their contents, weights where they are files."""
    from training.manifests import record_flat, sha256_of

    recipe, more = _recipe(run), {}
    if step == "prepare":
        more["photos"] = sha256_of(run.out / "dataset.json")  # which holds each photo's digest
    if step in ("fit", "export"):
        names = {member.weights for member in recipe.members}
        names |= {teacher.weights for member in recipe.members for teacher in member.teachers}
        names |= {recipe.witness.weights} if recipe.witness else set()
        for name in sorted(names):
            if (run.weights / name).is_file():
                more[f"weights/{name}"] = sha256_of(run.weights / name)
    if run.refit is not None:
        more["corrections"] = sha256_of(run.refit)
    record_flat(step if run.refit is None else "refit", run.out, recipe, more)


def _quantise(run: Run) -> None:
    from training.data import load_dataset
    from training.eight_bits import described
    from training.quantise import quantise_members

    for name, change in quantise_members(load_dataset(run.out), _recipe(run), run.out).items():
        click.echo(described(name, change))


def _prepare_reviewed(database: str, originals: Path, target: Path) -> None:
    from training.reviews import write_reviewed

    count = write_reviewed(database, originals, target)
    click.echo(
        f"{target}: {count.labelled} photos with what people said of them; of {count.missing} "
        f"others that were reviewed no original lies below {originals}"
    )


def _only_with(step: str, wanted: str, option: str) -> None:
    if step != wanted:
        raise SettingsError(f"{option} belongs to the step {wanted}.", f"Name the step {wanted}.")


PUBLISHED = ("explore", "crossval", "tune", "evaluate", "explain")
"""Steps that only recipes of kind `published` have; see `training.steps`."""


@click.command()
@click.argument("step", type=click.Choice([*STEPS, "quantise", *PUBLISHED, "all"]))
@click.option("--recipe", type=click.Path(path_type=Path, exists=True), required=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("../shared/data"),
    show_default=True,
    help="the photos: a folder with what the recipe names, else class folders or a CSV",
)
@click.option(
    "--weights",
    default=None,
    metavar="imagenet|none|FILE|DIR",
    help="starting weights; DIR holds the files that the recipe names  [default: DATA/weights, "
    "or imagenet for a published system]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=None,
    help="folder for everything that is made on the way  [default: build/RECIPE]",
)
@click.option(
    "--exports",
    type=click.Path(path_type=Path),
    default=Path("exports"),
    show_default=True,
    help="folder that the bundle is written into",
)
@click.option("--member", "only", default=None, help="fit only the member of this name")
@click.option(
    "--from-db",
    default=None,
    metavar="URL",
    help="prepare: a labelled set, OUT/reviewed.csv, from the reviews in a sightings database of "
    "photos whose originals lie below --data",
)
@click.option(
    "--refit",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="stack: fit only meta-learner, calibration and thresholds anew with the labelled photos "
    "of this CSV, and write the bundle's next version",
)
@click.option(
    "--resume",
    is_flag=True,
    help="skip what is whole, and go on within what is not (without it a published system's step "
    "starts anew; other recipes never make anything twice)",
)
@click.option("--small", is_flag=True, help="the recipe's quick demonstration")
@click.option(
    "--clip",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="published systems: folder of an ONNX CLIP that leaves out photos without an animal",
)
@click.option(
    "--persons",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="published systems: ONNX person detector that leaves out photos of people",
)
def main(
    step: str,
    recipe: Path,
    data: Path,
    weights: str | None,
    out: Path | None,
    exports: Path,
    only: str | None,
    from_db: str | None,
    refit: Path | None,
    resume: bool,
    small: bool,
    clip: Path | None,
    persons: Path | None,
) -> None:
    """Run one STEP of a recipe, or all of them."""
    from training.config import KIND, recipe_kind

    out = out or Path("build") / recipe.stem
    try:
        if from_db is not None:
            _only_with(step, "prepare", "--from-db")
            _prepare_reviewed(from_db, data, out / "reviewed.csv")
            return
        if refit is not None:
            _only_with(step, "stack", "--refit")
            if recipe_kind(recipe) == KIND:
                raise SettingsError(
                    f"--refit has no meaning for {recipe}, a published system.",
                    "Refit a bundle such as that of training/recipes/iucn11.toml.",
                )
        if recipe_kind(recipe) == KIND:
            from training.steps import PublishedRun, run_published

            run_published(
                step,
                PublishedRun(
                    recipe=recipe,
                    data=data,
                    weights=weights or "imagenet",
                    out=out,
                    resume=resume,
                    small=small,
                    clip=clip,
                    persons=persons,
                ),
            )
            return
        if step in PUBLISHED:
            raise SettingsError(
                f"{recipe} has no step {step}.", f"It has: {', '.join(STEPS)}, all."
            )
        start = Path(weights) if weights else data / "weights"
        run = Run(recipe, data, start, out, exports, only, refit, small)
        for name in STEPS if step == "all" else [step]:
            (_quantise if name == "quantise" else STEPS[name])(run)
            _record(name, run)
    except TrapsortError as error:
        click.echo(f"training: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
