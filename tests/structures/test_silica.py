from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers
from amorph2d.structures.pores import circular_pore
from amorph2d.structures.silica import LENGTH_SCALE, NODE_DISTANCE, bilayer_silica
from amorph2d.structures.specimen import Specimen


def neighbours(specimen: Specimen, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of atoms closer than `reach`, and their distances, periodic along x and y."""
    box = np.append(specimen.sheet.box, 100.0)
    tree = cKDTree(specimen.layer.positions + np.array([0, 0, 50]), boxsize=box)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    vectors = tree.data[pairs[:, 1]] - tree.data[pairs[:, 0]]
    vectors -= box * np.rint(vectors / box)
    return pairs, np.linalg.norm(vectors, axis=1)


@pytest.fixture(scope="module")
def crystal() -> Specimen:
    return bilayer_silica(honeycomb_sheet([20.0, 26.0], bond_length=1.42, rotation=0.0))


def test_crystal_is_made_of_perfect_tetrahedra(crystal: Specimen) -> None:
    numbers = crystal.layer.numbers
    assert np.sum(numbers == 8) == 2 * np.sum(numbers == 14) == 4 * len(crystal.sheet.positions)
    pairs, distances = neighbours(crystal, 1.7)
    np.testing.assert_allclose(distances, 1.62)
    assert (np.sort(numbers[pairs], axis=1) == [8, 14]).all()
    coordination = np.bincount(pairs.ravel(), minlength=len(numbers))
    assert (coordination[numbers == 14] == 4).all()
    assert (coordination[numbers == 8] == 2).all()
    pairs, distances = neighbours(crystal, 2.8)
    is_edge = (numbers[pairs] == 8).all(axis=1)
    np.testing.assert_allclose(distances[is_edge], np.sqrt(8 / 3) * 1.62)


def test_nodes_are_columns_of_the_network(crystal: Specimen) -> None:
    assert (crystal.sheet.numbers == 14).all()
    assert np.hypot(*bond_vectors(crystal.sheet).T) == pytest.approx(NODE_DISTANCE)
    assert pytest.approx(3.055, abs=1e-3) == NODE_DISTANCE
    assert pytest.approx(2.151, abs=1e-3) == LENGTH_SCALE
    silicon = crystal.layer.positions[crystal.layer.numbers == 14]
    for height in (1.62, -1.62):
        layer = silicon[np.isclose(silicon[:, 2], height)]
        np.testing.assert_allclose(layer[:, :2], crystal.sheet.positions)
    assert crystal.layer.positions[:, 2].mean() == pytest.approx(0, abs=1e-12)


def test_vitreous_film_keeps_its_bonds_and_rings(relaxed: RingedSheet) -> None:
    film = bilayer_silica(relaxed, node_distance=3.1)
    np.testing.assert_array_equal(film.sheet.bonds, relaxed.bonds)
    np.testing.assert_array_equal(film.sheet.ring_sizes, relaxed.ring_sizes)
    lengths = np.hypot(*bond_vectors(film.sheet).T)
    assert lengths.mean() == pytest.approx(3.1)
    bonded = neighbours(film, 1.8)[1]
    assert len(bonded) == 8 * len(relaxed.positions)
    assert bonded == pytest.approx(np.maximum(1.62, bonded))
    assert np.mean(bonded > 1.621) < 0.05
    assert bonded.max() < 1.7


def test_shape_is_kept_if_asked_for(relaxed: RingedSheet) -> None:
    film = bilayer_silica(relaxed, is_relaxed=False)
    scale = film.sheet.box / relaxed.box
    np.testing.assert_allclose(film.sheet.positions, relaxed.positions * scale)
    assert scale[0] == pytest.approx(scale[1])
    assert not np.allclose(bilayer_silica(relaxed).sheet.box, film.sheet.box, rtol=1e-6)


def test_edges_of_pores_end_in_oxygen(relaxed: RingedSheet) -> None:
    porous = circular_pore(relaxed, centre=[5.0, 6.0], radius=6.0)
    film = bilayer_silica(porous)
    n_open = int((3 - coordination_numbers(porous)).sum())
    assert n_open > 0
    numbers = film.layer.numbers
    assert np.sum(numbers == 8) == len(porous.positions) + 2 * len(porous.bonds) + 2 * n_open
    pairs, _ = neighbours(film, 1.8)
    coordination = np.bincount(pairs.ravel(), minlength=len(numbers))
    assert (coordination[numbers == 14] == 4).all()
    assert np.sum(coordination[numbers == 8] == 1) == 2 * n_open


def test_errors(relaxed: RingedSheet) -> None:
    with pytest.raises(ValueError, match="node_distance must be > 0 Å, got 0"):
        bilayer_silica(relaxed, node_distance=0)
