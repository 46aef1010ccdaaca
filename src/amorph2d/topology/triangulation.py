"""Delaunay triangulation of open and periodic sets of points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, Delaunay, QhullError

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.topology.periodic import pad_with_images

_MANY = 2000  # points from which on insertion is the faster way


def delaunay_edges(points: FloatArray, box: FloatArray | None) -> IntArray:
    """Return Delaunay edges of points, (N, 2) [Å], as pairs i < j, most of them twice: from either triangle.

    Of points in exactly one place only the first has edges.
    """
    if len(points) < 2:
        return np.empty((0, 2), dtype=np.int64)
    edges = _open_edges(points) if box is None else _periodic_edges(points, box)
    edges.sort(axis=1)
    return edges[edges[:, 0] < edges[:, 1]]


def _open_edges(points: FloatArray) -> IntArray:
    """Sides of the triangles between points; a chain where the points lie on one line."""
    centred = points - points.mean(axis=0)
    try:
        return _sides(_triangulate(centred))
    except QhullError:
        # Two points, or all on one line: four far corners make triangles of them, and are left out again.
        corners = 10 * max(1.0, float(np.abs(centred).max())) * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
        edges = _sides(_triangulate(np.concatenate([centred, corners])))
        return edges[(edges < len(points)).all(axis=1)]


def _periodic_edges(points: FloatArray, box: FloatArray) -> IntArray:
    """Sides of the periodic triangles, from the points and those of their images that surround the box."""
    # A triangle is right where its empty circle lies inside the padded area, and none is missing where points
    # surround the box: only wide pores need more than 12 Å.
    margin = 12.0
    while True:
        padded, source = pad_with_images(points, box, margin)
        triangles = _triangulate(padded)
        triangles = triangles[(triangles < len(points)).any(axis=1)]
        if margin >= 2 * box.max() or (
            _surround(padded, box) and _circles_lie_within(padded[triangles], -margin, box + margin)
        ):
            return source[_sides(triangles)]
        margin *= 2


def _surround(points: FloatArray, box: FloatArray) -> bool:
    """Tell whether the corners of a box, (2,), lie inside the convex hull of points, (N, 2)."""
    try:
        hull = ConvexHull(points)
    except QhullError:  # too few, or all on one line
        return False
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]) * box
    return bool((corners @ hull.equations[:, :2].T + hull.equations[:, 2] < 0).all())


def _circles_lie_within(corners: FloatArray, low: float, high: FloatArray) -> bool:
    """Tell whether the circumcircles of triangles, (T, 3, 2), lie inside a rectangle."""
    a = corners[:, 0]
    b, c = corners[:, 1] - a, corners[:, 2] - a
    twice_area = 2 * (b[:, 0] * c[:, 1] - b[:, 1] * c[:, 0])
    bb, cc = (b**2).sum(axis=1), (c**2).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = (
            np.stack([c[:, 1] * bb - b[:, 1] * cc, b[:, 0] * cc - c[:, 0] * bb], axis=1) / twice_area[:, None]
        )
        radius = np.linalg.norm(offset, axis=1)[:, None]
        return bool((a + offset - radius >= low).all() and (a + offset + radius <= high).all())


def _triangulate(points: FloatArray) -> IntArray:
    """Return Delaunay triangles, (T, 3); where points coincide the first of them stands for all."""
    if len(points) >= _MANY:
        triangles = _triangulate_many(points)
        if triangles is not None:
            return triangles
    triangulation = Delaunay(points)
    first = np.arange(len(points))
    np.minimum.at(first, triangulation.coplanar[:, 2], triangulation.coplanar[:, 0])
    return first[triangulation.simplices]


def _triangulate_many(points: FloatArray) -> IntArray | None:
    """Return Delaunay triangles, (T, 3), by exact predicates and insertion; None where points coincide.

    Several times as fast as Qhull, as each point is inserted near the one before it.
    """
    import startinpy

    order = _along_curve(points)
    triangulation = startinpy.DT()
    triangulation.snap_tolerance = 1e-9
    triangulation.insert(np.column_stack([points[order], np.zeros(len(points))]), insertionstrategy="AsIs")
    if triangulation.number_of_vertices() != len(points):
        return None
    # Vertex 0 is the point at infinity.
    triangles: IntArray = order[triangulation.triangles.astype(np.int64) - 1]
    return triangles


def _along_curve(points: FloatArray) -> IntArray:
    """Return an order in which points follow one another closely: along Morton's curve."""
    low, extent = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1e-12)
    x, y = ((points - low) * ((2**16 - 1) / extent)).astype(np.uint64).T
    return np.argsort(_spread(x) | (_spread(y) << np.uint64(1)), kind="stable").astype(np.int64)


def _spread(number: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Put a zero between every two of the lowest 16 bits of numbers."""
    for shift, mask in ((8, 0x00FF00FF), (4, 0x0F0F0F0F), (2, 0x33333333), (1, 0x55555555)):
        number = (number | (number << np.uint64(shift))) & np.uint64(mask)
    return number


def _sides(triangles: IntArray) -> IntArray:
    """Return the three sides of each triangle, (3 T, 2)."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
