import numpy as np
import pandas as pd
import pytest

from amorph2d.measures.comparison import COMPARISON_COLUMNS
from amorph2d.measures.config import LiteratureValue
from amorph2d.plotting.comparison import comparison_figure, group_rings_plot, overlaid_plot, ring_shares

RNG = np.random.default_rng(0)
LENGTHS = {"cold": RNG.normal(1.42, 0.03, 500), "hot": RNG.normal(1.44, 0.05, 300)}
ANGLES = {name: 120 + 100 * (values - 1.42) for name, values in LENGTHS.items()}
LITERATURE = [
    LiteratureValue(statistic="ring_fraction_6", low=0.4, high=0.7, source="models"),
    LiteratureValue(statistic="bond_mean", low=1.4, high=1.45, source="models"),
]


def comparison():
    rows = []
    for group in ("hot", "warm"):
        for size, share in (("5", 0.2), ("6", 0.6), ("9_or_more", 0.01)):
            rows.append(
                (f"ring_fraction_{size}", group, "cold", share + 0.02, share, 0.02, 0.01, 0.03, 0.1, 0.2)
            )
        rows.append(("ring_fraction_uncorrected_6", group, "cold", 0.9, 0.1, 0.8, 0.7, 0.9, 0.1, 0.2))
        rows.append(("density", group, "cold", 0.4, 0.4, 0.0, 0.0, 0.0, 1.0, 1.0))
    table = pd.DataFrame(rows, columns=list(COMPARISON_COLUMNS)[:10])
    bounds = {
        f"{bound}_{side}": table[f"value_{side}"] + add
        for side in ("group", "reference")
        for bound, add in (("low", -0.01), ("high", 0.03))
    }
    return table.assign(
        n_micrographs_group=3, n_micrographs_reference=3, test="between micrographs", **bounds
    )


def test_shares_of_each_group_once_the_reference_first():
    shares = ring_shares(comparison())
    assert list(dict.fromkeys(shares["group"])) == ["cold", "hot", "warm"]
    assert shares["size"].tolist() == [5, 6, 9] * 3
    assert shares.loc[shares["group"] == "hot", "share"].tolist() == pytest.approx([0.22, 0.62, 0.03])


def test_lines_of_equal_area():
    figure = overlaid_plot(LENGTHS, quantity="Bond length", unit="Å")
    assert [trace.name for trace in figure.data] == ["cold", "hot"]
    for trace in figure.data:
        assert np.sum(trace.y) * (trace.x[1] - trace.x[0]) == pytest.approx(1, abs=0.05)
    assert len(overlaid_plot({}, quantity="Bond length", unit="Å").data) == 0


def test_rings_before_the_literature():
    figure = group_rings_plot(comparison(), LITERATURE)
    assert [trace.name for trace in figure.data] == ["cold", "hot", "warm"]
    (band,) = figure.layout.shapes
    assert (band.y0, band.y1) == (40, 70)
    for trace in figure.data:
        np.testing.assert_allclose(trace.error_y.array, 3)
        np.testing.assert_allclose(trace.error_y.arrayminus, 1)
    assert (band.x0 + band.x1) / 2 == 1  # hexagons are the second bar


def test_figure_for_print():
    figure = comparison_figure(LENGTHS, ANGLES, comparison(), LITERATURE)
    lengths, _, rings, differences = figure.axes
    assert [text.get_text() for text in lengths.get_legend().get_texts()] == ["cold", "hot"]
    assert len(rings.patches) == 9
    assert len(differences.get_yticks()) == 8  # the density has no interval
    empty = pd.DataFrame(columns=list(COMPARISON_COLUMNS)).astype(COMPARISON_COLUMNS)
    assert len(comparison_figure({}, {}, empty, LITERATURE).axes) == 4
