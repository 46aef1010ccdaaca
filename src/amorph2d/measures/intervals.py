"""Confidence intervals that respect correlations in space: whole blocks of the sheet are resampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

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
    """Student's interval of an estimate, from the scatter of its bootstrap samples.

    Percentiles of the samples would be too narrow for few blocks: those of four cover the truth 85 times in a
    hundred instead of 95.

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
    Hesterberg, Am. Stat. 69, 371 (2015), https://doi.org/10.1080/00031305.2015.1089789: Student's t with
    bootstrap standard errors, and that samples of n blocks scatter by √(1 − 1/n) too little.
    """
    half = _student_reach(level, n_blocks) * np.sqrt(_variance(samples, n_blocks))
    return float(estimate - half), float(estimate + half)


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
    variance = _variance(samples, n_blocks)
    spread = share * (1 - share)
    n_effective = n_items if 0 in (spread, variance) else spread / variance
    z = _student_reach(level, n_blocks)
    centre = (share + z**2 / (2 * n_effective)) / (1 + z**2 / n_effective)
    scatter = np.sqrt(spread / n_effective + (z / (2 * n_effective)) ** 2)
    half = z * scatter / (1 + z**2 / n_effective)
    # Rounding must not leave out the share itself.
    return float(np.minimum(share, centre - half)), float(np.maximum(share, centre + half))


def _variance(samples: ArrayLike, n_blocks: int) -> float:
    """Variance of a statistic of n blocks, from its bootstrap samples; NaN where it cannot be known."""
    values = np.asarray(samples, dtype=np.float64)
    values = values[np.isfinite(values)]
    if n_blocks < 2 or len(values) < 2:
        return np.nan
    return float(values.var() * n_blocks / (n_blocks - 1))


def _student_reach(level: float, n_blocks: int) -> float:
    """Half-width of an interval in standard errors that are known from n blocks."""
    return float(stdtrit(n_blocks - 1, (1 + level) / 2))
