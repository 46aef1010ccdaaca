import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from amorph2d.topology.bonds import bond_vectors, delaunay_bonds, unique_pairs
from strategies import BOND, disordered_sheets, honeycomb, points, rotate

LIMITS = (0.5, 1.9)


def as_set(bonds):
    return {tuple(sorted(bond)) for bond in bonds.tolist()}


def test_graphene_in_a_box():
    atoms, centres, box = honeycomb(6, 4)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box)
    assert len(bonds) == 1.5 * len(atoms)
    np.testing.assert_array_equal(np.bincount(bonds.ravel()), 3)
    np.testing.assert_allclose(np.linalg.norm(bond_vectors(atoms, bonds, box=box), axis=1), BOND)


def test_open_sheet_has_the_pairs_within_reach():
    atoms, centres, _ = honeycomb(7, 3)
    expected = as_set(cKDTree(atoms).query_pairs(1.5, output_type="ndarray"))
    assert (
        as_set(delaunay_bonds(atoms + np.array([300, -70]), centres + np.array([300, -70]), limits=LIMITS))
        == expected
    )


def test_ring_centres_keep_bonds_out_of_rings():
    atoms, centres, box = honeycomb(6, 4)
    bonds = delaunay_bonds(atoms, centres, limits=(0.5, 3.0), box=box)
    assert len(bonds) == 1.5 * len(atoms)
    assert len(delaunay_bonds(atoms, limits=(0.5, 3.0), box=box)) > 1.5 * len(atoms)


def test_limits_are_included():
    atoms = np.array([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    assert as_set(delaunay_bonds(atoms, limits=(1.0, 2.0))) == {(0, 1), (1, 2)}
    assert as_set(delaunay_bonds(atoms, limits=(1.1, 2.0))) == {(1, 2)}
    assert as_set(delaunay_bonds(atoms, limits=(1.0, 1.9))) == {(0, 1)}


@pytest.mark.parametrize("atoms", [np.empty((0, 2)), [[3.0, 4.0]], [[0, 0], [9, 0]], [[1, 1], [1, 1]]])
def test_no_bonds(atoms):
    bonds = delaunay_bonds(atoms, limits=LIMITS)
    assert bonds.shape == (0, 2)
    assert bonds.dtype == np.int64
    assert delaunay_bonds(atoms, limits=LIMITS, box=(20, 30)).shape == (0, 2)


def test_two_atoms():
    assert delaunay_bonds([[5, 5], [6.4, 5]], limits=LIMITS).tolist() == [[0, 1]]
    assert delaunay_bonds([[0.2, 5], [9.8, 5]], limits=(0.3, 1.9), box=(10, 20)).tolist() == [[0, 1]]


def test_a_ring_centre_on_an_atom_takes_no_bond():
    atoms, centres, box = honeycomb(4, 3)
    wrong = np.concatenate([atoms[[7, 20]], centres])
    np.testing.assert_array_equal(
        delaunay_bonds(atoms, wrong, limits=LIMITS, box=box),
        delaunay_bonds(atoms, centres, limits=LIMITS, box=box),
    )


@given(disordered_sheets(), st.floats(-180, 180), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_turning_and_renumbering_change_nothing(sheet, angle, random):
    atoms, centres, _ = sheet
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS)
    order = list(range(len(atoms)))
    random.shuffle(order)
    again = delaunay_bonds(
        rotate(atoms, angle)[order] + np.array([40, 3]),
        rotate(centres, angle) + np.array([40, 3]),
        limits=LIMITS,
    )
    assert as_set(np.array(order)[again]) == as_set(bonds)


@given(points(), st.floats(0, 1), st.floats(1.1, 5))
@settings(max_examples=40)
def test_bonds_are_sorted_single_and_within_limits(atoms, shortest, longest):
    bonds = delaunay_bonds(atoms, limits=(shortest, longest))
    lengths = np.linalg.norm(bond_vectors(atoms, bonds), axis=1)
    assert ((lengths >= shortest) & (lengths <= longest)).all()
    np.testing.assert_array_equal(bonds, unique_pairs(bonds))


@pytest.mark.parametrize("limits", [(1.9, 0.5), (1.0, 1.0), (-0.1, 1.9), (0.5, np.nan)])
def test_refuses_limits_in_disorder(limits):
    with pytest.raises(ValueError, match="limits must be 0 Å ≤ shortest < longest"):
        delaunay_bonds(np.zeros((3, 2)), limits=limits)


def test_refuses_a_box_in_which_images_are_ambiguous():
    with pytest.raises(ValueError, match=r"box must be at least two longest bonds, 3.8 Å, wide"):
        delaunay_bonds(np.zeros((3, 2)), limits=LIMITS, box=(3.7, 50))


def test_refuses_bonds_of_missing_atoms():
    with pytest.raises(ValueError, match="bonds must index 3 points"):
        bond_vectors(np.zeros((3, 2)), [[0, 3]])


def test_vectors_point_to_the_nearest_image():
    atoms = [[1.0, 1.0], [9.0, 5.5]]
    np.testing.assert_allclose(bond_vectors(atoms, [[0, 1], [1, 0]]), [[8, 4.5], [-8, -4.5]])
    np.testing.assert_allclose(bond_vectors(atoms, [[0, 1], [1, 0]], box=(10, 6)), [[-2, -1.5], [2, 1.5]])


def test_pairs_once_each():
    pairs = np.array([[3, 1], [0, 2], [1, 3], [2, 2], [0, 2]])
    assert unique_pairs(pairs).tolist() == [[0, 2], [1, 3], [2, 2]]
    assert unique_pairs(pairs[:0]).shape == (0, 2)
