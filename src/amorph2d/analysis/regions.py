"""Which part of a micrograph counts: one layer, away from the border and from what lies on it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from amorph2d.arrays import BoolArray
from amorph2d.imaging.simulated import OTHER, VACUUM
from amorph2d.units import Sampling, as_sampling, positions_to_pixels

COUNTED, EMPTY = 1, 2
_ROWS_AT_ONCE = 1024


def analysable_region(
    mask: NDArray[np.uint8],
    sampling: Sampling,
    *,
    border: float,
    margin: float,
    region: BoolArray | None = None,
) -> NDArray[np.uint8]:
    """Return which pixels count in the statistics.

    Parameters
    ----------
    mask
        0 vacuum, 1 monolayer, 2 other, (rows, columns).
    sampling
        Its sampling, one value or (y, x), > 0 [Å/px].
    border
        Width of the strip along the edges that does not count, ≥ 0 [Å].
    margin
        Width of the strip around second layers and contamination that does not count, ≥ 0, along x or y [Å].
    region
        Region of interest, (rows, columns), beyond which nothing counts; None: everywhere.

    Returns
    -------
    NDArray[uint8]
        (rows, columns): 1 where the sheet counts, 2 where it would count but there is vacuum, else 0.

    Raises
    ------
    ValueError
        If a width is negative or the region has another shape than the mask.
    """
    steps = as_sampling(sampling)
    for name, value in (("border", border), ("margin", margin)):
        if not value >= 0:
            raise ValueError(f"{name} must be ≥ 0 Å, got {value}")
    if region is not None and region.shape != mask.shape:
        raise ValueError(f"region must have the shape of the mask, {mask.shape}, got {region.shape}")
    reach = round(margin / steps[0]), round(margin / steps[1])
    counts = np.empty(mask.shape, dtype=np.uint8)
    for start in range(0, mask.shape[0], _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        counts[rows] = np.where(mask[rows] == VACUUM, EMPTY, COUNTED)
        counts[rows][_near_other(mask, rows, reach)] = 0
    for axis, step in enumerate(steps):
        # The outer edges of the outermost pixels lie half a pixel beyond their centres.
        n = max(int(np.ceil(border / step - 0.5)), 0)
        edge = np.moveaxis(counts, axis, 0)
        edge[:n] = 0
        edge[len(edge) - n :] = 0
    return counts if region is None else counts * region


def _near_other(mask: NDArray[np.uint8], rows: slice, reach: tuple[int, int]) -> BoolArray:
    """Say which pixels of some rows are within `reach`, rows and columns, of layers and contamination."""
    from scipy.ndimage import maximum_filter

    first = max(0, rows.start - reach[0])
    is_other = mask[first : rows.stop + reach[0]] == OTHER
    if is_other.any():
        is_other = maximum_filter(is_other, size=[2 * n + 1 for n in reach], mode="constant")
    return np.asarray(is_other[rows.start - first :][: len(mask[rows])])


def in_region(sites: pd.DataFrame, counts: NDArray[np.uint8], sampling: Sampling) -> BoolArray:
    """Say which sites, with `x` and `y` [Å], lie on a pixel where the sheet counts, (N,)."""
    pixels = np.rint(positions_to_pixels(sites[["x", "y"]].to_numpy(), sampling)).astype(np.int64)
    is_counted: BoolArray = np.asarray(((pixels >= 0) & (pixels < counts.shape)).all(axis=1))
    is_counted[is_counted] = counts[tuple(pixels[is_counted].T)] == COUNTED
    return is_counted
