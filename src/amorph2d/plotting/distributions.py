"""Distributions of bonds, angles, ring sizes and pairs as interactive plotly figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.measures.statistics import RING_SIZES, ring_class
from amorph2d.plotting.colours import ACCENT, FILL, INK, RULE, ring_colour, ring_label
from amorph2d.plotting.histograms import bin_values, choose_edges

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def bond_length_histogram(lengths: ArrayLike) -> Figure:
    """Draw the distribution of bond lengths.

    Parameters
    ----------
    lengths
        Bond lengths, (B,) [Å]; may be empty.

    Returns
    -------
    Figure
        Probability density [1/Å] with the counts in the hover text.
    """
    return _histogram(lengths, title="Bond lengths", quantity="Bond length", unit="Å")


def angle_histogram(angles: ArrayLike) -> Figure:
    """Draw the distribution of bond angles.

    Parameters
    ----------
    angles
        Angles between the bonds at an atom, (A,) [°]; may be empty.

    Returns
    -------
    Figure
        Probability density [1/°] with the counts in the hover text.
    """
    return _histogram(angles, title="Bond angles", quantity="Bond angle", unit="°")


def ring_fractions(row: Mapping[str, Any]) -> pd.DataFrame:
    """Collect the ring fractions of one row of the summary.

    Parameters
    ----------
    row
        Row of the summary with ``ring_fraction_<size>`` and, where known, ``…_low`` and ``…_high``; missing
        sizes are left out.

    Returns
    -------
    DataFrame
        ``size``, ``label``, ``fraction``, ``low``, ``high``, ascending in size; NaN where unknown.
    """
    found = []
    for size in RING_SIZES:
        name = f"ring_fraction_{ring_class(size)}"
        if name in row:
            values = [float(row.get(name + end, np.nan)) for end in ("", "_low", "_high")]
            found.append((size, ring_label(size), *values))
    return pd.DataFrame(found, columns=["size", "label", "fraction", "low", "high"])


def ring_size_bars(fractions: pd.DataFrame) -> Figure:
    """Draw the shares of the ring sizes with their 95 % intervals.

    Parameters
    ----------
    fractions
        ``size``, ``fraction`` and, where known, ``low`` and ``high``, as made by `ring_fractions`.

    Returns
    -------
    Figure
        One bar per size [%].
    """
    import plotly.graph_objects as go

    table = fractions.reindex(columns=["size", "fraction", "low", "high"]).astype({"size": int})
    share = 100 * table["fraction"].to_numpy(dtype=float)
    above = 100 * table["high"].to_numpy(dtype=float) - share
    below = share - 100 * table["low"].to_numpy(dtype=float)
    bars = go.Bar(
        x=[ring_label(size) for size in table["size"]],
        y=share,
        marker={"color": [ring_colour(size) for size in table["size"]], "line": {"color": INK, "width": 0.6}},
        error_y={"type": "data", "array": above, "arrayminus": below, "color": INK, "thickness": 1.2},
        hovertemplate="%{x}-membered: %{y:.2f} %<extra></extra>",
    )
    figure = go.Figure(bars)
    style(figure, title="Ring sizes", x="Atoms in the ring", y="Share of complete rings [%]")
    figure.update_xaxes(type="category")
    return figure


def pair_distribution_plot(pdf: pd.DataFrame) -> Figure:
    """Draw g(r) with the band of its standard error.

    Parameters
    ----------
    pdf
        ``r`` [Å], ``g`` and, where known, ``g_error``, ascending in ``r``.

    Returns
    -------
    Figure
        Curve, band of ± one ``g_error``, and the line g = 1 of a random arrangement.
    """
    import plotly.graph_objects as go

    r, g = pdf["r"].to_numpy(dtype=float), pdf["g"].to_numpy(dtype=float)
    figure = go.Figure()
    if "g_error" in pdf and len(pdf):
        error = np.nan_to_num(pdf["g_error"].to_numpy(dtype=float))
        band = {"x": np.concatenate([r, r[::-1]]), "y": np.concatenate([g + error, (g - error)[::-1]])}
        figure.add_scatter(
            **band,
            fill="toself",
            fillcolor=FILL,
            opacity=0.5,
            line={"width": 0},
            mode="lines",
            name="± g_error",
        )
    figure.add_scatter(x=r, y=g, mode="lines", line={"color": ACCENT, "width": 1.6}, name="g(r)")
    figure.add_hline(y=1, line={"color": INK, "width": 0.8, "dash": "dot"})
    style(figure, title="Pair distribution", x="r [Å]", y="g(r)")
    return figure


def _histogram(values: ArrayLike, *, title: str, quantity: str, unit: str) -> Figure:
    """Draw one density histogram; only the bins are stored, so 10⁶ values cost no more than 10²."""
    import plotly.graph_objects as go

    bins = bin_values(values, choose_edges(values))
    bars = go.Bar(
        x=bins.centres,
        y=bins.density,
        width=np.diff(bins.edges),
        customdata=bins.counts,
        marker={"color": FILL, "line": {"color": ACCENT, "width": 0.6}},
        hovertemplate=f"%{{x:.4g}} {unit}: %{{customdata}} values<extra></extra>",
    )
    figure = go.Figure(bars)
    number = f"n = {bins.n_values}" + (f", {bins.n_outside} outside" if bins.n_outside else "")
    style(figure, title=f"{title} ({number})", x=f"{quantity} [{unit}]", y=f"Density [1/{unit}]")
    figure.update_layout(bargap=0)
    return figure


def style(figure: Figure, *, title: str, x: str, y: str) -> None:
    """Give a figure the look that all of them share."""
    axis = {"showline": True, "linecolor": INK, "ticks": "outside", "gridcolor": RULE, "zeroline": False}
    figure.update_layout(
        title={"text": title, "font": {"size": 16}},
        font={"color": INK, "size": 13},
        plot_bgcolor="white",
        paper_bgcolor="white",
        showlegend=False,
        margin={"l": 60, "r": 20, "t": 50, "b": 50},
    )
    figure.update_xaxes(title_text=x, showgrid=False, **axis)
    figure.update_yaxes(title_text=y, rangemode="tozero", **axis)
