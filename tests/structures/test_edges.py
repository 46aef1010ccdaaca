"""Short bonds of atoms with two bonds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.spatial import cKDTree

from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.structures.dopants import CARBON
from amorph2d.structures.edges import contract_edges
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers
from amorph2d.structures.openings import open_rings
from amorph2d.structures.pores import circular_pore
from amorph2d.structures.relax import GRAPHENE


def contracted(sheet: RingedSheet, contraction: float, seed: int = 1) -> RingedSheet:
    rng = np.random.default_rng(seed)
    return contract_edges(sheet, contraction=contraction, rng=rng, potential=GRAPHENE, tolerance=0.01)


def lengths(sheet: RingedSheet) -> dict[int, np.ndarray]:
    """Bond lengths by how many of the two atoms have two bonds."""
    n_open = (coordination_numbers(sheet) == 2)[sheet.bonds].sum(axis=1)
    found = np.hypot(*bond_vectors(sheet).T)
    return {count: found[n_open == count] for count in range(3)}


@pytest.fixture(scope="module")
def porous() -> RingedSheet:
    sheet = honeycomb_sheet([60.0, 60.0], bond_length=1.42, rotation=7.0)
    return circular_pore(sheet, centre=[30.0, 30.0], radius=17.0)


def test_rim_of_graphene_has_the_bonds_of_its_edges(porous: RingedSheet) -> None:
    found = lengths(contracted(porous, 1.0))
    assert found[2].mean() == pytest.approx(1.25, abs=0.02)  # armchair 1.23 to 1.24
    assert found[1].mean() == pytest.approx(1.36, abs=0.02)  # zigzag 1.37 to 1.38, behind the armchair 1.39
    assert found[0].mean() == pytest.approx(1.42, abs=0.01)


def test_contraction_goes_on_evenly(porous: RingedSheet) -> None:
    means = [lengths(contracted(porous, amount))[2].mean() for amount in (0.0, 0.5, 1.0)]
    assert means[0] == pytest.approx(1.42, abs=1e-6)
    assert means[0] - means[1] == pytest.approx(means[1] - means[2], rel=0.2)


def test_bonds_box_and_the_inner_sheet_stay(porous: RingedSheet) -> None:
    found = contracted(porous, 1.0)
    for name in ("bonds", "numbers", "ring_members", "ring_sizes", "box"):
        assert_array_equal(getattr(found, name), getattr(porous, name))
    offsets = porous.positions - 30.0
    moved = np.hypot(*(found.positions - porous.positions).T)
    assert moved[np.hypot(*offsets.T) > 27.0].max() < 0.05


def test_angles_open() -> None:
    rng = np.random.default_rng(4)
    fractions = {5: 0.2, 6: 0.6, 7: 0.16, 8: 0.04}
    sheet = bond_switched_network([50.0, 50.0], ring_fractions=fractions, bond_length=1.42, rng=rng)
    opened = open_rings(sheet, share=0.05, rng=rng, potential=GRAPHENE, tolerance=0.01)
    found = contracted(opened, 1.0)
    vectors = np.concatenate([bond_vectors(found), -bond_vectors(found)])
    starts = np.concatenate([found.bonds[:, 0], found.bonds[:, 1]])
    angles = []
    for atom in np.flatnonzero(coordination_numbers(found) == 2):
        first, second = vectors[starts == atom]
        angles.append(np.degrees(np.arccos(first @ second / np.hypot(*first) / np.hypot(*second))))
    assert np.mean(angles) > 128
    assert max(angles) > 145


def test_atoms_that_are_not_bonded_keep_apart() -> None:
    sheet = honeycomb_sheet([40.0, 40.0], bond_length=1.42, rotation=7.0)
    for seed in range(4):
        rng = np.random.default_rng(seed)
        opened = open_rings(sheet, share=0.03, rng=rng, potential=GRAPHENE, tolerance=0.01)
        found = contracted(opened, 0.3, seed)
        near = cKDTree(found.positions, boxsize=found.box).query_pairs(1.6)
        assert near <= {tuple(sorted(bond)) for bond in found.bonds.tolist()}


def test_nothing_moves_without_such_atoms_or_where_they_are_not_carbon(porous: RingedSheet) -> None:
    whole = honeycomb_sheet([30.0, 30.0], bond_length=1.42, rotation=0.0)
    assert contracted(whole, 1.0) is whole
    assert contracted(porous, 0.0) is porous
    nitride = replace(porous, numbers=np.full(len(porous.numbers), CARBON + 1))
    assert contracted(nitride, 1.0) is nitride


@pytest.mark.parametrize("amount", [-0.1, 1.1, np.nan])
def test_contraction_is_a_share(porous: RingedSheet, amount: float) -> None:
    with pytest.raises(ValueError, match=rf"contraction must lie in 0 … 1, got {amount}"):
        contracted(porous, amount)
