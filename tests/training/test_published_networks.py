"""Networks of the published systems: their counts, and that the exported graph is the network."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

import keras
import onnx
from keras import layers

from tests.training.published import RECIPES
from training.config import InputRecipe, NetworkRecipe, load_published
from training.export import GRAPH, compare
from training.gradcam import graph_maps, normalised, tape_maps
from training.graph import MemberGraph, fuse
from training.networks import (
    base_of,
    build_base,
    build_network,
    parameters,
    preprocess,
    unfreeze_last,
)
from training.publish import convert
from trapsort.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's and Keras's own

COUNTS = {
    # backbone: (layers without its top, its parameters) as Keras documents them
    "VGG16": (19, 14_714_688),
    "ResNet50V2": (190, 23_564_800),
    "ResNet50": (175, 23_587_712),
    "MobileNetV2": (154, 2_257_984),
    "EfficientNetB0": (237, 4_049_571),
    "EfficientNetB4": (474, 17_673_823),
}


def test_the_families_network_has_the_published_parameters() -> None:
    recipe = load_published(RECIPES / "rare-families.toml")
    assert (recipe.input.width, recipe.input.height) == (500, 375)
    network = build_network(recipe.networks[0], recipe.input, 202, weights="none")
    assert parameters(network) == (18_878_193, 1_200_786)
    assert network.input_shape == (None, 375, 500, 3)
    assert network.output_shape == (None, 202)
    assert len(base_of(network).layers) == COUNTS["EfficientNetB4"][0]
    unfreeze_last(base_of(network), 5)
    learned = [layer.name for layer in base_of(network).layers if layer.trainable_weights]
    assert learned == ["top_conv"]  # the batch norm behind it stays as it is


@pytest.mark.parametrize(
    ("recipe", "name", "labels", "total", "learned"),
    [
        # constants of VGG16's and ResNet50's preprocessing: a 1x1 convolution of 12 numbers
        ("iucn11-published", "vgg16", 11, 14_714_688 + 12 + 74_635, 12_979_200 + 74_635),
        ("iucn11-published", "resnet50v2", 11, 23_564_800 + 22_539, 22_539),
        ("iucn11-published", "efficientnetb0", 11, 4_049_571 + 14_091, 14_091),
        ("rare-binary", "mobilenetv2", 2, 2_257_984 + 1_281, 1_281),
        ("rare-binary", "efficientnetb0", 2, 4_049_571 + 1_281, 1_281),
        ("three-animals", "resnet50", 3, 23_587_712 + 12 + 6_147, 6_147),
    ],
)
def test_parameters_of_the_others(
    recipe: str, name: str, labels: int, total: int, learned: int
) -> None:
    whole = load_published(RECIPES / f"{recipe}.toml")
    own = whole.network(name)
    network = build_network(own, whole.input, labels, weights="none", binary=whole.binary)
    assert parameters(network) == (total, learned)
    assert len(base_of(network).layers) == COUNTS[own.backbone][0]
    assert base_of(network).count_params() == COUNTS[own.backbone][1]
    assert network.output_shape == (None, 1 if whole.binary else labels)


def test_the_first_ten_layers_of_vgg16_are_frozen() -> None:
    network = build_network(
        NetworkRecipe("vgg16", "VGG16", frozen="first 10"), InputRecipe(32, 32), 3, weights="none"
    )
    assert [layer.trainable for layer in base_of(network).layers] == [False] * 10 + [True] * 9


@pytest.mark.parametrize("backbone", COUNTS)
def test_photos_are_preprocessed_once_and_as_keras_does_it(backbone: str) -> None:
    import sys

    photos = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    image = layers.Input((8, 8, 3))
    shown = preprocess(image, backbone)
    found = photos if shown is image else np.asarray(keras.Model(image, shown)(photos))
    module = sys.modules[getattr(keras.applications, backbone).__module__]
    np.testing.assert_allclose(found, module.preprocess_input(photos.copy()), atol=2e-4)


def test_an_unknown_backbone_is_named() -> None:
    with pytest.raises(InputError, match=r"keras.applications has no backbone 'VGG11'\."):
        build_base(NetworkRecipe("v", "VGG11"), InputRecipe(), "none")


@pytest.fixture(scope="module")
def photos(request: pytest.FixtureRequest) -> NDArray[np.uint8]:
    """Photos with structure, real ones where there are some, 64 wide and 48 high."""
    from training.sources import PICTURES
    from trapsort.decode import decode

    try:
        shared: Path = request.getfixturevalue("shared")
    except pytest.skip.Exception:
        rng = np.random.default_rng(3)
        coarse = rng.integers(0, 256, (8, 12, 16, 3), dtype=np.uint8)
        return coarse.repeat(4, axis=1).repeat(4, axis=2)
    files = sorted(p for p in (shared / "species11").glob("*/0*") if p.suffix in PICTURES)
    return np.stack(
        [decode(p.read_bytes(), (64, 48)).model_input for p in files[:: len(files) // 8][:8]]
    )


def alive(network: keras.Model, photos: NDArray[np.uint8]) -> None:
    """Let batch norms see the photos, as trained ones have, and make the scores differ by some 2.

    By more, what two libraries round otherwise would be more than what they compute otherwise.
    """
    norms = [x for x in network._flatten_layers() if isinstance(x, layers.BatchNormalization)]
    frozen = base_of(network).trainable
    base_of(network).trainable = True
    for norm in norms:
        norm.momentum = 0.0
    for _ in range(2):
        network(photos.astype(np.float32), training=True)
    base_of(network).trainable = frozen
    said = np.asarray(network(photos.astype(np.float32)), np.float64)
    other = 1 - said if said.shape[1] == 1 else said.mean(axis=1, keepdims=True)
    spread = np.log(said / other).std()
    scores = network.get_layer("scores")
    scores.set_weights([2 / spread * array for array in scores.get_weights()])


HEADS = {
    "VGG16": NetworkRecipe("n", "VGG16", frozen="first 10", dense=(16, 8), dropout=0.3),
    "ResNet50V2": NetworkRecipe("n", "ResNet50V2", dropout=0.3),
    "ResNet50": NetworkRecipe("n", "ResNet50", pooling="flatten"),
    "MobileNetV2": NetworkRecipe("n", "MobileNetV2", pooling="flatten", dense=(12,)),
    "EfficientNetB0": NetworkRecipe("n", "EfficientNetB0", dropout=0.3),
    "EfficientNetB4": NetworkRecipe("n", "EfficientNetB4", batch_norm=True, dense=(20,)),
}


@pytest.mark.parametrize("backbone", HEADS)
def test_the_graph_answers_and_explains_what_keras_does(
    backbone: str, photos: NDArray[np.uint8], tmp_path: Path
) -> None:
    """Probabilities to 1e-4, Grad-CAM to 1e-3 of its range, of every kind of head."""
    keras.utils.set_random_seed(1)
    binary = backbone == "EfficientNetB0"
    network = build_network(HEADS[backbone], InputRecipe(64, 48), 3, weights="none", binary=binary)
    alive(network, photos)
    network.save(tmp_path / "n.keras")
    converted = convert(tmp_path / "n.keras", photos, tmp_path / "n.onnx")
    labels = 2 if binary else 3
    member = MemberGraph("n", onnx.load(tmp_path / "n.onnx"), converted.dense, converted.flat)
    model = fuse([member], stack=None, whitening=None, labels=labels, size=(64, 48), small=False)
    assert [value.name for value in model.graph.input] == ["image"]
    path = tmp_path / GRAPH
    path.write_bytes(model.SerializeToString())
    expected = {"probabilities": converted.keras, "members": converted.keras[:, None]}
    compare(path, photos, expected)
    assert converted.keras.std(axis=0).max() > 0.01  # photos differ, or nothing was compared
    label = np.arange(len(photos)) % labels
    tape = tape_maps(network, photos, label)
    graph = graph_maps(path, photos, label)[:, 0]
    span = np.abs(tape).max(axis=(1, 2), keepdims=True)
    assert (span > 0).all()
    assert np.abs(graph - tape).max() / span.max() < 1e-3
    shown = (tape > 0).any(axis=(1, 2))
    assert shown.any()
    assert np.abs(normalised(graph)[shown] - normalised(tape)[shown]).max() < 1e-3
