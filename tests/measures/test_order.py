import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amorph2d.measures.crystallites import CrystalliteParameters
from amorph2d.measures.order import (
    ATOM_ORDER_COLUMNS,
    RING_ORDER_COLUMNS,
    atom_order_table,
    atom_psi3,
    bond_orientational_order,
    hexagon_shares,
    neighbour_distances,
    orientation,
    ring_order_table,
    ring_psi6,
    ring_regularity,
)
from amorph2d.measures.ring_pairs import ring_pairs_table
from amorph2d.measures.tables import network_tables
from amorph2d.topology.bonds import bond_vectors, delaunay_bonds
from amorph2d.topology.ring_neighbours import ring_neighbours
from amorph2d.topology.rings import planar_rings
from ring_sheets import neighbours_of
from strategies import BOND, disordered_sheets, honeycomb, make_sites, rotate

LIMITS = (0.5, 1.9)
HEXAGON_AREA = 3 * np.sqrt(3) / 2 * BOND**2
PARAMETERS = SimpleNamespace(bonds=SimpleNamespace(limits=LIMITS), rings=SimpleNamespace(max_size=16))
CRYSTALLITES = CrystalliteParameters(min_hexagon_neighbours=4, min_psi6=0, max_misorientation=30, min_rings=3)


def find_rings(atoms, centres, box=None):
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box)
    rings = planar_rings(atoms, bonds, max_size=30, box=box)
    return rings, ring_neighbours(rings.members, rings.sizes)


def regularity(atoms, rings, box=None):
    return ring_regularity(atoms, rings.members, rings.sizes, areas=rings.areas, box=box)


def order_of(sites, parameters=CRYSTALLITES):
    tables = network_tables(sites, PARAMETERS)
    pairs = ring_pairs_table(tables.rings, tables.ring_atoms)
    order = ring_order_table(sites, tables.rings, tables.ring_atoms, ring_pairs=pairs, parameters=parameters)
    return tables, order


def between(a, b):
    """Difference of two angles with a period of 60°."""
    return np.abs((a - b + 30) % 60 - 30)


def test_graphene_is_perfectly_ordered():
    atoms, centres, box = honeycomb(6, 4)
    rings, neighbours = find_rings(atoms, centres, box)
    psi6 = ring_psi6(rings.centroids, neighbours, box=box)
    np.testing.assert_allclose(np.abs(psi6), 1)
    np.testing.assert_allclose(between(orientation(psi6), 0), 0, atol=1e-9)
    np.testing.assert_allclose(regularity(atoms, rings, box), 1)
    np.testing.assert_allclose(rings.areas, HEXAGON_AREA)
    np.testing.assert_allclose(neighbour_distances(rings.centroids, neighbours, box=box), np.sqrt(3) * BOND)
    np.testing.assert_array_equal(hexagon_shares(rings.sizes, neighbours), 1)
    bonds = delaunay_bonds(atoms, centres, limits=LIMITS, box=box)
    np.testing.assert_allclose(atom_psi3(atoms, bonds, box=box), 1)


@pytest.mark.parametrize("angle", [0, 7.5, 29, 30, 59.99, 61, -10])
def test_orientation_turns_with_the_sheet(angle):
    atoms, centres, _ = honeycomb(7, 4)
    atoms, centres = rotate(atoms, angle), rotate(centres, angle)
    rings, neighbours = find_rings(atoms, centres)
    found = orientation(ring_psi6(rings.centroids, neighbours))
    assert (found >= 0).all()
    assert (found < 60).all()
    np.testing.assert_allclose(between(found, angle), 0, atol=1e-6)
    vectors = bond_vectors(atoms, delaunay_bonds(atoms, centres, limits=LIMITS))
    bond_angle = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    np.testing.assert_allclose(between(bond_angle, found[0] + 30), 0, atol=1e-6)


@given(disordered_sheets(), st.floats(0, 360), st.floats(0.5, 3))
@settings(max_examples=15)
def test_order_does_not_depend_on_place_direction_or_scale(sheet, angle, scale):
    atoms, centres, _ = sheet
    rings, neighbours = find_rings(atoms, centres)
    moved = scale * rotate(atoms, angle) + [30, -7]
    turned = scale * rotate(rings.centroids, angle) + [30, -7]
    before, after = (np.abs(ring_psi6(points, neighbours)) for points in (rings.centroids, turned))
    np.testing.assert_allclose(after, before, atol=1e-9)
    again = ring_regularity(moved, rings.members, rings.sizes, areas=scale**2 * rings.areas)
    np.testing.assert_allclose(again, regularity(atoms, rings))
    assert (again <= 1 + 1e-9).all()
    assert (again > 0).all()


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9])
def test_independent_directions_have_a_mean_square_order_of_one_over_their_number(n):
    angle = np.random.default_rng(n).uniform(0, 2 * np.pi, 20_000 * n)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    psi, count = bond_orientational_order(vectors, np.repeat(np.arange(20_000), n), 20_000, fold=6)
    squares = np.abs(psi) ** 2
    np.testing.assert_array_equal(count, n)
    # |ψ|² has a variance of (1 − 1/n)/n².
    assert squares.mean() == pytest.approx(1 / n, abs=4 * np.sqrt((1 - 1 / n) / n**2 / 20_000) + 1e-12)


def test_order_of_a_few_directions():
    vectors = [[1, 0], [0, 2], [3, 0]]
    psi, count = bond_orientational_order(vectors, [0, 0, 2], 3, fold=6)
    assert psi[[0, 2]] == pytest.approx([0, 1])
    assert np.isnan(psi[1])
    assert count.tolist() == [2, 0, 1]
    assert abs(bond_orientational_order(vectors, [0, 0, 0], 1, fold=4)[0][0]) == pytest.approx(1)


def test_orientation_of_a_tiny_negative_angle_is_0():
    assert orientation([np.exp(-1e-18j), np.exp(6j * np.radians(20))]) == pytest.approx([0, 20])
    assert np.isnan(orientation(complex(np.nan, np.nan)))


def test_threefold_order_of_atoms():
    atoms = [
        [0, 0],
        [1, 0],
        [-0.5, np.sqrt(3) / 2],
        [-0.5, -np.sqrt(3) / 2],
        [9, 9],
        [20, 0],
        [21, 0],
        [20, 1],
    ]
    psi3 = atom_psi3(atoms, [[0, 1], [0, 2], [3, 0], [5, 6], [5, 7]])
    assert psi3[[0, 1, 2, 3]] == pytest.approx([1, 1, 1, 1])
    assert np.isnan(psi3[4])
    assert psi3[5] == pytest.approx(np.sqrt(0.5))  # bonds 90° apart: |1 + exp(3πi/2)|/2


@pytest.mark.parametrize("n", [3, 4, 5, 6, 7, 12])
def test_regular_polygons_are_regular(n):
    angle = 2 * np.pi * np.arange(n) / n + 0.3
    corners = 1.7 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + [4, -60]
    area = n / 2 * 1.7**2 * np.sin(2 * np.pi / n)
    assert ring_regularity(corners, np.arange(n), [n], areas=[area])[0] == pytest.approx(1)
    # Stretched by two and squeezed by two it has the same area and a longer perimeter.
    assert ring_regularity(corners * [2, 0.5], np.arange(n), [n], areas=[area])[0] < 0.75


def test_regularity_of_a_rectangle():
    found = ring_regularity([[0, 0], [3, 0], [3, 1], [0, 1]], [0, 1, 2, 3], [4], areas=[3.0])
    assert found == pytest.approx([16 * 3 / 64])


def test_regularity_of_a_point_is_undefined():
    assert np.isnan(ring_regularity([[1, 1]] * 3, [0, 1, 2], [3], areas=[0.0]))[0]
    assert len(ring_regularity([], [], [], areas=[])) == 0


def test_table_of_graphene():
    atoms, centres, _ = honeycomb(12, 7)
    sites = make_sites(atoms, centres)
    tables, order = order_of(sites)
    assert dict(order.dtypes.astype(str)) == RING_ORDER_COLUMNS
    assert len(order) == len(tables.rings)
    inner = order[order["complete"]]
    assert 0 < len(inner) < len(order)
    assert (inner["n_neighbours"] == 6).all()
    assert (order.loc[~order["complete"], "n_neighbours"] < 6).all()
    np.testing.assert_allclose(order[["psi6", "regularity", "hexagon_share"]], 1)
    np.testing.assert_array_equal(order["crystallite"], 0)


def test_rings_that_are_not_complete_are_no_neighbours():
    atoms, centres, box = honeycomb(12, 7)
    sites = make_sites(atoms, centres)
    sites["analysable"] = sites["x"] < box[0] / 2
    tables, order = order_of(sites)
    is_complete = tables.rings["complete"].to_numpy()
    assert 0 < is_complete.sum() < len(is_complete)
    assert (order["n_neighbours"][~is_complete] == 0).all()
    assert order["psi6"][~is_complete].isna().all()
    assert (order["crystallite"][~is_complete] == -1).all()
    rightmost = tables.rings["x"][is_complete].idxmax()
    assert not order["complete"][rightmost]
    neighbours = neighbours_of(tables.rings, tables.ring_atoms)
    assert is_complete[neighbours.pairs].all()
    np.testing.assert_array_equal(neighbours.is_interior, order["complete"])


def test_disorder_lowers_the_order():
    atoms, centres, _ = honeycomb(12, 7)
    noisy = atoms + np.random.default_rng(1).normal(0, 0.08, atoms.shape)
    found = order_of(make_sites(noisy, centres))[1]
    inner = found[found["complete"]]
    assert 0.8 < inner["psi6"].mean() < 0.999
    assert 0.9 < inner["regularity"].mean() < 0.995


def test_frames_are_kept_apart():
    first, second = honeycomb(5, 4), honeycomb(7, 3)
    both = pd.concat([make_sites(*first[:2]), make_sites(*second[:2], frame=3)])
    _, order = order_of(both)
    alone = [order_of(make_sites(*sheet[:2]))[1] for sheet in (first, second)]
    for frame, expected in zip((0, 3), alone, strict=True):
        found = order[order["frame"] == frame].reset_index(drop=True)
        pd.testing.assert_frame_equal(found.assign(frame=np.int32(0)), expected)


def test_table_of_atoms():
    atoms, centres, _ = honeycomb(5, 4)
    sites = make_sites(atoms, centres)
    bonds = network_tables(sites, PARAMETERS).bonds
    found = atom_order_table(sites, bonds)
    assert dict(found.dtypes.astype(str)) == ATOM_ORDER_COLUMNS
    assert found["atom"].tolist() == list(range(len(atoms)))
    assert found["n_bonds"].sum() == 2 * len(bonds)
    np.testing.assert_allclose(found.loc[found["n_bonds"] == 3, "psi3"], 1)
    np.testing.assert_allclose(found.loc[found["n_bonds"] == 2, "psi3"], 0.5 * np.abs(1 + np.exp(2j * np.pi)))


@pytest.mark.parametrize("atoms", [[], [[5, 6]], [[5, 6], [6.4, 6]]])
def test_little_or_nothing(atoms):
    sites = make_sites(atoms)
    tables, order = order_of(sites)
    assert len(order) == 0
    assert dict(order.dtypes.astype(str)) == RING_ORDER_COLUMNS
    assert len(atom_order_table(sites, tables.bonds)) == len(atoms)


def test_refuses_what_does_not_belong_together():
    atoms, centres, _ = honeycomb(4, 3)
    tables, _ = order_of(make_sites(atoms, centres))
    neighbours = neighbours_of(tables.rings, tables.ring_atoms)
    with pytest.raises(ValueError, match="centres must be"):
        ring_psi6([[0, 0]], neighbours)
    with pytest.raises(ValueError, match="owners must have the shape"):
        bond_orientational_order([[1, 0]], [0, 1], 2, fold=6)
    with pytest.raises(ValueError, match="fold must be ≥ 1, got 0"):
        bond_orientational_order([[1, 0]], [0], 1, fold=0)
    with pytest.raises(ValueError, match="sizes must add up to"):
        ring_regularity(atoms, [0, 1, 2], [4], areas=[1.0])


def test_a_hundred_thousand_rings_take_little_time():
    n = 316
    column, row = np.meshgrid(np.arange(n), np.arange(n), indexing="xy")
    places = np.stack([2 * column + row % 2, row], axis=-1).reshape(-1, 2)
    corner = places[:, :1] + 1000 * places[:, 1:]
    members = (corner + np.array([0, 1, 2, 1002, 1001, 1000])).ravel()
    names, members = np.unique(members, return_inverse=True)
    x, y = names % 1000 * BOND * np.sqrt(3) / 2, names // 1000 * 1.5 * BOND
    sites = make_sites(np.stack([x, y], axis=1))
    rings = pd.DataFrame({"frame": 0, "size": 6, "area": 1.0, "complete": True}, index=range(n * n))
    rings[["x", "y"]] = sites[["x", "y"]].to_numpy()[members].reshape(-1, 6, 2).mean(axis=1)
    ring_atoms = pd.DataFrame({"frame": 0, "row": np.repeat(np.arange(n * n), 6), "atom": members})
    start = time.perf_counter()
    pairs = ring_pairs_table(rings, ring_atoms)
    order = ring_order_table(sites, rings, ring_atoms, ring_pairs=pairs, parameters=CRYSTALLITES)
    assert time.perf_counter() - start < 2  # 0.2 s alone on a core
    assert len(order) == n * n
    np.testing.assert_array_equal(order["crystallite"], 0)
