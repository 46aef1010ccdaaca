"""Pair distribution g(r) of positions observed in a window."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from amorph2d.arrays import FloatArray, as_points
from amorph2d.measures.window import Window

_STRIP = 50_000  # positions searched at once: bounds the memory for their pairs


@dataclass(frozen=True, eq=False)
class PairDistribution:
    """Pair distribution in bins of distance.

    Attributes
    ----------
    r
        Middles of the bins, (K,) [Å].
    n_pairs
        Pairs found, (K,).
    n_expected
        Pairs that independent positions of the same density would have, (K,).
    """

    r: FloatArray
    n_pairs: FloatArray
    n_expected: FloatArray

    @property
    def g(self) -> FloatArray:
        """Pairs found over pairs expected, (K,); NaN where none can be expected."""
        return self._over_expected(self.n_pairs)

    @property
    def g_error(self) -> FloatArray:
        """Standard error of g, (K,): that of a Poisson count, and of one pair where there is none."""
        return self._over_expected(np.sqrt(np.maximum(self.n_pairs, 1)))

    def _over_expected(self, count: FloatArray) -> FloatArray:
        has = self.n_expected > 0
        return np.divide(count, self.n_expected, out=np.full(len(self.r), np.nan), where=has)


def pair_distribution(
    positions: ArrayLike, window: Window, *, r_max: float, bin_width: float, edge_correction: bool = True
) -> PairDistribution:
    """Measure how much likelier than by chance two positions lie a distance r apart.

    The pairs in a bin are compared with those of N independent positions in the same window, N (N − 1) / (2
    A²) ∫ γ(r) 2π r dr, where γ is the window's set covariance: near the border part of the circle around a
    position cannot be seen. This is the translation edge correction, averaged over directions.

    Parameters
    ----------
    positions
        Positions, (N, 2), x then y [Å]; those outside the window are left out.
    window
        Where positions were observed.
    r_max
        Largest distance, > 0 [Å].
    bin_width
        Width of a bin, > 0 [Å]; narrowed so that a whole number of bins fits.
    edge_correction
        False takes γ = A, as if the window had no border.

    Returns
    -------
    PairDistribution
        g(r) with its errors.

    Raises
    ------
    ValueError
        If a shape is wrong, or `r_max` or `bin_width` is not positive.

    References
    ----------
    Illian et al., Statistical Analysis and Modelling of Spatial Point Patterns (2008), chapter 4,
    https://doi.org/10.1002/9780470725160.
    """
    points = as_points(positions, "positions")
    for name, value in {"r_max": r_max, "bin_width": bin_width}.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0 Å, got {value}")
    points = points[window.contains(points)]
    edges = np.linspace(0, r_max, max(1, int(np.ceil(r_max / bin_width - 1e-9))) + 1)
    n_pairs = _count_pairs(points, edges)
    share = _share_of_pairs(window, edges, edge_correction)
    return PairDistribution(
        (edges[1:] + edges[:-1]) / 2, n_pairs, len(points) * (len(points) - 1) / 2 * share
    )


def pool_pair_distributions(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Pool pair distributions of several frames or micrographs: all pairs found over all pairs expected.

    Parameters
    ----------
    tables
        `r`, `g` and `g_error` in the same bins, the error being that of a Poisson count.

    Returns
    -------
    DataFrame
        `r` [Å], `g` and `g_error`, ascending in `r`.
    """
    rows = pd.concat([pd.DataFrame({"r": [], "g": [], "g_error": []}), *tables])[
        ["r", "g", "g_error"]
    ].dropna()
    # g = n / E and its error √max(n, 1) / E hold the counts found, n, and expected, E.
    found = np.rint((rows["g"] / rows["g_error"]) ** 2)
    counts = pd.DataFrame({"r": rows["r"], "n": found, "e": np.sqrt(np.maximum(found, 1)) / rows["g_error"]})
    total = counts.groupby("r", as_index=False).sum()
    pooled = PairDistribution(*(total[name].to_numpy(np.float64) for name in ("r", "n", "e")))
    return pd.DataFrame({"r": pooled.r, "g": pooled.g, "g_error": pooled.g_error})


def _share_of_pairs(window: Window, edges: FloatArray, edge_correction: bool) -> FloatArray:
    """Probability that two independent positions in the window are as far apart as each bin says."""
    if window.area == 0:
        return np.zeros(len(edges) - 1)
    nodes, weights = np.polynomial.legendre.leggauss(4)  # exact for the cubic that a rectangle gives
    half = np.diff(edges)[:, None] / 2
    r = edges[:-1, None] + half * (1 + nodes)
    covariance = window.set_covariance(r) if edge_correction else window.area
    return (covariance * 2 * np.pi * r * weights * half).sum(axis=1) / window.area**2


def _count_pairs(points: FloatArray, edges: FloatArray) -> FloatArray:
    """Count pairs of points by their distance, each pair once."""
    counts = np.zeros(len(edges) - 1)
    for own, others in _strips(points[np.argsort(points[:, 0], kind="stable")], edges[-1]):
        first, second = cKDTree(others).query_pairs(edges[-1], output_type="ndarray").T  # first < second
        first, second = first[first < own], second[first < own]
        distances = np.hypot(*(column[first] - column[second] for column in others.T))
        counts += np.histogram(distances, len(counts), (0, edges[-1]))[0]
    return counts


def _strips(points: FloatArray, reach: float) -> Iterator[tuple[int, FloatArray]]:
    """Cut points, sorted by x, into strips: the number of own points, then these and those within reach."""
    for start in range(0, len(points), _STRIP):
        stop = min(start + _STRIP, len(points))
        end = np.searchsorted(points[:, 0], points[stop - 1, 0] + reach, side="right")
        yield stop - start, points[start:end]
