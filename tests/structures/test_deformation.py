from __future__ import annotations

import numpy as np
import pytest

from amorph2d.structures.deformation import ripple, strain_field, stretched
from amorph2d.structures.lattices import honeycomb_sheet
from amorph2d.structures.network import RingedSheet, bond_vectors, ring_areas
from amorph2d.structures.periodic import shortest_image

BOX = np.array([70.0, 110.0])


def grid(n_x: int = 64, n_y: int = 96) -> np.ndarray:
    indices = np.stack(np.meshgrid(np.arange(n_x), np.arange(n_y), indexing="ij"), axis=-1)
    return (indices / [n_x, n_y] * BOX).reshape(-1, 2)


@pytest.mark.parametrize("seed", range(3))
def test_ripple_has_its_amplitude_and_wavelength(seed: int) -> None:
    heights = ripple(grid(), BOX, amplitude=0.8, wavelength=18.0, rng=np.random.default_rng(seed))
    assert heights.mean() == pytest.approx(0, abs=1e-12)
    assert heights.std() == pytest.approx(0.8)
    power = np.abs(np.fft.fft2(heights.reshape(64, 96))) ** 2
    frequency = np.hypot(
        *np.meshgrid(np.fft.fftfreq(64, BOX[0] / 64), np.fft.fftfreq(96, BOX[1] / 96), indexing="ij")
    )
    is_there = power > 1e-9 * power.max()
    assert 1 / frequency[is_there].max() > 18.0 * 0.7
    assert 1 / frequency[is_there].min() < 18.0 * 1.4
    assert is_there.sum() > 40


def test_ripple_is_periodic() -> None:
    points = np.random.default_rng(0).uniform(0, 1, (50, 2)) * BOX
    images = np.concatenate([points, points + BOX * [1, 0], points - BOX * [2, 3]])
    heights = ripple(images, BOX, amplitude=1.0, wavelength=25.0, rng=np.random.default_rng(1)).reshape(3, 50)
    np.testing.assert_allclose(heights[1:], np.tile(heights[0], (2, 1)), atol=1e-9)


def test_ripple_longer_than_the_box_is_the_longest_that_fits() -> None:
    heights = ripple(grid(), BOX, amplitude=1.0, wavelength=400.0, rng=np.random.default_rng(1))
    rows = heights.reshape(64, 96)
    np.testing.assert_allclose(rows, np.tile(rows[0], (64, 1)), atol=1e-9)  # along y, the longer edge
    assert np.abs(np.fft.fft(rows[0]))[2:-1].max() < 1e-9


def test_no_ripple_and_no_atoms() -> None:
    rng = np.random.default_rng(0)
    assert (ripple(grid(), BOX, amplitude=0.0, wavelength=20.0, rng=rng) == 0).all()
    assert ripple([], BOX, amplitude=1.0, wavelength=20.0, rng=rng).shape == (0,)
    assert ripple([[3.0, 4.0]], BOX, amplitude=1.0, wavelength=20.0, rng=rng).tolist() == [0.0]


def test_strain_field_has_the_strain_asked_for() -> None:
    sheet = honeycomb_sheet(BOX, bond_length=1.42, rotation=0.0)
    strained = strain_field(sheet, amplitude=0.01, wavelength=40.0, rng=np.random.default_rng(2))
    # The strain tensor around each ring from how its six corners moved: u = F r by least squares.
    corners = sheet.ring_members.reshape(-1, 6)
    arms = shortest_image(sheet.positions[corners] - sheet.ring_centres[:, None], sheet.box)
    after = shortest_image(strained.positions[corners] - strained.ring_centres[:, None], sheet.box)
    gradients = np.linalg.pinv(arms) @ (after - arms)
    strains = np.linalg.eigvalsh((gradients + gradients.transpose(0, 2, 1)) / 2)
    assert np.sqrt((strains**2).mean()) == pytest.approx(0.01, rel=0.02)


def test_strain_field_keeps_box_and_topology(relaxed: RingedSheet) -> None:
    strained = strain_field(relaxed, amplitude=0.03, wavelength=15.0, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(strained.bonds, relaxed.bonds)
    np.testing.assert_array_equal(strained.box, relaxed.box)
    areas = ring_areas(strained)
    assert (areas > 0).all()
    assert areas.sum() == pytest.approx(relaxed.box.prod())
    shift = shortest_image(strained.ring_centres - relaxed.ring_centres, relaxed.box)
    members = relaxed.ring_members, relaxed.ring_offsets[:-1]
    moves = shortest_image(strained.positions - relaxed.positions, relaxed.box)
    means = np.add.reduceat(moves[members[0]], members[1]) / relaxed.ring_sizes[:, None]
    np.testing.assert_allclose(shift, means, atol=0.05)
    assert np.hypot(*shift.T).max() > 0.05


def test_no_strain_moves_nothing(relaxed: RingedSheet) -> None:
    same = strain_field(relaxed, amplitude=0.0, wavelength=15.0, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(same.positions, relaxed.positions)


def test_uniform_strain_is_exact(relaxed: RingedSheet) -> None:
    strained = stretched(relaxed, strain_x=0.02, strain_y=-0.01)
    np.testing.assert_allclose(strained.box, relaxed.box * [1.02, 0.99])
    np.testing.assert_allclose(bond_vectors(strained), bond_vectors(relaxed) * [1.02, 0.99], atol=1e-9)
    np.testing.assert_allclose(strained.ring_centres, relaxed.ring_centres * [1.02, 0.99], atol=1e-9)


def test_errors(relaxed: RingedSheet) -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="amplitude must be ≥ 0 Å, got -1"):
        ripple(grid(), BOX, amplitude=-1, wavelength=10.0, rng=rng)
    with pytest.raises(ValueError, match="wavelength must be > 0 Å, got 0"):
        ripple(grid(), BOX, amplitude=1.0, wavelength=0, rng=rng)
    with pytest.raises(ValueError, match="amplitude must be ≥ 0, got -1"):
        strain_field(relaxed, amplitude=-1, wavelength=10.0, rng=rng)
    with pytest.raises(ValueError, match="strain_y must be > -1, got -1"):
        stretched(relaxed, strain_x=0.0, strain_y=-1)
