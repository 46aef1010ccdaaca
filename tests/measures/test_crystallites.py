import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from amorph2d.measures.crystallites import (
    CRYSTALLITE_COLUMNS,
    CrystalliteParameters,
    crystallite_boxes,
    crystallite_sizes,
    crystallites_table,
    fold_angle,
    label_crystallites,
)
from amorph2d.measures.order import ring_order_table
from amorph2d.measures.ring_counts import corner_boxes, ring_weights
from amorph2d.measures.ring_pairs import ring_pairs_table
from amorph2d.measures.window import RectangularWindow
from amorph2d.topology.ring_neighbours import ring_neighbours
from ring_sheets import SPACING, neighbours_of, triangular, two_grains, voronoi_tables

HEXAGON_AREA = np.sqrt(3) / 2 * SPACING**2


def parameters(neighbours=4, psi6=0.0, rings=3, turn=30.0):
    return CrystalliteParameters(
        min_hexagon_neighbours=neighbours, min_psi6=psi6, min_rings=rings, max_misorientation=turn
    )


def order_of(tables, wanted):
    pairs = ring_pairs_table(*tables[1:])
    return ring_order_table(*tables, ring_pairs=pairs, parameters=wanted)


def measure(tables, wanted=None):
    rings = tables[1]
    order = order_of(tables, wanted or parameters())
    return order, crystallites_table(rings, order)


def patches(centres, radius):
    """Triangular lattice in which all ring centres outside discs are displaced at random."""
    rng = np.random.default_rng(0)
    lattice = triangular(90, 70, 12)
    distance = np.linalg.norm(lattice[:, None] - np.array(centres)[None], axis=2).min(axis=1)
    noise = rng.normal(0, 0.5, lattice.shape)
    return lattice + noise * (distance > radius)[:, None]


def test_graphene_is_one_crystallite():
    order, found = measure(voronoi_tables(triangular(40, 30, 17)))
    assert len(found) == 1
    assert dict(found.dtypes.astype(str)) == CRYSTALLITE_COLUMNS
    only = found.iloc[0]
    n_complete = (order["crystallite"] == 0).sum()
    assert only["n_rings"] == n_complete > 100
    assert only["area"] == pytest.approx(n_complete * HEXAGON_AREA)
    assert only["equivalent_diameter"] == pytest.approx(2 * np.sqrt(only["area"] / np.pi))
    assert only["orientation"] == pytest.approx(17)
    assert only["coherence"] == pytest.approx(1)
    assert only["is_cut"]
    assert only["weight"] == 0


@pytest.mark.parametrize("angles", [(0, 25), (-4, 18), (10, 35)])
def test_two_grains_are_two_crystallites(angles):
    sheet = voronoi_tables(two_grains(60, 44, angles))
    _, found = measure(sheet, parameters(5, 0.8, 5))
    assert len(found) == 2
    left, right = found.sort_values("x").itertuples()
    assert left.x < -5 < 5 < right.x
    assert [left.orientation, right.orientation] == pytest.approx(np.mod(angles, 60), abs=0.5)
    assert left.y == pytest.approx(0, abs=1.5)
    complete = sheet[1].loc[sheet[1]["complete"], "area"].sum()
    assert 0.85 < found["area"].sum() / complete < 0.99


def test_grains_that_grow_together_are_told_apart_by_their_orientation():
    """At a boundary of 7° there are hexagons all along from one grain to the other."""
    sheet = voronoi_tables(two_grains(60, 44, (0, 7)))
    _, found = measure(sheet, parameters(5, 0.8, 5))
    assert len(found) == 1
    assert found["coherence"].iloc[0] < 0.96
    assert found["orientation"].iloc[0] == pytest.approx(3.5, abs=0.7)
    _, found = measure(sheet, parameters(5, 0.8, 5, turn=2))
    left, right = found.sort_values("n_rings").iloc[-2:].sort_values("x").itertuples()
    assert left.x < -5 < 5 < right.x
    assert [left.orientation, right.orientation] == pytest.approx([0, 7], abs=0.5)
    assert min(left.coherence, right.coherence) > 0.99


def test_misorientation_has_a_period_of_60_degrees():
    neighbours = ring_neighbours(np.concatenate([np.arange(6), [1, 0, 6, 7, 8, 9]]), [6, 6])
    psi6 = np.exp(6j * np.radians([59, 62]))
    for turn, expected in ((2.9, [0, 1]), (3.1, [0, 0])):
        assert (
            label_crystallites([6, 6], neighbours, psi6, parameters=parameters(4, 0, 1, turn)).tolist()
            == expected
        )


def test_an_island_is_found_as_large_as_it_is():
    sheet = voronoi_tables(patches([(5, -3)], 16))
    _, found = measure(sheet, parameters(5, 0.9, 10))
    assert len(found) == 1
    only = found.iloc[0]
    assert not only["is_cut"]
    assert [only["x"], only["y"]] == pytest.approx([5, -3], abs=1)
    assert only["equivalent_diameter"] == pytest.approx(32, rel=0.15)
    assert np.isnan(only["weight"])


def test_crystallites_are_numbered_by_their_first_rings():
    sheet = voronoi_tables(patches([(-20, 0), (20, 5)], 12))
    order, found = measure(sheet, parameters(5, 0.9, 10))
    labels = order["crystallite"].to_numpy()
    first = [np.flatnonzero(labels == k)[0] for k in range(labels.max() + 1)]
    assert len(first) == len(found) == 2
    assert first == sorted(first)


def flower():
    """A hexagon, its six neighbours, and a chain of two hexagons at one of these: members and sizes."""
    rows = {0: [0, 1, 2, 3, 4, 5]}
    for k in range(6):
        a, b = k, (k + 1) % 6
        rows[k + 1] = [b, a, 6 + a, 12 + a, 18 + b, 6 + b]
    rows[7] = [12, 18 + 1, 50, 51, 52, 53]
    rows[8] = [51, 52, 60, 61, 62, 63]
    return np.concatenate([rows[k] for k in range(9)]), np.full(9, 6)


def test_least_number_of_neighbours_and_of_rings():
    members, sizes = flower()
    neighbours = ring_neighbours(members, sizes)
    assert neighbours.n_neighbours.tolist() == [6, 4, 3, 3, 3, 3, 3, 2, 1]
    sizes[[3, 4]] = 5, 7
    order = np.ones(9)

    def label(**wanted):
        return label_crystallites(sizes, neighbours, order, parameters=parameters(**wanted)).tolist()

    # Around 0 four of six are hexagons; around 2 and 5, at the edge, two of three.
    assert label(neighbours=6, rings=1) == [-1, 0, -1, -1, -1, -1, 0, 0, 0]
    assert label(neighbours=5, rings=1) == [-1, 0, -1, -1, -1, -1, 0, 0, 0]
    assert label(neighbours=4, rings=1) == [0, 0, 0, -1, -1, 0, 0, 0, 0]
    assert label(neighbours=4, rings=7) == [0, 0, 0, -1, -1, 0, 0, 0, 0]
    assert label(neighbours=4, rings=8) == [-1] * 9
    order[0] = 0.4
    assert label(neighbours=4, rings=1, psi6=0.5) == [-1, 0, 0, -1, -1, 0, 0, 0, 0]
    order[7] = np.nan
    assert label(neighbours=4, rings=1, psi6=0.5) == [-1, 0, 0, -1, -1, 0, 0, -1, 1]
    assert label(neighbours=4, rings=2, psi6=0.5) == [-1, 0, 0, -1, -1, 0, 0, -1, -1]


def test_a_single_hexagon_is_no_crystallite():
    alone = ring_neighbours(np.arange(6), [6])
    assert label_crystallites([6], alone, [np.nan], parameters=parameters(0, 0, 1)).tolist() == [-1]


def test_boxes_hold_the_rings_around_a_crystallite():
    neighbours = ring_neighbours([0, 1, 2, 1, 2, 3, 2, 3, 4, 20, 21, 22], [3, 3, 3, 3])
    boxes = [[0, 0, 1, 1], [1, -3, 2, 1], [2, 0, 7, 9], [50, 0, 51, 1]]
    found = crystallite_boxes(boxes, [0, -1, -1, 1], neighbours)
    assert found.tolist() == [[0, -3, 2, 1], [50, 0, 51, 1]]
    assert crystallite_boxes(boxes, [-1] * 4, neighbours).shape == (0, 4)


def test_corrected_sizes_are_those_without_a_window():
    """Discs of two sizes at random places: the window shows too few large ones whole, and cuts them."""
    rng = np.random.default_rng(4)
    side, n = 60.0, 40_000
    radius = rng.choice([3.0, 12.0], n, p=[0.7, 0.3])
    centre = rng.uniform(-20, side + 20, (n, 2))
    boxes = np.concatenate([centre - radius[:, None], centre + radius[:, None]], axis=1)
    touches = ((boxes[:, 2:] > 0) & (boxes[:, :2] < side)).all(axis=1)
    is_cut = ~((boxes[:, :2] >= 0) & (boxes[:, 2:] <= side)).all(axis=1)
    weight = ring_weights(boxes, RectangularWindow(0, 0, side, side))
    table = pd.DataFrame(
        {
            "equivalent_diameter": 2 * radius,
            "area": np.pi * radius**2,
            "is_cut": is_cut,
            "weight": np.where(is_cut, 0, weight),
        }
    )[touches]
    sizes = crystallite_sizes(table)
    p = np.array([0.7, 0.3])
    d = np.array([6.0, 24.0])
    assert sizes.n_crystallites == touches.sum()
    assert sizes.n_cut == (touches & is_cut).sum()
    assert sizes.number_mean_corrected == pytest.approx(p @ d, rel=0.02)
    assert sizes.area_mean_corrected == pytest.approx(p @ d**3 / (p @ d**2), rel=0.02)
    assert sizes.number_mean > 1.1 * p @ d
    uncut = table.loc[~table["is_cut"], "equivalent_diameter"].mean()
    assert uncut < 0.85 * p @ d


def test_weights_of_crystallites_in_a_window():
    sites, rings, ring_atoms = voronoi_tables(patches([(-8, 6), (24, -2)], 12), window=(50, 60))
    order = order_of((sites, rings, ring_atoms), parameters(5, 0.9, 10))
    neighbours = neighbours_of(rings, ring_atoms)
    boxes = crystallite_boxes(corner_boxes(rings, ring_atoms, sites), order["crystallite"], neighbours)
    window = RectangularWindow(-25, -30, 25, 30)
    found = crystallites_table(rings, order, ring_weights(boxes, window)).sort_values("x")
    assert found["is_cut"].tolist() == [False, True]
    assert found["weight"].iloc[1] == 0
    sides = boxes[found.index[0], 2:] - boxes[found.index[0], :2]
    assert found["weight"].iloc[0] == pytest.approx(3000 / ((50 - sides[0]) * (60 - sides[1])))
    assert found["weight"].iloc[0] > 2
    sizes = crystallite_sizes(found)
    assert (sizes.n_crystallites, sizes.n_cut) == (2, 1)
    assert sizes.number_mean_corrected == found["equivalent_diameter"].iloc[0]
    assert sizes.number_mean == pytest.approx(found["equivalent_diameter"].mean())
    assert sizes.area_mean > sizes.number_mean


def test_all_cut_means_no_corrected_size():
    _, found = measure(voronoi_tables(triangular(30, 20, 0)))
    sizes = crystallite_sizes(found)
    assert (sizes.n_crystallites, sizes.n_cut) == (1, 1)
    assert sizes.area_mean == sizes.number_mean > 10
    assert np.isnan([sizes.number_mean_corrected, sizes.area_mean_corrected]).all()


def test_nothing():
    empty = pd.DataFrame(columns=["frame", "size", "x", "y", "area", "complete"])
    order = pd.DataFrame(columns=["frame", "psi6", "orientation", "crystallite", "complete"])
    found = crystallites_table(empty.astype(float), order.astype(float))
    assert len(found) == 0
    assert dict(found.dtypes.astype(str)) == CRYSTALLITE_COLUMNS
    assert np.isnan(crystallite_sizes(found).number_mean)
    assert crystallite_sizes(found).n_crystallites == 0
    assert len(label_crystallites([], ring_neighbours([], []), [], parameters=parameters())) == 0


def test_angles_are_folded():
    np.testing.assert_allclose(fold_angle(np.array([0, 60, 61, -1, -1e-18, 359])), [0, 0, 1, 59, 0, 59])
    assert np.isnan(fold_angle(np.array([np.nan]))[0])


def test_refuses_what_does_not_belong_together():
    sites, rings, ring_atoms = voronoi_tables(triangular(20, 20, 0))
    order = order_of((sites, rings, ring_atoms), parameters())
    with pytest.raises(ValueError, match="a row for each ring"):
        crystallites_table(rings, order.iloc[1:])
    with pytest.raises(ValueError, match=r"weights must have the shape \(1,\), got \(2,\)"):
        crystallites_table(rings, order, [1.0, 1.0])
    with pytest.raises(ValueError, match="one length"):
        label_crystallites([6, 6], ring_neighbours(np.arange(6), [6]), [1, 1], parameters=parameters())
    with pytest.raises(ValueError, match=r"bounding_boxes must have the shape \(1, 4\)"):
        crystallite_boxes(np.zeros((2, 4)), [0], ring_neighbours(np.arange(6), [6]))


@pytest.mark.parametrize("wrong", [{"neighbours": 7}, {"psi6": 1.1}, {"rings": 0}, {"turn": 31}])
def test_refuses_impossible_parameters(wrong):
    with pytest.raises(ValidationError):
        parameters(**wrong)
