"""Pair distribution g(r) of positions observed in a window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray, as_points
from amorph2d.measures.window import PeriodicWindow, Window

_MOST_CELLS = 2000  # along x and y, that points are sorted into


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
        Where positions were observed; of a `PeriodicWindow`, distances are those to the nearest image.
    r_max
        Largest distance, > 0 [Å]; at most half of the shorter side of a periodic window.
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
        If a shape is wrong, `r_max` or `bin_width` is not positive, or `r_max` is too large for the box.

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
    n_pairs = _count_with_images(points, window, edges)
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


def _count_with_images(points: FloatArray, window: Window, edges: FloatArray) -> FloatArray:
    """Count pairs of points by their distance, in a periodic window by that to the nearest image."""
    if not isinstance(window, PeriodicWindow):
        return _count_pairs(points, edges)
    inside, around = window.images(points, float(edges[-1]))
    together = _count_pairs(np.concatenate([inside, around]), edges) - _count_pairs(around, edges)
    own = _count_pairs(inside, edges)
    return own + (together - own) / 2  # a pair across a side is there from both of its ends


def _count_pairs(points: FloatArray, edges: FloatArray) -> FloatArray:
    """Count pairs of points by their distance, each pair once."""
    n_bins, reach = len(edges) - 1, float(edges[-1])
    if len(points) < 2:
        return np.zeros(n_bins)
    from_corner = points - points.min(axis=0)
    cells = (from_corner // max(reach, from_corner.max() / _MOST_CELLS)).astype(np.int64)
    n_columns, n_rows = (cells.max(axis=0) + 1).tolist()
    cell = cells[:, 1] * n_columns + cells[:, 0]
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(n_rows * n_columns + 1))
    return _count_in_cells(points[order], starts, n_columns, n_rows, reach, n_bins).astype(np.float64)


@njit(cache=True)
def _count_in_cells(
    points: FloatArray, starts: IntArray, n_columns: int, n_rows: int, reach: float, n_bins: int
) -> IntArray:  # pragma: no cover
    """Count pairs within a cell and with the four of its neighbours that come later."""
    counts = np.zeros(n_bins, np.int64)
    square, per_length = reach * reach, n_bins / reach
    for row in range(n_rows):
        for column in range(n_columns):
            own = row * n_columns + column
            for i in range(starts[own], starts[own + 1]):
                x, y = points[i, 0], points[i, 1]
                for below in range(2):
                    # The rest of the own cell and the cell to the right; then three cells of the next row.
                    if row + below == n_rows:
                        continue
                    first = max(column - below, 0) + below * n_columns
                    begin = i + 1 if below == 0 else starts[row * n_columns + first]
                    end = starts[row * n_columns + min(column + 1, n_columns - 1) + below * n_columns + 1]
                    for j in range(begin, end):
                        dx, dy = points[j, 0] - x, points[j, 1] - y
                        distance = dx * dx + dy * dy
                        if distance <= square:
                            counts[min(int(np.sqrt(distance) * per_length), n_bins - 1)] += 1
    return counts
