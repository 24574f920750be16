"""What a network says does not depend on how it is asked."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

import keras
from keras import layers

from tests.training.published import small_recipe
from training import answers as room
from training.answers import answers, both_labels
from training.config import AugmentRecipe
from training.fit import cosine
from training.progress import FEW
from training.train import compiled

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own


@pytest.mark.parametrize("count", [3, 9, 40])
def test_every_photo_is_answered_once_and_in_order(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few photos layer by layer, many by a traced graph, whose last batch is not full."""
    image = layers.Input((4, 6, 3), dtype="uint8")
    pooled = layers.GlobalAveragePooling2D()(layers.Rescaling(2.0)(image))
    network = keras.Model(image, pooled)
    shapes = []
    ask = network.predict_on_batch
    monkeypatch.setattr(network, "predict_on_batch", lambda x: shapes.append(len(x)) or ask(x))
    monkeypatch.setattr(room, "_AT_ONCE", 2 * 4 * 6)
    photos = np.random.default_rng(0).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)
    index = np.arange(count)[::-1]
    found = list(answers(network, photos, "said", batch=7, index=index))
    np.testing.assert_allclose(
        np.concatenate(found), 2.0 * photos[::-1].mean(axis=(1, 2)), rtol=1e-5
    )
    assert shapes == ([7] * 6 if count == 40 else [])  # one shape, one graph
    assert {len(each) for each in found[:-1]} <= {7 if count == 40 else 2}
    np.testing.assert_array_equal(
        np.concatenate(list(answers(network, photos, "said", batch=7))),
        np.concatenate(found)[::-1],
    )


def test_what_is_compared_comes_from_the_traced_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    image = layers.Input((4, 6, 3))
    network = keras.Model(image, layers.GlobalAveragePooling2D()(image))
    shapes = []
    ask = network.predict_on_batch
    monkeypatch.setattr(network, "predict_on_batch", lambda x: shapes.append(len(x)) or ask(x))
    photos = np.random.default_rng(0).random((9, 4, 6, 3), dtype=np.float32)
    for count in (2, 9):
        found = np.concatenate(list(answers(network, photos[:count], "s", batch=7, graph=True)))
        np.testing.assert_allclose(found, photos[:count].mean(axis=(1, 2)), rtol=1e-5)
    assert shapes == [2, 7, 7]


def test_a_sigmoid_says_both_labels() -> None:
    np.testing.assert_allclose(both_labels(np.array([[0.25]])), [[0.75, 0.25]])
    np.testing.assert_allclose(both_labels(np.array([[0.2, 0.8]])), [[0.2, 0.8]])


def test_few_steps_and_many_learn_the_same(tmp_path: Path) -> None:
    """A fit of a few steps runs layer by layer, a longer one as a traced graph."""
    recipe = replace(small_recipe(tmp_path), augment=AugmentRecipe())
    photos = np.random.default_rng(0).integers(0, 256, (8, 6, 6, 3)).astype(np.float32) / 255
    learned = []
    for steps in (FEW, FEW + 1):
        keras.utils.set_random_seed(1)
        image = layers.Input((6, 6, 3))
        x = layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(image))
        network = keras.Model(image, layers.Dense(3, activation="softmax")(x), name="n")
        model = compiled(network, recipe, recipe.fit, steps)
        assert model.run_eagerly == (steps == FEW)
        start = network.get_weights()
        model.fit(photos, np.eye(3)[np.arange(8) % 3], epochs=3, shuffle=False, verbose=0)
        learned.append(network.get_weights())
    for few, many, before in zip(*learned, start, strict=True):
        np.testing.assert_allclose(few, many, atol=1e-5)
        assert np.abs(few - before).max() > 1e-4


def test_a_fit_of_one_step_has_a_rate() -> None:
    """It is the warm-up alone; Keras refuses a decay of no steps."""
    rates = [float(cosine(1e-3, steps)(0)) for steps in (1, 2, 40)]
    assert rates == pytest.approx([1e-4] * 3)
    assert float(cosine(1e-3, 40)(2)) == pytest.approx(1e-3)  # warm after the first twentieth
