from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amorph2d.structures.periodic import shortest_image, wrap
from amorph2d.structures.triangulation import (
    cell_areas_and_centroids,
    neighbouring_triangles,
    triangulate,
)

BOX = np.array([23.0, 31.0])


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(2).random((80, 2)) * BOX


def test_circumcircles_are_empty(points: np.ndarray) -> None:
    found = triangulate(points, BOX)
    vectors = shortest_image(found.circumcentres[:, None] - points, BOX)
    nearest = np.sort(np.hypot(vectors[..., 0], vectors[..., 1]), axis=1)
    # The nearest three points are the corners; the fourth is farther.
    np.testing.assert_allclose(nearest[:, :3], np.tile(found.circumradii[:, None], 3))
    assert (nearest[:, 3] > found.circumradii).all()


def test_triangles_cover_the_box_once(points: np.ndarray) -> None:
    a, b, c = np.moveaxis(triangulate(points, BOX).corner_positions, 1, 0)
    (x1, y1), (x2, y2) = (b - a).T, (c - a).T
    areas = np.abs(x1 * y2 - y1 * x2) / 2
    assert areas.sum() == pytest.approx(BOX.prod())


def test_cells_add_up_to_the_box(points: np.ndarray) -> None:
    areas, _ = cell_areas_and_centroids(triangulate(points, BOX))
    assert (areas > 0).all()
    assert areas.sum() == pytest.approx(BOX.prod())


def test_cells_of_clustered_points_add_up_too() -> None:
    # Voids far larger than the mean spacing: the padding has to grow.
    points = np.random.default_rng(3).random((60, 2)) * BOX * [0.2, 1.0]
    areas, _ = cell_areas_and_centroids(triangulate(points, BOX))
    assert areas.sum() == pytest.approx(BOX.prod())


def test_nothing_depends_on_where_the_box_is_cut(points: np.ndarray) -> None:
    shift = np.array([7.3, -12.1])
    areas, centroids = cell_areas_and_centroids(triangulate(points, BOX))
    moved_areas, moved_centroids = cell_areas_and_centroids(triangulate(wrap(points + shift, BOX), BOX))
    np.testing.assert_allclose(moved_areas, areas)
    np.testing.assert_allclose(shortest_image(moved_centroids - centroids - shift, BOX), 0, atol=1e-10)


def test_neighbouring_triangles_share_two_corners(points: np.ndarray) -> None:
    found = triangulate(points, BOX)
    pairs, vectors = neighbouring_triangles(found)
    assert len(pairs) == 3 * len(points)
    assert (np.bincount(pairs.ravel()) == 3).all()
    for (i, j), vector in zip(pairs, vectors, strict=True):
        assert len(set(found.corners[i]) & set(found.corners[j])) == 2
        straight = found.circumcentres[j] - found.circumcentres[i]
        np.testing.assert_allclose((vector - straight) / BOX, np.rint((vector - straight) / BOX), atol=1e-9)


def test_too_few_points() -> None:
    with pytest.raises(ValueError, match="at least 12 points, got 3"):
        triangulate(np.ones((3, 2)), BOX)


def test_square_lattice_is_refused() -> None:
    points = np.indices((6, 6)).reshape(2, -1).T + 0.25
    with pytest.raises(ValueError, match="empty circle"):
        triangulate(points.astype(float), np.array([6.0, 6.0]))


def test_coinciding_points_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be distinct"):
        triangulate(np.concatenate([points, points[:1]]), BOX)


def test_points_that_neighbour_their_own_images_are_refused() -> None:
    # Far wider than high: points neighbour their own images.
    box = np.array([60.0, 1.0])
    with pytest.raises(ValueError, match="neighbours its own image"):
        triangulate(np.random.default_rng(0).random((13, 2)) * box, box)


def test_edges_must_match(points: np.ndarray) -> None:
    found = triangulate(points, BOX)
    swapped = replace(found, corners=np.roll(found.corners, 1, axis=0))
    with pytest.raises(ValueError, match="empty circle"):
        neighbouring_triangles(swapped)
