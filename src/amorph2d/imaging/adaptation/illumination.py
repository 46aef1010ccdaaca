"""The slow background of a micrograph: gradient, vignetting and what is left."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, BoolArray, Float32Array, FloatArray, as_image
from amorph2d.units import Sampling, as_sampling

_BLOCK = 8.0  # side of the blocks that the illumination is fitted to, at least [Å]
_MAX_BLOCKS = 32  # blocks along a side at most
_LEAST_BLOCKS = 12
_LEAST_FILLED = 0.5  # share of a block that must be clean


@dataclass(frozen=True, eq=False)
class Illumination:
    """Slow background of an image, in the unit of the image.

    Attributes
    ----------
    field
        The fitted background, (rows, columns).
    gradient
        Its linear change across the image, peak to peak.
    vignetting
        Its loss at the corners.
    unevenness
        Root mean square of what else varies slowly.
    error
        Standard error of `gradient`.
    """

    field: Float32Array
    gradient: float
    vignetting: float
    unevenness: float
    error: float


def measure_illumination(image: ArrayLike, sampling: Sampling, is_clean: BoolArray) -> Illumination:
    """Fit the slow background of an image: constant, gradient and vignetting, to the means of clean blocks.

    Parameters
    ----------
    image
        Intensities, (rows, columns).
    sampling
        Along y and x [Å/px].
    is_clean
        Pixels that count, (rows, columns).

    Returns
    -------
    Illumination
        All zero about the mean where fewer than twelve blocks are clean.
    """
    from scipy.optimize import least_squares

    array, steps = as_image(image), as_sampling(sampling)
    y, x, means = _block_means(array, steps, is_clean)
    middle = float(means.mean()) if means.size else float(array.mean(dtype=np.float64))
    if means.size < _LEAST_BLOCKS:
        field = np.full(array.shape, middle, np.float32)
        return Illumination(field, 0.0, 0.0, 0.0, math.nan)
    aspect = array.shape[0] * steps[0] / (array.shape[1] * steps[1])
    terms = _terms(y, x, aspect)
    start = np.linalg.lstsq(terms, means, rcond=None)[0]
    scale = 1.4826 * float(np.median(np.abs(means - terms @ start))) + 1e-6 * abs(middle) + 1e-12

    def misfit(p: FloatArray) -> FloatArray:
        return np.asarray((terms @ p - means) / scale)

    # A soft loss: blocks at the rim of debris must not tilt the plane.
    fit = least_squares(misfit, start, loss="soft_l1").x
    rest = means - terms @ fit
    variance = float(np.mean(rest**2)) * means.size / (means.size - terms.shape[1])
    covariance = variance * np.linalg.inv(terms.T @ terms)
    error = 2 * math.sqrt(covariance[1, 1] + covariance[2, 2])
    grid_y, grid_x = np.linspace(-1, 1, array.shape[0])[:, None], np.linspace(-1, 1, array.shape[1])
    field = fit[0] + fit[1] * grid_y + fit[2] * grid_x - fit[3] * _radial(grid_y, grid_x, aspect)
    return Illumination(
        field=field.astype(np.float32),
        gradient=float(2 * (abs(fit[1]) + abs(fit[2]))),
        vignetting=float(fit[3]),
        unevenness=math.sqrt(variance),
        error=error,
    )


def _radial(y: FloatArray, x: FloatArray, aspect: float) -> FloatArray:
    """Square of the distance from the centre, 1 at the corners, less its mean."""
    return np.asarray((aspect**2 * y**2 + x**2) / (1 + aspect**2) - 1 / 3)


def _terms(y: FloatArray, x: FloatArray, aspect: float) -> FloatArray:
    """Columns of the linear model of the illumination at places −1 … 1."""
    return np.column_stack([np.ones_like(y), y, x, -_radial(y, x, aspect)])


def _block_means(
    image: Float32Array, steps: tuple[float, float], is_clean: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Places (−1 … 1 along y and x) and means of the blocks that are mostly clean."""
    edges = []
    for n, step in zip(image.shape, steps, strict=True):
        blocks = int(np.clip(n * step / _BLOCK, 1, _MAX_BLOCKS))
        edges.append(np.linspace(0, n, blocks + 1).astype(int))

    def sums(values: AnyArray) -> FloatArray:
        down = np.add.reduceat(values.astype(np.float64), edges[0][:-1], axis=0)
        return np.asarray(np.add.reduceat(down, edges[1][:-1], axis=1))

    counts, totals = sums(is_clean), sums(np.where(is_clean, image, 0))
    sizes = np.outer(*(np.diff(edge) for edge in edges))
    kept = counts >= np.maximum(_LEAST_FILLED * sizes, 1)
    y, x = np.meshgrid(
        *((edge[:-1] + edge[1:] - 1) / (n - 1) - 1 for edge, n in zip(edges, image.shape, strict=True)),
        indexing="ij",
    )
    return y[kept], x[kept], totals[kept] / counts[kept]


def flatten(image: Float32Array, light: Illumination) -> Float32Array:
    """Take the fitted background off an image, its mean left in place: contrast counts, not the level.

    Where the background is positive throughout, the contrast is also made even by dividing by it.
    """
    field = light.field
    mean = float(field.mean(dtype=np.float64))
    if field.min() > 0.2 * mean > 0:
        return np.asarray(image * (np.float32(mean) / field), dtype=np.float32)
    return np.asarray(image - (field - np.float32(mean)), dtype=np.float32)
