"""A Keras network as an ONNX graph: what it says, and that no fault in between is passed over."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("tensorflow", reason="the training packages are not installed")

import keras
import onnxruntime
from keras import layers

from training.conversion import to_onnx

pytestmark = pytest.mark.filterwarnings("ignore")  # TensorFlow's, Keras's and tf2onnx's own


@pytest.fixture(scope="module")
def network() -> keras.Model:
    image = layers.Input((8, 6, 3), dtype="uint8", name="image")
    return keras.Model(image, layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(image)))


def test_the_graph_answers_what_the_network_does(network: keras.Model) -> None:
    photos = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 3), dtype=np.uint8)
    graph = to_onnx(network).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    said = session.run(None, {"image": photos})[0]
    np.testing.assert_allclose(said, np.asarray(network(photos)), atol=1e-5)


def test_a_pass_that_fails_is_a_fault(
    network: keras.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else tf2onnx copies the graph before each pass, so as to go on without it."""
    from tf2onnx import optimizer

    class Failing:
        def optimize(self, graph: object, iteration: int) -> None:
            raise ArithmeticError("a pass failed")

    monkeypatch.setitem(optimizer._optimizers, "remove_identity", Failing)
    with pytest.raises(ArithmeticError, match="a pass failed"):
        to_onnx(network)
