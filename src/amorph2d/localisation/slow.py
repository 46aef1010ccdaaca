"""What varies slowly in an image."""

from __future__ import annotations

import numpy as np

from amorph2d.arrays import Float32Array

_BLOCKS = 3  # means that the result is interpolated from, per standard deviation
_LEAST = 1e-3  # weight around a place, below which the mean there goes to 0


def slow_mean(
    pixels: Float32Array, sigma: tuple[float, float], weight: Float32Array | None = None
) -> Float32Array:
    """Return the mean of an image under a Gaussian, normalised at the edges.

    It is calculated on blocks of a third of the standard deviation, and interpolated linearly between them.

    Parameters
    ----------
    pixels
        Image, (rows, columns).
    sigma
        Standard deviation of the Gaussian along y and x, > 0 [px].
    weight
        How much each pixel counts, ≥ 0, (rows, columns); None: all alike.
    """
    (put_y, mean_y), (put_x, mean_x) = (
        _smoother(size, width) for size, width in zip(pixels.shape, sigma, strict=True)
    )

    def blocks(values: Float32Array) -> Float32Array:
        return np.asarray(mean_y @ values @ mean_x.T)

    if weight is None:
        means = blocks(pixels)
    else:
        means = np.asarray(blocks(pixels * weight) / blocks(weight).clip(_LEAST), dtype=np.float32)
    return np.asarray(put_y @ means @ put_x.T)


def _smoother(size: int, sigma: float) -> tuple[Float32Array, Float32Array]:
    """Return what interpolates and what smooths means of blocks along an axis, (size, B) and (B, size)."""
    block = max(int(sigma / _BLOCKS), 1)
    starts = np.arange(0, size, block)
    counts = np.minimum(starts + block, size) - starts
    centres = starts + (counts - 1) / 2
    weights = np.exp(-0.5 * ((centres[:, None] - centres[None, :]) / sigma) ** 2)
    weights /= (weights @ counts)[:, None]
    smooth = np.repeat(weights, counts, axis=1)
    put = np.column_stack([np.interp(np.arange(size), centres, row) for row in np.eye(len(centres))])
    return put.astype(np.float32), smooth.astype(np.float32)
