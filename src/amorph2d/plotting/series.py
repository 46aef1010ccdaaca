"""Statistics of a series against time or dose, as interactive and as vector figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.arrays import FloatArray
from amorph2d.plotting.colours import INK, SERIES
from amorph2d.plotting.distributions import style
from amorph2d.plotting.publication import PAGE, STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure
    from plotly.graph_objects import Figure

_AXES = {"time": "Time [s]", "dose": "Dose [e⁻/Å²]", "frame": "Frame"}
_COLUMNS = 2


def evolution_plot(
    evolution: pd.DataFrame, *, axis: str | None = None, units: Mapping[str, str] | None = None
) -> Figure:
    """Draw a statistic of series with the band of its interval; a menu selects which.

    Parameters
    ----------
    evolution
        As `series.evolution.evolution_table` makes it.
    axis
        "time", "dose" or "frame"; if not given, time where it is known, and else the frame.
    units
        Unit of each statistic; without one for those not in it.

    Returns
    -------
    Figure
        A band and a curve for each series; those of the first statistic are shown.

    Raises
    ------
    ValueError
        If the axis is not known.
    """
    import plotly.graph_objects as go

    axis = _axis(evolution, axis)
    figure, statistics, owners = go.Figure(), evolution["statistic"].unique().tolist(), []
    for statistic in statistics:
        for number, (micrograph, rows) in enumerate(_series(evolution, statistic)):
            colour, is_shown = SERIES[number % len(SERIES)], statistic == statistics[0]
            x, y, (band_x, low, high) = (
                rows[axis].to_numpy(float),
                rows["value"].to_numpy(float),
                _band(rows, axis),
            )
            figure.add_scatter(
                x=np.concatenate([band_x, band_x[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                fill="toself",
                fillcolor=colour,
                opacity=0.2,
                line={"width": 0},
                mode="lines",
                hoverinfo="skip",
                name=f"{micrograph}: interval",
                visible=is_shown,
            )
            figure.add_scatter(
                x=x,
                y=y,
                customdata=rows[["low", "high"]].to_numpy(float),
                mode="lines+markers",
                line={"color": colour, "width": 1.6},
                marker={"size": 4},
                name=str(micrograph),
                hovertemplate="%{x:.4g}: %{y:.4g} (%{customdata[0]:.4g} … %{customdata[1]:.4g})",
                visible=is_shown,
            )
            owners += [statistic] * 2
    titles = [_title(statistic, units) for statistic in statistics] or [""]
    style(figure, title="Evolution", x=_AXES[axis], y=titles[0])
    figure.update_yaxes(rangemode="normal")
    if statistics:
        figure.update_layout(updatemenus=[_menu(statistics, titles, owners)])
    return figure


def evolution_figure(
    evolution: pd.DataFrame,
    statistics: Sequence[str],
    *,
    axis: str | None = None,
    units: Mapping[str, str] | None = None,
) -> MatplotlibFigure:
    """Draw statistics of series for print, a panel for each.

    Parameters
    ----------
    evolution
        As `series.evolution.evolution_table` makes it.
    statistics
        Which of them; a panel stays empty for one that is not in the table.
    axis, units
        As for `evolution_plot`.

    Returns
    -------
    Figure
        As wide as a page, to be saved as SVG or PDF.

    Raises
    ------
    ValueError
        If the axis is not known.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    axis = _axis(evolution, axis)
    n_rows = max(1, -(-len(statistics) // _COLUMNS))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE, 0.36 * PAGE * n_rows), layout="constrained")
        panels = figure.subplots(n_rows, _COLUMNS, squeeze=False).ravel()
        for panel in panels[len(statistics) :]:
            panel.set_axis_off()
        for panel, statistic in zip(panels, statistics, strict=False):
            _draw(panel, evolution, statistic, axis)
            panel.set(xlabel=_AXES[axis], ylabel=_title(statistic, units))
            panel.spines[["top", "right"]].set_visible(False)
        if statistics and evolution["micrograph"].nunique() > 1:
            panels[0].legend(frameon=False)
    return figure


def _draw(panel: Axes, evolution: pd.DataFrame, statistic: str, axis: str) -> None:
    """Draw the curves and bands of one statistic."""
    for number, (micrograph, rows) in enumerate(_series(evolution, statistic)):
        colour = SERIES[number % len(SERIES)]
        panel.fill_between(*_band(rows, axis), color=colour, alpha=0.25, linewidth=0)
        panel.plot(
            rows[axis], rows["value"], color=colour, linewidth=0.9, marker=".", markersize=3, label=micrograph
        )


def _axis(evolution: pd.DataFrame, axis: str | None) -> str:
    """Return along which column is drawn."""
    if axis is None:
        return "time" if evolution["time"].notna().any() else "frame"
    if axis not in _AXES:
        raise ValueError(f"axis must be one of {', '.join(_AXES)}, got {axis!r}")
    return axis


def _series(evolution: pd.DataFrame, statistic: str) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Give each series that has a statistic, in the order of the table."""
    return iter(evolution[evolution["statistic"] == statistic].groupby("micrograph", sort=False))


def _band(rows: pd.DataFrame, axis: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return places and bounds of the intervals that are known."""
    known = rows[[axis, "low", "high"]].to_numpy(np.float64)
    x, low, high = known[np.isfinite(known).all(axis=1)].T
    return x, low, high


def _title(statistic: str, units: Mapping[str, str] | None) -> str:
    """Return how the axis of a statistic is named."""
    unit = (units or {}).get(statistic, "")
    return statistic.replace("_", " ").capitalize() + (f" [{unit}]" if unit else "")


def _menu(statistics: Sequence[str], titles: Sequence[str], owners: Sequence[str]) -> dict[str, Any]:
    """Return the menu that shows one statistic and hides the others."""
    buttons = [
        {
            "label": title,
            "method": "update",
            "args": [{"visible": [owner == statistic for owner in owners]}, {"yaxis.title.text": title}],
        }
        for statistic, title in zip(statistics, titles, strict=True)
    ]
    place = {"x": 1.0, "xanchor": "right", "y": 1.02, "yanchor": "bottom"}
    return {"buttons": buttons, "showactive": True, "font": {"color": INK, "size": 11}, **place}
