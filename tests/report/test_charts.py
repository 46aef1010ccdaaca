import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from amorph2d.plotting.colours import RING_COLOURS
from amorph2d.plotting.histograms import bin_values
from amorph2d.report.charts import Axes, curve_chart, histogram_chart, interval_chart, nice_ticks, ring_chart

EDGES = np.linspace(0, 1, 6)


def parse(markup):
    return ElementTree.fromstring(str(markup))


def titles(chart):
    return [title.text for title in chart.iter("title")]


def of_class(chart, name):
    return [item for item in chart.iter() if name in item.get("class", "").split()]


def histogram(values, reference=None, name="Lengths"):
    behind = None if reference is None else bin_values(reference, EDGES)
    return histogram_chart(
        bin_values(values, EDGES), reference=behind, unit="Å", quantity="length", name=name
    )


def test_histogram_bars_are_as_high_as_their_densities():
    chart = parse(histogram([0.1, 0.3, 0.3, 0.9]))
    heights = [float(bar.get("height")) for bar in of_class(chart, "bar")]
    assert heights[0] == pytest.approx(heights[1] / 2, abs=0.1)
    assert heights[2] == 0
    assert titles(chart)[:2] == ["0 – 0.2000 Å: 1", "0.2000 – 0.4000 Å: 2"]
    assert not of_class(chart, "outline")


def test_bars_and_outline_share_one_scale():
    one, two = histogram([0.1, 0.3]), histogram([0.1, 0.3], reference=[0.1] * 9)
    lone, behind = (float(of_class(parse(chart), "bar")[0].get("height")) for chart in (one, two))
    assert behind == pytest.approx(lone / 2, rel=0.01)
    assert len(of_class(parse(two), "outline")) == 1


@pytest.mark.parametrize(
    "chart",
    [
        histogram([], name="<b>"),
        ring_chart(
            pd.DataFrame(columns=["size", "label", "fraction", "low", "high"], dtype=float),
            level="",
            name="<b>",
        ),
        curve_chart(pd.DataFrame({"r": [1.0], "g": [1.0], "g_error": [0.1]}), reference=None, name="<b>"),
        interval_chart(["a"], *np.full((3, 1), np.nan), pooled=None, name="<b>"),
    ],
)
def test_nothing_to_draw_is_said(chart):
    assert str(chart) == '<p class="nothing">&lt;b&gt;: nothing to show.</p>'


def fractions(**columns):
    table = {"size": [5, 6, 7], "label": ["5", "6", "7"], "fraction": [0.25, 0.5, np.nan]}
    return pd.DataFrame(table | {"low": [0.2, np.nan, np.nan], "high": [0.3, np.nan, np.nan]} | columns)


def test_ring_bars_have_colour_value_and_interval():
    chart = parse(ring_chart(fractions(), level="90 %", name="Rings"))
    bars = of_class(chart, "ring")
    assert [bar.get("fill") for bar in bars] == [RING_COLOURS[5], RING_COLOURS[6]]
    low, high = (float(bar.get("height")) for bar in bars)
    assert high == pytest.approx(2 * low, rel=0.01)
    assert titles(chart) == ["5-membered: 25.0 % (90 %: 20.0 – 30.0 %)", "6-membered: 50.00 %"]
    assert len(of_class(chart, "whisker")) == 1
    assert [text.text for text in of_class(chart, "value")] == ["25.0", "50.0"]


def test_whisker_ends_at_the_limits():
    chart = parse(ring_chart(fractions(), level="90 %", name="Rings"))
    path = of_class(chart, "whisker")[0].get("d")
    foot, summit = map(float, re.match(r"M[\d.]+ ([\d.]+)V([\d.]+)", path).groups())
    bar = of_class(chart, "ring")[0]
    top, height = float(bar.get("y")), float(bar.get("height"))
    assert (foot - top) / height == pytest.approx(0.2, abs=0.01)
    assert (top - summit) / height == pytest.approx(0.2, abs=0.01)


def test_curve_says_its_values_and_skips_gaps():
    pdf = pd.DataFrame(
        {"r": [1, 1.5, 2, 2.5], "g": [0.0, 2.0, np.nan, 1.0], "g_error": [0, 0.25, np.nan, 0.5]}
    )
    chart = parse(curve_chart(pdf, reference=pdf, name="g"))
    assert titles(chart) == [
        "r = 1.00 Å: g = 0.00 ± 0.00",
        "r = 1.50 Å: g = 2.00 ± 0.25",
        "r = 2.50 Å: g = 1.00 ± 0.50",
    ]
    (curve,) = of_class(chart, "curve")
    points = re.findall(r"([\d.]+) ([\d.]+)", curve.get("d"))
    assert len(points) == 3
    level = float(of_class(chart, "level")[0].get("d").split()[1].split("H")[0])
    assert float(points[2][1]) == pytest.approx(level, abs=0.1)
    assert len(of_class(chart, "outline")) == 1


def test_intervals_of_micrographs_are_escaped_and_marked():
    values, low, high = np.array([1.0, 2.0, 1.5]), np.array([0.5, np.nan, 1.4]), np.array([1.5, np.nan, 1.6])
    chart = parse(interval_chart(['<i>"', "b", "All"], values, low, high, pooled=2, name="Lengths"))
    assert titles(chart) == ['<i>": 1.00 (0.50 – 1.50)', "b: 2.000", "All: 1.50 (1.40 – 1.60)"]
    assert len(of_class(chart, "pooled")) == 1
    assert len(of_class(chart, "whisker")) == 2
    places = [float(circle.get("cx")) for circle in chart.iter("circle")]
    assert places[2] == pytest.approx((places[0] + places[1]) / 2, abs=0.1)


def test_many_micrographs_leave_out_numbers_but_not_lines():
    n = 200
    values = np.linspace(0, 1, n)
    chart = parse(
        interval_chart([str(i) for i in range(n)], values, values, values, pooled=None, name="many")
    )
    assert len(list(chart.iter("circle"))) == n
    assert float(chart.get("viewBox").split()[3]) < 1200
    assert "7" not in [text.text for text in of_class(chart, "tick")]


def test_equal_values_still_get_an_axis():
    chart = parse(interval_chart(["a"], *np.full((3, 1), 2.0), pooled=None, name="one"))
    assert len(list(chart.iter("circle"))) == 1


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 7.9), (1.3999, 1.4001), (0, 1e6), (99.1, 100)])
def test_ticks_are_round_and_inside(low, high):
    ticks = np.array(nice_ticks(low, high))
    assert 3 <= len(ticks) <= 8
    assert ticks.min() >= low - 1e-9
    assert ticks.max() <= high + 1e-9
    step = np.diff(ticks).mean()
    np.testing.assert_allclose(ticks / step, np.round(ticks / step), atol=1e-5)


def test_no_room_for_ticks():
    assert nice_ticks(2.0, 2.0) == [2.0]


def test_axes_run_right_and_up():
    axes = Axes((0, 2), (0, 10))
    across, down = axes.across(np.array([0, 1, 2])), axes.down(np.array([0, 5, 10]))
    assert across[1] == pytest.approx((across[0] + across[2]) / 2)
    assert (np.diff(down) < 0).all()
