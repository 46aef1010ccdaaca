import numpy as np
import pytest

from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.coordination import coordination_numbers
from strategies import honeycomb


def test_graphene_is_three_coordinated():
    atoms, centres, box = honeycomb(5, 3)
    bonds = delaunay_bonds(atoms, centres, limits=(0.5, 1.9), box=box)
    np.testing.assert_array_equal(coordination_numbers(bonds, len(atoms)), 3)


def test_atoms_without_bonds_count():
    assert coordination_numbers([[0, 1], [1, 3]], 5).tolist() == [1, 2, 0, 1, 0]
    assert coordination_numbers([], 2).tolist() == [0, 0]
    assert coordination_numbers([], 0).shape == (0,)


def test_refuses_a_missing_atom():
    with pytest.raises(ValueError, match="bonds must index 2 points"):
        coordination_numbers([[0, 2]], 2)
