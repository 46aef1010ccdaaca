from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers, ring_areas
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.pores import circular_pore, irregular_pore


def distances(sheet: RingedSheet, centre: list[float]) -> np.ndarray:
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


def test_tiny_pore_between_atoms_changes_nothing(honeycomb: RingedSheet) -> None:
    same = circular_pore(honeycomb, centre=honeycomb.ring_centres[5], radius=1.0)
    np.testing.assert_array_equal(same.positions, honeycomb.positions)
    np.testing.assert_array_equal(same.ring_members, honeycomb.ring_members)


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
    assert len(rest.positions) == len(honeycomb.positions) - 7
    assert coordination_numbers(rest).min() == 2


def test_irregular_pore_stays_between_its_bounds(relaxed: RingedSheet) -> None:
    centre = [14.0, 20.0]
    porous = irregular_pore(relaxed, centre=centre, radius=7.0, roughness=0.4, rng=np.random.default_rng(3))
    assert distances(porous, centre).min() >= 7.0 * 0.6
    assert np.sum(distances(porous, centre) > 15) == np.sum(distances(relaxed, centre) > 15)
    assert coordination_numbers(porous).min() >= 2
    # It is no circle: some atoms lie closer than others were removed.
    circle = circular_pore(relaxed, centre=centre, radius=7.0)
    assert distances(porous, centre).min() < 7.0
    assert len(porous.positions) != len(circle.positions)


def test_smooth_irregular_pore_is_the_circle(relaxed: RingedSheet) -> None:
    smooth = irregular_pore(relaxed, centre=[3, 3], radius=6.0, roughness=0.0, rng=np.random.default_rng(0))
    circle = circular_pore(relaxed, centre=[3, 3], radius=6.0)
    np.testing.assert_array_equal(smooth.positions, circle.positions)


def test_same_generator_same_pore(relaxed: RingedSheet) -> None:
    def cut(seed: int) -> RingedSheet:
        rng = np.random.default_rng(seed)
        return irregular_pore(relaxed, centre=[9, 9], radius=7.0, roughness=0.5, rng=rng)

    np.testing.assert_array_equal(cut(1).positions, cut(1).positions)
    assert not np.array_equal(cut(1).positions, cut(2).positions)


def test_pore_must_fit_into_the_box(honeycomb: RingedSheet) -> None:
    half = honeycomb.box.min() / 2
    with pytest.raises(ValueError, match="pore must be narrower than the box"):
        circular_pore(honeycomb, centre=[0, 0], radius=half)
    with pytest.raises(ValueError, match="pore must be narrower than the box"):
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
