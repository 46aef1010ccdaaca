import numpy as np
import pandas as pd
import pytest

from amorph2d.plotting.training import reliability_figure, score_figure, training_curves

EPOCHS = np.arange(6)
HISTORY = pd.DataFrame(
    {
        "epoch": EPOCHS,
        "training_loss": [1, 0.5, 0.3, 0.2, 0.15, 0.1],
        "validation_loss": [1, 0.6, 0.4, 0.35, 0.37, np.nan],
        "learning_rate": 1e-3,
    }
)


def test_losses_share_a_logarithmic_panel_and_the_best_is_marked(tmp_path):
    figure = training_curves(HISTORY)
    losses, rate = figure.axes
    assert losses.get_yscale() == "log"
    assert [line.get_label() for line in losses.lines[:2]] == ["training", "validation"]
    np.testing.assert_allclose(losses.lines[1].get_ydata(), HISTORY["validation_loss"].dropna())
    assert losses.lines[2].get_xydata().tolist() == [[3, 0.35]]
    assert losses.texts[0].get_text() == "0.35"
    assert rate.get_ylabel() == "learning rate"
    figure.savefig(tmp_path / "curves.png")


def test_a_loss_of_zero_keeps_the_axis_linear():
    (axes,) = training_curves(pd.DataFrame({"epoch": [0, 1], "training_loss": [1.0, 0.0]})).axes
    assert axes.get_yscale() == "linear"


def test_history_without_epochs_or_columns():
    with pytest.raises(ValueError, match="history must have a column 'epoch'"):
        training_curves(pd.DataFrame({"training_loss": [1.0]}))
    assert len(training_curves(pd.DataFrame({"epoch": []})).axes) == 1


BINS = {
    "dose_per_area": [(-np.inf, 1e3), (1e3, 4e3), (4e3, np.inf)],
    "defocus": [(-np.inf, -50.0), (-50.0, 50.0), (50.0, np.inf)],
    "energy": [(np.nan, np.nan)] * 2,
}
NAMES = ["60 keV", "80 keV"]


def groups():
    rows = [
        {
            "channel": channel,
            "condition": condition,
            "low": low,
            "high": high,
            "value": NAMES[number] if condition == "energy" else f"bin {number}",
            "f1": 0.9 + 0.03 * number - shift,
            "rmse": np.nan if number == 1 else 0.1 - 0.02 * number,
        }
        for channel, shift in (("ring", 0.1), ("atom", 0.0))
        for condition, bins in BINS.items()
        for number, (low, high) in enumerate(bins)
    ]
    return pd.DataFrame(rows)


def test_a_panel_for_each_metric_and_condition_and_a_line_for_each_channel(tmp_path):
    figure = score_figure(groups().sample(frac=1, random_state=0).sort_values("condition"), ["f1", "rmse"])
    panels = np.array(figure.axes).reshape(2, 3)
    assert [axes.get_xlabel() for axes in panels[1]] == ["defocus [Å]", "dose [e⁻/Å²]", "energy"]
    assert [axes.get_ylabel() for axes in panels[:, 0]] == ["F1", "RMSE [Å]"]
    assert [axes.get_xscale() for axes in panels[0]] == ["linear", "log", "linear"]
    # bars stand on 0; lines have an axis of their own, in which they can be told apart
    assert panels[0, 2].get_ylim()[0] == 0
    assert panels[0, 0].get_ylim() == panels[0, 1].get_ylim()
    assert panels[0, 0].get_ylim()[0] > 0.7
    lines = sorted(panels[0, 1].lines, key=lambda line: line.get_ydata()[0])
    assert len(lines) == 2
    np.testing.assert_allclose(lines[1].get_ydata(), [0.9, 0.93, 0.96])
    # geometric middles; a bin open at one end is an octave wide
    np.testing.assert_allclose(lines[1].get_xdata(), [1e3 / 2**0.5, 2e3, 4e3 * 2**0.5])
    # as wide as the closed one
    np.testing.assert_allclose(panels[0, 0].lines[0].get_xdata(), [-100, 0, 100])
    np.testing.assert_allclose(panels[1, 0].lines[0].get_ydata(), [0.1, np.nan, 0.06])
    figure.savefig(tmp_path / "scores.png")


def test_names_are_bars_of_the_channels_side_by_side():
    table = groups()
    (axes,) = score_figure(table[table["condition"] == "energy"], "f1").axes
    assert [label.get_text() for label in axes.get_xticklabels()] == NAMES
    bars = axes.patches
    assert [bar.get_height() for bar in bars] == pytest.approx([0.8, 0.83, 0.9, 0.93])
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == pytest.approx([-0.2, 0.8, 0.2, 1.2])
    (legend,) = axes.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["ring", "atom"]
    assert [line.get_color() for line in legend.get_lines()] == [
        "#{:02x}{:02x}{:02x}".format(*(np.array(bar.get_facecolor()[:3]) * 255).round().astype(int))
        for bar in bars[::2]
    ]


def test_any_metric_of_any_channel_and_a_name_that_a_channel_has_not():
    table = groups().rename(columns={"f1": "mean_residual"})
    table = table[
        (table["condition"] == "energy") & ((table["channel"] == "atom") | (table["low"].index > 7))
    ]
    table = table[~((table["channel"] == "ring") & (table["value"] == "60 keV"))]
    (axes,) = score_figure(table, "mean_residual").axes
    assert axes.get_ylabel() == "mean residual"
    assert len(axes.get_xticklabels()) == 2


@pytest.mark.parametrize(
    ("low", "high", "centres"),
    [
        ([-np.inf, 20.0], [20.0, np.inf], [10.0, 30.0]),  # no closed bin: as wide as from the edge to 0
        ([20.0], [np.inf], [30.0]),
        ([-np.inf, 0.0], [0.0, np.inf], [0.0, 0.0]),
    ],
)
def test_open_bins_alone(low, high, centres):
    rows = {
        "channel": "monolayer",
        "condition": "defocus",
        "low": low,
        "high": high,
        "value": "",
        "dice": 0.5,
    }
    (axes,) = score_figure(pd.DataFrame(rows), "dice").axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), centres, atol=1e-12)


def test_scores_of_nothing_and_without_a_column():
    assert len(score_figure(groups().iloc[:0], ["f1", "rmse"]).axes) == 2
    with pytest.raises(ValueError, match=r"missing \['dice'\]"):
        score_figure(groups(), "dice")
    with pytest.raises(ValueError, match="metrics must name at least one column"):
        score_figure(groups(), [])


def reliability():
    rows = [
        {"channel": channel, "quantity": quantity, "predicted": x * unit, "measured": x**2 * unit, "n": n}
        for quantity, unit in (("confidence", 1.0), ("sigma", 0.2))
        for channel in ("atom", "ring")
        for x, n in ((0.2, 50), (0.5, 100), (0.9, 50))
    ]
    return pd.DataFrame(rows)


def test_reliability_has_a_panel_for_each_quantity_and_its_diagonal(tmp_path):
    figure = reliability_figure(reliability().sample(frac=1, random_state=0).sort_values("quantity"))
    confidence, sigma = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["confidence", "sigma"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["predicted", "predicted [Å]"]
    np.testing.assert_allclose(confidence.lines[0].get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_allclose(sigma.lines[0].get_xydata(), [[0, 0], [0.189, 0.189]])
    np.testing.assert_allclose(sigma.lines[1].get_xydata(), [[0.04, 0.008], [0.1, 0.05], [0.18, 0.162]])
    sizes = confidence.collections[0].get_sizes()
    assert sizes[1] > sizes[0] == sizes[2]
    figure.savefig(tmp_path / "reliability.png")


def test_sigmas_of_a_background_are_no_lengths():
    (axes,) = reliability_figure(
        pd.DataFrame(
            {"channel": ["illumination"], "quantity": "sigma", "predicted": 3.0, "measured": 4.0, "n": 1}
        )
    ).axes
    assert axes.get_xlabel() == "predicted"
    assert axes.get_ylim()[1] > 4.0


def test_reliability_of_nothing_and_without_a_column():
    assert len(reliability_figure(reliability().iloc[:0]).axes) == 1
    with pytest.raises(ValueError, match=r"missing \['n'\]"):
        reliability_figure(reliability().drop(columns="n"))
