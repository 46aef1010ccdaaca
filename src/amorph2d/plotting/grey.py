"""Micrographs as grey values, and lengths for scale bars."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import as_image


def stretch(image: ArrayLike, *, percentiles: tuple[float, float] = (0.5, 99.5)) -> NDArray[np.uint8]:
    """Map an image linearly to 8-bit grey values, with the given percentiles at black and white.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    percentiles
        Percentages of the pixels that turn black and that stay below white, 0 … 100.

    Returns
    -------
    ndarray
        Grey values 0 … 255, (rows, columns); an image without contrast is mid-grey.

    Raises
    ------
    ValueError
        If `image` is no finite two-dimensional array, or the percentiles do not ascend within 0 … 100.
    """
    low, high = percentiles
    if not 0 <= low < high <= 100:
        raise ValueError(f"percentiles must ascend within 0 … 100, got {percentiles}")
    values = as_image(image)
    # About a million pixels fix the percentiles to 0.1 %; sorting all of a 4096² image would cost 0.2 s.
    step = max(1, math.isqrt(values.size // 1_000_000))
    black, white = np.percentile(values[::step, ::step], (low, high))
    if not white > black:
        return np.full(values.shape, 128, dtype=np.uint8)
    return np.clip((values - black) * (255.0 / (white - black)) + 0.5, 0, 255).astype(np.uint8)


def nice_length(limit: float) -> float:
    """Return the largest of 1, 2, 5 × 10ⁿ that does not exceed `limit`.

    Raises
    ------
    ValueError
        If `limit` is not positive and finite.
    """
    if not (math.isfinite(limit) and limit > 0):
        raise ValueError(f"limit must be > 0 and finite, got {limit}")
    power = 10.0 ** math.floor(math.log10(limit) + 1e-12)
    return max(factor * power for factor in (1.0, 2.0, 5.0) if factor * power <= limit * (1 + 1e-9))


def scale_bar(width: float) -> tuple[float, str]:
    """Choose a scale bar for a field.

    Parameters
    ----------
    width
        Width of the field, > 0 [Å].

    Returns
    -------
    tuple
        Length [Å], at most a quarter of `width`, and its label in Å or, from 10 Å on, in nm.
    """
    length = nice_length(width / 4)
    return length, f"{length / 10:g} nm" if length >= 10 else f"{length:g} Å"
