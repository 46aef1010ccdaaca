"""Atoms with two bonds, at the rims of pores and inside networks: their bonds are short."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from scipy.spatial import cKDTree

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.structures.dopants import CARBON, rest_lengths
from amorph2d.structures.network import RingedSheet, coordination_numbers, moved
from amorph2d.structures.periodic import wrap
from amorph2d.structures.relax import KeatingPotential, relax_network
from amorph2d.structures.springs import TRIGONAL

# By how much bonds are shorter than inside the sheet, where both atoms, or one of them, have two bonds only.
# The armchair edge of graphene has 1.23 to 1.24 Å at its rim and 1.39 to 1.40 Å behind it, the zigzag edge
# 1.37 to 1.38 Å.
BOTH, ONE = 0.13, 0.05
SCATTER = 0.02  # of the rest lengths of these bonds, standard deviation
WIDEST_ANGLE = 180.0  # to which the bonds of such an atom open, as in a chain [°]
APART = 1.5  # bond lengths: two such atoms that are not bonded are pushed at least that far apart


def contract_edges(
    sheet: RingedSheet,
    *,
    contraction: float,
    rng: Generator,
    potential: KeatingPotential,
    tolerance: float,
) -> RingedSheet:
    """Shorten the bonds of carbon atoms with two bonds, open their angles, and relax the network.

    An atom without its third neighbour binds the other two more strongly. Each such bond and angle has a rest
    of its own: at full contraction bonds are 13 % shorter between two such atoms, 5 % between one and an atom
    with three bonds, with a scatter of 2 %, and rest angles lie anywhere between 120 and 180°. Such atoms
    that come too close to each other without a bond are held apart.

    Parameters
    ----------
    sheet
        Network, drawn without crossing bonds.
    contraction
        How far bonds and angles go towards these, 0 (not at all) to 1.
    rng
        Source of random numbers.
    potential
        Springs of the network.
    tolerance
        Largest force along x or y on any atom at the end, > 0 [eV/Å].

    Returns
    -------
    RingedSheet
        The same network at its relaxed positions, in the same box.

    Raises
    ------
    ValueError
        If `contraction` is not within 0 … 1.

    References
    ----------
    Koskinen, Malola and Häkkinen, Phys. Rev. Lett. 101, 115502 (2008), doi:10.1103/PhysRevLett.101.115502:
    bonds of the edges of graphene.
    """
    if not 0 <= contraction <= 1:
        raise ValueError(f"contraction must lie in 0 … 1, got {contraction}")
    is_open = (coordination_numbers(sheet) == 2) & (sheet.numbers == CARBON)
    if contraction == 0 or not is_open.any():
        return sheet
    lengths: FloatArray = rest_lengths(sheet, bond_length=potential.bond_length)
    shares = np.array([0.0, ONE, BOTH])[is_open[sheet.bonds].sum(axis=1)]
    scatter = np.where(shares > 0, rng.normal(0, SCATTER, len(shares)), 0.0)
    lengths *= 1 - contraction * (shares + scatter)
    opening = rng.uniform(0, contraction * (WIDEST_ANGLE - 120.0), len(is_open))
    cosines = np.where(is_open, np.cos(np.deg2rad(120.0 + opening)), TRIGONAL)

    def relaxed(held: RingedSheet, lengths: FloatArray, cosines: FloatArray) -> RingedSheet:
        at_rest = relax_network(
            held,
            potential=potential,
            tolerance=tolerance,
            bond_lengths=lengths,
            cosines=cosines,
            is_box_free=False,
        )
        return moved(sheet, at_rest.positions, at_rest.box)

    contracted = relaxed(sheet, lengths, cosines)
    apart = APART * potential.bond_length
    pairs = _too_close(contracted, is_open, apart)
    if len(pairs) == 0:
        return contracted
    # A held pair is a third arm for either atom.
    cosines[pairs] = TRIGONAL
    held = replace(contracted, bonds=np.concatenate([sheet.bonds, pairs]))
    return relaxed(held, np.concatenate([lengths, np.full(len(pairs), apart)]), cosines)


def _too_close(sheet: RingedSheet, is_open: BoolArray, distance: float) -> IntArray:
    """Return the pairs (P, 2) of open atoms closer than `distance` that share neither bond nor neighbour."""
    atoms = np.flatnonzero(is_open)
    tree = cKDTree(wrap(sheet.positions[atoms], sheet.box), boxsize=sheet.box)
    neighbours: list[set[int]] = [set() for _ in sheet.positions]
    for first, second in sheet.bonds.tolist():
        neighbours[first].add(second)
        neighbours[second].add(first)
    pairs = [
        (first, second)
        for first, second in atoms[tree.query_pairs(distance, output_type="ndarray")].tolist()
        if second not in neighbours[first] and not neighbours[first] & neighbours[second]
    ]
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)
