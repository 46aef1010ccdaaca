from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from amorph2d.structures.bond_switching import bond_switched_network, consistent_fractions, switch_bonds
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import (
    RingedSheet,
    bond_vectors,
    coordination_numbers,
    moved,
    ring_areas,
    with_atoms,
)
from amorph2d.structures.periodic import polygon_areas_and_centroids, shortest_image, unwrapped_polygons
from amorph2d.structures.pores import circular_pore
from amorph2d.structures.relax import KeatingPotential, keating_energy

# Monolayer amorphous carbon: ring fractions of three published models, as given, and how disordered they are.
LEVELS = {
    "nanocrystalline": {5: 0.13, 6: 0.75, 7: 0.10, 8: 0.02},
    "disordered": {5: 0.19, 6: 0.63, 7: 0.14, 8: 0.03},
    "amorphous": {5: 0.27, 6: 0.47, 7: 0.17, 8: 0.06},
}
BOX = np.array([72.0, 48.0])


def draw(seed: int = 0, box: np.ndarray = BOX, **how: object) -> RingedSheet:
    how = how or {"ring_fractions": LEVELS["amorphous"]}
    return bond_switched_network(box, rng=np.random.default_rng(seed), **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sheets() -> dict[str, RingedSheet]:
    return {level: draw(ring_fractions=fractions) for level, fractions in LEVELS.items()}


@pytest.fixture(scope="module", params=list(LEVELS))
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sheet(sheets: dict[str, RingedSheet], level: str) -> RingedSheet:
    return sheets[level]


def fractions_of(sheet: RingedSheet) -> np.ndarray:
    return np.bincount(sheet.ring_sizes, minlength=10) / len(sheet.ring_sizes)


def lengths(sheet: RingedSheet) -> np.ndarray:
    return np.hypot(*bond_vectors(sheet).T)


def ring_angles(sheet: RingedSheet) -> np.ndarray:
    """Interior angles of all rings; above 180° where one is not convex [°]."""
    corners = unwrapped_polygons(sheet.positions, sheet.ring_members, sheet.ring_offsets, sheet.box)
    angles = []
    for start, stop in zip(sheet.ring_offsets[:-1], sheet.ring_offsets[1:], strict=True):
        ahead = np.roll(corners[start:stop], -1, axis=0) - corners[start:stop]
        back = np.roll(corners[start:stop], 1, axis=0) - corners[start:stop]
        turn = np.arctan2(back[:, 1], back[:, 0]) - np.arctan2(ahead[:, 1], ahead[:, 0])
        angles.append(np.degrees(turn) % 360)
    return np.concatenate(angles)


def orientation(sheet: RingedSheet) -> float:
    """How far all bonds point along the same three lines, 0 to 1."""
    vectors = bond_vectors(sheet)
    return float(abs(np.exp(6j * np.arctan2(vectors[:, 1], vectors[:, 0])).mean()))


def test_ring_fractions_are_those_wanted(sheet: RingedSheet, level: str) -> None:
    for size, fraction in LEVELS[level].items():
        assert fractions_of(sheet)[size] == pytest.approx(fraction, abs=0.02)
    np.testing.assert_allclose(fractions_of(sheet), consistent_fractions(LEVELS[level]), atol=0.006)


def test_every_atom_has_three_bonds_and_the_mean_ring_is_a_hexagon(sheet: RingedSheet) -> None:
    assert (coordination_numbers(sheet) == 3).all()
    assert (sheet.numbers == 6).all()
    assert sheet.ring_sizes.sum() == 6 * len(sheet.ring_sizes)
    assert len(sheet.positions) - len(sheet.bonds) + len(sheet.ring_sizes) == 0
    assert (sheet.bonds[:, 0] < sheet.bonds[:, 1]).all()
    np.testing.assert_array_equal(np.unique(sheet.bonds, axis=0), sheet.bonds)


def test_rings_run_along_bonds_and_border_each_other_once(sheet: RingedSheet) -> None:
    ring = np.repeat(np.arange(len(sheet.ring_sizes)), sheet.ring_sizes)
    following = np.arange(1, len(ring) + 1)
    following[sheet.ring_offsets[1:] - 1] = sheet.ring_offsets[:-1]
    edges = np.column_stack([sheet.ring_members, sheet.ring_members[following]])
    n_atoms = len(sheet.positions)
    key = edges.min(axis=1) * n_atoms + edges.max(axis=1)
    order = np.argsort(key, kind="stable").reshape(-1, 2)
    np.testing.assert_array_equal(
        np.sort(key[order[:, 0]]), sheet.bonds @ [n_atoms, 1], "each bond in two rings"
    )
    # Once along it and once against it, so that all rings turn the same way.
    np.testing.assert_array_equal(edges[order[:, 0]], edges[order[:, 1]][:, ::-1])
    borders = np.sort(ring[order], axis=1)
    assert (borders[:, 0] < borders[:, 1]).all()
    assert len(np.unique(borders, axis=0)) == len(borders)


def test_sheet_is_planar_and_fills_its_box(sheet: RingedSheet) -> None:
    assert ring_areas(sheet).min() > 2.5
    assert ring_areas(sheet).sum() == pytest.approx(sheet.box.prod())
    angles = ring_angles(sheet)
    assert angles.max() < 180
    assert angles.sum() == pytest.approx(360 * len(sheet.positions))


def test_box_is_a_little_larger_than_asked_for(sheet: RingedSheet) -> None:
    assert (sheet.box >= BOX).all()
    assert (sheet.box < 1.08 * BOX).all()
    assert ((sheet.positions >= 0) & (sheet.positions < sheet.box)).all()


def test_bonds_and_angles_spread_as_in_amorphous_carbon(sheets: dict[str, RingedSheet]) -> None:
    for sheet in sheets.values():
        assert 1.405 < lengths(sheet).mean() < 1.42
        assert 0.025 < lengths(sheet).std() < 0.05
    spreads = [ring_angles(sheets[level]).std() for level in LEVELS]
    assert 6 < spreads[0] < spreads[1] < spreads[2] < 10.6
    assert ring_angles(sheets["amorphous"]).mean() == pytest.approx(120)


def test_atoms_without_a_bond_stay_apart(sheet: RingedSheet) -> None:
    pairs = cKDTree(sheet.positions, boxsize=sheet.box).query_pairs(2.6, output_type="ndarray")
    n_atoms = len(sheet.positions)
    key = np.sort(pairs, axis=1) @ [n_atoms, 1]
    apart = pairs[~np.isin(key, sheet.bonds @ [n_atoms, 1])]
    distances = np.hypot(
        *shortest_image(sheet.positions[apart[:, 0]] - sheet.positions[apart[:, 1]], sheet.box).T
    )
    assert distances.min() > 1.75
    assert np.mean(distances < 1.9) < 0.002


def test_distances_have_their_peaks_where_graphene_has_and_they_are_broader(
    sheets: dict[str, RingedSheet],
) -> None:
    heights = []
    for level in LEVELS:
        sheet = sheets[level]
        pairs = cKDTree(sheet.positions, boxsize=sheet.box).query_pairs(3.4, output_type="ndarray")
        vectors = shortest_image(sheet.positions[pairs[:, 0]] - sheet.positions[pairs[:, 1]], sheet.box)
        counts, edges = np.histogram(np.hypot(*vectors.T), bins=85, range=(0, 3.4))
        density = counts / (edges[1:] + edges[:-1]) / len(sheet.positions)
        centres = (edges[1:] + edges[:-1]) / 2
        first, second = (centres > 1.2) & (centres < 1.7), (centres > 2.1) & (centres < 2.65)
        assert centres[first][density[first].argmax()] == pytest.approx(1.42, abs=0.03)
        assert centres[second][density[second].argmax()] == pytest.approx(2.46, abs=0.06)
        assert density[(centres > 1.7) & (centres < 1.9)].max() < 0.01 * density.max()
        third = density[(centres > 2.75) & (centres < 2.95)].max()
        heights.append([density[second].max(), third])
    assert (np.diff(heights, axis=0) < 0).all()


def test_sheet_is_at_rest(sheet: RingedSheet) -> None:
    _, gradient, strain_gradient = keating_energy(sheet)
    assert np.abs(gradient).max() <= 0.051
    assert np.abs(strain_gradient).max() < 0.01 * len(sheet.positions)


def test_ring_centres_are_centroids(sheet: RingedSheet) -> None:
    corners = unwrapped_polygons(sheet.positions, sheet.ring_members, sheet.ring_offsets, sheet.box)
    centroids = polygon_areas_and_centroids(corners, sheet.ring_offsets)[1]
    np.testing.assert_allclose(shortest_image(sheet.ring_centres - centroids, sheet.box), 0, atol=1e-9)


def test_same_seed_same_sheet(sheets: dict[str, RingedSheet]) -> None:
    np.testing.assert_array_equal(draw(0).positions, sheets["amorphous"].positions)
    np.testing.assert_array_equal(draw(0).bonds, sheets["amorphous"].bonds)
    other = draw(1)
    assert not np.array_equal(other.bonds, sheets["amorphous"].bonds)


def test_generator_moves_on() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        bond_switched_network([30, 30], rng=rng, ring_fractions=LEVELS["amorphous"]) for _ in range(2)
    )
    assert not np.array_equal(one.bonds, other.bonds)


def test_topology_does_not_depend_on_the_bond_length() -> None:
    box = np.array([30.0, 40.0])
    one = draw(2, box, ring_fractions=LEVELS["disordered"])
    other = draw(2, 2 * box, ring_fractions=LEVELS["disordered"], bond_length=2 * 1.42)
    np.testing.assert_array_equal(other.bonds, one.bonds)
    np.testing.assert_allclose(other.box, 2 * one.box, rtol=2e-3)


def test_more_trials_leave_less_strain() -> None:
    hasty, patient = (
        keating_energy(draw(3, ring_fractions=LEVELS["amorphous"], n_trials=n))[0] for n in (4, 40)
    )
    assert patient < 0.95 * hasty


def test_melting_forgets_the_crystal() -> None:
    kept, lost = (draw(4, ring_fractions=LEVELS["disordered"], melting=m) for m in (0, 3))
    assert orientation(kept) > 0.35
    assert orientation(lost) < 0.2


def test_crystal_turns() -> None:
    sheet = draw(0, ring_fractions={6: 1.0}, rotation=20.0)
    vectors = bond_vectors(sheet)
    angle = np.angle(np.exp(6j * (np.arctan2(vectors[:, 1], vectors[:, 0]) - np.pi / 6)).mean()) / 6
    assert np.degrees(angle) == pytest.approx(20, abs=1.5)


def test_all_hexagons_are_the_crystal() -> None:
    sheet = draw(ring_fractions={6: 1.0})
    assert (sheet.ring_sizes == 6).all()
    np.testing.assert_allclose(lengths(sheet), 1.42, atol=1e-3)


def test_few_defects_are_as_few_as_wanted() -> None:
    sheet = draw(ring_fractions={5: 0.04, 6: 0.92, 7: 0.04})
    assert fractions_of(sheet)[5:8] == pytest.approx([0.04, 0.92, 0.04], abs=0.006)


@pytest.mark.parametrize(("temperature", "is_crystal"), [(0.2, True), (3.0, False)])
def test_temperature_decides_what_becomes_of_the_crystal(temperature: float, is_crystal: bool) -> None:
    sheet = draw(temperature=temperature, n_trials=5)
    assert (sheet.ring_sizes == 6).all() == is_crystal
    assert sheet.ring_sizes.min() >= 4
    assert sheet.ring_sizes.max() <= 9
    assert is_crystal or fractions_of(sheet)[6] < 0.6


def test_hotter_is_more_disordered() -> None:
    shares = [fractions_of(draw(temperature=t, n_trials=5))[6] for t in (1.5, 2.5, 5.0)]
    assert shares[0] > shares[1] > shares[2]


def test_nothing_costs_energy_without_heat(relaxed: RingedSheet) -> None:
    rng = np.random.default_rng(0)
    cold = switch_bonds(relaxed, rng=rng, temperature=1e-6, n_trials=10)
    energy = keating_energy(relaxed)[0]
    assert not np.array_equal(cold.bonds, relaxed.bonds)
    assert keating_energy(cold)[0] < 0.9 * energy
    assert (ring_areas(cold) > 0).all()


def test_no_trials_change_nothing(relaxed: RingedSheet) -> None:
    same = switch_bonds(relaxed, rng=np.random.default_rng(0), temperature=1.0, n_trials=0)
    np.testing.assert_array_equal(same.bonds, relaxed.bonds)
    np.testing.assert_array_equal(np.sort(same.ring_sizes), np.sort(relaxed.ring_sizes))
    moves = shortest_image(same.positions / same.box * relaxed.box - relaxed.positions, relaxed.box)
    assert np.abs(moves).max() < 0.01


def test_random_network_takes_the_wanted_statistics(network: RingedSheet) -> None:
    assert fractions_of(network)[6] < 0.55
    assert network.ring_sizes.min() < 5
    found = switch_bonds(
        network, rng=np.random.default_rng(1), ring_fractions=LEVELS["disordered"], n_trials=40
    )
    for size, fraction in LEVELS["disordered"].items():
        assert fractions_of(found)[size] == pytest.approx(fraction, abs=0.02)
    assert lengths(found).std() < 0.05
    assert orientation(found) < 0.2


def test_crystal_stays_where_nothing_is_tried() -> None:
    crystal = honeycomb_sheet([60, 40], bond_length=1.42, rotation=0)
    x = crystal.positions[:, 0] / crystal.box[0]
    found = switch_bonds(
        crystal,
        rng=np.random.default_rng(0),
        ring_fractions={5: 0.2, 6: 0.6, 7: 0.2},
        weights=(x < 0.6).astype(float),
    )
    centre = found.ring_centres[:, 0] / found.box[0]
    is_kept = (centre > 0.7) & (centre < 0.9)
    assert (found.ring_sizes[is_kept] == 6).all()
    assert fractions_of(found)[6] == pytest.approx(0.6, abs=0.02)


def test_other_springs(relaxed: RingedSheet) -> None:
    soft = KeatingPotential(bond_length=1.6, bond_stiffness=12.0, angle_stiffness=1.5)
    found = switch_bonds(
        relaxed,
        rng=np.random.default_rng(0),
        ring_fractions=LEVELS["disordered"],
        potential=soft,
        n_trials=40,
    )
    assert lengths(found).mean() == pytest.approx(1.6, abs=0.03)
    assert fractions_of(found)[6] == pytest.approx(0.63, abs=0.03)


def test_consistent_fractions_stay_as_they_are() -> None:
    np.testing.assert_allclose(
        consistent_fractions({5: 0.2, 6: 0.7, 8: 0.1}), [0, 0, 0, 0, 0, 0.2, 0.7, 0, 0.1, 0]
    )
    np.testing.assert_allclose(consistent_fractions({6: 0.99})[6], 1)


def test_nearest_fractions_of_the_given_sizes_are_taken() -> None:
    # Sum 0.97 and mean excess 0.02/0.97: 0.011 − 0.007 (n − 6) more for each size n.
    found = consistent_fractions(LEVELS["amorphous"])
    np.testing.assert_allclose(found[5:9], [0.288, 0.481, 0.174, 0.057])
    assert found[[4, 9]].tolist() == [0, 0]


def test_fractions_do_not_become_negative() -> None:
    found = consistent_fractions({4: 0.001, 5: 0.14, 6: 0.73, 7: 0.13, 9: 0.001})
    assert found.min() == 0
    assert found.sum() == pytest.approx(1)
    assert found @ np.arange(10) == pytest.approx(6)


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({5: 0.3, 6: 0.7}, "got a sum of 1 and a mean of 5.7"),
        ({5: 0.1, 6: 0.7, 7: 0.1}, "got a sum of 0.9 and a mean of 6"),
        ({}, "got a sum of 0 and a mean of nan"),
        ({7: 1.0}, "mean of 7"),
        ({3: 0.1, 6: 0.9}, "ring sizes must be 4 to 9, got 3"),
        ({6: 1.1, 5: -0.1}, "ring_fractions must be ≥ 0, got -0.1 for rings of 5"),
    ],
)
def test_impossible_fractions(fractions: dict[int, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        consistent_fractions(fractions)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"box": [20, 50], "temperature": 1.0}, r"at least 15 bonds wide, 21.3 Å, got \[20.0, 50.0\] Å"),
        ({"box": [50], "temperature": 1.0}, "box must be two lengths"),
        ({"n_trials": 5.0}, "give either ring_fractions or temperature, got None and None"),
        ({"temperature": 1.0, "ring_fractions": {6: 1.0}}, "give either ring_fractions or temperature"),
        ({"temperature": 0.0}, "temperature must be > 0 eV, got 0.0"),
        ({"temperature": 1.0, "n_trials": -1.0}, "n_trials must be ≥ 0 per atom, got -1.0"),
        ({"temperature": 1.0, "melting": -1.0}, "melting must be ≥ 0 trials per atom, got -1.0"),
        ({"temperature": 1.0, "bond_length": 0.0}, "bond_length must be > 0, got 0.0"),
    ],
)
def test_errors(how: dict[str, object], message: str) -> None:
    box = how.pop("box", BOX)
    with pytest.raises(ValueError, match=message):
        bond_switched_network(box, rng=np.random.default_rng(0), **how)  # type: ignore[arg-type]


def test_errors_of_sheets(relaxed: RingedSheet) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="every atom of the sheet must have three bonds and three rings"):
        switch_bonds(circular_pore(relaxed, centre=[0, 0], radius=4.0), rng=rng, temperature=1.0)
    with pytest.raises(ValueError, match="sheet must have bonds, got none"):
        switch_bonds(with_atoms(relaxed, np.zeros(len(relaxed.positions), bool)), rng=rng, temperature=1.0)
    with pytest.raises(ValueError, match=r"weights must be \(\d+,\) from 0 to 1, got \[2.0\]"):
        switch_bonds(relaxed, rng=rng, temperature=1.0, weights=[2.0])
    small = moved(relaxed, relaxed.positions / 2, relaxed.box / 2)
    with pytest.raises(ValueError, match="box must be at least 15 bonds wide"):
        switch_bonds(small, rng=rng, temperature=1.0)
