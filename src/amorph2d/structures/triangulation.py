"""Delaunay triangulation of points in a periodic box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import Delaunay

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.periodic import polygon_areas_and_centroids

_MIN_POINTS = 12


@dataclass(frozen=True, eq=False)
class Triangulation:
    """The triangles of a periodic Delaunay triangulation, each once.

    Attributes
    ----------
    points
        Triangulated points, (N, 2) [Å].
    box
        Edge lengths along x and y, (2,) [Å].
    corners
        Points at the corners of each triangle, (T, 3) with T = 2 N.
    images
        Whole boxes by which each corner is displaced, (T, 3, 2).
    circumcentres
        Centres of the circumcircles, not wrapped, (T, 2) [Å].
    circumradii
        Radii of the circumcircles, (T,) [Å].
    """

    points: FloatArray
    box: FloatArray
    corners: IntArray
    images: IntArray
    circumcentres: FloatArray
    circumradii: FloatArray

    @property
    def corner_positions(self) -> FloatArray:
        """Corners of each triangle in one piece, (T, 3, 2) [Å]."""
        return self.points[self.corners] + self.images * self.box


def triangulate(points: FloatArray, box: FloatArray) -> Triangulation:
    """Triangulate points in a periodic box.

    Parameters
    ----------
    points
        Points inside the box, (N, 2) [Å].
    box
        Edge lengths along x and y, (2,) [Å].

    Raises
    ------
    ValueError
        If there are too few points for the box, or the triangulation is not unique.
    """
    if len(points) < _MIN_POINTS:
        raise ValueError(f"a periodic triangulation needs at least {_MIN_POINTS} points, got {len(points)}")
    margin = 4 * np.sqrt(box.prod() / len(points))
    triangulation = _triangulate_padded(points, box, margin)
    # No empty circle is wider than the diagonal of the box, so that wider margins change nothing.
    while not _is_inside(triangulation, margin) and margin < np.hypot(*box):
        margin *= 2
        triangulation = _triangulate_padded(points, box, margin)
    return _checked(triangulation)


def _triangulate_padded(points: FloatArray, box: FloatArray, margin: float) -> Triangulation:
    """Triangulate the points and their images up to `margin` outside the box."""
    index, image = _padding(points, box, margin)
    simplices = Delaunay(points[index] + image * box).simplices
    corners, images = index[simplices], image[simplices]
    # Every triangle appears once per image: keep the one whose lowest point lies in the box itself.
    lowest = corners.argmin(axis=1)
    is_kept = ~images[np.arange(len(corners)), lowest].any(axis=1)
    corners, images = corners[is_kept], images[is_kept]
    centres, radii = _circumcircles(points[corners] + images * box)
    return Triangulation(points, box, corners, images, centres, radii)


def _padding(points: FloatArray, box: FloatArray, margin: float) -> tuple[IntArray, IntArray]:
    """Return the indices and images of the points within `margin` of the box."""
    n_x, n_y = np.ceil(margin / box).astype(np.int64)
    shifts = np.stack(np.meshgrid(np.arange(-n_x, n_x + 1), np.arange(-n_y, n_y + 1)), axis=-1).reshape(-1, 2)
    padded = points + shifts[:, None] * box
    copy, index = np.nonzero(((padded >= -margin) & (padded <= box + margin)).all(axis=-1))
    return index, shifts[copy]


def _circumcircles(triangles: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the circumcentres (T, 2) and circumradii (T,) of triangles (T, 3, 2) [Å]."""
    origin = triangles[:, 0]
    first, second = triangles[:, 1] - origin, triangles[:, 2] - origin
    first_sq, second_sq = (first**2).sum(axis=1), (second**2).sum(axis=1)
    doubled = 2 * (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (second[:, 1] * first_sq - first[:, 1] * second_sq) / doubled
        y = (first[:, 0] * second_sq - second[:, 0] * first_sq) / doubled
    offset = np.stack([x, y], axis=1)
    return origin + offset, np.hypot(x, y)


def _is_inside(triangulation: Triangulation, margin: float) -> bool:
    """Say whether all circumcircles lie in the padded box, where no point can be missing."""
    low = triangulation.circumcentres - triangulation.circumradii[:, None]
    high = triangulation.circumcentres + triangulation.circumradii[:, None]
    return bool(((low >= -margin) & (high <= triangulation.box + margin)).all())


def _checked(triangulation: Triangulation) -> Triangulation:
    """Return the triangulation if it is one of the torus."""
    corners = np.sort(triangulation.corners, axis=1)
    if (corners[:, 1:] == corners[:, :-1]).any():
        raise ValueError(f"box {triangulation.box.tolist()} Å is too small: a point neighbours its own image")
    expected = 2 * len(triangulation.points)
    if len(corners) != expected:
        raise ValueError(
            f"points must be distinct and no four may lie on an empty circle: expected {expected} triangles, "
            f"got {len(corners)}; move the points a little"
        )
    return triangulation


def neighbouring_triangles(triangulation: Triangulation) -> tuple[IntArray, FloatArray]:
    """Return the pairs of triangles with a common edge, (3 N, 2), and the vectors between their centres."""
    corners, images = triangulation.corners, triangulation.images
    ends = corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    shifts = images[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2, 2)
    order = np.argsort(ends, axis=1)
    ends = np.take_along_axis(ends, order, axis=1)
    shifts = np.take_along_axis(shifts, order[:, :, None], axis=1)
    base = 4 * int(np.abs(images).max()) + 1  # relative images reach twice as far, in both directions
    relative = shifts[:, 1] - shifts[:, 0] + base // 2
    key = ((ends[:, 0] * len(triangulation.points) + ends[:, 1]) * base + relative[:, 0]) * base + relative[
        :, 1
    ]
    edges = np.argsort(key, kind="stable").reshape(-1, 2)
    if (key[edges[:, 0]] != key[edges[:, 1]]).any():
        raise ValueError("no four points may lie on an empty circle; move the points a little")
    pairs = edges // 3
    image = shifts[edges[:, 0], 0] - shifts[edges[:, 1], 0]
    centres = triangulation.circumcentres
    return pairs, centres[pairs[:, 1]] + image * triangulation.box - centres[pairs[:, 0]]


def triangles_around_points(triangulation: Triangulation) -> tuple[IntArray, IntArray, IntArray]:
    """Return triangles and their corner at every point, counter-clockwise for y up, and offsets (N + 1,)."""
    arms = triangulation.corner_positions.mean(axis=1)[:, None] - triangulation.corner_positions
    angle = np.arctan2(arms[..., 1], arms[..., 0]).ravel()
    point = triangulation.corners.ravel()
    order = np.lexsort((angle, point))
    counts = np.bincount(point, minlength=len(triangulation.points))
    return order // 3, order % 3, np.concatenate([[0], np.cumsum(counts)])


def cell_areas_and_centroids(triangulation: Triangulation) -> tuple[FloatArray, FloatArray]:
    """Return the areas (N,) [Å²] and the centroids (N, 2) [Å] of the Voronoi cells of the points."""
    triangle, corner, offsets = triangles_around_points(triangulation)
    image = triangulation.images[triangle, corner]
    vertices = triangulation.circumcentres[triangle] - image * triangulation.box
    return polygon_areas_and_centroids(vertices, offsets)
