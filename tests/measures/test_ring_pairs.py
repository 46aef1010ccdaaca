import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.ring_pairs import RING_PAIR_COLUMNS, complete_neighbours, ring_pairs_table
from amorph2d.topology.ring_neighbours import ring_neighbours
from ring_sheets import SPACING, tables_of, triangular, voronoi_tables
from strategies import make_sites


def test_pairs_of_graphene():
    _, rings, ring_atoms = voronoi_tables(triangular(30, 24, 5))
    pairs = ring_pairs_table(rings, ring_atoms)
    assert dict(pairs.dtypes.astype(str)) == RING_PAIR_COLUMNS
    np.testing.assert_allclose(pairs["distance"], SPACING)
    np.testing.assert_array_equal(pairs["n_bonds"], 1)
    assert (pairs["row_i"] < pairs["row_j"]).all()
    assert 0 < len(pairs) < 3 * len(rings)


def test_rings_that_are_not_complete_are_in_no_pair():
    points = np.random.default_rng(1).uniform(-25, 25, (300, 2))
    _, rings, ring_atoms = voronoi_tables(points, window=(44, 36))
    pairs = ring_pairs_table(rings, ring_atoms)
    is_complete = rings["complete"].to_numpy()
    assert 0 < is_complete.sum() < len(rings)
    assert is_complete[pairs[["row_i", "row_j"]]].all()
    everything = ring_neighbours(ring_atoms["atom"], rings["size"])
    is_between = is_complete[everything.pairs].all(axis=1)
    np.testing.assert_array_equal(pairs[["row_i", "row_j"]], everything.pairs[is_between])


@pytest.mark.parametrize("window", [None, (40, 30)])
def test_neighbours_from_the_table_are_those_of_the_rings(window):
    points = np.random.default_rng(2).uniform(-20, 20, (200, 2))
    _, rings, ring_atoms = voronoi_tables(points, window=window)
    found = complete_neighbours(rings, ring_pairs_table(rings, ring_atoms))
    is_complete = rings["complete"].to_numpy()
    of_atoms = np.repeat(is_complete, rings["size"])
    expected = ring_neighbours(ring_atoms["atom"][of_atoms], rings["size"][is_complete])
    np.testing.assert_array_equal(found.pairs, np.flatnonzero(is_complete)[expected.pairs])
    for name in ("n_neighbours", "n_shared", "is_interior"):
        values = getattr(found, name)
        np.testing.assert_array_equal(values[is_complete], getattr(expected, name))
        assert not values[~is_complete].any()
    assert 0 < found.is_interior.sum() < is_complete.sum()


def test_frames_are_kept_apart():
    _, rings, ring_atoms = voronoi_tables(np.random.default_rng(1).uniform(-20, 20, (150, 2)))
    later = [table.assign(frame=4) for table in (rings, ring_atoms)]
    table = ring_pairs_table(pd.concat([rings, later[0]]), pd.concat([ring_atoms, later[1]]))
    first, second = (table[table["frame"] == frame].drop(columns="frame") for frame in (0, 4))
    assert len(first) > 10
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("atoms", [[], [[5, 6]]])
def test_no_rings(atoms):
    _, rings, ring_atoms = tables_of(make_sites(atoms), np.empty((0, 2), int))
    pairs = ring_pairs_table(rings, ring_atoms)
    assert len(pairs) == 0
    assert dict(pairs.dtypes.astype(str)) == RING_PAIR_COLUMNS
    assert len(complete_neighbours(rings, pairs).n_neighbours) == 0


def test_refuses_what_does_not_belong_together():
    _, rings, ring_atoms = voronoi_tables(triangular(20, 14, 0))
    pairs = ring_pairs_table(rings, ring_atoms)
    with pytest.raises(ValueError, match="ring_atoms must have"):
        ring_pairs_table(rings, ring_atoms.iloc[1:])
    with pytest.raises(ValueError, match="ring_pairs must name 3 rings, got row"):
        complete_neighbours(rings.iloc[:3], pairs)
