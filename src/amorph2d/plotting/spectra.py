"""Measured against simulated micrographs: examples, spectra and grey values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.plotting.colours import INK, MUTED, REFERENCE, RULE, SERIES
from amorph2d.plotting.grey import stretch
from amorph2d.plotting.micrographs import draw_scale_bar, show_values

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from amorph2d.imaging.adaptation.compare import Appearance, Comparison

Example = tuple[ArrayLike, float, str]
"""A micrograph, its pixel size [Å/px] and its title."""

_STYLES: dict[str, dict[str, Any]] = {
    "measured": {"color": INK, "linewidth": 1.8},
    "matched": {"color": REFERENCE, "linewidth": 1.8},
    "unmatched": {"color": SERIES[0], "linewidth": 1.2, "linestyle": "--"},
}
_LABELS = {"measured": "measured", "matched": "simulated, matched", "unmatched": "simulated, unmatched"}
_FIELD = 50.0  # largest field of an example [Å]: in wider ones no atom would be seen


def comparison_figure(
    comparison: Comparison,
    *,
    measured: Sequence[Example],
    simulated: Sequence[Example],
    field: float = _FIELD,
) -> Figure:
    """Draw measured and simulated examples, and below them spectra and grey values with their distances.

    Parameters
    ----------
    comparison
        Appearances and distances of the sets.
    measured, simulated
        Examples: image (rows, columns), pixel size [Å/px] and title; at least one each.
    field
        Largest side of what is shown of an example, > 0 [Å].

    Returns
    -------
    Figure
        One row of measured, one of simulated examples, and two charts.

    Raises
    ------
    ValueError
        If there are no examples or `field` is not positive.
    """
    if not measured or not simulated:
        raise ValueError(f"there must be examples of both kinds, got {len(measured)} and {len(simulated)}")
    if field <= 0:
        raise ValueError(f"field must be > 0 Å, got {field}")
    from matplotlib.figure import Figure as MatplotlibFigure

    columns = max(len(measured), len(simulated))
    figure = MatplotlibFigure(figsize=(max(2.6 * columns, 8.0), 8.6), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[1.65, 1])
    above, below = parts
    axes = above.subplots(2, columns, squeeze=False)
    for row, examples, what in zip(axes, (measured, simulated), ("measured", "matched"), strict=True):
        for place in row:
            place.set_axis_off()
        for place, example in zip(row, examples, strict=False):
            _draw_example(place, example, field, _LABELS[what])
    left, right = below.subplots(1, 2)
    draw_spectra(left, comparison)
    draw_grey_values(right, comparison)
    return figure


def draw_spectra(axes: Axes, comparison: Comparison) -> None:
    """Draw the spectra of all sets, with the root mean squares of their log ratios in the legend."""
    for name, item in comparison.appearances.items():
        known = np.isfinite(item.density) & (item.density > 0)
        label = _label(name, comparison.distances, "spectrum")
        axes.semilogy(item.frequency[known], item.density[known], label=label, **_STYLES[name])
    axes.set(xlabel="frequency [1/Å]", ylabel="power spectral density [Å²]")
    axes.set_ylim(top=8 * axes.get_ylim()[1])  # room for the legend
    _finish(axes, "log ratio of the spectra, rms", comparison.distances, "spectrum")


def draw_grey_values(axes: Axes, comparison: Comparison) -> None:
    """Draw the distributions of grey values of all sets, with their distances in the legend."""
    for name, item in comparison.appearances.items():
        label = _label(name, comparison.distances, "grey_values")
        axes.plot(*_histogram(item), label=label, **_STYLES[name])
    axes.set(xlabel="grey value [local standard deviations]", ylabel="probability density")
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    _finish(axes, "Wasserstein distance", comparison.distances, "grey_values")


def _histogram(item: Appearance) -> tuple[ArrayLike, ArrayLike]:
    """Grey values and their density."""
    from amorph2d.imaging.adaptation.compare import histogram_centres

    return histogram_centres(), item.histogram


def _draw_example(axes: Axes, example: Example, field: float, what: str) -> None:
    """Draw the middle of a micrograph with a scale bar."""
    image, sampling, title = example
    values = np.asarray(image)
    sides = [min(n, max(int(field / sampling), 1)) for n in values.shape]
    starts = [(n - side) // 2 for n, side in zip(values.shape, sides, strict=True)]
    middle = values[starts[0] : starts[0] + sides[0], starts[1] : starts[1] + sides[1]]
    grey = stretch(middle)
    show_values(axes, grey, (sampling, sampling))
    draw_scale_bar(axes, grey.shape, (sampling, sampling))
    axes.set_title(f"{what}\n{title}", fontsize=8, color=INK, parse_math=False)


def _label(name: str, distances: pd.DataFrame, column: str) -> str:
    """Name of a set, with its distance from the measured one."""
    row = distances[distances["set"] == name]
    return _LABELS[name] if row.empty else f"{_LABELS[name]}: {row[column].iloc[0]:.3g}"


def _finish(axes: Axes, title: str, distances: pd.DataFrame, column: str) -> None:
    """Title, legend and the floor of a chart."""
    floor = distances[distances["set"] == "floor"]
    if not floor.empty:
        title += f"; between halves of the measured: {floor[column].iloc[0]:.3g}"
    axes.set_title(title, fontsize=8, color=MUTED, loc="left")
    axes.legend(frameon=False, fontsize=8, loc="upper right")
    axes.grid(color=RULE, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
