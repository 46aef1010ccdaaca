"""One-to-one matching against the best of all assignments."""

from __future__ import annotations

import time
from itertools import permutations

import numpy as np
import pytest

from amorph2d.localisation import matching as module
from amorph2d.localisation.matching import match_points


def best_of_all(predicted, reference, max_distance):
    """Most pairs, then least sum of squares, over all assignments."""
    if len(predicted) > len(reference):
        predicted, reference = reference, predicted
    squares = ((predicted[:, None] - reference) ** 2).sum(axis=2)
    squares = np.where(squares <= max_distance**2, squares, np.nan)
    best = (0, 0.0)
    for chosen in permutations(range(len(reference)), len(predicted)):
        kept = squares[range(len(predicted)), chosen]
        best = min(best, (-int(np.isfinite(kept).sum()), float(np.nansum(kept))))
    return -best[0], best[1]


@pytest.fixture(params=["dense", "sparse"])
def _solver(request, monkeypatch):
    if request.param == "sparse":
        monkeypatch.setattr(module, "_LARGEST_DENSE", 0)


@pytest.mark.usefixtures("_solver")
@pytest.mark.parametrize("max_distance", [0.3, 0.6, 1.0, 5.0])
@pytest.mark.parametrize(("n_predicted", "n_reference"), [(1, 4), (5, 1), (4, 4), (5, 6), (6, 4)])
def test_no_assignment_is_better(rng, n_predicted, n_reference, max_distance):
    for _ in range(15):
        predicted, reference = (
            rng.uniform(0, [2.0, 1.0], (n_predicted, 2)),
            rng.uniform(0, [2.0, 1.0], (n_reference, 2)),
        )
        found = match_points(predicted, reference, max_distance=max_distance)
        n_pairs, squares = best_of_all(predicted, reference, max_distance)
        assert len(found.pairs) == n_pairs
        assert (found.distances**2).sum() == pytest.approx(squares)
        assert len(np.unique(found.pairs[:, 0])) == len(np.unique(found.pairs[:, 1])) == n_pairs
        apart = np.linalg.norm(predicted[found.pairs[:, 0]] - reference[found.pairs[:, 1]], axis=1)
        np.testing.assert_allclose(found.distances, apart)


@pytest.mark.usefixtures("_solver")
def test_more_pairs_count_before_shorter_ones():
    # Nearest first would pair 0 with 1 and leave two points alone.
    predicted, reference = np.array([[0.0, 0.0], [-0.8, 0.0]]), np.array([[0.1, 0.0], [-0.1, 0.0]])
    predicted[1, 0], reference[0, 0] = -0.5, 0.45
    found = match_points(predicted, reference, max_distance=0.5)
    np.testing.assert_array_equal(found.pairs, [[0, 0], [1, 1]])
    np.testing.assert_allclose(found.distances, [0.45, 0.4])


@pytest.mark.usefixtures("_solver")
def test_points_that_coincide(rng):
    points = rng.uniform(0, 5, (40, 2))
    order = rng.permutation(40)
    found = match_points(points, points[order], max_distance=0.5)
    np.testing.assert_array_equal(order[found.pairs[:, 1]], np.arange(40))
    np.testing.assert_array_equal(found.distances, 0.0)


def test_limit_is_included():
    assert len(match_points([[0.0, 0.0]], [[0.5, 0.0]], max_distance=0.5).pairs) == 1
    assert len(match_points([[0.0, 0.0]], [[0.5, 0.0]], max_distance=0.499).pairs) == 0


def test_exchanging_the_sets_exchanges_the_pairs(rng):
    a, b = rng.uniform(0, 6, (80, 2)), rng.uniform(0, 6, (70, 2))
    there, back = (match_points(p, q, max_distance=0.7) for p, q in ((a, b), (b, a)))
    assert {tuple(pair) for pair in there.pairs} == {tuple(pair[::-1]) for pair in back.pairs}


@pytest.mark.parametrize(("n_predicted", "n_reference"), [(0, 0), (0, 3), (3, 0)])
def test_empty_sets(n_predicted, n_reference):
    found = match_points(np.zeros((n_predicted, 2)), np.zeros((n_reference, 2)), max_distance=0.5)
    assert found.pairs.shape == (0, 2)
    assert found.pairs.dtype == np.int64
    assert found.distances.shape == (0,)


def test_one_large_group_uses_the_sparse_solver(rng, monkeypatch):
    points = rng.uniform(0, 8, (300, 2))
    moved = points + rng.normal(0, 0.2, points.shape)
    dense = match_points(moved, points, max_distance=1.5)
    monkeypatch.setattr(module, "_LARGEST_DENSE", 1000)
    sparse = match_points(moved, points, max_distance=1.5)
    assert len(sparse.pairs) == len(dense.pairs)
    assert (sparse.distances**2).sum() == pytest.approx((dense.distances**2).sum())


def test_a_hundred_thousand_points(rng):
    grid = np.stack(np.meshgrid(np.arange(400), np.arange(250)), axis=-1).reshape(-1, 2) * 1.42
    order = rng.permutation(len(grid))
    start = time.process_time()
    found = match_points((grid + rng.normal(0, 0.08, grid.shape))[order], grid, max_distance=0.5)
    assert time.process_time() - start < 5.0
    np.testing.assert_array_equal(found.pairs[:, 1], order)
    assert np.sqrt((found.distances**2).mean()) == pytest.approx(0.08 * np.sqrt(2), rel=0.01)


@pytest.mark.parametrize("max_distance", [0.0, -1.0, np.nan, np.inf])
def test_wrong_distance(max_distance):
    with pytest.raises(ValueError, match="max_distance must be > 0 Å, got"):
        match_points([[0.0, 0.0]], [[0.0, 0.0]], max_distance=max_distance)


def test_wrong_shape():
    with pytest.raises(ValueError, match=r"reference must have the shape \(N, 2\), got \(1, 3\)"):
        match_points([[0.0, 0.0]], [[0.0, 0.0, 1.0]], max_distance=0.5)
