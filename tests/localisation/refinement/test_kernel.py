from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from amorph2d.localisation.refinement.kernel import (
    Kernel,
    add_equations,
    corrected,
    empty_kernel,
    overlap_table,
    transfer_at,
)


@pytest.fixture
def kernel(rng: np.random.Generator) -> Kernel:
    empty = empty_kernel(reach=4.0, max_frequency=1.0, order=3)
    return replace(empty, coefficients=rng.normal(size=empty.coefficients.shape))


def waves(rng: np.random.Generator, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    return rng.uniform(0, 0.7, n), rng.uniform(-0.7, 0.7, n)


def test_the_image_of_an_atom_is_real(kernel: Kernel, rng: np.random.Generator) -> None:
    kx, ky = waves(rng)
    there = transfer_at(kernel.coefficients, kernel.step, kx, ky)
    back = transfer_at(kernel.coefficients, kernel.step, -kx, -ky)
    assert np.allclose(there, back.conj())
    assert np.abs(there.imag).max() > 0.1


def test_coefficients_are_recovered_from_sources(kernel: Kernel, rng: np.random.Generator) -> None:
    kx, ky = waves(rng)
    sources = rng.normal(size=len(kx)) + 1j * rng.normal(size=len(kx))
    residual = sources * transfer_at(kernel.coefficients, kernel.step, kx, ky)
    size = kernel.coefficients.size
    matrix, vector = np.zeros((size, size)), np.zeros(size)
    n_angular = kernel.coefficients.shape[1]
    add_equations(kx, ky, np.ones(len(kx)), sources, residual, kernel.step, n_angular, matrix, vector)
    start = empty_kernel(reach=4.0, max_frequency=1.0, order=3)
    found = transfer_at(corrected(start, matrix, vector, 1e-9).coefficients, kernel.step, kx, ky)
    is_known = (np.hypot(kx, ky) > 0.2) & (np.hypot(kx, ky) < 0.7)
    expected = transfer_at(kernel.coefficients, kernel.step, kx, ky)
    assert np.allclose(found[is_known], expected[is_known], atol=0.05)


def test_nothing_changes_without_sources(kernel: Kernel) -> None:
    size = kernel.coefficients.size
    assert corrected(kernel, np.zeros((size, size)), np.zeros(size), 1e-3) is kernel


def test_overlap_is_that_of_gaussians() -> None:
    # exp(-πq²) is its own transform: the overlap of two such atoms is exp(-πd²/2)/2.
    kernel = empty_kernel(reach=6.0, max_frequency=2.0, order=0)
    q = np.linspace(0, 1.99, 400)
    basis = np.column_stack(
        [transfer_at(row[:, None], kernel.step, q, 0 * q).real for row in np.eye(len(kernel.coefficients))]
    )
    wanted = np.linalg.lstsq(basis, np.exp(-np.pi * q**2))[0]
    kernel = replace(kernel, coefficients=wanted[:, None])
    table = overlap_table(kernel, reach=3.0, step=0.125)
    half = len(table) // 2
    d = np.arange(0, 17) * 0.125
    expected = np.exp(-np.pi * d**2 / 2) / 2
    row = table[half, half : half + 17]
    assert np.allclose(row[:, 0], expected, atol=1e-3)
    assert np.allclose(row[:, 1], -np.pi * d * expected, atol=5e-3)
    assert np.allclose(row[:, 3], (np.pi**2 * d**2 - np.pi) * expected, atol=2e-2)
    assert np.allclose(table[:, :, 2], table[:, :, 1].T, atol=1e-5)
    assert np.allclose(kernel.profile(d), np.exp(-np.pi * d**2), atol=1e-3)


def test_noise_lowers_the_overlap() -> None:
    kernel = empty_kernel(reach=4.0, max_frequency=1.0, order=0)
    kernel = replace(kernel, coefficients=np.ones_like(kernel.coefficients))
    quiet, loud = (
        overlap_table(replace(kernel, noise=np.full(2, noise)), reach=2.0, step=0.2) for noise in (1.0, 4.0)
    )
    assert np.allclose(quiet, 4 * loud, atol=1e-4)
