import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.ring_neighbours import ring_neighbours
from amorph2d.topology.rings import planar_rings
from strategies import disordered_sheets, honeycomb

LIMITS = (0.5, 1.9)


def rings_of(atoms, centres, box=None, max_size=30):
    return planar_rings(
        atoms, delaunay_bonds(atoms, centres, limits=LIMITS, box=box), max_size=max_size, box=box
    )


def test_two_rings_with_a_common_bond():
    found = ring_neighbours([0, 1, 2, 3, 7, 2, 1], [4, 3])
    assert found.pairs.tolist() == [[0, 1]]
    assert found.n_bonds.tolist() == found.n_neighbours.tolist()[:1] == [1]
    assert found.n_neighbours.tolist() == found.n_shared.tolist() == [1, 1]
    assert found.is_interior.tolist() == [False, False]
    assert found.ordered_pairs.tolist() == [[0, 1], [1, 0]]


def test_a_common_atom_makes_no_neighbours():
    found = ring_neighbours([0, 1, 2, 2, 3, 4], [3, 3])
    assert found.pairs.shape == (0, 2)
    assert found.n_neighbours.tolist() == [0, 0]


def test_a_chain_in_common_is_one_pair():
    found = ring_neighbours([0, 1, 2, 3, 2, 1, 0, 9], [4, 4])
    assert found.pairs.tolist() == [[0, 1]]
    assert found.n_bonds.tolist() == [2]
    assert found.n_shared.tolist() == [2, 2]


def test_a_bond_with_its_own_ring_on_both_sides_is_not_shared():
    found = ring_neighbours([0, 1, 2, 0, 2, 3], [6])
    assert len(found.pairs) == 0
    assert found.n_shared.tolist() == [0]
    assert not found.is_interior.any()


def test_three_rings_at_a_bond_are_three_pairs():
    found = ring_neighbours([0, 1, 2, 0, 1, 3, 0, 1, 4], [3, 3, 3])
    assert found.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    assert found.n_neighbours.tolist() == [2, 2, 2]


def test_periodic_graphene():
    atoms, centres, box = honeycomb(5, 3)
    found = ring_neighbours(*(lambda r: (r.members, r.sizes))(rings_of(atoms, centres, box)))
    np.testing.assert_array_equal(found.n_neighbours, 6)
    np.testing.assert_array_equal(found.n_bonds, 1)
    assert found.is_interior.all()
    assert len(found.pairs) == 3 * len(centres)


@given(disordered_sheets())
@settings(max_examples=20)
def test_equals_a_count_bond_by_bond(sheet):
    atoms, centres, _ = sheet
    rings = rings_of(atoms, centres)
    found = ring_neighbours(rings.members, rings.sizes)
    sides: dict[tuple[int, int], list[int]] = {}
    for number, ring in enumerate(np.split(rings.members, rings.starts[1:]) if len(rings) else []):
        for bond in zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True):
            sides.setdefault((min(bond), max(bond)), []).append(number)
    expected = Counter(tuple(sorted(two)) for two in sides.values() if len(set(two)) == 2)
    assert found.pairs.tolist() == [list(pair) for pair in sorted(expected)]
    assert found.n_bonds.tolist() == [expected[pair] for pair in sorted(expected)]
    np.testing.assert_array_equal(found.n_shared <= rings.sizes, True)
    assert found.n_shared.sum() == 2 * found.n_bonds.sum()


def test_site_numbers_of_any_size_do():
    atoms, centres, _ = honeycomb(4, 3)
    rings = rings_of(atoms, centres)
    names = np.sort(np.random.default_rng(0).integers(0, 2**62, len(atoms)))
    expected, found = (ring_neighbours(m, rings.sizes) for m in (rings.members, names[rings.members]))
    np.testing.assert_array_equal(found.pairs, expected.pairs)
    np.testing.assert_array_equal(found.is_interior, expected.is_interior)
    assert 0 < found.is_interior.sum() < len(rings)


def test_no_rings():
    found = ring_neighbours([], [])
    assert found.pairs.shape == found.ordered_pairs.shape == (0, 2)
    assert len(found.n_bonds) == len(found.n_neighbours) == len(found.is_interior) == 0


def test_one_ring():
    found = ring_neighbours([4, 5, 6], [3])
    assert found.n_neighbours.tolist() == [0]
    assert found.is_interior.tolist() == [False]


def test_refuses_what_is_not_rings():
    with pytest.raises(ValueError, match="add up to the 4 members, got 3"):
        ring_neighbours([0, 1, 2, 3], [3])
    with pytest.raises(ValueError, match="sizes must be ≥ 3, got 2"):
        ring_neighbours([0, 1], [2])
    with pytest.raises(ValueError, match="one-dimensional"):
        ring_neighbours([[0, 1, 2]], [3])


def test_a_hundred_thousand_rings_take_less_than_a_second():
    # Hexagons of a brick wall, so that no triangulation is needed.
    column, row = np.meshgrid(np.arange(0, 632, 2), np.arange(316), indexing="xy")
    corner = (column + row % 2)[..., None] + 1000 * row[..., None]
    members = (corner + np.array([0, 1, 2, 1002, 1001, 1000])).ravel()
    start = time.perf_counter()
    found = ring_neighbours(members, np.full(members.size // 6, 6))
    assert time.perf_counter() - start < 1
    assert len(found.n_neighbours) == 99_856
    np.testing.assert_array_equal(found.n_neighbours[found.is_interior], 6)
    assert found.is_interior.mean() > 0.98
