"""Heat maps: the right place, the right label, a picture with words."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.toy import graph, write_binary, write_bundle
from trapsort.bundle import load_bundle
from trapsort.ensemble import Classifier, Prediction
from trapsort.errors import PhotoError
from trapsort.explain import LONGEST, caption, explain, heat_map
from trapsort.session import open_session


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (400, 300)) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", size, colour).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    bundle = load_bundle(write_bundle(tmp_path_factory.mktemp("bundle") / "toy"))
    return Classifier(bundle, open_session(bundle))


def test_members_weigh_alike_and_negative_evidence_is_cut() -> None:
    maps = np.zeros((2, 3, 2, 2), np.float32)
    maps[0, 1] = [[100, 0], [0, -50]]  # a member with large scores
    maps[1, 1] = [[0, 0], [2, 0]]
    maps[:, 0] = 7  # another label
    np.testing.assert_allclose(heat_map(maps, 1), [[1, 0], [1, 0]])
    np.testing.assert_array_equal(heat_map(maps, 2), np.zeros((2, 2)))


def test_a_photo_is_drawn_upright_with_a_caption(classifier: Classifier) -> None:
    found = explain(jpeg((220, 10, 10)), classifier)
    assert (found.explained, found.prediction.label) == ("Lion", "Lion")
    assert found.picture.width == 400
    assert found.picture.height > 300
    assert found.heat.shape == (7, 7)
    large = explain(jpeg((10, 200, 10), (3000, 1500)), classifier)
    assert large.picture.width == LONGEST


def test_captions() -> None:
    top = (("Lion", 0.97), ("blank", 0.03))
    assert caption(Prediction("Lion", 0.97, None, top, ()), "Lion") == (
        "Lion, probability 97.0%; warm colours: what spoke for it"
    )
    assert caption(Prediction(None, 0.97, "novel", top, ()), "Lion") == (
        "unknown: unlike every photo that the bundle learned from (most probable: Lion, 97.0%)"
    )
    assert "no finite answer" in caption(Prediction(None, None, "unclassified", (), ()), "Lion")


def test_a_photo_that_cannot_be_read_says_why(classifier: Classifier) -> None:
    with pytest.raises(PhotoError, match="truncated"):
        explain(jpeg((1, 2, 3), (900, 900))[:700], classifier)


def test_a_graph_of_another_size_is_explained(tmp_path: Path) -> None:
    size = {"width": 320, "height": 96}
    bundle = load_bundle(write_bundle(tmp_path / "toy", graph((320, 96)), input=size))
    found = explain(jpeg((10, 10, 220)), Classifier(bundle, open_session(bundle)))
    assert (found.explained, found.picture.width, found.heat.shape) == ("Rhino", 400, (7, 7))


def test_a_bundle_of_two_labels_is_explained(tmp_path: Path) -> None:
    bundle = load_bundle(write_binary(tmp_path / "binary"))
    found = explain(jpeg((220, 10, 10)), Classifier(bundle, open_session(bundle)))
    assert (found.explained, found.prediction.label) == ("endangered", "endangered")
    assert found.heat.shape == (1, 1)
