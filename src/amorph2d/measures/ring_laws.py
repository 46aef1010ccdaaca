"""Laws of ring sizes: Aboav–Weaire, Lemaître, and the assortativity of neighbours.

A ring of n atoms has n neighbours here, one behind each of its bonds, and one that shares two bonds with it
counts twice. So Weaire's sum rule holds exactly also where atoms have two bonds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.measures.ring_adjacency import neighbour_size_sums
from amorph2d.measures.statistics import Sums
from amorph2d.topology.ring_neighbours import RingNeighbours

_BEND = 0.66  # share of hexagons at which Lemaître's law changes
_ROUNDING = 1e-9  # variance of sizes below which they are the same


@dataclass(frozen=True)
class AboavWeaireFit:
    """The line n m(n) = (6 − a) n + b through the rings, m(n) being the mean size around rings of n atoms.

    Attributes
    ----------
    a, a_error
        Weaire's parameter and its standard error.
    intercept
        b.
    expected_intercept
        6 a + μ2, as the law has it.
    n_rings
        Rings whose neighbours are all known.
    """

    a: float
    a_error: float
    intercept: float
    expected_intercept: float
    n_rings: int


@dataclass(frozen=True)
class AboavWeaire:
    """Weaire's parameter a from sums over rings, n being their size and s the sum of sizes around them."""

    size: str
    neighbour_size: str
    product: str
    squares: str
    count: str

    def __call__(self, sums: Sums) -> FloatArray:
        """Evaluate for sums of one shape; NaN where all rings have the same size."""
        n, mean, around, squares, product = _means(
            sums, self.count, self.size, self.neighbour_size, self.squares, self.product
        )
        return 6 - _quotient(product - mean * around, squares - mean**2, n)


@dataclass(frozen=True)
class Assortativity:
    """Correlation of the sizes of neighbouring rings, from sums over pairs, each counted both ways."""

    size: str
    product: str
    squares: str
    count: str

    def __call__(self, sums: Sums) -> FloatArray:
        """Evaluate for sums of one shape; NaN where all rings have the same size."""
        n, mean, product, squares = _means(sums, self.count, self.size, self.product, self.squares)
        return _quotient(product - mean**2, squares - mean**2, n)


@dataclass(frozen=True)
class Variance:
    """Mean square deviation from the mean."""

    total: str
    squares: str
    count: str

    def __call__(self, sums: Sums) -> FloatArray:
        """Evaluate for sums of one shape; NaN where nothing was counted."""
        n, mean, squares = _means(sums, self.count, self.total, self.squares)
        return np.where(n > 0, np.maximum(squares - mean**2, 0), np.nan)


def fit_aboav_weaire(
    sizes: ArrayLike, neighbours: RingNeighbours, *, weights: ArrayLike | None = None
) -> AboavWeaireFit:
    """Fit the Aboav–Weaire law to the interior rings.

    Least squares over rings, so that each size counts as often as it is there. The error takes rings as
    independent; neighbours are not, and the bootstrap over blocks allows for that.

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    neighbours
        Which of these rings share bonds.
    weights
        Of each ring, (R,), from `ring_adjacency.neighbourhood_weights`: rings with large neighbours reach
        over the edge of a window more often. 1 for all if None.

    Returns
    -------
    AboavWeaireFit
        NaN where there are not two sizes.

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    Aboav, Metallography 3, 383 (1970), https://doi.org/10.1016/0026-0800(70)90038-8; Weaire, Metallography
    7, 157 (1974), https://doi.org/10.1016/0026-0800(74)90004-4: m(n) = 6 − a + (6 a + μ2)/n. Where all atoms
    have three bonds, Weaire's sum rule makes the fitted line go through (6, 36 + μ2). The error is White's,
    Econometrica 48, 817 (1980), https://doi.org/10.2307/1912934, for scatter that depends on n.
    """
    n_atoms, weight = np.asarray(sizes, dtype=np.float64), _weights(weights, neighbours)
    if len(n_atoms) != len(weight):
        raise ValueError(f"sizes must be {len(weight)}, got {len(n_atoms)}")
    is_used = weight > 0
    n, around = n_atoms[is_used], neighbour_size_sums(sizes, neighbours)[is_used].astype(np.float64)
    share = weight[is_used] / max(weight.sum(), np.finfo(float).tiny)
    mean, middle = share @ n, share @ around
    variance = share @ (n - mean) ** 2
    if not variance > _ROUNDING:
        return AboavWeaireFit(np.nan, np.nan, np.nan, np.nan, len(n))
    slope = share @ ((n - mean) * (around - middle)) / variance
    left = around - middle - slope * (n - mean)
    error = np.sqrt((share**2) @ ((n - mean) * left) ** 2) / variance
    a = 6 - slope
    return AboavWeaireFit(
        float(a), float(error), float(middle - slope * mean), float(6 * a + variance), len(n)
    )


def weaire_sums(sizes: ArrayLike, neighbours: RingNeighbours) -> tuple[float, float]:
    """Return both sides of Weaire's sum rule, <n m(n)> and <n²>, over all rings.

    They are equal for each sheet in which every bond has a ring on either side, as in a periodic one without
    pores.

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    neighbours
        Which of these rings share bonds.

    References
    ----------
    Weaire, Metallography 7, 157 (1974), https://doi.org/10.1016/0026-0800(74)90004-4.
    """
    n_atoms = np.asarray(sizes, dtype=np.float64)
    if len(n_atoms) == 0:
        return np.nan, np.nan
    return float(neighbour_size_sums(sizes, neighbours).mean()), float((n_atoms**2).mean())


def size_assortativity(sizes: ArrayLike, neighbours: RingNeighbours) -> float:
    """Correlate the sizes of rings across their bonds: below 0 where small rings are next to large ones.

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    neighbours
        Which of these rings share bonds.

    Returns
    -------
    float
        From −1 to 1; NaN where all rings with neighbours have the same size.

    References
    ----------
    Newman, Phys. Rev. Lett. 89, 208701 (2002), https://doi.org/10.1103/PhysRevLett.89.208701.
    """
    n, n_bonds = np.asarray(sizes)[neighbours.pairs], neighbours.n_bonds
    return float(Assortativity("size", "product", "squares", "count")(_total(pair_values(n, n_bonds))))


def ring_size_variance(sizes: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Return μ2 = <n²> − <n>² of the ring sizes; <n> is 6 where all atoms have three bonds.

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    weights
        From `ring_counts.ring_weights`, (R,); 1 for all if None.

    Returns
    -------
    float
        NaN where there are no rings.
    """
    n_atoms = np.asarray(sizes, dtype=np.float64)
    weight = np.ones(len(n_atoms)) if weights is None else np.asarray(weights, dtype=np.float64)
    if not weight.sum() > 0:
        return np.nan
    mean = np.average(n_atoms, weights=weight)
    return float(np.average((n_atoms - mean) ** 2, weights=weight))


def lemaitre_variance(hexagon_fraction: ArrayLike) -> FloatArray:
    """Return the variance μ2 of ring sizes that Lemaître's law gives for a fraction p6 of hexagons.

    μ2 = 1/(2 π p6²) below p6 = 0.66, and 1 − p6 from there on, which is exact where all other rings are
    pentagons and heptagons and the mean size is 6. The branches differ by 0.025 where they meet. Disordered
    networks follow the first for p6 > 0.34; below it is not to be trusted.

    Parameters
    ----------
    hexagon_fraction
        p6, > 0 and ≤ 1, of any shape.

    Returns
    -------
    FloatArray
        μ2, of the same shape.

    Raises
    ------
    ValueError
        If a fraction is out of its bounds.

    References
    ----------
    Lemaître, Gervois, Troadec, Rivier, Ammi, Oger and Bideau, Philos. Mag. B 67, 347 (1993).
    """
    p6 = np.asarray(hexagon_fraction, dtype=np.float64)
    if not ((p6 > 0) & (p6 <= 1)).all():
        raise ValueError(f"hexagon_fraction must be > 0 and ≤ 1, got {p6.tolist()}")
    return np.where(p6 < _BEND, 1 / (2 * np.pi * p6**2), 1 - p6)


def pair_values(sizes: IntArray, n_bonds: IntArray) -> dict[str, FloatArray]:
    """Return what pairs of rings of these sizes, (P, 2), add to the sums of `Assortativity`."""
    n = sizes.astype(np.float64)
    return {
        "size": n_bonds * n.mean(axis=1),
        "product": n_bonds * n.prod(axis=1),
        "squares": n_bonds * (n**2).mean(axis=1),
        "count": n_bonds.astype(np.float64),
    }


def _weights(weights: ArrayLike | None, neighbours: RingNeighbours) -> FloatArray:
    """Weights of the interior rings; 0 for all others."""
    given = np.ones(len(neighbours.is_interior)) if weights is None else np.asarray(weights, dtype=np.float64)
    if given.shape != neighbours.is_interior.shape:
        raise ValueError(f"weights must have the shape {neighbours.is_interior.shape}, got {given.shape}")
    return np.where(neighbours.is_interior, given, 0.0)


def _total(values: dict[str, FloatArray]) -> dict[str, np.float64]:
    """Sum of each."""
    return {name: np.float64(value.sum()) for name, value in values.items()}


def _means(sums: Sums, count: str, *names: str) -> tuple[FloatArray, ...]:
    """How many were counted, and the mean of each sum."""
    n = np.asarray(sums[count], dtype=np.float64)
    return n, *(np.asarray(sums[name], dtype=np.float64) / np.where(n > 0, n, 1) for name in names)


def _quotient(covariance: FloatArray, variance: FloatArray, n: FloatArray) -> FloatArray:
    """Covariance over variance; NaN where there is none but rounding."""
    is_spread = (n > 0) & (variance > _ROUNDING)
    return np.divide(covariance, variance, out=np.full(np.shape(n), np.nan), where=is_spread)
