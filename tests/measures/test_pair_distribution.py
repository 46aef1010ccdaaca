import numpy as np
import pandas as pd
import pytest

from amorph2d.measures import pair_distribution as module
from amorph2d.measures.mask_window import MaskWindow
from amorph2d.measures.pair_distribution import pair_distribution, pool_pair_distributions
from amorph2d.measures.window import RectangularWindow
from strategies import BOND, honeycomb, rotate

WINDOW = RectangularWindow(-40, 200, 20, 225)
BINS = {"r_max": 8.0, "bin_width": 0.5}


def gas(n=1500, seed=0, window=WINDOW):
    rng = np.random.default_rng(seed)
    return rng.uniform((window.x0, window.y0), (window.x1, window.y1), (n, 2))


def test_ideal_gas_is_flat_with_edge_correction_and_only_with_it():
    corrected = [pair_distribution(gas(seed=seed), WINDOW, **BINS) for seed in range(20)]
    mean = np.mean([found.g for found in corrected], axis=0)
    error = np.mean([found.g_error for found in corrected], axis=0) / np.sqrt(20)
    assert (np.abs(mean - 1) < 4 * error).all()
    plain = [pair_distribution(gas(seed=seed), WINDOW, **BINS, edge_correction=False).g for seed in range(20)]
    assert (np.mean(plain, axis=0)[-4:] < 1 - 20 * error[-4:]).all()


def test_errors_of_an_ideal_gas_are_its_scatter():
    found = [pair_distribution(gas(600, seed), WINDOW, r_max=8.0, bin_width=0.1) for seed in range(100)]
    scatter = np.std([each.g for each in found], axis=0, ddof=1)
    ratio = scatter / np.mean([each.g_error for each in found], axis=0)
    assert ratio[5:].mean() == pytest.approx(1, abs=0.05)


def test_ideal_gas_in_a_mask():
    mask = np.zeros((120, 200), dtype=bool)
    mask[:60, :40] = mask[40:, 30:60] = mask[100:, :] = True
    window = MaskWindow(mask, (0.5, 0.25))
    box = RectangularWindow(-0.125, -0.25, 49.875, 59.75)
    found = [pair_distribution(gas(2000, seed, box), window, **BINS) for seed in range(30)]
    g = np.array([each.g for each in found])
    assert (np.abs(g.mean(axis=0) - 1) < 4 * g.std(axis=0, ddof=1) / np.sqrt(30)).all()
    assert g.mean() == pytest.approx(1, abs=0.01)
    plain = [
        pair_distribution(gas(2000, seed, box), window, **BINS, edge_correction=False).g for seed in range(3)
    ]
    assert np.mean(plain) < 0.8


@pytest.mark.parametrize("turn", [0.0, 19.0])
def test_shells_of_graphene_hold_3_6_and_3(turn):
    atoms = honeycomb(60, 35)[0]
    atoms = rotate(atoms - atoms.mean(axis=0), turn)
    window = RectangularWindow(-45, -40, 45, 40)
    found = pair_distribution(atoms, window, r_max=3.0, bin_width=0.02)
    density = len(atoms[window.contains(atoms)]) / window.area
    neighbours = found.g * density * np.pi * np.diff(np.linspace(0, 3, len(found.r) + 1) ** 2)
    shells = [neighbours[np.abs(found.r - r) < 0.1].sum() for r in (BOND, BOND * np.sqrt(3), 2 * BOND)]
    np.testing.assert_allclose(shells, [3, 6, 3], rtol=0.03)
    assert neighbours.sum() == pytest.approx(sum(shells))


def test_pairs_are_counted_once_whatever_the_cells(monkeypatch):
    points = gas(300)
    edges = np.linspace(0, 8, 17)
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(300, 1)]
    expected = np.histogram(distances, edges)[0]
    for most in (1, 2, 3, 2000):
        monkeypatch.setattr(module, "_MOST_CELLS", most)
        np.testing.assert_array_equal(pair_distribution(points, WINDOW, **BINS).n_pairs, expected)


def test_positions_outside_the_window_are_left_out():
    points = gas(200)
    more = np.concatenate([points, points + np.array([100, 0]), points - [0, 50]])
    np.testing.assert_array_equal(
        pair_distribution(more, WINDOW, **BINS).g, pair_distribution(points, WINDOW, **BINS).g
    )


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_positions_for_a_pair(n):
    found = pair_distribution(gas(n), WINDOW, **BINS)
    assert len(found.r) == 16
    assert np.isnan(found.g).all()
    assert np.isnan(found.g_error).all()


def test_two_positions():
    found = pair_distribution([[0, 210], [3.2, 210]], WINDOW, **BINS)
    assert np.flatnonzero(found.n_pairs).tolist() == [6]
    assert found.g[6] == pytest.approx(found.g_error[6]) == pytest.approx(1 / found.n_expected[6])


def test_an_empty_window():
    found = pair_distribution(gas(9), MaskWindow(np.zeros((3, 4), dtype=bool), 0.1), **BINS)
    assert np.isnan(found.g).all()


def test_bins_fill_the_range():
    r = pair_distribution(gas(9), WINDOW, r_max=10.0, bin_width=0.05).r
    assert len(r) == 200
    np.testing.assert_allclose(r[[0, -1]], [0.025, 9.975])
    assert len(pair_distribution(gas(9), WINDOW, r_max=1.0, bin_width=0.3).r) == 4


@pytest.mark.parametrize(("name", "value"), [("r_max", 0.0), ("bin_width", -0.1), ("r_max", np.nan)])
def test_refuses_bins_without_width(name, value):
    with pytest.raises(ValueError, match=f"{name} must be > 0 Å, got {value}"):
        pair_distribution(gas(5), WINDOW, **(BINS | {name: value}))


def table(found):
    return pd.DataFrame({"frame": 0, "r": found.r, "g": found.g, "g_error": found.g_error})


def test_pooling_adds_up_pairs():
    small = RectangularWindow(-40, 200, 0, 210)
    each = [pair_distribution(gas(120), WINDOW, **BINS), pair_distribution(gas(90, 1, small), small, **BINS)]
    none = pair_distribution([], WINDOW, **BINS)
    pooled = pool_pair_distributions([table(found) for found in (*each, none)])
    n, e = sum(found.n_pairs for found in each), sum(found.n_expected for found in each)
    np.testing.assert_allclose(pooled["r"], each[0].r)
    np.testing.assert_allclose(pooled["g"], n / e)
    np.testing.assert_allclose(pooled["g_error"], np.sqrt(np.maximum(n, 1)) / e)


def test_pooling_nothing():
    pooled = pool_pair_distributions([])
    assert list(pooled) == ["r", "g", "g_error"]
    assert len(pooled) == 0
