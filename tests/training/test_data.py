"""Photos are split once, by group; nothing is on two sides."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

from tests.training.small import draw_data, write_recipe
from training.crossval import crossvalidate, usable
from training.data import HELD_OUT, TEST, Size, load_dataset, prepare, read_rows, split
from training.leakage import LeakageError, digest_of
from training.recipe import load_recipe
from training.stack import out_of_fold
from trapsort.decode import decode
from trapsort.errors import InputError, SettingsError


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
        assert dataset.sizes[index] == Size(80, 60, "RGB")
    every = np.concatenate([dataset.development, dataset.test, dataset.held_out])
    assert sorted(every) == list(range(len(dataset.files)))


def test_bad_data_is_a_message(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    with pytest.raises(InputError, match=r"manifest\.csv does not exist"):
        (tmp_path / "none" / "species").mkdir(parents=True)
        prepare(recipe, tmp_path / "none", tmp_path / "out")
    few = draw_data(tmp_path / "few", 2)
    with pytest.raises(InputError, match="Class Lion has only 1 separate photos"):
        prepare(recipe, few, tmp_path / "out")
    broken = draw_data(tmp_path / "broken", 42)
    for number in (3, 4):
        (broken / "species" / "Lion" / f"{number:03d}.png").write_bytes(b"no photo")
    with pytest.raises(InputError) as caught:
        prepare(recipe, broken, tmp_path / "out")
    reason = "not_an_image: the content is not that of an image file"
    assert str(caught.value) == (
        "2 of 294 photos cannot be read:\n"
        f"{broken / 'species' / 'Lion' / '003.png'}: {reason}\n"
        f"{broken / 'species' / 'Lion' / '004.png'}: {reason}\n"
        "Mend them or leave them out."
    )
    assert not (tmp_path / "out" / "dataset.json").exists()
    manifest = broken / "species" / "manifest.csv"
    manifest.write_text(manifest.read_text("utf-8").replace("group", "burst", 1), "utf-8")
    with pytest.raises(InputError) as caught:
        prepare(recipe, broken, tmp_path / "out")
    assert str(caught.value) == (
        f"{manifest} has no column 'group'; it has: file, label, burst, camera_trap.\n"
        "It needs file, label, group."
    )
    with pytest.raises(InputError, match="No prepared data"):
        load_dataset(tmp_path / "nothing")


def write_own(data: Path, path: Path, *, split: bool) -> Path:
    """A CSV over drawn photos, three to a site; with `split` every seventh site is for the test."""
    rows = []
    for folder in sorted((data / "species").iterdir()) + sorted((data / "others").iterdir()):
        label = folder.name if folder.parent.name == "species" else "other_animal"
        label = "blank" if folder.name == "blank" else label
        for number, photo in enumerate(sorted(folder.glob("*.png"))):
            site = f"{folder.name}{number // 3}"
            part = "test" if number // 3 % 7 == 0 and label in folder.name else ""
            rows.append([str(photo), label, site, *([part] if split else [])])
    columns = ["path", "label", "site", *(["split"] if split else [])]
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


@pytest.mark.parametrize("given", [False, True])
def test_own_photos_in_a_csv_are_split_by_site(data: Path, tmp_path: Path, given: bool) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    rows = read_rows(recipe, write_own(data, tmp_path / "own.csv", split=given))
    assert len(rows) == 294
    assert {row.label for row in rows} == {"Lion", "Panda", "Rhino", "blank", "other_animal"}
    fold = split(rows, recipe)
    sides = defaultdict(set)
    for row, part in zip(rows, fold, strict=True):
        sides[row.group].add(int(part))
    assert {len(parts) for parts in sides.values()} == {1}
    tests = {row.group for row, part in zip(rows, fold, strict=True) if part == TEST}
    if given:
        assert tests == {f"{n}{k}" for n in ("Lion", "Panda", "Rhino") for k in (0, 7)}
    assert {name.rstrip("0123456789") for name in tests} == {"Lion", "Panda", "Rhino"}


def test_own_photos_in_class_folders(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    own = tmp_path / "own"
    own.mkdir()
    for name in ("Lion", "Rhino"):
        (own / name).symlink_to(data / "species" / name)
    with pytest.raises(InputError) as caught:
        read_rows(recipe, own)
    assert str(caught.value) == (
        f"{own} shows nothing but species.\n"
        "Give photos of anything else too, labelled blank, other_animal, vehicle."
    )
    (own / "blank").symlink_to(data / "others" / "blank")
    prepare(recipe, own, tmp_path / "out")
    dataset = load_dataset(tmp_path / "out")
    assert dataset.labels == ("Lion", "Rhino", "blank")
    served = decode((own / dataset.files[0]).read_bytes()).pixels
    np.testing.assert_array_equal(dataset.pixels[0], served)


def test_a_given_split_that_tears_a_site_apart_is_refused(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    path = write_own(data, tmp_path / "own.csv", split=True)
    lines = path.read_text("utf-8").splitlines()
    torn = next(i for i, line in enumerate(lines) if line.endswith(",Lion0,test"))
    lines[torn] = lines[torn].replace(",test", ",train")
    path.write_text("\n".join(lines), "utf-8")
    with pytest.raises(InputError) as caught:
        read_rows(recipe, path)
    assert str(caught.value) == (
        "The group or site 'Lion0' is on two sides of the split: train and test.\n"
        "Put all photos of a group or site on one side."
    )


def test_steps_before_evaluate_are_stopped_at_a_test_photo(data: Path, tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, {"m": "MobileNetV2"}))
    out = tmp_path / "out"
    prepare(recipe, data, out)
    dataset = load_dataset(out)
    recorded = (out / "test-digests.txt").read_text("utf-8").split()
    assert recorded == sorted(digest_of(dataset.pixels[i]) for i in dataset.test)
    used = usable(dataset)
    np.testing.assert_array_equal(dataset.learning(used, "fit"), used)
    moved = replace(dataset, fold=np.zeros_like(dataset.fold))  # the digests are the judge
    first = dataset.files[dataset.test[0]]
    message = f"The step {{}} was about to use the test photo {first}\\."
    with pytest.raises(LeakageError, match=message.format("fit")):
        crossvalidate(moved, recipe, tmp_path, out)
    with pytest.raises(LeakageError, match=message.format("stack")):
        out_of_fold(moved, recipe, out)


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


def test_a_quick_demonstration_changes_what_its_part_says_and_no_more(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "training" / "recipes" / "iucn11.toml"
    whole, small = load_recipe(path), load_recipe(path, small=True)
    assert {member.epochs for member in small.members} == {1}
    assert [member.pretrain_epochs for member in small.members] == [0, 0, 1]
    assert (small.split.folds, small.split.test_fraction) == (2, whole.split.test_fraction)
    assert [member.backbone for member in small.members] == [m.backbone for m in whole.members]
    assert whole.members[2].pretrain_epochs == 8
    bare = write_recipe(tmp_path, {"m": "MobileNetV2"})
    with pytest.raises(SettingsError, match=r"has no \[small\] part"):
        load_recipe(bare, small=True)
