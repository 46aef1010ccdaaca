from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from amorph2d.structures.seeds import (
    poisson_disk_seeds,
    polycrystal_seeds,
    relaxed_seeds,
    without_small_rings,
)
from amorph2d.structures.triangulation import triangulate
from amorph2d.structures.voronoi import voronoi_network

BOX = np.array([33.0, 21.0])


def nearest(seeds: np.ndarray, box: np.ndarray) -> np.ndarray:
    return cKDTree(seeds, boxsize=box).query(seeds, k=2)[0][:, 1]


@settings(max_examples=20)
@given(
    width=st.floats(4.0, 12.0),
    height=st.floats(4.0, 12.0),
    spacing=st.floats(0.5, 3.0),
    seed=st.integers(0, 2**32 - 1),
)
def test_disks_keep_their_distance_and_leave_no_room(
    width: float, height: float, spacing: float, seed: int
) -> None:
    box = np.array([width, height]) * spacing
    seeds = poisson_disk_seeds(box, spacing=spacing, rng=np.random.default_rng(seed))
    assert nearest(seeds, box).min() >= spacing
    # The points farthest from all seeds are the circumcentres.
    images = np.array([[x, y] for x in (-1, 0, 1) for y in (-1, 0, 1)]) * box
    tree = cKDTree((seeds[:, None] + images).reshape(-1, 2))
    corners = np.random.default_rng(0).random((20000, 2)) * box
    assert tree.query(corners)[0].max() < spacing
    if len(seeds) >= 12:
        assert triangulate(seeds, box).circumradii.max() < spacing


def test_disks_fill_space_as_random_sequential_addition_does() -> None:
    # Jamming coverage of random sequential addition of disks: 0.547 (Feder, J. Theor. Biol. 87, 237 (1980)).
    seeds = poisson_disk_seeds([70, 60], spacing=1.0, rng=np.random.default_rng(1))
    assert len(seeds) * np.pi / 4 / 4200 == pytest.approx(0.547, abs=0.012)


def test_seeds_are_spread_evenly_over_the_box() -> None:
    seeds = poisson_disk_seeds([60, 40], spacing=1.0, rng=np.random.default_rng(3))
    counts = np.histogram2d(*seeds.T, bins=[4, 4], range=[[0, 60], [0, 40]])[0]
    assert np.abs(counts / counts.mean() - 1).max() < 0.15


@pytest.mark.parametrize("n_iterations", [0, 2])
def test_same_generator_same_seeds(n_iterations: int) -> None:
    def draw(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        seeds = poisson_disk_seeds(BOX, spacing=1.9, rng=rng)
        return relaxed_seeds(seeds, BOX, n_iterations=n_iterations)

    np.testing.assert_array_equal(draw(4), draw(4))
    assert not np.array_equal(draw(4)[:5], draw(5)[:5])


def test_relaxation_makes_hexagons() -> None:
    seeds = poisson_disk_seeds(BOX, spacing=1.9, rng=np.random.default_rng(8))
    hexagons = [
        np.mean(voronoi_network(relaxed_seeds(seeds, BOX, n_iterations=n), BOX).ring_sizes == 6)
        for n in (0, 3, 30)
    ]
    assert hexagons[0] < hexagons[1] < hexagons[2]


def test_relaxation_leaves_a_lattice_alone() -> None:
    cell = np.array([2.46, 2.46 * np.sqrt(3)])
    corners = np.stack(np.meshgrid(np.arange(8), np.arange(5)), axis=-1).reshape(-1, 1, 2)
    lattice = ((corners + np.array([[0.2, 0.1], [0.7, 0.6]])) * cell).reshape(-1, 2)
    np.testing.assert_allclose(relaxed_seeds(lattice, cell * [8, 5], n_iterations=3), lattice, atol=1e-9)


@pytest.mark.parametrize("n_grains", [1, 3, 9])
def test_polycrystal_keeps_its_distance_and_has_no_voids(n_grains: int) -> None:
    box = np.array([52.0, 39.0])
    seeds = polycrystal_seeds(
        box, spacing=2.46, n_grains=n_grains, jitter=0.05, rng=np.random.default_rng(n_grains)
    )
    assert nearest(seeds, box).min() >= 0.75 * 2.46
    assert triangulate(seeds, box).circumradii.max() < 2.46
    assert 0.88 < len(seeds) * 2.46**2 * np.sqrt(0.75) / box.prod() < 1.01


def test_more_grains_make_fewer_hexagons() -> None:
    box = np.array([70.0, 60.0])
    hexagons = [
        np.mean(
            voronoi_network(
                polycrystal_seeds(box, spacing=2.46, n_grains=n, jitter=0.01, rng=np.random.default_rng(2)),
                box,
            ).ring_sizes
            == 6
        )
        for n in (1, 30)
    ]
    assert 0.85 < hexagons[0] < 1
    assert 0.5 < hexagons[1] < hexagons[0] - 0.05


def test_inside_of_a_grain_is_a_lattice() -> None:
    box = np.array([52.0, 39.0])
    seeds = polycrystal_seeds(box, spacing=2.46, n_grains=1, jitter=0.0, rng=np.random.default_rng(0))
    assert np.mean(np.abs(nearest(seeds, box) - 2.46) < 1e-9) > 0.8


def test_jitter_displaces_by_its_width() -> None:
    box = np.array([52.0, 39.0])

    def spread(jitter: float) -> float:
        seeds = polycrystal_seeds(box, spacing=2.46, n_grains=1, jitter=jitter, rng=np.random.default_rng(0))
        pairs = cKDTree(seeds, boxsize=box).query_pairs(3.3, output_type="ndarray")
        vectors = seeds[pairs[:, 1]] - seeds[pairs[:, 0]]
        lengths = np.hypot(*(vectors - np.rint(vectors / box) * box).T)
        return float(np.median(np.abs(lengths - 2.46)))

    # Two independent displacements along the bond, and the median of a folded normal distribution.
    assert spread(0.08) == pytest.approx(0.08 * np.sqrt(2) * 0.6745, rel=0.15)
    assert spread(0.0) < 1e-9


def test_same_generator_same_polycrystal() -> None:
    def draw(seed: int) -> np.ndarray:
        return polycrystal_seeds(BOX, spacing=2.46, n_grains=3, jitter=0.1, rng=np.random.default_rng(seed))

    np.testing.assert_array_equal(draw(1), draw(1))
    assert not np.array_equal(draw(1)[:5], draw(2)[:5])


@pytest.mark.parametrize("min_size", [3, 4, 5])
def test_small_rings_go(min_size: int) -> None:
    seeds = np.random.default_rng(6).random((150, 2)) * BOX
    assert voronoi_network(seeds, BOX).ring_sizes.min() == 3
    kept = without_small_rings(seeds, BOX, min_size=min_size)
    sheet = voronoi_network(kept, BOX)
    assert sheet.ring_sizes.min() == min_size
    assert sheet.ring_sizes.sum() == 6 * len(kept)
    assert (kept[:, None] == seeds).all(axis=2).any(axis=1).all()
    if min_size == 3:
        np.testing.assert_array_equal(kept, seeds)


@pytest.mark.parametrize("spacing", [0.0, -1.0, np.nan, np.inf])
def test_bad_spacing(spacing: float) -> None:
    with pytest.raises(ValueError, match="spacing must be > 0 Å, got"):
        poisson_disk_seeds(BOX, spacing=spacing, rng=np.random.default_rng())
    with pytest.raises(ValueError, match="spacing must be > 0 Å, got"):
        polycrystal_seeds(BOX, spacing=spacing, n_grains=1, jitter=0, rng=np.random.default_rng())


def test_box_must_hold_four_spacings() -> None:
    with pytest.raises(ValueError, match=r"box must be at least 4 × spacing = 8 Å, got \[33.0, 7.0\]"):
        poisson_disk_seeds([33, 7], spacing=2.0, rng=np.random.default_rng())


def test_bad_numbers() -> None:
    rng = np.random.default_rng()
    with pytest.raises(ValueError, match="n_grains must be ≥ 1, got 0"):
        polycrystal_seeds(BOX, spacing=2.46, n_grains=0, jitter=0.1, rng=rng)
    with pytest.raises(ValueError, match=r"jitter must be ≥ 0 Å, got -0\.1"):
        polycrystal_seeds(BOX, spacing=2.46, n_grains=1, jitter=-0.1, rng=rng)
    with pytest.raises(ValueError, match="n_iterations must be ≥ 0, got -1"):
        relaxed_seeds([[1, 2]], BOX, n_iterations=-1)
    with pytest.raises(ValueError, match="min_size must be 3, 4 or 5, got 6"):
        without_small_rings([[1, 2]], BOX, min_size=6)
