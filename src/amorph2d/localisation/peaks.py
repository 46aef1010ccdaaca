"""Sub-pixel maxima of heat maps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import label
from scipy.spatial import KDTree

from amorph2d.arrays import BoolArray, Float32Array, FloatArray, IntArray, as_image

_NEIGHBOURS = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)])
_CONNECTED = np.ones((3, 3), dtype=bool)
_LEAST_RATIO = 1e-3
_LEAST_CURVATURE = 1e-9
_ROUNDING = 1e-6


class Peaks(NamedTuple):
    """Maxima of a heat map.

    Attributes
    ----------
    pixels
        Row and column, (N, 2) [px].
    confidence
        Value of the heat map at the nearest pixel, (N,).
    """

    pixels: FloatArray
    confidence: Float32Array


def find_peaks(heatmap: ArrayLike, threshold: float, min_distance_px: float) -> Peaks:
    """Find the maxima of a heat map to a fraction of a pixel.

    A pixel is a maximum if none of its eight neighbours is higher; equal neighbours make one maximum, at
    their centroid. Each is refined by a parabola through the logarithms of three pixels along each axis,
    exact for a Gaussian. At the border these are the three outermost pixels; where the vertex lies more than
    half a pixel outside, the maximum is the flank of a site outside of the image and is left out.

    Parameters
    ----------
    heatmap
        Heat map, (rows, columns).
    threshold
        Maxima at or below it are ignored, > 0.
    min_distance_px
        Of maxima closer than this only the highest is kept; 0 keeps all [px].

    Returns
    -------
    Peaks
        Row and column (N, 2) [px] and height (N,), in the order of rows, then columns; N may be 0.

    Raises
    ------
    ValueError
        If `heatmap` is not a finite two-dimensional array, `threshold` not positive or `min_distance_px`
        negative.

    References
    ----------
    Raffel et al., Particle Image Velocimetry, 2nd ed. (Springer, 2007), table 5.1, Gaussian peak fit.
    """
    heights = as_image(heatmap, "heatmap")
    if not (np.isfinite(threshold) and threshold > 0):
        raise ValueError(f"threshold must be > 0, got {threshold}")
    maxima, centroids = _maxima(heights, threshold)
    pixels = np.where(np.isnan(centroids), _vertices(heights, maxima), centroids)
    is_inside = (np.abs(pixels - maxima) <= 0.5 + _ROUNDING).all(axis=1) | ~np.isnan(centroids[:, 0])
    confidence = heights[maxima[:, 0], maxima[:, 1]]
    return merge_peaks(Peaks(pixels[is_inside], confidence[is_inside]), min_distance_px)


def merge_peaks(peaks: Peaks, min_distance_px: float) -> Peaks:
    """Keep the highest of peaks that are closer to each other than `min_distance_px`.

    Taken from the highest to the lowest, a peak is kept unless a kept one is closer than that. Of equal ones
    the first in the order of rows, then columns, is kept.

    Raises
    ------
    ValueError
        If `min_distance_px` is negative.
    """
    if not (np.isfinite(min_distance_px) and min_distance_px >= 0):
        raise ValueError(f"min_distance_px must be >= 0 px, got {min_distance_px}")
    order = np.lexsort((peaks.pixels[:, 1], peaks.pixels[:, 0]))
    pixels, confidence = peaks.pixels[order], peaks.confidence[order]
    is_kept = np.ones(len(pixels), dtype=bool)
    if min_distance_px > 0 and len(pixels) > 1:
        close = KDTree(pixels).query_pairs(min_distance_px * (1 - 1e-12), output_type="ndarray")
        is_kept = _strongest(confidence, close)
    return Peaks(pixels[is_kept], confidence[is_kept])


def _strongest(confidence: Float32Array, close: IntArray) -> BoolArray:
    """Keep, from the strongest to the weakest, the points that are not `close` to a kept one."""
    rank = np.empty(len(confidence), dtype=np.int64)
    rank[np.argsort(-confidence, kind="stable")] = np.arange(len(confidence))
    is_kept = np.ones(len(confidence), dtype=bool)
    stronger_first = rank[close[:, 0]] < rank[close[:, 1]]
    strong, weak = np.where(stronger_first, close.T, close.T[::-1])
    while len(weak):
        # Whoever is no longer the weaker one of any pair stays, and everything close to it goes.
        is_beaten = np.zeros(len(confidence), dtype=bool)
        is_beaten[weak] = True
        is_kept[weak[~is_beaten[strong]]] = False
        is_open = is_kept[weak] & is_kept[strong] & is_beaten[strong]
        strong, weak = strong[is_open], weak[is_open]
    return is_kept


def _maxima(heights: Float32Array, threshold: float) -> tuple[IntArray, FloatArray]:
    """Return the highest pixels (N, 2), and the centroids of the flat ones, NaN for the others."""
    padded = np.pad(heights, 1, constant_values=-np.inf)
    highest = np.maximum(np.maximum(padded[:, :-2], padded[:, 2:]), padded[:, 1:-1])
    highest = np.maximum(np.maximum(highest[:-2], highest[2:]), highest[1:-1])
    is_maximum = np.pad((heights >= highest) & (heights > threshold), 1)
    maxima = np.argwhere(is_maximum)
    around = maxima[:, None] + _NEIGHBOURS
    is_equal = padded[around[..., 0], around[..., 1]] == padded[maxima[:, 0], maxima[:, 1]][:, None]
    is_flat = is_equal.any(axis=1)
    single = maxima[~is_flat] - 1
    if not is_flat.any():
        return single, np.full(single.shape, np.nan)
    # Neighbouring maxima are equal; an equal neighbour that is none touches something higher.
    is_shoulder = (is_equal & ~is_maximum[around[..., 0], around[..., 1]]).any(axis=1)
    group = label(is_maximum, _CONNECTED)[0][maxima[:, 0], maxima[:, 1]][is_flat]
    flat, centroids = _flat_maxima(maxima[is_flat] - 1, group, is_shoulder[is_flat])
    return np.concatenate([single, flat]), np.concatenate([np.full(single.shape, np.nan), centroids])


def _flat_maxima(pixels: IntArray, group: IntArray, is_shoulder: BoolArray) -> tuple[IntArray, FloatArray]:
    """Return the middle pixel and the centroid of each group of equal pixels that has no shoulder."""
    size = np.bincount(group)
    sums = [np.bincount(group, weights=pixels[:, axis]) for axis in range(2)]
    centroids = np.column_stack(sums) / np.maximum(size, 1)[:, None]
    order = np.lexsort((((pixels - centroids[group]) ** 2).sum(axis=1), group))
    middle = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    middle = middle[~np.isin(group[middle], group[is_shoulder])]
    # A parabola finds the middle of two pixels side by side as well, and the place along the other axis.
    is_side_by_side = (size == 2) & ((centroids % 1).sum(axis=1) == 0.5)
    centroids[is_side_by_side] = np.nan
    return pixels[middle], centroids[group[middle]]


def _vertices(heights: Float32Array, maxima: IntArray) -> FloatArray:
    """Return the vertices (N, 2) of the parabolas through the logarithms around `maxima`."""
    vertices = maxima.astype(np.float64)
    least = _LEAST_RATIO * heights[maxima[:, 0], maxima[:, 1]].astype(np.float64)
    for axis, size in enumerate(heights.shape):
        if size < 3:
            continue
        three = np.repeat(maxima[None], 3, axis=0)
        three[..., axis] = np.clip(maxima[:, axis], 1, size - 2) + np.arange(-1, 2)[:, None]
        low, middle, high = np.log(np.maximum(heights[three[..., 0], three[..., 1]], least))
        curvature = low - 2 * middle + high
        is_peaked = curvature < -_LEAST_CURVATURE
        shift = (low - high) / (2 * np.where(is_peaked, curvature, 1.0))
        vertices[:, axis] = np.where(is_peaked, three[1, :, axis] + shift, maxima[:, axis])
    return vertices
