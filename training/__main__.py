"""`python -m training STEP --recipe FILE`: the steps from photos to a bundle, each resumable."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trapsort.errors import TrapsortError

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


def _prepare(run: Run) -> None:
    from training.data import prepare

    if not (run.out / "dataset.json").exists():
        prepare(_recipe(run), run.data, run.out)


def _recipe(run: Run) -> Recipe:
    from training.data import check_unchanged
    from training.recipe import load_recipe

    recipe = load_recipe(run.recipe)
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


@click.command()
@click.argument("step", type=click.Choice([*STEPS, "all"]))
@click.option("--recipe", type=click.Path(path_type=Path, exists=True), required=True)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("../shared/data"),
    show_default=True,
    help="folder of the photos: class folders and a manifest.csv below what the recipe names",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    default=None,
    help="folder of the starting weights that the recipe names  [default: DATA/weights]",
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
def main(
    step: str,
    recipe: Path,
    data: Path,
    weights: Path | None,
    out: Path | None,
    exports: Path,
    only: str | None,
) -> None:
    """Run one STEP of a recipe, or all of them."""
    out = out or Path("build") / recipe.stem
    run = Run(recipe, data, weights or data / "weights", out, exports, only)
    try:
        for name in STEPS if step == "all" else [step]:
            STEPS[name](run)
    except TrapsortError as error:
        click.echo(f"training: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
