from __future__ import annotations

import math

import numpy as np
import pytest

from amorph2d.learning.evaluation.reliability import (
    CONFIDENCES,
    calibration_error,
    confidence_reliability,
    coverage,
    error_by_confidence,
    probability_by_confidence,
    sigma_reliability,
)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def at(confidence: float) -> int:
    return round(100 * confidence)


def test_probability_is_the_share_of_true_sites():
    confidence = np.repeat([0.3, 0.6], [100, 50])
    is_true = np.concatenate([np.arange(100) < 20, np.arange(50) < 45])
    found = probability_by_confidence(confidence, is_true)
    # one true site more below, one false site more above
    assert found[at(0.3)] == pytest.approx(21 / 101)
    assert found[at(0.6)] == pytest.approx(45 / 51)
    assert found[at(0.45)] == pytest.approx((21 / 101 + 45 / 51) / 2)
    assert (found[: at(0.3)] == found[at(0.3)]).all()
    assert (found[at(0.6) :] == found[at(0.6)]).all()


def test_probability_never_falls_though_the_sample_does():
    confidence = np.repeat([0.2, 0.5, 0.8], 100)
    is_true = np.concatenate([np.arange(100) < n for n in (10, 80, 60)])
    found = probability_by_confidence(confidence, is_true)
    assert (np.diff(found) >= 0).all()
    assert found[at(0.5)] == found[at(0.8)] == pytest.approx(140 / 201)


def test_no_finite_number_of_sites_makes_sure():
    certain = probability_by_confidence(np.full(9, 0.9), np.ones(9, bool))
    assert certain == pytest.approx(10 / 11)
    never = probability_by_confidence(np.linspace(0, 1, 40), np.zeros(40, bool))
    assert 0 < never.min() <= never.max() < 0.2


def test_single_site():
    assert probability_by_confidence(np.array([0.7]), np.array([True])) == pytest.approx(2 / 3)


def test_probability_recovers_the_curve_that_sites_were_drawn_from(rng):
    confidence = rng.uniform(0.2, 1.0, 200_000)
    found = probability_by_confidence(confidence, rng.random(len(confidence)) < confidence**3)
    inner = (CONFIDENCES > 0.21) & (CONFIDENCES < 0.99)
    np.testing.assert_allclose(found[inner], CONFIDENCES[inner] ** 3, atol=0.03)


def test_the_error_never_rises_with_confidence_even_if_the_sample_does():
    errors = error_by_confidence(np.array([0.2, 0.4, 0.6, 0.8]), np.array([2.0, 2.0, 8.0, 0.5]), n_bins=4)
    assert (np.diff(errors) <= 0).all()
    assert errors[0] == pytest.approx(math.sqrt((2 + 2 + 8) / 3 / 2))
    assert errors[-1] == pytest.approx(0.5)


def test_one_matched_site_is_enough_for_an_error():
    assert error_by_confidence(np.array([0.5]), np.array([0.02]), n_bins=10) == pytest.approx(0.1)


def test_confidences_are_held_against_the_share_of_true_sites():
    confidence = np.array([0.2, 0.4, 0.9, 0.8, 0.6, 0.1])
    table = confidence_reliability(confidence, [True, False, True, True, False, False], n_bins=3)
    np.testing.assert_allclose(table["predicted"], [0.15, 0.5, 0.85])
    np.testing.assert_allclose(table["measured"], [0.5, 0.0, 1.0])
    assert table["n"].tolist() == [2, 2, 2]
    assert calibration_error(table) == pytest.approx((0.35 + 0.5 + 0.15) / 3)


def test_bins_weigh_what_is_in_them():
    table = confidence_reliability([0.1, 0.1, 0.1, 0.9], [False, False, False, False], n_bins=2)
    assert table["n"].tolist() == [3, 1]
    assert calibration_error(table) == pytest.approx((3 * 0.1 + 0.9) / 4)


def test_equal_confidences_share_a_bin():
    table = confidence_reliability(np.full(7, 0.3), np.arange(7) < 2, n_bins=4)
    assert table["n"].tolist() == [7]
    assert table["measured"].tolist() == [pytest.approx(2 / 7)]


def test_true_probabilities_have_no_calibration_error_and_others_have(rng):
    confidence = rng.uniform(0, 1, 100_000)
    is_true = rng.random(len(confidence)) < confidence
    assert calibration_error(confidence_reliability(confidence, is_true, n_bins=10)) < 0.01
    overconfident = confidence_reliability(np.sqrt(confidence), is_true, n_bins=10)
    assert calibration_error(overconfident) == pytest.approx(2 / 3 - 1 / 2, abs=0.01)


def test_sigmas_are_held_against_the_error_per_axis(rng):
    sigma = rng.uniform(0.02, 0.2, 60_000)
    errors = rng.normal(size=(len(sigma), 2)) * sigma[:, None]
    table = sigma_reliability(sigma, errors, n_bins=6)
    assert len(table) == 6
    np.testing.assert_allclose(table["measured"], table["predicted"], rtol=0.03)
    assert coverage(sigma, errors, n_sigma=1) == pytest.approx(0.6827, abs=0.005)
    assert coverage(sigma, errors, n_sigma=2) == pytest.approx(0.9545, abs=0.005)
    assert coverage(sigma / 2, errors, n_sigma=2) == coverage(sigma, errors, n_sigma=1)


def test_errors_of_both_axes_count():
    table = sigma_reliability([0.1, 0.1], [[0.3, 0.0], [0.0, 0.1]], n_bins=1)
    assert table["measured"][0] == pytest.approx(math.sqrt((0.09 + 0.01) / 4))
    assert coverage([0.1, 0.1], [[0.3, 0.0], [0.0, 0.1]], n_sigma=1) == 0.75


def test_nothing_to_hold_against_the_truth():
    for table in (confidence_reliability([], [], n_bins=5), sigma_reliability([], [], n_bins=5)):
        assert table.columns.tolist() == ["predicted", "measured", "n"]
        assert len(table) == 0
        assert math.isnan(calibration_error(table))
    assert math.isnan(coverage([], [], n_sigma=1))


def test_wrong_input():
    with pytest.raises(ValueError, match="one outcome per prediction, got 1 for 2"):
        confidence_reliability([0.1, 0.2], [True], n_bins=2)
    with pytest.raises(ValueError, match="n_bins must be ≥ 1, got 0"):
        confidence_reliability([0.1], [True], n_bins=0)
