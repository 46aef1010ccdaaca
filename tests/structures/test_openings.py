"""Atoms with two bonds inside networks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers
from amorph2d.structures.openings import open_rings
from amorph2d.structures.relax import GRAPHENE

FRACTIONS = {5: 0.2, 6: 0.6, 7: 0.16, 8: 0.04}


def opened(sheet: RingedSheet, share: float, seed: int = 3) -> RingedSheet:
    rng = np.random.default_rng(seed)
    return open_rings(sheet, share=share, rng=rng, potential=GRAPHENE, tolerance=0.05)


@pytest.fixture(scope="module")
def network() -> RingedSheet:
    rng = np.random.default_rng(1)
    return bond_switched_network([50.0, 50.0], ring_fractions=FRACTIONS, bond_length=1.42, rng=rng)


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_atoms_have_two_or_three_bonds_of_the_length_of_bonds(network: RingedSheet, share: float) -> None:
    n_bonds, n_atoms = np.zeros(5), 0
    for seed in range(12):
        sheet = opened(network, share, seed)
        n_bonds += np.bincount(coordination_numbers(sheet), minlength=5)
        n_atoms += len(sheet.positions)
        lengths = np.hypot(*bond_vectors(sheet).T)
        assert lengths.mean() == pytest.approx(1.41, abs=0.01)
        assert lengths.max() <= 1.8
        assert lengths.min() >= 1.1
    assert n_bonds[[0, 1, 4]].tolist() == [0, 0, 0]
    # An atom taken away leaves three such atoms, a bond that is cut and stays so two, an atom put in is one.
    assert 0.8 * share < n_bonds[2] / n_atoms < 1.75 * share


def test_atoms_that_are_not_bonded_keep_apart(network: RingedSheet) -> None:
    sheet = opened(network, 0.05)
    near = cKDTree(sheet.positions, boxsize=sheet.box).query_pairs(1.6)
    assert near <= {tuple(sorted(bond)) for bond in sheet.bonds.tolist()}


def test_rings_close_around_their_bonds(network: RingedSheet) -> None:
    sheet = opened(network, 0.03)
    bonds = {tuple(sorted(bond)) for bond in sheet.bonds.tolist()}
    for start, stop in zip(sheet.ring_offsets[:-1], sheet.ring_offsets[1:], strict=True):
        ring = sheet.ring_members[start:stop]
        assert {
            tuple(sorted(pair)) for pair in zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True)
        } <= bonds
    assert sheet.ring_sizes.max() == 10


def test_atoms_are_put_into_bonds_beside_large_rings_only(network: RingedSheet) -> None:
    grown = [len(opened(network, 3 / len(network.positions), s).positions) for s in range(12)]
    assert max(grown) > len(network.positions)
    crystal = honeycomb_sheet([30.0, 30.0], bond_length=1.42, rotation=0.0)
    same = [len(opened(crystal, 3 / len(crystal.positions), s).positions) for s in range(12)]
    assert max(same) == len(crystal.positions)


def test_cut_bond_of_graphene_merges_two_hexagons_into_a_ring_of_ten() -> None:
    sheet = honeycomb_sheet([30.0, 30.0], bond_length=1.42, rotation=0.0)
    found = {
        tuple(np.bincount(opened(sheet, 1 / len(sheet.positions), seed).ring_sizes)[7:]) for seed in range(8)
    }
    assert (0, 0, 0, 1) in found


def test_nothing_is_opened_without_a_share(network: RingedSheet) -> None:
    sheet = opened(network, 0.0)
    assert np.array_equal(sheet.bonds, network.bonds)
    with pytest.raises(ValueError, match=r"share must be ≥ 0, got -0\.1"):
        opened(network, -0.1)
