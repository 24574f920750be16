"""Stacking, calibration, novelty and thresholds, on scores whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training packages are not installed")

from training.ablation import calibration_error
from training.meta import fit_meta, nested_logits, temperature
from training.recipe import DecisionRecipe, WitnessRecipe
from training.stack import (
    OutOfFold,
    accepted_by,
    choose_rule,
    outcome,
    undenied_by,
    whiten,
    witness_limits,
)

LABELS = 4


def out_of_fold(n: int = 600) -> OutOfFold:
    """Two members, right most of the time, on three species and one rejection class."""
    rng = np.random.default_rng(1)
    label = rng.integers(0, LABELS, n)
    logits = rng.normal(0, 1, (n, 2, LABELS)) + 3 * np.eye(LABELS)[label][:, None]
    powers = np.exp(logits)
    members = (powers / powers.sum(axis=2, keepdims=True)).astype(np.float32)
    distance = rng.gamma(4, 1, n).astype(np.float32)
    other = rng.random((n, 3)).astype(np.float32) * np.where(label < 3, 0.5, 1.0)[:, None]
    return OutOfFold(np.arange(n), label, np.arange(n) % 3, members, distance, other)


def test_a_temperature_is_recovered() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (20_000, 5))
    powers = np.exp(honest)
    chances = powers / powers.sum(axis=1, keepdims=True)
    label = (chances.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    assert temperature((2.5 * honest).astype(np.float32), label) == pytest.approx(2.5, rel=0.05)


def test_the_meta_learner_beats_its_members_and_covers_absent_labels() -> None:
    oof = out_of_fold()
    logits = nested_logits(oof.members, oof.label, oof.fold, labels=LABELS + 1, strength=1.0)
    stacked = (logits.argmax(axis=1) == oof.label).mean()
    alone = (oof.members.argmax(axis=2) == oof.label[:, None]).mean(axis=0)
    assert stacked > alone.max()
    kernel, bias = fit_meta(oof.members, oof.label, LABELS + 1, 1.0)
    assert kernel.shape == (2 * LABELS, LABELS + 1)
    assert bias[LABELS] == -30  # a label that no photo has is never said


def test_nested_logits_of_a_fold_ignore_its_labels() -> None:
    oof = out_of_fold()
    wrong = oof.label.copy()
    wrong[oof.fold == 1] = 0
    before, after = (
        nested_logits(oof.members, label, oof.fold, labels=LABELS, strength=1.0)
        for label in (oof.label, wrong)
    )
    np.testing.assert_array_equal(before[oof.fold == 1], after[oof.fold == 1])
    assert not np.array_equal(before[oof.fold == 0], after[oof.fold == 0])


def test_whitened_features_have_unit_spread_within_species() -> None:
    rng = np.random.default_rng(2)
    label = rng.integers(0, 3, 900)
    features = (rng.normal(0, 1, (900, 12)) @ rng.normal(0, 1, (12, 12))).astype(np.float32)
    features += 5 * rng.normal(0, 1, (3, 12))[label].astype(np.float32)
    white = whiten(features, label, 3, 6)
    applied = white.apply(features)
    within = applied - white.centroids[label]
    np.testing.assert_allclose(np.cov(within.T), np.eye(6), atol=1e-2)
    np.testing.assert_allclose(
        [applied[label == k].mean(axis=0) for k in range(3)], white.centroids, atol=1e-3
    )


def test_thresholds_reach_their_targets() -> None:
    oof = out_of_fold()
    logits = nested_logits(oof.members, oof.label, oof.fold, labels=LABELS, strength=1.0)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    recipe = DecisionRecipe(0.97, 0.6, 0.05, 6)
    limits = (0.45, 0.45, 0.45)
    rule = choose_rule(probabilities, oof.members, oof, species=3, limits=limits, recipe=recipe)
    assert rule.accuracy >= 0.97
    assert rule.coverage >= 0.6
    assert rule.false_species <= 0.05
    values = (rule.min_probability, rule.min_agreement, rule.max_distance)
    best = probabilities.argmax(axis=1)
    undenied = undenied_by(oof.other, limits, best)
    assert 0 < undenied.mean() < 1
    accepted = accepted_by(
        probabilities, oof.members, oof.distance, undenied, species=3, rule=values
    )
    reached = outcome(accepted, best, oof.label, 3)
    assert reached == (rule.coverage, rule.accuracy, rule.false_species)


def test_outcome_counts_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.7, 0.3, 0], [0.6, 0.4, 0]])
    members = np.repeat(probabilities[:, None], 2, axis=1)
    distance = np.array([1, 1, 9, 1.0])
    label = np.array([0, 0, 1, 2])  # the last is no species
    best = probabilities.argmax(axis=1)

    def reached(other: np.ndarray | None) -> tuple[float, float, float]:
        undenied = undenied_by(other, (0.5, 0.5), best)
        rule = (0.5, 2, 5.0)
        accepted = accepted_by(probabilities, members, distance, undenied, species=2, rule=rule)
        return outcome(accepted, best, label, 2)

    assert reached(None) == (2 / 3, 0.5, 1.0)
    # the witness speaks against the first label of the last photo, and the second of the first
    other = np.array([[0, 0.9], [0, 0], [0, 0], [0.9, 0]], np.float32)
    assert reached(other) == (2 / 3, 0.5, 0.0)


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]], np.float32)
    label = np.array([0, 0, 0, 1])  # 0.9 is always right, 0.6 half the time
    assert calibration_error(probabilities, label) == pytest.approx(0.5 * 0.1 + 0.5 * 0.1, abs=1e-6)


def test_the_witness_has_a_limit_for_a_species_that_was_never_named() -> None:
    witness = WitnessRecipe(weights="none", quantile=0.5, own={})
    other = np.array([[0.1, 0.9], [0.3, 0.9], [0.9, 0.4], [0.9, 0.8]], np.float32)
    label, best = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])
    assert witness_limits(other, label, best, witness) == pytest.approx((0.1, 0.6))
    assert witness_limits(None, label, best, witness) is None
    assert witness_limits(other, label, best, None) is None
