"""Scores: put together, parted, and when a call is close."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.toy import LABELS, write_bundle
from trapsort.bundle import Bundle, load_bundle
from trapsort.scores import Scores, answered_again, is_close, joined


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The toy bundle: Lion, Panda, Rhino, and three rejections."""
    return load_bundle(write_bundle(tmp_path_factory.mktemp("bundle") / "toy"))


def row(**shares: float) -> np.ndarray:
    """Probabilities (1, labels); what is left is spread over the labels that are not named."""
    rest = (1 - sum(shares.values())) / (len(LABELS) - len(shares))
    return np.array([[shares.get(label, rest) for label in LABELS]], np.float32)


@pytest.mark.parametrize(
    ("shares", "close"),
    [
        ({"Lion": 0.5, "Panda": 0.45}, True),
        ({"Panda": 0.45, "Lion": 0.5}, True),
        ({"Lion": 0.5, "Panda": 0.35}, False),
        ({"Lion": 0.46, "blank": 0.5}, True),
        ({"Lion": 0.5, "blank": 0.46}, True),
        ({"vehicle": 0.46, "blank": 0.5}, False),  # no species either way
        ({"vehicle": 0.36, "blank": 0.4, "Lion": 0.2}, False),
        ({"Lion": 0.99}, False),
    ],
)
def test_a_call_is_close_where_a_species_hangs_on_little(
    shares: dict[str, float], *, close: bool, bundle: Bundle
) -> None:
    assert is_close(row(**shares), bundle, 0.1).tolist() == [close]


def test_each_photo_of_a_batch_is_judged_for_itself(bundle: Bundle) -> None:
    batch = np.concatenate([row(Lion=0.9), row(Lion=0.5, Panda=0.45), row(blank=0.5)])
    assert is_close(batch, bundle, 0.1).tolist() == [False, True, False]
    assert is_close(batch, bundle, 0.0).tolist() == [False, False, False]


def test_masked_labels_make_no_call_close(bundle: Bundle) -> None:
    shares = row(Lion=0.5, Panda=0.45)
    assert not is_close(shares, replace(bundle, masked=frozenset({"Panda"})), 0.1)[0]
    hidden = row(Lion=0.28, Panda=0.41, Rhino=0.27)
    assert not is_close(hidden, bundle, 0.1)[0]
    assert is_close(hidden, replace(bundle, masked=frozenset({"Panda"})), 0.1)[0]


def test_a_site_profile_makes_no_call_close(bundle: Bundle) -> None:
    shares = row(Lion=0.55, Panda=0.43)
    assert not is_close(shares, replace(bundle, temperature=5.0), 0.1)[0]


def test_what_is_not_finite_is_not_close(bundle: Bundle) -> None:
    with np.errstate(all="raise"):
        assert not is_close(np.full((1, len(LABELS)), np.nan, np.float32), bundle, 0.9)[0]


def scores(count: int, value: float, *, other: bool, again: bool = False) -> Scores:
    """Scores of some photos that say a number everywhere."""
    return Scores(
        np.full((count, 6), value, np.float32),
        np.full((count, 3, 6), value, np.float32),
        np.full((count, 2), value, np.float32),
        np.full((count, 3), value, np.float32) if other else None,
        np.ones(count, bool) if again else None,
    )


@pytest.mark.parametrize("other", [True, False])
def test_what_was_asked_again_takes_the_place_of_what_was_close(*, other: bool) -> None:
    before = scores(3, 1.0, other=other)
    close = np.array([False, True, False])
    after = answered_again(before, close, scores(1, 2.0, other=other))
    expected = np.array([1.0, 2.0, 1.0], np.float32)
    assert after.again is close
    for name in ("probabilities", "members", "features") + ("other",) * other:
        found = getattr(after, name)
        assert found.dtype == np.float32
        assert (found.reshape(3, -1) == expected[:, None]).all(), name
        assert (getattr(before, name) == 1).all(), "the scores before stay as they are"
    assert (after.other is None) is not other


def test_scores_are_joined_and_parted(bundle: Bundle) -> None:
    whole = joined([scores(2, 1.0, other=True), scores(1, 2.0, other=True, again=True)])
    assert whole.probabilities.shape == (3, 6)
    assert whole.again is not None
    assert whole.again.tolist() == [False, False, True]
    last = whole.part(np.array([2, 0]))
    assert last.features[:, 0].tolist() == [2.0, 1.0]
    assert last.other is not None
    assert last.other.shape == (2, 3)
    assert last.again is not None
    assert last.again.tolist() == [True, False]
    plain = joined([scores(1, 1.0, other=False)] * 2).part(np.array([1]))
    assert (plain.other, plain.again) == (None, None)
