"""Bond-switched sheets have the geometry and the pair distribution of monolayer amorphous carbon."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.measures.pair_distribution import pair_distribution
from amorph2d.measures.window import RectangularWindow
from amorph2d.structures.bond_switching import bond_switched_network
from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers, ring_areas
from amorph2d.structures.periodic import shortest_image

# Ring fractions of three published models of monolayer amorphous carbon, the more disordered the later.
LEVELS = (
    {5: 0.13, 6: 0.75, 7: 0.10, 8: 0.02},
    {5: 0.19, 6: 0.63, 7: 0.14, 8: 0.03},
    {5: 0.27, 6: 0.47, 7: 0.17, 8: 0.06},
)
BOX = [130.0, 100.0]
BIN = 0.04  # of the pair distribution [Å]


def draw(level: int, box: list[float]) -> RingedSheet:
    return bond_switched_network(box, ring_fractions=LEVELS[level], rng=np.random.default_rng(level))


@pytest.fixture(scope="module")
def sheets() -> list[RingedSheet]:
    """Sheets of about 5000 atoms."""
    return [draw(level, BOX) for level in range(len(LEVELS))]


@pytest.fixture(params=range(len(LEVELS)))
def level(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def sheet(sheets: list[RingedSheet], level: int) -> RingedSheet:
    return sheets[level]


def separations(sheet: RingedSheet, pairs: np.ndarray) -> np.ndarray:
    """Distances of pairs of atoms (K, 2) in the periodic box [Å]."""
    first, second = pairs.T
    return np.hypot(*shortest_image(sheet.positions[first] - sheet.positions[second], sheet.box).T)


def close_pairs(sheet: RingedSheet, reach: float) -> np.ndarray:
    return cKDTree(sheet.positions, boxsize=sheet.box).query_pairs(reach, output_type="ndarray")


def second_neighbours(sheet: RingedSheet) -> np.ndarray:
    """Pairs of atoms that are bonded to the same one, (3 N, 2)."""
    ends = np.concatenate([sheet.bonds, sheet.bonds[:, ::-1]])
    partners = ends[np.argsort(ends[:, 0], kind="stable"), 1].reshape(-1, 3)
    return np.concatenate([partners[:, [0, 1]], partners[:, [1, 2]], partners[:, [2, 0]]])


def across_hexagons(sheet: RingedSheet) -> np.ndarray:
    """Pairs of atoms opposite to each other in a hexagon, (K, 2)."""
    starts = sheet.ring_offsets[:-1][sheet.ring_sizes == 6]
    corners = sheet.ring_members[starts[:, None] + np.arange(6)]
    return np.stack([corners[:, :3], corners[:, 3:]], axis=-1).reshape(-1, 2)


def bond_angles(sheet: RingedSheet) -> np.ndarray:
    """Angles between the bonds of each atom, three to an atom [°]."""
    ends = np.concatenate([sheet.bonds, sheet.bonds[:, ::-1]])
    vectors = np.concatenate([bond_vectors(sheet), -bond_vectors(sheet)])
    towards = np.degrees(np.arctan2(vectors[:, 1], vectors[:, 0]))
    order = np.lexsort((towards, ends[:, 0]))
    return (np.roll(towards[order].reshape(-1, 3), -1, axis=1) - towards[order].reshape(-1, 3)) % 360


def periodic_pair_distribution(sheet: RingedSheet) -> tuple[np.ndarray, np.ndarray]:
    """Distances and g(r) up to 8 Å, from all pairs in the periodic box."""
    counts, edges = np.histogram(separations(sheet, close_pairs(sheet, 8.0)), bins=int(8 / BIN), range=(0, 8))
    n_atoms = len(sheet.positions)
    expected = n_atoms * (n_atoms - 1) / 2 * np.pi * np.diff(edges**2) / sheet.box.prod()
    return (edges[1:] + edges[:-1]) / 2, counts / expected


def peak(r: np.ndarray, g: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Centroid and height of the peak between two distances, from the upper half of it."""
    within = np.where((r > low) & (r < high), g, 0)
    upper = np.where(within > within.max() / 2, within, 0)
    return float((r * upper).sum() / upper.sum()), float(within.max())


def width(r: np.ndarray, g: np.ndarray, low: float, high: float) -> float:
    """Area of the peak between two distances over its height [Å]."""
    within = (r > low) & (r < high)
    return float(g[within].sum() * BIN / g[within].max())


def test_sheets_have_about_5000_atoms_in_a_box_as_wanted(sheet: RingedSheet) -> None:
    assert len(sheet.positions) == pytest.approx(5000, rel=0.06)
    assert (sheet.box >= BOX).all()
    # 0.38 atoms to an Å² in graphene; disordered sheets are a little less dense.
    assert 0.36 < len(sheet.positions) / sheet.box.prod() < 0.385


def test_rings_have_the_wanted_fractions(sheet: RingedSheet, level: int) -> None:
    fractions = np.bincount(sheet.ring_sizes, minlength=10) / len(sheet.ring_sizes)
    for size in range(10):
        assert fractions[size] == pytest.approx(LEVELS[level].get(size, 0.0), abs=0.02)
    assert fractions.sum() == pytest.approx(1)


def test_topology_is_that_of_a_closed_sheet(sheet: RingedSheet) -> None:
    assert (coordination_numbers(sheet) == 3).all()
    assert sheet.ring_sizes.sum() == 6 * len(sheet.ring_sizes)
    assert len(sheet.positions) - len(sheet.bonds) + len(sheet.ring_sizes) == 0
    assert np.bincount(sheet.ring_members).tolist() == [3] * len(sheet.positions)


def test_bonds_have_their_length(sheets: list[RingedSheet]) -> None:
    lengths = [np.hypot(*bond_vectors(sheet).T) for sheet in sheets]
    means, spreads = ([float(f(one)) for one in lengths] for f in (np.mean, np.std))
    assert all(1.40 < mean < 1.42 for mean in means)
    # Measured once with this potential, for these fractions.
    np.testing.assert_allclose(means, [1.413, 1.412, 1.409], atol=0.002)
    assert all(0.03 < spread < 0.05 for spread in spreads)
    assert spreads[0] < spreads[2]


def test_angles_spread_the_more_the_more_disorder(sheets: list[RingedSheet]) -> None:
    angles = [bond_angles(sheet) for sheet in sheets]
    for one in angles:
        np.testing.assert_allclose(one.sum(axis=1), 360)
        assert one.max() < 180
    spreads = [one.std() for one in angles]
    assert 6 < spreads[0] < spreads[1] < spreads[2] < 10


def test_no_two_atoms_overlap(sheet: RingedSheet) -> None:
    pairs = close_pairs(sheet, 2.6)
    key = [len(sheet.positions), 1]
    is_bonded = np.isin(np.sort(pairs, axis=1) @ key, sheet.bonds @ key)
    assert is_bonded.sum() == len(sheet.bonds)
    assert (~is_bonded).any()
    assert separations(sheet, pairs[~is_bonded]).min() > 1.85
    assert separations(sheet, pairs[is_bonded]).max() < 1.7


def test_rings_are_not_turned_inside_out(sheet: RingedSheet) -> None:
    areas = ring_areas(sheet)
    assert areas.min() > 2.5
    assert areas.sum() == pytest.approx(sheet.box.prod())
    # The area of a ring grows with its size: that of a regular hexagon is 5.24 Å².
    means = [areas[sheet.ring_sizes == size].mean() for size in (5, 6, 7, 8)]
    assert (np.diff(means) > 1).all()
    assert means[1] == pytest.approx(5.24, rel=0.03)


def test_neighbours_are_where_graphene_has_them(sheets: list[RingedSheet]) -> None:
    for sheet in sheets:
        r, g = periodic_pair_distribution(sheet)
        bond, bond_height = peak(r, g, 1.2, 1.8)
        second, second_height = peak(r, g, 2.1, 2.66)
        third, third_height = peak(r, g, 2.7, 3.0)
        assert bond == pytest.approx(1.42, abs=0.02)
        assert second == pytest.approx(2.46, abs=0.04)
        assert third == pytest.approx(2.84, abs=0.04)
        assert bond_height > second_height > third_height
        # Nothing lies between bonds and second neighbours; far away all is as by chance, on average.
        assert g[(r > 1.75) & (r < 1.9)].max() < 0.05
        assert g[r < 1.2].max() == 0
        assert g[r > 4].mean() == pytest.approx(1, abs=0.05)


def test_shells_are_lower_and_broader_with_more_disorder(sheets: list[RingedSheet]) -> None:
    shells = [periodic_pair_distribution(sheet) for sheet in sheets]
    seconds, thirds = ([peak(*shell, *window)[1] for shell in shells] for window in ((2.1, 2.66), (2.7, 3.0)))
    assert (np.diff(seconds) < -0.1 * seconds[0]).all()
    assert (np.diff(thirds) < -0.1 * thirds[0]).all()
    widths = [width(*shell, 2.1, 2.66) for shell in shells]
    assert (np.diff(widths) > 0.01).all()
    # What makes them broad: who shares a neighbour, and who lies across a hexagon.
    for partners, middle in ((second_neighbours, 2.46), (across_hexagons, 2.84)):
        distances = [separations(sheet, partners(sheet)) for sheet in sheets]
        assert [one.mean() for one in distances] == pytest.approx([middle] * 3, abs=0.04)
        assert (np.diff([one.std() for one in distances]) > 0.005).all()


def test_window_shows_the_pair_distribution_of_the_periodic_sheet(sheet: RingedSheet) -> None:
    # What is measured in an image, where half of the surroundings of an atom at the border are not seen.
    r, g = periodic_pair_distribution(sheet)
    window = RectangularWindow(0.0, 0.0, *sheet.box)
    seen = pair_distribution(sheet.positions, window, r_max=8.0, bin_width=BIN)
    np.testing.assert_allclose(seen.r, r)
    is_sharp = r > 1.3
    assert np.abs(seen.g - g)[is_sharp].mean() < 0.02
    assert (np.abs(seen.g - g) <= 5 * seen.g_error + 0.02 * g)[is_sharp].all()


def test_large_sheets_are_like_small_ones(sheets: list[RingedSheet]) -> None:
    large = draw(2, [260.0, 200.0])
    assert len(large.positions) > 20_000
    assert (coordination_numbers(large) == 3).all()
    assert (ring_areas(large) > 0).all()
    found, small = (
        np.bincount(sheet.ring_sizes, minlength=10) / len(sheet.ring_sizes) for sheet in (large, sheets[2])
    )
    np.testing.assert_allclose(found, small, atol=0.005)
    r, g = periodic_pair_distribution(large)
    np.testing.assert_allclose(g, periodic_pair_distribution(sheets[2])[1], atol=0.6)
    assert peak(r, g, 2.1, 2.66)[0] == pytest.approx(2.46, abs=0.04)
