import numpy as np
import pytest

from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.faces import count_pieces, drop_crossing_bonds, is_planar, walk_faces
from strategies import honeycomb

KITE = np.array([[0.0, 0.0], [2.0, -0.8], [3.0, 0.0], [2.0, 0.8]])
KITE_BONDS = np.array([[0, 1], [1, 2], [2, 3], [0, 3], [0, 2], [1, 3]])


def test_every_half_edge_has_one_face():
    atoms, centres, box = honeycomb(4, 3)
    bonds = delaunay_bonds(atoms, centres, limits=(0.5, 1.9), box=box)
    faces = walk_faces(atoms, bonds, box)
    assert sorted(faces.following.tolist()) == list(range(2 * len(bonds)))
    np.testing.assert_array_equal(faces.face[faces.following], faces.face)
    np.testing.assert_array_equal(np.bincount(faces.face), 6)


def test_rings_turn_left_and_the_outer_face_right():
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=float)
    faces = walk_faces(square, np.array([[0, 1], [1, 2], [2, 3], [0, 3]]), None)
    assert sorted(faces.turns.tolist()) == [-1, 1]


def test_a_chain_across_a_periodic_box_turns_neither_way():
    chain = np.array([[0.5, 2.0], [1.5, 2.4], [2.5, 1.7], [3.5, 2.0]])
    faces = walk_faces(chain, np.array([[0, 1], [1, 2], [2, 3], [0, 3]]), np.array([4.0, 9.0]))
    assert faces.turns.tolist() == [0, 0]


def test_no_bonds_no_faces():
    faces = walk_faces(np.zeros((2, 2)), np.empty((0, 2), dtype=np.int64), None)
    assert len(faces.turns) == len(faces.face) == 0
    assert is_planar(faces, np.empty((0, 2), dtype=np.int64))


def test_crossing_bonds_show_in_the_turns():
    crossed = walk_faces(KITE, KITE_BONDS, None)
    assert not is_planar(crossed, KITE_BONDS)
    assert is_planar(walk_faces(KITE, KITE_BONDS[:5], None), KITE_BONDS[:5])


def test_the_longer_of_two_crossing_bonds_goes():
    assert drop_crossing_bonds(KITE, KITE_BONDS, None).tolist() == KITE_BONDS[[0, 1, 2, 3, 5]].tolist()


def test_crossing_over_the_edge_of_a_periodic_box():
    box = np.array([20.0, 15.0])
    moved = (KITE + np.array([18.5, 14.9])) % box
    assert drop_crossing_bonds(moved, KITE_BONDS, box).tolist() == KITE_BONDS[[0, 1, 2, 3, 5]].tolist()


def test_bonds_that_touch_do_not_cross():
    atoms = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [2, 1]], dtype=float)
    bonds = np.array([[0, 1], [1, 2], [3, 4]])
    np.testing.assert_array_equal(drop_crossing_bonds(atoms, bonds, None), bonds)


@pytest.mark.parametrize(("n_atoms", "pieces"), [(None, 2), (5, 2), (7, 4)])
def test_pieces(n_atoms, pieces):
    assert count_pieces(np.array([[0, 1], [1, 2], [3, 4]]), n_atoms) == pieces
