"""Delaunay triangulation of open and periodic sets of points."""

from __future__ import annotations

import numpy as np
from scipy.spatial import Delaunay, QhullError

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.topology.periodic import pad_with_images


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
    # A triangle is right where its empty circle lies inside the padded area: only wide pores need more than
    # 12 Å.
    margin = 12.0
    while True:
        padded, source = pad_with_images(points, box, margin)
        triangles = _triangulate(padded)
        triangles = triangles[(triangles < len(points)).any(axis=1)]
        if margin >= 2 * box.max() or _circles_lie_within(padded[triangles], -margin, box + margin):
            return source[_sides(triangles)]
        margin *= 2


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
    triangulation = Delaunay(points)
    first = np.arange(len(points))
    np.minimum.at(first, triangulation.coplanar[:, 2], triangulation.coplanar[:, 0])
    return first[triangulation.simplices]


def _sides(triangles: IntArray) -> IntArray:
    """Return the three sides of each triangle, (3 T, 2)."""
    return np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
