"""Photos are split once, by group; nothing is on two sides."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.training.small import draw_data, write_recipe
from training.data import HELD_OUT, TEST, load_dataset, prepare, read_rows, split
from training.recipe import load_recipe
from trapsort.decode import decode
from trapsort.errors import InputError, SettingsError

pytest.importorskip("sklearn", reason="the training packages are not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_data(tmp_path_factory.mktemp("data"), 42)


def test_no_group_is_on_two_sides(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    rows = read_rows(recipe, data)
    fold = split(rows, recipe)
    sides = defaultdict(set)
    for row, part in zip(rows, fold, strict=True):
        sides[row.group].add(int(part))
    assert {len(parts) for parts in sides.values()} == {1}
    species = np.array([row.label in ("Lion", "Panda", "Rhino") for row in rows])
    assert set(fold[species]) == {TEST, 0, 1}
    assert 0.10 < (fold[species] == TEST).mean() < 0.20
    assert TEST not in fold[~species]


def test_whole_species_and_half_of_the_others_are_held_out(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    rows = read_rows(recipe, data)
    fold = split(rows, recipe)
    folders = defaultdict(set)
    for row, part in zip(rows, fold, strict=True):
        folders[row.folder].add(int(part))
    assert folders["goat"] == {HELD_OUT}
    for name in ("bear", "elk"):  # the other half is in one fold: its species is new to that fold
        assert HELD_OUT in folders[name]
        assert len(folders[name]) == 2
    assert folders["blank"] == {HELD_OUT, 0, 1}


def test_the_split_depends_on_the_seed_alone(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    rows = read_rows(recipe, data)
    np.testing.assert_array_equal(split(rows, recipe), split(rows, recipe))


def test_prepared_pixels_are_what_serving_sees(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    prepare(recipe, data, tmp_path / "out")
    dataset = load_dataset(tmp_path / "out")
    assert dataset.labels == ("Lion", "Panda", "Rhino", "blank", "other_animal")
    assert dataset.species == ("Lion", "Panda", "Rhino")
    for index in (0, 60, len(dataset.files) - 1):
        served = decode((data / dataset.files[index]).read_bytes()).pixels
        np.testing.assert_array_equal(dataset.pixels[index], served)
    every = np.concatenate([dataset.development, dataset.test, dataset.held_out])
    assert sorted(every) == list(range(len(dataset.files)))


def test_bad_data_is_a_message(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    with pytest.raises(InputError, match=r"manifest\.csv does not exist"):
        prepare(recipe, tmp_path, tmp_path / "out")
    few = draw_data(tmp_path / "few", 2)
    with pytest.raises(InputError, match="Class Lion has only 1 separate photos"):
        prepare(recipe, few, tmp_path / "out")
    broken = draw_data(tmp_path / "broken", 42)
    (broken / "species" / "Lion" / "003.png").write_bytes(b"no photo")
    with pytest.raises(InputError, match=r"003\.png: not_an_image"):
        prepare(recipe, broken, tmp_path / "out")
    with pytest.raises(InputError, match="No prepared data"):
        load_dataset(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("epochs = 1", "epoch = 1"), "unknown key 'epoch'"),
        (("folds = 2", ""), "missing 1 required"),
        (('name = "small"', "name = "), "Invalid value"),
    ],
)
def test_a_wrong_recipe_is_a_message(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = write_recipe(tmp_path, {"m": "MobileNetV2"})
    path.write_text(path.read_text("utf-8").replace(*change, 1), encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        load_recipe(path)


def test_the_shipped_recipe_is_read_whole() -> None:
    recipe = load_recipe(Path(__file__).parents[2] / "training" / "recipes" / "iucn11.toml")
    assert recipe.split.test_fraction == 0.15
    assert [m.backbone for m in recipe.members] == [
        "MobileNetV2",
        "EfficientNetLite0",
        "ResNet50V2",
    ]
    assert [teacher.backbone for teacher in recipe.members[2].teachers] == ["EfficientNetLite0"]
    assert recipe.witness is not None


def test_an_untrained_part_needs_a_teacher(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, {"m": "ResNet50V2"})
    text = path.read_text("utf-8")
    start, end = text.index("[[members.teachers]]"), text.index("[witness]")
    path.write_text(text[:start] + text[end:], encoding="utf-8")
    with pytest.raises(SettingsError, match="m has pretrain_epochs and no teachers"):
        load_recipe(path)
