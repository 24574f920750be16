"""Measures against values worked out by hand, and against scikit-learn where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from trapsort.measures import Share, calibration_error, risk_coverage, share, wilson


def test_wilson_is_the_textbook_interval() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 and 20 of 20
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(20, 20) == pytest.approx((0.8389, 1.0), abs=5e-5)


def test_a_share_of_nothing_has_no_value() -> None:
    assert (Share(0, 0).value, Share(0, 0).interval) == (None, None)
    counted = share(np.array([True, False, True, True]))
    assert (counted, counted.value) == (Share(3, 4), 0.75)


def test_calibration_error_by_hand() -> None:
    """Three bins: 0.95 twice with one right, 0.5 right, 0.1 wrong."""
    sure = np.array([0.95, 0.95, 0.5, 0.1])
    right = np.array([True, False, True, False])
    by_hand = 2 / 4 * abs(0.5 - 0.95) + 1 / 4 * abs(1 - 0.5) + 1 / 4 * abs(0 - 0.1)
    assert calibration_error(sure, right) == pytest.approx(by_hand)
    assert calibration_error(np.array([1.0]), np.array([True])) == 0  # 1 lies in the last bin


def test_calibration_error_has_15_bins_of_equal_width() -> None:
    rng = np.random.default_rng(5)
    sure = rng.random(400).astype(np.float32)
    right = rng.random(400) < sure
    expected = 0.0
    for k in range(15):
        inside = (sure >= k / 15) & (sure < (k + 1) / 15)
        expected += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    assert calibration_error(sure, right) == pytest.approx(expected, abs=1e-6)


def test_risk_coverage_by_hand() -> None:
    """The surest is right, then one wrong, then two alike of which one is wrong."""
    curve = risk_coverage(np.array([0.5, 0.9, 0.8, 0.5]), np.array([True, True, False, False]))
    np.testing.assert_allclose(curve.coverage, [0.25, 0.5, 1])
    np.testing.assert_allclose(curve.risk, [0, 0.5, 0.5])
    np.testing.assert_allclose(curve.probability, [0.9, 0.8, 0.5])
    assert curve.area == pytest.approx(0.25 * 0 + 0.25 * 0.5 + 0.5 * 0.5)


def test_the_area_is_the_mean_risk_where_no_two_are_alike() -> None:
    rng = np.random.default_rng(6)
    sure, right = rng.permutation(200) / 200, rng.random(200) < 0.8
    risks = [1 - right[np.argsort(-sure)][: k + 1].mean() for k in range(200)]
    assert risk_coverage(sure, right).area == pytest.approx(np.mean(risks))
