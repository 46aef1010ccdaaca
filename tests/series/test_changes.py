import numpy as np
import pandas as pd
import pytest

from amorph2d.series.changes import find_changes, join_rates, shown_field
from amorph2d.structures.lattices import honeycomb_sheet
from strategies import statistics_parameters
from turning_bonds import FRAME_TIME, observe_series, turn_bond

WINDOW = (4.0, 4.0, 35.0, 30.0)
SHAPE, SAMPLING = (170, 195), 0.2
PARAMETERS = statistics_parameters()


@pytest.fixture(scope="module")
def series():
    sheet = honeycomb_sheet((39, 34), bond_length=1.42, rotation=7.0)
    turned, _ = turn_bond(sheet, (18, 16))
    return observe_series([sheet] * 6 + [turned] * 6, rng=np.random.default_rng(3), window=WINDOW, noise=0.02)


def drift(dx=0.0, n=12):
    steps = {"dx": np.linspace(0, dx, n), "dy": 0.0}
    return pd.DataFrame({"frame": np.arange(n), "time": FRAME_TIME * np.arange(n)} | steps)


def changes(series, drift):
    sites, network = series[0], series[1]
    return find_changes(
        sites, *network, drift, shape=SHAPE, sampling=SAMPLING, area=500.0, parameters=PARAMETERS
    )


def test_a_turned_bond_is_found_and_rated(series):
    events, rates = changes(series, drift())
    kept = events[events["persistent"]]
    assert kept["kind"].tolist() == ["bond rotation"]
    assert kept["frame_before"].tolist() == [5]
    rate = rates.set_index("kind").loc["bond rotation"]
    # The first and the last two of eleven intervals are no time in which an event could last.
    assert rate["rate"] == pytest.approx(1 / (500.0 * FRAME_TIME * 7))
    assert rate["rate_low"] < rate["rate"] < rate["rate_high"]


def test_a_drift_that_leaves_nothing_in_common(series):
    events, rates = changes(series, drift(dx=100.0))
    assert len(events) == 0
    assert rates["rate"].isna().all()
    assert shown_field(drift(dx=100.0), SHAPE, SAMPLING).sides == pytest.approx((39, 34))
    assert shown_field(drift(dx=4.0), SHAPE, SAMPLING).sides == pytest.approx((35, 34))


def test_rates_of_series_side_by_side(series):
    _, rates = changes(series, drift())
    joined = join_rates({"a": rates, "b": rates})
    assert joined["micrograph"].tolist() == ["a"] * len(rates) + ["b"] * len(rates)
    assert list(join_rates({}).columns) == list(joined.columns)
