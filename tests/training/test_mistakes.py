"""The report's mistakes, made on purpose."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

from training.mistakes import member_votes, read_otherwise, table, twice


def test_labels_in_another_alphabetical_order() -> None:
    labels = ("Arctic_Fox", "Lion", "Panda", "cheetahs")
    assert read_otherwise(np.array([0, 1, 2, 3]), labels) == [
        "Arctic_Fox",
        "cheetahs",
        "Lion",
        "Panda",
    ]


@pytest.mark.filterwarnings("ignore")  # Keras's own
def test_preprocessing_twice_is_once_more_before_the_network() -> None:
    import keras
    from keras import layers

    def halve(image: object) -> object:
        return layers.Rescaling(0.5)(image)

    image = layers.Input((2, 2, 3), dtype="uint8")
    inside = layers.Input((2, 2, 3))
    base = keras.Model(inside, layers.Rescaling(10.0)(inside))
    network = keras.Model(image, base(halve(image)))
    photos = np.full((1, 2, 2, 3), 8, np.uint8)
    assert np.asarray(network(photos)).tolist() == np.full((1, 2, 2, 3), 40.0).tolist()
    assert (
        np.asarray(twice(network, halve)(photos)).tolist() == np.full((1, 2, 2, 3), 20.0).tolist()
    )
    dense = ((np.eye(3, dtype=np.float32) * [1, 0, 0], np.zeros(3, np.float32)),)
    said = member_votes(network, dense, photos, "m")
    assert said[0, 0] == pytest.approx(1.0)


def test_the_table_has_both_figures_side_by_side() -> None:
    figures = {
        "right": 0.95,
        "meta_learner": 0.97,
        "preprocessed_twice": 0.1,
        "label_order": 0.3,
    }
    assert table(figures).splitlines() == [
        "| mistake | with it | without |",
        "| --- | --- | --- |",
        "| meta-learner fitted and scored on the same test photos | 97.00% | 95.00% |",
        "| preprocessing applied twice | 10.00% | 95.00% |",
        "| labels read in another alphabetical order | 30.00% | 95.00% |",
    ]
