"""Groups of micrographs over one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.arrays import FloatArray
from amorph2d.measures.config import LiteratureValue
from amorph2d.plotting.colours import INK, RULE, SERIES, ring_label
from amorph2d.plotting.distributions import style
from amorph2d.plotting.histograms import bin_values, choose_edges
from amorph2d.plotting.publication import PAGE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from plotly.graph_objects import Figure as PlotlyFigure

_RING = "ring_fraction_"


def overlaid_plot(values: Mapping[str, FloatArray], *, quantity: str, unit: str) -> PlotlyFigure:
    """Draw the distribution of a quantity in each group as a line.

    Parameters
    ----------
    values
        The quantity in each group, (N,).
    quantity, unit
        What it is called and its unit.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    edges = choose_edges(np.concatenate([np.empty(0), *values.values()]))
    for name, colour, own in _coloured(values):
        binned = bin_values(own, edges)
        middles = (binned.edges[:-1] + binned.edges[1:]) / 2
        figure.add_trace(
            go.Scatter(
                x=middles, y=binned.density, name=name, mode="lines", line={"color": colour, "shape": "hvh"}
            )
        )
    style(figure, title=f"{quantity} of the groups", x=f"{quantity} [{unit}]", y=f"Density [1/{unit}]")
    figure.update_layout(showlegend=True)
    return figure


def group_rings_plot(comparison: pd.DataFrame, literature: Iterable[LiteratureValue]) -> PlotlyFigure:
    """Draw the ring fractions of the groups side by side, before what others found.

    Parameters
    ----------
    comparison
        As `measures.comparison.compare_groups` gives it.
    literature
        Ranges to be drawn behind.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    shares = ring_shares(comparison)
    for _, colour, own in _coloured(
        {name: shares[shares["group"] == name] for name in dict.fromkeys(shares["group"])}
    ):
        figure.add_trace(
            go.Bar(
                x=[ring_label(n) for n in own["size"]],
                y=100 * own["share"],
                name=str(own["group"].iloc[0]),
                marker={"color": colour},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "color": INK,
                    "thickness": 1,
                    "array": 100 * (own["high"] - own["share"]),
                    "arrayminus": 100 * (own["share"] - own["low"]),
                },
            )
        )
    sizes = list(dict.fromkeys(shares["size"]))
    for value, size in _ring_ranges(literature):
        if size in sizes:
            place = sizes.index(size)
            figure.add_shape(
                type="rect", x0=place - 0.48, x1=place + 0.48, y0=100 * value.low, y1=100 * value.high,
                fillcolor=RULE, line={"width": 0}, layer="below",
            )  # fmt: skip
    style(figure, title="Ring sizes of the groups", x="Atoms in the ring", y="Share of rings [%]")
    figure.update_xaxes(type="category")
    figure.update_layout(showlegend=True)
    return figure


def comparison_figure(
    lengths: Mapping[str, FloatArray],
    angles: Mapping[str, FloatArray],
    comparison: pd.DataFrame,
    literature: Iterable[LiteratureValue],
) -> Figure:
    """Draw lengths, angles and rings of the groups, and the differences, for print.

    Parameters
    ----------
    lengths, angles
        Of each group, (B,) [Å] and (A,) [°].
    comparison
        As `measures.comparison.compare_groups` gives it.
    literature
        Ranges to be drawn behind the rings.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 0.72 * PAGE), layout="constrained")
        axes = figure.subplots(2, 2)
        _lines(axes[0, 0], lengths, "Bond length [Å]", "Density [1/Å]")
        _lines(axes[0, 1], angles, "Bond angle [°]", "Density [1/°]")
        _bars(axes[1, 0], comparison, literature)
        _forest(axes[1, 1], comparison)
        for letter, axis in zip("abcd", axes.flat, strict=True):
            axis.set_title(letter, loc="left", fontweight="bold")
            axis.spines[["top", "right"]].set_visible(False)
    return figure


def ring_shares(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return `group`, `size`, `share`, `low` and `high` of the rings of each group, the reference first."""
    rings = comparison[comparison["statistic"].str.startswith(_RING)]
    rings = rings[~rings["statistic"].str.contains("uncorrected")]
    sizes = rings["statistic"].str.removeprefix(_RING).str.removesuffix("_or_more").astype(int)
    parts = [
        pd.DataFrame(
            {"group": rings[side], "size": sizes, "share": rings[f"value_{side}"]}
            | {bound: rings[f"{bound}_{side}"] for bound in ("low", "high")}
        )
        for side in ("reference", "group")
    ]
    return pd.concat(parts).drop_duplicates(["group", "size"], ignore_index=True)


def ring_ranges(literature: Iterable[LiteratureValue]) -> pd.DataFrame:
    """Return the ranges of ring fractions: `size`, `low`, `high`, `source`."""
    rows = [(size, value.low, value.high, value.source) for value, size in _ring_ranges(literature)]
    return pd.DataFrame(rows, columns=["size", "low", "high", "source"])


def _coloured(values: Mapping[str, Any]) -> Iterable[tuple[str, str, Any]]:
    """Yield name, colour and values of each group."""
    for number, (name, own) in enumerate(values.items()):
        yield name, SERIES[number % len(SERIES)], own


def _ring_ranges(literature: Iterable[LiteratureValue]) -> Iterable[tuple[LiteratureValue, int]]:
    """Yield the ranges of ring fractions and the size that each is of."""
    for value in literature:
        size = value.statistic.removeprefix(_RING).removesuffix("_or_more")
        if value.statistic.startswith(_RING) and size.isdigit():
            yield value, int(size)


def _lines(axis: Axes, values: Mapping[str, FloatArray], x: str, y: str) -> None:
    """Draw the distributions of the groups."""
    edges = choose_edges(np.concatenate([np.empty(0), *values.values()]))
    for name, colour, own in _coloured(values):
        binned = bin_values(own, edges)
        axis.stairs(binned.density, binned.edges, color=colour, label=name)
    axis.set(xlabel=x, ylabel=y)
    if values:
        axis.legend(frameon=False)


def _bars(axis: Axes, comparison: pd.DataFrame, literature: Iterable[LiteratureValue]) -> None:
    """Draw the rings of the groups side by side."""
    shares = ring_shares(comparison)
    names, sizes = list(dict.fromkeys(shares["group"])), sorted(set(shares["size"]))
    width = 0.8 / max(len(names), 1)
    for number, (_, colour, own) in enumerate(_coloured({n: shares[shares["group"] == n] for n in names})):
        places = [sizes.index(size) + (number + 0.5) * width - 0.4 for size in own["size"]]
        axis.bar(places, 100 * own["share"], width, color=colour)
    for value, size in _ring_ranges(literature):
        if size in sizes:
            low, high = 100 * value.low, 100 * value.high
            axis.fill_between(
                [sizes.index(size) - 0.48, sizes.index(size) + 0.48], low, high, color=RULE, zorder=0
            )
    axis.set_xticks(range(len(sizes)), [ring_label(size) for size in sizes])
    axis.set(xlabel="Atoms in the ring", ylabel="Share of rings [%]")


def _forest(axis: Axes, comparison: pd.DataFrame) -> None:
    """Draw the differences in units of their intervals' half-widths, the least likely by chance first."""
    known = comparison[comparison["high"] > comparison["low"]].nsmallest(12, "p_value").iloc[::-1]
    half = (known["high"] - known["low"]).to_numpy() / 2
    axis.errorbar(known["difference"] / half, range(len(known)), xerr=1.0, fmt="o", color=INK, ms=3, lw=0.8)
    axis.axvline(0, color=RULE, zorder=0)
    labels = [f"{row.statistic}: {row.group}" for row in known.itertuples()]
    axis.set_yticks(range(len(known)), labels, fontsize=5)
    axis.set(xlabel="Difference / half-width of its interval")
