import numpy as np
import pandas as pd
import pytest

from amorph2d.imaging.adaptation.compare import Appearance, Comparison
from amorph2d.plotting.spectra import comparison_figure

FREQUENCY = np.linspace(0.1, 2, 20)


def comparison(*, floor=True, unmatched=True):
    def item(scale):
        density = np.append(scale * np.exp(-FREQUENCY[:-1]), np.nan)
        return Appearance(FREQUENCY, density, np.linspace(-2, 2, 400), np.full(80, scale / 8))

    sets = {"measured": item(1.0), "matched": item(1.2)}
    rows = [("matched", 0.1234, 0.05)]
    if unmatched:
        sets["unmatched"] = item(3.0)
        rows.append(("unmatched", 1.5, 0.4))
    if floor:
        rows.append(("floor", 0.07, 0.01))
    return Comparison(sets, pd.DataFrame(rows, columns=["set", "spectrum", "grey_values"]))


def example(shape=(40, 60), sampling=0.2, title="a $_b"):
    return np.random.default_rng(0).normal(size=shape), sampling, title


def text_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_examples_spectra_and_distances():
    figure = comparison_figure(comparison(), measured=[example()] * 3, simulated=[example(title="x")] * 2)
    examples, charts = figure.axes[:6], figure.axes[6:]
    assert [len(axes.images) for axes in examples] == [1, 1, 1, 1, 1, 0]
    assert examples[0].get_title() == "measured\na $_b"
    assert examples[3].get_title() == "simulated, matched\nx"
    assert all(axes.artists[0].txt_label.get_text().endswith("Å") for axes in examples[:5])
    spectra, grey = charts
    assert text_of(spectra) == ["measured", "simulated, matched: 0.123", "simulated, unmatched: 1.5"]
    assert text_of(grey) == ["measured", "simulated, matched: 0.05", "simulated, unmatched: 0.4"]
    assert "halves of the measured: 0.07" in spectra.get_title(loc="left")
    assert len(spectra.lines[0].get_xdata()) == 19
    assert len(grey.lines[0].get_xdata()) == 80


def test_without_floor_and_yardstick():
    figure = comparison_figure(
        comparison(floor=False, unmatched=False), measured=[example()], simulated=[example()]
    )
    spectra = figure.axes[2]
    assert text_of(spectra) == ["measured", "simulated, matched: 0.123"]
    assert "halves" not in spectra.get_title(loc="left")


def test_wide_fields_are_cut_to_their_middle():
    image = np.zeros((400, 300))
    image[199:202, 149:152] = 1
    figure = comparison_figure(
        comparison(), measured=[(image, 0.5, "wide")], simulated=[example()], field=20.0
    )
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (40, 40)
    np.testing.assert_array_equal(np.argwhere(shown > 128).mean(axis=0), (20, 20))
    assert figure.axes[1].images[0].get_array().shape == (40, 60)


def test_it_can_be_drawn(tmp_path):
    comparison_figure(comparison(), measured=[example()], simulated=[example()]).savefig(
        tmp_path / "figure.png"
    )
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_without_examples_or_field_there_is_no_figure():
    with pytest.raises(ValueError, match="both kinds"):
        comparison_figure(comparison(), measured=[], simulated=[example()])
    with pytest.raises(ValueError, match="field must be > 0"):
        comparison_figure(comparison(), measured=[example()], simulated=[example()], field=0)
