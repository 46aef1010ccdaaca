import numpy as np
import pandas as pd
import pytest

from amorph2d.plotting.training import score_curves, training_curves

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


def table():
    edges = [(0, 1e3), (1e3, 4e3), (4e3, np.inf)]
    rows = [
        {
            "kind": kind,
            "polarity": polarity,
            "dose_low": low,
            "dose_high": high,
            "f1": f1 - shift,
            "rmse": rmse,
        }
        for kind in ("atom", "ring")
        for polarity, shift in (("bright atoms", 0.0), ("dark atoms", 0.1))
        for (low, high), f1, rmse in zip(edges, (0.9, 0.95, 0.99), (0.1, np.nan, 0.05), strict=True)
    ]
    return pd.DataFrame(rows)


def test_score_curves_have_a_line_for_each_polarity(tmp_path):
    figure = score_curves(table().sample(frac=1, random_state=0))
    f1, _, rmse, _ = figure.axes
    assert sorted(line.get_label() for line in f1.lines) == ["bright atoms", "dark atoms"]
    line = next(line for line in f1.lines if line.get_label() == "bright atoms")
    np.testing.assert_allclose(line.get_ydata(), [0.9, 0.95, 0.99])
    # geometric centres of the bins; bins open at one end are an octave wide
    np.testing.assert_allclose(line.get_xdata(), [1e3 / 2**0.5, 2e3, 4e3 * 2**0.5])
    np.testing.assert_allclose(rmse.lines[0].get_ydata(), [0.1, np.nan, 0.05])
    assert rmse.get_xscale() == "log"
    assert rmse.get_ylim()[0] == 0
    figure.savefig(tmp_path / "scores.png")


def test_score_curves_of_nothing_and_without_a_column():
    empty = table().iloc[:0]
    assert len(score_curves(empty).axes) == 2
    with pytest.raises(ValueError, match="missing \\['rmse'\\]"):
        score_curves(table().drop(columns="rmse"))
