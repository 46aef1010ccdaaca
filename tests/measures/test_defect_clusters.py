import numpy as np
import pytest

from amorph2d.measures.defect_clusters import (
    cluster_hashes,
    crowded_atoms,
    enclosed_rings,
    graph_hash,
    label_clusters,
    long_bonds,
    side_keys,
    walk_circuits,
)
from amorph2d.measures.defects import KNOWN_DEFECTS
from amorph2d.structures.defects import insert_defect
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import coordination_numbers
from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.ring_neighbours import ring_neighbours
from amorph2d.topology.rings import planar_rings
from strategies import honeycomb, rotate


def patch(n_x=8, n_y=6, degrees=0.0):
    """Atoms, bonds and rings of an open piece of graphene."""
    atoms, centres, _ = honeycomb(n_x, n_y)
    bonds = delaunay_bonds(rotate(atoms, degrees), rotate(centres, degrees), limits=(0.5, 1.9))
    return rotate(atoms, degrees), bonds, planar_rings(rotate(atoms, degrees), bonds, max_size=20)


def defective(kind, seed=0):
    rng = np.random.default_rng(seed)
    sheet = honeycomb_sheet((44.0, 40.0), bond_length=1.42, rotation=10.0)
    return insert_defect(sheet, kind, rng=rng, site=sheet.box / 2)


def clusters_of(sheet):
    neighbours = ring_neighbours(sheet.ring_members, sheet.ring_sizes)
    labels = label_clusters(sheet.ring_members, sheet.ring_sizes, coordination_numbers(sheet))
    return labels, neighbours


def test_rings_that_share_an_atom_are_one_cluster():
    # Two pairs of rings and a hexagon between them; the second pair shares an atom only.
    members = np.array(
        [0, 1, 2, 3, 4, 0, 1, 5, 6, 7, 8, 9, 20, 21, 22, 23, 24, 25, 30, 31, 32, 33, 30, 40, 41, 42]
    )
    sizes = np.array([5, 7, 6, 4, 4])
    assert label_clusters(members, sizes, np.full(50, 3)).tolist() == [0, 0, -1, 1, 1]
    coordination = np.full(50, 3)
    coordination[22] = 4
    assert label_clusters(members, sizes, coordination).tolist() == [0, 0, 1, 2, 2]
    assert label_clusters(members[12:18], sizes[2:3], np.full(50, 3)).tolist() == [-1]


@pytest.mark.parametrize("kind", ["stone_wales", "divacancy_585", "divacancy_555777", "flower", "vacancy_59"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_defect_has_the_hash_of_its_graph(kind, seed):
    sheet = defective(kind, seed)
    labels, neighbours = clusters_of(sheet)
    assert labels.max() == 0
    ring = np.repeat(np.arange(len(sheet.ring_sizes)), sheet.ring_sizes)
    is_open = coordination_numbers(sheet)[sheet.ring_members] == 2
    n_open = np.bincount(ring, is_open, minlength=len(labels)).astype(np.int64)
    found = cluster_hashes(labels, sheet.ring_sizes, n_open, neighbours.pairs, neighbours.n_bonds)
    assert found.tolist() == [graph_hash(*KNOWN_DEFECTS[kind])]


def test_hash_does_not_depend_on_the_order_of_rings():
    rng = np.random.default_rng(0)
    hashes = {graph_hash(*graph) for graph in KNOWN_DEFECTS.values()}
    assert len(hashes) == len(KNOWN_DEFECTS)
    for sizes, n_open, pairs in KNOWN_DEFECTS.values():
        order = rng.permutation(len(sizes))
        place = np.argsort(order)
        turned = [(place[b], place[a]) for a, b in pairs][::-1]
        there = graph_hash(np.array(sizes)[order], np.array(n_open)[order], turned)
        assert there == graph_hash(sizes, n_open, pairs)


def test_hash_depends_on_sizes_open_atoms_and_bonds():
    chain = [(0, 1), (1, 2), (2, 3)]
    one = graph_hash((5, 7, 7, 5), (0,) * 4, chain)
    assert graph_hash((5, 7, 5, 7), (0,) * 4, chain) != one  # the same rings in another order
    assert graph_hash((5, 7, 7, 5), (0,) * 4, [*chain, (0, 3)]) != one
    assert graph_hash((5, 7, 7, 5), (0, 0, 1, 0), chain) != one
    both = [np.zeros(2, np.int64), np.array([5, 7]), np.zeros(2, np.int64), np.array([[0, 1]])]
    assert cluster_hashes(*both, np.array([1])) != cluster_hashes(*both, np.array([2]))


def test_a_flower_encloses_seven_hexagons():
    sheet = defective("flower")
    # Rings that close through the border are left out, so that the sheet has an edge.
    corners = sheet.positions[sheet.ring_members]
    low, high = (extreme.reduceat(corners, sheet.ring_offsets[:-1]) for extreme in (np.minimum, np.maximum))
    is_kept = (high - low < 20).all(axis=1)
    members, sizes = sheet.ring_members[np.repeat(is_kept, sheet.ring_sizes)], sheet.ring_sizes[is_kept]
    labels = label_clusters(members, sizes, coordination_numbers(sheet))
    inside = enclosed_rings(labels, ring_neighbours(members, sizes))
    assert (labels == 0).sum() == 12
    assert (inside == 0).sum() == 19
    assert (sizes[(inside == 0) & (labels < 0)] == 6).all()


def test_what_lies_at_the_edge_is_not_enclosed():
    _, _, rings = patch(4, 3)
    labels = np.full(len(rings), -1)
    neighbours = ring_neighbours(rings.members, rings.sizes)
    labels[np.flatnonzero(neighbours.is_interior)[0]] = 0
    assert (enclosed_rings(labels, neighbours) == 0).sum() == 1


@pytest.mark.parametrize("degrees", [0, 37, 131])
@pytest.mark.parametrize("n_rings", [1, 2, 5])
def test_circuits_in_a_crystal_close_and_miss_nothing(degrees, n_rings):
    atoms, _, rings = patch(degrees=degrees)
    neighbours = ring_neighbours(rings.members, rings.sizes)
    region = np.full(len(rings), -1)
    first, second = neighbours.ordered_pairs.T
    grown = [int(np.flatnonzero(neighbours.is_interior)[len(rings) // 3])]
    while len(grown) < n_rings:
        grown.append(next(k for k in second[np.isin(first, grown)] if k not in grown))
    region[grown] = 0
    found = walk_circuits(atoms, rings.members, rings.sizes, region, is_walked=np.ones(1, bool))
    assert found.burgers[0] == pytest.approx([0, 0], abs=1e-9)
    assert found.n_missing[0] == 0


def test_only_one_closed_path_is_walked():
    atoms, _, rings = patch()
    region = np.full(len(rings), -1)
    interior = np.flatnonzero(ring_neighbours(rings.members, rings.sizes).is_interior)
    region[interior[[0, -1]]] = 0  # two pieces
    region[0] = 1  # at the edge
    region[interior[5]] = 2
    is_walked = np.array([True, True, False])
    found = walk_circuits(atoms, rings.members, rings.sizes, region, is_walked=is_walked)
    assert np.isnan(found.burgers).all()
    assert np.isnan(found.n_missing).all()
    nothing = walk_circuits(atoms, rings.members, rings.sizes, region * 0 - 1, is_walked=np.zeros(0, bool))
    assert nothing.burgers.shape == (0, 2)


def test_a_disclination_has_no_burgers_vector():
    """Five sectors of 60° around a pentagon: the path turns by 300° only."""
    turns = np.arange(5) * 72
    corners = np.array([[np.cos(t), np.sin(t)] for t in np.radians(turns)])
    atoms = np.concatenate([corners * r for r in (1, 2, 3)])
    members = [0, 1, 2, 3, 4]
    sizes = [5]
    for k in range(5):
        m = (k + 1) % 5
        members += [k, 5 + k, 10 + k, 10 + m, 5 + m, m]
        sizes.append(6)
    region = np.array([0, -1, -1, -1, -1, -1])
    found = walk_circuits(atoms, np.array(members), np.array(sizes), region, is_walked=np.ones(1, bool))
    assert np.isnan(found.burgers).all()


def test_long_bonds_close_what_lacks_a_bond():
    atoms, bonds, _ = patch()
    cut = np.delete(bonds, 40, axis=0)
    a, b = bonds[40]
    # Cut bonds are found again; at the edge of the sheet no atoms are near enough.
    assert long_bonds(atoms, cut, 1.1).tolist() == [[a, b]]
    assert long_bonds(atoms, cut, 0.9).tolist() == []
    # √3 bonds away are the second neighbours, which would close triangles.
    assert long_bonds(atoms, cut, 1.8).tolist() == [[a, b]]
    assert long_bonds(atoms, np.empty((0, 2), int), 1.1).shape == (0, 2)


def test_long_bonds_need_an_atom_that_lacks_one():
    # Two atoms of three bonds each, near to each other, and one of two bonds beside them.
    atoms = np.array(
        [
            [0, 0],
            [2.0, 0],
            [1.0, 1.8],
            [-1, 0],
            [0, -1],
            [-0.8, 0.8],
            [3, 0],
            [2, -1],
            [2.8, 0.8],
            [1, 2.8],
            [2, 1.8],
        ]
    )
    bonds = np.array([[0, 3], [0, 4], [0, 5], [1, 6], [1, 7], [1, 8], [2, 9], [2, 10]])
    found = long_bonds(atoms, bonds, 2.5)
    assert [0, 1] not in found.tolist()
    assert sum(2 in pair for pair in found.tolist()) == 1


def test_crowded_atoms_have_two_short_bonds():
    atoms = np.array([[0, 0], [1.0, 0], [2.0, 0], [3.4, 0], [4.8, 0], [6.2, 0]])
    bonds = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    assert crowded_atoms(atoms, bonds, 0.8).tolist() == [False, True, False, False, False, False]
    assert not crowded_atoms(atoms, bonds, 0.7).any()
    assert crowded_atoms(atoms, np.empty((0, 2), int), 0.8).tolist() == [False] * 6


def test_side_keys_go_around_each_ring():
    assert side_keys(np.array([1, 2, 3, 7, 8, 9]), np.array([3, 3]), 10).tolist() == [12, 23, 31, 78, 89, 97]
