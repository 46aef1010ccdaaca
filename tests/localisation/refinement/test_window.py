from __future__ import annotations

import numpy as np

from amorph2d.localisation.refinement.grid import NOISE_STEP, Grid
from amorph2d.localisation.refinement.window import Window


def make_window(values: np.ndarray, sampling: tuple[float, float] = (0.2, 0.25)) -> Window:
    grid = Grid(values.shape, sampling, room=4.0, max_frequency=1.2)
    return Window(values.astype(np.float32), np.ones(values.shape, np.float32), grid, background=5.0)


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
