import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amorph2d.measures.angles import bond_angles
from amorph2d.topology.bonds import delaunay_bonds
from strategies import disordered_sheets, honeycomb, rotate

LIMITS = (0.5, 1.9)


def test_angles_in_graphene():
    atoms, centres, box = honeycomb(5, 3)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box)
    triples, angles = bond_angles(atoms, bonds, box=box)
    assert len(angles) == 2 * len(bonds)
    np.testing.assert_allclose(angles, 120)
    np.testing.assert_array_equal(np.bincount(triples[:, 1]), 3)


def test_every_two_bonds_of_an_atom_have_an_angle():
    atoms = [[5, 5], [6, 5], [5, 7], [4, 5], [5, 4.5]]
    triples, angles = bond_angles(atoms, [[0, 1], [2, 0], [0, 3], [4, 0]])
    assert triples.tolist() == [[1, 0, 2], [1, 0, 3], [1, 0, 4], [2, 0, 3], [2, 0, 4], [3, 0, 4]]
    np.testing.assert_allclose(angles, [90, 180, 90, 90, 180, 90])


@pytest.mark.parametrize("angle", [1e-7, 30.0, 179.9999999])
def test_small_and_straight_angles_are_exact(angle):
    atoms = np.array(
        [[0, 0], [1.4, 0], 1.4 * np.array([np.cos(np.radians(angle)), -np.sin(np.radians(angle))])]
    )
    np.testing.assert_allclose(bond_angles(atoms, [[0, 1], [0, 2]])[1], [angle], rtol=1e-6)


def test_angle_over_the_edge_of_a_periodic_box():
    atoms = [[0.2, 0.3], [9.2, 0.3], [0.2, 5.3]]
    np.testing.assert_allclose(bond_angles(atoms, [[0, 1], [0, 2]], box=(10, 6))[1], [90])
    assert bond_angles(atoms, [[0, 1], [0, 2]], box=(10, 6))[0].tolist() == [[1, 0, 2]]


@given(disordered_sheets(), st.floats(-180, 180))
@settings(max_examples=25)
def test_angles_of_an_atom_by_brute_force(sheet, turn):
    atoms, centres, _ = sheet
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS)
    triples, angles = bond_angles(rotate(atoms, turn) + np.array([7, -90]), bonds)
    degree = np.bincount(bonds.ravel(), minlength=len(atoms))
    assert len(angles) == (degree * (degree - 1) // 2).sum() == len({tuple(row) for row in triples.tolist()})
    a, b = atoms[triples[:, 0]] - atoms[triples[:, 1]], atoms[triples[:, 2]] - atoms[triples[:, 1]]
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(np.cos(np.radians(angles)), cosine, atol=1e-9)


@pytest.mark.parametrize(("atoms", "bonds"), [([], []), ([[1, 1]], []), ([[0, 0], [1, 0]], [[0, 1]])])
def test_no_angles(atoms, bonds):
    triples, angles = bond_angles(atoms, bonds)
    assert triples.shape == (0, 3)
    assert triples.dtype == np.int64
    assert angles.shape == (0,)
