"""Which of very many points lie near a few places, without a tree of all of them."""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from amorph2d.arrays import BoolArray, FloatArray, IntArray

_CHUNK = 2**19  # points looked at together
_AROUND = 2.0  # distance from places within which a nearest point is looked for first, in units of the points


def points_near(x: FloatArray, y: FloatArray, places: FloatArray, reach: float) -> IntArray:
    """Return which points lie near places: all that are at most `reach` away, and some a little farther.

    Places are sorted into square cells as wide as the reach; memory is needed for the cells between the
    outermost places and for what is returned.

    Parameters
    ----------
    x, y
        Points, (N,) each.
    places
        Places, (M, 2), x then y.
    reach
        Distance, > 0, in the same unit.

    Returns
    -------
    IntArray
        Numbers of points in ascending order, (K,).

    Raises
    ------
    ValueError
        If `reach` is not positive.
    """
    if not reach > 0:
        raise ValueError(f"reach must be > 0, got {reach}")
    if len(places) == 0 or len(x) == 0:
        return np.empty(0, dtype=np.int64)
    low = places.min(axis=0)
    cells = ((places - low) // reach).astype(np.int64) + 2
    # The outermost cells are never marked: they take the points that are beyond all places.
    shape = cells.max(axis=0) + 3
    is_near = np.zeros(shape, dtype=np.bool_)
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            is_near[cells[:, 0] + dx, cells[:, 1] + dy] = True
    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        column, row = (
            ((values[part] - corner) // reach + 2).clip(0, size - 1).astype(np.int64)
            for values, corner, size in zip((x, y), low, shape, strict=True)
        )
        found.append(start + np.flatnonzero(is_near[column, row]))
    return np.concatenate(found)


def nearest_points(
    x: FloatArray, y: FloatArray, places: FloatArray, *, among: BoolArray | None = None
) -> tuple[FloatArray, IntArray]:
    """Return how far the nearest point of each place is, and its number.

    Parameters
    ----------
    x, y
        Points, (N,) each.
    places
        Places, (M, 2), x then y.
    among
        Which points count, (N,); all if None.

    Returns
    -------
    tuple
        Distances, (M,), infinite where no point counts, and numbers of points, (M,), 0 there.
    """
    distance, number = np.full(len(places), np.inf), np.zeros(len(places), dtype=np.int64)

    def search(rows: IntArray, open_: IntArray) -> None:
        rows = rows if among is None else rows[among[rows]]
        if len(rows) and len(open_):
            points = np.column_stack([x[rows], y[rows]])
            distance[open_], nearest = KDTree(points).query(places[open_])
            number[open_] = rows[nearest]

    search(points_near(x, y, places, _AROUND), np.arange(len(places)))
    far = np.flatnonzero(distance > _AROUND)
    if len(far):
        search(np.arange(len(x)), far)
    return distance, number
