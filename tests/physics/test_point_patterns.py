"""Pair distribution, shells and structure factor of point patterns that have closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.special import j0

from amorph2d.measures.pair_distribution import pair_distribution
from amorph2d.measures.shells import ShellParameters, find_shells
from amorph2d.measures.structure_factor import structure_factor
from amorph2d.measures.window import RectangularWindow

SHELLS = ShellParameters(n_shells=8, smoothing=0.0, min_prominence=0.1, significance=5.0)
# Squared distances of neighbours in units of the nearest one's, and how many there are.
SQUARE = {1: 4, 2: 4, 4: 4, 5: 8, 8: 4, 9: 4, 10: 8}
HONEYCOMB = {1: 3, 3: 6, 4: 3, 7: 6, 9: 6, 12: 6, 13: 6}
DENSITY = 0.08  # of discs of diameter 1


def lattice(name: str, nearest: float) -> tuple[np.ndarray, RectangularWindow]:
    """Positions in a window of whole cells, which has them at none of its edges."""
    if name == "square":
        cell, motif = np.array([1.0, 1.0]), np.array([[0.5, 0.5]])
    else:
        cell = np.array([np.sqrt(3), 3.0])
        motif = np.array([[0, 0], [np.sqrt(3) / 2, 0.5], [np.sqrt(3) / 2, 1.5], [0, 2]]) + 0.3
    shape = np.rint(np.array([150.0, 120.0]) / cell).astype(int)
    corners = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 1, 2)
    points = ((corners * cell + motif) * nearest).reshape(-1, 2)
    return points, RectangularWindow(0, 0, *(shape * cell * nearest))


def overlap(r: np.ndarray) -> np.ndarray:
    """Area common to two discs of radius 1 whose centres are r ≤ 2 apart."""
    half = np.minimum(r / 2, 1)
    return 2 * np.arccos(half) - r * np.sqrt(1 - half**2)


@pytest.fixture(scope="module")
def sequential_discs() -> tuple[np.ndarray, float]:
    """Discs of diameter 1, put down one by one where there was room, and the edge of their square."""
    edge = 2500.0
    rng = np.random.default_rng(0)
    points = rng.uniform(0, edge, (int(edge**2 * 0.0925), 2))
    pairs = cKDTree(points).query_pairs(1.0, output_type="ndarray")
    is_there = np.ones(len(points), bool)
    pairs = np.sort(pairs, axis=1)
    for earlier, later in pairs[np.lexsort((pairs[:, 0], pairs[:, 1]))].tolist():
        if is_there[earlier]:
            is_there[later] = False
    return points[is_there], edge


@pytest.mark.parametrize(("name", "counts"), [("square", SQUARE), ("honeycomb", HONEYCOMB)])
@pytest.mark.parametrize("nearest", [1.42, 2.6])
def test_shells_of_lattices(name: str, counts: dict[int, int], nearest: float) -> None:
    points, window = lattice(name, nearest)
    width = 0.02 * nearest
    found = pair_distribution(points, window, r_max=3.9 * nearest, bin_width=width)
    density = len(points) / window.area
    shells = find_shells(found.r, found.g, found.g_error, density=density, parameters=SHELLS)
    n = len(counts)
    np.testing.assert_allclose(shells.r_peak[:n], np.sqrt(list(counts)) * nearest, atol=0.51 * width)
    # The edge correction is the mean over directions, not that of the few directions of a shell.
    known = n if len(shells.n) > n else n - 1
    np.testing.assert_allclose(shells.n[:known], list(counts.values())[:known], rtol=0.008)


def test_pair_distribution_of_sequential_discs(sequential_discs: tuple[np.ndarray, float]) -> None:
    # A disc next to another blocks less further room than one far away: g = 1 + (2/3) ρ A(r) + O(ρ²), with
    # A the common area of the discs that two centres block; in equilibrium it would be 1 + ρ A(r). Widom, J.
    # Chem. Phys. 44, 3888 (1966); the factor follows from dρ₂/dρ = 2ρ (1 + ρ A).
    points, edge = sequential_discs
    assert len(points) / edge**2 == pytest.approx(DENSITY, rel=0.01)
    found = pair_distribution(points, RectangularWindow(0, 0, edge, edge), r_max=3.0, bin_width=0.05)
    assert (found.n_pairs[found.r < 1] == 0).all()
    is_near = (found.r > 1) & (found.r < 2)
    excess, weight = DENSITY * overlap(found.r[is_near]), found.n_expected[is_near]
    factor = (weight * excess * (found.g[is_near] - 1)).sum() / (weight * excess**2).sum()
    error = 1 / np.sqrt((weight * excess**2).sum())
    assert error < 0.06
    assert factor == pytest.approx(2 / 3, abs=3 * error + DENSITY)
    assert factor < 1 - 3 * error
    beyond = found.r > 2.1
    assert found.g[beyond] == pytest.approx(1, abs=0.02)


def test_structure_factor_of_sequential_discs(sequential_discs: tuple[np.ndarray, float]) -> None:
    # S = 1 + 2πρ ∫ (g − 1) r J₀(qr) dr with g of first order in ρ.
    points, _ = sequential_discs
    found = structure_factor(points, RectangularWindow(20, 30, 700, 560), q_max=10.0, q_step=0.1)
    r = (np.arange(2000) + 0.5) / 1000
    h = np.where(r < 1, -1, 2 / 3 * DENSITY * overlap(r))
    expected = 1 + 2 * np.pi * DENSITY * (h * r * j0(np.outer(found.q, r))).sum(axis=1) / 1000
    deviation = (found.s - expected) / np.hypot(found.s_error, 0.05 * DENSITY)
    assert np.abs(deviation).max() < 4
    assert found.s[1:6].mean() == pytest.approx(expected[1:6].mean(), abs=0.03)
    # Without what the discs exclude, S would be that of a gas.
    assert (np.abs(found.s - 1) / found.s_error)[:15].mean() > 5
