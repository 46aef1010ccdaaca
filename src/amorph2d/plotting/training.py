"""How a network learned and how well it does, as matplotlib figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from amorph2d.arrays import FloatArray
from amorph2d.plotting.colours import INK, MUTED, RULE, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def training_curves(history: pd.DataFrame) -> Figure:
    """Draw the history of a fit.

    Parameters
    ----------
    history
        One row per epoch: ``epoch`` and numeric columns. Columns with ``loss`` in their names share the first
        panel, on a logarithmic axis; each other one has its own.

    Returns
    -------
    Figure
        The panels; the lowest validation loss is marked.

    Raises
    ------
    ValueError
        If there is no column ``epoch``.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if "epoch" not in history:
        raise ValueError(f"history must have a column 'epoch', got {list(history.columns)}")
    columns = [str(name) for name in history.select_dtypes("number").columns if name != "epoch"]
    losses = [name for name in columns if "loss" in name]
    groups = [losses] * bool(losses) + [[name] for name in columns if name not in losses]
    figure = MatplotlibFigure(figsize=(4.0 * max(1, len(groups)), 3.2), layout="constrained", dpi=120)
    panels = np.asarray(figure.subplots(1, max(1, len(groups)), squeeze=False)).ravel()
    for axes, group in zip(panels, groups, strict=False):
        for colour, name in zip(SERIES * len(group), group, strict=False):
            known = history[["epoch", name]].dropna()
            label = name.removesuffix("_loss").replace("_", " ")
            axes.plot(known["epoch"], known[name], color=colour, linewidth=1.4, label=label)
        _tidy(axes, x="epoch", y="loss" if group is losses else group[0].replace("_", " "))
        axes.xaxis.get_major_locator().set_params(integer=True)
    if losses:
        _scale_losses(panels[0], history, losses)
        panels[0].legend(fontsize=8, frameon=False)
    return figure


def score_curves(tables: pd.DataFrame) -> Figure:
    """Draw F1 and RMSE against the dose, a line for each polarity, a column of panels for each kind of site.

    Parameters
    ----------
    tables
        One row per kind, dose bin and polarity: ``kind``, ``polarity``, ``f1``, ``rmse`` [Å] and the bin as
        ``dose_low`` and ``dose_high`` [e⁻/Å²]. Empty bins are NaN and leave a gap.

    Returns
    -------
    Figure
        F1 above, RMSE below, on a logarithmic dose axis.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    needed = ["kind", "polarity", "f1", "rmse", "dose_low", "dose_high"]
    missing = [name for name in needed if name not in tables]
    if missing:
        raise ValueError(f"tables must have the columns {needed}, missing {missing}")
    kinds = list(dict.fromkeys(tables["kind"])) or ["site"]
    polarities = list(dict.fromkeys(tables["polarity"]))
    figure = MatplotlibFigure(figsize=(4.4 * len(kinds), 5.6), layout="constrained", dpi=120)
    grid = np.asarray(figure.subplots(2, len(kinds), squeeze=False, sharex=True))
    for column, kind in enumerate(kinds):
        for colour, polarity in zip(SERIES, polarities, strict=False):
            rows = tables[(tables["kind"] == kind) & (tables["polarity"] == polarity)].sort_values("dose_low")
            dose = _bin_centres(rows)
            style = {"color": colour, "marker": "o", "markersize": 4, "linewidth": 1.3, "label": polarity}
            for axes, score in zip(grid[:, column], ("f1", "rmse"), strict=True):
                axes.plot(dose, rows[score], **style)
        grid[0, column].set_title(kind, fontsize=10, color=INK, parse_math=False)
        _tidy(grid[0, column], x="", y="F1")
        _tidy(grid[1, column], x="dose [e⁻/Å²]", y="RMSE [Å]")
        grid[1, column].set_ylim(bottom=0)
        grid[1, column].set_xscale("log")
    if polarities:
        grid[0, 0].legend(fontsize=8, frameon=False)
    return figure


def _bin_centres(rows: pd.DataFrame) -> FloatArray:
    """Return the geometric centres of the dose bins; a bin open at one end is taken as an octave."""
    low, high = rows["dose_low"].to_numpy(dtype=float), rows["dose_high"].to_numpy(dtype=float)
    low = np.where(low > 0, low, high / 2)
    high = np.where(np.isfinite(high), high, 2 * low)
    return np.sqrt(low * high)


def _scale_losses(axes: Axes, history: pd.DataFrame, losses: list[str]) -> None:
    """Use a logarithmic axis where the losses are positive, and mark the best validation."""
    if (history[losses].min() > 0).all():
        axes.set_yscale("log")
    for name in losses:
        if name.startswith(("validation", "val")) and history[name].notna().any():
            values = history[name].to_numpy(dtype=float)
            best = int(np.nanargmin(values))
            point = (float(history["epoch"].iloc[best]), float(values[best]))
            axes.plot(*point, marker="o", color=INK, markersize=5, fillstyle="none")
            axes.annotate(
                f"{point[1]:.3g}", point, xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8
            )


def _tidy(axes: Axes, *, x: str, y: str) -> None:
    """Give axes the look that all of them share."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=RULE, linewidth=0.6)
    axes.tick_params(which="both", colors=MUTED, labelsize=8)
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
