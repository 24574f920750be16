"""The decision: a species, or the first reason against one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.toy import LABELS, MEMBERS, manifest, write_bundle
from trapsort.bundle import Bundle, load_bundle
from trapsort.ensemble import REASON_CODES, Prediction, agreement, decide, novelty
from trapsort.session import Scores


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return load_bundle(write_bundle(tmp_path_factory.mktemp("bundle") / "toy"))


def one_hot(label: str, probability: float) -> np.ndarray:
    """`probability` for a label, the rest spread evenly."""
    row = np.full(len(LABELS), (1 - probability) / (len(LABELS) - 1), np.float32)
    row[LABELS.index(label)] = probability
    return row


def decided(
    bundle: Bundle,
    best: str,
    probability: float = 0.9,
    *,
    votes: tuple[str, str, str] | None = None,
    features: tuple[float, float, float] = (1.0, 0.0, 0.0),
) -> Prediction:
    members = np.stack([one_hot(vote, 0.8) for vote in votes or (best,) * 3])
    scores = Scores(
        one_hot(best, probability)[None], members[None], np.array([features], np.float32)
    )
    (prediction,) = decide(scores, bundle)
    return prediction


@pytest.mark.parametrize(
    ("best", "probability", "votes", "features", "label", "reason"),
    [
        ("Lion", 0.9, None, (1, 0, 0), "Lion", None),
        ("Lion", 0.6, None, (1, 0, 0), "Lion", None),
        ("Lion", 0.59, None, (1, 0, 0), None, "low_confidence"),
        ("Lion", 0.9, ("Lion", "Lion", "Panda"), (1, 0, 0), "Lion", None),
        ("Lion", 0.9, ("Lion", "Rhino", "Panda"), (1, 0, 0), None, "members_disagree"),
        ("Lion", 0.9, None, (4, 0, 0), None, "novel"),
        ("blank", 0.99, None, (1, 0, 0), None, "blank"),
        ("vehicle", 0.4, None, (9, 9, 9), None, "vehicle"),
        ("other_animal", 0.9, None, (1, 0, 0), None, "other_animal"),
        # the first test that fails gives the reason
        ("Lion", 0.5, ("Panda", "Rhino", "blank"), (9, 0, 0), None, "low_confidence"),
        ("Lion", 0.7, ("Panda", "Rhino", "blank"), (9, 0, 0), None, "members_disagree"),
    ],
)
def test_rule(
    bundle: Bundle,
    best: str,
    probability: float,
    votes: tuple[str, str, str] | None,
    features: tuple[float, float, float],
    label: str | None,
    reason: str | None,
) -> None:
    prediction = decided(bundle, best, probability, votes=votes, features=features)
    assert (prediction.label, prediction.reason) == (label, reason)
    assert prediction.probability == pytest.approx(probability, abs=1e-6)
    assert prediction.top[0] == (best, prediction.probability)
    assert reason is None or reason in REASON_CODES


def test_top_and_members_say_it_all(bundle: Bundle) -> None:
    prediction = decided(bundle, "Panda", votes=("Panda", "Lion", "Panda"), features=(0, 1, 0))
    assert [label for label, _ in prediction.top] == ["Panda", *[x for x in LABELS if x != "Panda"]]
    assert sum(p for _, p in prediction.top) == pytest.approx(1, abs=1e-6)
    assert [(name, label) for name, label, _ in prediction.members] == [
        (MEMBERS[0], "Panda"),
        (MEMBERS[1], "Lion"),
        (MEMBERS[2], "Panda"),
    ]
    assert [p for _, _, p in prediction.members] == pytest.approx([0.8] * 3)


def test_a_witness_that_is_sure_of_another_animal_is_heard(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "toy")
    decision = {**manifest(folder)["decision"], "max_other": [0.3, 0.8, 0.8]}
    bundle = load_bundle(write_bundle(folder, decision=decision))
    other = np.array([[0.31, 0.9, 0.9], [0.30, 0.9, 0.9], [0.9, 0.7, 0.9]], np.float32)
    best = ["Lion", "Lion", "Panda"]
    rows = np.stack([one_hot(label, 0.9) for label in best])
    features = np.array([[1, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    scores = Scores(rows, np.repeat(rows[:, None], 3, axis=1), features, other)
    said = [(prediction.label, prediction.reason) for prediction in decide(scores, bundle)]
    assert said == [(None, "other_animal"), ("Lion", None), ("Panda", None)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_no_finite_answer_is_never_a_number(bundle: Bundle, bad: float) -> None:
    scores = Scores(
        np.stack([one_hot("Lion", 0.9), one_hot("Lion", 0.9) * np.float32(bad)]),
        np.stack([[one_hot("Lion", 0.9)] * 3] * 2),
        np.array([[1, 0, 0], [1, 0, 0]], np.float32),
    )
    good, broken = decide(scores, bundle)
    assert good.label == "Lion"
    assert broken == Prediction(None, None, "unclassified", (), ())


def test_novelty_is_the_distance_to_the_nearest_centroid() -> None:
    centroids = np.array([[0, 0], [10, 0]], np.float32)
    features = np.array([[3, 4], [10, 1], [5, 0]], np.float32)
    np.testing.assert_allclose(novelty(features, centroids), [5, 1, 5])


def test_agreement_counts_members_that_put_the_label_first() -> None:
    members = np.array([[[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]], np.float32)
    assert agreement(members, np.array([0])).tolist() == [2]
    assert agreement(members, np.array([1])).tolist() == [1]
