"""Atoms with two bonds inside a network, where rings are merged or have lost or gained an atom."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy.spatial import cKDTree

from amorph2d.arrays import BoolArray, FloatArray
from amorph2d.structures.dopants import rest_lengths
from amorph2d.structures.network import RingedSheet, coordination_numbers
from amorph2d.structures.periodic import shortest_image, wrap
from amorph2d.structures.planar_map import PlanarMap
from amorph2d.structures.relax import KeatingPotential, relax_network
from amorph2d.structures.springs import STRAIGHT, TRIGONAL

OPEN_LENGTH = 1.7  # distance to which the atoms of a cut bond are pushed apart, in bond lengths
LONGEST_BOND = 1.8  # to which two atoms that have lost a bond make a new one [Å]
SHORTEST_BOND = 1.2  # of an atom that was put into a bond, and ...
LEAST_ROOM = 1.9  # ... distance of atoms that it has no bond with; one with less room goes again [Å]
LARGE_RING = 7  # atoms of a ring that leaves room for one more atom
SHARES = (0.25, 0.25, 0.5)  # of places where an atom goes, a bond is cut, an atom is put into a bond
_TRIES = 20  # places tried for one opening before it is left out


def open_rings(
    sheet: RingedSheet, *, share: float, rng: Generator, potential: KeatingPotential, tolerance: float
) -> RingedSheet:
    """Leave atoms of a network with two bonds, and relax it.

    At random places an atom is taken away, a bond is cut or, half of the time, an atom is put into a bond
    beside a ring of seven or more, where that leaves every atom at least two bonds. Atoms that find no room
    in a bond are left out. The atoms of a cut bond are held apart while the network relaxes, for the Keating
    energy lets atoms that are not bonded come too near; those that end closer than 1.8 Å are bonded anew, as
    around a reconstructed vacancy. A face of more than ten atoms is a hole afterwards.

    Parameters
    ----------
    sheet
        Network, drawn without crossing bonds.
    share
        Expected number of such places per atom, ≥ 0; they are Poisson distributed.
    rng
        Source of random numbers.
    potential
        Springs of the network.
    tolerance
        Largest force along x or y on any atom at the end, > 0 [eV/Å].

    Returns
    -------
    RingedSheet
        Relaxed network; more relaxing may bring the atoms of cut bonds together again.

    Raises
    ------
    ValueError
        If `share` is negative.
    """
    if not share >= 0:
        raise ValueError(f"share must be ≥ 0, got {share}")
    n_removed, n_cuts, n_inserted = rng.poisson(share * len(sheet.positions) * np.array(SHARES)).tolist()
    network = PlanarMap(_with_inserted(sheet, n_inserted, rng, potential, tolerance))
    for _ in range(n_removed):
        any(_take_away(network, int(rng.integers(len(network.neighbours)))) for _ in range(_TRIES))
    edited = network.to_sheet()
    is_cut = _bonds_to_cut(edited, n_cuts, rng)
    lengths: FloatArray = rest_lengths(edited, bond_length=potential.bond_length)
    lengths[is_cut] = OPEN_LENGTH * potential.bond_length
    relaxed = _relaxed(edited, potential, tolerance, lengths)
    network = PlanarMap(relaxed)
    for first, second in relaxed.bonds[is_cut].tolist():
        network.cut(first, second)
    _close(network)
    return network.to_sheet()


def _with_inserted(
    sheet: RingedSheet, n: int, rng: Generator, potential: KeatingPotential, tolerance: float
) -> RingedSheet:
    """Put `n` atoms into bonds, relax, and take those away again that have too little room."""
    if n == 0:
        return sheet
    network = PlanarMap(sheet)
    roomy = _beside_large_rings(sheet)
    atoms = [network.insert(*bond) for bond in rng.permutation(sheet.bonds[roomy])[:n].tolist()]
    if not atoms:
        return sheet
    network = PlanarMap(_relaxed(network.to_sheet(), potential, tolerance))
    points = wrap(network.positions, network.box)
    near = cKDTree(points, boxsize=network.box).query_pairs(LEAST_ROOM, output_type="ndarray")
    distances = np.hypot(*shortest_image(points[near[:, 0]] - points[near[:, 1]], network.box).T)
    crowded: set[int] = set()
    for pair, distance in zip(near.tolist(), distances.tolist(), strict=True):
        if pair[1] not in network.neighbours[pair[0]] or distance < SHORTEST_BOND:
            crowded |= set(pair)
    for atom in crowded.intersection(atoms):
        network.dissolve(atom)
    return network.to_sheet()


def _beside_large_rings(sheet: RingedSheet) -> BoolArray:
    """Say which bonds have a ring of seven atoms or more at a side, (B,)."""
    n_atoms, large = len(sheet.positions), np.repeat(sheet.ring_sizes >= LARGE_RING, sheet.ring_sizes)
    following = np.arange(1, len(sheet.ring_members) + 1)
    following[sheet.ring_offsets[1:] - 1] = sheet.ring_offsets[:-1]
    sides = np.sort(np.column_stack([sheet.ring_members, sheet.ring_members[following]])[large], axis=1)
    return np.isin(np.sort(sheet.bonds, axis=1) @ [n_atoms, 1], sides @ [n_atoms, 1])


def _relaxed(
    sheet: RingedSheet, potential: KeatingPotential, tolerance: float, bond_lengths: FloatArray | None = None
) -> RingedSheet:
    """Relax a network; bonds of an atom with two bonds lie in a line, or it would lean into rings."""
    if bond_lengths is None:
        bond_lengths = rest_lengths(sheet, bond_length=potential.bond_length)
    cosines = np.where(coordination_numbers(sheet) == 2, STRAIGHT, TRIGONAL)
    return relax_network(
        sheet, potential=potential, tolerance=tolerance, bond_lengths=bond_lengths, cosines=cosines
    )


def _close(network: PlanarMap) -> None:
    """Bond two-coordinated atoms that have come as near as bonded ones, across the face they share."""
    tree = cKDTree(wrap(network.positions, network.box), boxsize=network.box)
    for first, second in sorted(tree.query_pairs(LONGEST_BOND)):
        around = network.neighbours[first]
        if second in around or not len(around) == len(network.neighbours[second]) == 2:
            continue
        faces = [network.face(first, other) for other in around]
        shared = [face for face in faces if face.count(first) == face.count(second) == 1]
        if shared:
            network.bond(first, second, shared[0])


def _take_away(network: PlanarMap, atom: int) -> bool:
    """Remove an atom among atoms with three bonds, if it is one."""
    around = network.neighbours[atom]
    if len(around) != 3 or any(len(network.neighbours[other]) < 3 for other in around):
        return False
    network.remove(atom)
    return True


def _bonds_to_cut(sheet: RingedSheet, n: int, rng: Generator) -> BoolArray:
    """Choose up to `n` bonds of three-coordinated atoms, none of which share an atom, (B,)."""
    n_bonds = coordination_numbers(sheet)
    is_cut = np.zeros(len(sheet.bonds), dtype=bool)
    for bond in rng.permutation(len(sheet.bonds))[: n * _TRIES].tolist():
        if is_cut.sum() == n:
            break
        ends = sheet.bonds[bond]
        if (n_bonds[ends] >= 3).all():
            n_bonds[ends] -= 1
            is_cut[bond] = True
    return is_cut
