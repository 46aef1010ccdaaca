"""Confidence intervals that respect correlations in space: whole blocks of the sheet are resampled."""

from __future__ import annotations

from typing import NamedTuple

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


class Finer(NamedTuple):
    """A statistic of bootstrap samples of blocks half as wide, their number, and that in one window."""

    samples: ArrayLike
    n_blocks: int
    n_in_window: float


def bootstrap_interval(
    estimate: float, samples: ArrayLike, *, level: float, n_blocks: int, finer: Finer | None = None
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
    finer
        The same of blocks half as wide, by which the variance is followed to the size of the window; None: it
        is taken as that of the blocks.

    Returns
    -------
    low, high
        Bounds; NaN where fewer than two blocks or no samples are there.

    References
    ----------
    Hesterberg, Am. Stat. 69, 371 (2015), https://doi.org/10.1080/00031305.2015.1089789: Student's t with
    bootstrap standard errors, and that samples of n blocks scatter by √(1 − 1/n) too little.
    """
    half = _student_reach(level, n_blocks, finer) * np.sqrt(_window_variance(samples, n_blocks, finer))
    return float(estimate - half), float(estimate + half)


def share_interval(
    share: float,
    samples: ArrayLike,
    *,
    n_items: float,
    level: float,
    n_blocks: int,
    finer: Finer | None = None,
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
    finer
        The same of blocks half as wide, by which the variance is followed to the size of the window; None: it
        is taken as that of the blocks.

    Returns
    -------
    low, high
        Bounds; NaN where fewer than two blocks or no samples are there.

    References
    ----------
    Wilson, J. Am. Stat. Assoc. 22, 209 (1927), https://doi.org/10.1080/01621459.1927.10502953; Korn and
    Graubard, Surv. Methodol. 24, 193 (1998): effective number of items, and Student's t for few blocks.
    """
    variance = _window_variance(samples, n_blocks, finer)
    spread = share * (1 - share)
    n_effective = n_items if 0 in (spread, variance) else spread / variance
    z = _student_reach(level, n_blocks, finer)
    centre = (share + z**2 / (2 * n_effective)) / (1 + z**2 / n_effective)
    scatter = np.sqrt(spread / n_effective + (z / (2 * n_effective)) ** 2)
    half = z * scatter / (1 + z**2 / n_effective)
    # Rounding must not leave out the share itself.
    return float(np.minimum(share, centre - half)), float(np.maximum(share, centre + half))


def unseen_bound(exposure: float, *, level: float) -> float:
    """Return the largest density at which it is not too unlikely that none was seen.

    Parameters
    ----------
    exposure
        Area, or whatever the density refers to, in which none was.
    level
        Share of intervals that cover the truth.

    References
    ----------
    Garwood, Biometrika 28, 437 (1936): exact interval of a Poisson count, here of 0.
    """
    return float(-np.log((1 - level) / 2) / exposure)


def _variance(samples: ArrayLike, n_blocks: int) -> float:
    """Variance of a statistic of n blocks, from its bootstrap samples; NaN where it cannot be known."""
    values = np.asarray(samples, dtype=np.float64)
    values = values[np.isfinite(values)]
    if n_blocks < 2 or len(values) < 2:
        return np.nan
    return float(values.var() * n_blocks / (n_blocks - 1))


def _window_variance(samples: ArrayLike, n_blocks: int, finer: Finer | None) -> float:
    """Variance of a statistic of a window, from those that blocks of two sizes give.

    What a block has in common with its neighbours makes the variance from blocks of edge L wrong by a term in
    1/L: too small where neighbours are alike, as ring sizes are, too large where they make up for each other,
    as densities do. Two sizes show that term, and it is taken to the 1/L of the window, as in Richardson's
    extrapolation; downwards as an exponential of the same slope, which cannot go below 0.

    References
    ----------
    Politis and Romano, J. Time Ser. Anal. 16, 67 (1995), https://doi.org/10.1111/j.1467-9892.1995.tb00223.x:
    twice the estimate of a width less that of half of it has no bias of that order.
    """
    coarse = _variance(samples, n_blocks)
    fine = np.nan if finer is None else _variance(finer.samples, finer.n_blocks)
    if finer is None or not coarse > 0 or not fine > 0:
        return coarse
    change = _way(finer) * (1 - fine / coarse)
    return float(coarse * (1 + change if change > 0 else np.exp(change)))


def _way(finer: Finer) -> float:
    """Return how far the window is from the wide blocks, in steps of 1/L between both kinds."""
    return max(0.0, 1 - 2 / float(np.sqrt(max(finer.n_in_window, 1))))


def _student_reach(level: float, n_blocks: int, finer: Finer | None) -> float:
    """Half-width of an interval in standard errors, with the degrees of freedom that the variance has.

    An extrapolated one is (1 + w) times that of n wide blocks less w times that of narrow ones, which is
    part of the former: the variance of a variance of n normal blocks is 2/(n − 1), relatively, and so is the
    covariance of both with the number of narrow blocks (Satterthwaite, Biometrics Bull. 2, 110 (1946)).
    """
    freedom = n_blocks - 1.0
    if finer is not None and finer.n_blocks > n_blocks > 1:
        way = _way(finer)
        freedom = 1 / ((1 + way) ** 2 / freedom - way * (2 + way) / (finer.n_blocks - 1))
    return float(stdtrit(freedom, (1 + level) / 2))
