from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.spatial import cKDTree

from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers, moved, ring_areas
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.pores import circular_pore
from amorph2d.structures.relax import GRAPHENE, KeatingPotential, keating_energy, relax_network


def lengths(sheet: RingedSheet) -> np.ndarray:
    return np.hypot(*bond_vectors(sheet).T)


def test_graphene_has_no_energy_and_no_force(honeycomb: RingedSheet) -> None:
    energy, gradient, strain_gradient = keating_energy(honeycomb)
    assert energy == pytest.approx(0, abs=1e-20)
    np.testing.assert_allclose(gradient, 0, atol=1e-10)
    np.testing.assert_allclose(strain_gradient, 0, atol=1e-10)


def test_energy_of_stretched_graphene_is_that_of_the_formula(honeycomb: RingedSheet) -> None:
    # With all bonds d' = 1.05 d: three bonds of two atoms each, six angles with r·r = -d'²/2.
    stretched = moved(honeycomb, honeycomb.positions * 1.05, honeycomb.box * 1.05)
    d, excess = 1.42, 1.42**2 * (1.05**2 - 1)
    per_cell = 3 * 3 / 16 * 25.88 / d**2 * excess**2 + 6 * 3 / 8 * 5.94 / d**2 * (excess / 2) ** 2
    assert keating_energy(stretched)[0] == pytest.approx(per_cell * len(honeycomb.positions) / 2)


def cross_linked(sheet: RingedSheet) -> RingedSheet:
    """One more bond between two atoms of the third ring: atoms of four bonds."""
    extra = np.sort(sheet.ring_members[sheet.ring_offsets[3] :][[0, 2]])
    return replace(sheet, bonds=np.concatenate([sheet.bonds, extra[None]]))


def test_energy_with_own_bond_lengths_is_that_of_the_formula(network: RingedSheet) -> None:
    sheet = cross_linked(circular_pore(network, centre=[3, 4], radius=5.0))
    assert set(coordination_numbers(sheet)) >= {2, 3, 4}
    rests = np.random.default_rng(0).uniform(1.3, 1.9, len(sheet.bonds))
    arms: list[list[tuple[np.ndarray, float]]] = [[] for _ in sheet.positions]
    expected = 0.0
    for (i, j), vector, rest in zip(sheet.bonds, bond_vectors(sheet), rests, strict=True):
        arms[i].append((vector, rest))
        arms[j].append((-vector, rest))
        expected += 3 * 25.88 / (16 * rest**2) * (vector @ vector - rest**2) ** 2
    for around in arms:
        for a, (one, rest_one) in enumerate(around):
            for other, rest_other in around[:a]:
                product = rest_one * rest_other
                expected += 3 * 5.94 / (8 * product) * (one @ other + product / 2) ** 2
    assert keating_energy(sheet, bond_lengths=rests)[0] == pytest.approx(expected)


def test_equal_bond_lengths_are_those_of_the_potential(network: RingedSheet) -> None:
    given = keating_energy(network, bond_lengths=[1.5] * len(network.bonds))
    of_potential = keating_energy(network, potential=replace(GRAPHENE, bond_length=1.5))
    assert given[0] == of_potential[0]
    np.testing.assert_array_equal(given[1], of_potential[1])


def test_no_bonds_no_energy(network: RingedSheet) -> None:
    energy, gradient, strain_gradient = keating_energy(replace(network, bonds=np.empty((0, 2), np.int64)))
    assert energy == 0
    assert not gradient.any()
    assert not strain_gradient.any()


@pytest.mark.parametrize("is_porous", [False, True])
def test_gradients_are_the_differences_of_the_energy(network: RingedSheet, is_porous: bool) -> None:
    sheet = cross_linked(circular_pore(network, centre=[3, 4], radius=5.0)) if is_porous else network
    rests = np.random.default_rng(1).uniform(1.3, 1.9, len(sheet.bonds)) if is_porous else None
    _, gradient, strain_gradient = keating_energy(sheet, bond_lengths=rests)
    step = 1e-5

    def energy(displacement: np.ndarray | float = 0.0, stretch: np.ndarray | float = 1.0) -> float:
        positions = (sheet.positions + displacement) * stretch
        displaced = replace(sheet, positions=positions, box=sheet.box * stretch)
        return keating_energy(displaced, bond_lengths=rests)[0]

    direction = np.random.default_rng(0).normal(size=sheet.positions.shape)
    slope = (energy(step * direction) - energy(-step * direction)) / (2 * step)
    assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-6)
    one = np.zeros_like(direction)
    one[11, 1] = step
    assert (energy(one) - energy(-one)) / (2 * step) == pytest.approx(gradient[11, 1], rel=1e-4, abs=1e-4)
    for axis in range(2):
        strain = np.eye(2)[axis] * step
        slope = (energy(stretch=1 + strain) - energy(stretch=1 - strain)) / (2 * step)
        assert slope == pytest.approx(strain_gradient[axis], rel=1e-5)


def test_energy_does_not_depend_on_where_the_box_is_cut(network: RingedSheet) -> None:
    shifted = moved(network, network.positions + np.array([13.1, -5.2]), network.box)
    assert keating_energy(shifted)[0] == pytest.approx(keating_energy(network)[0], rel=1e-10)


def test_relaxation_finds_graphene_again(honeycomb: RingedSheet) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, honeycomb.positions.shape)
    start = moved(honeycomb, (honeycomb.positions + noise) * [1.06, 0.97], honeycomb.box * [1.06, 0.97])
    found = relax_network(start, tolerance=1e-4)
    np.testing.assert_allclose(lengths(found), 1.42, atol=1e-4)
    np.testing.assert_allclose(found.box, honeycomb.box, atol=1e-3)


def test_minimum_is_the_one_that_scipy_finds(network: RingedSheet) -> None:
    def energy(unknowns: np.ndarray) -> tuple[float, np.ndarray]:
        stretch = 1 + unknowns[-2:]
        positions = unknowns[:-2].reshape(-1, 2) * stretch
        value, gradient, strain_gradient = keating_energy(
            replace(network, positions=positions, box=network.box * stretch)
        )
        return value, np.concatenate([(gradient * stretch).ravel(), strain_gradient / stretch])

    start = np.concatenate([network.positions.ravel(), [0.0, 0.0]])
    theirs = minimize(energy, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-3, "maxfun": 5000})
    ours = relax_network(network, tolerance=1e-3)
    assert keating_energy(ours)[0] == pytest.approx(theirs.fun, rel=1e-5)
    np.testing.assert_allclose(ours.box, network.box * (1 + theirs.x[-2:]), rtol=1e-4)


def test_bonds_take_their_own_lengths(honeycomb: RingedSheet) -> None:
    dopant = 17
    rests = np.where((honeycomb.bonds == dopant).any(axis=1), 1.7, 1.42)
    found = relax_network(honeycomb, bond_lengths=rests, tolerance=1e-4)
    own, others = lengths(found)[rests > 1.6], lengths(found)[rests < 1.6]
    assert len(own) == 3
    assert 1.5 < own.min() <= own.max() < 1.7
    assert others.mean() == pytest.approx(1.42, abs=0.01)
    assert found.box.prod() > honeycomb.box.prod()
    energy, gradient, _ = keating_energy(found, bond_lengths=rests)
    assert 0 < energy < keating_energy(honeycomb, bond_lengths=rests)[0]
    assert np.abs(gradient).max() < 1.1e-4


@pytest.mark.parametrize("angle", [120.0, 150.0, 180.0])
def test_two_bonds_take_their_own_angle(angle: float) -> None:
    corner = RingedSheet(
        positions=np.array([[10.0, 11.0], [11.2, 10.0], [8.8, 10.2]]),
        numbers=np.full(3, 6),
        bonds=np.array([[0, 1], [0, 2]]),
        ring_centres=np.empty((0, 2)),
        ring_sizes=np.empty(0, dtype=np.int64),
        box=np.array([20.0, 20.0]),
        ring_members=np.empty(0, dtype=np.int64),
        ring_offsets=np.zeros(1, dtype=np.int64),
    )
    cosines = np.full(3, np.cos(np.deg2rad(angle)))
    found = relax_network(corner, cosines=cosines, tolerance=1e-6, is_box_free=False)
    first, second = bond_vectors(found)
    np.testing.assert_allclose(lengths(found), 1.42, atol=1e-4)
    # At 180° the energy is flat: the angle enters with its fourth power.
    assert np.degrees(np.arccos(first @ second / 1.42**2)) == pytest.approx(
        angle, abs=0.1 if angle < 180 else 3
    )
    np.testing.assert_array_equal(found.box, corner.box)


def test_gradient_with_own_angles_is_that_of_the_energy(network: RingedSheet) -> None:
    rng = np.random.default_rng(5)
    cosines = rng.uniform(-1, 0, len(network.positions))
    gradient = keating_energy(network, cosines=cosines)[1]
    for atom in (3, 40):
        for axis in (0, 1):
            moves = np.zeros_like(network.positions)
            moves[atom, axis] = 1e-5
            above, below = (
                keating_energy(
                    moved(network, network.positions + sign * moves, network.box), cosines=cosines
                )[0]
                for sign in (1, -1)
            )
            assert (above - below) / 2e-5 == pytest.approx(gradient[atom, axis], rel=1e-5, abs=1e-5)


def test_relaxing_again_changes_nothing(relaxed: RingedSheet) -> None:
    again = relax_network(relaxed, tolerance=0.011)
    moves = shortest_image(again.positions - relaxed.positions, relaxed.box)
    np.testing.assert_allclose(moves, 0, atol=1e-9)


def test_relaxed_network_is_a_minimum_of_good_bonds(network: RingedSheet, relaxed: RingedSheet) -> None:
    energy, gradient, strain_gradient = keating_energy(relaxed)
    assert energy < keating_energy(network)[0] / 10
    assert np.abs(gradient).max() < 0.011
    assert np.abs(strain_gradient).max() / len(relaxed.positions) < 0.01
    # Not so before: a tenth of the Voronoi bonds is shorter than 0.5 Å.
    assert np.mean(lengths(network) < 0.5) > 0.05
    assert lengths(relaxed).mean() == pytest.approx(1.40, abs=0.015)
    assert lengths(relaxed).std() < 0.08
    assert 1.0 < lengths(relaxed).min() < lengths(relaxed).max() < 1.75


def test_relaxed_positions_are_good_to_a_hundredth_of_an_angstrom(
    network: RingedSheet, relaxed: RingedSheet
) -> None:
    better = relax_network(network, tolerance=1e-5)
    moves = shortest_image(relaxed.positions / relaxed.box * better.box - better.positions, better.box)
    assert np.abs(moves).max() < 0.01


def test_relaxation_keeps_the_topology_planar(network: RingedSheet, relaxed: RingedSheet) -> None:
    np.testing.assert_array_equal(relaxed.bonds, network.bonds)
    np.testing.assert_array_equal(relaxed.ring_members, network.ring_members)
    areas = ring_areas(relaxed)
    assert (areas > 0).all()
    assert areas.sum() == pytest.approx(relaxed.box.prod())


def test_atoms_without_a_bond_stay_apart(relaxed: RingedSheet) -> None:
    pairs = cKDTree(relaxed.positions, boxsize=relaxed.box).query_pairs(1.9, output_type="ndarray")
    n_bonded = np.sum(lengths(relaxed) < 1.9)
    # Only across rings of four are atoms closer than the longest distance taken for a bond: two pairs each.
    assert len(pairs) - n_bonded <= 2 * np.sum(relaxed.ring_sizes == 4) + 2


def test_ring_centres_are_the_centroids_of_the_relaxed_rings(
    network: RingedSheet, relaxed: RingedSheet
) -> None:
    ring = slice(relaxed.ring_offsets[3], relaxed.ring_offsets[4])
    corners = relaxed.positions[relaxed.ring_members[ring]]
    corners = corners[0] + shortest_image(corners - corners[0], relaxed.box)
    after = np.roll(corners, -1, axis=0)
    cross = corners[:, 0] * after[:, 1] - corners[:, 1] * after[:, 0]
    centroid = ((corners + after) * cross[:, None]).sum(axis=0) / (3 * cross.sum())
    np.testing.assert_allclose(shortest_image(relaxed.ring_centres[3] - centroid, relaxed.box), 0, atol=1e-9)
    before = shortest_image(relaxed.ring_centres - network.ring_centres, relaxed.box)
    assert np.hypot(*before.T).max() > 0.1


def test_stiffer_angles_give_wider_bonds(network: RingedSheet) -> None:
    soft = relax_network(network, potential=replace(GRAPHENE, angle_stiffness=2.0))
    stiff = relax_network(network, potential=replace(GRAPHENE, angle_stiffness=12.0))
    assert lengths(soft).std() < lengths(stiff).std()


def test_bond_length_scales_the_sheet(network: RingedSheet, relaxed: RingedSheet) -> None:
    longer = relax_network(network, potential=replace(GRAPHENE, bond_length=1.5))
    assert longer.box.prod() / relaxed.box.prod() == pytest.approx((1.5 / 1.42) ** 2, rel=1e-3)


def test_few_iterations_give_what_was_reached(network: RingedSheet, relaxed: RingedSheet) -> None:
    early = relax_network(network, max_iterations=3)
    assert keating_energy(relaxed)[0] < keating_energy(early)[0] < keating_energy(network)[0]


def test_porous_network_relaxes(relaxed: RingedSheet) -> None:
    porous = relax_network(circular_pore(relaxed, centre=[0, 0], radius=6.0))
    assert lengths(porous).max() < 1.75
    assert (ring_areas(porous) > 0).all()


def test_errors(network: RingedSheet) -> None:
    with pytest.raises(ValueError, match="tolerance must be > 0 eV/Å, got 0"):
        relax_network(network, tolerance=0)
    with pytest.raises(ValueError, match="max_iterations must be ≥ 1, got 0"):
        relax_network(network, max_iterations=0)
    with pytest.raises(ValueError, match="sheet must have bonds"):
        relax_network(replace(network, bonds=np.empty((0, 2), dtype=np.int64)))
    with pytest.raises(ValueError, match=r"one for each of the \d+ bonds, got shape \(3,\)"):
        relax_network(network, bond_lengths=[1.4, 1.4, 1.4])
    with pytest.raises(ValueError, match=r"bond_lengths must be > 0 Å, got -1"):
        keating_energy(network, bond_lengths=np.r_[-1.0, np.ones(len(network.bonds) - 1)])
    with pytest.raises(ValueError, match=r"cosines must be one for each of the \d+ atoms, got shape \(1,\)"):
        relax_network(network, cosines=[-0.5])
    with pytest.raises(ValueError, match=r"cosines must lie in -1 … 1, got -1\.5"):
        relax_network(network, cosines=np.full(len(network.positions), -1.5))
    with pytest.raises(ValueError, match="angle_stiffness must be > 0, got -1"):
        KeatingPotential(bond_length=1.42, bond_stiffness=25.0, angle_stiffness=-1)
