from __future__ import annotations

import numpy as np
import pytest

from amorph2d.structures.periodic import (
    as_box,
    polygon_areas_and_centroids,
    shortest_image,
    unwrapped_polygons,
    wrap,
)

BOX = np.array([10.0, 7.0])


def test_wrapped_points_lie_in_the_box_even_just_below_zero() -> None:
    wrapped = wrap(np.array([[-1e-20, 7.0], [10.0, -0.5], [25.0, 3.0]]), BOX)
    np.testing.assert_allclose(wrapped, [[0, 0], [0, 6.5], [5, 3]])
    assert (wrapped < BOX).all()


def test_shortest_image_crosses_the_nearer_edge() -> None:
    np.testing.assert_allclose(shortest_image(np.array([[9.0, -6.0], [4.0, 3.0]]), BOX), [[-1, 1], [4, 3]])


def test_polygon_across_the_edges_has_its_area_and_centroid() -> None:
    # A triangle and an L-shaped hexagon: area and centroid differ from those of their corners.
    triangle = np.array([[9.0, 6.0], [12.0, 6.0], [9.0, 9.0]])
    ell = np.array([[0, 0], [2, 0], [2, 1], [1, 1], [1, 3], [0, 3]], dtype=float)
    positions = wrap(np.concatenate([triangle, ell]), BOX)
    offsets = np.array([0, 3, 9])
    corners = unwrapped_polygons(positions, np.arange(9), offsets, BOX)
    areas, centroids = polygon_areas_and_centroids(corners, offsets)
    np.testing.assert_allclose(areas, [4.5, 4.0])
    np.testing.assert_allclose(wrap(centroids, BOX), wrap(np.array([[10.0, 7.0], [0.75, 1.25]]), BOX))


def test_reversed_polygon_has_a_negative_area() -> None:
    square = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], dtype=float)
    areas, centroids = polygon_areas_and_centroids(square, np.array([0, 4]))
    np.testing.assert_allclose(areas, [-1])
    np.testing.assert_allclose(centroids, [[0.5, 0.5]])


def test_no_polygons() -> None:
    nothing, offsets = np.empty(0, dtype=np.int64), np.array([0])
    corners = unwrapped_polygons(np.empty((0, 2)), nothing, offsets, BOX)
    areas, centroids = polygon_areas_and_centroids(corners, offsets)
    assert areas.shape == (0,)
    assert centroids.shape == (0, 2)


@pytest.mark.parametrize("value", [[1.0], [1.0, 0.0], [1.0, np.nan], [np.inf, 1.0], [[1.0, 2.0]], 3.0])
def test_bad_box_is_named(value: object) -> None:
    with pytest.raises(ValueError, match="box must be two lengths > 0 Å along x and y, got"):
        as_box(value)  # type: ignore[arg-type]
