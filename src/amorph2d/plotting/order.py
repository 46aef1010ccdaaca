"""Scattering and neighbouring rings of one micrograph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from amorph2d.plotting.colours import ACCENT, FILL, INK, RULE
from amorph2d.plotting.publication import PAGE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def order_figure(structure_factor: pd.DataFrame, ring_adjacency: pd.DataFrame) -> Figure:
    """Draw S(q), and the mean size of the neighbours of rings of each size.

    Parameters
    ----------
    structure_factor
        ``q`` [1/Å], ``s`` and ``s_error`` of one frame.
    ring_adjacency
        ``size``, ``neighbour_size`` and ``n_bonds`` of one frame.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 0.36 * PAGE), layout="constrained")
        left, right = figure.subplots(1, 2)
        _scattering(left, structure_factor)
        _neighbours(right, ring_adjacency)
        for axis in (left, right):
            axis.spines[["top", "right"]].set_visible(False)
    return figure


def _scattering(axis: Axes, table: pd.DataFrame) -> None:
    """Draw S(q) with the band of its standard error."""
    q, s, error = (table[name].to_numpy(np.float64) for name in ("q", "s", "s_error"))
    axis.fill_between(q, s - error, s + error, color=FILL, lw=0)
    axis.plot(q, s, color=ACCENT, lw=0.8)
    axis.axhline(1, color=RULE, zorder=0)
    axis.set(xlabel="q [1/Å]", ylabel="Structure factor S(q)", ylim=(0, None))


def _neighbours(axis: Axes, table: pd.DataFrame) -> None:
    """Draw n m(n) against n, which the Aboav–Weaire law makes a line."""
    weighted = (
        table.assign(sum=table["neighbour_size"] * table["n_bonds"]).groupby("size")[["sum", "n_bonds"]].sum()
    )
    weighted = weighted[weighted["n_bonds"] > 0]
    size = weighted.index.to_numpy(np.float64)
    axis.plot(size, size * weighted["sum"] / weighted["n_bonds"], "o", color=INK, ms=3)
    axis.set(xlabel="Atoms in a ring n", ylabel="n × mean size of neighbours")
