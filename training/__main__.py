"""`python -m training STEP --recipe FILE`: the steps from photos to a bundle, each resumable."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from trapsort.errors import TrapsortError

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
    from training.recipe import load_recipe

    if not (run.out / "dataset.json").exists():
        prepare(load_recipe(run.recipe), run.data, run.out)


def _fit(run: Run) -> None:
    from training.crossval import crossvalidate
    from training.data import load_dataset
    from training.recipe import load_recipe

    crossvalidate(load_dataset(run.out), load_recipe(run.recipe), run.weights, run.out, run.only)


def _stack(run: Run) -> None:
    from training.data import load_dataset
    from training.recipe import load_recipe
    from training.stack import fit_stack

    fit_stack(load_dataset(run.out), load_recipe(run.recipe), run.out)


def _export(run: Run) -> None:
    from training.data import load_dataset
    from training.export import export_bundle
    from training.recipe import load_recipe

    folder = export_bundle(
        load_dataset(run.out),
        load_recipe(run.recipe),
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
@click.option("--data", type=click.Path(path_type=Path), default=Path("../shared/data"))
@click.option("--weights", type=click.Path(path_type=Path), default=Path("../shared/data/weights"))
@click.option("--out", type=click.Path(path_type=Path), default=None)
@click.option("--exports", type=click.Path(path_type=Path), default=Path("exports"))
@click.option("--member", "only", default=None, help="fit only the member of this name")
def main(
    step: str,
    recipe: Path,
    data: Path,
    weights: Path,
    out: Path | None,
    exports: Path,
    only: str | None,
) -> None:
    """Run one STEP of a recipe, or all of them."""
    run = Run(recipe, data, weights, out or Path("build") / recipe.stem, exports, only)
    try:
        for name in STEPS if step == "all" else [step]:
            STEPS[name](run)
    except TrapsortError as error:
        click.echo(f"training: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
