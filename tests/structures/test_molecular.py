from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.molecular import LENGTH_SCALE, NODE_DISTANCE, ROD_LENGTH, molecular_network
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.pores import circular_pore
from amorph2d.structures.specimen import Specimen


def neighbours(specimen: Specimen, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of atoms closer than `reach`, and their distances, periodic along x and y."""
    positions = specimen.layer.positions[:, :2]
    pairs = cKDTree(positions, boxsize=specimen.sheet.box).query_pairs(reach, output_type="ndarray")
    vectors = shortest_image(positions[pairs[:, 1]] - positions[pairs[:, 0]], specimen.sheet.box)
    return pairs, np.hypot(*vectors.T)


@pytest.fixture(scope="module")
def crystal() -> RingedSheet:
    return honeycomb_sheet([12.0, 13.0], bond_length=1.42, rotation=0.0)


def test_polymer_without_strain_has_the_bonds_of_its_molecules(crystal: RingedSheet) -> None:
    polymer = molecular_network(crystal, node_distance=ROD_LENGTH, has_hydrogen=False)
    pairs, distances = neighbours(polymer, 1.7)
    assert 1.27 < distances.min() < distances.max() < 1.49
    numbers = polymer.layer.numbers
    bonds = Counter(map(tuple, np.sort(numbers[pairs], axis=1).tolist()))
    n_rods = len(crystal.bonds)
    # A rod: two imines and two pyridinium rings with N, of two and three bonds to C each.
    assert bonds[6, 7] == 10 * n_rods
    assert bonds[7, 7] == 0
    coordination = np.bincount(pairs.ravel(), minlength=len(numbers))
    # Three bonds: a core's three substituted atoms, and 2 × (2 phenylene + N and C of pyridinium).
    assert np.sum(coordination == 3) == 3 * len(crystal.positions) + 8 * n_rods
    assert set(coordination) == {2, 3}


def test_numbers_of_atoms(crystal: RingedSheet) -> None:
    polymer = molecular_network(crystal)
    counts = Counter(polymer.layer.numbers.tolist())
    n_nodes, n_rods = len(crystal.positions), len(crystal.bonds)
    assert counts == {6: 6 * n_nodes + 24 * n_rods, 7: 4 * n_rods, 1: 3 * n_nodes + 18 * n_rods}
    assert (polymer.layer.positions[:, 2] == 0).all()
    # Every hydrogen atom has one neighbour at the length of a bond, and none closer.
    pairs, distances = neighbours(polymer, 1.2)
    is_hydrogen = polymer.layer.numbers[pairs] == 1
    assert (is_hydrogen.sum(axis=1) == 1).all()
    assert len(pairs) == counts[1]
    assert distances == pytest.approx(1.08, abs=0.04)


def test_nodes_lie_where_the_network_says(crystal: RingedSheet) -> None:
    polymer = molecular_network(crystal, has_hydrogen=False)
    sheet = polymer.sheet
    assert np.hypot(*bond_vectors(sheet).T) == pytest.approx(NODE_DISTANCE, rel=0.005)
    np.testing.assert_array_equal(sheet.ring_members, crystal.ring_members)
    assert pytest.approx(18.3, abs=0.05) == LENGTH_SCALE
    tree = cKDTree(polymer.layer.positions[:, :2], boxsize=sheet.box)
    distances, atoms = tree.query(sheet.positions, k=7)
    np.testing.assert_allclose(distances[:, :6], 1.39, atol=1e-9)
    assert distances[:, 6].min() > 2.5
    # The six are evenly spaced around the node.
    arms = shortest_image(polymer.layer.positions[atoms[:, :6], :2] - sheet.positions[:, None], sheet.box)
    np.testing.assert_allclose(arms.sum(axis=1), 0, atol=1e-9)


def test_amorphous_polymer_is_little_strained(relaxed: RingedSheet) -> None:
    polymer = molecular_network(relaxed, node_distance=ROD_LENGTH, has_hydrogen=False)
    pairs, distances = neighbours(polymer, 1.75)
    n_nodes = len(relaxed.positions)
    # As many bonds as in the crystal: 6 in a core, 33 in a rod with its two ends.
    assert len(pairs) == 6 * n_nodes + 33 * len(relaxed.bonds)
    assert 1.2 < distances.min() < distances.max() < 1.6
    assert np.mean(np.abs(distances - 1.39) < 0.12) > 0.9
    scaled = molecular_network(relaxed, node_distance=ROD_LENGTH, has_hydrogen=False, is_relaxed=False)
    assert np.ptp(neighbours(scaled, 1.75)[1]) > np.ptp(distances)


def test_rods_step_to_random_sides(crystal: RingedSheet) -> None:
    def sides(rng: np.random.Generator | None) -> np.ndarray:
        polymer = molecular_network(crystal, has_hydrogen=False, rng=rng)
        rods = polymer.layer.positions[6 * len(crystal.positions) :, :2].reshape(len(crystal.bonds), 28, 2)
        along = bond_vectors(polymer.sheet)
        arms = shortest_image(rods[:, 1] - polymer.sheet.positions[crystal.bonds[:, 0]], polymer.sheet.box)
        return np.sign(along[:, 0] * arms[:, 1] - along[:, 1] * arms[:, 0])

    assert (sides(None) == 1).all()
    drawn = sides(np.random.default_rng(0))
    assert set(drawn) == {-1, 1}
    np.testing.assert_array_equal(drawn, sides(np.random.default_rng(0)))


def test_edges_of_pores_bear_hydrogen(relaxed: RingedSheet) -> None:
    porous = circular_pore(relaxed, centre=[5.0, 6.0], radius=6.0)
    n_open = int((3 - coordination_numbers(porous)).sum())
    polymer = molecular_network(porous)
    n_hydrogen = int(np.sum(polymer.layer.numbers == 1))
    assert n_open > 0
    assert n_hydrogen == 3 * len(porous.positions) + 18 * len(porous.bonds) + n_open


def test_errors(crystal: RingedSheet) -> None:
    with pytest.raises(ValueError, match=r"node_distance must leave all bonds at least 12.6 Å, got 10.0 Å"):
        molecular_network(crystal, node_distance=10.0)
