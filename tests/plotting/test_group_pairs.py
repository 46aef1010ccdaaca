import numpy as np
import pandas as pd
import pytest

from amorph2d.plotting.colours import SERIES
from amorph2d.plotting.group_pairs import overlaid_pairs_plot


def pairs(height):
    r = np.array([1.0, 1.5, 2.0])
    return pd.DataFrame({"r": r, "g": height * r, "g_error": 0.1 * r})


def test_curve_and_band_of_each_group():
    figure = overlaid_pairs_plot({"cold": pairs(1.0), "hot": pairs(2.0)})
    cold_band, cold, hot_band, hot = figure.data
    assert [cold.name, hot.name] == ["cold", "hot"]
    assert list(hot.y) == [2.0, 3.0, 4.0]
    assert list(hot_band.y) == pytest.approx([2.1, 3.15, 4.2, 3.8, 2.85, 1.9])
    assert (cold.line.color, hot_band.fillcolor) == SERIES[:2]
    assert [trace.showlegend for trace in (cold_band, hot_band)] == [False, False]
    assert figure.layout.showlegend
    assert figure.layout.shapes[0].y0 == 1


def test_no_groups():
    assert len(overlaid_pairs_plot({}).data) == 0
