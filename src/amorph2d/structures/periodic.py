"""Wrapping and shortest periodic images in a rectangular box, and polygons that may cross its edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray


def as_box(value: ArrayLike, name: str = "box") -> FloatArray:
    """Return `value` as lengths along x and y, (2,) [Å].

    Raises
    ------
    ValueError
        If there are not two lengths, or one is not positive and finite.
    """
    box = np.array(value, dtype=np.float64)
    if box.shape != (2,) or not (np.isfinite(box).all() and (box > 0).all()):
        raise ValueError(f"{name} must be two lengths > 0 Å along x and y, got {value!r}")
    return box


def wrap(positions: FloatArray, box: FloatArray) -> FloatArray:
    """Return `positions` wrapped into 0 ≤ x < Lx, 0 ≤ y < Ly [Å]."""
    wrapped = np.mod(positions, box)
    # The remainder of a tiny negative number rounds up to the box length itself.
    return np.where(wrapped >= box, 0.0, wrapped)


def shortest_image(vectors: FloatArray, box: FloatArray) -> FloatArray:
    """Return the shortest periodic image of each vector, (…, 2) [Å]."""
    return vectors - np.rint(vectors / box) * box


def unwrapped_polygons(
    positions: FloatArray, members: IntArray, offsets: IntArray, box: FloatArray
) -> FloatArray:
    """Return the corners of every ring, each ring in one piece, (M, 2) [Å].

    Parameters
    ----------
    positions
        Atoms, (N, 2) [Å].
    members
        Atom indices around each ring, all rings after one another, (M,).
    offsets
        Where each ring starts in `members`, and the end, (R + 1,).
    box
        Edge lengths along x and y, (2,) [Å].
    """
    corners = positions[members]
    if len(corners) == 0:
        return corners
    steps = shortest_image(np.diff(corners, axis=0), box)
    path = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    first = np.repeat(offsets[:-1], np.diff(offsets))
    return path - path[first] + corners[first]


def polygon_areas_and_centroids(corners: FloatArray, offsets: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the signed areas (R,) [Å²] and the centroids (R, 2) [Å] of polygons.

    Parameters
    ----------
    corners
        Corners of all polygons after one another, each polygon in one piece, (M, 2) [Å].
    offsets
        Where each polygon starts in `corners`, and the end, (R + 1,).

    References
    ----------
    P. Bourke, "Calculating the area and centroid of a polygon" (1988): the shoelace formula.
    """
    n_polygons = len(offsets) - 1
    if n_polygons == 0:
        return np.empty(0), np.empty((0, 2))
    sizes = np.diff(offsets)
    origins = corners[offsets[:-1]]
    local = corners - np.repeat(origins, sizes, axis=0)
    following = np.arange(1, len(corners) + 1)
    following[offsets[1:] - 1] = offsets[:-1]
    after = local[following]
    cross = local[:, 0] * after[:, 1] - local[:, 1] * after[:, 0]
    doubled = np.add.reduceat(cross, offsets[:-1])
    moments = np.add.reduceat((local + after) * cross[:, None], offsets[:-1], axis=0)
    return doubled / 2, origins + moments / (3 * doubled)[:, None]
