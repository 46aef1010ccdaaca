"""Deformation of the surroundings of atoms: of three bonds, and of a crystal against its own lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, FloatArray, IntArray, as_points
from amorph2d.topology.bonds import bond_vectors

_COORDINATION = 3
_MOST_NEAR = 256  # atoms to which a lattice is fitted, at most


@dataclass(frozen=True, eq=False)
class Deformation:
    """Deformation of the surroundings of N atoms; NaN where undefined.

    Attributes
    ----------
    exx, eyy, exy
        Strain along the axes of the image, (N,).
    rotation
        From x towards y, (N,) [°].
    non_affinity
        What the deformation leaves over: root of the mean square per degree of freedom, (N,) [Å]. Where
        all is affine it is the error σ of the positions.
    error
        Standard error of exx or eyy from that of the positions, (N,); that of exy, and of the rotation in
        rad, is 1/√2 of it.
    """

    exx: FloatArray
    eyy: FloatArray
    exy: FloatArray
    rotation: FloatArray
    non_affinity: FloatArray
    error: FloatArray


def star_deformations(
    atoms: ArrayLike, bonds: ArrayLike, *, reference_length: float, sigma: ArrayLike | None = None
) -> Deformation:
    """Deform three bonds 120° apart into those of each atom, as closely as an affine map can.

    The map is that of an equilateral triangle to the triangle of the neighbours, whatever rings are around.
    It is split into a turn, which says nothing as three equal bonds look alike after every third of one, and
    a strain in the axes of the image. What it leaves over is how far the atom is from the middle of its
    neighbours.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs, (B, 2).
    reference_length
        Length of an unstrained bond [Å].
    sigma
        Errors of the positions along each axis, (N,) [Å]; unknown if None.

    Returns
    -------
    Deformation
        NaN for atoms that have not three bonds, and for all rotations.

    Raises
    ------
    ValueError
        If a shape is wrong.

    References
    ----------
    Falk and Langer, Phys. Rev. E 57, 7192 (1998), https://doi.org/10.1103/PhysRevE.57.7192: the closest
    affine map of a neighbourhood, and the rest D²min; here from an ideal neighbourhood in place of an
    earlier one.
    """
    vectors, n = bond_vectors(atoms, bonds), len(as_points(atoms, "atoms"))
    owner, other = both_ways(np.asarray(bonds, dtype=np.int64).reshape(-1, 2))
    z = vectors[:, 0] + 1j * vectors[:, 1]
    z = np.concatenate([z, -z])
    has_three = np.bincount(owner, minlength=n) == _COORDINATION
    order = np.lexsort((np.angle(z), owner))
    order = order[has_three[owner[order]]].reshape(-1, _COORDINATION)
    star, near = z[order], other[order]
    third = np.exp(2j * np.pi / _COORDINATION * np.arange(_COORDINATION))
    scale = _COORDINATION * reference_length
    sigmas = as_sigmas(sigma, n)
    error = np.sqrt(2 * (sigmas[near] ** 2).sum(axis=1)) / scale
    left_over = np.sqrt(3 / 8) * np.abs(star.mean(axis=1))
    spread = np.full((6, n), np.nan)
    spread[:, has_three] = _split(star @ third.conj() / scale, star @ third / scale, left_over, error)
    exx, eyy, exy, _, left_over, error = spread
    return Deformation(exx, eyy, exy, np.full(n, np.nan), left_over, error)


def lattice_deformations(
    atoms: ArrayLike,
    bonds: ArrayLike,
    orientations: ArrayLike,
    *,
    reference_length: float,
    reach: int,
    sigma: ArrayLike | None = None,
) -> Deformation:
    """Measure the strain and the rotation of a crystal around each atom, against its unstrained lattice.

    The lattice is a honeycomb of the reference length in the mean orientation of the crystal. Each bond is
    one of its six directions, and the chain of bonds to an atom nearby adds up to where that belongs. So
    displacements are compared along chains only: defects, around which they have no unique value, do no harm.
    The gradient at an atom is the affine map that takes the places in the lattice to the positions found
    with the least squares, over all atoms up to `reach` bonds away.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs of the bonds of hexagons, (B, 2); chains follow no other.
    orientations
        Direction of the lattice of ring centres at each bond, (B,) [°].
    reference_length
        Length of an unstrained bond [Å].
    reach
        Bonds in a chain, ≥ 1: with σ the error of positions that of a normal strain is about 0.82 σ, 0.31 σ,
        0.16 σ and 0.10 σ over the bond length for 1, 2, 3 and 4.
    sigma
        Errors of the positions along each axis, (N,) [Å]; unknown if None.

    Returns
    -------
    Deformation
        The rotation is that against the mean orientation. NaN for atoms with too few neighbours.

    Raises
    ------
    ValueError
        If a shape is wrong.

    References
    ----------
    Hÿtch, Snoeck and Kilaas, Ultramicroscopy 74, 131 (1998), https://doi.org/10.1016/S0304-3991(98)00035-7:
    strain as the gradient of the displacement from a reference lattice; Galindo et al., Ultramicroscopy 107,
    1186 (2007), https://doi.org/10.1016/j.ultramic.2007.01.019: from the positions of peaks.
    """
    positions = as_points(atoms, "atoms")
    vectors, n = bond_vectors(positions, bonds), len(positions)
    owner, other = both_ways(np.asarray(bonds, dtype=np.int64).reshape(-1, 2))
    turn = np.asarray(orientations, dtype=np.float64) + 30  # bonds point between ring centres
    if turn.shape != (len(vectors),):
        raise ValueError(f"orientations must have the shape ({len(vectors)},), got {turn.shape}")
    angle = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    ideal = np.radians(turn + 60 * np.rint((angle - turn) / 60))
    steps = reference_length * np.stack([np.cos(ideal), np.sin(ideal)], axis=1)
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(n + 1))
    variance = as_sigmas(sigma, n) ** 2
    neighbours, steps = other[order], np.concatenate([steps, -steps])[order]
    fitted = np.full((n, 6), np.nan)
    _fit_lattices(positions, variance, starts, neighbours, steps, reach, fitted)
    f_xx, f_xy, f_yx, f_yy, left_over, error = fitted.T
    conformal = (f_xx + f_yy + 1j * (f_yx - f_xy)) / 2
    return Deformation(*_split(conformal, (f_xx - f_yy + 1j * (f_yx + f_xy)) / 2, left_over, error))


def _split(
    conformal: AnyArray, other: AnyArray, left_over: FloatArray, error: FloatArray
) -> tuple[FloatArray, ...]:
    """Split maps z → α z + β z̄ into a turn and then a strain."""
    size, phase = np.hypot(conformal.real, conformal.imag), np.arctan2(conformal.imag, conformal.real)
    along = other.real * np.cos(phase) - other.imag * np.sin(phase)
    across = other.real * np.sin(phase) + other.imag * np.cos(phase)
    return size - 1 + along, size - 1 - along, across, np.degrees(phase), left_over, error


def both_ways(pairs: IntArray) -> tuple[IntArray, IntArray]:
    """Return owner and neighbour of each bond, seen from its first, then from its second atom, (2 B,)."""
    return np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]])


def as_sigmas(sigma: ArrayLike | None, n: int) -> FloatArray:
    """Return the errors of n positions, (n,) [Å]; NaN where unknown."""
    sigmas = np.full(n, np.nan) if sigma is None else np.asarray(sigma, dtype=np.float64)
    if sigmas.shape != (n,):
        raise ValueError(f"sigma must have the shape ({n},), got {sigmas.shape}")
    return sigmas


@njit(cache=True)
def _walk(atom, starts, neighbours, steps, reach, near, places, seen):  # type: ignore[no-untyped-def]  # pragma: no cover
    """List the atoms up to some bonds away, and where they belong in the lattice; return how many."""
    near[0], places[0, 0], places[0, 1], seen[atom] = atom, 0.0, 0.0, atom
    n, begin = 1, 0
    for _ in range(reach):
        end = n
        for k in range(begin, end):
            for bond in range(starts[near[k]], starts[near[k] + 1]):
                other = neighbours[bond]
                if seen[other] != atom and n < len(near):
                    seen[other] = atom
                    near[n] = other
                    places[n, 0] = places[k, 0] + steps[bond, 0]
                    places[n, 1] = places[k, 1] + steps[bond, 1]
                    n += 1
        begin = end
    return n


@njit(cache=True)
def _fit_affine(positions, variance, near, places, n, found):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Write the affine map from places to positions, what it leaves over, and its error, if there is one."""
    x0, y0, u0, v0 = 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        x0 += places[k, 0] / n
        y0 += places[k, 1] / n
        u0 += positions[near[k], 0] / n
        v0 += positions[near[k], 1] / n
    xx, xy, yy, ux, uy, vx, vy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(n):
        x, y = places[k, 0] - x0, places[k, 1] - y0
        u, v = positions[near[k], 0] - u0, positions[near[k], 1] - v0
        xx, xy, yy = xx + x * x, xy + x * y, yy + y * y
        ux, uy, vx, vy = ux + u * x, uy + u * y, vx + v * x, vy + v * y
    determinant = xx * yy - xy * xy
    if n <= 3 or determinant < 1e-3 * (xx + yy) ** 2:
        return
    a, b, d = yy / determinant, -xy / determinant, xx / determinant
    f_xx, f_xy, f_yx, f_yy = ux * a + uy * b, ux * b + uy * d, vx * a + vy * b, vx * b + vy * d
    squares, error = 0.0, 0.0
    for k in range(n):
        x, y = places[k, 0] - x0, places[k, 1] - y0
        u, v = positions[near[k], 0] - u0, positions[near[k], 1] - v0
        squares += (u - f_xx * x - f_xy * y) ** 2 + (v - f_yx * x - f_yy * y) ** 2
        error += variance[near[k]] * ((a * x + b * y) ** 2 + (b * x + d * y) ** 2) / 2
    found[near[0], 0], found[near[0], 1], found[near[0], 2], found[near[0], 3] = f_xx, f_xy, f_yx, f_yy
    found[near[0], 4], found[near[0], 5] = math.sqrt(squares / (2 * n - 6)), math.sqrt(error)


@njit(cache=True)
def _fit_lattices(positions, variance, starts, neighbours, steps, reach, found):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fit the surroundings of each atom, (N, 6)."""
    near, places = np.empty(_MOST_NEAR, np.int64), np.empty((_MOST_NEAR, 2))
    seen = np.full(len(positions), -1)
    for atom in range(len(positions)):
        n = _walk(atom, starts, neighbours, steps, reach, near, places, seen)
        _fit_affine(positions, variance, near, places, n, found)
