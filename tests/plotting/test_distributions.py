import numpy as np
import pandas as pd
import pytest

from amorph2d.plotting.colours import RING_COLOURS
from amorph2d.plotting.distributions import (
    angle_histogram,
    bond_length_histogram,
    pair_distribution_plot,
    ring_fractions,
    ring_size_bars,
)


@pytest.mark.parametrize(
    ("draw", "mean", "spread", "unit"),
    [(bond_length_histogram, 1.42, 0.04, "Å"), (angle_histogram, 120.0, 6.0, "°")],
)
def test_histograms_hold_bins_instead_of_values(draw, mean, spread, unit):
    values = np.random.default_rng(0).normal(mean, spread, 20_000)
    figure = draw(values)
    (bars,) = figure.data
    assert len(bars.x) < 120
    assert np.sum(bars.customdata) == pytest.approx(20_000, abs=60)
    assert np.average(bars.x, weights=bars.y) == pytest.approx(mean, abs=spread / 50)
    assert (np.array(bars.y) * np.array(bars.width)).sum() == pytest.approx(1, abs=0.004)
    assert figure.layout.xaxis.title.text.endswith(f"[{unit}]")
    assert "n = 20000" in figure.layout.title.text


def test_histogram_of_nothing():
    assert "n = 0" in bond_length_histogram([]).layout.title.text


def test_ring_fractions_are_read_from_a_row_of_the_summary():
    row = {"ring_fraction_5": 0.2, "ring_fraction_5_low": 0.1, "ring_fraction_5_high": 0.3}
    row |= {"ring_fraction_9_or_more": 0.01, "mean_ring_size": 6.0}
    table = ring_fractions(row)
    assert table["label"].tolist() == ["5", "9+"]
    np.testing.assert_array_equal(
        table[["fraction", "low", "high"]], [[0.2, 0.1, 0.3], [0.01, np.nan, np.nan]]
    )
    assert ring_fractions({}).empty


def test_ring_bars_have_colours_and_intervals():
    table = pd.DataFrame(
        {"size": [5, 6], "fraction": [0.2, 0.8], "low": [0.15, np.nan], "high": [0.3, np.nan]}
    )
    (bars,) = ring_size_bars(table).data
    np.testing.assert_allclose(bars.y, [20, 80])
    assert list(bars.marker.color) == [RING_COLOURS[5], RING_COLOURS[6]]
    assert bars.error_y.array[0] == pytest.approx(10)
    assert bars.error_y.arrayminus[0] == pytest.approx(5)
    assert list(bars.x) == ["5", "6"]


def test_pair_distribution_has_a_band_of_one_error():
    pdf = pd.DataFrame({"r": [1.0, 2.0, 3.0], "g": [0.0, 2.0, 1.0], "g_error": [0.0, 0.5, np.nan]})
    band, curve = pair_distribution_plot(pdf).data
    np.testing.assert_allclose(curve.y, pdf["g"])
    np.testing.assert_allclose(band.x, [1, 2, 3, 3, 2, 1])
    np.testing.assert_allclose(band.y, [0, 2.5, 1, 1, 1.5, 0])


@pytest.mark.parametrize("columns", [["r", "g"], ["r", "g", "g_error"]])
def test_pair_distribution_of_nothing_and_without_errors(columns):
    (curve,) = pair_distribution_plot(pd.DataFrame(columns=columns, dtype=float)).data
    assert len(curve.x) == 0
