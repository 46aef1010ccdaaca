import numpy as np
import pandas as pd
import pytest

from amorph2d.plotting.series import evolution_figure, evolution_plot


def evolution(names=("a", "b"), n_frames=5):
    parts = []
    for number, name in enumerate(names):
        for statistic in ("density", "bond_mean"):
            frame = np.arange(n_frames)
            value = 1.0 + number + 0.1 * frame + (statistic == "density")
            columns = {"micrograph": name, "frame": frame, "time": 3.0 * frame, "dose": np.nan}
            columns |= {"statistic": statistic, "value": value, "low": value - 0.1, "high": value + 0.2}
            parts.append(pd.DataFrame(columns))
    columns = ["micrograph", "frame", "time", "dose", "statistic", "value", "low", "high"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def test_a_curve_and_a_band_for_each_series_and_statistic():
    figure = evolution_plot(evolution(), units={"density": "1/Å²"})
    assert len(figure.data) == 8
    assert [trace.visible for trace in figure.data] == [True] * 4 + [False] * 4
    band, curve = figure.data[:2]
    np.testing.assert_allclose(curve.x, [0, 3, 6, 9, 12])
    np.testing.assert_allclose(curve.y, [2, 2.1, 2.2, 2.3, 2.4])
    np.testing.assert_allclose(band.y[:5], np.array(curve.y) + 0.2)
    np.testing.assert_allclose(band.y[5:], np.array(curve.y)[::-1] - 0.1)
    assert figure.layout.xaxis.title.text == "Time [s]"
    assert figure.layout.yaxis.title.text == "Density [1/Å²]"
    assert figure.data[1].line.color != figure.data[3].line.color


def test_the_menu_shows_one_statistic():
    (menu,) = evolution_plot(evolution()).layout.updatemenus
    assert [button.label for button in menu.buttons] == ["Density", "Bond mean"]
    visible, title = menu.buttons[1].args
    assert visible["visible"] == [False] * 4 + [True] * 4
    assert title["yaxis.title.text"] == "Bond mean"


def test_unknown_bounds_are_left_out_of_the_band():
    table = evolution(("a",))
    table.loc[1, "low"] = np.nan
    band, curve = evolution_plot(table).data[:2]
    assert len(curve.x) == 5
    assert list(band.x) == [0, 6, 9, 12, 12, 9, 6, 0]


def test_frames_where_times_are_not_known():
    table = evolution().assign(time=np.nan)
    assert evolution_plot(table).layout.xaxis.title.text == "Frame"
    figure = evolution_figure(table, ["density"])
    assert figure.axes[0].get_xlabel() == "Frame"
    assert evolution_plot(evolution(), axis="dose").layout.xaxis.title.text == "Dose [e⁻/Å²]"
    with pytest.raises(ValueError, match="axis must be one of time, dose, frame, got 'age'"):
        evolution_plot(table, axis="age")


def test_nothing_to_draw():
    assert len(evolution_plot(evolution(())).data) == 0
    assert len(evolution_figure(evolution(()), ["density"]).axes) == 2
    assert len(evolution_figure(evolution(), []).axes) == 2


def test_panels_for_print():
    statistics = ["density", "bond_mean", "not there"]
    figure = evolution_figure(evolution(), statistics, units={"bond_mean": "Å"})
    panels = figure.axes
    assert [len(panel.lines) for panel in panels] == [2, 2, 0, 0]
    assert [len(panel.collections) for panel in panels] == [2, 2, 0, 0]
    assert panels[1].get_ylabel() == "Bond mean [Å]"
    assert not panels[3].axison
    np.testing.assert_allclose(panels[0].lines[1].get_ydata(), [3, 3.1, 3.2, 3.3, 3.4])
    assert [text.get_text() for text in panels[0].get_legend().get_texts()] == ["a", "b"]
    assert evolution_figure(evolution(("a",)), statistics).axes[0].get_legend() is None
