from __future__ import annotations

import numpy as np
import pytest

from amorph2d.structures.network import RingedSheet, bond_vectors, coordination_numbers
from amorph2d.structures.periodic import shortest_image
from amorph2d.structures.seeds import poisson_disk_seeds
from amorph2d.structures.voronoi import voronoi_cells, voronoi_network

BOX = np.array([29.0, 41.0])


@pytest.fixture(scope="module")
def seeds() -> np.ndarray:
    return poisson_disk_seeds(BOX, spacing=1.91, rng=np.random.default_rng(5))


def test_every_atom_is_three_coordinated_and_the_mean_ring_is_a_hexagon(network: RingedSheet) -> None:
    assert (coordination_numbers(network) == 3).all()
    assert network.ring_sizes.sum() == 6 * len(network.ring_sizes)
    assert (network.numbers == 6).all()


def test_euler_characteristic_of_the_torus_is_zero(network: RingedSheet) -> None:
    assert len(network.positions) - len(network.bonds) + len(network.ring_sizes) == 0


def test_bonds_are_sorted_and_unique(network: RingedSheet) -> None:
    assert (network.bonds[:, 0] < network.bonds[:, 1]).all()
    np.testing.assert_array_equal(np.unique(network.bonds, axis=0), network.bonds)


def test_atoms_are_equally_far_from_their_three_nearest_seeds(
    network: RingedSheet, seeds: np.ndarray
) -> None:
    vectors = shortest_image(network.positions[:, None] - seeds, BOX)
    distances = np.sort(np.hypot(vectors[..., 0], vectors[..., 1]), axis=1)
    np.testing.assert_allclose(distances[:, 0], distances[:, 2], rtol=1e-9)


def test_neighbours_around_a_ring_are_bonded(network: RingedSheet) -> None:
    n = len(network.positions)
    bonded = {i * n + j for i, j in network.bonds}
    seen = 0
    for start, stop in zip(network.ring_offsets[:-1], network.ring_offsets[1:], strict=True):
        ring = network.ring_members[start:stop]
        assert len(set(ring)) == len(ring)
        for i, j in zip(ring, np.roll(ring, -1), strict=True):
            assert min(i, j) * n + max(i, j) in bonded
            seen += 1
    assert seen == 2 * len(bonded)


def test_ring_centres_are_centroids_and_not_seeds(network: RingedSheet, seeds: np.ndarray) -> None:
    areas, centroids = voronoi_cells(seeds, BOX)
    assert areas.sum() == pytest.approx(BOX.prod())
    np.testing.assert_allclose(shortest_image(network.ring_centres - centroids, BOX), 0, atol=1e-9)
    assert np.hypot(*shortest_image(network.ring_centres - seeds, BOX).T).mean() > 0.1


def test_shifted_seeds_give_the_shifted_network(network: RingedSheet, seeds: np.ndarray) -> None:
    shift = np.array([11.0, 17.0])
    shifted = voronoi_network(seeds + shift, BOX)
    np.testing.assert_array_equal(shifted.ring_sizes, network.ring_sizes)
    centres = shortest_image(shifted.ring_centres - network.ring_centres - shift, BOX)
    np.testing.assert_allclose(centres, 0, atol=1e-9)
    np.testing.assert_allclose(
        np.sort(np.hypot(*bond_vectors(shifted).T)), np.sort(np.hypot(*bond_vectors(network).T)), atol=1e-9
    )


def test_triangular_seeds_give_the_honeycomb(honeycomb: RingedSheet) -> None:
    assert (honeycomb.ring_sizes == 6).all()
    assert len(honeycomb.positions) == 144
    np.testing.assert_allclose(np.hypot(*bond_vectors(honeycomb).T), 1.42)


def test_bond_longer_than_half_of_the_box_is_refused() -> None:
    box = np.array([8.0, 20.0])
    with pytest.raises(
        ValueError, match=r"box \[8.0, 20.0\] Å is too small: a bond is longer than half of it"
    ):
        voronoi_network(np.random.default_rng(0).random((16, 2)) * box, box)


def test_no_seeds() -> None:
    with pytest.raises(ValueError, match="at least 12 points, got 0"):
        voronoi_network([], BOX)
