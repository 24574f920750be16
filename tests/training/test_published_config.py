"""Recipes of published systems: what they say, and what is said of wrong ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.published import RECIPE, RECIPES, write_recipe
from training.config import frozen_layers, load_published, recipe_kind
from trapsort.errors import SettingsError

NAMES = (
    "iucn11-published",
    "iucn11-trio",
    "rare-binary",
    "rare-families",
    "three-animals",
    "vgg16-small",
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("small", [False, True])
def test_every_recipe_is_read(name: str, small: bool) -> None:
    path = RECIPES / f"{name}.toml"
    assert recipe_kind(path) == "published"
    recipe = load_published(path, small=small)
    assert recipe.name == name


def test_the_published_settings_of_the_eleven_species() -> None:
    recipe = load_published(RECIPES / "iucn11-published.toml")
    assert (recipe.input.width, recipe.input.height, recipe.source.test) == (224, 224, 0.15)
    assert recipe.source.folds == 5
    assert recipe.tune is not None
    assert (recipe.tune.learning_rate, recipe.tune.dropout) == ((1e-5, 1e-3), (0.2, 0.5))
    assert recipe.tune.units == (64, 512)
    heads = {n.backbone: (n.frozen, n.dense, n.dropout) for n in recipe.networks}
    assert heads == {
        "VGG16": ("first 10", (128, 64), 0.3),
        "ResNet50V2": ("all", (), 0.3),
        "EfficientNetB0": ("all", (), 0.3),
    }
    assert (recipe.augment.rotation_degrees, recipe.augment.shift) == (20.0, 0.1)
    assert (recipe.augment.zoom, recipe.augment.flip) == (0.2, True)


def test_small_changes_only_what_it_names() -> None:
    whole = load_published(RECIPES / "rare-families.toml")
    small = load_published(RECIPES / "rare-families.toml", small=True)
    assert (small.input.width, small.input.height) == (100, 75)
    assert small.fit.epochs == 2
    assert (small.fit.optimizer, small.fit.learning_rate) == ("adagrad", 0.01)
    assert small.networks == whole.networks
    assert small.outliers == whole.outliers


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 2", "epoch = 2", "{path}: fit: unknown key 'epoch'"),
        ("epochs = 2", "", "{path}: fit: the key 'epochs' is missing"),
        ("epochs = 2", "epochs = 2.5", "{path}: fit: epochs is 2.5\nIts type must be int."),
        ("epochs = 2", "epochs = true", "{path}: fit: epochs is True\nIts type must be int."),
        ("flip = true", "mirror = true", "{path}: augment: unknown key 'mirror'"),
        (
            '"adam"',
            '"adamax"',
            "{path}: fit: optimizer is 'adamax'\nIt may be: adam, adagrad, sgd, rmsprop.",
        ),
        (
            'network = "one"',
            'network = "two"',
            "The recipe has no network 'two'.\nIt has: one.",
        ),
        (
            'network = "one"',
            'network = "stack"',
            "{path}: export.network is stack, but there is no [stack]",
        ),
        (
            "dropout = 0.2",
            'frozen = "half"',
            "frozen = 'half' means nothing.\nWrite all, none, first N or all but N.",
        ),
        ("test = 0.2", "test = 0.8", "{path}: source.test and source.validation leave nothing"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write_recipe(tmp_path, RECIPE.replace(old, new))
    with pytest.raises(SettingsError) as caught:
        load_published(path)
    assert str(caught.value).startswith(message.format(path=path))


def test_how_much_is_frozen() -> None:
    assert frozen_layers("all") == ("all", 0)
    assert frozen_layers("first 10") == ("first", 10)
    assert frozen_layers("all but 5") == ("all but", 5)
