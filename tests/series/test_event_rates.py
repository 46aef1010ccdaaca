import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, poisson

from amorph2d.series.event_rates import (
    RATE_COLUMNS,
    RATE_UNITS,
    Exposure,
    event_exposure,
    event_rates,
    poisson_interval,
)
from amorph2d.series.events import EVENT_KINDS, EventParameters


def parameters(min_frames):
    return EventParameters(min_frames=min_frames, max_gap=2, max_jump=1.3)


def events(*kinds, persistent=True):
    return pd.DataFrame({"kind": pd.Series(kinds, dtype="str"), "persistent": persistent}).astype(
        {"persistent": bool}
    )


def test_rates_of_each_kind():
    table = event_rates(events("bond rotation", "bond rotation", "atom lost"), Exposure(1000.0, 20.0, 4e5))
    assert table["kind"].tolist() == [*EVENT_KINDS, "all"]
    assert set(table) == set(RATE_COLUMNS) == set(RATE_UNITS)
    rows = table.set_index("kind")
    assert rows.loc["bond rotation", "rate"] == pytest.approx(2 / 20_000)
    assert rows.loc["bond rotation", "per_dose"] == pytest.approx(2 / 4e8)
    assert rows.loc["all", "n_events"] == 3
    assert rows.loc["atom gained", "rate"] == 0
    # "Rule of three": without any event the 97.5 % bound is -ln 0.025.
    assert rows.loc["atom gained", "rate_high"] == pytest.approx(-np.log(0.025) / 20_000)


def test_only_what_lasts_counts():
    table = event_rates(events("bond made", "bond made", persistent=[True, False]), Exposure(1.0, 1.0, 1.0))
    assert table.set_index("kind").loc["bond made", "n_events"] == 1


def test_garwood():
    n = np.arange(20)
    low, high = poisson_interval(n, level=0.95)
    np.testing.assert_allclose(low[1:], chi2.ppf(0.025, 2 * n[1:]) / 2)
    np.testing.assert_allclose(high, chi2.ppf(0.975, 2 * n + 2) / 2)
    assert low[0] == 0
    # Coverage is exact or larger for every true number.
    for mean in (0.3, 1.0, 2.7, 8.0):
        counts = np.arange(60)
        lows, highs = poisson_interval(counts, level=0.95)
        assert poisson.pmf(counts, mean)[(lows <= mean) & (mean <= highs)].sum() >= 0.95


def test_exposure_leaves_out_where_nothing_could_last():
    times = np.arange(10) * 2.0
    one = event_exposure(times, area=50.0, parameters=parameters(1), dose_per_frame=3.0)
    assert (one.area, one.time, one.dose) == (50.0, 18.0, 27.0)
    three = event_exposure(times, area=50.0, parameters=parameters(3), dose_per_frame=3.0)
    assert (three.time, three.dose) == (10.0, 15.0)
    assert np.isnan(event_exposure(times, area=50.0, parameters=parameters(3)).dose)


def test_uneven_times_count_the_middle():
    times = [0.0, 1.0, 3.0, 7.0, 15.0]
    assert event_exposure(times, area=1.0, parameters=parameters(2)).time == 6.0


@pytest.mark.parametrize("n_frames", [0, 1, 2, 5])
def test_too_short_a_series_gives_no_rate(n_frames):
    exposure = event_exposure(np.arange(n_frames), area=9.0, parameters=parameters(3), dose_per_frame=2.0)
    assert (exposure.time, exposure.dose) == (0.0, 0.0)
    assert event_rates(events(), exposure)[["rate", "rate_high", "per_dose"]].isna().all(axis=None)


def test_unknown_times_leave_the_rate_per_dose():
    exposure = event_exposure(np.full(8, np.nan), area=9.0, parameters=parameters(2), dose_per_frame=2.0)
    row = event_rates(events("bond made"), exposure).set_index("kind").loc["bond made"]
    assert np.isnan(row["rate"])
    assert row["per_dose"] == pytest.approx(1 / 90)


def test_errors():
    with pytest.raises(ValueError, match="area must be >= 0 Å², got -1"):
        Exposure(-1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="time and dose must be >= 0, got -1"):
        Exposure(1.0, -1.0, 1.0)
    with pytest.raises(ValueError, match="times must ascend, got a step of -1"):
        event_exposure([0, 2, 1], area=1.0, parameters=parameters(1))
    with pytest.raises(ValueError, match="level must be within 0 … 1, got 1"):
        event_rates(events(), Exposure(1.0, 1.0, 1.0), level=1.0)
