"""Figures for print."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from amorph2d.plotting.publication import distributions_figure


def tables(n: int) -> tuple[np.ndarray, np.ndarray, pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(1)
    fractions = pd.DataFrame(
        {
            "size": [5, 6, 9],
            "fraction": [0.2, 0.7, 0.1],
            "low": [0.1, 0.6, np.nan],
            "high": [0.3, 0.8, np.nan],
        }
    )
    r = np.arange(0.5, 5, 0.1)
    pdf = pd.DataFrame({"r": r, "g": 1 + np.sin(r) / 3, "g_error": 0.1})
    return rng.normal(1.42, 0.04, n), rng.normal(120, 8, n), fractions, pdf


def test_panels_show_the_numbers() -> None:
    figure = distributions_figure(*tables(500))
    lengths, _, rings, pairs = figure.axes
    assert lengths.texts[0].get_text() == "n = 500"
    assert [bar.get_height() for bar in rings.patches] == pytest.approx([20, 70, 10])
    assert [text.get_text() for text in rings.get_xticklabels()] == ["5", "6", "9+"]
    assert pairs.lines[0].get_ydata() == pytest.approx(tables(500)[3]["g"])


@pytest.mark.parametrize("kind", ["svg", "pdf"])
@pytest.mark.parametrize("n", [0, 500])
def test_it_is_saved_also_without_values(kind: str, n: int) -> None:
    lengths, angles, fractions, pdf = tables(n)
    if n == 0:
        fractions, pdf = fractions.iloc[:0], pdf.iloc[:0]
    file = BytesIO()
    distributions_figure(lengths, angles, fractions, pdf).savefig(file, format=kind)
    assert len(file.getvalue()) > 5000
