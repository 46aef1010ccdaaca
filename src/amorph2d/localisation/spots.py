"""Small spots in masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label, uniform_filter

from amorph2d.arrays import BoolArray

_PIXELS_AT_ONCE = 2**23
_LONGEST = 4.0  # times the root of the area up to which a spot is one
_AROUND, _ALONE = 80.0, 0.03  # side of a square [Å], and the share of it up to which a spot in it is alone
_CONNECTED = np.ones((3, 3), dtype=bool)


def without_spots(
    mask: NDArray[np.uint8],
    sampling: tuple[float, float],
    *,
    smallest: float,
    spot: int,
    sure: int,
    instead: int,
) -> None:
    """Replace small spots of a mask where it is, and take what is sure for what the spots are made of.

    A spot is what hangs together, corners included, of pixels with the value `spot` or `sure`. It is small if
    its area is below `smallest` and it reaches over at most four times the root of that along y. Of the small
    ones those are replaced that have no sure pixel and are alone: of the 80 Å around each of their pixels at
    most 0.03 is spots. Where there are more, they are parts of something large that is not seen whole.

    Parameters
    ----------
    mask
        Mask, (rows, columns).
    sampling
        (y, x), > 0 [Å/px].
    smallest
        Area from which on no spot is small, ≥ 0 [Å²].
    spot, sure
        Values of a spot. No pixel has the second one afterwards.
    instead
        Value that small spots get.

    Raises
    ------
    ValueError
        If `smallest` is negative.
    """
    if not smallest >= 0:
        raise ValueError(f"smallest must be ≥ 0 Å², got {smallest}")
    # A small spot in a row is within so many rows: what is longer need not be seen whole.
    longest = int(_LONGEST * np.sqrt(smallest) / sampling[0])
    n_least = smallest / (sampling[0] * sampling[1])
    sides = [2 * round(_AROUND / step / 2) + 1 for step in sampling]
    halo = longest + sides[0] // 2 + 1
    above = mask[:0].copy()
    n_rows = max(_PIXELS_AT_ONCE // mask.shape[1], 1)
    for start in range(0, mask.shape[0], n_rows):
        stop = min(start + n_rows, mask.shape[0])
        # Rows above as they were before the stripe before this one was changed.
        window = np.concatenate([above, mask[start : stop + halo]])
        above, n_above = window[: len(above) + stop - start][-halo:].copy(), len(above)
        is_small = _in_small_spots(window, spot, sure, n_least, longest, sides)
        mask[start:stop][is_small[n_above : n_above + stop - start]] = instead
        mask[start:stop][mask[start:stop] == sure] = spot


def _in_small_spots(
    window: NDArray[np.uint8], spot: int, sure: int, n_least: float, longest: int, sides: list[int]
) -> BoolArray:
    """Say which pixels belong to small spots, of less than `n_least` pixels, that are not sure and alone."""
    numbers: NDArray[np.integer]
    is_sure = window == sure
    is_spot = (window == spot) | is_sure
    if not is_spot.any():
        return is_spot
    numbers, n_spots = label(is_spot, _CONNECTED)
    is_small = np.bincount(numbers.ravel(), minlength=n_spots + 1) < n_least
    is_small[numbers[is_sure]] = False
    share = uniform_filter(is_spot.astype(np.float32), sides, mode="nearest")
    is_small[numbers[is_spot & (share > _ALONE)]] = False
    heights = [rows.stop - rows.start for rows, _ in find_objects(numbers)]
    is_small[1:] &= np.array(heights, dtype=np.int64) <= longest
    is_small[0] = False
    return np.asarray(is_small[numbers])
