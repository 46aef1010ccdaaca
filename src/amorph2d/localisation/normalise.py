"""Local mean and spread: what makes contrast comparable across a micrograph and between micrographs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, FloatArray, IntArray, as_image

_REACH = 4.0
_BLOCKS_PER_SIGMA = 3
_WINDOW = 512
_RELATIVE_FLOOR = 0.01
_LEAST_SPREAD = 1e-6


def normalise(image: ArrayLike, sigma_px: float) -> Float32Array:
    """Subtract the local mean and divide by the local standard deviation.

    Both are weighted by a Gaussian cut at four standard deviations. The mean is a local linear fit, so slopes
    of the background leave no trace, at the border neither. Where the image is constant the result is 0.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type.
    sigma_px
        Standard deviation of the Gaussian, > 0 [px].

    Returns
    -------
    Float32Array
        The normalised image, (rows, columns).

    Raises
    ------
    ValueError
        If `image` is not a finite two-dimensional image, or `sigma_px` is not positive.
    """
    pixels = as_image(image)
    statistics = measure_statistics([pixels], pixels.shape, sigma_px)
    result = np.empty_like(pixels)
    for rows in _windows(pixels.shape[0]):
        for columns in _windows(pixels.shape[1]):
            result[rows, columns] = statistics.normalise(pixels[rows, columns], rows, columns)
    return result


@dataclass(frozen=True)
class LocalStatistics:
    """Means and variances of the blocks of an image, from which any window of it is normalised alike.

    Attributes
    ----------
    shape
        Rows and columns of the image [px].
    sigma
        Standard deviation of the Gaussian window [px].
    block
        Side of a block [px]; blocks at the far borders may be cut.
    offset
        Mean of the image, from which `means` are counted.
    means
        Mean of each block less `offset`.
    variances
        Variance of each block about the local mean.
    floor
        Least standard deviation that is divided by.
    """

    shape: tuple[int, int]
    sigma: float
    block: int
    offset: float
    means: Float32Array
    variances: Float32Array
    floor: float

    def normalise(self, window: Float32Array, rows: slice, columns: slice) -> Float32Array:
        """Normalise the pixels `window`, which lie at `rows`, `columns` of the image."""
        near_y, line_y, mean_y = self._weights(0, np.arange(rows.start, rows.stop))
        near_x, line_x, mean_x = self._weights(1, np.arange(columns.start, columns.stop))
        result = window - np.float32(self.offset)
        result -= _separable(line_y, self.means[near_y, near_x], line_x)
        spread = _separable(mean_y, self.variances[near_y, near_x], mean_x)
        np.sqrt(spread, out=spread)
        np.maximum(spread, np.float32(self.floor), out=spread)
        result /= spread
        return result

    def _weights(self, axis: int, places: IntArray) -> tuple[slice, Float32Array, Float32Array]:
        return _smoothing_weights(places, self.shape[axis], self.block, self.sigma)


@dataclass(frozen=True)
class WholeStatistics:
    """Mean and standard deviation of a whole image, by which any window of it is normalised alike."""

    mean: float
    spread: float

    def normalise(self, window: Float32Array, rows: slice, columns: slice) -> Float32Array:  # noqa: ARG002
        """Normalise the pixels `window`, wherever they lie."""
        return np.asarray((window - np.float32(self.mean)) / np.float32(self.spread), dtype=np.float32)


def measure_whole(stripes: Iterable[Float32Array]) -> WholeStatistics:
    """Measure mean and standard deviation of an image that comes in `stripes`.

    The spread of a constant image is what rounding makes of it, so that it is normalised to 0.
    """
    n, mean, squares = 0, 0.0, 0.0
    for stripe in stripes:  # joined pairwise: Chan, Golub, LeVeque, Am. Stat. 37, 242 (1983), eq. 2.1
        here = float(stripe.mean(dtype=np.float64))
        squares += float(np.square(stripe - here, dtype=np.float64).sum())
        squares += (here - mean) ** 2 * n * stripe.size / (n + stripe.size)
        mean += (here - mean) * stripe.size / (n + stripe.size)
        n += stripe.size
    rounding = 8 * float(np.finfo(np.float32).eps) * abs(mean)
    spread = max(float(np.sqrt(squares / n)), rounding, float(np.finfo(np.float32).tiny))
    return WholeStatistics(mean, spread)


def measure_statistics(
    stripes: Iterable[Float32Array], shape: tuple[int, ...], sigma_px: float
) -> LocalStatistics:
    """Measure the local statistics of an image that comes in `stripes` from its top to its bottom.

    Parameters
    ----------
    stripes
        Consecutive rows of the image, each (n, columns); all but the last a multiple of
        `block_side(sigma_px)` high.
    shape
        Rows and columns of the image [px].
    sigma_px
        Standard deviation of the Gaussian window, > 0 [px].

    Returns
    -------
    LocalStatistics
        Statistics that normalise any window of the image.

    Raises
    ------
    ValueError
        If `sigma_px` is not positive.
    """
    block = block_side(sigma_px)
    moments = [_block_moments(stripe, block) for stripe in stripes]
    means = np.concatenate([mean for mean, _ in moments])
    inner = np.concatenate([variance for _, variance in moments])
    rows, columns = int(shape[0]), int(shape[1])
    offset = float(means.mean(dtype=np.float64))
    means = (means - offset).astype(np.float32)
    smooth = _separable(
        _block_weights(rows, block, sigma_px), means, _block_weights(columns, block, sigma_px)
    )
    variances = inner + (means - smooth) ** 2
    floor = _spread_floor(inner, float(np.abs(means).max()) + abs(offset))
    return LocalStatistics((rows, columns), float(sigma_px), block, offset, means, variances, floor)


def block_side(sigma_px: float) -> int:
    """Return the side of the blocks that a window of `sigma_px` is measured on [px]."""
    if not (np.isfinite(sigma_px) and sigma_px > 0):
        raise ValueError(f"sigma_px must be > 0 px, got {sigma_px}")
    return max(int(sigma_px / _BLOCKS_PER_SIGMA), 1)


def _windows(size: int) -> Iterator[slice]:
    """Yield windows that share out `size` pixels."""
    for start in range(0, size, _WINDOW):
        yield slice(start, min(start + _WINDOW, size))


def _block_moments(stripe: Float32Array, block: int) -> tuple[FloatArray, Float32Array]:
    """Return the mean and the variance, about that mean, of each block."""
    n_whole = len(stripe) // block * block
    parts = [stripe[:n_whole].reshape(-1, block, stripe.shape[1]), stripe[None, n_whole:]]
    moments = [_moments_across(part, block) for part in parts if part.size]
    return np.concatenate([mean for mean, _ in moments]), np.concatenate(
        [variance for _, variance in moments]
    )


def _moments_across(rows: Float32Array, block: int) -> tuple[FloatArray, Float32Array]:
    """Return the mean and the variance of blocks of the columns of (n, height, columns), each (n, blocks)."""
    starts = np.arange(0, rows.shape[2], block)
    width = np.diff(starts, append=rows.shape[2])
    area = rows.shape[1] * width
    mean = np.add.reduceat(rows.sum(axis=1), starts, axis=1, dtype=np.float64) / area
    residual = rows - np.repeat(mean.astype(np.float32), width, axis=1)[:, None]
    squares = np.einsum("ijk,ijk->ik", residual, residual)
    return mean, (np.add.reduceat(squares, starts, axis=1) / area).astype(np.float32)


def _spread_floor(variances: Float32Array, level: float) -> float:
    """Return a hundredth of the usual spread, and at least what rounding makes of a constant image."""
    rounding = 8 * float(np.finfo(np.float32).eps) * level
    spread = np.sqrt(variances)
    usual = spread[spread > rounding]
    floor = _RELATIVE_FLOOR * float(np.median(usual)) if usual.size else 0.0
    return max(floor, rounding, float(np.finfo(np.float32).tiny))


def _separable(down: Float32Array, blocks: Float32Array, across: Float32Array) -> Float32Array:
    """Weight `blocks` along both axes."""
    return np.asarray(down @ blocks @ across.T, dtype=np.float32)


def _block_weights(size: int, block: int, sigma: float) -> Float32Array:
    """Return the weights (blocks, blocks) of linear fits at the centres of the blocks."""
    starts = np.arange(0, size, block)
    centres = (starts + np.minimum(starts + block, size) - 1) / 2
    return _smoothing_weights(centres, size, block, sigma)[1]


def _smoothing_weights(
    places: IntArray | FloatArray, size: int, block: int, sigma: float
) -> tuple[slice, Float32Array, Float32Array]:
    """Return the blocks near `places` along one axis and their weights (places, blocks) in fits and means.

    The weights of a linear fit, read at distance 0: Fan, JASA 87, 998 (1992), eq. 2.2.
    """
    reach = max(_REACH * sigma, block)
    first = max(int((places[0] - reach) // block), 0)
    last = min(int((places[-1] + reach) // block) + 1, -(-size // block))
    starts = np.arange(first, last) * block
    counts = np.minimum(starts + block, size) - starts
    distance = (starts + (counts - 1) / 2 - places[:, None]) / sigma
    weights = np.where(np.abs(distance) <= reach / sigma, counts * np.exp(-0.5 * distance**2), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    tilt = weights * distance
    first_moment = tilt.sum(axis=1, keepdims=True)
    spread = np.einsum("ij,ij->i", tilt, distance)[:, None] - first_moment**2
    # A single block within reach allows no slope.
    slope = np.where(spread > _LEAST_SPREAD, first_moment / np.maximum(spread, _LEAST_SPREAD), 0.0)
    lines = weights * (1 + slope * first_moment) - tilt * slope
    return slice(first, last), lines.astype(np.float32), weights.astype(np.float32)
