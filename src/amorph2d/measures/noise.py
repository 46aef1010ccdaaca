"""What errors of position do to bonds and angles: their variance, the width without them, and the mean.

A bond is measured between two atoms that are each a little off. Its length then scatters more than true ones
do, and is too long on average. Both follow from the sigma of each site, in closed form, so that widths are
given without them (deconvolved) beside the width that they alone would make (the noise floor).

Errors of neighbours in an image are not independent. Atoms that overlap are moved together by the same noise,
more along their bond than across it; and what is not noise, neighbours that displace each other's maxima,
stretches or shrinks all deviations by a factor, the gain. Both are parameters, measured on simulated images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.special import ndtri

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_pairs, as_points
from amorph2d.measures.config import NoiseParameters
from amorph2d.measures.intervals import Finer, bootstrap_interval
from amorph2d.measures.statistics import Ratio, Statistic, Sums
from amorph2d.measures.tables import bonds_as_indices, find_sites, site_positions
from amorph2d.measures.window import Blocks


def length_variances(
    positions: ArrayLike, sigma: ArrayLike, bonds: ArrayLike, *, correlation: float = 0.0
) -> FloatArray:
    """Return the variance of each measured bond length, σᵢ² + σⱼ² − 2ρσᵢσⱼ.

    To first order only the errors along the bond matter, so it does not depend on the length. What is left
    out is (σᵢ² + σⱼ²)² / 2l², less than a hundredth where errors are below a tenth of a bond.

    Parameters
    ----------
    positions
        Atoms, (N, 2), x then y [Å].
    sigma
        Standard deviation of their errors per axis, ≥ 0, (N,) [Å]; NaN where it is not known.
    bonds
        Index pairs, (B, 2).
    correlation
        Of the errors along one axis of two bonded atoms, −1 to 1.

    Returns
    -------
    FloatArray
        Variances, (B,) [Å²]; NaN where a sigma is not known.

    Raises
    ------
    ValueError
        If a shape is wrong, a sigma is negative, a bond names an atom that does not exist, or the correlation
        is out of its bounds.
    """
    atoms, errors = _checked(positions, sigma, correlation)
    first, second = errors[as_pairs(bonds, len(atoms), "bonds")].T
    return np.asarray(first**2 + second**2 - 2 * correlation * first * second)


def mean_length_biases(lengths: ArrayLike, variances: ArrayLike) -> FloatArray:
    """Return by how much each bond is measured too long on average, s² / 2l.

    Errors across the bond make it longer, whichever way they point: the distance of two points with Gaussian
    errors follows Rice's distribution, whose mean is l + s² / 2l + s⁴ / 8l³ + …

    Parameters
    ----------
    lengths
        Measured lengths, > 0, (B,) [Å].
    variances
        Of the difference of both positions per axis, from `length_variances`, (B,) [Å²].

    References
    ----------
    Rice, Bell Syst. Tech. J. 24, 46 (1945): the distribution; here the first terms of its mean for l ≫ s.
    """
    return np.asarray(variances, dtype=np.float64) / (2 * np.asarray(lengths, dtype=np.float64))


def angle_variances(
    positions: ArrayLike, sigma: ArrayLike, triples: ArrayLike, *, correlation: float = 0.0
) -> FloatArray:
    """Return the variance of each measured angle.

    An atom turns its bond by its error across it over the length. The vertex turns both bonds, the same way
    where they point the same way: with bonds a and b at an angle θ, to first order,

        var θ = σᵢ²/a² + σₖ²/b² + σⱼ² (1/a² + 1/b² − 2 cos θ / ab)
                − 2ρσᵢσⱼ (1/a² − cos θ / ab) − 2ρσₖσⱼ (1/b² − cos θ / ab).

    Parameters
    ----------
    positions
        Atoms, (N, 2), x then y [Å].
    sigma
        Standard deviation of their errors per axis, ≥ 0, (N,) [Å]; NaN where it is not known.
    triples
        Atoms i, vertex j and k of each angle, (A, 3).
    correlation
        Of the errors along one axis of two bonded atoms, −1 to 1; i and k are taken as independent.

    Returns
    -------
    FloatArray
        Variances, (A,) [°²]; NaN where a sigma is not known.

    Raises
    ------
    ValueError
        If a shape is wrong, a sigma is negative, an angle names an atom that does not exist, or the
        correlation is out of its bounds.
    """
    atoms, errors = _checked(positions, sigma, correlation)
    i, vertex, k = _as_triples(triples, len(atoms)).T
    a, b = atoms[i] - atoms[vertex], atoms[k] - atoms[vertex]
    aa, bb = (a**2).sum(axis=1), (b**2).sum(axis=1)
    shared = (a * b).sum(axis=1) / (aa * bb)  # cos θ / ab
    first, middle, last = errors[i], errors[vertex], errors[k]
    variances = first**2 / aa + last**2 / bb + middle**2 * (1 / aa + 1 / bb - 2 * shared)
    variances -= 2 * correlation * middle * (first * (1 / aa - shared) + last * (1 / bb - shared))
    return np.asarray(np.degrees(np.degrees(variances)))


@dataclass(frozen=True)
class Deconvolved:
    """Standard deviation without what errors of position add: √(measured variance − mean noise variance).

    The sums are those of values already divided by the gain, see `noise_sums`. It is 0 where errors explain
    more than the whole width; `interval` then reaches from 0 to the width that could be hidden below them.
    """

    total: str
    squares: str
    noise: str
    count: str
    of_angles: bool

    def __call__(self, sums: Sums) -> FloatArray:
        """Evaluate for sums of one shape; NaN where nothing was counted."""
        return np.sqrt(np.maximum(self.variance(sums), 0))

    def variance(self, sums: Sums) -> FloatArray:
        """Return the variance without noise, which may be negative."""
        mean = Ratio(self.total, self.count)(sums)
        measured = Ratio(self.squares, self.count)(sums) - mean**2
        return measured - Ratio(self.noise, self.count)(sums)

    def interval(
        self,
        total: Sums,
        samples: Sums,
        *,
        level: float,
        n_blocks: int,
        parameters: NoiseParameters,
        finer: tuple[Sums, int, float] | None = None,
    ) -> tuple[float, float]:
        """Return the interval of the width.

        It is that of the variance, which is nearly normal, unlike the root of it close to 0, with the
        uncertainties of noise and gain in quadrature, and then the root of both bounds.

        Parameters
        ----------
        total, samples
            Sums of all blocks, and of each bootstrap sample.
        level
            Share of intervals that cover the truth.
        n_blocks
            Number of blocks.
        parameters
            `sigma_uncertainty` and that of the gain are used.
        finer
            Sums of bootstrap samples of blocks half as wide, their number, and that in one window, as in
            `intervals.Finer`.

        Returns
        -------
        low, high
            Bounds, ≥ 0; NaN where fewer than two blocks or no samples are there.
        """
        variance, noise = float(self.variance(total)), float(Ratio(self.noise, self.count)(total))
        halved = None if finer is None else Finer(self.variance(finer[0]), *finer[1:])
        bounds = bootstrap_interval(
            variance, self.variance(samples), level=level, n_blocks=n_blocks, finer=halved
        )
        gain = parameters.angle_gain_uncertainty if self.of_angles else parameters.length_gain_uncertainty
        errors = 2 * parameters.sigma_uncertainty * noise, 2 * gain * max(variance, 0.0)
        shift = float(np.hypot(*errors) * ndtri((1 + level) / 2))
        low, high = widen(*bounds, variance, shift)
        return float(np.sqrt(np.maximum(low, 0))), float(np.sqrt(np.maximum(high, 0)))


@dataclass(frozen=True)
class NoiseFloor:
    """Standard deviation that errors of position alone would make: √(mean noise variance)."""

    noise: str
    count: str

    def __call__(self, sums: Sums) -> FloatArray:
        """Evaluate for sums of one shape; NaN where nothing was counted."""
        return np.sqrt(Ratio(self.noise, self.count)(sums))


def widen(low: float, high: float, value: float, shift: float) -> tuple[float, float]:
    """Return the bounds of an interval that may be off by `shift` either way besides, in quadrature.

    Parameters
    ----------
    low, high, value
        Bounds, and the estimate between them.
    shift
        Half-width of the other uncertainty, at the same level.
    """
    return float(value - np.hypot(value - low, shift)), float(value + np.hypot(high - value, shift))


NOISE_STATISTICS: dict[str, Statistic] = {
    "bond_mean_corrected": Ratio("noisy_length_unbiased", "noisy_bonds"),
    "bond_std_noise": NoiseFloor("length_noise", "noisy_bonds"),
    "bond_std_deconvolved": Deconvolved(
        "noisy_length", "noisy_length_squared", "length_noise", "noisy_bonds", of_angles=False
    ),
    "angle_std_noise": NoiseFloor("angle_noise", "noisy_angles"),
    "angle_std_deconvolved": Deconvolved(
        "noisy_angle", "noisy_angle_squared", "angle_noise", "noisy_angles", of_angles=True
    ),
}
NOISE_STATISTIC_UNITS = {name: "Å" if name.startswith("bond") else "°" for name in NOISE_STATISTICS}


def noise_sums(
    grid: Blocks,
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    angles: pd.DataFrame,
    *,
    parameters: NoiseParameters,
) -> dict[str, FloatArray]:
    """Add up what `NOISE_STATISTICS` need, in the blocks of one frame.

    Counted are bonds between analysable atoms and angles at them, where all sigmas are known. Lengths and
    angles, and the noise in them, are divided by the gain, so that their widths are the true ones.

    Parameters
    ----------
    grid
        Blocks of the window.
    sites, bonds, angles
        Tables of one frame; sites also with `sigma` [Å].
    parameters
        Correlations and gains are used.

    Returns
    -------
    dict
        Sums over each block, (blocks,), by name.

    Raises
    ------
    ValueError
        If a bond or angle names an atom that does not exist, or a sigma is negative.
    """
    atoms = sites[sites["kind"] == "atom"].sort_values("site")
    names, positions = atoms["site"].to_numpy(), site_positions(atoms)
    is_counted, sigma = atoms["analysable"].to_numpy(bool), atoms["sigma"].to_numpy(np.float64)
    pairs = bonds_as_indices(bonds, names)
    triples = find_sites(angles[["atom_i", "vertex", "atom_j"]].to_numpy(), names, "angles", "atoms")
    known = is_counted[pairs].all(axis=1)
    length, gain = bonds["length"].to_numpy(), parameters.length_gain
    noise = length_variances(positions, sigma, pairs, correlation=parameters.length_correlation)
    sums = _sum(
        grid, positions[pairs].mean(axis=1), known & np.isfinite(noise),
        noisy_bonds=np.ones(len(length)), noisy_length=length / gain,
        noisy_length_squared=(length / gain) ** 2, length_noise=noise / gain**2,
        noisy_length_unbiased=length - mean_length_biases(length, noise),
    )  # fmt: skip
    known = is_counted[triples[:, 1]]
    angle, gain = angles["angle"].to_numpy(), parameters.angle_gain
    noise = angle_variances(positions, sigma, triples, correlation=parameters.angle_correlation)
    return sums | _sum(
        grid, positions[triples[:, 1]], known & np.isfinite(noise),
        noisy_angles=np.ones(len(angle)), noisy_angle=angle / gain, noisy_angle_squared=(angle / gain) ** 2,
        angle_noise=noise / gain**2,
    )  # fmt: skip


def _sum(
    grid: Blocks, places: FloatArray, is_known: BoolArray, **values: FloatArray
) -> dict[str, FloatArray]:
    """Add up values of what is known in each block."""
    block = grid.number(places[is_known])
    return {
        name: np.bincount(block, value[is_known], minlength=len(grid.areas)).astype(np.float64)
        for name, value in values.items()
    }


def _checked(positions: ArrayLike, sigma: ArrayLike, correlation: float) -> tuple[FloatArray, FloatArray]:
    """Return positions and sigmas once all are in their bounds."""
    atoms, errors = as_points(positions, "positions"), np.asarray(sigma, dtype=np.float64)
    if errors.shape != (len(atoms),):
        raise ValueError(f"sigma must have the shape ({len(atoms)},), got {errors.shape}")
    if (errors < 0).any():
        raise ValueError(f"sigma must be ≥ 0 Å, got {errors.min()}")
    if not -1 <= correlation <= 1:
        raise ValueError(f"correlation must be from -1 to 1, got {correlation}")
    return atoms, errors


def _as_triples(triples: ArrayLike, n_atoms: int) -> IntArray:
    """Return triples of existing atoms, (A, 3)."""
    found = np.asarray(triples, dtype=np.int64)
    if found.size == 0:
        return np.empty((0, 3), dtype=np.int64)
    if found.ndim != 2 or found.shape[1] != 3:
        raise ValueError(f"triples must have the shape (A, 3), got {found.shape}")
    if found.min() < 0 or found.max() >= n_atoms:
        raise ValueError(f"triples must name atoms 0 to {n_atoms - 1}, got {found.min()} to {found.max()}")
    return found
