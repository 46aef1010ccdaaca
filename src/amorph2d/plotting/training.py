"""How a network learned and how well it does, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from amorph2d.arrays import FloatArray
from amorph2d.plotting.colours import INK, MUTED, RULE, SERIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SITES = ("atom", "ring")  # channels whose sigmas are lengths
_LOGARITHMIC = ("dose_per_area", "bound")
_CONDITIONS = {
    "dose_per_area": "dose [e⁻/Å²]",
    "defocus": "defocus [Å]",
    "sampling": "sampling [Å/px]",
    "bound": "Cramér–Rao bound [Å]",
}
_METRICS = {"f1": "F1", "rmse": "RMSE [Å]", "rmse_over_bound": "RMSE / Cramér–Rao bound", "dice": "Dice"}


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


def score_figure(groups: pd.DataFrame, metrics: str | Sequence[str]) -> Figure:
    """Draw scores against the conditions of the images, a line for each channel.

    Parameters
    ----------
    groups
        One row per channel, condition and bin: ``channel``, ``condition``, ``low`` and ``high``, NaN where
        the values of a condition are names, ``value``, the name, and the columns `metrics`.
    metrics
        Columns to draw, a row of panels for each. NaN leaves a gap.

    Returns
    -------
    Figure
        One column of panels per condition: numbers on an axis, at the middles of their bins, names as bars.

    Raises
    ------
    ValueError
        If a column is missing or there is no metric.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    metrics = [metrics] if isinstance(metrics, str) else list(metrics)
    if not metrics:
        raise ValueError("metrics must name at least one column, got none")
    _check_columns(groups, "groups", ["channel", "condition", "low", "high", "value", *metrics])
    conditions = list(dict.fromkeys(groups["condition"]))
    colours = _colours_of(groups["channel"])
    n_rows, n_columns = len(metrics), max(1, len(conditions))
    figure = MatplotlibFigure(
        figsize=(2.9 * n_columns + 0.6, 2.4 * n_rows + 0.6), layout="constrained", dpi=120
    )
    grid = np.asarray(figure.subplots(n_rows, n_columns, squeeze=False, sharex="col"))
    shared: dict[tuple[str, bool], Axes] = {}
    for column, condition in zip(grid.T, conditions, strict=False):
        rows = groups[groups["condition"] == condition]
        is_numeric = bool(rows["low"].notna().any())
        for axes, metric in zip(column, metrics, strict=True):
            # Bars stand on 0, where lines would show nothing: each kind has a scale of its own.
            first = shared.setdefault((metric, is_numeric), axes)
            if first is not axes:
                axes.sharey(first)
            draw = _draw_lines if is_numeric else _draw_bars
            draw(axes, rows, metric, colours)
    for row, metric in zip(grid, metrics, strict=True):
        for axes in row:
            _tidy(axes, x="", y="")
        row[0].set_ylabel(_METRICS.get(metric, metric.replace("_", " ")))
    for axes, condition in zip(grid[-1], conditions, strict=False):
        axes.set_xlabel(_CONDITIONS.get(condition, condition))
    if colours:
        _name_channels(figure, colours)
    return figure


def reliability_figure(reliability: pd.DataFrame) -> Figure:
    """Draw what networks say of themselves against the truth, a panel for each quantity.

    Parameters
    ----------
    reliability
        One row per channel, quantity and bin: ``channel``, ``quantity``, ``predicted``, ``measured``, ``n``.

    Returns
    -------
    Figure
        A line for each channel, its dots the larger the more there is in a bin; what is true lies on the
        diagonal.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    _check_columns(reliability, "reliability", ["channel", "quantity", "predicted", "measured", "n"])
    quantities = list(dict.fromkeys(reliability["quantity"]))
    colours = _colours_of(reliability["channel"])
    n_panels = max(1, len(quantities))
    figure = MatplotlibFigure(figsize=(3.6 * n_panels, 4.3), layout="constrained", dpi=120)
    panels = np.asarray(figure.subplots(1, n_panels, squeeze=False)).ravel()
    for axes, quantity in zip(panels, quantities, strict=False):
        rows = reliability[reliability["quantity"] == quantity]
        unit = " [Å]" if quantity == "sigma" and rows["channel"].isin(_SITES).all() else ""
        limit = 1.05 * float(rows[["predicted", "measured"]].max(axis=None)) if quantity == "sigma" else 1.0
        margin = 0.03 * limit
        axes.plot([0, limit], [0, limit], color=MUTED, linewidth=0.8, linestyle="--")
        for channel, own in rows.groupby("channel", sort=False):
            own = own.sort_values("predicted")
            size = 8 + 40 * own["n"] / own["n"].max()
            axes.plot(own["predicted"], own["measured"], color=colours[str(channel)], linewidth=1.2)
            axes.scatter(own["predicted"], own["measured"], s=size, color=colours[str(channel)])
        axes.set_title(quantity, fontsize=10, color=INK, parse_math=False)
        axes.set(xlim=(-margin, limit + margin), ylim=(-margin, limit + margin))
        axes.set_box_aspect(1)
        _tidy(axes, x=f"predicted{unit}", y=f"measured{unit}")
    if colours:
        _name_channels(figure, colours)
    return figure


def _check_columns(table: pd.DataFrame, name: str, needed: Sequence[str]) -> None:
    """Refuse a table without the columns that are drawn."""
    missing = [column for column in needed if column not in table]
    if missing:
        raise ValueError(f"{name} must have the columns {list(needed)}, missing {missing}")


def _colours_of(channels: pd.Series) -> dict[str, str]:
    """Return the colour of each channel, in the order in which they come."""
    return dict(zip(dict.fromkeys(map(str, channels)), SERIES, strict=False))


def _name_channels(figure: Figure, colours: Mapping[str, str]) -> None:
    """Say above the panels which colour is which channel."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, label=channel, linewidth=3) for channel, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), fontsize=8, frameon=False)


def _draw_lines(axes: Axes, rows: pd.DataFrame, metric: str, colours: Mapping[str, str]) -> None:
    """Draw a metric against a numeric condition."""
    from matplotlib.ticker import LogLocator, NullFormatter

    is_log = rows["condition"].iloc[0] in _LOGARITHMIC
    for channel, own in rows.sort_values("low").groupby("channel", sort=False):
        style: dict[str, Any] = {"color": colours[str(channel)], "marker": "o", "markersize": 4}
        axes.plot(_bin_centres(own, is_log=is_log), own[metric], linewidth=1.3, **style)
    if is_log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_bars(axes: Axes, rows: pd.DataFrame, metric: str, colours: Mapping[str, str]) -> None:
    """Draw a metric as bars, a group for each name."""
    names = list(dict.fromkeys(rows["value"]))
    width = 0.8 / len(colours)
    for number, (channel, colour) in enumerate(colours.items()):
        own = rows[rows["channel"] == channel].set_index("value")[metric].reindex(names)
        axes.bar(np.arange(len(names)) + (number + 0.5) * width - 0.4, own, width, color=colour)
    axes.set_xticks(np.arange(len(names)), names, rotation=30, ha="right", parse_math=False)


def _bin_centres(rows: pd.DataFrame, *, is_log: bool) -> FloatArray:
    """Return the middles of bins, geometric on a logarithmic axis.

    A bin open at one end is taken to be an octave wide on a logarithmic axis, else as wide as the widest
    closed one or, if there is none, as from its edge to 0.
    """
    low, high = rows["low"].to_numpy(dtype=float), rows["high"].to_numpy(dtype=float)
    if is_log:
        with np.errstate(divide="ignore"):
            low, high = np.log2(low.clip(min=0)), np.log2(high)
    closed = (high - low)[np.isfinite(high - low)]
    edge = np.where(np.isfinite(low), low, high)
    width = np.ones(len(rows)) if is_log else np.full(len(rows), closed.max(initial=0.0))
    width = np.where(width > 0, width, np.maximum(np.abs(edge), np.finfo(float).eps))
    low = np.where(np.isfinite(low), low, high - width)
    high = np.where(np.isfinite(high), high, low + width)
    return np.asarray(np.exp2((low + high) / 2) if is_log else (low + high) / 2)


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
    axes.set_axisbelow(True)
    axes.tick_params(which="both", colors=MUTED, labelsize=8)
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
