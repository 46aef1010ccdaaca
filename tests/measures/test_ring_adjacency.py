import time

import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.ring_adjacency import (
    RING_ADJACENCY_COLUMNS,
    neighbour_size_sums,
    neighbourhood_boxes,
    neighbourhood_weights,
    ring_adjacency_table,
)
from amorph2d.measures.ring_counts import corner_boxes
from amorph2d.measures.ring_pairs import ring_pairs_table
from amorph2d.measures.window import RectangularWindow
from amorph2d.topology.ring_neighbours import ring_neighbours
from ring_sheets import neighbours_of, tables_of, triangular, voronoi_tables
from strategies import make_sites


def test_rings_with_large_neighbours_are_not_missed_if_weighted():
    """Many small windows on one sheet: the mean size around a ring, with weights and without."""
    rng = np.random.default_rng(8)
    points = rng.uniform(-150, 150, (10_000, 2))
    sites, rings, ring_atoms = voronoi_tables(points, window=(280, 280), max_size=60)
    sizes, centre = rings["size"].to_numpy(), rings[["x", "y"]].to_numpy()
    neighbours = neighbours_of(rings, ring_atoms)
    around, is_known = neighbour_size_sums(sizes, neighbours), neighbours.is_interior
    boxes = corner_boxes(rings, ring_atoms, sites)
    inner = is_known & (np.abs(centre) < 120).all(axis=1)
    truth = np.array([sizes[inner].mean(), around[inner].mean()])
    total, plain = np.zeros(3), np.zeros(3)
    for x in np.arange(-120, 120, 24.0):
        for y in np.arange(-120, 120, 24.0):
            weight = neighbourhood_weights(boxes, neighbours, RectangularWindow(x, y, x + 24, y + 24))[
                is_known
            ]
            values = np.stack([np.ones(is_known.sum()), sizes[is_known], around[is_known]])
            total += values @ weight
            plain += values @ (weight > 0)
    weighted, unweighted = total[1:] / total[0], plain[1:] / plain[0]
    assert plain[0] > 1000
    assert np.abs(weighted / truth - 1).max() < 0.02
    assert (unweighted / truth < 0.96).all()


def test_adjacency_table_counts_pairs():
    points = np.random.default_rng(1).uniform(-25, 25, (300, 2))
    _, rings, ring_atoms = voronoi_tables(points, window=(44, 36))
    found = ring_adjacency_table(rings, ring_pairs_table(rings, ring_atoms))
    assert dict(found.dtypes.astype(str)) == RING_ADJACENCY_COLUMNS
    neighbours = neighbours_of(rings, ring_atoms)
    sizes = rings["size"].to_numpy()
    inner = neighbours.is_interior
    assert 20 < inner.sum() < rings["complete"].sum()
    assert found["n_bonds"].sum() == sizes[inner].sum()
    around = neighbour_size_sums(sizes, neighbours)
    for size, rows in found.groupby("size"):
        m = np.average(rows["neighbour_size"], weights=rows["n_bonds"])
        assert size * m == pytest.approx(around[inner & (sizes == size)].mean())
    assert found.equals(found.sort_values(["frame", "size", "neighbour_size"]).reset_index(drop=True))
    assert (found["n_pairs"] > 0).all()


def test_adjacency_of_graphene():
    _, rings, ring_atoms = voronoi_tables(triangular(30, 24, 5))
    found = ring_adjacency_table(rings, ring_pairs_table(rings, ring_atoms))
    n_inner = neighbours_of(rings, ring_atoms).is_interior.sum()
    assert found.to_numpy().tolist() == [[0, 6, 6, 6 * n_inner, 6 * n_inner]]


def test_frames_are_kept_apart():
    _, rings, ring_atoms = voronoi_tables(np.random.default_rng(1).uniform(-20, 20, (150, 2)))
    later = [table.assign(frame=4) for table in (rings, ring_atoms)]
    rings, ring_atoms = pd.concat([rings, later[0]]), pd.concat([ring_atoms, later[1]])
    table = ring_adjacency_table(rings, ring_pairs_table(rings, ring_atoms))
    first, second = (table[table["frame"] == frame].drop(columns="frame") for frame in (0, 4))
    assert len(first) > 10
    np.testing.assert_array_equal(first, second)


def test_nothing():
    _, rings, ring_atoms = tables_of(make_sites([]), np.empty((0, 2), int))
    found = ring_adjacency_table(rings, ring_pairs_table(rings, ring_atoms))
    assert dict(found.dtypes.astype(str)) == RING_ADJACENCY_COLUMNS
    assert len(found) == 0
    assert len(neighbour_size_sums([], ring_neighbours([], []))) == 0


def test_refuses_boxes_of_other_rings():
    with pytest.raises(ValueError, match=r"bounding_boxes must have the shape \(1, 4\)"):
        neighbourhood_boxes(np.zeros((3, 4)), ring_neighbours(np.arange(6), [6]))


def test_a_hundred_thousand_rings_take_little_time():
    rng = np.random.default_rng(0)
    n = 316
    column, row = np.meshgrid(np.arange(n), np.arange(n), indexing="xy")
    corner = (2 * column + row % 2 + 1000 * row).reshape(-1, 1)
    members = (corner + np.array([0, 1, 2, 1002, 1001, 1000])).ravel()
    rings = pd.DataFrame({"frame": 0, "size": 6, "complete": True}, index=range(n * n))
    rings[["x", "y"]] = rng.uniform(0, 100, (n * n, 2))
    ring_atoms = pd.DataFrame({"frame": 0, "row": np.repeat(np.arange(n * n), 6), "atom": members})
    start = time.perf_counter()
    found = ring_adjacency_table(rings, ring_pairs_table(rings, ring_atoms))
    assert time.perf_counter() - start < 2
    assert found["n_pairs"].tolist() == [6 * (n - 2) ** 2]
