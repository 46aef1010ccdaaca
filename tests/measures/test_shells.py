import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.pair_distribution import pair_distribution
from amorph2d.measures.shells import (
    RUNNING_COORDINATION_COLUMNS,
    RUNNING_COORDINATION_UNITS,
    SHELL_COLUMNS,
    SHELL_UNITS,
    ShellParameters,
    find_shells,
    running_coordination,
    running_coordination_table,
    shells_table,
)
from amorph2d.measures.window import RectangularWindow
from strategies import BOND, honeycomb

PARAMETERS = ShellParameters(n_shells=4, smoothing=0.04, min_prominence=0.1, significance=5.0)


def noisy_graphene(n=40, noise=0.05, r_max=6.0, seed=0):
    """Pair distribution of graphene, and its density."""
    atoms, _, box = honeycomb(n, n // 2)
    atoms = atoms + np.random.default_rng(seed).normal(0, noise, atoms.shape)
    window = RectangularWindow(2, 2, *(box - 2))
    density = window.contains(atoms).sum() / window.area
    return pair_distribution(atoms, window, r_max=r_max, bin_width=0.05), density


def shells_of(found, density, **changes):
    parameters = PARAMETERS.model_copy(update=changes)
    return find_shells(found.r, found.g, found.g_error, density=density, parameters=parameters)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_shells_of_graphene_hold_3_6_3_and_6(noise):
    shells = shells_of(*noisy_graphene(noise=noise))
    # Where the second and the third shell overlap each takes some of the other.
    np.testing.assert_allclose(shells.n, [3, 6, 3, 6], rtol=0.03)
    at = BOND * np.array([1, np.sqrt(3), 2, np.sqrt(7)])
    np.testing.assert_allclose(shells.r_peak, at, atol=0.05)
    np.testing.assert_array_equal(shells.r_low, [0, *shells.r_high[:-1]])
    assert (shells.r_high[:-1] > at[:-1]).all()
    assert (shells.r_high[:-1] < at[1:]).all()
    assert shells.r_high[0] == pytest.approx(at[:2].mean(), abs=0.1)  # the middle of where there is nothing


def test_error_is_that_of_a_poisson_count():
    found, density = noisy_graphene()
    shells = shells_of(found, density)
    is_first = found.r < shells.r_high[0]
    n_pairs = found.n_pairs[is_first].sum()
    assert shells.n_error[0] == pytest.approx(shells.n[0] / np.sqrt(n_pairs), rel=0.02)


def test_errors_cover_the_scatter_of_a_gas():
    window = RectangularWindow(0, 0, 40, 50)
    n = []
    for seed in range(60):
        points = np.random.default_rng(seed).uniform(0, (40, 50), (600, 2))
        found = pair_distribution(points, window, r_max=3.0, bin_width=0.1)
        n.append(running_coordination(found.r, found.g, found.g_error, density=0.3))
    values, errors = np.swapaxes(n, 0, 1)
    radii = np.arange(1, 31) * 0.1
    expected = 0.3 * np.pi * radii**2
    assert (np.abs(values.mean(axis=0) - expected)[5:] < 4 * errors.mean(axis=0)[5:] / np.sqrt(60)).all()
    assert values.std(axis=0)[-1] == pytest.approx(errors.mean(axis=0)[-1], rel=0.3)


def test_running_coordination_of_a_step():
    r = np.arange(40) * 0.1 + 0.05
    g, g_error = np.where(r < 1, 0, 2.0), np.full(40, 0.1)
    n, n_error = running_coordination(r, g, g_error, density=0.5)
    radii = r + 0.05
    np.testing.assert_allclose(n, 2 * 0.5 * np.pi * np.maximum(radii**2 - 1, 0), atol=1e-12)
    assert n_error[0] == pytest.approx(0.1 * 0.5 * np.pi * 0.1**2)
    assert (np.diff(n_error) > 0).all()


def test_a_gas_has_no_shells():
    window = RectangularWindow(0, 0, 60, 50)
    for seed in range(5):
        points = np.random.default_rng(seed).uniform(0, (60, 50), (1000, 2))
        found = pair_distribution(points, window, r_max=8.0, bin_width=0.05)
        assert len(shells_of(found, 1 / 3).n) == 0
        assert len(shells_of(found, 1 / 3, significance=0.0).n) > 0  # noise makes peaks


def test_the_last_peak_has_no_upper_bound():
    shells = shells_of(*noisy_graphene(r_max=2.6))
    assert len(shells.n) == 2
    assert shells.n[0] == pytest.approx(3, rel=0.02)
    assert np.isnan([shells.r_high[1], shells.n[1], shells.n_error[1]]).all()
    assert np.isfinite([shells.r_low[1], shells.r_peak[1]]).all()


def test_no_more_shells_than_asked_for():
    found, density = noisy_graphene()
    both = shells_of(found, density, n_shells=2)
    np.testing.assert_array_equal(both.n, shells_of(found, density).n[:2])


def test_peaks_lower_than_asked_for_belong_to_the_shell_before():
    found, density = noisy_graphene()
    highest = np.nanmax(found.g)
    shells = shells_of(found, density, min_prominence=0.6 * highest)
    assert len(shells.n) < 4


def test_bins_without_smoothing():
    shells = shells_of(*noisy_graphene(noise=0.0), smoothing=0.0)
    np.testing.assert_allclose(shells.n, [3, 6, 3, 6], rtol=0.01)


@pytest.mark.parametrize("n", [0, 5])
def test_nothing_known(n):
    r = np.arange(n) + 0.5
    nothing = np.full(n, np.nan)
    shells = find_shells(r, nothing, nothing, density=0.0, parameters=PARAMETERS)
    assert [len(each) for each in shells] == [0] * 5


def test_tables_of_several_frames():
    found, density = noisy_graphene()
    columns = {"r": found.r, "g": found.g, "g_error": found.g_error}
    pdf = pd.concat([pd.DataFrame({"frame": frame} | columns) for frame in (4, 2)])
    table = shells_table(pdf, {2: density, 4: 2 * density}, PARAMETERS)
    assert table.dtypes.astype(str).to_dict() == SHELL_COLUMNS
    assert list(SHELL_UNITS) == list(SHELL_COLUMNS)
    assert table["frame"].tolist() == [2] * 4 + [4] * 4
    assert table["shell"].tolist() == [1, 2, 3, 4] * 2
    np.testing.assert_allclose(table["n"][4:], 2 * table["n"][:4])
    running = running_coordination_table(pdf, density)
    assert running.dtypes.astype(str).to_dict() == RUNNING_COORDINATION_COLUMNS
    assert list(RUNNING_COORDINATION_UNITS) == list(RUNNING_COORDINATION_COLUMNS)
    first = running[(running["frame"] == 2) & np.isclose(running["r"], table["r_high"][0])]
    assert first["n"].tolist() == pytest.approx([table["n"][0]])


def test_tables_without_frames():
    pdf = pd.DataFrame({"frame": [], "r": [], "g": [], "g_error": []})
    for table, columns in (
        (shells_table(pdf, 0.4, PARAMETERS), SHELL_COLUMNS),
        (running_coordination_table(pdf, 0.4), RUNNING_COORDINATION_COLUMNS),
    ):
        assert table.dtypes.astype(str).to_dict() == columns
        assert len(table) == 0


def test_refuses_bad_input():
    r = np.arange(5) + 0.5
    with pytest.raises(ValueError, match="r must be the middles of equal bins that begin at 0"):
        running_coordination(r + 1, r, r, density=1.0)
    with pytest.raises(ValueError, match="g and g_error must have the shape of r"):
        running_coordination(r, r[:2], r, density=1.0)
    with pytest.raises(ValueError, match="density must be ≥ 0 1/Å², got -1"):
        running_coordination(r, r, r, density=-1.0)
