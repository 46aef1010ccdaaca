from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import (
    RingedSheet,
    bond_vectors,
    coordination_numbers,
    ring_areas,
    with_atoms,
)
from amorph2d.structures.outlines import (
    DIRECTIONS,
    Outline,
    circle,
    irregular_blob,
    random_patches,
    rough_band,
)
from amorph2d.structures.periodic import (
    polygon_areas_and_centroids,
    shortest_image,
    unwrapped_polygons,
    wrap,
)
from amorph2d.structures.pores import _eroded, circular_pore, cut_pore, irregular_pore


@pytest.fixture(scope="module")
def large() -> RingedSheet:
    """Graphene of about 7000 atoms, its rows along neither edge of the box."""
    return honeycomb_sheet([150.0, 120.0], bond_length=1.42, rotation=17.0)


def assert_consistent(sheet: RingedSheet) -> None:
    """Assert that bonds and rings describe one piece without loose ends."""
    n_atoms = len(sheet.positions)
    assert sheet.numbers.shape == (n_atoms,)
    assert (sheet.bonds[:, 0] < sheet.bonds[:, 1]).all()
    np.testing.assert_array_equal(np.unique(sheet.bonds, axis=0), sheet.bonds)
    assert set(coordination_numbers(sheet)) <= {2, 3}
    graph = csr_array((np.ones(len(sheet.bonds)), tuple(sheet.bonds.T)), shape=(n_atoms, n_atoms))
    assert connected_components(graph, directed=False)[0] == 1
    np.testing.assert_array_equal(sheet.ring_offsets, np.concatenate([[0], np.cumsum(sheet.ring_sizes)]))
    following = np.arange(1, len(sheet.ring_members) + 1)
    following[sheet.ring_offsets[1:] - 1] = sheet.ring_offsets[:-1]
    edges = np.sort(np.column_stack([sheet.ring_members, sheet.ring_members[following]]), axis=1)
    keys = edges @ [n_atoms, 1]
    assert np.isin(keys, sheet.bonds @ [n_atoms, 1]).all(), "neighbours in a ring are bonded"
    assert np.unique(keys, return_counts=True)[1].max() <= 2
    corners = unwrapped_polygons(sheet.positions, sheet.ring_members, sheet.ring_offsets, sheet.box)
    areas, centroids = polygon_areas_and_centroids(corners, sheet.ring_offsets)
    assert (areas > 0).all()
    np.testing.assert_allclose(shortest_image(centroids - sheet.ring_centres, sheet.box), 0, atol=1e-6)


def is_left(sheet: RingedSheet, porous: RingedSheet) -> np.ndarray:
    """Which atoms of a sheet are still there, unmoved."""
    tree = cKDTree(wrap(porous.positions, sheet.box), boxsize=sheet.box)
    there = np.asarray(tree.query(sheet.positions)[0]) < 1e-9
    assert there.sum() == len(porous.positions)
    return there


def distances(sheet: RingedSheet, centre: np.ndarray | list[float]) -> np.ndarray:
    return np.hypot(*shortest_image(sheet.positions - np.array(centre), sheet.box).T)


@pytest.mark.parametrize("centre", [[14.0, 20.0], [0.3, 40.2], [-100.0, 1000.0]])
def test_pore_is_empty_and_its_rim_has_no_loose_ends(relaxed: RingedSheet, centre: list[float]) -> None:
    porous = circular_pore(relaxed, centre=centre, radius=6.5)
    assert distances(porous, centre).min() >= 6.5
    assert set(coordination_numbers(porous)) == {2, 3}
    # Nothing is touched far from the pore.
    assert np.sum(distances(porous, centre) > 12) == np.sum(distances(relaxed, centre) > 12)
    assert (porous.numbers == 6).all()
    assert len(porous.numbers) == len(porous.positions)


def test_rings_and_bonds_belong_to_the_atoms_that_are_left(relaxed: RingedSheet) -> None:
    porous = circular_pore(relaxed, centre=[5, 5], radius=5.0)
    np.testing.assert_array_equal(np.diff(porous.ring_offsets), porous.ring_sizes)
    assert len(porous.ring_centres) == len(porous.ring_sizes) < len(relaxed.ring_sizes)
    assert porous.ring_members.max() < len(porous.positions)
    assert (porous.bonds[:, 0] < porous.bonds[:, 1]).all()
    assert np.hypot(*bond_vectors(porous).T).max() <= np.hypot(*bond_vectors(relaxed).T).max()
    # The rings that are left, and the pore as one more face, are all faces of the sheet on the torus.
    assert len(porous.positions) - len(porous.bonds) + len(porous.ring_sizes) + 1 == 0
    assert (ring_areas(porous) > 0).all()


def test_vacancy_of_graphene(honeycomb: RingedSheet) -> None:
    vacancy = circular_pore(honeycomb, centre=honeycomb.positions[40], radius=0.5)
    assert len(vacancy.positions) == len(honeycomb.positions) - 1
    assert np.sum(coordination_numbers(vacancy) == 2) == 3
    assert len(vacancy.ring_sizes) == len(honeycomb.ring_sizes) - 3


@pytest.mark.parametrize("place", [[0.02, 0.01], [0.5, 0.3], [-0.9, 0.7]])
def test_pore_smaller_than_an_atom_takes_the_nearest_one(honeycomb: RingedSheet, place: list[float]) -> None:
    centre = honeycomb.ring_centres[5] + place
    nearest = distances(honeycomb, centre).argmin()
    for pore in (
        circular_pore(honeycomb, centre=centre, radius=0.01),
        irregular_pore(honeycomb, centre=centre, radius=0.01, roughness=0.3, rng=np.random.default_rng(0)),
    ):
        left = is_left(honeycomb, pore)
        np.testing.assert_array_equal(np.flatnonzero(~left), [nearest])
        assert len(pore.ring_sizes) == len(honeycomb.ring_sizes) - 3
        assert_consistent(pore)


def test_loose_end_is_removed(honeycomb: RingedSheet) -> None:
    # The pore takes five atoms of a hexagon; the sixth is left with one bond: it goes too, and nothing else.
    atom = 40
    partners = [j if i == atom else i for i, j in honeycomb.bonds if atom in (i, j)][:2]
    vectors = shortest_image(honeycomb.positions[partners] - honeycomb.positions[atom], honeycomb.box)
    centre = honeycomb.positions[atom] + 1.2 * vectors.sum(axis=0)
    inside = np.hypot(*shortest_image(honeycomb.positions - centre, honeycomb.box).T) < 1.65
    assert inside[partners].all()
    assert not inside[atom]
    rest = circular_pore(honeycomb, centre=centre, radius=1.65)
    assert len(rest.positions) == len(honeycomb.positions) - inside.sum() - 1
    assert coordination_numbers(rest).min() == 2


@pytest.mark.parametrize(("radius", "n_removed"), [(1.5, 6), (2.9, 12)])
def test_pore_around_a_hexagon(honeycomb: RingedSheet, radius: float, n_removed: int) -> None:
    # The hexagon; then its six outer neighbours too. Those around them keep two bonds each.
    porous = circular_pore(honeycomb, centre=honeycomb.ring_centres[10], radius=radius)
    assert len(porous.positions) == len(honeycomb.positions) - n_removed


def test_chains_and_fragments_are_removed(honeycomb: RingedSheet) -> None:
    # Cut all bonds of hexagon 0 with the rest, and leave an atom of hexagon 46, far from it, one bond only.
    ring = honeycomb.ring_members[:6]
    tail = honeycomb.ring_members[honeycomb.ring_offsets[46]]
    is_cut = np.isin(honeycomb.bonds, ring).sum(axis=1) == 1
    of_tail = np.flatnonzero((honeycomb.bonds == tail).any(axis=1))[:2]
    is_cut[of_tail] = True
    cut = replace(honeycomb, bonds=honeycomb.bonds[~is_cut])
    rest = circular_pore(cut, centre=honeycomb.ring_centres[30], radius=0.5)
    # With the pore's own atom that makes eight.
    assert len(rest.positions) == len(honeycomb.positions) - 8
    assert coordination_numbers(rest).min() == 2


def test_irregular_pore_stays_between_its_bounds(relaxed: RingedSheet) -> None:
    centre = [14.0, 20.0]
    porous = irregular_pore(relaxed, centre=centre, radius=7.0, roughness=0.4, rng=np.random.default_rng(3))
    assert distances(porous, centre).min() >= 7.0 * 0.6
    assert np.sum(distances(porous, centre) > 15) == np.sum(distances(relaxed, centre) > 15)
    assert coordination_numbers(porous).min() >= 2
    # It is no circle: some atoms lie closer than others were removed.
    round_pore = circular_pore(relaxed, centre=centre, radius=7.0)
    assert distances(porous, centre).min() < 7.0
    assert len(porous.positions) != len(round_pore.positions)


def test_smooth_irregular_pore_is_the_circle(relaxed: RingedSheet) -> None:
    smooth = irregular_pore(relaxed, centre=[3, 3], radius=6.0, roughness=0.0, rng=np.random.default_rng(0))
    round_pore = circular_pore(relaxed, centre=[3, 3], radius=6.0)
    np.testing.assert_array_equal(smooth.positions, round_pore.positions)


def test_same_generator_same_pore(relaxed: RingedSheet) -> None:
    def cut(seed: int) -> RingedSheet:
        rng = np.random.default_rng(seed)
        return irregular_pore(relaxed, centre=[9, 9], radius=7.0, roughness=0.5, rng=rng)

    np.testing.assert_array_equal(cut(1).positions, cut(1).positions)
    assert not np.array_equal(cut(1).positions, cut(2).positions)


def test_pore_must_fit_into_the_box(honeycomb: RingedSheet) -> None:
    half = honeycomb.box.min() / 2
    with pytest.raises(ValueError, match="blob must be narrower than the box"):
        circular_pore(honeycomb, centre=[0, 0], radius=half)
    with pytest.raises(ValueError, match="blob must be narrower than the box"):
        irregular_pore(
            honeycomb, centre=[0, 0], radius=half * 0.8, roughness=0.3, rng=np.random.default_rng(0)
        )


def test_pore_must_leave_a_sheet(honeycomb: RingedSheet) -> None:
    centre = honeycomb.positions[0]
    lonely = replace(honeycomb, positions=np.tile(centre, (len(honeycomb.positions), 1)))
    with pytest.raises(ValueError, match="pore must leave atoms"):
        circular_pore(lonely, centre=centre, radius=1.0)
    chains = replace(honeycomb, bonds=np.array([[0, 1], [1, 2]]))
    with pytest.raises(ValueError, match="loose chains"):
        circular_pore(chains, centre=honeycomb.positions[30], radius=1.0)


@pytest.mark.parametrize("radius", [0.0, -2.0, np.nan])
def test_bad_radius(honeycomb: RingedSheet, radius: float) -> None:
    with pytest.raises(ValueError, match="radius must be > 0 Å, got"):
        circular_pore(honeycomb, centre=[0, 0], radius=radius)


@pytest.mark.parametrize("roughness", [-0.1, 1.0, np.nan])
def test_bad_roughness(honeycomb: RingedSheet, roughness: float) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="roughness must be ≥ 0 and < 1, got"):
        irregular_pore(honeycomb, centre=[0, 0], radius=3.0, roughness=roughness, rng=rng)


def test_bad_centre(honeycomb: RingedSheet) -> None:
    with pytest.raises(ValueError, match="centre must have the shape"):
        circular_pore(honeycomb, centre=[0, 0, 0], radius=3.0)


# Outlines of any shape


def outlines_of(sheet: RingedSheet) -> dict[str, Outline]:
    """Pores tens of Å wide, with rough edges."""
    box, rng = sheet.box, np.random.default_rng(11)
    bands = {
        f"band along {direction}": rough_band(box, direction=direction, share=0.35, roughness=4.0, rng=rng)
        for direction in DIRECTIONS
    }
    blob = irregular_blob(box, centre=[5.0, 118.0], radius=40.0, roughness=0.35, rng=rng)
    return {"blob": blob, **bands, "patches": random_patches(box, share=0.4, wavelength=30.0, rng=rng)}


@pytest.mark.parametrize(
    "name", ["blob", *(f"band along {direction}" for direction in DIRECTIONS), "patches"]
)
@pytest.mark.parametrize("erosion", [0.0, 0.3])
def test_wide_pores_with_rough_edges(large: RingedSheet, name: str, erosion: float) -> None:
    outline = outlines_of(large)[name]
    porous = cut_pore(large, outline, erosion=erosion, rng=np.random.default_rng(2))
    assert_consistent(porous)
    assert not outline.contains(porous.positions).any()
    outside = ~outline.contains(large.positions)
    assert 0.4 * outside.sum() < len(porous.positions) < outside.sum()
    if name != "patches":
        # Only the rim goes with it: the patches cut pieces off as well.
        left = is_left(large, porous)
        assert left[outline.depth(large.positions) < -8].all()
        assert len(porous.positions) > (0.97 if erosion == 0 else 0.9) * outside.sum()


def test_pieces_that_are_cut_off_go(large: RingedSheet) -> None:
    # A ring-shaped pore: what is inside of it is no longer part of the sheet.
    class Moat(Outline):
        box = large.box

        def depth(self, points: np.ndarray) -> np.ndarray:
            return 4.0 - np.abs(circle(self.box, centre=[70, 50], radius=25.0).depth(points))

    porous = cut_pore(large, Moat())
    assert_consistent(porous)
    assert distances(porous, [70, 50]).min() > 29
    assert np.sum(distances(porous, [70, 50]) > 32) == np.sum(distances(large, [70, 50]) > 32)


def test_second_pore_joins_the_first(large: RingedSheet) -> None:
    first = circular_pore(large, centre=[40, 40], radius=12.0)
    both = circular_pore(first, centre=[58, 40], radius=12.0)
    assert_consistent(both)
    assert min(distances(both, [40, 40]).min(), distances(both, [58, 40]).min()) > 12
    # One hole in a torus: the faces that are left and the pore make up Euler's zero.
    assert len(both.positions) - len(both.bonds) + len(both.ring_sizes) + 1 == 0


# Erosion


def rim_of(sheet: RingedSheet, outline: Outline) -> np.ndarray:
    """Which atoms outside an outline are bonded to one inside."""
    inside = outline.contains(sheet.positions)
    crossing = sheet.bonds[inside[sheet.bonds[:, 0]] != inside[sheet.bonds[:, 1]]]
    rim = np.zeros(len(inside), dtype=bool)
    rim[crossing.ravel()] = True
    return rim & ~inside


def test_erosion_takes_atoms_from_the_rim(large: RingedSheet) -> None:
    outline = circle(large.box, centre=[3, 60], radius=30.0)
    n_rim = rim_of(large, outline).sum()
    smooth = cut_pore(large, outline)
    lost = []
    for seed in range(12):
        eroded = cut_pore(large, outline, erosion=0.3, rng=np.random.default_rng(seed))
        assert_consistent(eroded)
        gone = ~is_left(large, eroded)
        assert gone[outline.contains(large.positions)].all()
        assert not gone[outline.depth(large.positions) < -9].any()
        lost.append(len(smooth.positions) - len(eroded.positions))
    # Loose ends go too: at least as many as are taken, and not many times as many.
    assert 0.3 * n_rim * 0.8 < np.mean(lost) < 0.3 * n_rim * 4
    assert np.std(lost) > 0


def test_more_erosion_takes_more(large: RingedSheet) -> None:
    outline = circle(large.box, centre=[70, 60], radius=30.0)
    numbers = [
        np.mean(
            [
                len(cut_pore(large, outline, erosion=erosion, rng=np.random.default_rng(seed)).positions)
                for seed in range(4)
            ]
        )
        for erosion in (0.0, 0.1, 0.3, 1.0)
    ]
    assert (np.diff(numbers) < -5).all()


@pytest.mark.parametrize("seed", range(3))
def test_full_erosion_takes_as_many_atoms_as_the_rim_has(large: RingedSheet, seed: int) -> None:
    outline = circle(large.box, centre=[70, 60], radius=30.0)
    n_rim, outside = rim_of(large, outline).sum(), ~outline.contains(large.positions)
    # No atom is taken twice, though most of those that were on the rim at first lose several neighbours.
    rest = _eroded(large.bonds, outside, 1.0, np.random.default_rng(seed))
    assert (outside & ~rest).sum() == n_rim
    assert not (rest & ~outside).any()
    eroded = cut_pore(large, outline, erosion=1.0, rng=np.random.default_rng(seed))
    assert_consistent(eroded)
    assert len(eroded.positions) <= rest.sum()


def test_no_erosion_draws_nothing(large: RingedSheet) -> None:
    rng = np.random.default_rng(0)
    outline = circle(large.box, centre=[70, 60], radius=30.0)
    np.testing.assert_array_equal(
        cut_pore(large, outline, rng=rng).positions, cut_pore(large, outline).positions
    )
    assert rng.random() == np.random.default_rng(0).random()


def test_same_seed_same_erosion(large: RingedSheet) -> None:
    def cut(seed: int) -> RingedSheet:
        outline = circle(large.box, centre=[70, 60], radius=30.0)
        return cut_pore(large, outline, erosion=0.3, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(cut(1).positions, cut(1).positions)
    assert not np.array_equal(cut(1).positions, cut(2).positions)


@pytest.mark.parametrize("erosion", [-0.1, 1.1, np.nan])
def test_bad_erosion(honeycomb: RingedSheet, erosion: float) -> None:
    outline = circle(honeycomb.box, centre=[0, 0], radius=3.0)
    with pytest.raises(ValueError, match=f"erosion must be ≥ 0 and ≤ 1, got {erosion}"):
        cut_pore(honeycomb, outline, erosion=erosion, rng=np.random.default_rng(0))


def test_erosion_needs_a_generator(honeycomb: RingedSheet) -> None:
    outline = circle(honeycomb.box, centre=[0, 0], radius=3.0)
    with pytest.raises(ValueError, match="rng must be given for erosion > 0, got None"):
        cut_pore(honeycomb, outline, erosion=0.2)


def test_nothing_to_cut(honeycomb: RingedSheet) -> None:
    empty = with_atoms(honeycomb, np.zeros(len(honeycomb.positions), dtype=bool))
    with pytest.raises(ValueError, match="pore must leave atoms, got none outside it"):
        cut_pore(empty, circle(honeycomb.box, centre=[0, 0], radius=3.0))
