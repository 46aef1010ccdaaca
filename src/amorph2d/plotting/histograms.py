"""Binned distributions, the same for every kind of chart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.plotting.grey import nice_length


@dataclass(frozen=True, eq=False)
class Histogram:
    """Counts between edges.

    Attributes
    ----------
    edges
        Bin edges, ascending, (K + 1,).
    counts
        Values in each bin, (K,).
    n_values
        Number of values, those outside the edges included.
    """

    edges: FloatArray
    counts: IntArray
    n_values: int

    @property
    def centres(self) -> FloatArray:
        """Centres of the bins, (K,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def density(self) -> FloatArray:
        """Probability density, (K,); integrates to the share of the values inside. NaN without values."""
        if self.n_values == 0:
            return np.full(len(self.counts), np.nan)
        return self.counts / (self.n_values * np.diff(self.edges))

    @property
    def n_outside(self) -> int:
        """Number of values outside the edges."""
        return self.n_values - int(self.counts.sum())


def choose_edges(values: ArrayLike, *, max_bins: int = 80, tail: float = 0.1) -> FloatArray:
    """Choose round bin edges for a distribution.

    Parameters
    ----------
    values
        Sample, any shape; values that are not finite are left out.
    max_bins
        Largest number of bins, ≥ 4.
    tail
        Percentage of the values that may lie outside at either end: one outlier must not flatten the chart.

    Returns
    -------
    ndarray
        Edges, multiples of a bin width 1, 2 or 5 × 10ⁿ; 0 … 1 if there are no values.

    References
    ----------
    Freedman & Diaconis, Z. Wahrscheinlichkeitstheorie 57, 453 (1981): bin width 2 IQR / ∛n.
    """
    if max_bins < 4:
        raise ValueError(f"max_bins must be ≥ 4, got {max_bins}")
    sample = np.asarray(values, dtype=np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    if sample.size == 0:
        return np.linspace(0.0, 1.0, 5)
    first, q1, q3, last = np.percentile(sample, (tail, 25, 75, 100 - tail))
    span = float(last - first)
    scale = max(abs(float(first)), abs(float(last)), 1e-6)
    if span < 1e-6 * scale:
        width = nice_length(scale / 100)
    else:
        ideal = 2 * float(q3 - q1) / sample.size ** (1 / 3)
        width = nice_length(min(max(ideal, span / max_bins), span / 4))
    if span / width > max_bins:  # rounding down made too many bins
        width = nice_length(width * 2.6)
    lower, upper = math.floor(first / width), math.ceil(last / width)
    lower, upper = (
        lower - (lower * width > first),
        upper + (upper * width < last),
    )  # where rounding took a bin away
    return np.arange(lower, max(upper, lower + 1) + 1) * width


def bin_values(values: ArrayLike, edges: FloatArray) -> Histogram:
    """Count the finite `values` between `edges` (K + 1, ascending)."""
    sample = np.asarray(values, dtype=np.float64).ravel()
    sample = sample[np.isfinite(sample)]
    return Histogram(edges, np.histogram(sample, edges)[0].astype(np.int64), len(sample))
