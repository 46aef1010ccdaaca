import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from scipy.special import j0

from amorph2d.measures.mask_window import MaskWindow
from amorph2d.measures.pair_distribution import pair_distribution
from amorph2d.measures.structure_factor import (
    STRUCTURE_FACTOR_COLUMNS,
    STRUCTURE_FACTOR_UNITS,
    StructureFactorParameters,
    _Tile,
    structure_factor,
    structure_factor_table,
)
from amorph2d.measures.window import RectangularWindow
from strategies import honeycomb, make_sites, rotate

WINDOW = RectangularWindow(-40, 200, 60, 280)
BINS = {"q_max": 4.0, "q_step": 0.2}


def gas(n=1500, seed=0, window=WINDOW):
    rng = np.random.default_rng(seed)
    return rng.uniform((window.x0, window.y0), (window.x1, window.y1), (n, 2))


def odd_window():
    mask = np.zeros((180, 300), dtype=bool)
    mask[:60, :70] = mask[40:, 50:110] = mask[150:, :] = mask[:, 280:] = True
    mask[90:110, 60:90] = False
    return MaskWindow(mask, (0.5, 0.3)), RectangularWindow(-0.15, -0.25, 89.85, 89.75)


def test_fourier_sums_are_those_of_the_definition():
    tile = _Tile(np.array([31.0, 17.0]), 9.0)
    points = np.random.default_rng(0).uniform(0, 1, (50, 2)) * tile.edges
    points[0] = 0.01  # spread beyond the corner
    weights = np.sin(np.pi * points / tile.edges).prod(axis=1)
    rows, columns = tile.modes
    q_y, q_x = 2 * np.pi * rows / 17, 2 * np.pi * columns / 31
    phase = q_y[:, None, None] * points[:, 1] + q_x[:, None] * points[:, 0]
    exact = np.exp(-1j * phase) @ weights
    assert np.abs(tile.scatter(points) - exact).max() < 1e-4 * weights.sum()
    np.testing.assert_allclose(tile.q, np.hypot(q_y[:, None], q_x))


def test_ideal_gas_is_1_at_small_q_and_only_where_the_window_is_subtracted():
    found = [structure_factor(gas(seed=seed), WINDOW, **BINS) for seed in range(40)]
    s, error = np.array([each.s for each in found]), np.mean([each.s_error for each in found], axis=0)
    assert (np.abs(s.mean(axis=0) - 1) < 4 * error / np.sqrt(40)).all()
    assert s.mean() == pytest.approx(1, abs=0.01)
    naive = structure_factor(gas(), WINDOW, **BINS, subtract_window=False)
    assert naive.s[0] > 5


@pytest.mark.parametrize("q_step", [0.1, 0.3])
def test_errors_of_an_ideal_gas_are_its_scatter(q_step):
    window = RectangularWindow(0, 0, 150, 110)
    found = [
        structure_factor(gas(1500, seed, window), window, q_max=3.0, q_step=q_step) for seed in range(40)
    ]
    scatter = np.std([each.s for each in found], axis=0, ddof=1)
    ratio = scatter / np.mean([each.s_error for each in found], axis=0)
    assert ratio[1:].mean() == pytest.approx(0.95, abs=0.1)


def test_ideal_gas_in_a_mask():
    window, box = odd_window()
    found = [structure_factor(gas(3000, seed, box), window, **BINS) for seed in range(20)]
    s = np.array([each.s for each in found])
    assert (np.abs(s.mean(axis=0) - 1) < 4 * s.std(axis=0, ddof=1) / np.sqrt(20)).all()
    naive = structure_factor(gas(3000, 0, box), window, **BINS, subtract_window=False)
    assert naive.s[0] > 5


def test_a_mask_that_is_a_rectangle_is_one():
    mask = np.zeros((300, 400), dtype=bool)
    mask[17:291, 40:377] = True
    rectangle = RectangularWindow(39.5 * 0.3, 16.5 * 0.4, 376.5 * 0.3, 290.5 * 0.4)
    points = gas(2000, 0, RectangularWindow(0, 0, 119, 119))
    by_mask = structure_factor(points, MaskWindow(mask, (0.4, 0.3)), q_max=4.0, q_step=0.4)
    by_rectangle = structure_factor(points, rectangle, q_max=4.0, q_step=0.4)
    np.testing.assert_allclose(by_mask.s, by_rectangle.s, rtol=1e-4)
    np.testing.assert_allclose(by_mask.s_error, by_rectangle.s_error, rtol=1e-4)


def peak(s, q, at):
    """Integral of (S − 1) q over the bins around a peak."""
    near = np.abs(q - at) < 0.4
    return ((s[near] - 1) * q[near]).sum() * (q[1] - q[0])


@pytest.mark.parametrize("turn", [0.0, 23.0])
def test_peaks_of_a_square_lattice(turn):
    # (2π)² ρ Σ_G δ²(q − G): over a circle of radius G with m vectors, ∫ S q dq = 2π ρ m.
    x, y = np.meshgrid(np.arange(-70, 71) * 2.0, np.arange(-70, 71) * 2.0)
    atoms = rotate(np.stack([x.ravel(), y.ravel()], axis=1), turn) + 0.3
    found = structure_factor(atoms, RectangularWindow(-80, -60, 80, 60), q_max=5.0, q_step=0.1)
    for at, vectors in ((np.pi, 4), (np.pi * np.sqrt(2), 4)):
        expected = 2 * np.pi * 0.25 * vectors - 0.8 * at  # of −1 between q ± 0.4
        assert peak(found.s, found.q, at) == pytest.approx(expected, rel=0.02)
    between = (np.abs(found.q - np.pi) > 0.4) & (np.abs(found.q - np.pi * np.sqrt(2)) > 0.4)
    assert (found.s[between] < 0.15).all()


def test_peaks_of_graphene():
    # The two atoms of a cell, |1 + exp(iG·d)|²/4: 1/4 at the first six vectors, 1 at the next six.
    atoms, _, box = honeycomb(50, 30)
    window = RectangularWindow(3, 3, *(box - 3))
    found = structure_factor(atoms, window, q_max=6.0, q_step=0.1)
    density, first = 4 / (3 * np.sqrt(3) * 1.42**2), 4 * np.pi / (3 * 1.42)
    for at, weight in ((first, 0.25), (first * np.sqrt(3), 1.0)):
        expected = 2 * np.pi * density * 6 * weight - 0.8 * at
        assert peak(found.s, found.q, at) == pytest.approx(expected, rel=0.03)


def test_height_of_a_peak_grows_with_the_number_of_positions():
    heights = []
    for n in (20, 40):  # the bins, and so the tiles, grow with the window
        atoms, _, box = honeycomb(2 * n, n)
        step = 8 * np.pi / box.max()
        found = structure_factor(atoms, RectangularWindow(0, 0, *box), q_max=6.0, q_step=step / 4)
        heights.append(np.nanmax(found.s * found.q) / len(atoms))
    # In bins as wide as a peak, that is as 1/√N, the mean over a ring q dq grows with √N.
    assert heights[0] / heights[1] == pytest.approx(2, rel=0.15)


def transformed(points, window, q, r_max=60.0):
    """S and its error by the transform of g(r), ended by Lorch's factor."""
    found = pair_distribution(points, window, r_max=r_max, bin_width=0.02)
    density = len(points) / window.area
    weight = 2 * np.pi * density * found.r * 0.02 * np.sinc(found.r / r_max) * j0(np.outer(q, found.r))
    return 1 + weight @ (found.g - 1), np.sqrt(weight**2 @ found.g_error**2)


def test_even_density_is_told_from_a_gas_better_than_by_the_pair_distribution():
    # Positions displaced from a lattice by a Gaussian: S = 1 − exp(−q²σ²) below the first reciprocal vector.
    atoms, _, box = honeycomb(70, 40)
    atoms = atoms + np.random.default_rng(1).normal(0, 0.15, atoms.shape)
    window = RectangularWindow(5, 5, *(box - 5))
    atoms = atoms[window.contains(atoms)]
    found = structure_factor(atoms, window, q_max=2.4, q_step=0.1)
    expected = 1 - np.exp(-(found.q**2) * 0.15**2)
    bound = 1.42 * 2 * window.sides.sum() / window.area
    assert (np.abs(found.s - expected) < bound + 4 * found.s_error).all()
    assert found.s_error[5] < 0.2 * expected[5]
    by_pairs, error = transformed(atoms, window, found.q)
    assert np.abs(by_pairs - expected).max() > 10 * np.abs(found.s - expected).max()
    assert error[5] > 5 * expected[5]


def test_clusters():
    # Poisson parents with a Poisson number, mean 5, of Gaussian offspring: S = 1 + 5 exp(−q²σ²), Thomas 1949.
    rng = np.random.default_rng(0)
    parents = rng.uniform(-10, 210, (rng.poisson(0.05 * 220**2), 2))
    n = rng.poisson(5, len(parents))
    points = np.repeat(parents, n, axis=0) + rng.normal(0, 1, (n.sum(), 2))
    found = structure_factor(points, RectangularWindow(0, 0, 200, 200), q_max=4.0, q_step=0.2)
    deviation = (found.s - 1 - 5 * np.exp(-(found.q**2))) / found.s_error
    assert (np.abs(deviation) < 4).all()
    assert 0.4 < np.sqrt(np.mean(deviation**2)) < 1.6


def test_neither_place_nor_order_nor_strangers_matter():
    points = gas(400)
    found = structure_factor(points, WINDOW, **BINS)
    moved = RectangularWindow(-37, 150, 63, 230)
    np.testing.assert_allclose(
        structure_factor(points[::-1] + np.array([3, -50]), moved, **BINS).s, found.s, rtol=1e-3
    )
    more = np.concatenate([points, points + np.array([150, 0]), points - [0, 90]])
    np.testing.assert_array_equal(structure_factor(more, WINDOW, **BINS).s, found.s)


@pytest.mark.parametrize("window", [WINDOW, MaskWindow(np.zeros((3, 4), bool), 0.1)])
def test_no_positions(window):
    found = structure_factor([], window, **BINS)
    assert len(found.q) == 20
    assert np.isnan(found.s).all()
    assert np.isnan(found.s_error).all()


def test_a_single_position_scatters_evenly():
    found = structure_factor([[10.0, 240.0]], WINDOW, **BINS)
    np.testing.assert_allclose(found.s[5:], 1, rtol=0.2)


def test_bins_that_the_window_does_not_resolve_are_nan():
    tiny = RectangularWindow(0, 0, 5, 4)
    found = structure_factor(gas(30, 0, tiny), tiny, q_max=3.0, q_step=0.1)
    assert np.isnan(found.s[0])
    assert np.isnan(found.s_error[0])
    assert np.isfinite(found.s).any()


@pytest.mark.parametrize(("name", "value"), [("q_max", 0.0), ("q_step", -0.1), ("q_max", np.nan)])
def test_refuses_bins_without_width(name, value):
    with pytest.raises(ValueError, match=f"{name} must be > 0 1/Å, got {value}"):
        structure_factor(gas(5), WINDOW, **(BINS | {name: value}))


def test_refuses_other_windows():
    with pytest.raises(TypeError, match="window must be a rectangle or a mask, got object"):
        structure_factor(gas(5), object(), **BINS)


def test_table_holds_the_analysable_atoms_of_each_frame():
    points = gas(300)
    is_analysable = np.arange(320) < 290
    sites = pd.concat(
        [make_sites(points, gas(20, 1), analysable=is_analysable, frame=3), make_sites(gas(200, 2), frame=1)]
    )
    table = structure_factor_table(sites, WINDOW, StructureFactorParameters(**BINS))
    assert table.dtypes.astype(str).to_dict() == STRUCTURE_FACTOR_COLUMNS
    assert list(STRUCTURE_FACTOR_UNITS) == list(STRUCTURE_FACTOR_COLUMNS)
    assert table["frame"].tolist() == [1] * 20 + [3] * 20
    found = structure_factor(points[:290], WINDOW, **BINS)
    np.testing.assert_allclose(table["s"][20:], found.s)
    np.testing.assert_allclose(table["s_error"][20:], found.s_error)
    np.testing.assert_allclose(table["q"][20:], found.q)


def test_table_without_sites():
    table = structure_factor_table(make_sites([]), WINDOW, StructureFactorParameters(**BINS))
    assert table.dtypes.astype(str).to_dict() == STRUCTURE_FACTOR_COLUMNS
    assert len(table) == 0


def test_parameters_refuse_a_step_beyond_the_range():
    with pytest.raises(ValidationError, match="q_step must be ≤ q_max"):
        StructureFactorParameters(q_max=1.0, q_step=2.0)
