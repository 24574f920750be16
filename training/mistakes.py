"""`python -m training.mistakes`: what the eleven-species report's mistakes do to a figure.

Each is made on purpose with the members of a finished run and its test photos, beside the figure
without it. Nothing is made of them but the table in docs/howto/recipes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from training.quiet import start_keras

Floats = NDArray[np.float32]


def member_votes(network: Any, dense: Any, photos: NDArray[np.uint8], name: str) -> Floats:
    """Probabilities (n, labels) of a network, photo to feature map, behind its head."""
    from scipy.special import softmax

    from training.fit import dense_logits
    from training.progress import starts

    pooled = [
        np.asarray(network.predict_on_batch(photos[start : start + 32])).mean(axis=(1, 2))
        for start in starts(len(photos), 32, name)
    ]
    said: Floats = softmax(dense_logits(np.concatenate(pooled), dense), axis=1)
    return said


def twice(network: Any, preprocess: Callable[[Any], Any]) -> Any:
    """A network whose photos are preprocessed once more before it; uint8 photos in."""
    import keras

    base = next(layer for layer in network.layers if isinstance(layer, keras.Model))
    image = keras.layers.Input(network.input_shape[1:], dtype="uint8")
    again = keras.Model(image, preprocess(image))
    return keras.Model(image, base(preprocess(again(image))))


def read_otherwise(best: NDArray[np.int64], labels: Sequence[str]) -> list[str]:
    """What answers (n,) mean to one who sorts the labels without regard to capitals."""
    documented = sorted(labels, key=str.casefold)
    return [documented[k] for k in best]


def table(figures: dict[str, float]) -> str:
    """The figures as Markdown, mistake beside right."""
    right = f"{figures['right']:.2%}"
    rows = [
        ("meta-learner fitted and scored on the same test photos", "meta_learner"),
        ("preprocessing applied twice", "preprocessed_twice"),
        ("labels read in another alphabetical order", "label_order"),
    ]
    lines = ["| mistake | with it | without |", "| --- | --- | --- |"]
    lines += [f"| {name} | {figures[key]:.2%} | {right} |" for name, key in rows]
    return "\n".join(lines)


def measure(recipe_file: Path, weights: Path, out: Path) -> dict[str, float]:
    """Top-1 on the test photos, 0 to 1, without a mistake (`right`) and with each."""
    from training.backbones import BACKBONES, preprocess
    from training.crossval import FINAL, member_weights, run_file
    from training.data import load_dataset
    from training.fit import build_network, dense_layers, load_arrays, set_rear_weights
    from training.folds import fitted_and_scored_on_test
    from training.recipe import load_recipe
    from training.stack import load_stack

    recipe, dataset = load_recipe(recipe_file), load_dataset(out)
    photos, label = np.asarray(dataset.pixels[dataset.test]), dataset.label[dataset.test]
    once, again = [], []
    for member in recipe.members:
        arrays = load_arrays(run_file(out, member.name, FINAL))
        network = build_network(member.backbone, member_weights(member, weights))
        set_rear_weights(network, arrays)
        dense, spec = dense_layers(arrays), BACKBONES[member.backbone]
        wrong = twice(network.whole, partial(preprocess, backbone=spec))
        once.append(member_votes(network.whole, dense, photos, member.name))
        again.append(member_votes(wrong, dense, photos, f"{member.name}, wrongly"))
    stack, _, _ = load_stack(out)
    votes = np.stack(once, axis=1)
    best = stack.apply(votes).argmax(axis=1)
    truth = [dataset.labels[k] for k in label]
    said = read_otherwise(best, dataset.labels)
    return {
        "right": float((best == label).mean()),
        "meta_learner": fitted_and_scored_on_test(votes, label, stack.regularisation),
        "preprocessed_twice": float(
            (stack.apply(np.stack(again, axis=1)).argmax(axis=1) == label).mean()
        ),
        "label_order": float(np.mean([a == b for a, b in zip(said, truth, strict=True)])),
    }


@click.command()
@click.option("--recipe", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--weights", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path, exists=True), required=True)
def main(recipe: Path, weights: Path, out: Path) -> None:
    """Print what each mistake does, measured on the test photos of the run in OUT."""
    start_keras()
    click.echo(table(measure(recipe, weights, out)))


if __name__ == "__main__":
    main()
