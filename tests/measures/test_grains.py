import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from amorph2d.measures.grains import (
    GRAIN_COLUMNS,
    GRAIN_UNITS,
    RING_GRAIN_COLUMNS,
    GrainParameters,
    grains_table,
    grow_grains,
    hexagon_orientations,
    label_grains,
    misorientation,
    ring_grains_table,
)
from amorph2d.measures.ring_pairs import ring_pairs_table
from amorph2d.structures.seeds import polycrystal_seeds
from amorph2d.structures.voronoi import voronoi_network
from amorph2d.topology.bonds import unique_pairs
from amorph2d.topology.ring_neighbours import ring_neighbours
from amorph2d.topology.rings import planar_rings
from ring_sheets import SPACING, triangular, two_grains, voronoi_tables
from strategies import rotate

HEXAGON = np.array([[np.cos(angle), np.sin(angle)] for angle in np.radians(30 + 60 * np.arange(6))])


def parameters(misorientation=5.0, rings=10, reach=2):
    return GrainParameters(max_misorientation=misorientation, min_rings=rings, boundary_reach=reach)


def measure(tables, wanted=None):
    sites, rings, ring_atoms = tables
    pairs = ring_pairs_table(rings, ring_atoms)
    ring_grains = ring_grains_table(
        sites, rings, ring_atoms, ring_pairs=pairs, parameters=wanted or parameters()
    )
    return ring_grains, grains_table(rings, pairs, ring_grains)


@pytest.mark.parametrize("angle", [0.0, 13.7, 59.9, -8.0])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_regular_hexagon_says_how_it_is_turned(angle, direction):
    corners = rotate(HEXAGON[::direction], angle) * 1.42 + [7, -3]
    for first in range(6):
        found = hexagon_orientations(np.roll(corners, first, axis=0), np.arange(6), [6])
        assert misorientation(found, angle) == pytest.approx([0], abs=1e-9)


def test_only_hexagons_have_an_orientation():
    found = hexagon_orientations(np.vstack([HEXAGON, HEXAGON[:5]]), np.arange(11), [6, 5])
    assert misorientation(found[0], 0) == pytest.approx(0, abs=1e-9)
    assert np.isnan(found[1])
    assert np.isnan(hexagon_orientations(HEXAGON, np.arange(5), [5])).all()
    assert len(hexagon_orientations(HEXAGON, [], [])) == 0


def test_orientations_do_not_know_where_a_periodic_box_begins():
    corners = np.mod(rotate(HEXAGON, 11), [10, 12])
    assert hexagon_orientations(corners, np.arange(6), [6], box=[10, 12]) == pytest.approx([11])


def test_noise_of_an_orientation_is_as_stated():
    rng = np.random.default_rng(1)
    corners = 1.42 * HEXAGON + rng.normal(0, 0.05, (4000, 6, 2))
    found = hexagon_orientations(corners.reshape(-1, 2), np.arange(24000), np.full(4000, 6))
    error = np.sqrt((misorientation(found, 0) ** 2).mean())
    assert error == pytest.approx(np.degrees(0.05 / (np.sqrt(6) * 1.42)), rel=0.04)


def test_misorientations_have_sixfold_symmetry():
    np.testing.assert_allclose(misorientation([1, 59, 0, 45, 400], [59, 1, 30, 0, 0]), [2, 2, 30, 15, 20])


def test_a_crystal_is_one_grain():
    ring_grains, found = measure(voronoi_tables(triangular(40, 30, 17)))
    assert dict(ring_grains.dtypes.astype(str)) == RING_GRAIN_COLUMNS
    assert dict(found.dtypes.astype(str)) == GRAIN_COLUMNS
    assert set(GRAIN_UNITS) < set(GRAIN_COLUMNS)
    (only,) = found.itertuples()
    assert only.n_rings == (ring_grains["grain"] == 0).sum() > 100
    assert only.area == pytest.approx(only.n_rings * np.sqrt(3) / 2 * SPACING**2)
    assert only.orientation == pytest.approx(17)
    assert only.spread == pytest.approx(0, abs=1e-6)
    assert only.is_cut


@pytest.mark.parametrize("angles", [(0, 25), (-4, 18), (10, 35), (0, 8), (56, 3)])
def test_two_grains_have_their_orientations(angles):
    _, found = measure(voronoi_tables(two_grains(60, 44, angles)))
    left, right = found.sort_values("x").itertuples()
    assert misorientation([left.orientation, right.orientation], angles).max() < 0.5
    assert misorientation(left.orientation, right.orientation) == pytest.approx(
        misorientation(*angles), abs=0.5
    )
    assert found["area"].sum() == pytest.approx(60 * 44, rel=0.25)


def test_noise_of_the_positions_leaves_two_grains():
    sites, rings, ring_atoms = voronoi_tables(two_grains(60, 44, (3, 21)))
    noisy = sites.assign(
        **{axis: sites[axis] + np.random.default_rng(2).normal(0, 0.06, len(sites)) for axis in "xy"}
    )
    _, found = measure((noisy, rings, ring_atoms))
    assert len(found) == 2
    assert misorientation(found.sort_values("x")["orientation"], [3, 21]).max() < 0.5
    expected = np.degrees(0.06 / (np.sqrt(6) * SPACING / np.sqrt(3)))
    assert found["spread"].tolist() == pytest.approx([expected] * 2, rel=0.35)


def test_turning_a_sheet_turns_its_grains():
    centres = two_grains(50, 40, (5, 27))
    _, found = measure(voronoi_tables(centres))
    _, turned = measure(voronoi_tables(rotate(centres, 20), window=(200, 200)))
    apart = misorientation(turned["orientation"].to_numpy()[:, None], found["orientation"] + 20)
    assert len(turned) == 2
    assert apart.min(axis=1).max() < 0.5


def test_means_and_not_a_bridge_of_hexagons_decide():
    """Orientations 0, 0, …, 4, 8, 12, 12, …: each step is small, the patches differ by 12°."""
    row = np.arange(24)
    members = np.stack([2 * row, 2 * row + 1, 100 + row, 2 * row + 3, 2 * row + 2, 200 + row], axis=1)
    neighbours = ring_neighbours(members.ravel(), np.full(24, 6))
    np.testing.assert_array_equal(neighbours.pairs, np.stack([row[:-1], row[1:]], axis=1))
    angles = np.r_[np.zeros(11), 4, 8, np.full(11, 12.0)]
    labels = label_grains(np.full(24, 6), angles, neighbours, parameters(5, 5))
    np.testing.assert_array_equal(labels, np.repeat([0, 1], 12))
    np.testing.assert_array_equal(label_grains(np.full(24, 6), angles, neighbours, parameters(13, 5)), 0)
    np.testing.assert_array_equal(label_grains(np.full(24, 6), angles, neighbours, parameters(5, 13)), -1)
    without = label_grains(np.full(24, 6), angles, neighbours, parameters(5, 3), is_counted=row != 5)
    np.testing.assert_array_equal(without, np.repeat([0, -1, 1, 2], [5, 1, 6, 12]))


def test_a_hexagon_held_by_a_grain_belongs_to_it():
    """One hexagon in a crystal seems turned by 20°."""
    _, rings, ring_atoms = voronoi_tables(triangular(24, 24, 0))
    sizes = rings["size"].to_numpy()
    neighbours = ring_neighbours(ring_atoms["atom"], sizes)
    inside = np.flatnonzero(neighbours.is_interior)[0]
    angles = np.where(np.arange(len(rings)) == inside, 20.0, 0.0)
    assert (label_grains(sizes, angles, neighbours, parameters())[sizes == 6] == 0).all()


def test_grains_grow_step_by_step_by_shared_bonds():
    row = np.arange(6)
    members = np.stack([2 * row, 2 * row + 1, 2 * row + 3, 2 * row + 2], axis=1)
    neighbours = ring_neighbours(members.ravel(), np.full(6, 4))
    labels = [3, -1, -1, -1, -1, 1]
    assert grow_grains(labels, neighbours, 0).tolist() == labels
    assert grow_grains(labels, neighbours, 1).tolist() == [3, 3, -1, -1, 1, 1]
    assert grow_grains(labels, neighbours, 5).tolist() == [3, 3, 3, 1, 1, 1]
    assert grow_grains(labels, neighbours, 5, is_counted=row != 1).tolist() == [3, -1, 1, 1, 1, 1]


@pytest.mark.parametrize(("seed", "limit", "n_grains"), [(5, 5, 5), (0, 2, 5), (0, 5, 4)])
def test_a_polycrystal_of_the_generator_has_as_many_grains(seed, limit, n_grains):
    """Five grains are drawn; with seed 0 two of them are turned by 49.0° and 51.8°."""
    box, rng = np.array([150.0, 110.0]), np.random.default_rng(seed)
    seeds = polycrystal_seeds(box, spacing=SPACING, n_grains=5, jitter=0.0, rng=rng)
    sheet = voronoi_network(seeds, box)
    rings = planar_rings(sheet.positions, sheet.bonds, max_size=16, box=box)
    angles = hexagon_orientations(sheet.positions, rings.members, rings.sizes, box=box)
    neighbours = ring_neighbours(rings.members, rings.sizes)
    labels = label_grains(rings.sizes, angles, neighbours, parameters(limit, 20))
    assert labels.max() + 1 == n_grains
    assert (labels[rings.sizes == 6] >= 0).mean() > 0.9
    assert (labels[rings.sizes != 6] == -1).all()


def test_polycrystalline_graphene(realdata):
    """A published sheet: most hexagons lie in a grain, no other ring does, none is lost."""
    text = (realdata / "coordinates" / "20000-1488eV.data").read_text(encoding="utf-8")
    numbers = np.array(text.split(), float)
    box, atoms = numbers[:2], numbers[4:80004].reshape(-1, 4)[:, 1:3]
    bonds = unique_pairs(numbers[80004:].reshape(-1, 3)[:, 1:].astype(np.int64))
    rings = planar_rings(atoms, bonds, max_size=16, box=box)
    angles = hexagon_orientations(atoms, rings.members, rings.sizes, box=box)
    neighbours = ring_neighbours(rings.members, rings.sizes)
    labels = label_grains(rings.sizes, angles, neighbours, parameters())
    in_grain = labels >= 0
    counts = dict(zip(*np.unique(rings.sizes[~in_grain], return_counts=True), strict=True))
    assert (counts[5], counts[7], counts[8]) == (487, 453, 17)
    assert counts[6] + in_grain.sum() == 9043
    assert 0.85 < in_grain.sum() / 9043 < 1
    sizes = np.bincount(labels[in_grain])
    assert 5 <= (sizes >= 100).sum() <= 40
    for grain in np.flatnonzero(sizes >= 100):
        apart = misorientation(angles[labels == grain], np.median(angles[labels == grain]))
        assert np.median(apart) < 4


def test_nothing():
    sites, rings, ring_atoms = voronoi_tables(triangular(20, 20, 0))
    ring_grains, found = measure((sites, rings.iloc[:0], ring_atoms.iloc[:0]))
    assert len(ring_grains) == len(found) == 0
    assert dict(found.dtypes.astype(str)) == GRAIN_COLUMNS
    assert dict(measure((sites.iloc[:0], rings.iloc[:0], ring_atoms.iloc[:0]))[0].dtypes.astype(str)) == (
        RING_GRAIN_COLUMNS
    )
    assert len(label_grains([], [], ring_neighbours([], []), parameters())) == 0


def test_frames_are_kept_apart():
    tables = [voronoi_tables(triangular(24, 20, angle)) for angle in (0, 20)]
    both = [
        pd.concat([first, second.assign(frame=4)], ignore_index=True)
        for first, second in zip(*tables, strict=True)
    ]
    _, found = measure(both)
    assert found["frame"].tolist() == [0, 4]
    assert found["grain"].tolist() == [0, 0]
    assert found["orientation"].tolist() == pytest.approx([found["orientation"][0], 20])


def test_refuses_what_does_not_belong_together():
    tables = voronoi_tables(triangular(20, 20, 0))
    ring_grains, _ = measure(tables)
    with pytest.raises(ValueError, match="a row for each ring"):
        grains_table(tables[1], ring_pairs_table(*tables[1:]), ring_grains.iloc[1:])
    with pytest.raises(ValueError, match="one length"):
        label_grains([6, 6], [0.0, 0.0], ring_neighbours(np.arange(6), [6]), parameters())
    with pytest.raises(ValueError, match="sizes must add up to 6 members, got 5"):
        hexagon_orientations(HEXAGON, np.arange(6), [5])


@pytest.mark.parametrize(
    "wrong", [{"misorientation": 0}, {"misorientation": 30}, {"rings": 0}, {"reach": -1}]
)
def test_refuses_impossible_parameters(wrong):
    with pytest.raises(ValidationError):
        parameters(**wrong)
