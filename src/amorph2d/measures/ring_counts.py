"""Counts of rings without the bias of a finite window, in which small rings are complete more often."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points
from amorph2d.measures.mask_window import MaskWindow
from amorph2d.measures.tables import find_sites, site_positions
from amorph2d.measures.window import RectangularWindow, Window
from amorph2d.topology.rings import Rings
from amorph2d.topology.shortest_path import ShortestPathRings
from amorph2d.units import as_sampling

_SMALLEST_STEP = 0.25  # of the grid that stands for a mask [Å]
_MOST_PIXELS = 2**20  # of that grid


def ring_bounding_boxes(atoms: ArrayLike, rings: Rings | ShortestPathRings) -> FloatArray:
    """Return the bounds of the atoms of each ring.

    Parameters
    ----------
    atoms
        Positions in an open sheet, (N, 2), x then y [Å].
    rings
        R rings of `atoms`.

    Returns
    -------
    FloatArray
        Lowest x and y, highest x and y, (R, 4) [Å].

    Raises
    ------
    ValueError
        If the shape of `atoms` is wrong.
    """
    positions = as_points(atoms, "atoms")
    if len(rings) == 0:
        return np.empty((0, 4))
    corners = positions[rings.members]
    low, high = (extreme.reduceat(corners, rings.starts) for extreme in (np.minimum, np.maximum))
    return np.concatenate([low, high], axis=1)


def corner_boxes(rings: pd.DataFrame, ring_atoms: pd.DataFrame, sites: pd.DataFrame) -> FloatArray:
    """Return the bounds of the atoms of each ring in the tables of one frame.

    Parameters
    ----------
    rings, ring_atoms, sites
        Rings, the atoms around each of them in the same order, and located sites.

    Returns
    -------
    FloatArray
        Lowest x and y, highest x and y, (R, 4) [Å].

    Raises
    ------
    ValueError
        If a ring has an atom that does not exist.
    """
    if len(rings) == 0:
        return np.empty((0, 4))
    located = sites.sort_values("site")
    place = find_sites(ring_atoms["atom"].to_numpy(), located["site"].to_numpy(), "rings", "atoms")
    corners = site_positions(located)[place]
    starts = np.concatenate([[0], np.cumsum(rings["size"].to_numpy())[:-1]])
    low, high = (extreme.reduceat(corners, starts) for extreme in (np.minimum, np.maximum))
    return np.concatenate([low, high], axis=1)


def ring_weights(bounding_boxes: ArrayLike, window: Window) -> FloatArray:
    """Weigh each ring by how much rarer such rings lie completely in the window than they are.

    A ring counts if its bounding box lies in the window, and then counts 1/P, where P is the share of the
    window's area over which the box can be moved without leaving it. The weights of the rings of any kind,
    added up and divided by the window's area, estimate how many there are per area without bias, whatever
    the window, if it does not depend on the rings.

    So the window must be where rings would be seen if they were there: where debris, another layer or the
    border hide some, they are no part of it, but pores of the sheet itself are. Of a mask the pixels that are
    true make the window, seen on a coarser grid, all pixels below which are true, if it is finer than 0.25 Å
    or has more than a million pixels.

    Parameters
    ----------
    bounding_boxes
        Lowest x and y, highest x and y of each ring, (R, 4) [Å].
    window
        The area in which all atoms of a ring must lie to be counted.

    Returns
    -------
    FloatArray
        1/P, ≥ 1, (R,); 0 for rings that do not lie in the window.

    Raises
    ------
    ValueError
        If the shape is wrong, a bound is not finite, or a lower one is above the higher.

    References
    ----------
    Miles, in Stochastic Geometry, eds. Harding and Kendall (Wiley, 1974), p. 228; Lantuéjoul, in Geometrical
    Probability and Biological Structures, eds. Miles and Serra (Springer, 1978), p. 323: cells of a mosaic,
    counted if complete, with these weights, which are those of Horvitz and Thompson, J. Am. Stat. Assoc. 47,
    663 (1952), https://doi.org/10.1080/01621459.1952.10483446; Baddeley, in Stochastic Geometry: Likelihood
    and Computation, eds. Barndorff-Nielsen, Kendall and van Lieshout (Chapman & Hall, 1999), chapter 2.
    """
    boxes = np.asarray(bounding_boxes, dtype=np.float64)
    if boxes.size == 0:
        return np.empty(0)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"bounding_boxes must have the shape (R, 4), got {boxes.shape}")
    sides = boxes[:, 2:] - boxes[:, :2]
    if not np.isfinite(boxes).all() or (sides < 0).any():
        raise ValueError("bounding_boxes must have finite lower bounds ≤ higher bounds [Å]")
    if isinstance(window, MaskWindow):
        shares, is_inside = _shares_of_mask(boxes, sides, window)
    elif isinstance(window, RectangularWindow):
        shares, is_inside = _shares_of_rectangle(boxes, sides, window)
    else:
        raise TypeError(f"window must be a rectangle or a mask, got {type(window).__name__}")
    return np.divide(1, shares, out=np.zeros(len(boxes)), where=is_inside & (shares > 0))


def ring_fractions_corrected(sizes: ArrayLike, weights: ArrayLike, classes: Sequence[int]) -> FloatArray:
    """Estimate the fractions of rings of each size from weighted rings.

    Both the rings of a size and all rings are estimated without bias; their quotient is, but for a bias that
    falls with the number of rings.

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    weights
        From `ring_weights`, (R,); equal ones give the fractions without a correction.
    classes
        Rising sizes, K of them; the last one stands for all larger, too.

    Returns
    -------
    FloatArray
        Fractions, (K,), which add up to 1 if no ring is smaller than the first class; NaN where no ring has a
        weight.

    Raises
    ------
    ValueError
        If there are not as many weights as sizes, a weight is negative or not finite, or the classes do not
        rise.
    """
    n_atoms, weight = np.asarray(sizes), np.asarray(weights, dtype=np.float64)
    if n_atoms.ndim != 1 or weight.shape != n_atoms.shape:
        raise ValueError(f"weights must have the shape of sizes, (R,), got {weight.shape}, {n_atoms.shape}")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError("weights must be ≥ 0 and finite")
    if len(classes) == 0 or (np.diff(classes) <= 0).any():
        raise ValueError(f"classes must rise, got {list(classes)}")
    total = weight.sum()
    if total == 0:
        return np.full(len(classes), np.nan)
    of_class = np.array([weight[n_atoms == n].sum() for n in classes])
    of_class[-1] = weight[n_atoms >= classes[-1]].sum()
    return of_class / total


def _shares_of_rectangle(
    boxes: FloatArray, sides: FloatArray, window: RectangularWindow
) -> tuple[FloatArray, BoolArray]:
    """Share of places where each box lies in a rectangle, and whether it does where it is."""
    is_inside: BoolArray = (boxes[:, :2] >= (window.x0, window.y0)) & (boxes[:, 2:] <= (window.x1, window.y1))
    free = np.maximum(window.sides - sides, 0).prod(axis=1)
    return free / max(window.area, np.finfo(float).tiny), np.asarray(is_inside.all(axis=1))


def _shares_of_mask(boxes: FloatArray, sides: FloatArray, window: MaskWindow) -> tuple[FloatArray, BoolArray]:
    """Share of places where each box lies on true pixels, and whether it does where it is.

    A box of m + α pixels, 0 ≤ α < 1, touches m + 1 or, in a share α of its places, m + 2 pixels in a row, so
    that the share over all places follows from boxes of whole pixels, exactly.
    """
    mask, factors = _coarsened(window)
    fine = np.array(as_sampling(window.sampling))[::-1]
    steps = fine * factors[::-1]
    low, high = (np.floor((bounds + fine / 2) / steps).astype(np.int64) for bounds in np.hsplit(boxes, 2))
    n_pixels = sides / steps
    touched = np.floor(n_pixels).astype(np.int64) + 1
    parts = n_pixels - (touched - 1)
    most = np.minimum(touched.max(axis=0) + 1, np.array(mask.shape)[::-1] + 1)
    n_places = _count_places(mask, int(most[0]), int(most[1]))
    free = np.zeros(len(boxes))
    for more in np.ndindex(2, 2):
        x, y = np.minimum(touched + more, most).T
        free += np.where(more, parts, 1 - parts).prod(axis=1) * n_places[x, y]
    return free * factors.prod() / max(int(window.mask.sum()), 1), _lie_on(mask, low, high)


def _coarsened(window: MaskWindow) -> tuple[BoolArray, IntArray]:
    """Return the mask on a coarser grid, and how many of its pixels one pixel stands for, (y, x)."""
    mask = window.mask
    factors = np.ceil(_SMALLEST_STEP / np.array(as_sampling(window.sampling)) - 1e-9).astype(np.int64)
    factors *= int(np.ceil(np.sqrt(max(mask.size / factors.prod() / _MOST_PIXELS, 1))))
    factors = np.minimum(factors, mask.shape)
    rows, columns = np.array(mask.shape) // factors
    kept = mask[: rows * factors[0], : columns * factors[1]]
    return np.asarray(kept.reshape(rows, factors[0], columns, factors[1]).all(axis=(1, 3))), factors


def _count_places(mask: BoolArray, most_columns: int, most_rows: int) -> IntArray:
    """Count the places of blocks of so many columns and rows, from 0 on, on true pixels alone."""
    # A run of L columns, all of them true for so many rows, has L − m + 1 places for m of them.
    runs = _count_runs(np.ascontiguousarray(mask), most_rows)
    places = runs[:, ::-1].cumsum(axis=1).cumsum(axis=1)[:, ::-1]
    n_places = np.zeros((most_columns + 1, most_rows + 1), dtype=np.int64)
    n = min(most_columns, mask.shape[1])
    n_places[1 : n + 1, 1:] = places[1:, 1 : n + 1].T
    return n_places


@njit(cache=True)
def _count_runs(mask, most_rows):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Count the runs of columns that are true in so many rows, (rows + 1, length + 1), at all places."""
    n_rows, n_columns = mask.shape
    runs = np.zeros((most_rows + 1, n_columns + 1), np.int64)
    heights = np.zeros(n_columns, np.int64)
    for row in range(n_rows):
        for column in range(n_columns):
            heights[column] = heights[column] + 1 if mask[row, column] else 0
        for height in range(1, min(most_rows, row + 1) + 1):
            length = 0
            for column in range(n_columns):
                if heights[column] >= height:
                    length += 1
                elif length:
                    runs[height, length] += 1
                    length = 0
            if length:
                runs[height, length] += 1
    return runs


def _lie_on(mask: BoolArray, low: IntArray, high: IntArray) -> BoolArray:
    """Tell whether all pixels from low to high, (R, 2) x then y, are true."""
    filled = np.zeros(np.array(mask.shape) + 1, dtype=np.int64)
    filled[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    is_within = np.asarray(((low >= 0) & (high < mask.shape[::-1])).all(axis=1))
    (x0, y0), (x1, y1) = low[is_within].T, high[is_within].T + 1
    is_true = filled[y1, x1] - filled[y0, x1] - filled[y1, x0] + filled[y0, x0] == (x1 - x0) * (y1 - y0)
    is_within[is_within] = is_true
    return is_within
