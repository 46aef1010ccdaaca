import numpy as np
import pytest
from hypothesis import given, settings

from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.checks import (
    AGREES,
    DIFFERS_TWICE,
    HAS_SHORTCUT,
    NO_FACE,
    OTHER_DELAUNAY,
    check_network,
    crossing_bonds,
    ring_agreement,
)
from amorph2d.topology.rings import planar_rings
from amorph2d.topology.shortest_path import shortest_path_rings
from strategies import BOND, disordered_sheets, honeycomb

LIMITS = (0.5, 1.9)


def polygon(n, radius=2.0, centre=(0.0, 0.0)):
    angle = 2 * np.pi * np.arange(n) / n
    return centre + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def circle(n, first=0):
    return first + np.stack([np.arange(n), (np.arange(n) + 1) % n], axis=1)


def check(atoms, bonds, *, max_size=16, box=None):
    rings = planar_rings(atoms, bonds, max_size=max_size, box=box)
    return check_network(atoms, bonds, rings, max_size=max_size, max_coordination=3, box=box)


def test_periodic_graphene_is_sound():
    atoms, centres, box = honeycomb(5, 4)
    found = check(atoms, delaunay_bonds(atoms, centres, limits=LIMITS, box=box), box=box)
    assert found.euler.tolist() == [0]
    assert found.n_expected_rings == found.n_rings == len(centres)
    assert found.mean_ring_size == found.expected_mean_ring_size == 6
    assert found.is_consistent
    assert not any(map(len, (found.isolated, found.dangling, found.over_coordinated, found.crossings)))


def test_a_periodic_chain_of_rings_goes_around():
    atoms, centres, box = honeycomb(6, 1)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box * [1, 3])
    found = check(atoms, bonds, box=box * [1, 3])
    assert found.n_expected_rings == found.n_rings == 6
    assert found.is_consistent


@given(disordered_sheets(max_vacancies=3))
@settings(max_examples=30)
def test_open_and_periodic_sheets_are_consistent(sheet):
    atoms, centres, box = sheet
    for extent in (None, box):
        bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=extent)
        found = check(atoms, bonds, box=extent, max_size=9)
        assert found.is_consistent
        assert len(found.euler) == len(found.n_holes) == found.piece.max() + 1


def test_pieces_bridges_dangling_and_lonely_atoms():
    atoms = np.concatenate(
        [
            polygon(6),
            polygon(5, centre=(8, 1)),
            [[4, 0], [5, 0]],
            polygon(7, centre=(0, 12)),
            [[3, 12], [20, 20]],
        ]
    )
    bridge = [[0, 11], [11, 12], [12, 8]]
    bonds = np.concatenate([circle(6), circle(5, 6), bridge, circle(7, 13), [[13, 20]]])
    found = check(atoms, bonds)
    assert found.euler.tolist() == [2, 2, 2]
    assert np.bincount(found.piece).tolist() == [13, 8, 1]
    assert found.isolated.tolist() == [21]
    assert found.dangling.tolist() == [20]
    assert found.n_rings == found.n_expected_rings == 3
    assert found.mean_ring_size == found.expected_mean_ring_size == 6
    assert found.is_consistent


def test_a_hole_is_counted_in_its_piece():
    atoms, centres, _ = honeycomb(12, 8)
    is_kept = np.linalg.norm(atoms - atoms.mean(axis=0), axis=1) > 6
    atoms = np.concatenate([polygon(6, centre=(-9, 3)), atoms[is_kept]])
    bonds = np.concatenate([circle(6), 6 + delaunay_bonds(atoms[6:], centres, limits=LIMITS)])
    found = check(atoms, bonds)
    assert found.n_holes.tolist() == [0, 1]
    assert found.euler.tolist() == [2, 2]
    assert found.is_consistent


def test_missing_rings_are_noticed():
    atoms, centres, _ = honeycomb(5, 4)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS)
    rings = planar_rings(atoms, bonds, max_size=16)
    lost = planar_rings(atoms, bonds, max_size=5)
    found = check_network(atoms, bonds, lost, max_size=16, max_coordination=3)
    assert found.n_expected_rings == len(rings)
    assert np.isnan(found.mean_ring_size)
    assert not found.is_consistent


def test_crossing_bonds_are_found_and_break_eulers_relation():
    atoms, centres, _ = honeycomb(5, 4)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS)
    hexagon = np.argsort(np.linalg.norm(atoms - centres[18], axis=1))[:6]
    away = np.linalg.norm(atoms[hexagon] - atoms[hexagon[0]], axis=1)
    p, q = hexagon[0], hexagon[away.argmax()]
    r = next(i for i in hexagon if i not in (p, q))
    s = hexagon[np.linalg.norm(atoms[hexagon] - atoms[r], axis=1).argmax()]
    more = np.concatenate([[[p, q]], bonds, [[s, r]]])
    found = check(atoms, more)
    assert found.crossings.tolist() == [[0, len(more) - 1]]
    assert sorted(found.over_coordinated.tolist()) == sorted([p, q, r, s])
    assert found.euler.tolist() == [0]
    assert not found.is_consistent


@pytest.mark.parametrize(("box", "expected"), [(None, [[0, 2]]), ((10.0, 8.0), [[0, 1]])])
def test_bonds_cross_over_the_edge_of_the_box(box, expected):
    atoms = [[9.5, 1.0], [0.5, 2.0], [9.6, 2.0], [10.4, 1.0], [5.0, 0.0], [5.0, 3.0]]
    assert crossing_bonds(atoms, [[0, 1], [2, 3], [4, 5]], box=box).tolist() == expected


def test_touching_and_parallel_bonds_do_not_cross():
    atoms = [[0, 0], [2, 0], [1, 0], [1, 1], [0, 0.5], [2, 0.5]]
    assert len(crossing_bonds(atoms, [[0, 1], [2, 3], [0, 2]])) == 0  # it ends on the bond
    assert crossing_bonds(atoms, [[0, 1], [4, 5], [2, 3]]).tolist() == [[1, 2]]


def test_nothing_is_sound():
    found = check((), ())
    assert found.is_consistent
    assert found.n_expected_rings == 0
    assert found.euler.tolist() == found.n_holes.tolist() == []
    alone = check([[3, 4]], ())
    assert (alone.euler.tolist(), alone.isolated.tolist()) == ([2], [0])
    assert alone.is_consistent


def test_max_coordination_must_be_positive():
    rings = planar_rings((), (), max_size=6)
    with pytest.raises(ValueError, match="max_coordination must be ≥ 1, got 0"):
        check_network((), (), rings, max_size=6, max_coordination=0)


def test_all_criteria_agree_in_a_relaxed_network():
    network = bond_switched_network(
        (30, 26),
        rng=np.random.default_rng(4),
        ring_fractions={5: 0.27, 6: 0.5, 7: 0.19, 8: 0.04},
        n_trials=10,
    )
    atoms, bonds, box = network.positions, network.bonds, network.box
    rings = planar_rings(atoms, bonds, max_size=12, box=box)
    shortest = shortest_path_rings(len(atoms), bonds, max_size=12)
    table = ring_agreement(atoms, rings, shortest, ring_centres=network.ring_centres, box=box)
    assert len(table) == len(rings)
    assert table["shortest_path"].all()
    np.testing.assert_array_equal(table["face"], np.arange(len(rings)))
    np.testing.assert_array_equal(table["size"], rings.sizes)
    is_equal = table["delaunay_size"] == rings.sizes
    np.testing.assert_array_equal(table["status"], np.where(is_equal, AGREES, OTHER_DELAUNAY))
    assert is_equal.mean() > 0.9
    wrong = ring_agreement(atoms[::-1], rings, shortest, ring_centres=network.ring_centres, box=box)
    assert (wrong["status"] == AGREES).sum() < len(rings) / 2


def shortcut_sheet():
    """A ring of twelve atoms, opposite ones of which a path of three bonds outside joins."""
    atoms = np.concatenate([polygon(12), [[5.0, 3.0], [-5.0, 3.0]]])
    return atoms, np.concatenate([circle(12), [[0, 12], [12, 13], [13, 6]]])


def test_a_face_with_a_shortcut_and_a_ring_that_is_no_face():
    atoms, bonds = shortcut_sheet()
    rings = planar_rings(atoms, bonds, max_size=16)
    shortest = shortest_path_rings(len(atoms), bonds, max_size=16)
    is_analysable = np.arange(14) != 9  # in the lower half
    table = ring_agreement(atoms, rings, shortest, is_analysable=is_analysable)
    assert dict(zip(table["size"], table["status"], strict=True)) == {12: HAS_SHORTCUT, 9: NO_FACE}
    assert table["status"].tolist() == [*np.where(rings.sizes == 12, HAS_SHORTCUT, AGREES), NO_FACE]
    lower = table.iloc[-1]
    assert (lower["face"], lower["delaunay_size"], lower["complete"]) == (-1, -1, False)
    members = [i for i in range(14) if i not in range(1, 6)]
    np.testing.assert_allclose(lower[["x", "y"]].astype(float), atoms[members].mean(axis=0), atol=1e-12)


def test_both_other_criteria_differ():
    atoms, bonds = shortcut_sheet()
    rings = planar_rings(atoms, bonds, max_size=16)
    shortest = shortest_path_rings(len(atoms), bonds, max_size=16)
    atoms = np.concatenate([atoms, [[0.5, 0.0]]])  # an atom without bonds hides others from the centre
    table = ring_agreement(atoms, rings, shortest, ring_centres=[[-0.5, 0.1], [0.1, 2.6]])
    inner = table[table["size"] == 12].iloc[0]
    assert inner["status"] == DIFFERS_TWICE
    assert inner["delaunay_size"] not in (-1, 12)


def test_delaunay_edges_are_judged_in_complete_rings_alone():
    atoms, centres, _ = honeycomb(4, 3)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS)
    is_analysable = atoms[:, 0] < 4 * BOND
    rings = planar_rings(atoms, bonds, max_size=16, is_analysable=is_analysable)
    shortest = shortest_path_rings(len(atoms), bonds, max_size=16)
    table = ring_agreement(atoms, rings, shortest, ring_centres=centres)
    np.testing.assert_array_equal(table["delaunay_size"], np.where(rings.is_complete, 6, -1))
    assert 0 < rings.is_complete.sum() < len(rings)
    assert (ring_agreement(atoms, rings, shortest)["status"] == AGREES).all()


def test_no_rings():
    rings = planar_rings((), (), max_size=6)
    table = ring_agreement((), rings, shortest_path_rings(0, (), max_size=6), ring_centres=[[1, 2]])
    assert len(table) == 0
    assert table["status"].dtype == "str"


def test_analysable_must_fit_the_atoms():
    rings = planar_rings((), (), max_size=6)
    with pytest.raises(ValueError, match="is_analysable must have the shape"):
        ring_agreement((), rings, shortest_path_rings(0, (), max_size=6), is_analysable=[True])
