import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.topology import shortest_path as module
from amorph2d.topology.bonds import delaunay_bonds, unique_pairs
from amorph2d.topology.shortest_path import shortest_path_rings
from strategies import honeycomb

CUBE = [(i, i | 1 << axis) for i in range(8) for axis in range(3) if not i & 1 << axis]
PETERSEN = [
    *[(i, (i + 1) % 5) for i in range(5)],
    *[(i, i + 5) for i in range(5)],
    *[(i + 5, (i + 2) % 5 + 5) for i in range(5)],
]


def circle(n, first=0):
    return [(first + i, first + (i + 1) % n) for i in range(n)]


def counts(rings):
    return dict(zip(*(values.tolist() for values in np.unique(rings.sizes, return_counts=True)), strict=True))


def brute_force(n_atoms, bonds, max_size):
    """Atoms of all rings: of every circle that is followed out, those that no path shortens."""
    graph = csr_array((np.ones(len(bonds)), np.reshape(bonds, (-1, 2)).T), shape=(n_atoms, n_atoms))
    apart = shortest_path(graph, directed=False, unweighted=True)
    found = set()

    def follow(path):
        for other in np.flatnonzero(apart[path[-1]] == 1).tolist():
            if other == path[0] and len(path) > 2:
                place = np.arange(len(path))
                along = np.abs(place[:, None] - place)
                if (apart[np.ix_(path, path)] == np.minimum(along, len(path) - along)).all():
                    found.add(frozenset(path))
            elif other > path[0] and other not in path and len(path) < max_size:
                follow([*path, other])

    for atom in range(n_atoms):
        follow([atom])
    return found


@pytest.mark.parametrize(
    ("n_atoms", "bonds", "expected"),
    [
        (3, circle(3), {3: 1}),
        (4, circle(4), {4: 1}),
        (4, [*circle(4), (0, 2)], {3: 2}),
        (4, [*circle(4), (0, 2), (1, 3)], {3: 4}),
        (9, circle(9), {9: 1}),
        (16, circle(16), {16: 1}),
        (17, circle(17), {}),
        (8, CUBE, {4: 6, 6: 4}),
        (10, PETERSEN, {5: 12}),
        (6, [(i, j) for i in range(3) for j in range(3, 6)], {4: 9}),
        (5, [(0, 1), (1, 2), (1, 3), (3, 4)], {}),
        (8, [*circle(8), (0, 4)], {5: 2}),
        (0, (), {}),
        (3, (), {}),
    ],
)
def test_known_graphs(n_atoms, bonds, expected):
    assert counts(shortest_path_rings(n_atoms, bonds, max_size=16)) == expected


def test_a_face_with_a_way_around_it_is_no_ring():
    # Twelve atoms around; a path of three bonds outside joins opposite ones.
    bonds = [*circle(12), (0, 12), (12, 13), (13, 6)]
    assert counts(shortest_path_rings(14, bonds, max_size=16)) == {9: 2}


def test_graphene_has_hexagons_only():
    atoms, centres, box = honeycomb(8, 6)
    bonds = delaunay_bonds(atoms, centres, limits=(0.5, 1.9), box=box)
    assert counts(shortest_path_rings(len(atoms), bonds, max_size=11)) == {6: len(centres)}


def test_a_small_periodic_box_is_a_ring_around():
    atoms, centres, box = honeycomb(3, 4)
    bonds = delaunay_bonds(atoms, centres, limits=(0.5, 1.9), box=box)
    found = counts(shortest_path_rings(len(atoms), bonds, max_size=6))
    assert found == {6: len(centres) + 8}  # zigzag chains of six atoms close through the box


@given(st.integers(3, 11), st.integers(0, 2**32 - 1), st.integers(3, 10), st.floats(0.1, 0.5))
@settings(max_examples=60)
def test_random_graphs(n_atoms, seed, max_size, density):
    rng = np.random.default_rng(seed)
    bonds = np.argwhere(np.triu(rng.random((n_atoms, n_atoms)) < density, 1))
    rings = shortest_path_rings(n_atoms, bonds, max_size=max_size)
    members = [frozenset(ring.tolist()) for ring in np.split(rings.members, rings.starts[1:]) if len(rings)]
    assert len(set(members)) == len(members)
    assert set(members) == brute_force(n_atoms, bonds, max_size)


def test_members_go_around_their_ring_and_order_changes_nothing():
    network = bond_switched_network(
        (25, 22), rng=np.random.default_rng(2), ring_fractions={5: 0.3, 6: 0.45, 7: 0.2, 8: 0.05}, n_trials=3
    )
    n_atoms, rng = len(network.positions), np.random.default_rng(5)
    bonds = network.bonds[rng.random(len(network.bonds)) > 0.06]
    rings = shortest_path_rings(n_atoms, bonds, max_size=14)
    known = set(map(tuple, unique_pairs(bonds).tolist()))
    for ring in np.split(rings.members, rings.starts[1:]):
        assert {
            tuple(sorted(pair)) for pair in zip(ring.tolist(), np.roll(ring, 1).tolist(), strict=True)
        } <= known
        assert ring[0] == ring.min()
    order = rng.permutation(n_atoms)
    again = shortest_path_rings(n_atoms, order[bonds][rng.permutation(len(bonds)), ::-1], max_size=14)
    assert counts(again) == counts(rings)


def test_a_switched_network_has_the_rings_it_was_made_of():
    network = bond_switched_network(
        (30, 26), rng=np.random.default_rng(4), ring_fractions={5: 0.27, 6: 0.5, 7: 0.19, 8: 0.04}, n_trials=6
    )
    rings = shortest_path_rings(len(network.positions), network.bonds, max_size=9)
    known = {frozenset(ring.tolist()) for ring in np.split(network.ring_members, network.ring_offsets[1:-1])}
    found = {frozenset(ring.tolist()) for ring in np.split(rings.members, rings.starts[1:])}
    assert found == known


@pytest.mark.parametrize("name", ["10024-695eV", "20000-1488eV"])
def test_polycrystal_as_another_program_counts_it(realdata, name):
    """As matscipy 1.3 counts shortest-path rings with the bonds of the file."""
    numbers = np.array((realdata / "coordinates" / f"{name}.data").read_text(encoding="utf-8").split(), float)
    n_atoms = int(name.split("-")[0])
    bonds = numbers[4 + 4 * n_atoms :].reshape(-1, 3)[:, 1:].astype(np.int64)
    expected = {
        "10024-695eV": {5: 231, 6: 4554, 7: 223, 8: 4},
        "20000-1488eV": {5: 487, 6: 9043, 7: 453, 8: 17},
    }
    assert counts(shortest_path_rings(n_atoms, bonds, max_size=16)) == expected[name]


def test_room_for_more_is_made():
    n = 12  # all joined to all: many more triangles than atoms
    bonds = np.argwhere(np.triu(np.ones((n, n)), 1))
    rings = shortest_path_rings(n, bonds, max_size=5)
    assert counts(rings) == {3: n * (n - 1) * (n - 2) // 6}
    assert len(module.shortest_path_rings(60, [(0, i) for i in range(1, 60)], max_size=4)) == 0


@pytest.mark.parametrize(
    ("bonds", "max_size", "message"),
    [([(0, 3)], 6, "must index 3 points"), ([(1, 1)], 6, "to itself"), ([(0, 1)], 2, "max_size must be ≥ 3")],
)
def test_bad_input(bonds, max_size, message):
    with pytest.raises(ValueError, match=message):
        shortest_path_rings(3, bonds, max_size=max_size)
