"""Confidence intervals that respect correlations in space: whole blocks of the sheet are resampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtrit

from amorph2d.arrays import FloatArray

_WEIGHTS = 10_000_000  # weights of blocks held at once


def resample_blocks(sums: ArrayLike, *, n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """Add up quantities over blocks drawn with replacement, as many as there are.

    Parameters
    ----------
    sums
        What each block contributes to K sums, (blocks, K).
    n_resamples
        Number of bootstrap samples.
    rng
        Source of randomness.

    Returns
    -------
    FloatArray
        The sums in each bootstrap sample, (n_resamples, K).

    Raises
    ------
    ValueError
        If `sums` is not two-dimensional.

    References
    ----------
    Lahiri, Resampling Methods for Dependent Data (2003), chapter 12,
    https://doi.org/10.1007/978-1-4757-3803-2: block bootstrap of spatial data.
    """
    blocks = np.asarray(sums, dtype=np.float64)
    if blocks.ndim != 2:
        raise ValueError(f"sums must have the shape (blocks, K), got {blocks.shape}")
    n_blocks = len(blocks)
    resampled = np.zeros((n_resamples, blocks.shape[1]))
    if n_blocks == 0:
        return resampled
    chunk = max(1, _WEIGHTS // n_blocks)
    for start in range(0, n_resamples, chunk):
        n = min(chunk, n_resamples - start)
        weights = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=n)
        resampled[start : start + n] = weights @ blocks
    return resampled


def bootstrap_interval(
    estimate: float, samples: ArrayLike, *, level: float, n_blocks: int
) -> tuple[float, float]:
    """Interval of an estimate from its bootstrap samples.

    Percentiles of the samples, shifted for their bias (BC) and widened for few blocks: bootstrap samples of n
    blocks scatter by √(1 − 1/n) too little, and their scatter is itself uncertain as in Student's t.

    Parameters
    ----------
    estimate
        The statistic of all blocks.
    samples
        The statistic of each bootstrap sample; those that are NaN are left out.
    level
        Share of intervals that cover the truth.
    n_blocks
        Number of blocks.

    Returns
    -------
    low, high
        Bounds; NaN where fewer than two blocks or no samples are there.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 14.3 (without acceleration);
    Hesterberg, Am. Stat. 69, 371 (2015), section 5.1, https://doi.org/10.1080/00031305.2015.1089789: expanded
    percentiles.
    """
    values = np.asarray(samples, dtype=np.float64)
    values = values[np.isfinite(values)]
    if n_blocks < 2 or len(values) == 0 or not np.isfinite(estimate):
        return np.nan, np.nan
    below = (np.sum(values < estimate) + np.sum(values == estimate) / 2) / len(values)
    bias = ndtri(np.clip(below, 0.5 / len(values), 1 - 0.5 / len(values)))
    reach = _student_reach(level, n_blocks) * np.sqrt(n_blocks / (n_blocks - 1))
    low, high = np.quantile(values, ndtr([2 * bias - reach, 2 * bias + reach]))
    return float(low), float(high)


def share_interval(
    share: float, samples: ArrayLike, *, n_items: float, level: float, n_blocks: int
) -> tuple[float, float]:
    """Wilson's interval of a share, for as many independent items as scatter like the samples.

    Unlike percentiles it has a width where no item, or every item, is of the kind.

    Parameters
    ----------
    share
        Share of items of one kind, from 0 to 1.
    samples
        The share in each bootstrap sample; those that are NaN are left out.
    n_items
        Number of items.
    level
        Share of intervals that cover the truth.
    n_blocks
        Number of blocks.

    Returns
    -------
    low, high
        Bounds; NaN where fewer than two blocks or no samples are there.

    References
    ----------
    Wilson, J. Am. Stat. Assoc. 22, 209 (1927), https://doi.org/10.1080/01621459.1927.10502953; Korn and
    Graubard, Surv. Methodol. 24, 193 (1998): effective number of items, and Student's t for few blocks.
    """
    values = np.asarray(samples, dtype=np.float64)
    values = values[np.isfinite(values)]
    if n_blocks < 2 or len(values) == 0 or not np.isfinite(share):
        return np.nan, np.nan
    variance = values.var() * n_blocks / (n_blocks - 1)
    n_effective = share * (1 - share) / variance if variance > 0 else n_items
    z = _student_reach(level, n_blocks)
    centre = (share + z**2 / (2 * n_effective)) / (1 + z**2 / n_effective)
    half = (
        z
        * np.sqrt(share * (1 - share) / n_effective + (z / (2 * n_effective)) ** 2)
        / (1 + z**2 / n_effective)
    )
    return max(0.0, min(share, float(centre - half))), min(1.0, max(share, float(centre + half)))


def _student_reach(level: float, n_blocks: int) -> float:
    """Half-width of an interval in standard errors that are known from n blocks."""
    return float(stdtrit(n_blocks - 1, (1 + level) / 2))
