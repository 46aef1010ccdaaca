"""Ripples and strain of periodic sheets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, as_points
from amorph2d.structures.network import RingedSheet, moved
from amorph2d.structures.periodic import as_box

_SHORTEST, _LONGEST = 0.7, 1.4  # wavelengths in a random field, relative to the one that is asked for


@dataclass(frozen=True, eq=False)
class Waves:
    """A random sum of plane waves that is periodic in a box.

    Attributes
    ----------
    vectors
        Wave vectors, (K, 2) [rad/Å].
    amplitudes
        Amplitude of each wave for every component of the field, (K, C).
    phases
        Phase of each wave for every component, (K, C) [rad].
    """

    vectors: FloatArray
    amplitudes: FloatArray
    phases: FloatArray

    def values(self, positions: FloatArray) -> FloatArray:
        """Return the field, (N, C)."""
        angles = (positions @ self.vectors.T)[:, :, None] + self.phases
        total: FloatArray = (self.amplitudes * np.cos(angles)).sum(axis=1)
        return total

    def gradients(self, positions: FloatArray) -> FloatArray:
        """Return the derivative of each component along x and y, (N, C, 2) [1/Å]."""
        angles = (positions @ self.vectors.T)[:, :, None] + self.phases
        slopes: FloatArray = -np.einsum("nkc,kd->ncd", self.amplitudes * np.sin(angles), self.vectors)
        return slopes


def ripple(
    positions: ArrayLike, box: ArrayLike, *, amplitude: float, wavelength: float, rng: Generator
) -> FloatArray:
    """Draw random smooth heights of a rippled sheet.

    Plane waves in all directions, 0.7 to 1.4 times as long as `wavelength`, that fit into the box; in a box
    too small for any, those that come closest.

    Parameters
    ----------
    positions
        Atoms, (N, 2) [Å].
    box
        Edge lengths along x and y, (2,) [Å].
    amplitude
        Root mean square of the heights, ≥ 0 [Å].
    wavelength
        Mean wavelength, > 0 [Å].
    rng
        Source of random numbers.

    Returns
    -------
    FloatArray
        Heights, (N,), with a mean of 0 and exactly the amplitude asked for [Å].

    Raises
    ------
    ValueError
        If a shape is wrong, `amplitude` is negative or `wavelength` not positive.

    References
    ----------
    Meyer et al., Nature 446, 60 (2007), doi:10.1038/nature05545: heights of
    free-standing graphene reach 10 Å.
    """
    points, edges = as_points(positions, "positions"), as_box(box)
    _check(amplitude, "Å", wavelength)
    waves = _random_waves(edges, wavelength, 1, rng)
    heights = waves.values(points)[:, 0]
    if len(heights) < 2:
        return np.zeros(len(heights))
    heights -= heights.mean()
    scaled: FloatArray = heights * (amplitude / heights.std())
    return scaled


def strain_field(sheet: RingedSheet, *, amplitude: float, wavelength: float, rng: Generator) -> RingedSheet:
    """Displace the atoms of a sheet by a random smooth field.

    The field is made of the same waves as a `ripple`, along x and y.

    Parameters
    ----------
    sheet
        Sheet to strain; its topology and its box stay as they are.
    amplitude
        Root mean square of the two principal strains over all atoms, ≥ 0; above about 0.1 the sheet may fold.
    wavelength
        Mean wavelength, > 0 [Å].
    rng
        Source of random numbers.

    Returns
    -------
    RingedSheet
        The same atoms, bonds and rings, displaced; ring centres are the centroids of the rings again.

    Raises
    ------
    ValueError
        If `amplitude` is negative or `wavelength` not positive.
    """
    _check(amplitude, "", wavelength)
    waves = _random_waves(sheet.box, wavelength, 2, rng)
    gradients = waves.gradients(sheet.positions)
    strains = (gradients + gradients.transpose(0, 2, 1)) / 2
    # The squares of a symmetric matrix' entries add up to those of its two eigenvalues.
    root_mean_square = np.sqrt((strains**2).sum(axis=(1, 2)).mean() / 2)
    displacements = waves.values(sheet.positions) * (amplitude / root_mean_square)
    return moved(sheet, sheet.positions + displacements, sheet.box)


def stretched(sheet: RingedSheet, *, strain_x: float, strain_y: float) -> RingedSheet:
    """Return a sheet stretched along x and y with its box.

    Parameters
    ----------
    sheet
        Sheet to strain.
    strain_x, strain_y
        Relative elongations, > −1.

    Raises
    ------
    ValueError
        If a strain is not above −1.
    """
    for name, strain in (("strain_x", strain_x), ("strain_y", strain_y)):
        if not (np.isfinite(strain) and strain > -1):
            raise ValueError(f"{name} must be > -1, got {strain}")
    stretch = np.array([1 + strain_x, 1 + strain_y])
    return moved(sheet, sheet.positions * stretch, sheet.box * stretch)


def _check(amplitude: float, unit: str, wavelength: float) -> None:
    if not (np.isfinite(amplitude) and amplitude >= 0):
        raise ValueError(f"amplitude must be ≥ 0 {unit}".rstrip() + f", got {amplitude}")
    if not (np.isfinite(wavelength) and wavelength > 0):
        raise ValueError(f"wavelength must be > 0 Å, got {wavelength}")


def _random_waves(box: FloatArray, wavelength: float, n_components: int, rng: Generator) -> Waves:
    """Draw plane waves of about a wavelength with normal amplitudes and any phases."""
    n_x, n_y = np.ceil(box / (wavelength * _SHORTEST)).astype(np.int64) + 1
    orders = np.indices((n_x + 1, 2 * n_y + 1)).reshape(2, -1).T - [0, n_y]
    # Half of the plane, without the origin: a wave and its opposite are the same.
    orders = orders[(orders[:, 0] > 0) | ((orders[:, 0] == 0) & (orders[:, 1] > 0))]
    relative = 1 / (np.hypot(*(orders / box).T) * wavelength)
    is_suitable = (relative > _SHORTEST) & (relative < _LONGEST)
    if not is_suitable.any():
        misfit = np.abs(np.log(relative))
        is_suitable = misfit <= misfit.min() * (1 + 1e-9)
    vectors = 2 * np.pi * orders[is_suitable] / box
    shape = (len(vectors), n_components)
    return Waves(vectors, rng.normal(size=shape), rng.uniform(0, 2 * np.pi, shape))
