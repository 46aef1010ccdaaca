import numpy as np
import pandas as pd
import pytest

from amorph2d.series.evolution import (
    EVOLUTION_COLUMNS,
    EVOLUTION_UNITS,
    TREND_COLUMNS,
    evolution_table,
    fit_trend,
    trend_table,
)


def summary(n_frames=4, name="a"):
    frame = np.arange(n_frames, dtype=np.int32)
    values = {"micrograph": name, "frame": frame, "n_atoms": 100}
    for statistic, value in (("density", 0.3 + 0.01 * frame), ("bond_mean", np.full(n_frames, 1.42))):
        values |= {statistic: value, f"{statistic}_low": value - 0.1, f"{statistic}_high": value + 0.2}
    return pd.DataFrame(values)


def times(n_frames=4, name="a", step=2.0):
    return pd.DataFrame(
        {"micrograph": name, "frame": np.arange(n_frames), "time": step * np.arange(n_frames)}
    )


def test_evolution_is_tidy():
    pooled = summary(1, "pooled").assign(frame=np.int32(-1))
    single = summary(1, "single")
    table = evolution_table(pd.concat([summary()[::-1], single, pooled]), times(), dose_per_frame=50.0)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == EVOLUTION_COLUMNS
    assert set(EVOLUTION_UNITS) == set(EVOLUTION_COLUMNS)
    assert set(table["micrograph"]) == {"a"}
    assert table["statistic"].tolist() == ["density"] * 4 + ["bond_mean"] * 4
    density = table[table["statistic"] == "density"]
    np.testing.assert_allclose(density["time"], [0, 2, 4, 6])
    np.testing.assert_allclose(density["dose"], [0, 50, 100, 150])
    np.testing.assert_allclose(density["value"], [0.3, 0.31, 0.32, 0.33])
    np.testing.assert_allclose(density["high"] - density["low"], 0.3)


def test_evolution_of_nothing():
    for table, when in ((summary(0), times(0)), (summary(2)[["micrograph", "frame"]], times(2))):
        found = evolution_table(table, when)
        assert found.empty
        assert list(found) == list(EVOLUTION_COLUMNS)
        assert list(trend_table(found)) == list(TREND_COLUMNS)
    assert evolution_table(summary(2), times(2))["dose"].isna().all()


@pytest.mark.parametrize(("axis", "slope"), [("time", 0.005), ("dose", 2e-4), ("frame", 0.01)])
def test_trends_along_each_axis(axis, slope):
    both = pd.concat([summary(8), summary(6, "b")]), pd.concat([times(8), times(6, "b")])
    table = trend_table(evolution_table(*both, dose_per_frame=50.0), axis=axis)
    assert {name: str(kind) for name, kind in table.dtypes.items()} == TREND_COLUMNS
    rows = table.set_index(["micrograph", "statistic"])
    assert rows["n_frames"].tolist() == [8, 8, 6, 6]
    assert rows.loc[("a", "density"), "slope"] == pytest.approx(slope)
    assert rows.loc[("a", "density"), "p_value"] == 0
    assert rows.loc[("b", "bond_mean"), "slope"] == pytest.approx(0, abs=1e-12)


def test_unknown_times_give_no_trend():
    table = trend_table(evolution_table(summary(5), times(5).assign(time=np.nan)))
    assert (table["n_frames"] == 0).all()
    assert table[["slope", "slope_low", "p_value"]].isna().all(axis=None)


def correlated(rng, n, rho):
    """Scatter of variance 1, correlated by rho from frame to frame."""
    noise = rng.normal(size=n)
    values = np.empty(n)
    values[0] = noise[0]
    for k in range(1, n):
        values[k] = rho * values[k - 1] + np.sqrt(1 - rho**2) * noise[k]
    return values


def ordinary(x, y):
    """Slope and 95 % interval of least squares for independent scatter."""
    from scipy.stats import linregress, t

    fit = linregress(x, y)
    reach = t.ppf(0.975, len(x) - 2) * fit.stderr
    return fit.slope - reach, fit.slope + reach


@pytest.mark.parametrize(("n", "rho", "least"), [(20, 0.0, 0.95), (20, 0.5, 0.92), (50, 0.8, 0.92)])
def test_intervals_cover_the_slope_where_frames_are_alike(n, rho, least):
    rng, x = np.random.default_rng(1), 2.0 * np.arange(n)
    covered, naive = [], []
    for _ in range(200):
        y = 0.3 * x + correlated(rng, n, rho)
        found = fit_trend(x, y, np.ones(n))
        covered.append(found.low <= 0.3 <= found.high)
        low, high = ordinary(x, y)
        naive.append(low <= 0.3 <= high)
    assert np.mean(covered) >= least
    # Without the correction they would not.
    assert rho == 0 or np.mean(naive) < least - 0.1


def test_scatter_that_hides_a_part_that_stays():
    rng, x = np.random.default_rng(2), np.arange(150.0)
    covered = []
    for _ in range(100):
        y = (correlated(rng, 150, 0.9) + rng.normal(size=150)) / np.sqrt(2)
        found = fit_trend(x, y, np.ones(150))
        covered.append(found.low <= 0 <= found.high)
    assert np.mean(covered) >= 0.88


def test_probability_belongs_to_the_interval():
    rng, x = np.random.default_rng(3), np.arange(20.0)
    y = 0.05 * x + rng.normal(size=20)
    found = fit_trend(x, y, np.ones(20))
    edge = fit_trend(x, y, np.ones(20), level=1 - found.p_value)
    assert edge.low == pytest.approx(0, abs=1e-9)
    assert found.slope == pytest.approx(np.polyfit(x, y, 1)[0])
    assert fit_trend(3 * x, y, np.ones(20)).slope == pytest.approx(found.slope / 3)


def test_wide_intervals_weigh_less_up_to_a_limit():
    x, y = np.arange(6.0), np.array([0, 1, 2, 3, 4, 11.0])
    width = np.ones(6)
    even = fit_trend(x, y, width).slope
    width[-1] = 2.0
    weighted = fit_trend(x, y, width).slope
    assert 1 < weighted < even
    assert weighted == pytest.approx(np.polyfit(x, y, 1, w=1 / width)[0])
    width[-1] = 1e6
    assert fit_trend(x, y, width).slope == pytest.approx(weighted)
    width[-1] = np.nan
    assert fit_trend(x, y, width).slope == pytest.approx(even)


@pytest.mark.parametrize(
    ("x", "has_slope", "has_bounds"),
    [([], False, False), ([1], False, False), ([1, 1, 1, 1], False, False), ([0, 1, 3], True, False)],
)
def test_too_few_values(x, has_slope, has_bounds):
    found = fit_trend(x, np.arange(len(x)), np.ones(len(x)))
    assert np.isfinite(found.slope) == has_slope
    assert np.isfinite(found.low) == has_bounds


def test_errors():
    with pytest.raises(ValueError, match="summary must have the columns micrograph, frame, got none called"):
        evolution_table(summary().drop(columns="frame"), times())
    with pytest.raises(ValueError, match="times must have the columns"):
        evolution_table(summary(), times().drop(columns="time"))
    with pytest.raises(ValueError, match="dose_per_frame must be >= 0 e⁻/Å², got -1"):
        evolution_table(summary(), times(), dose_per_frame=-1)
    with pytest.raises(ValueError, match="axis must be one of time, dose, frame, got 'age'"):
        trend_table(evolution_table(summary(), times()), axis="age")
    with pytest.raises(ValueError, match="level must be within 0 … 1, got 2"):
        fit_trend([0, 1], [0, 1], [1, 1], level=2)
    with pytest.raises(ValueError, match="x, y and width must be"):
        fit_trend([0, 1], [0, 1, 2], [1, 1])
