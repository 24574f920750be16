"""Photos and labels of a user: layouts, duplicates, splits, and what is said of bad ones."""

from __future__ import annotations

import csv
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.training.published import COLOURS, RECIPES, draw_classes, draw_photo, small_recipe
from training import small_data
from training.config import PublishedRecipe, SourceRecipe, load_published, recipe_kind
from training.division import check_enough, split
from training.leakage import LeakageError
from training.pictures import decode_all
from training.prepared import load_photos, prepare
from training.sources import listing, read_source, taxonomy
from trapsort.errors import InputError

SOURCE = SourceRecipe(test=0.2, validation=0.2)


def write_csv(path: Path, columns: list[str], rows: list[list[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([columns, *rows])
    return path


@pytest.fixture
def recipe(tmp_path: Path) -> PublishedRecipe:
    return small_recipe(tmp_path)


def test_class_folders(tmp_path: Path) -> None:
    photos = read_source(draw_classes(tmp_path / "photos", 3), SOURCE)
    assert Counter(photo.label for photo in photos) == dict.fromkeys(COLOURS, 3)
    assert len({photo.group for photo in photos}) == 9


def test_a_csv_with_sites_and_a_split(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "labels.csv",
        ["path", "label", "group", "site", "split"],
        [["a.jpg", "Lion", "g1", "north", "train"], ["b.jpg", "Rhino", "g2", "", "Val"]],
    )
    lion, rhino = read_source(path, SOURCE)
    assert (lion.path, lion.group, lion.part) == (tmp_path / "a.jpg", "north", "train")
    assert (rhino.group, rhino.part) == ("g2", "validation")


def test_the_layout_of_the_rare_species_metadata(tmp_path: Path) -> None:
    columns = ["rare_species_id", "eol_content_id", "kingdom", "phylum", "family", "file_path"]
    rows = [
        ["1", "9", "Animalia", "Chordata", "Felidae", "chordata_felidae/1.jpg"],
        ["2", "8", "Animalia", "Cnidaria", "Acroporidae", "cnidaria_acroporidae/2.jpg"],
    ]
    path = write_csv(tmp_path / "metadata.csv", columns, rows)
    photos = read_source(path, replace(SOURCE, target="family"))
    assert [photo.label for photo in photos] == ["Felidae", "Acroporidae"]
    assert photos[1].path == tmp_path / "cnidaria_acroporidae" / "2.jpg"
    assert taxonomy(photos)["Acroporidae"] == {
        "kingdom": "Animalia",
        "phylum": "Cnidaria",
        "family": "Acroporidae",
    }
    assert read_source(tmp_path, replace(SOURCE, target="family")) == photos


def test_endangered_by_the_red_list_by_the_recipe_and_by_a_column(tmp_path: Path) -> None:
    source = replace(SOURCE, target="endangered", category={"elk": "LC", "blank": "none"})
    rows = [["a", "Orangutan"], ["b", "Arctic_Fox"], ["c", "elk"], ["d", "blank"]]
    path = write_csv(tmp_path / "a.csv", ["path", "label"], rows)
    said = [(photo.path.name, photo.label) for photo in read_source(path, source)]
    assert said == [("a", "endangered"), ("b", "not_endangered"), ("c", "not_endangered")]
    path = write_csv(tmp_path / "b.csv", ["path", "category"], [["a", "CR"], ["b", "NT"]])
    assert [p.label for p in read_source(path, source)] == ["endangered", "not_endangered"]


def test_endangered_by_the_scientific_name(tmp_path: Path) -> None:
    """The layout of the public "rare species" catalogue, which has neither label nor category."""
    columns = ["rare_species_id", "phylum", "family", "sciName", "file_name"]
    rows = [
        ["1", "Chordata", "Hominidae", "Pan troglodytes", "a.jpg"],
        ["2", "Chordata", "Canidae", "Vulpes lagopus", "b.jpg"],
        ["3", "Chordata", "Felidae", "Lynx rufus", "c.jpg"],
    ]
    path = write_csv(tmp_path / "metadata.csv", columns, rows)
    source = replace(SOURCE, target="endangered", category={"Lynx rufus": "LC"})
    said = [photo.label for photo in read_source(path, source)]
    assert said == ["endangered", "not_endangered", "not_endangered"]


def test_only_the_labels_that_a_recipe_names(tmp_path: Path) -> None:
    data = draw_classes(tmp_path / "photos", 3)
    some = read_source(data, replace(SOURCE, labels=("Lion", "Rhino")))
    assert Counter(photo.label for photo in some) == {"Lion": 3, "Rhino": 3}
    with pytest.raises(InputError) as caught:
        read_source(data, replace(SOURCE, labels=("Dodo",)))
    assert str(caught.value).startswith(f"{data} holds no photo with a label of Dodo.\n")


def test_a_changed_photo_of_a_csv_is_another_source(tmp_path: Path) -> None:
    draw_classes(tmp_path / "photos", 3)
    rows = [[f"{label}/{n:02d}.png", label] for label in COLOURS for n in range(3)]
    path = write_csv(tmp_path / "photos" / "a.csv", ["path", "label"], rows)
    before = listing(read_source(path, SOURCE))
    assert listing(read_source(path, SOURCE)) == before
    draw_photo(tmp_path / "photos" / "Lion" / "00.png", (1, 2, 3), 77)
    assert listing(read_source(path, SOURCE)) != before


def test_an_unknown_category_is_named(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", ["path", "label"], [["a", "unicorn"]])
    with pytest.raises(InputError) as caught:
        read_source(path, replace(SOURCE, target="endangered"))
    assert str(caught.value) == (
        f"{path}: the IUCN category of 'unicorn' is unknown.\n"
        "Add it to [source.category] of the recipe, or a column `category` to the CSV."
    )


@pytest.mark.parametrize(
    ("columns", "target", "missing"),
    [
        (["label"], "label", "path"),
        (["path"], "label", "label"),
        (["file_path", "phylum"], "family", "family"),
    ],
)
def test_a_missing_column_is_named(
    tmp_path: Path, columns: list[str], target: str, missing: str
) -> None:
    path = write_csv(tmp_path / "a.csv", columns, [["x"] * len(columns)])
    with pytest.raises(InputError) as caught:
        read_source(path, replace(SOURCE, target=target))
    assert str(caught.value).startswith(
        f"{path} has no column {missing!r}; it has: {', '.join(columns)}.\n"
    )


def test_a_class_with_two_photos_is_refused_before_anything_is_decoded(
    tmp_path: Path, recipe: PublishedRecipe
) -> None:
    data = draw_classes(tmp_path / "photos", 6)
    for path in sorted((data / "Lion").iterdir())[2:]:
        path.unlink()
    with pytest.raises(InputError) as caught:
        prepare(recipe, data, tmp_path, ())
    assert str(caught.value) == (
        "Class Lion has only 2 photos.\nGive at least 3, or leave the class out."
    )
    assert not (tmp_path / "pixels.npy").exists()


def test_one_site_a_class_is_refused(tmp_path: Path, recipe: PublishedRecipe) -> None:
    draw_classes(tmp_path / "photos", 4)
    rows = [[f"{label}/{n:02d}.png", label, label] for label in COLOURS for n in range(4)]
    path = write_csv(tmp_path / "photos" / "a.csv", ["path", "label", "site"], rows)
    with pytest.raises(InputError) as caught:
        prepare(recipe, path, tmp_path, ())
    assert str(caught.value).startswith(
        "The 4 photos of class Arctic_Fox are only 1 separate groups or sites.\n"
    )


def test_photos_that_cannot_be_read_are_named(tmp_path: Path, recipe: PublishedRecipe) -> None:
    data = draw_classes(tmp_path / "photos", 6)
    (data / "Lion" / "03.png").write_bytes(b"no picture")
    with pytest.raises(InputError) as caught:
        prepare(recipe, data, tmp_path, ())
    assert str(caught.value) == (
        "1 of 18 photos cannot be read:\n"
        f"{data / 'Lion' / '03.png'}: not_an_image: "
        "the content is not that of an image file\nMend them or leave them out."
    )


def test_a_heic_photo_in_a_csv(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    draw_photo(tmp_path / "a.png", (9, 99, 9), 1)
    heif.from_pillow(Image.open(tmp_path / "a.png")).save(tmp_path / "a.heic")
    path = write_csv(tmp_path / "a.csv", ["path", "label"], [["a.heic", "Lion"]])
    (picture,) = decode_all(read_source(path, SOURCE), np.zeros((1, 32, 40, 3), np.uint8))
    assert (picture.width, picture.height, picture.mode) == (60, 40, "RGB")


def test_duplicates_by_file_and_by_decoded_picture(tmp_path: Path, recipe: PublishedRecipe) -> None:
    data = draw_classes(tmp_path / "photos", 6)
    shutil.copyfile(data / "Lion" / "00.png", data / "Lion" / "10.png")
    with Image.open(data / "Lion" / "01.png") as image:
        image.save(data / "Lion" / "11.bmp")  # other bytes, the same picture
    draw_photo(data / "Rhino" / "20.png", (1, 2, 3), 900)
    draw_photo(data / "Lion" / "20.png", (1, 2, 3), 900)  # one picture, two labels
    prepare(recipe, data, tmp_path, ())
    photos = load_photos(tmp_path)
    assert Counter(photos.labels[k] for k in photos.label) == dict.fromkeys(COLOURS, 6)
    with (tmp_path / "duplicates.csv").open(newline="", encoding="utf-8") as stream:
        left_out = {Path(r["path"]).name: r["same_as"] for r in csv.DictReader(stream)}
    assert left_out == {
        "10.png": str(data / "Lion" / "00.png"),
        "11.bmp": str(data / "Lion" / "01.png"),
        "20.png": "",
    }
    with Image.open(photos.paths[-1]) as image:
        assert photos.pictures[-1].width == image.width  # rows behind a gap are still their own


def test_no_group_is_on_two_sides_of_any_split(tmp_path: Path, recipe: PublishedRecipe) -> None:
    draw_classes(tmp_path / "photos", 30)
    rows = [
        [f"{label}/{n:02d}.png", label, f"{label}{n // 3}"] for label in COLOURS for n in range(30)
    ]
    path = write_csv(tmp_path / "photos" / "a.csv", ["path", "label", "site"], rows)
    photos, fold = split(read_source(path, recipe.source), recipe)
    parts = Counter(photo.part for photo in photos)
    assert (parts["train"], parts["validation"], parts["test"]) == (54, 18, 18)
    for labels in ([photo.part for photo in photos], fold.tolist()):
        sides = {(photo.group, side) for photo, side in zip(photos, labels, strict=True)}
        assert len(sides) == len({photo.group for photo in photos})
    test = np.array([photo.part == "test" for photo in photos])
    assert (fold[test] == -1).all()
    assert set(fold[~test]) == {0, 1}
    for label in COLOURS:
        assert sum(photo.part == "test" for photo in photos if photo.label == label) == 6


def test_a_share_comes_out_as_it_was_asked_for(tmp_path: Path, recipe: PublishedRecipe) -> None:
    """70, 10 and 20 %, as `three-animals` wants them: a tenth of all is an eighth of the rest."""
    source = replace(recipe.source, test=0.2, validation=0.1, folds=0)
    photos = read_source(draw_classes(tmp_path / "photos", 40), source)
    divided, _ = split(photos, replace(recipe, source=source))
    parts = Counter(photo.part for photo in divided)
    assert parts == {"train": 84, "validation": 12, "test": 24}


def test_twins_in_two_groups_stay_on_one_side(tmp_path: Path, recipe: PublishedRecipe) -> None:
    """A copied frame joins its group to the other: no side may know a neighbour of the other."""
    data = draw_classes(tmp_path / "photos", 12)
    for number in range(6):
        shutil.copyfile(data / "Lion" / f"{number:02d}.png", data / "Lion" / f"{number + 20}.png")
    rows = [[f"{label}/{n:02d}.png", label, f"{label}{n}"] for label in COLOURS for n in range(12)]
    rows += [[f"Lion/{n + 20}.png", "Lion", f"Lion{n + 6}"] for n in range(6)]
    path = write_csv(data / "a.csv", ["path", "label", "group"], rows)
    prepare(recipe, path, tmp_path, ())
    photos = load_photos(tmp_path)
    part = {
        Path(p).name: side for p, side in zip(photos.paths, photos.part, strict=True) if "Lion" in p
    }
    assert len(part) == 12
    for number in range(6):
        assert part[f"{number:02d}.png"] == part[f"{number + 6:02d}.png"]


def test_a_given_split_that_tears_a_group_apart_is_refused(
    tmp_path: Path, recipe: PublishedRecipe
) -> None:
    draw_classes(tmp_path / "photos", 4)
    rows = [
        [f"{label}/{n:02d}.png", label, f"{label}{n // 2}", ("train", "test")[n % 2]]
        for label in COLOURS
        for n in range(4)
    ]
    path = write_csv(tmp_path / "photos" / "a.csv", ["path", "label", "group", "split"], rows)
    with pytest.raises(InputError) as caught:
        split(read_source(path, recipe.source), recipe)
    assert str(caught.value) == (
        "The group or site 'Arctic_Fox0' is on two sides of the split: train and test.\n"
        "Put all photos of a group or site on one side."
    )


def test_a_step_that_touches_a_test_photo_is_stopped(
    tmp_path: Path, recipe: PublishedRecipe
) -> None:
    prepare(recipe, draw_classes(tmp_path / "photos", 8), tmp_path, ())
    photos = load_photos(tmp_path)
    recorded = (tmp_path / "test-digests.txt").read_text(encoding="utf-8").split()
    assert recorded == sorted(photos.pictures[i].shown for i in photos.of("test"))
    assert (photos.learning(photos.development, "fit") == photos.development).all()
    one = photos.of("test")[:1]
    with pytest.raises(LeakageError) as caught:
        photos.learning(np.concatenate([photos.development, one]), "fit")
    assert str(caught.value) == (
        f"The step fit was about to use the test photo {photos.paths[one[0]]}.\n"
        "Run prepare anew; nothing was learned from it."
    )
    moved = replace(photos, part=np.where(photos.part == "test", "train", photos.part))
    with pytest.raises(LeakageError):  # the digests are the judge, not the column
        moved.learning(moved.development, "fit")


def test_the_demonstration_draws_what_every_recipe_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_data, "EACH", 8)
    done = CliRunner().invoke(
        small_data.main, [str(tmp_path / "d"), "--photos", str(tmp_path / "absent")]
    )
    assert done.exit_code == 0, done.output
    demonstrated = {
        "three-animals": ("three-animals", 3),
        "rare-binary": ("", 2),
        "iucn11-published": ("", 11),
        "iucn11-trio": ("", 11),
        "rare-families": ("rare-species", 11),
        "vgg16-small": ("", 4),
    }
    published = {path.stem for path in RECIPES.glob("*.toml") if recipe_kind(path)}
    assert demonstrated.keys() == published
    makefile = (RECIPES.parents[1] / "Makefile").read_text(encoding="utf-8")
    for name, (data, labels) in demonstrated.items():
        recipe = load_published(RECIPES / f"{name}.toml", small=True)
        photos = read_source(tmp_path / "d" / data, recipe.source)
        assert len({photo.label for photo in photos}) == labels
        check_enough(photos, recipe.source.folds)
        assert all(photo.path.is_file() for photo in photos)
        assert f"$(call recipe,{name},{data})" in makefile
