"""Pixels, positions and length units: the one place where they are converted.

Positions are (N, 2) x, y [Å], x to the right along columns and y down along rows; pixels are (N, 2) row,
column. The centre of pixel (0, 0) is the origin of both.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, as_points

Sampling = float | tuple[float, float]

_ANGSTROM_PER_UNIT = {
    "å": 1.0,
    "a": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "ang": 1.0,
    "pm": 0.01,
    "nm": 10.0,
    "um": 1e4,
    "µm": 1e4,
    "micron": 1e4,
    "mm": 1e7,
    "cm": 1e8,
    "m": 1e10,
}


def angstrom_per(unit: str) -> float:
    """Return how many Å one `unit` of length is.

    Raises
    ------
    ValueError
        If `unit` is not a known length.
    """
    name = unit.strip().replace("\u212b", "Å").replace("\u03bc", "µ").lower()
    try:
        return _ANGSTROM_PER_UNIT[name]
    except KeyError:
        known = "Å, pm, nm, µm, mm, m"
        raise ValueError(f"unit must be a length ({known}), got {unit!r}") from None


def as_sampling(sampling: Sampling) -> tuple[float, float]:
    """Return `sampling` as (y, x) [Å/px].

    Raises
    ------
    ValueError
        If a value is not positive and finite.
    """
    pair = tuple(sampling) if isinstance(sampling, Sequence) else (sampling, sampling)
    if len(pair) != 2 or not all(np.isfinite(value) and value > 0 for value in pair):
        raise ValueError(f"sampling must be > 0 Å/px, one value or (y, x), got {sampling}")
    return float(pair[0]), float(pair[1])


def pixels_to_positions(pixels: ArrayLike, sampling: Sampling) -> FloatArray:
    """Convert pixels (N, 2) row, column into positions (N, 2) x, y [Å]."""
    step_y, step_x = as_sampling(sampling)
    return as_points(pixels, "pixels")[:, ::-1] * np.array([step_x, step_y])


def positions_to_pixels(positions: ArrayLike, sampling: Sampling) -> FloatArray:
    """Convert positions (N, 2) x, y [Å] into pixels (N, 2) row, column."""
    step_y, step_x = as_sampling(sampling)
    return (as_points(positions, "positions") / np.array([step_x, step_y]))[:, ::-1]
