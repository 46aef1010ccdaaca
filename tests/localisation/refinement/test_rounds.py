from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from amorph2d.localisation.refinement.grid import Grid
from amorph2d.localisation.refinement.rounds import (
    Atoms,
    Priors,
    Stepper,
    band_limit,
    estimate_kernel,
    measured_noise,
)
from amorph2d.localisation.refinement.window import Window


def window_of(sheet: Any, parameters: Any) -> Window:
    limit = band_limit(sheet.sampling, parameters)
    grid = Grid(sheet.shape, sheet.sampling, room=parameters.kernel_reach, max_frequency=limit)
    ramps = [
        np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) * step / 3.0, 0, 1)
        for n, step in zip(sheet.shape, sheet.sampling, strict=True)
    ]
    weight = np.outer(*ramps).astype(np.float32)
    return Window(sheet.image, weight, grid, background=parameters.background)


def spot(radii: np.ndarray) -> np.ndarray:
    square = (radii / 0.45) ** 2
    return 10 * (1 - square / 2) * np.exp(-square / 2)


@pytest.mark.parametrize("polarity", [1.0, -1.0])
def test_kernel_is_the_image_of_an_atom(
    sheet_of: Callable[..., Any], refinement_of: Callable[..., Any], polarity: float
) -> None:
    sheet, parameters = sheet_of(polarity=polarity, noise=0.1, network=0.02), refinement_of()
    kernel, explained = estimate_kernel([window_of(sheet, parameters)], [sheet.atoms], parameters)
    radii = np.arange(0, 1.6, 0.1)
    assert np.allclose(kernel.profile(radii), polarity * spot(radii), atol=0.8)
    assert explained > 0.9


def test_rounds_sharpen_a_kernel_that_wrong_positions_blurred(
    sheet_of: Callable[..., Any], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of(noise=0.1, network=0.1)
    heights = []
    for n_rounds in (1, 5):
        parameters = refinement_of(n_kernel_rounds=n_rounds, position_prior=0.1)
        kernel, _ = estimate_kernel([window_of(sheet, parameters)], [sheet.start], parameters)
        heights.append(kernel.profile(np.zeros(1))[0])
    assert heights[0] < heights[1] < 10.5
    assert abs(heights[1] - 10) < 0.6 * abs(heights[0] - 10)


def test_noise_is_measured(sheet_of: Callable[..., Any], refinement_of: Callable[..., Any]) -> None:
    sheet, parameters = sheet_of(noise=0.3), refinement_of()
    kernel, _ = estimate_kernel([window_of(sheet, parameters)], [sheet.start], parameters)
    assert np.allclose(kernel.noise_at(np.linspace(0.3, 1.2, 9)), 3.0**2 * 0.04, rtol=0.25)


def test_noise_never_falls_below_that_of_higher_frequencies(
    sheet_of: Callable[..., Any], refinement_of: Callable[..., Any]
) -> None:
    sheet, parameters = sheet_of(noise=0.3), refinement_of()
    window = window_of(sheet, parameters)
    residual = window.residual(None, None)
    residual[window.grid.rings < 15] = 0  # as if atoms had been fitted to the noise
    noise = measured_noise([window], [residual])
    assert noise[:10].min() > 0.8 * np.median(noise[20:])


def test_prior_pulls_outliers_less(refinement_of: Callable[..., Any]) -> None:
    atoms = Atoms.at(np.zeros((2, 2)))
    atoms.positions[1] = [0.3, 0.0]
    student, normal = (Priors(0.05, 0.1, freedom).precision(atoms) for freedom in (4.0, 1e9))
    assert np.allclose(normal[:, 1], 400)
    assert student[1, 1] < 0.2 * student[0, 1]
    assert np.array_equal(student[:, 1], student[:, 2])


def test_amplitudes_of_added_atoms_are_free(refinement_of: Callable[..., Any]) -> None:
    atoms = Atoms.at(np.array([[0.0, 0.0], [2.0, 0.0]])).changed(
        np.array([True, False]), np.array([[1.0, 1.0]])
    )
    assert np.array_equal(atoms.positions, [[0.0, 0.0], [1.0, 1.0]])
    assert np.array_equal(atoms.pairs, [[0, 1]])
    precision = Priors(0.05, 0.1, 4.0).precision(atoms)
    assert precision[1, 0] < 0.01 * precision[0, 0]


def test_steps_end_at_the_truth_without_noise(
    sheet_of: Callable[..., Any], refinement_of: Callable[..., Any]
) -> None:
    sheet = sheet_of(noise=0.02, network=0.08)
    parameters = refinement_of(n_kernel_rounds=6, position_prior=0.2)
    window = window_of(sheet, parameters)
    kernel, _ = estimate_kernel([window], [sheet.start], parameters)
    stepper, spectra, atoms = Stepper(kernel, parameters), window.grid.spectra(kernel), Atoms.at(sheet.start)
    for _ in range(6):
        residual = window.residual(spectra, window.sources(atoms.positions, atoms.amplitudes))
        atoms = stepper.moved(window, atoms, spectra, residual)
    errors = (atoms.positions - sheet.atoms)[sheet.inner(4.0)]
    assert np.sqrt((errors**2).mean()) < 0.015
