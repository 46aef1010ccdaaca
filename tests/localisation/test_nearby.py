"""Points near places, against a tree of all points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import KDTree

from amorph2d.localisation.nearby import nearest_points, points_near

SEEDS = st.integers(0, 2**32 - 1)


def scattered(seed, n, extent):
    return np.random.default_rng(seed).uniform(-extent, extent, (n, 2))


@given(seed=SEEDS, n=st.integers(0, 300), m=st.integers(0, 6), reach=st.floats(0.1, 20))
def test_no_point_within_reach_is_left_out(seed, n, m, reach):
    points, places = scattered(seed, n, 30), scattered(seed + 1, m, 40)
    found = points_near(*points.T, places, reach)
    apart = np.hypot(*(points[:, None] - places).transpose(2, 0, 1)).min(axis=1, initial=np.inf)
    assert set(np.flatnonzero(apart <= reach)) <= set(found)
    assert (np.diff(found) > 0).all()
    # Cells of places and the eight around them.
    assert (apart[found] <= 2 * np.sqrt(2) * reach).all()


@given(seed=SEEDS, n=st.integers(1, 300), m=st.integers(0, 6), extent=st.floats(1, 100))
def test_nearest_points_are_those_of_a_tree(seed, n, m, extent):
    points, places = scattered(seed, n, extent), scattered(seed + 1, m, extent)
    among = np.random.default_rng(seed + 2).uniform(size=n) < 0.7
    among[0] = True
    counted = np.flatnonzero(among)
    expected, number = KDTree(points[counted]).query(places)
    distance, found = nearest_points(*points.T, places, among=among)
    np.testing.assert_allclose(distance, expected)
    np.testing.assert_array_equal(found, counted[number])


def test_points_in_several_chunks(monkeypatch):
    from amorph2d.localisation import nearby

    monkeypatch.setattr(nearby, "_CHUNK", 100)
    points, places = scattered(1, 1234, 50), scattered(2, 20, 60)
    expected, number = KDTree(points).query(places)
    distance, found = nearest_points(*points.T, places)
    np.testing.assert_allclose(distance, expected)
    np.testing.assert_array_equal(found, number)


def test_without_a_point_distances_are_infinite():
    distance, _ = nearest_points(np.zeros(3), np.zeros(3), np.zeros((2, 2)), among=np.zeros(3, dtype=bool))
    assert np.isinf(distance).all()


@pytest.mark.parametrize("reach", [0.0, -1.0, float("nan")])
def test_reach_must_be_positive(reach):
    with pytest.raises(ValueError, match="reach must be > 0"):
        points_near(np.zeros(1), np.zeros(1), np.zeros((1, 2)), reach)
