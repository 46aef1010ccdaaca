"""Pores, the connected vacuum of a mask, and the areal shares of vacuum, monolayer and everything else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from amorph2d.arrays import AnyArray, BoolArray, FloatArray, IntArray
from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM
from amorph2d.measures.config import PoreParameters
from amorph2d.measures.mask_regions import MaskRegions, measure_regions
from amorph2d.measures.statistics import Ratio, Share, Statistic
from amorph2d.measures.window import Blocks, RectangularWindow, analysable_window
from amorph2d.units import Sampling, as_sampling

PORE_COLUMNS = {
    "frame": "int32",
    "pore": "int64",
    "x": "float64",
    "y": "float64",
    "area": "float64",
    "perimeter": "float64",
    "equivalent_diameter": "float64",
    "circularity": "float64",
    "elongation": "float64",
    "orientation": "float64",
    "is_cut": "bool",
    "borders_other": "bool",
    "weight": "float64",
}
PORE_UNITS = dict.fromkeys(PORE_COLUMNS, "") | {
    "x": "Å",
    "y": "Å",
    "area": "Å²",
    "perimeter": "Å",
    "equivalent_diameter": "Å",
    "orientation": "°",
}
# Areas in nm²: so that a share of a few blocks without any vacuum, say, is known as well as its square
# nanometres tell, and not as if every Å² had been drawn for itself.
AREA_STATISTICS: dict[str, Statistic] = {
    f"areal_share_{name}": Share(f"area_{name}", "area_shown") for name in ("vacuum", "monolayer", "other")
}
PORE_DENSITY = Ratio("pore_weight", "pore_window")
PORE_STATISTICS: dict[str, Statistic] = {
    "pore_density": PORE_DENSITY,
    "pore_area_mean": Ratio("weighted_pore_area", "pore_weight"),
}

_CLASSES = {"vacuum": VACUUM, "monolayer": MONOLAYER, "other": OTHER}
_MOST_PIXELS = 2**18  # of the grid on which places for a pore are counted


def pores_table(
    mask: NDArray[np.uint8], sampling: Sampling, parameters: PoreParameters, *, frame: int = 0
) -> pd.DataFrame:
    """Measure the pores of one frame: regions of vacuum whose pixels touch, be it at a corner.

    The area is that of the pixels, the perimeter as `measure_regions` counts it. Along the edge of the image
    the outline is counted, too; regions that it cuts are marked.

    Beside the mask it takes a hundred bytes for each region and a few megabytes.

    Parameters
    ----------
    mask
        What each pixel shows, (rows, columns): 0 vacuum, 1 monolayer, 2 other.
    sampling
        Pixel size, one value or (y, x) [Å/px].
    parameters
        `min_area` is used.
    frame
        Number of the frame.

    Returns
    -------
    DataFrame
        `frame`, `pore` from 0 on, in the order of their first pixels, `x`, `y` of the centre of area [Å],
        `area` [Å²], `perimeter` [Å], `equivalent_diameter` of the disc of this area [Å], `circularity` 4π
        area/perimeter², `elongation`, the square root of the ratio of the principal second moments, ≥ 1,
        `orientation` of the long axis, from the x axis towards y, in (−90, 90] [°], `is_cut` (it touches the
        edge of the image or other than monolayer, so that it may go on there), `borders_other`, and `weight`
        1/P, where P is the share of the area of vacuum and monolayer over which the bounding box of the pore,
        with a margin of a pixel, can be moved without leaving it; 0 where it does not lie in it. The weights
        of the pores of any kind, added up and divided by that area, estimate how many there are per area
        without bias, although large ones are cut more often.

    Raises
    ------
    ValueError
        If the mask is not two-dimensional and of uint8, or has other values than 0, 1 and 2.

    References
    ----------
    Miles, in Stochastic Geometry, eds. Harding and Kendall (Wiley, 1974), p. 228; Lantuéjoul, in Geometrical
    Probability and Biological Structures, eds. Miles and Serra (Springer, 1978), p. 323: weights.
    """
    _check_mask(mask)
    regions = measure_regions(mask, sampling, kind=VACUUM, contact_kind=OTHER)
    is_large = regions.areas >= parameters.min_area * (1 - 1e-9)
    regions = regions.select(is_large)
    low, high = np.hsplit(regions.bounds, 2)
    is_at_edge = (low == 0).any(axis=1) | (high == mask.shape).any(axis=1)
    found = _describe(regions) | {
        "frame": np.full(len(low), frame),
        "pore": np.arange(len(low)),
        "is_cut": is_at_edge | (regions.n_contacts > 0),
        "borders_other": regions.n_contacts > 0,
        "weight": _weights(np.concatenate([low - 1, high + 1], axis=1), mask),
    }
    return pd.DataFrame({name: found[name] for name in PORE_COLUMNS}).astype(PORE_COLUMNS)


def areal_shares(mask: NDArray[np.uint8], region: BoolArray | None = None) -> dict[str, float]:
    """Return which shares of a region are vacuum, monolayer and other.

    Parameters
    ----------
    mask
        What each pixel shows, (rows, columns): 0 vacuum, 1 monolayer, 2 other.
    region
        Pixels that count, (rows, columns); all if None.

    Returns
    -------
    dict
        `vacuum`, `monolayer`, `other`, which add up to 1; NaN where no pixel counts.

    Raises
    ------
    ValueError
        If shape, type or values of the mask, or the shape of the region, are wrong.
    """
    _check_mask(mask)
    _check_region(region, mask)
    counted = mask if region is None else mask[region]
    numbers = np.bincount(counted.ravel(), minlength=len(_CLASSES)) if counted.size else np.zeros(3)
    total = numbers.sum()
    return {name: float(numbers[k] / total) if total else float("nan") for name, k in _CLASSES.items()}


def image_blocks(shape: tuple[int, int], sampling: Sampling, *, block: float, parts: int = 1) -> Blocks:
    """Cut a whole image into equal blocks, whatever its pixels show.

    Parameters
    ----------
    shape
        Rows and columns.
    sampling
        Pixel size, one value or (y, x) [Å/px].
    block
        Edge of a block, about, > 0 [Å].
    parts
        Each is cut into parts × parts.

    Raises
    ------
    ValueError
        If `block` or `sampling` is not positive.
    """
    if not block > 0:
        raise ValueError(f"block must be > 0 Å, got {block}")
    window: RectangularWindow = analysable_window(shape, sampling, border=0.0)
    return window.blocks(block, parts=parts)


def area_sums(
    grid: Blocks, mask: NDArray[np.uint8], sampling: Sampling, region: BoolArray | None = None
) -> dict[str, FloatArray]:
    """Add up the areas of vacuum, monolayer and other in each block of an image.

    Parameters
    ----------
    grid
        Blocks of the whole image, as `image_blocks` gives them; those of a window would leave out what is not
        monolayer.
    mask
        What each pixel shows, (rows, columns): 0 vacuum, 1 monolayer, 2 other.
    sampling
        Pixel size, one value or (y, x) [Å/px].
    region
        Pixels that count, (rows, columns); all if None.

    Returns
    -------
    dict
        `area_vacuum`, `area_monolayer`, `area_other`, `area_shown` (all three), (blocks,) [nm²]: what
        `AREA_STATISTICS` need.

    Raises
    ------
    ValueError
        If shape, type or values of the mask, or the shape of the region, are wrong.
    """
    _check_mask(mask)
    _check_region(region, mask)
    sums = {f"area_{name}": _block_area(grid, mask, sampling, k, region) for name, k in _CLASSES.items()}
    return sums | {"area_shown": np.sum(list(sums.values()), axis=0)}


def pore_sums(
    grid: Blocks, pores: pd.DataFrame, mask: NDArray[np.uint8], sampling: Sampling
) -> dict[str, FloatArray]:
    """Add up the pores of one frame in each block of an image.

    Parameters
    ----------
    grid
        Blocks of the whole image, as `image_blocks` gives them.
    pores
        As `pores_table` gives them, of one frame.
    mask
        What each pixel shows, (rows, columns): 0 vacuum, 1 monolayer, 2 other.
    sampling
        Pixel size, one value or (y, x) [Å/px].

    Returns
    -------
    dict
        `pores` that lie completely in vacuum and monolayer, `pore_weight`, `weighted_pore_area` [Å²],
        `pore_window` [nm²], the area of vacuum and monolayer; (blocks,) each: what `PORE_STATISTICS` need.

    Raises
    ------
    ValueError
        If shape, type or values of the mask are wrong.
    """
    _check_mask(mask)
    counted = pores[pores["weight"].to_numpy() > 0]
    number = grid.number(counted[["x", "y"]].to_numpy(np.float64))
    weight = counted["weight"].to_numpy()
    values = {
        "pores": np.ones(len(counted)),
        "pore_weight": weight,
        "weighted_pore_area": weight * counted["area"].to_numpy(),
    }
    sums = {
        name: np.bincount(number, each, minlength=len(grid.areas)).astype(np.float64)
        for name, each in values.items()
    }
    window = [_block_area(grid, mask, sampling, k, None) for k in (VACUUM, MONOLAYER)]
    return sums | {"pore_window": window[0] + window[1]}


def _check_mask(mask: AnyArray) -> None:
    """Refuse what is not a mask of three classes."""
    if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
        raise ValueError(f"mask must be two-dimensional, of uint8, not empty, got {mask.dtype} {mask.shape}")
    if mask.max() > OTHER:
        raise ValueError(f"mask must be 0 (vacuum), 1 (monolayer) or 2 (other), got {mask.max()}")


def _check_region(region: BoolArray | None, mask: AnyArray) -> None:
    """Refuse a region that does not fit the mask."""
    if region is not None and (region.shape != mask.shape or region.dtype != np.bool_):
        raise ValueError(
            f"region must be boolean with the shape {mask.shape}, got {region.dtype} {region.shape}"
        )


def _block_area(
    grid: Blocks, mask: NDArray[np.uint8], sampling: Sampling, kind: int, region: BoolArray | None
) -> FloatArray:
    """Area of one class in each block [nm²]; a pixel belongs to the block that its centre lies in."""
    step_y, step_x = as_sampling(sampling)
    n_x, n_y = grid.shape
    places = np.stack([np.arange(mask.shape[1]) * step_x, np.full(mask.shape[1], grid.origin[1])], axis=1)
    column = grid.number(places) // n_y
    places = np.stack([np.full(len(mask), grid.origin[0]), np.arange(len(mask)) * step_y], axis=1)
    starts = np.searchsorted(grid.number(places) % n_y, np.arange(n_y + 1))
    counts = np.zeros((n_x, n_y))
    for row, (start, stop) in enumerate(pairwise(starts.tolist())):
        is_kind = mask[start:stop] == kind
        if region is not None:
            is_kind &= region[start:stop]
        counts[:, row] = np.bincount(column, np.count_nonzero(is_kind, axis=0), minlength=n_x)
    return counts.ravel() * (step_x * step_y / 100)


def _describe(regions: MaskRegions) -> dict[str, AnyArray]:
    """Columns that follow from area, moments and perimeter."""
    xx, yy, xy = regions.moments.T
    middle, half = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    x, y = regions.centroids.T
    return {
        "x": x,
        "y": y,
        "area": regions.areas,
        "perimeter": regions.perimeters,
        "equivalent_diameter": np.sqrt(4 * regions.areas / np.pi),
        "circularity": 4 * np.pi * regions.areas / regions.perimeters**2,
        "elongation": np.sqrt((middle + half) / (middle - half)),
        "orientation": 90 - (90 - np.degrees(np.arctan2(2 * xy, xx - yy)) / 2) % 180,
    }


def _weights(bounds: IntArray, mask: NDArray[np.uint8]) -> FloatArray:
    """One over the share of the area of vacuum and monolayer where a box of pixels can lie; 0 if it does not.

    On a coarser grid, of whose pixels only those count that show nothing else, where the image is large.
    """
    factor = int(np.ceil(np.sqrt(mask.size / _MOST_PIXELS)))
    filled, n_shown = _count_shown(mask, factor)
    low, high = bounds[:, :2] // factor, -(-bounds[:, 2:] // factor)
    is_inside = np.asarray((bounds[:, :2] >= 0).all(axis=1) & (high < filled.shape).all(axis=1))
    is_inside[is_inside] = _is_full(filled, low[is_inside], high[is_inside])
    weights = np.zeros(len(bounds))
    sizes, kind = np.unique((bounds[:, 2:] - bounds[:, :2])[is_inside], axis=0, return_inverse=True)
    places = np.array([_count_places(filled, size, factor) for size in sizes])
    weights[is_inside] = n_shown / (places[kind.ravel()] * factor**2) if len(sizes) else 0
    return weights


def _count_shown(mask: NDArray[np.uint8], factor: int) -> tuple[IntArray, int]:
    """Count pixels without other above and left of each corner of a coarser grid, and fine ones in all."""
    rows, columns = (n // factor for n in mask.shape)
    filled, n_shown = np.zeros((rows + 1, columns + 1), np.int64), 0
    for row in range(rows):
        is_shown = mask[row * factor : (row + 1) * factor] != OTHER
        n_shown += int(np.count_nonzero(is_shown))
        whole = is_shown.all(axis=0)[: columns * factor].reshape(columns, factor).all(axis=1)
        filled[row + 1, 1:] = whole.cumsum()
    n_shown += int(np.count_nonzero(mask[rows * factor :] != OTHER))
    return filled.cumsum(axis=0), n_shown


def _is_full(filled: IntArray, low: IntArray, high: IntArray) -> BoolArray:
    """Tell whether no box from low up to high, (N, 2) row then column, shows other."""
    (top, left), (bottom, right) = low.T, high.T
    n = filled[bottom, right] - filled[top, right] - filled[bottom, left] + filled[top, left]
    return np.asarray(n == (high - low).prod(axis=1))


def _count_places(filled: IntArray, size: IntArray, factor: int) -> float:
    """Count the places, in coarse pixels, of a box of fine pixels on which no other is touched.

    Of m fine pixels, the first of which can be any of a coarse one, are touched 1 + ⌊(m − 1)/f⌋ coarse ones
    or, in (m − 1) mod f of f places, one more.
    """
    least, more = 1 + (size - 1) // factor, (size - 1) % factor / factor
    total = 0.0
    for extra in np.ndindex(2, 2):
        share = float(np.where(extra, more, 1 - more).prod())
        height, width = (int(n) for n in least + extra)
        if share == 0 or height >= len(filled) or width >= filled.shape[1]:
            continue
        n = filled[height:, width:] - filled[:-height, width:] - filled[height:, :-width]
        n += filled[:-height, :-width]
        total += share * np.count_nonzero(n == height * width)
    return total
