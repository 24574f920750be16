"""Out-of-fold and final members: what every photo looks like to a network that never saw it.

For each member and each of the recipe's folds one fit on the other folds; then one final fit on
all development photos and all negatives. Each writes one file and is skipped where it exists, so
that a run can be resumed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.augment import draw_views
from training.data import TEST, Dataset
from training.fit import (
    Dense,
    FittedMember,
    Floats,
    Network,
    build_network,
    dense_arrays,
    dense_layers,
    dense_logits,
    feature_maps,
    fit_member,
    load_arrays,
    pooled,
    pretrain,
    rear_weights,
    sample_weights,
    save_arrays,
    set_rear_weights,
)
from training.recipe import MemberRecipe, Recipe, TeacherRecipe
from training.witness import build_witness, testify

FINAL = "final"


def usable(dataset: Dataset) -> NDArray[np.int64]:
    """Indices of all photos that are not test photos: what views are drawn of."""
    return np.flatnonzero(dataset.fold != TEST)


def run_file(out: Path, member: str, run: int | str) -> Path:
    """Where the fit `run` (a fold's number or `FINAL`) of `member` is kept."""
    return out / f"{member}-{run}.npz"


def frozen_features(dataset: Dataset, recipe: Recipe, weights: Path, out: Path) -> Floats:
    """Pooled features (n, channels) of the untrained members that are whole, side by side.

    n runs over `usable(dataset)`.
    """
    path = out / "frozen.npy"
    if not path.exists():
        parts = [np.zeros((len(usable(dataset)), 0), np.float32)]
        for member in recipe.members:
            network = build_network(member.backbone, member_weights(member, weights))
            if network.front is None:
                parts.append(pooled(network.whole, dataset.pixels[usable(dataset)]))
            keras.backend.clear_session()
        np.save(path, np.concatenate(parts, axis=1))
    features: Floats = np.load(path)
    return features


def member_weights(member: MemberRecipe | TeacherRecipe, weights: Path) -> Path | str | None:
    """Where a member starts from: `imagenet`, `none`, or a file of the folder `weights`."""
    if member.weights == "imagenet":
        return "imagenet"
    return None if member.weights == "none" else weights / member.weights


def mislabelled(dataset: Dataset, recipe: Recipe, features: Floats) -> NDArray[np.bool_]:
    """Photos whose label a linear model on the other folds finds very unlikely: bool (n,).

    n runs over `usable(dataset)`. Only training weights follow from this; nothing is ever scored
    without them.
    """
    index = usable(dataset)
    label, fold = dataset.label[index], dataset.fold[index]
    suspect = np.zeros(len(index), bool)
    if not features.shape[1]:
        return suspect  # no member is whole before it is trained: nothing to judge by
    for k in range(recipe.split.folds):
        train, held = (fold >= 0) & (fold != k), fold == k
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=200))
        model.fit(features[train], label[train])
        probability = model.predict_proba(features[held])
        classes = list(model[-1].classes_)
        own = probability[np.arange(held.sum()), [classes.index(c) for c in label[held]]]
        suspect[held] = (own < recipe.fit.noise_below) & (
            probability.max(axis=1) > recipe.fit.noise_above
        )
    return suspect & (label < len(dataset.species))


class Inputs:
    """What a member's trained part reads: photos, or the output of its frozen front.

    views: (views, n, ...); clean: (n, ...); n runs over `usable(dataset)`.
    """

    def __init__(self, dataset: Dataset, recipe: Recipe, out: Path) -> None:
        self.index = usable(dataset)
        self.views: NDArray[Any] = draw_views(
            dataset.pixels, self.index, recipe.fit, out / "views.npy", recipe.seed
        )
        self.clean: NDArray[Any] = dataset.pixels[self.index]

    def behind(self, network: Network, path: Path) -> None:
        """Replace photos by what `network.front` makes of them, kept at `path`."""
        if network.front is None:
            return
        shape = (len(self.views) + 1, len(self.index), *network.front.output.shape[1:])
        if not path.exists():
            partial = path.with_suffix(".partial")
            maps = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float16, shape=shape)
            feature_maps(network.front, self.clean, maps[-1])
            for view, photos in enumerate(self.views):
                print(f"frozen part, view {view + 1} of {len(self.views)}", flush=True)
                feature_maps(network.front, photos, maps[view])
            maps.flush()
            partial.rename(path)
        stored = np.load(path, mmap_mode="r")
        self.views, self.clean = stored[:-1], stored[-1]


def teacher_maps(
    views: NDArray[np.uint8], member: MemberRecipe, weights: Path, path: Path
) -> NDArray[np.float16]:
    """Feature maps of a member's teachers for each view, side by side, kept at `path`.

    (views, n, 7, 7, channels), each channel of unit variance on some of the photos.
    """
    if not path.exists():
        image = layers.Input(views.shape[2:], dtype="uint8")
        networks = [
            build_network(teacher.backbone, member_weights(teacher, weights)).whole
            for teacher in member.teachers
        ]
        joined = layers.Concatenate()([network(image) for network in networks])
        some = views[0, :: max(1, views.shape[1] // 250)]
        sample = np.zeros((len(some), *joined.shape[1:]), np.float16)
        feature_maps(keras.Model(image, joined), some, sample)
        deviation = sample.astype(np.float32).std(axis=(0, 1, 2))
        scaled = layers.Rescaling(1 / (deviation + 1e-2))(joined)
        partial = path.with_suffix(".partial")
        maps = np.lib.format.open_memmap(
            partial, mode="w+", dtype=np.float16, shape=(*views.shape[:2], *joined.shape[1:])
        )
        for view, photos in enumerate(views):
            print(f"{member.name}: teachers, view {view + 1} of {len(views)}", flush=True)
            feature_maps(keras.Model(image, scaled), photos, maps[view])
        maps.flush()
        partial.rename(path)
    stored: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return stored


def run_targets(
    label: NDArray[np.int64],
    classes: int,
    member: MemberRecipe,
    recipe: Recipe,
    out: Path,
    run: int | str,
) -> Floats:
    """What a run of `member` learns (n, classes): labels, and what earlier members say.

    The earlier members of the same run have seen the same photos and no others.
    """
    targets = np.eye(classes, dtype=np.float32)[label]
    earlier = [each.name for each in recipe.members[: recipe.members.index(member)]]
    if not member.distil or not earlier:
        return targets
    said = [softmax(dense_logits(*load_run(out, name, run)), axis=1) for name in earlier]
    mixed: Floats = ((1 - member.distil) * targets + member.distil * np.mean(said, axis=0)).astype(
        np.float32
    )
    return mixed


def crossvalidate(
    dataset: Dataset, recipe: Recipe, weights: Path, out: Path, only: str | None = None
) -> None:
    """Fit every member (or the one named `only`) on every fold and on everything, resuming.

    Raises `LeakageError` before it touches a test photo.
    """
    index = dataset.learning(usable(dataset), "fit")
    features = frozen_features(dataset, recipe, weights, out)
    suspect = mislabelled(dataset, recipe, features)
    files = [dataset.files[i] for i in index[suspect]]
    (out / "mislabelled.json").write_text(json.dumps(files, indent=1), encoding="utf-8")
    print(f"{len(files)} training photos taken for mislabelled", flush=True)
    if recipe.witness is not None and not (out / "witness.npy").exists():
        witness = build_witness(recipe.witness, dataset.species, weights)
        np.save(out / "witness.npy", testify(witness, dataset.pixels[usable(dataset)]))
    for member in recipe.members:
        if only in (None, member.name):
            _fit_runs(dataset, recipe, member, ~suspect, weights, out)


def _fit_runs(
    dataset: Dataset,
    recipe: Recipe,
    member: MemberRecipe,
    clean: NDArray[np.bool_],
    weights: Path,
    out: Path,
) -> None:
    index = usable(dataset)
    label, fold = dataset.label[index], dataset.fold[index]
    runs: list[int | str] = [*range(recipe.split.folds), FINAL]
    todo = [run for run in runs if not run_file(out, member.name, run).exists()]
    if not todo:
        return
    network = build_network(member.backbone, member_weights(member, weights))
    inputs = Inputs(dataset, recipe, out)
    photo_views = inputs.views
    inputs.behind(network, out / f"{member.name}-front.npy")
    start = _start(network, inputs, photo_views, member, recipe, weights, out)
    for run in todo:
        print(f"{member.name}: run {run}", flush=True)
        train = (
            np.arange(len(index)) if run == FINAL else np.flatnonzero((fold >= 0) & (fold != run))
        )
        fold_weights = np.zeros(len(index), np.float32)
        fold_weights[train] = sample_weights(label[train], clean[train], recipe.fit)
        set_rear_weights(network, start)
        seed = recipe.seed * 1000 + (99 if run == FINAL else int(run))
        fitted = fit_member(
            network,
            inputs.views,
            inputs.clean,
            label=label,
            targets=run_targets(label, len(dataset.labels), member, recipe, out, run),
            weights=fold_weights,
            indices=train,
            member=member,
            recipe=recipe.fit,
            seed=seed,
        )
        _keep(fitted, inputs, run_file(out, member.name, run), with_weights=run == FINAL)


def _start(
    network: Network,
    inputs: Inputs,
    photo_views: NDArray[np.uint8],
    member: MemberRecipe,
    recipe: Recipe,
    weights: Path,
    out: Path,
) -> dict[str, NDArray[Any]]:
    """Weights that every run of `member` starts from."""
    if not member.pretrain_epochs or network.front is None:
        return rear_weights(network)
    path = out / f"{member.name}-start.npz"
    if not path.exists():
        keras.utils.set_random_seed(recipe.seed)
        pretrain(
            network,
            inputs.views,
            teacher_maps(photo_views, member, weights, out / f"{member.name}-teachers.npy"),
            member=member,
            recipe=recipe.fit,
            seed=recipe.seed,
        )
        save_arrays(path, rear_weights(network))
    return load_arrays(path)


def _keep(
    fitted: FittedMember,
    inputs: Inputs,
    path: Path,
    *,
    with_weights: bool,
) -> None:
    """Keep a run's features of all usable photos, its head, and the final run's weights."""
    network = fitted.network
    arrays: dict[str, NDArray[Any]] = {
        "features": pooled(network.rear, inputs.clean).astype(np.float16),
        **dense_arrays(fitted.dense),
    }
    if with_weights:
        arrays |= rear_weights(network)
    save_arrays(path, arrays)


def load_run(out: Path, member: str, run: int | str) -> tuple[Floats, Dense]:
    """Features (n, channels) of the usable photos, and the head, of a run."""
    arrays = load_arrays(run_file(out, member, run))
    return arrays["features"].astype(np.float32), dense_layers(arrays)
