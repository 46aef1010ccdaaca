"""Point sources on a grid and values between its pixels, by quintic B-splines."""

from __future__ import annotations

import numpy as np
from numba import njit

from amorph2d.arrays import Float32Array, FloatArray

REACH = 3  # pixels on each side that a spline touches


def spline_transfer(frequency: FloatArray) -> FloatArray:
    """Return the spectrum of the sampled quintic B-spline at `frequency` [1/px].

    References
    ----------
    M. Unser, IEEE Signal Process. Mag. 16 (6), 22 (1999), doi:10.1109/79.799930.
    """
    angle = 2 * np.pi * frequency
    return np.asarray((66 + 52 * np.cos(angle) + 2 * np.cos(2 * angle)) / 120)


@njit(cache=True, nogil=True)
def _weights(u: float, values: FloatArray, slopes: FloatArray) -> None:  # pragma: no cover
    """Fill in the six weights of the pixels around a place, `u` past the third of them, and their slopes."""
    u2, u3, u4, u5 = u * u, u**3, u**4, u**5
    values[0] = (1 - u) ** 5 / 120
    values[1] = (26 - 50 * u + 20 * u2 + 20 * u3 - 20 * u4 + 5 * u5) / 120
    values[2] = (66 - 60 * u2 + 30 * u4 - 10 * u5) / 120
    values[3] = (26 + 50 * u + 20 * u2 - 20 * u3 - 20 * u4 + 10 * u5) / 120
    values[4] = (1 + 5 * u + 10 * u2 + 10 * u3 + 5 * u4 - 5 * u5) / 120
    values[5] = u5 / 120
    slopes[0] = -((1 - u) ** 4) / 24
    slopes[1] = (-50 + 40 * u + 60 * u2 - 80 * u3 + 25 * u4) / 120
    slopes[2] = (-120 * u + 120 * u3 - 50 * u4) / 120
    slopes[3] = (50 + 40 * u - 60 * u2 - 80 * u3 + 50 * u4) / 120
    slopes[4] = (5 + 20 * u + 30 * u2 + 20 * u3 - 25 * u4) / 120
    slopes[5] = u4 / 24


@njit(cache=True, nogil=True)
def spread(grid: Float32Array, pixels: FloatArray, strengths: FloatArray) -> None:  # pragma: no cover
    """Add splines of certain strengths at (row, column) to a periodic grid."""
    rows, columns = grid.shape
    down, across, unused = np.empty(6), np.empty(6), np.empty(6)
    for i in range(len(pixels)):
        row, column = int(np.floor(pixels[i, 0])), int(np.floor(pixels[i, 1]))
        _weights(pixels[i, 0] - row, down, unused)
        _weights(pixels[i, 1] - column, across, unused)
        for k in range(6):
            y, strength = (row - 2 + k) % rows, strengths[i] * down[k]
            for m in range(6):
                grid[y, (column - 2 + m) % columns] += strength * across[m]


@njit(cache=True, nogil=True)
def sample(grid: Float32Array, pixels: FloatArray, result: FloatArray) -> None:  # pragma: no cover
    """Fill in (value, slope along columns, slope along rows) of periodic splines at (row, column)."""
    rows, columns = grid.shape
    down, down_slope, across, across_slope = np.empty(6), np.empty(6), np.empty(6), np.empty(6)
    for i in range(len(pixels)):
        row, column = int(np.floor(pixels[i, 0])), int(np.floor(pixels[i, 1]))
        _weights(pixels[i, 0] - row, down, down_slope)
        _weights(pixels[i, 1] - column, across, across_slope)
        value = slope_x = slope_y = 0.0
        for k in range(6):
            y = (row - 2 + k) % rows
            line = line_slope = 0.0
            for m in range(6):
                tap = grid[y, (column - 2 + m) % columns]
                line += tap * across[m]
                line_slope += tap * across_slope[m]
            value += down[k] * line
            slope_x += down[k] * line_slope
            slope_y += down_slope[k] * line
        result[i, 0], result[i, 1], result[i, 2] = value, slope_x, slope_y
