import numpy as np
import pytest

from amorph2d.measures.lengths import bond_lengths
from amorph2d.topology.bonds import delaunay_bonds
from strategies import BOND, honeycomb


def test_lengths_in_graphene():
    atoms, centres, box = honeycomb(5, 3)
    bonds = delaunay_bonds(atoms, centres, limits=(0.5, 1.9), box=box)
    np.testing.assert_allclose(bond_lengths(atoms, bonds, box=box), BOND)


def test_a_known_triangle_open_and_periodic():
    atoms = [[0.0, 0.0], [9.0, 12.0]]
    np.testing.assert_allclose(bond_lengths(atoms, [[0, 1]]), [15])
    np.testing.assert_allclose(bond_lengths(atoms, [[0, 1]], box=(10, 30)), [np.hypot(1, 12)])


def test_no_bonds():
    assert bond_lengths([[1, 2]], []).shape == (0,)
    assert bond_lengths([], []).shape == (0,)


def test_refuses_bonds_of_missing_atoms():
    with pytest.raises(ValueError, match="bonds must index 2 points"):
        bond_lengths([[0, 0], [1, 1]], [[0, 2]])
