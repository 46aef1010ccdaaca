import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.grain_boundaries import (
    BOUNDARY_COLUMNS,
    BOUNDARY_POINT_COLUMNS,
    BOUNDARY_POINT_UNITS,
    BOUNDARY_UNITS,
    GRAIN_STATISTICS,
    boundaries_tables,
    grain_sums,
    trace_boundaries,
)
from amorph2d.measures.grains import GrainParameters, misorientation, ring_grains_table
from amorph2d.measures.ring_pairs import ring_pairs_table
from amorph2d.measures.window import RectangularWindow
from ring_sheets import triangular, two_grains, voronoi_tables
from strategies import rotate


def parameters(misorientation=5.0, rings=10, reach=2):
    return GrainParameters(max_misorientation=misorientation, min_rings=rings, boundary_reach=reach)


def measure(tables, wanted=None):
    sites, rings, ring_atoms = tables
    wanted = wanted or parameters()
    pairs = ring_pairs_table(rings, ring_atoms)
    ring_grains = ring_grains_table(sites, rings, ring_atoms, ring_pairs=pairs, parameters=wanted)
    return ring_grains, *boundaries_tables(
        sites, rings, ring_atoms, ring_pairs=pairs, ring_grains=ring_grains, parameters=wanted
    )


def trace(tables, labels):
    sites, rings, ring_atoms = tables
    return trace_boundaries(
        sites[["x", "y"]].to_numpy(),
        members=ring_atoms["atom"].to_numpy(),
        sizes=rings["size"].to_numpy(),
        labels=labels,
    )


def lengths_of(lines):
    _, lengths, line = lines.steps
    return np.bincount(line, lengths, len(lines.labels))


@pytest.fixture(scope="module")
def crystal():
    return voronoi_tables(triangular(90, 80, 7))


def test_a_crystal_has_no_boundary(crystal):
    _, boundaries, points = measure(crystal)
    assert len(boundaries) == len(points) == 0
    assert dict(boundaries.dtypes.astype(str)) == BOUNDARY_COLUMNS
    assert dict(points.dtypes.astype(str)) == BOUNDARY_POINT_COLUMNS
    assert set(BOUNDARY_UNITS) < set(BOUNDARY_COLUMNS)
    assert set(BOUNDARY_POINT_UNITS) < set(BOUNDARY_POINT_COLUMNS)


@pytest.mark.parametrize("angles", [(0, 25), (-4, 18), (10, 40), (0, 8)])
def test_two_grains_meet_in_one_line(angles):
    _, boundaries, points = measure(voronoi_tables(two_grains(60, 44, angles)))
    (only,) = boundaries.itertuples()
    assert (only.grain_i, only.grain_j, only.is_closed) == (0, 1, False)
    assert only.misorientation == pytest.approx(misorientation(*angles), abs=0.5)
    assert points["x"].abs().max() < 4
    height = np.ptp(points["y"])
    assert 44 - 8 < height < 44
    assert height <= only.length < 1.1 * height
    steps = np.diff(points[["y"]].to_numpy().ravel())
    assert (steps < 0.5).all() or (steps > -0.5).all()


def test_pentagons_and_heptagons_of_a_boundary_are_counted():
    tables = voronoi_tables(two_grains(60, 44, (0, 25)))
    rings = tables[1]
    ring_grains, boundaries, _ = measure(tables)
    near = rings[rings["complete"] & (rings["x"].abs() < 6)]
    only = boundaries.iloc[0]
    for column, count in zip(
        ["n_rings_5", "n_rings_7", "n_rings_other"],
        [(near["size"] == 5).sum(), (near["size"] == 7).sum(), (~near["size"].isin([5, 6, 7])).sum()],
        strict=True,
    ):
        assert only[column] == count
    assert only["n_rings_5"] > 5
    assert (ring_grains.loc[near.index[near["size"] != 6], "grain"] == -1).all()


def test_a_straight_line_is_as_long_as_it_is_only_if_averaged(crystal, monkeypatch):
    """Through a crystal in any direction: from bond to bond it would be up to 15 % longer."""

    def excess(angle):
        across = rotate(crystal[1][["x", "y"]].to_numpy(), -angle)
        labels = np.where((np.abs(across) < [20, 28]).all(axis=1), (across[:, 0] > 0.1).astype(int), -1)
        lines = trace(crystal, labels)
        direct = np.hypot(*(lines.points[-1] - lines.points[0]))
        assert direct == pytest.approx(56, abs=4)
        return lengths_of(lines).item() / direct - 1

    angles = np.arange(0, 60, 5.0)
    assert max(excess(angle) for angle in angles) < 0.015
    monkeypatch.setattr("amorph2d.measures.grain_boundaries._N_AVERAGES", 0)
    assert max(excess(angle) for angle in angles) > 0.14


@pytest.mark.parametrize("radius", [7, 18])
def test_a_line_around_a_disc_is_closed_and_not_shorter_than_it_is(crystal, radius):
    """Averaged once, the line around the smaller disc would be 10 % too short."""
    apart = np.hypot(*(crystal[1][["x", "y"]].to_numpy() - [3, -2]).T)
    is_inside = apart < radius
    lines = trace(crystal, is_inside.astype(int))
    assert lines.is_closed.tolist() == [True]
    np.testing.assert_array_equal(lines.points[0], lines.points[-1])
    area = crystal[1].loc[is_inside, "area"].sum()
    assert lengths_of(lines) == pytest.approx([2 * np.sqrt(np.pi * area)], rel=0.03)
    np.testing.assert_allclose(lines.points[1:].mean(axis=0), [3, -2], atol=0.6)
    steps = lines.steps[1]
    assert steps.max() < 1.5
    assert steps.min() > 0.7


def test_three_grains_meet_in_a_point(crystal):
    x, y = crystal[1][["x", "y"]].to_numpy().T
    inside = np.hypot(x, y) < 30
    sector = np.floor((np.arctan2(y, x) + np.pi) / (2 * np.pi / 3)).astype(int) % 3
    lines = trace(crystal, np.where(inside, sector, -1))
    assert sorted(map(tuple, lines.labels.tolist())) == [(0, 1), (0, 2), (1, 2)]
    assert lengths_of(lines) == pytest.approx([30] * 3, abs=2.5)
    ends = [lines.points[lines.line == k][[0, -1]] for k in range(3)]
    distance = [np.hypot(*end.T).min() for end in ends]
    assert max(distance) < 3
    common = [end[np.hypot(*end.T).argmin()] for end in ends]
    np.testing.assert_allclose(common, common[:1] * 3)


def test_two_lines_between_the_same_labels_are_two(crystal):
    x = crystal[1]["x"].to_numpy()
    lines = trace(crystal, (np.abs(x) < 15).astype(int))
    assert len(lines.labels) == 2
    for line in range(2):
        assert np.abs(np.abs(lines.points[lines.line == line, 0]) - 15).max() < 2
        assert np.ptp(lines.points[lines.line == line, 0]) < 3


def test_an_amorphous_part_between_grains_is_no_boundary():
    centres = two_grains(70, 40, (0, 25))
    noise = np.random.default_rng(0).normal(0, 0.6, centres.shape)
    tables = voronoi_tables(centres + noise * (np.abs(centres[:, :1]) < 12))
    ring_grains, boundaries, _ = measure(tables, parameters(rings=30))
    assert ring_grains["grain"].max() == 1
    assert len(boundaries) == 0


def test_sums_are_lengths_and_areas():
    tables = voronoi_tables(two_grains(60, 44, (0, 25)))
    rings = tables[1]
    ring_grains, boundaries, points = measure(tables)
    grid = RectangularWindow(-30, -22, 30, 22).blocks(20)
    sums = grain_sums(grid, rings, ring_grains=ring_grains, boundary_points=points)
    total = {name: value.sum() for name, value in sums.items()}
    complete = rings[rings["complete"]]
    assert all(len(value) == len(grid.areas) for value in sums.values())
    assert total["boundary_length"] == pytest.approx(boundaries["length"].sum())
    assert total["grain_rings"] == len(complete)
    assert total["grain_ring_area"] == pytest.approx(complete["area"].sum())
    found = {name: float(statistic(total)) for name, statistic in GRAIN_STATISTICS.items()}
    assert found["grain_boundary_density"] == pytest.approx(1 / 60, rel=0.2)
    assert 0.8 < found["grain_share"] < 1
    middle = grid.number(np.array([[0.0, 0.0]]))[0]
    assert sums["boundary_length"][middle] > 0
    assert sums["boundary_length"][grid.number(np.array([[-28.0, 0.0]]))[0]] == 0


def test_two_frames_and_nothing():
    first = voronoi_tables(two_grains(40, 30, (0, 25)))
    second = [table.assign(frame=2) for table in voronoi_tables(triangular(24, 20, 0))]
    both = [pd.concat(pair, ignore_index=True) for pair in zip(first, second, strict=True)]
    _, boundaries, points = measure(both)
    assert boundaries["frame"].tolist() == [0]
    assert set(points["frame"]) == {0}
    sites, rings, ring_atoms = first
    _, boundaries, points = measure((sites, rings.iloc[:0], ring_atoms.iloc[:0]))
    assert len(boundaries) == len(points) == 0
    grid, grains = RectangularWindow(0, 0, 1, 1).blocks(1), measure(first)[0]
    sums = grain_sums(grid, rings.iloc[:0], ring_grains=grains.iloc[:0], boundary_points=points)
    assert np.isnan(float(GRAIN_STATISTICS["grain_share"](sums)[0]))
    with pytest.raises(ValueError, match="a row for each ring"):
        grain_sums(grid, rings, ring_grains=grains.iloc[1:], boundary_points=points)
