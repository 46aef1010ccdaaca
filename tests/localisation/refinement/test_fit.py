from __future__ import annotations

import numpy as np
import pytest

from amorph2d.localisation.refinement.fit import covariances, normal_blocks, pairs_within, solve

STEP = 0.1


def gaussian_table(reach: float = 4.0) -> np.ndarray:
    """Overlap exp(-d²/2) and its derivatives."""
    axis = np.arange(-round(reach / STEP) - 1, round(reach / STEP) + 2) * STEP
    y, x = axis[:, None], axis[None, :]
    h = np.exp(-(x**2 + y**2) / 2)
    table = np.stack([h, -x * h, -y * h, (x**2 - 1) * h, x * y * h, (y**2 - 1) * h], axis=-1)
    return table.astype(np.float32)


def full_matrix(diagonal: np.ndarray, pairs: np.ndarray, off: np.ndarray) -> np.ndarray:
    n = len(diagonal)
    matrix = np.zeros((n, 3, n, 3))
    for i in range(n):
        matrix[i, :, i] = diagonal[i]
    for (i, j), block in zip(pairs, off, strict=True):
        matrix[i, :, j], matrix[j, :, i] = block, block.T
    return matrix.reshape(3 * n, 3 * n)


@pytest.fixture
def problem(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    grid = np.stack(np.meshgrid(np.arange(4), np.arange(3)), axis=-1).reshape(-1, 2) * 1.4
    positions = grid + rng.normal(0, 0.1, grid.shape)
    amplitudes = rng.uniform(0.8, 1.2, len(grid))
    pairs = pairs_within(positions, 3.9)
    precision = np.tile([2.0, 3.0, 3.0], (len(grid), 1))
    blocks = normal_blocks(
        positions, amplitudes, np.ones(len(grid)), pairs, gaussian_table(), STEP, precision
    )
    return positions, amplitudes, pairs, *blocks


def test_pairs_are_those_of_brute_force(rng: np.random.Generator) -> None:
    points = rng.uniform(-3, 17, (300, 2)) * [1.0, 0.4]
    found = {tuple(pair) for pair in pairs_within(points, 1.7)}
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    assert found == {tuple(pair) for pair in np.argwhere(np.triu(distances < 1.7, 1))}


def test_dense_points_need_more_room_for_pairs() -> None:
    assert len(pairs_within(np.zeros((100, 2)), 1.0)) == 4950


def test_no_points_have_no_pairs() -> None:
    assert pairs_within(np.empty((0, 2)), 1.0).shape == (0, 2)
    assert pairs_within(np.zeros((1, 2)), 1.0).shape == (0, 2)


def test_normal_matrix_is_that_of_numerical_derivatives(problem: tuple[np.ndarray, ...]) -> None:
    positions, amplitudes, pairs, diagonal, off = problem
    matrix = full_matrix(diagonal, pairs, off)

    def overlap(state: np.ndarray, other: np.ndarray) -> float:
        """Overlap of two images Σ a exp(-|r - rᵢ|²): each pair's is a b exp(-d²/2)."""
        d = np.linalg.norm(state[:, None, 1:] - other[None, :, 1:], axis=-1)
        return float(state[:, 0] @ np.exp(-(d**2) / 2) @ other[:, 0])

    state = np.column_stack([amplitudes, positions])
    step = 1e-3
    for (i, s), (j, t) in (
        ((0, 0), (1, 1)),
        ((0, 1), (1, 0)),
        ((5, 1), (6, 2)),
        ((2, 2), (5, 1)),
        ((4, 2), (4, 2)),
    ):
        value = 0.0
        for p in (-1, 1):
            for q in (-1, 1):
                one, two = state.copy(), state.copy()
                one[i, s] += p * step
                two[j, t] += q * step
                value += p * q * overlap(one, two) / (4 * step**2)
        prior = [2.0, 3.0, 3.0][s] if (i, s) == (j, t) else 0.0
        assert matrix[3 * i + s, 3 * j + t] == pytest.approx(value + prior, abs=2e-2)


def test_weights_scale_the_information_but_not_the_prior(problem: tuple[np.ndarray, ...]) -> None:
    positions, amplitudes, pairs, diagonal, off = problem
    precision = np.tile([2.0, 3.0, 3.0], (len(positions), 1))
    less = normal_blocks(
        positions, amplitudes, np.full(len(positions), 0.25), pairs, gaussian_table(), STEP, precision
    )
    prior = np.diag([2.0, 3.0, 3.0])
    assert np.allclose(less[0] - prior, 0.25 * (diagonal - prior), atol=1e-5)
    assert np.allclose(less[1], 0.25 * off, atol=1e-6)


def test_conjugate_gradients_solve(problem: tuple[np.ndarray, ...], rng: np.random.Generator) -> None:
    _, _, pairs, diagonal, off = problem
    gradient = rng.normal(size=(len(diagonal), 3))
    expected = np.linalg.solve(full_matrix(diagonal, pairs, off), gradient.ravel()).reshape(-1, 3)
    assert np.allclose(solve(diagonal, pairs, off, gradient, 40), expected, atol=1e-3)
    assert np.array_equal(solve(diagonal, pairs, off, np.zeros_like(gradient), 5), np.zeros_like(gradient))


def test_covariances_are_blocks_of_the_inverse(problem: tuple[np.ndarray, ...]) -> None:
    positions, _, pairs, diagonal, off = problem
    inverse = np.linalg.inv(full_matrix(diagonal, pairs, off)).reshape(len(positions), 3, -1, 3)
    found = covariances(positions, pairs, diagonal, off, 100.0)
    for i in range(len(positions)):
        assert np.allclose(found[i], inverse[i, :, i], rtol=1e-3, atol=1e-4)
    # Neighbours that count as known leave less doubt, and an atom by itself the least.
    near, alone = (covariances(positions, pairs, diagonal, off, reach) for reach in (1.8, 0.1))
    trace = [np.trace(each, axis1=1, axis2=2) for each in (alone, near, found)]
    assert (trace[0] < trace[1] + 1e-9).all()
    assert (trace[1] < trace[2] + 1e-9).all()
    assert np.allclose(alone, np.linalg.inv(diagonal), rtol=1e-3)


def test_a_matrix_that_is_not_definite_gives_finite_answers(problem: tuple[np.ndarray, ...]) -> None:
    positions, _, pairs, diagonal, off = problem
    assert np.isfinite(covariances(positions, pairs, diagonal, 5 * off, 3.0)).all()
    assert np.isfinite(solve(diagonal, pairs, 5 * off, np.ones((len(diagonal), 3)), 10)).all()
