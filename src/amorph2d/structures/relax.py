"""Relaxation of planar networks under bond and angle springs, with the box free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray
from amorph2d.structures.network import RingedSheet, moved
from amorph2d.structures.sheet import Sheet
from amorph2d.structures.springs import TRIGONAL, Springs, build_springs, relax_springs, spring_energy


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
    bond_lengths: ArrayLike | None = None,
    cosines: ArrayLike | None = None,
    is_box_free: bool = True,
) -> RingedSheet:
    """Move the atoms of a network, and, if free, its box edges, to the next minimum of the Keating energy.

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
    bond_lengths
        Rest length of each bond, (B,), all > 0, where they differ from that of the potential: bonds of
        dopants, and nitrides [Å].
    cosines
        Cosine of the rest angle between two bonds of each atom, (N,), within -1 … 1, where they differ from
        -1/2.
    is_box_free
        Whether the box edges move as well.

    Returns
    -------
    RingedSheet
        The same atoms, bonds and rings at their relaxed positions in the relaxed box; the ring centres are
        the centroids of the relaxed rings.

    Raises
    ------
    ValueError
        If `tolerance`, `max_iterations`, `bond_lengths` or `cosines` is out of its bounds, or the sheet has
        no bonds.

    References
    ----------
    Keating, Phys. Rev. 145, 637 (1966), doi:10.1103/PhysRev.145.637, eq. 2. Nocedal and Wright, Numerical
    Optimization, 2nd ed. (2006), algorithm 7.4: the limited-memory BFGS minimiser.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance must be > 0 eV/Å, got {tolerance}")
    if max_iterations < 1:
        raise ValueError(f"max_iterations must be ≥ 1, got {max_iterations}")
    if len(sheet.bonds) == 0:
        raise ValueError("sheet must have bonds, got none")
    springs = _springs(sheet, potential, bond_lengths, cosines)
    positions, box = relax_springs(
        springs,
        sheet.positions,
        sheet.box,
        tolerance=tolerance,
        max_iterations=max_iterations,
        is_box_free=is_box_free,
    )
    return moved(sheet, positions, box)


def keating_energy(
    sheet: Sheet,
    *,
    potential: KeatingPotential = GRAPHENE,
    bond_lengths: ArrayLike | None = None,
    cosines: ArrayLike | None = None,
) -> tuple[float, FloatArray, FloatArray]:
    r"""Return the energy of a network and its gradients.

    .. math::

        E = Σ_{ij} \frac{3 α}{16 d_{ij}²} (r_{ij}² - d_{ij}²)²
            + Σ_{jik} \frac{3 β}{8 d_{ij} d_{ik}} (r_{ij}·r_{ik} - c_i d_{ij} d_{ik})²

    over all bonds ij and all pairs of bonds ij, ik of an atom i, with c = -1/2 where nothing else is given.

    Parameters
    ----------
    sheet
        Network, in any state.
    potential
        Springs; those of graphene if not given.
    bond_lengths
        Rest length of each bond, (B,), all > 0, where they differ from that of the potential [Å].
    cosines
        Cosine of the rest angle between two bonds of each atom, (N,), within -1 … 1.

    Returns
    -------
    energy
        Energy, 0 for graphene at its bond length [eV].
    gradient
        Derivative with respect to the positions, (N, 2) [eV/Å].
    strain_gradient
        Derivative with respect to the strain of positions and box along x and y, (2,) [eV].

    Raises
    ------
    ValueError
        If `bond_lengths` or `cosines` is out of its bounds.

    References
    ----------
    Keating, Phys. Rev. 145, 637 (1966), doi:10.1103/PhysRev.145.637, eq. 2, in the plane.
    """
    return spring_energy(_springs(sheet, potential, bond_lengths, cosines), sheet.positions, sheet.box)


def _springs(
    sheet: Sheet, potential: KeatingPotential, bond_lengths: ArrayLike | None, cosines: ArrayLike | None
) -> Springs:
    """Return the springs of a sheet, with the potential's bond length and 120° where none are given."""
    n_bonds, n_atoms = len(sheet.bonds), len(sheet.positions)
    rests = np.full(n_bonds, potential.bond_length) if bond_lengths is None else np.array(bond_lengths, float)
    bends = np.full(n_atoms, TRIGONAL) if cosines is None else np.array(cosines, float)
    if rests.shape != (n_bonds,):
        raise ValueError(f"bond_lengths must be one for each of the {n_bonds} bonds, got shape {rests.shape}")
    if not (np.isfinite(rests) & (rests > 0)).all():
        raise ValueError(f"bond_lengths must be > 0 Å, got {rests.min()}")
    if bends.shape != (n_atoms,):
        raise ValueError(f"cosines must be one for each of the {n_atoms} atoms, got shape {bends.shape}")
    if not (np.abs(bends) <= 1).all():
        raise ValueError(f"cosines must lie in -1 … 1, got {bends[~(np.abs(bends) <= 1)][0]}")
    return build_springs(
        sheet,
        rests,
        bends,
        bond_stiffness=potential.bond_stiffness,
        angle_stiffness=potential.angle_stiffness,
    )
