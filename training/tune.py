"""Search for better settings: Optuna for learning rate, dropout and units; Hyperband for heads."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import keras
import matplotlib
from matplotlib.figure import Figure

from training.config import NetworkRecipe, PublishedRecipe, TuneRecipe
from training.networks import build_network
from training.prepared import PhotoSet
from training.train import batches, compiled, stopping
from trapsort.errors import InputError

Settings = dict[str, Any]
"""What a search found: `learning_rate`, `dropout`, `dense`, `optimizer`, each only if searched."""


def apply_settings(
    recipe: PublishedRecipe, name: str, settings: Settings
) -> tuple[PublishedRecipe, NetworkRecipe]:
    """The recipe and its network `name` with the settings that a search found."""
    fit = {key: settings[key] for key in ("learning_rate", "optimizer") if key in settings}
    own = {key: settings[key] for key in ("dropout", "dense") if key in settings}
    if "dense" in own:
        own["dense"] = tuple(own["dense"])
    return replace(recipe, fit=replace(recipe.fit, **fit)), replace(recipe.network(name), **own)


def halving(units: int, layers: int) -> tuple[int, ...]:
    """Units of dense layers behind one another, each half as wide as the one before."""
    return tuple(max(8, units >> place) for place in range(layers))


def fitted_score(
    recipe: PublishedRecipe, network: NetworkRecipe, photos: PhotoSet, weights: str, epochs: int
) -> float:
    """Best accuracy on the validation photos of a fit with these settings."""
    keras.utils.set_random_seed(recipe.seed)
    model = build_network(
        network, recipe.input, len(photos.labels), weights=weights, binary=recipe.binary
    )
    fit = replace(recipe.fit, epochs=epochs)
    learned = batches(photos, photos.of("train"), recipe, weighted=fit.class_weights)
    held = batches(photos, photos.of("validation"), recipe, weighted=False)
    trained = compiled(model, recipe, fit, epochs * len(learned))
    history = trained.fit(
        learned,
        epochs=epochs,
        validation_data=held,
        shuffle=False,
        verbose=0,
        callbacks=stopping(fit),
    )
    keras.backend.clear_session()
    return float(max(history.history["val_accuracy"]))


def search_optuna(
    recipe: PublishedRecipe, tune: TuneRecipe, name: str, folder: Path, score: Callable[..., float]
) -> Settings:
    """Optuna's best settings of network `name`; its journal and history plot stay in `folder`.

    score: called with a recipe and a network, answers a validation accuracy, 0 to 1. Goes on from
    the journal of an interrupted search.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    depth = max(1, len(recipe.network(name).dense))

    def settings_of(parameters: dict[str, Any]) -> Settings:
        settings: Settings = {key: value for key, value in parameters.items() if key != "units"}
        if "units" in parameters:
            settings["dense"] = halving(parameters["units"], depth)
        return settings

    def objective(trial: optuna.Trial) -> float:
        if tune.learning_rate:
            trial.suggest_float("learning_rate", *tune.learning_rate, log=True)
        if tune.dropout:
            trial.suggest_float("dropout", *tune.dropout)
        if tune.units:
            trial.suggest_int("units", *tune.units, log=True)
        return score(*apply_settings(recipe, name, settings_of(trial.params)))

    study = optuna.create_study(
        study_name=name,
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=recipe.seed),
        storage=JournalStorage(JournalFileBackend(str(folder / "journal.log"))),
        load_if_exists=True,
    )
    done = sum(trial.state.is_finished() for trial in study.trials)
    study.optimize(objective, n_trials=max(0, tune.trials - done), show_progress_bar=True)
    _draw_optuna(study, name, folder / f"{name}-history.png")
    return settings_of(study.best_params) | {"val_accuracy": study.best_value}


def _draw_optuna(study: Any, name: str, path: Path) -> None:
    from optuna.visualization.matplotlib import plot_optimization_history

    # Optuna calls its matplotlib plots experimental, and changes the style of all that follow
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore")
        axes = plot_optimization_history(study, target_name="validation accuracy")
        axes.set_title(f"{name}: search by Optuna")
        cast(Figure, axes.figure).savefig(path, dpi=100, bbox_inches="tight")


def search_hyperband(
    recipe: PublishedRecipe,
    tune: TuneRecipe,
    name: str,
    photos: PhotoSet,
    weights: str,
    folder: Path,
) -> Settings:
    """Keras Tuner's best head of network `name` by Hyperband; its trials stay in `folder`."""
    import keras_tuner

    def settings_of(values: Any) -> Settings:
        return {
            "dense": halving(values.get("units"), values.get("layers")),
            "dropout": values.get("dropout"),
            "optimizer": values.get("optimizer"),
        }

    def build(values: Any) -> keras.Model:
        values.Int("layers", *tune.layers)
        values.Int("units", *tune.units, step=max(1, (tune.units[1] - tune.units[0]) // 4))
        values.Float("dropout", *tune.dropout, step=0.1)
        values.Choice("optimizer", list(tune.optimizers))
        chosen, network = apply_settings(recipe, name, settings_of(values))
        model = build_network(
            network, recipe.input, len(photos.labels), weights=weights, binary=recipe.binary
        )
        return compiled(model, chosen, chosen.fit, tune.epochs * len(learned))

    learned = batches(photos, photos.of("train"), recipe, weighted=recipe.fit.class_weights)
    tuner = keras_tuner.Hyperband(
        build,
        objective="val_accuracy",
        max_epochs=tune.epochs,
        factor=3,
        seed=recipe.seed,
        max_consecutive_failed_trials=1,  # a fault is a fault, not a bad trial
        directory=str(folder),
        project_name=name,
    )
    tuner.search(
        learned,
        validation_data=batches(photos, photos.of("validation"), recipe, weighted=False),
        verbose=1,
        shuffle=False,
    )
    best = tuner.oracle.get_best_trials(1)[0]
    if best.score is None:
        raise InputError(
            f"The search for {name} has no finished trial.", "Run the step tune without --resume."
        )
    _draw_trials(
        [trial.score for trial in tuner.oracle.trials.values() if trial.score is not None],
        f"{name}: search by Hyperband",
        folder / f"{name}-history.png",
    )
    return settings_of(best.hyperparameters) | {"val_accuracy": float(best.score)}


def _draw_trials(scores: list[float], title: str, path: Path) -> None:
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    axes.scatter(range(len(scores)), scores, label="trial")
    axes.plot([max(scores[: i + 1]) for i in range(len(scores))], color="C1", label="best so far")
    axes.set(xlabel="trial", ylabel="validation accuracy", title=title)
    axes.legend()
    figure.savefig(path, dpi=100)


def search(
    recipe: PublishedRecipe,
    tune: TuneRecipe,
    photos: PhotoSet,
    starts: dict[str, str],
    folder: Path,
) -> None:
    """Search for each network that the recipe names and write `settings.json` to `folder`."""
    photos.learning(photos.development, "tune")
    found = {}
    for name in tune.networks:
        weights = starts[name]
        if tune.engine == "hyperband":
            found[name] = search_hyperband(recipe, tune, name, photos, weights, folder)
        else:

            def score(changed: PublishedRecipe, network: NetworkRecipe, w: str = weights) -> float:
                return fitted_score(changed, network, photos, w, tune.epochs)

            found[name] = search_optuna(recipe, tune, name, folder, score)
    (folder / "settings.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
