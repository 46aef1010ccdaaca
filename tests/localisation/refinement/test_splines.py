from __future__ import annotations

import numpy as np
from scipy import fft

from amorph2d.localisation.refinement.splines import sample, spline_transfer, spread


def test_sources_have_the_weight_they_are_given() -> None:
    grid = np.zeros((16, 20), dtype=np.float32)
    spread(grid, np.array([[3.2, 7.9], [0.4, 19.6]]), np.array([2.0, -0.5]))
    assert np.isclose(grid.sum(), 1.5, atol=1e-6)


def test_a_source_on_a_pixel_is_a_symmetric_spline() -> None:
    grid = np.zeros((15, 15), dtype=np.float32)
    spread(grid, np.array([[7.0, 7.0]]), np.ones(1))
    assert np.isclose(grid[7, 7], (66 / 120) ** 2)
    assert np.allclose(grid, grid[::-1, ::-1], atol=1e-7)
    assert np.allclose(grid, grid.T, atol=1e-7)


def test_prefiltered_splines_give_wave_and_slopes_between_the_pixels() -> None:
    n, m = 24, 40
    rows, columns = np.mgrid[:n, :m]
    phase = 2 * np.pi * (2 * rows / n + 3 * columns / m)
    spectrum = fft.rfft2(np.cos(phase))
    spectrum /= spline_transfer(fft.fftfreq(n))[:, None] * spline_transfer(fft.rfftfreq(m))[None, :]
    splines = fft.irfft2(spectrum, s=(n, m)).astype(np.float32)
    places = np.array([[5.3, 11.8], [0.1, 39.7], [23.5, 0.0]])
    result = np.empty((3, 3))
    sample(splines, places, result)
    at = 2 * np.pi * (2 * places[:, 0] / n + 3 * places[:, 1] / m)
    assert np.allclose(result[:, 0], np.cos(at), atol=1e-4)
    assert np.allclose(result[:, 1], -np.sin(at) * 2 * np.pi * 3 / m, atol=1e-4)
    assert np.allclose(result[:, 2], -np.sin(at) * 2 * np.pi * 2 / n, atol=1e-4)


def test_spreading_is_the_adjoint_of_sampling(rng: np.random.Generator) -> None:
    grid, sources = rng.normal(size=(12, 14)).astype(np.float32), np.zeros((12, 14), dtype=np.float32)
    places, strengths = rng.uniform(0, 12, (5, 2)), rng.normal(size=5)
    values = np.empty((5, 3))
    sample(grid, places, values)
    spread(sources, places, strengths)
    assert np.isclose((grid * sources).sum(), strengths @ values[:, 0], rtol=1e-4)
