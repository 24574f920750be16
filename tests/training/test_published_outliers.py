"""Filters of training photos: each with its reason, test photos never."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.training.published import draw_classes, draw_photo, small_recipe
from training.config import OutlierRecipe, PublishedRecipe
from training.outliers import (
    Centroids,
    Modes,
    OnnxClip,
    OnnxPersons,
    Persons,
    Semantics,
    centroid_distance,
    chain,
)
from training.prepared import Filter, PhotoSet, load_photos, prepare
from trapsort.errors import InputError


@pytest.fixture
def recipe(tmp_path: Path) -> PublishedRecipe:
    return small_recipe(tmp_path)


def left_out(folder: Path) -> dict[str, str]:
    with (folder / "photos.csv").open(newline="", encoding="utf-8") as stream:
        return {r["path"]: r["reason"] for r in csv.DictReader(stream) if r["part"] == "outlier"}


def test_grey_and_print_coloured_files_are_left_out_of_training_only(
    tmp_path: Path, recipe: PublishedRecipe
) -> None:
    data = draw_classes(tmp_path / "photos", 8)
    for number in range(8):
        draw_photo(data / "Lion" / f"{number + 30}.png", (9, 9, 9), 500 + number, mode="L")
    draw_photo(data / "Lion" / "50.tif", (9, 99, 9), 600, mode="CMYK", kind="TIFF")
    prepare(recipe, data, tmp_path, [("modes", Modes(("L", "CMYK")))])
    photos = load_photos(tmp_path)
    modes = [picture.mode for picture in photos.pictures]
    gone = left_out(tmp_path)
    assert set(gone.values()) <= {"mode L", "mode CMYK"}
    assert len(gone) >= 5
    for index in photos.development:
        assert modes[index] == "RGB"
    for index in photos.of("test"):  # what was drawn for the test part stays
        assert photos.paths[index] not in gone
    assert (photos.fold[photos.of("outlier")] == -1).all()
    assert any(modes[index] == "L" for index in photos.of("test"))


def test_the_distance_to_the_centroid_of_the_own_class() -> None:
    features = np.array([[0, 0], [2, 0], [10, 10], [10, 14]], np.float32)
    distance = centroid_distance(features, np.array([0, 0, 1, 1]))
    assert distance.tolist() == [1.0, 1.0, 2.0, 2.0]


def test_two_passes_by_percentile(tmp_path: Path, recipe: PublishedRecipe) -> None:
    data = draw_classes(tmp_path / "photos", 30)

    def brightness(photos: PhotoSet, index: NDArray[np.int64]) -> NDArray[np.float32]:
        return photos.pixels[index].mean(axis=(1, 2)).astype(np.float32)

    filters: list[tuple[str, Filter]] = [
        (f"centroid {p:g}", Centroids(brightness, p)) for p in (95.0, 97.5)
    ]
    prepare(recipe, data, tmp_path, filters)
    photos, gone = load_photos(tmp_path), left_out(tmp_path)
    assert len(photos.of("test")) == 20
    first = [reason for reason in gone.values() if "95th" in reason]
    second = [reason for reason in gone.values() if "97.5th" in reason]
    assert (len(first), len(second)) == (4, 2)  # 5 % of 70, 2.5 % of 66


def test_a_filter_that_empties_a_class_is_named(tmp_path: Path, recipe: PublishedRecipe) -> None:
    data = draw_classes(tmp_path / "photos", 6)
    for path in (data / "Rhino").iterdir():
        draw_photo(path, (9, 9, 9), int(path.stem) + 700, mode="L")
    with pytest.raises(InputError) as caught:
        prepare(recipe, data, tmp_path, [("modes", Modes(("L",)))])
    assert str(caught.value) == (
        "The filter modes leaves no training photo of Rhino.\n"
        "Make it milder in [outliers], or leave the class out."
    )


class Bright:
    """Takes bright photos for animals."""

    def shares(self, photos: NDArray[np.uint8], texts: Sequence[str]) -> NDArray[np.float32]:
        assert list(texts) == ["an animal", "a map"]
        animal = (photos.mean(axis=(1, 2, 3)) > 150).astype(np.float32)
        return np.stack([animal, 1 - animal], axis=1)

    def scores(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """A person detector of the same kind."""
        return self.shares(photos, ["an animal", "a map"])[:, 0]


def test_what_a_scorer_or_a_detector_says(tmp_path: Path, recipe: PublishedRecipe) -> None:
    prepare(recipe, draw_classes(tmp_path / "photos", 8), tmp_path, ())
    photos = load_photos(tmp_path)
    dark = {int(i) for i in photos.development if photos.labels[photos.label[i]] != "Arctic_Fox"}
    dark = {i for i in dark if photos.pixels[i].mean() <= 150}
    found = Semantics(Bright(), ("an animal",), ("a map",), 0.5)(photos)
    assert set(found) == dark
    assert set(found.values()) == {"animal only 0.00"}
    assert set(Persons(Bright(), 0.5)(photos)) == set(photos.development.tolist()) - dark


def test_only_what_is_supplied_is_in_the_chain(recipe: PublishedRecipe) -> None:
    wanted = OutlierRecipe(
        modes=("L",),
        animal=("an animal",),
        other=("a map",),
        percentiles=(95.0, 97.5),
        network="one",
    )
    recipe = replace(recipe, outliers=wanted)
    starts = {"one": "none"}
    names = [name for name, _ in chain(recipe, starts, None, None)]
    assert names == ["modes", "centroid 95", "centroid 97.5"]
    names = [name for name, _ in chain(recipe, starts, Bright(), Bright())]
    assert names == ["modes", "semantics", "persons", "centroid 95", "centroid 97.5"]
    assert chain(replace(recipe, outliers=None), starts, Bright(), Bright()) == []


def write_graph(path: Path, nodes: list[onnx.NodeProto], image: onnx.ValueInfoProto) -> None:
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", [image], [answer])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def test_an_onnx_clip(tmp_path: Path) -> None:
    """Vectors are the mean colours, normalised as CLIP normalises: red fits red."""
    image = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 3, 16, 16])
    pool = helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"])
    flat = helper.make_node("Flatten", ["pooled"], ["answer"])
    write_graph(tmp_path / "image.onnx", [pool, flat], image)
    np.savez(tmp_path / "texts.npz", red=np.array([1.0, -1, -1]), blue=np.array([-1.0, -1, 1]))
    photos = np.zeros((2, 8, 8, 3), np.uint8)
    photos[0, ..., 0] = photos[1, ..., 2] = 255
    clip = OnnxClip(tmp_path)
    shares = clip.shares(photos, ["red", "blue"])
    assert shares.sum(axis=1).tolist() == pytest.approx([1, 1])
    assert (shares.argmax(axis=1) == [0, 1]).all()
    white = (1 - np.array(OnnxClip.MEAN)) / OnnxClip.DEVIATION
    black = -np.array(OnnxClip.MEAN) / OnnxClip.DEVIATION
    seen = np.array([white[0], black[1], black[2]])
    cosine = [seen @ v / np.linalg.norm(seen) / 3**0.5 for v in ([1, -1, -1], [-1, -1, 1])]
    expected = 1 / (1 + np.exp(OnnxClip.SCALE * (cosine[1] - cosine[0])))
    assert shares[0, 0] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(InputError) as caught:
        clip.shares(photos, ["green"])
    assert str(caught.value) == (
        f"{tmp_path / 'texts.npz'} has no vector for 'green'.\n"
        "Add it, or take the text out of [outliers]."
    )


def test_an_onnx_person_detector(tmp_path: Path) -> None:
    image = helper.make_tensor_value_info("photos", TensorProto.UINT8, ["N", 4, 4, 3])
    cast = helper.make_node("Cast", ["photos"], ["single"], to=TensorProto.FLOAT)
    highest = helper.make_node("ReduceMax", ["single", "axes"], ["most"], keepdims=0)
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1, 2, 3])
    full = helper.make_node("Constant", [], ["full"], value_float=255.0)
    divided = helper.make_node("Div", ["most", "full"], ["answer"])
    write_graph(tmp_path / "p.onnx", [cast, axes, highest, full, divided], image)
    photos = np.zeros((3, 8, 8, 3), np.uint8)
    photos[1] = 51
    photos[2] = 255
    scores = OnnxPersons(tmp_path / "p.onnx").scores(photos)
    assert scores.tolist() == pytest.approx([0.0, 0.2, 1.0])
    with pytest.raises(InputError, match="cannot be run"):
        OnnxPersons(tmp_path / "none.onnx")
