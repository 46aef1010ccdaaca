"""The distributions as vector figures for print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.plotting.colours import ACCENT, FILL, INK, ring_colour, ring_label
from amorph2d.plotting.histograms import bin_values, choose_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = 6.9  # width of a page [inch]
STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "axes.linewidth": 0.6, "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}  # fmt: skip


def distributions_figure(
    lengths: ArrayLike, angles: ArrayLike, fractions: pd.DataFrame, pdf: pd.DataFrame
) -> Figure:
    """Draw bond lengths, angles, ring sizes and g(r) as four panels of a page's width.

    Parameters
    ----------
    lengths, angles
        (B,) [Å] and (A,) [°]; may be empty.
    fractions
        ``size``, ``fraction``, ``low``, ``high``, as made by `plotting.distributions.ring_fractions`.
    pdf
        ``r`` [Å], ``g`` and ``g_error``.

    Returns
    -------
    Figure
        To be saved as SVG or PDF.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 0.72 * PAGE), layout="constrained")
        axes = figure.subplots(2, 2)
        _histogram(axes[0, 0], lengths, "Bond length [Å]", "Density [1/Å]")
        _histogram(axes[0, 1], angles, "Bond angle [°]", "Density [1/°]")
        _rings(axes[1, 0], fractions)
        _pairs(axes[1, 1], pdf)
        for letter, axis in zip("abcd", axes.flat, strict=True):
            axis.set_title(letter, loc="left", fontweight="bold")
            axis.spines[["top", "right"]].set_visible(False)
    return figure


def _histogram(axis: Axes, values: ArrayLike, x: str, y: str) -> None:
    bins = bin_values(values, choose_edges(values))
    axis.stairs(np.nan_to_num(bins.density), bins.edges, fill=True, color=FILL)
    axis.stairs(np.nan_to_num(bins.density), bins.edges, color=ACCENT, linewidth=0.8)
    axis.set(xlabel=x, ylabel=y)
    axis.text(0.98, 0.97, f"n = {bins.n_values}", transform=axis.transAxes, ha="right", va="top")


def _rings(axis: Axes, fractions: pd.DataFrame) -> None:
    sizes = fractions["size"].astype(int)
    share, low, high = (100 * fractions[name].to_numpy(float) for name in ("fraction", "low", "high"))
    places = np.arange(len(sizes))
    axis.bar(places, share, color=[ring_colour(size) for size in sizes], edgecolor=INK, linewidth=0.6)
    reach = np.nan_to_num(np.clip([share - low, high - share], 0, None))
    axis.errorbar(places, share, reach, fmt="none", ecolor=INK, elinewidth=0.8, capsize=2)
    axis.set_xticks(places, [ring_label(size) for size in sizes])
    axis.set(xlabel="Atoms in the ring", ylabel="Share of complete rings [%]")


def _pairs(axis: Axes, pdf: pd.DataFrame) -> None:
    r, g = pdf["r"].to_numpy(float), pdf["g"].to_numpy(float)
    error = np.nan_to_num(pdf["g_error"].to_numpy(float)) if "g_error" in pdf else np.zeros(len(g))
    axis.fill_between(r, g - error, g + error, color=FILL, alpha=0.6, linewidth=0)
    axis.plot(r, g, color=ACCENT, linewidth=0.9)
    axis.axhline(1, color=INK, linewidth=0.6, linestyle=":")
    axis.set(xlabel="r [Å]", ylabel="g(r)")
    axis.set_ylim(bottom=0)
