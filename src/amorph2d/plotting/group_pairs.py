"""Pair distributions of groups over one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from amorph2d.plotting.colours import INK, SERIES
from amorph2d.plotting.distributions import style

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def overlaid_pairs_plot(pairs: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw g(r) of each group with the band of its standard error.

    Parameters
    ----------
    pairs
        ``r`` [Å], ``g`` and ``g_error`` of each group, ascending in ``r``; may be empty.

    Returns
    -------
    Figure
        A curve and a band of ± one ``g_error`` for each group, and the line g = 1.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for number, (name, table) in enumerate(pairs.items()):
        colour = SERIES[number % len(SERIES)]
        r, g, error = (table[column].to_numpy(float) for column in ("r", "g", "g_error"))
        figure.add_scatter(
            x=np.concatenate([r, r[::-1]]),
            y=np.concatenate([g + error, (g - error)[::-1]]),
            fill="toself",
            fillcolor=colour,
            opacity=0.25,
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            legendgroup=name,
        )
        figure.add_scatter(
            x=r, y=g, mode="lines", line={"color": colour, "width": 1.6}, name=name, legendgroup=name
        )
    figure.add_hline(y=1, line={"color": INK, "width": 0.8, "dash": "dot"})
    style(figure, title="Pair distribution of the groups", x="r [Å]", y="g(r)")
    figure.update_layout(showlegend=True)
    return figure
