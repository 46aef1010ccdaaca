import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amorph2d.topology import rings as module
from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.faces import count_pieces
from amorph2d.topology.rings import (
    assign_ring_centres,
    delaunay_ring_sizes,
    euler_characteristic,
    planar_rings,
)
from strategies import BOND, disordered_sheets, honeycomb, rotate

LIMITS = (0.5, 1.9)
HEXAGON = BOND * np.stack([np.cos(np.arange(6) * np.pi / 3), np.sin(np.arange(6) * np.pi / 3)], axis=1)
HEXAGON_BONDS = np.stack([np.arange(6), (np.arange(6) + 1) % 6], axis=1)
HEXAGON_AREA = 3 * np.sqrt(3) / 2 * BOND**2


def nearest_distances(a, b, box):
    return np.abs((a[:, None] - b[None] + box / 2) % box - box / 2).max(axis=2).min(axis=1)


def test_graphene_has_hexagons_only():
    atoms, centres, box = honeycomb(5, 3)
    rings = planar_rings(atoms, delaunay_bonds(atoms, centres, limits=LIMITS, box=box), max_size=16, box=box)
    assert len(rings) == len(centres)
    np.testing.assert_array_equal(rings.sizes, 6)
    np.testing.assert_allclose(rings.areas, HEXAGON_AREA)
    assert nearest_distances(centres, rings.centroids, box).max() < 1e-9
    assert rings.is_complete.all()


def test_graphene_has_hexagons_by_delaunay_edges():
    atoms, centres, box = honeycomb(5, 3)
    np.testing.assert_array_equal(delaunay_ring_sizes(atoms, centres, box=box), 6)


@given(disordered_sheets(max_vacancies=0))
@settings(max_examples=25)
def test_periodic_rings_fill_the_box(sheet):
    atoms, centres, box = sheet
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box)
    rings = planar_rings(atoms, bonds, max_size=60, box=box)
    assert rings.areas.sum() == pytest.approx(box.prod())
    assert rings.sizes.sum() == 2 * len(bonds)
    assert rings.sizes.mean() == 6
    assert euler_characteristic(len(atoms), len(bonds), len(rings)) == 0


@given(disordered_sheets())
@settings(max_examples=25)
def test_euler_of_an_open_sheet_counts_its_pieces(sheet):
    atoms, centres, _ = sheet
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS)
    rings = planar_rings(atoms, bonds, max_size=1000)
    assert euler_characteristic(len(atoms), len(bonds), len(rings)) == count_pieces(bonds, len(atoms))


def test_euler_takes_a_pore_off():
    atoms, centres, _ = honeycomb(12, 8)
    is_kept = np.linalg.norm(atoms - atoms.mean(axis=0), axis=1) > 6
    bonds = delaunay_bonds(atoms[is_kept], centres, limits=LIMITS)
    rings = planar_rings(atoms[is_kept], bonds, max_size=16)
    assert euler_characteristic(is_kept.sum(), len(bonds), len(rings)) == 0


@given(disordered_sheets())
@settings(max_examples=25)
def test_members_go_around_their_ring(sheet):
    atoms, centres, box = sheet
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box)
    rings = planar_rings(atoms, bonds, max_size=30, box=box)
    known = {tuple(bond) for bond in bonds.tolist()}
    for ring in np.split(rings.members, rings.starts[1:]):
        assert all(
            tuple(sorted(pair)) in known
            for pair in zip(ring.tolist(), np.roll(ring, 1).tolist(), strict=True)
        )


@given(disordered_sheets(), st.floats(-180, 180), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_turning_and_renumbering_change_nothing(sheet, angle, random):
    atoms, centres, _ = sheet
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS)
    rings = planar_rings(atoms, bonds, max_size=20)
    order = list(range(len(atoms)))
    random.shuffle(order)
    again = planar_rings(
        rotate(atoms, angle)[order] + np.array([40, 3]), np.argsort(order)[bonds], max_size=20
    )
    assert {frozenset(ring) for ring in np.split(np.array(order)[again.members], again.starts[1:])} == {
        frozenset(ring) for ring in np.split(rings.members, rings.starts[1:])
    }
    np.testing.assert_allclose(np.sort(again.areas), np.sort(rings.areas))


@pytest.mark.parametrize("corner", [[0.0, 0.0], [0.4, 0.3], [2.6, 0.0]])
def test_dangling_ends_change_no_ring(corner):
    atoms = np.concatenate([HEXAGON, [corner, [3.5, 0.5]]])
    bonds = np.concatenate([HEXAGON_BONDS, [[0, 6], [6, 7]]])
    rings = planar_rings(atoms, bonds, max_size=16)
    assert rings.sizes.tolist() == [6]
    np.testing.assert_allclose(rings.areas, HEXAGON_AREA)
    np.testing.assert_allclose(rings.centroids, [[0, 0]], atol=1e-12)


def test_a_bridge_joins_two_rings_and_is_in_neither():
    atoms = np.concatenate([HEXAGON, HEXAGON + np.array([5, 1])])
    bonds = np.concatenate([HEXAGON_BONDS, HEXAGON_BONDS + 6, [[0, 9]]])
    assert planar_rings(atoms, bonds, max_size=16).sizes.tolist() == [6, 6]
    assert planar_rings(atoms, bonds, max_size=16, box=(30, 20)).sizes.tolist() == [6, 6]


def test_a_ring_over_the_edge_of_a_periodic_box():
    box = np.array([11.0, 8.0])
    rings = planar_rings((HEXAGON + np.array([0.2, 7.9])) % box, HEXAGON_BONDS, max_size=16, box=box)
    assert rings.sizes.tolist() == [6]
    np.testing.assert_allclose(rings.areas, HEXAGON_AREA)
    np.testing.assert_allclose(rings.centroids, [[0.2, 7.9]])


def test_a_periodic_ladder_has_rings_only_between_its_rungs():
    x = np.arange(8) + 0.5
    atoms = np.concatenate([np.stack([x, np.full(8, y)], axis=1) for y in (2.0, 3.0)])
    ring = np.stack([np.arange(8), (np.arange(8) + 1) % 8], axis=1)
    bonds = np.concatenate([ring, ring + 8, np.stack([np.arange(8), np.arange(8) + 8], axis=1)])
    rings = planar_rings(atoms, bonds, max_size=16, box=(8, 30))
    assert rings.sizes.tolist() == [4] * 8
    np.testing.assert_allclose(rings.areas, 1)


@pytest.mark.parametrize(
    ("atoms", "bonds"),
    [
        (np.empty((0, 2)), []),
        ([[3.0, 4.0]], []),
        ([[0, 0], [1.4, 0]], [[0, 1]]),
        ([[0, 0], [1.4, 0], [2.1, 1.2]], [[0, 1], [1, 2]]),
    ],
)
@pytest.mark.parametrize("box", [None, (20.0, 30.0)])
def test_no_rings(atoms, bonds, box):
    rings = planar_rings(atoms, bonds, max_size=16, box=box)
    assert len(rings) == len(rings.members) == len(rings.starts) == 0
    assert rings.centroids.shape == (0, 2)
    assert assign_ring_centres(rings, [[0.5, 0.1]], atoms, box=box).shape == (0,)


def test_crossing_bonds_are_taken_out_first(monkeypatch):
    kite = [[0, 0], [2, -0.8], [3, 0], [2, 0.8]]
    bonds = [[0, 1], [1, 2], [2, 3], [0, 3], [0, 2], [1, 3]]
    assert sorted(planar_rings(kite, bonds, max_size=16).sizes.tolist()) == [3, 3]
    monkeypatch.setattr(module, "is_planar", lambda *_: True)
    assert sorted(planar_rings(kite, bonds, max_size=16).sizes.tolist()) != [3, 3]


def test_faces_larger_than_the_largest_ring_are_pores():
    atoms, centres, box = honeycomb(6, 4)
    atoms = np.delete(atoms, 17, axis=0)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box)
    sizes = planar_rings(atoms, bonds, max_size=12, box=box).sizes
    assert sorted(sizes.tolist()) == [6] * (len(centres) - 3) + [12]
    assert planar_rings(atoms, bonds, max_size=11, box=box).sizes.tolist() == [6] * (len(centres) - 3)


def test_a_ring_is_complete_if_all_its_atoms_count():
    atoms, centres, box = honeycomb(4, 3)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box)
    counts = np.arange(len(atoms)) != 5
    rings = planar_rings(atoms, bonds, max_size=16, box=box, is_analysable=counts)
    assert (~rings.is_complete).sum() == 3
    members = np.split(rings.members, rings.starts[1:])
    assert [5 not in ring for ring in members] == rings.is_complete.tolist()


def test_repeated_bonds_count_once():
    twice = np.concatenate([HEXAGON_BONDS, HEXAGON_BONDS[:, ::-1]])
    assert planar_rings(HEXAGON, twice, max_size=16).sizes.tolist() == [6]


def test_refuses_nonsense():
    with pytest.raises(ValueError, match="max_size must be ≥ 3, got 2"):
        planar_rings(HEXAGON, HEXAGON_BONDS, max_size=2)
    with pytest.raises(ValueError, match="bonds must join two atoms, got 1 from an atom to itself"):
        planar_rings(HEXAGON, [[0, 1], [2, 2]], max_size=6)
    with pytest.raises(ValueError, match=r"is_analysable must have the shape \(6,\), got \(5,\)"):
        planar_rings(HEXAGON, HEXAGON_BONDS, max_size=6, is_analysable=np.ones(5, bool))


def test_criteria_agree_on_a_disordered_sheet():
    atoms, _, box = honeycomb(12, 7)
    rng = np.random.default_rng(3)
    atoms = np.delete(atoms, rng.choice(len(atoms), 12, replace=False), axis=0)
    atoms = atoms + rng.normal(0, 0.08, atoms.shape)
    rings = planar_rings(atoms, delaunay_bonds(atoms, limits=LIMITS, box=box), max_size=30, box=box)
    found = assign_ring_centres(rings, rings.centroids, atoms, box=box)
    np.testing.assert_array_equal(found, np.arange(len(rings)))
    is_common = rings.sizes <= 6
    np.testing.assert_array_equal(
        delaunay_ring_sizes(atoms, rings.centroids, box=box)[is_common], rings.sizes[is_common]
    )


@given(disordered_sheets(max_vacancies=0), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_centres_are_found_in_their_rings(sheet, random):
    atoms, centres, box = sheet
    rings = planar_rings(atoms, delaunay_bonds(atoms, centres, limits=LIMITS, box=box), max_size=16, box=box)
    order = list(range(len(rings)))
    random.shuffle(order)
    shuffled = rings.centroids[order] + np.array([box[0], -box[1]])
    np.testing.assert_array_equal(assign_ring_centres(rings, shuffled, atoms, box=box), np.argsort(order))


def test_of_several_centres_the_nearest_and_of_none_nothing():
    atoms = np.concatenate([HEXAGON, HEXAGON + np.array([8, 3])])
    rings = planar_rings(atoms, np.concatenate([HEXAGON_BONDS, HEXAGON_BONDS + 6]), max_size=16)
    centres = [[0.9, 0], [-0.1, 0.2], [0, -0.5], [1.3, 0.6], [5, 5]]
    assert assign_ring_centres(rings, centres, atoms).tolist() == [1, -1]
    assert assign_ring_centres(rings, [], atoms).tolist() == [-1, -1]


def test_a_bent_ring_has_what_lies_inside_it_not_what_lies_nearest():
    # A U: its centre of area lies in the gap between its arms.
    atoms = np.array([[0, 0], [5, 0], [5, 5], [4, 5], [4, 1], [1, 1], [1, 5], [0, 5]], dtype=float)
    bonds = np.stack([np.arange(8), (np.arange(8) + 1) % 8], axis=1)
    rings = planar_rings(atoms, bonds, max_size=16)
    np.testing.assert_allclose(rings.areas, 13)
    assert assign_ring_centres(rings, [[2.5, 2.2], [4.5, 4.0]], atoms).tolist() == [1]
    assert assign_ring_centres(rings, [[2.5, 2.2]], atoms).tolist() == [-1]


def test_ring_sizes_without_centres_or_atoms():
    assert delaunay_ring_sizes(HEXAGON, []).shape == (0,)
    assert delaunay_ring_sizes([], [[1, 1], [3, 3]]).tolist() == [0, 0]
    assert delaunay_ring_sizes(HEXAGON, [[0, 0]]).tolist() == [6]
