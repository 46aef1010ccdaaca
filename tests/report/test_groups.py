from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from amorph2d.report.groups import MOST_CHARTS, group_panel, series_panel


def titles(chart):
    return [item.text for item in ElementTree.fromstring(str(chart.drawing)).iter("title")]


def series():
    return pd.DataFrame(
        {
            "micrograph": ["a", "a", "b", "<b>"],
            "time": [2.0, 0.0, 1.0, 1.0],
            "statistic": ["ring_fraction_6", "ring_fraction_6", "ring_fraction_6", "new_thing"],
            "value": [0.5, 0.4, 0.6, 3.0],
            "low": [0.45, np.nan, 0.5, np.nan],
            "high": [0.55, np.nan, 0.7, np.nan],
        }
    )


def test_each_statistic_has_a_chart_in_its_own_unit():
    panel = series_panel(series())
    assert [chart.title for chart in panel.charts] == ["Rings of 6 [%]", "New thing"]
    assert titles(panel.charts[0]) == [
        "a, 0 s: 40.00",
        "a, 2.000 s: 50.0 (45.0 – 55.0)",
        "b, 1.000 s: 60 (50 – 70)",
    ]
    assert [name for name, _ in panel.legend] == ["a", "b", "<b>"]
    assert len({colour for _, colour in panel.legend}) == 3
    assert "<b>" not in panel.charts[1].drawing


def test_a_band_only_where_intervals_are_known():
    rows = series().assign(low=np.nan, high=np.nan)
    assert 'class="interval"' not in series_panel(rows).charts[0].drawing
    assert series_panel(series()).charts[0].drawing.count('class="interval"') == 2


def test_nothing_measured_is_said():
    empty = series().assign(value=np.nan)
    assert "nothing to show" in series_panel(empty).charts[0].drawing


def groups(n=1):
    return pd.DataFrame(
        {
            "group": ["600 K", "900 K"] * n,
            "reference": "300 K",
            "statistic": np.repeat([f"s{i}" for i in range(n - 1)] + ["ring_fraction_5"], 2),
            "difference": [0.1, -0.02] * n,
            "low": [0.05, -0.06] * n,
            "high": [0.15, 0.02] * n,
            "p_value": [1e-6, 0.31] * n,
            "q_value": [2e-3, np.nan] * n,
        }
    )


def test_differences_are_listed_and_drawn_about_zero():
    panel = group_panel(groups())
    assert panel.lines[0] == {
        "number": "1",
        "name": "600 K − 300 K",
        "label": "Rings of 5",
        "unit": "%",
        "value": "10.0",
        "interval": "5.0 – 15.0",
        "p": "< 0.0001",
        "q": "0.0020",
    }
    assert (panel.lines[1]["p"], panel.lines[1]["q"]) == ("0.31", "–")
    chart = panel.charts[0]
    assert chart.title == "Δ Rings of 5 [%]"
    tree = ElementTree.fromstring(str(chart.drawing))
    rule = next(item for item in tree.iter() if item.get("class") == "rule")
    zero = float(rule.get("d")[1:].split()[0])
    places = [float(item.get("cx")) for item in tree.iter("circle")]
    assert places[1] < zero < places[0]


def test_many_statistics_are_listed_but_not_all_drawn():
    panel = group_panel(groups(20))
    assert len(panel.charts) == MOST_CHARTS
    assert len(panel.lines) == 40


@pytest.mark.parametrize("make", [series_panel, group_panel])
def test_without_a_table_there_is_nothing(make):
    assert make(None) is None
    assert make(pd.DataFrame()) is None


def test_missing_columns_are_named():
    with pytest.raises(ValueError, match=r"series must have the columns .*, missing time"):
        series_panel(series().drop(columns="time"))
    with pytest.raises(ValueError, match=r"groups must have the columns .*, missing q_value"):
        group_panel(groups().drop(columns="q_value"))
