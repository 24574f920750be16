"""The decision: a species, or the first reason against one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.toy import LABELS, MEMBERS, manifest, write_bundle
from trapsort.abstentions import REASON_CODES
from trapsort.bundle import Bundle, load_bundle
from trapsort.ensemble import Prediction, agreement, decide, novelty
from trapsort.scores import Scores, among


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


def softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def test_a_temperature_and_a_mask_are_those_of_the_logits() -> None:
    logits = np.random.default_rng(3).normal(0, 3, (20, 5))
    possible = np.array([True, False, True, True, False])
    masked = np.where(possible, logits / 1.7, -np.inf)
    found = among(softmax(logits).astype(np.float32), possible, 1.7)
    np.testing.assert_allclose(found, softmax(masked), atol=1e-6)
    assert (found[:, ~possible] == 0).all()


def test_nothing_changes_without_a_temperature_and_a_mask() -> None:
    rows = np.array([[0.25, 0.75]], np.float32)
    assert among(rows, np.array([True, True])) is rows


def test_what_is_possible_but_had_no_probability_is_equally_probable() -> None:
    rows = np.array([[1, 0, 0], [np.nan, np.nan, np.nan]], np.float32)
    found = among(rows, np.array([False, True, True]))
    np.testing.assert_array_equal(found, [[0, 0.5, 0.5], [np.nan] * 3])


def test_a_masked_species_is_never_named_nor_voted_for(bundle: Bundle) -> None:
    """Lion leads and two of three members vote for it; without cats all say Panda."""
    chosen = replace(bundle, masked=frozenset({"Lion", "Rhino"}))
    rows = np.array([[0.9, 0.08, 0, 0.02, 0, 0]], np.float32)
    member = np.array([[0.8, 0.15, 0.03, 0.02, 0, 0]], np.float32)
    scores = Scores(rows, np.stack([member, member, rows], axis=1), np.eye(3, dtype=np.float32)[:1])
    (as_it_is,) = decide(scores, bundle)
    (within,) = decide(scores, chosen)
    assert (as_it_is.label, within.label) == ("Lion", "Panda")
    assert within.probability == pytest.approx(0.08 / 0.1)
    assert [label for _, label, _ in within.members] == ["Panda"] * 3
    assert dict(within.top)["Lion"] == 0


def test_a_temperature_changes_how_sure_but_not_of_what(bundle: Bundle) -> None:
    cooler = replace(bundle, temperature=2.0)
    sure = decided(bundle, "Lion", 0.7)
    less = decided(cooler, "Lion", 0.7)
    # sqrt(0.7) among sqrt(0.7) and five times sqrt(0.06)
    assert less.probability == pytest.approx(0.7**0.5 / (0.7**0.5 + 5 * 0.06**0.5), abs=1e-6)
    assert (sure.label, less.label, less.reason) == ("Lion", None, "low_confidence")
    assert less.members == sure.members


def test_without_centroids_nothing_is_novel(bundle: Bundle) -> None:
    known = replace(bundle.decision, centroids=None, max_distance=None)
    far = (99.0, 0.0, 0.0)
    assert decided(bundle, "Lion", features=far).reason == "novel"
    assert decided(replace(bundle, decision=known), "Lion", features=far).label == "Lion"
