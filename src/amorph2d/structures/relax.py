"""Relaxation of planar networks under bond and angle springs, with the box free."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers, moved
from amorph2d.structures.sheet import Sheet


@dataclass(frozen=True)
class KeatingPotential:
    """Springs of a three-coordinated planar network.

    Attributes
    ----------
    bond_length
        Length of a relaxed bond, > 0 [Å].
    bond_stiffness
        α, > 0 [eV/Å²].
    angle_stiffness
        β, > 0 [eV/Å²].
    """

    bond_length: float
    bond_stiffness: float
    angle_stiffness: float

    def __post_init__(self) -> None:
        for name in ("bond_length", "bond_stiffness", "angle_stiffness"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be > 0, got {value}")


# The angle term is Keating's: smooth where bonds vanish or angles open to 180°, as in Voronoi networks. The
# potential fitted to graphene has the angle itself in it (Jain et al., J. Phys. Chem. C 119, 9646, 2015, with
# 26.06 and 5.511 eV/Å²); its minima lie 0.02 to 0.04 Å from these per axis, and its bonds spread 10 to 20 %
# more widely.
GRAPHENE = KeatingPotential(bond_length=1.42, bond_stiffness=25.88, angle_stiffness=5.94)


def relax_network(
    sheet: RingedSheet,
    *,
    potential: KeatingPotential = GRAPHENE,
    tolerance: float = 0.01,
    max_iterations: int = 2000,
) -> RingedSheet:
    """Move the atoms of a network, and its box edges, to the next minimum of the Keating energy.

    Parameters
    ----------
    sheet
        Network to relax; its bonds stay as they are.
    potential
        Springs; those of graphene if not given.
    tolerance
        Largest force along x or y on any atom at the end, > 0 [eV/Å].
    max_iterations
        Most iterations of the minimisation, ≥ 1; what is reached by then is returned.

    Returns
    -------
    RingedSheet
        The same atoms, bonds and rings at their relaxed positions in the relaxed box; the ring centres are
        the centroids of the relaxed rings.

    Raises
    ------
    ValueError
        If `tolerance` or `max_iterations` is out of its bounds, or the sheet has no bonds.

    References
    ----------
    Keating, Phys. Rev. 145, 637 (1966), doi:10.1103/PhysRev.145.637, eq. 2.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be > 0 eV/Å, got {tolerance}")
    if max_iterations < 1:
        raise ValueError(f"max_iterations must be ≥ 1, got {max_iterations}")
    if len(sheet.bonds) == 0:
        raise ValueError("sheet must have bonds, got none")
    energy = _energy_function(sheet, potential)
    n_atoms = len(sheet.positions)
    found = minimize(
        _in_stretched_box(energy, sheet.box, n_atoms),
        np.concatenate([sheet.positions.ravel(), [0.0, 0.0]]),
        jac=True,
        method="L-BFGS-B",
        options={
            "maxiter": max_iterations,
            "maxfun": 2 * max_iterations,
            "gtol": tolerance,
            "ftol": 0.0,
            "maxcor": 20,
        },
    )
    stretch = 1 + found.x[-2:] / _strain_scale(n_atoms)
    return moved(sheet, found.x[:-2].reshape(-1, 2) * stretch, sheet.box * stretch)


def keating_energy(
    sheet: Sheet, *, potential: KeatingPotential = GRAPHENE
) -> tuple[float, FloatArray, FloatArray]:
    r"""Return the energy of a network and its gradients.

    .. math::

        E = \frac{3 α}{16 d²} Σ_{ij} (r_{ij}² - d²)²
            + \frac{3 β}{8 d²} Σ_{jik} (r_{ij}·r_{ik} + d²/2)²

    over all bonds ij and all pairs of bonds ij, ik of an atom i.

    Parameters
    ----------
    sheet
        Network, in any state.
    potential
        Springs; those of graphene if not given.

    Returns
    -------
    energy
        Energy, 0 for graphene at its bond length [eV].
    gradient
        Derivative with respect to the positions, (N, 2) [eV/Å].
    strain_gradient
        Derivative with respect to the strain of positions and box along x and y, (2,) [eV].

    References
    ----------
    Keating, Phys. Rev. 145, 637 (1966), doi:10.1103/PhysRev.145.637, eq. 2, in the plane.
    """
    return _energy_function(sheet, potential)(sheet.positions, sheet.box)


_Energy = Callable[[FloatArray, FloatArray], tuple[float, FloatArray, FloatArray]]


def _energy_function(sheet: Sheet, potential: KeatingPotential) -> _Energy:
    """Return the energy as a function of positions and box, for the bonds of `sheet`."""
    n_atoms, n_bonds = len(sheet.positions), len(sheet.bonds)
    first, second = sheet.bonds.T
    straight = sheet.positions[second] - sheet.positions[first]
    images = np.rint((bond_vectors(sheet) - straight) / sheet.box)
    bonds = np.arange(n_bonds)
    differences = _signed_matrix(bonds, second, (n_bonds, n_atoms)) - _signed_matrix(
        bonds, first, (n_bonds, n_atoms)
    )
    differences_t = differences.T.tocsr()
    left, right = _arm_pairs(sheet)
    arms = np.concatenate([left, right])
    gather_t = _signed_matrix(arms, np.arange(len(arms)), (2 * n_bonds, len(arms)))
    target = potential.bond_length**2
    bond_scale = 3 * potential.bond_stiffness / (16 * target)
    angle_scale = 3 * potential.angle_stiffness / (8 * target)

    def energy(positions: FloatArray, box: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        vectors = differences @ positions + images * box
        excess = np.einsum("ij,ij->i", vectors, vectors) - target
        both = np.concatenate([vectors, -vectors])
        one, other = both[left], both[right]
        bend = np.einsum("ij,ij->i", one, other) + target / 2
        arm_gradient = gather_t @ (np.concatenate([other, one]) * np.tile(2 * angle_scale * bend, 2)[:, None])
        slope = arm_gradient[:n_bonds] - arm_gradient[n_bonds:] + (4 * bond_scale * excess)[:, None] * vectors
        total = bond_scale * (excess @ excess) + angle_scale * (bend @ bend)
        return float(total), differences_t @ slope, np.einsum("ij,ij->j", slope, vectors)

    return energy


def _signed_matrix(rows: IntArray, columns: IntArray, shape: tuple[int, int]) -> csr_array:
    """Return the sparse matrix with ones at the given places."""
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _arm_pairs(sheet: Sheet) -> tuple[IntArray, IntArray]:
    """Return all pairs of arms of an atom; arm k is bond k from its first atom, arm B + k from its second."""
    arms = np.argsort(sheet.bonds.T.ravel(), kind="stable")
    counts = coordination_numbers(sheet)
    starts = np.cumsum(counts) - counts
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for count in np.unique(counts[counts > 1]):
        own = arms[starts[counts == count][:, None] + np.arange(count)]
        pairs.append(own[:, np.column_stack(np.triu_indices(count, 1))].reshape(-1, 2))
    left, right = np.concatenate(pairs).T
    return left, right


def _strain_scale(n_atoms: int) -> float:
    """Return the factor [Å] that makes the box as stiff an unknown as one atom."""
    return 3 * float(np.sqrt(n_atoms))


def _in_stretched_box(
    energy: _Energy, box: FloatArray, n_atoms: int
) -> Callable[[FloatArray], tuple[float, FloatArray]]:
    """Return the energy as a function of one vector: positions in the unstretched box, then the stretch."""
    scale = _strain_scale(n_atoms)

    def scaled(unknowns: FloatArray) -> tuple[float, FloatArray]:
        stretch = 1 + unknowns[-2:] / scale
        value, gradient, strain_gradient = energy(unknowns[:-2].reshape(-1, 2) * stretch, box * stretch)
        return value, np.concatenate([(gradient * stretch).ravel(), strain_gradient / stretch / scale])

    return scaled
