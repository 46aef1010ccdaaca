"""Scores: counted first, divided last."""

from __future__ import annotations

import math

import numpy as np
import pytest

from amorph2d.localisation.scores import Scores, score_sites, sum_scores
from amorph2d.measures.mask_window import MaskWindow


def test_counts_and_ratios():
    reference = [[0.0, 0.0], [5.0, 0.0], [10.0, 0.0], [15.0, 0.0]]
    predicted = [[0.3, 0.0], [5.0, 0.4], [12.0, 0.0]]
    scores = score_sites(predicted, reference, max_distance=0.5)
    assert (scores.n_predicted, scores.n_reference, scores.n_matched) == (3, 4, 2)
    assert scores.precision == pytest.approx(2 / 3)
    assert scores.recall == pytest.approx(0.5)
    assert scores.f1 == pytest.approx(4 / 7)
    assert scores.rmse == pytest.approx(math.sqrt((0.09 + 0.16) / 2))


def test_a_second_prediction_of_a_site_is_wrong():
    scores = score_sites([[0.1, 0.0], [0.2, 0.0]], [[0.0, 0.0]], max_distance=0.5)
    assert scores.precision == pytest.approx(0.5)
    assert scores.rmse == pytest.approx(0.1)


def test_f1_is_the_harmonic_mean():
    scores = Scores(n_predicted=8, n_reference=20, n_matched=6, sum_squared_distance=0.1)
    assert scores.f1 == pytest.approx(2 / (1 / scores.precision + 1 / scores.recall))


def test_counts_add_up_before_they_are_divided():
    small, large = Scores(1, 1, 1, 0.16), Scores(100, 100, 50, 0.5)
    both = sum_scores([small, large])
    assert both == small + large == Scores(101, 101, 51, 0.66)
    assert both.precision == pytest.approx(51 / 101)
    assert both.precision != pytest.approx((small.precision + large.precision) / 2)
    assert both.rmse == pytest.approx(math.sqrt(0.66 / 51))


def test_nothing_is_not_perfect():
    nothing = score_sites([], [], max_distance=0.5)
    assert nothing == sum_scores([]) == Scores(0, 0, 0, 0.0)
    assert all(math.isnan(value) for value in (nothing.precision, nothing.recall, nothing.f1, nothing.rmse))
    missed = score_sites([], [[1.0, 2.0]], max_distance=0.5)
    assert math.isnan(missed.precision)
    assert (missed.recall, missed.f1) == (0.0, 0.0)
    invented = score_sites([[1.0, 2.0]], [], max_distance=0.5)
    assert math.isnan(invented.recall)
    assert (invented.precision, invented.f1) == (0.0, 0.0)


def test_pairs_count_where_their_reference_lies():
    reference = [[1.9, 5.0], [2.1, 5.0], [5.0, 5.0], [7.9, 3.0]]
    predicted = [
        [2.2, 5.2],  # matches the second
        [1.95, 5.0],  # matches the first, outside: neither right nor wrong
        [8.1, 3.0],  # outside, but its reference counts
        [6.0, 6.0],  # false
        [9.0, 9.0],  # false, outside
    ]
    scores = score_sites(predicted, reference, max_distance=0.5, window=(2.0, 2.0, 8.0, 8.0))
    assert (scores.n_predicted, scores.n_reference, scores.n_matched) == (3, 3, 2)
    assert scores.sum_squared_distance == pytest.approx(0.05 + 0.04)


def test_a_site_at_the_window_is_not_punished_for_noise(rng):
    reference = np.column_stack([np.arange(200) * 1.0, np.zeros(200)])
    predicted = reference + rng.normal(0, 0.1, reference.shape)
    scores = score_sites(predicted, reference, max_distance=0.5, window=(20.0, -1.0, 100.0, 1.0))
    assert (scores.precision, scores.recall, scores.n_reference) == (1.0, 1.0, 81)


@pytest.mark.parametrize("window", [(0.0, 0.0, 0.0, 1.0), (0.0, 2.0, 1.0, 1.0)])
def test_wrong_window(window):
    with pytest.raises(ValueError, match="window must be"):
        score_sites([[0.0, 0.0]], [[0.0, 0.0]], max_distance=0.5, window=window)


def test_sites_count_where_anything_contains_them():
    mask = np.zeros((10, 10), bool)
    mask[:, 5:] = True
    window = MaskWindow(mask, 1.0)
    found = score_sites([(2, 2), (7, 2), (8, 8)], [(2, 2), (7, 2.1), (6, 6)], max_distance=0.5, window=window)
    assert (found.n_predicted, found.n_reference, found.n_matched) == (2, 2, 1)
