"""`python -m training STEP --recipe FILE`: the steps from photos to a bundle, each resumable."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from trapsort.errors import SettingsError, TrapsortError

STEPS = (
    "explore", "prepare", "crossval", "tune", "fit", "stack", "evaluate", "explain", "export",
    "quantise", "all",
)  # fmt: skip


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


def _not_for(recipe: Path, what: str, **given: object) -> None:
    """Refuse options that say nothing about a recipe of this kind."""
    for option, value in given.items():
        if value is not None:
            raise SettingsError(
                f"--{option} has no meaning for {recipe}, {what}.", "Leave the option out."
            )


@click.command()
@click.argument("step", type=click.Choice(STEPS))
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
    default=None,
    help="folder that the bundle is written into  [default: exports; of a published system "
    "OUT/export]",
)
@click.option("--member", "only", default=None, help="fit: only the member of this name")
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
    help="skip the steps that are whole, and go on within what is not (without it a published "
    "system's step starts anew; other recipes never prepare or fit anything twice)",
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
    exports: Path | None,
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
        if refit is not None:
            _only_with(step, "stack", "--refit")
        if only is not None:
            _only_with(step, "fit", "--member")
        if from_db is not None:
            _only_with(step, "prepare", "--from-db")
            _prepare_reviewed(from_db, data, out / "reviewed.csv")
            return
        if recipe_kind(recipe) == KIND:
            if refit is not None:
                raise SettingsError(
                    f"--refit has no meaning for {recipe}, a published system.",
                    "Refit a bundle such as that of training/recipes/iucn11.toml.",
                )
            _not_for(recipe, "a published system", member=only)
            from training.steps import run_published
            from training.work import PublishedRun

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
                    exports=exports,
                ),
            )
            return
        _not_for(recipe, "which has no filters of outliers", clip=clip, persons=persons)
        if weights is not None and not Path(weights).is_dir():
            raise SettingsError(
                f"--weights {weights} is no folder, and {recipe} names a file for each member.",
                "Give the folder that holds them.",
            )
        from training.flat import FlatRun, run_flat

        run_flat(
            step,
            FlatRun(
                recipe=recipe,
                data=data,
                weights=Path(weights) if weights else data / "weights",
                out=out,
                exports=exports or Path("exports"),
                only=only,
                refit=refit,
                resume=resume,
                small=small,
            ),
        )
    except TrapsortError as error:
        click.echo(f"training: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
