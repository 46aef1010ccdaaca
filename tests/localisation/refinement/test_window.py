from __future__ import annotations

import numpy as np
import pytest

from amorph2d.localisation.refinement.grid import NOISE_STEP, Grid
from amorph2d.localisation.refinement.window import Window, slow_background


def make_window(values: np.ndarray, sampling: tuple[float, float] = (0.2, 0.25)) -> Window:
    grid = Grid(values.shape, sampling, room=4.0, max_frequency=1.2)
    return Window(values.astype(np.float32), np.ones(values.shape, np.float32), grid, background=5.0)


def test_background_of_a_slope_is_the_slope_in_the_middle() -> None:
    rows, columns = np.mgrid[:210, :180]
    slope = (50 + 0.1 * rows - 0.05 * columns).astype(np.float32)
    slow = slow_background(slope, (0.2, 0.2), 4.0)
    assert np.allclose(slow[80:130, 80:100], slope[80:130, 80:100], atol=0.1)


def test_background_leaves_atoms_alone() -> None:
    rows, columns = np.mgrid[:200, :150]
    wave = np.cos(2 * np.pi * 0.2 * rows / 2.1) + 0 * columns
    assert np.abs(slow_background(wave.astype(np.float32), (0.2, 0.2), 5.0)[60:140]).max() < 0.01


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (101, 7)])
def test_background_of_a_constant_is_the_constant(shape: tuple[int, int]) -> None:
    assert np.allclose(slow_background(np.full(shape, 7.0, np.float32), (0.2, 0.3), 5.0), 7.0, rtol=1e-5)


def test_pixels_and_weights_of_positions() -> None:
    window = make_window(np.zeros((20, 30)))
    window.weight[4, 8] = 0.5
    positions = np.array([[2.0, 0.8], [-1.0, 0.0], [0.0, 0.0]])
    assert np.allclose(window.pixels_of(positions)[0], [4, 8])
    assert np.allclose(window.weights_at(positions), [0.5, 0.0, 1.0])


def test_white_noise_has_its_power_in_every_ring(rng: np.random.Generator) -> None:
    window = make_window(rng.normal(0, 3.0, (200, 240)))
    power, count = window.grid.power(window.residual(None, None))
    rings = slice(round(0.3 / NOISE_STEP), round(1.8 / NOISE_STEP))
    density = power[rings] / count[rings] / window.covered
    # Power per area: the variance of a pixel times its area.
    assert np.allclose(density, 9.0 * 0.2 * 0.25, rtol=0.15)
