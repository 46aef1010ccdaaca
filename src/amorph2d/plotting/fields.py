"""Strain, orientation and order over a micrograph, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, as_pairs, as_points
from amorph2d.plotting.colours import INK
from amorph2d.plotting.maps import RingPolygons
from amorph2d.plotting.micrographs import MAP_WIDTH, MARGIN, TITLE, in_inches, map_axes
from amorph2d.units import Sampling, as_sampling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import Collection
    from matplotlib.figure import Figure

# Each is told apart with the common colour-vision deficiencies: blue to red through white, a circle of hues
# of even steps in lightness that ends as it begins, and blue to yellow of rising lightness.
DIVERGING, CYCLIC, SEQUENTIAL = "RdBu_r", "twilight", "cividis"
BOUNDARY = "#000000"
RASTERISED_FROM = 20_000
"""Items from which on a map is drawn as pixels in vector figures, too."""
_SHOWN = 0.98  # share of the values that the colours tell apart
_BESIDE = 1.1  # of the map, for the colour bar [inch]


def symmetric_limit(values: ArrayLike, *, share: float = _SHOWN) -> float:
    """Return the size that a share of the values do not exceed, so that colours are symmetric around 0.

    Parameters
    ----------
    values
        Of any shape; NaN is left out.
    share
        From 0 to 1.

    Returns
    -------
    float
        1 where there is no value but 0.
    """
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    sizes = sizes[np.isfinite(sizes)]
    limit = float(np.quantile(sizes, share)) if len(sizes) else 0.0
    return limit if limit > 0 else (float(sizes.max(initial=0)) or 1.0)


def strain_map(
    image: ArrayLike,
    sites: ArrayLike,
    strain: ArrayLike,
    *,
    sampling: Sampling,
    bonds: ArrayLike | None = None,
    label: str = "Strain [%]",
    title: str = "",
) -> Figure:
    """Draw strain over a micrograph, at atoms or along bonds.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    sites
        Positions of atoms, (N, 2), x then y [Å].
    strain
        Of each atom, (N,), or, if bonds are given, of each of them, (B,); not drawn where NaN.
    sampling
        Pixel size, one value or (y, x) [Å/px].
    bonds
        Index pairs into `sites`, (B, 2), to draw the strain of bonds.
    label
        Written at the colour bar.
    title
        Written above the map.

    Returns
    -------
    Figure
        One axes in Å, y downwards, with a scale bar, and a colour bar in per cent around 0.

    Raises
    ------
    ValueError
        If a shape or an index is wrong.
    """
    from matplotlib.collections import EllipseCollection, LineCollection

    points, values = as_points(sites, "sites"), 100 * np.asarray(strain, dtype=np.float64)
    pairs = None if bonds is None else as_pairs(bonds, len(points), "bonds")
    _check_length(values, points if pairs is None else pairs, "strain")
    figure, axes = map_axes(image, as_sampling(sampling), title=title, right=_BESIDE, dpi=130)
    is_known = np.isfinite(values)
    drawn: Collection
    if pairs is not None:
        drawn = LineCollection(list(points[pairs[is_known]]), linewidths=_line_width(axes, 0.5))
    else:
        size = np.full(int(is_known.sum()), 1.2)  # [Å]: discs of neighbours nearly touch
        where = points[is_known]
        drawn = EllipseCollection(
            size, size, np.zeros(len(size)), units="xy", offsets=where, offset_transform=axes.transData
        )
    limit = symmetric_limit(values)
    _show(figure, axes, drawn, values[is_known], limits=(-limit, limit), colours=DIVERGING, label=label)
    return figure


def orientation_map(
    image: ArrayLike,
    atoms: ArrayLike,
    rings: RingPolygons,
    orientation: ArrayLike,
    *,
    sampling: Sampling,
    boundaries: Sequence[ArrayLike] = (),
    title: str = "",
) -> Figure:
    """Draw the orientation of each ring over a micrograph, and the boundaries between grains.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    atoms
        Positions, (N, 2), x then y [Å].
    rings
        Polygons: ring k has the atoms ``members[offsets[k]:offsets[k + 1]]`` in order.
    orientation
        Of each ring, modulo 60, (R,) [°]; not drawn where NaN.
    sampling
        Pixel size, one value or (y, x) [Å/px].
    boundaries
        Points along each boundary, (P, 2), x then y [Å].
    title
        Written above the map.

    Returns
    -------
    Figure
        One axes in Å, y downwards, with a scale bar, and a colour bar from 0 to 60° that ends as it begins.

    Raises
    ------
    ValueError
        If a shape or an index is wrong.
    """
    from matplotlib.collections import LineCollection

    folded = np.asarray(orientation, dtype=np.float64) % 60
    label = "Direction to the next ring centres [°]"
    figure = _ring_values(
        image,
        atoms,
        rings,
        folded,
        sampling=sampling,
        limits=(0, 60),
        colours=CYCLIC,
        label=label,
        title=title,
    )
    axes = figure.axes[0]
    lines = [as_points(line, "boundaries") for line in boundaries]
    if lines:
        width = _line_width(axes, 0.6)
        drawn = LineCollection(lines, color=BOUNDARY, linewidth=max(width, 0.8), capstyle="round", zorder=3)
        axes.add_collection(drawn, autolim=False)
    return figure


def order_map(
    image: ArrayLike,
    atoms: ArrayLike,
    rings: RingPolygons,
    order: ArrayLike,
    *,
    sampling: Sampling,
    label: str = "Order of neighbouring rings |ψ₆|",
    title: str = "",
) -> Figure:
    """Draw the order around each ring over a micrograph.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    atoms
        Positions, (N, 2), x then y [Å].
    rings
        Polygons: ring k has the atoms ``members[offsets[k]:offsets[k + 1]]`` in order.
    order
        Of each ring, from 0 to 1, (R,); not drawn where NaN.
    sampling
        Pixel size, one value or (y, x) [Å/px].
    label
        Written at the colour bar.
    title
        Written above the map.

    Returns
    -------
    Figure
        One axes in Å, y downwards, with a scale bar, and a colour bar from 0 to 1.

    Raises
    ------
    ValueError
        If a shape or an index is wrong.
    """
    values = np.asarray(order, dtype=np.float64)
    return _ring_values(
        image,
        atoms,
        rings,
        values,
        sampling=sampling,
        limits=(0, 1),
        colours=SEQUENTIAL,
        label=label,
        title=title,
    )


def _ring_values(
    image: ArrayLike,
    atoms: ArrayLike,
    rings: RingPolygons,
    values: FloatArray,
    *,
    sampling: Sampling,
    limits: tuple[float, float],
    colours: str,
    label: str,
    title: str,
) -> Figure:
    """Draw rings in the colours of their values."""
    from matplotlib.collections import PolyCollection

    points, members = as_points(atoms, "atoms"), np.asarray(rings.members)
    _check_length(values, rings.sizes, "values of rings")
    if len(members) and (members.min() < 0 or members.max() >= len(points)):
        raise ValueError(f"rings must index {len(points)} atoms, got {members.min()} to {members.max()}")
    figure, axes = map_axes(image, as_sampling(sampling), title=title, right=_BESIDE, dpi=130)
    polygons = np.split(points[members], np.asarray(rings.offsets)[1:-1])
    is_known = np.isfinite(values)
    drawn = PolyCollection([polygons[index] for index in np.flatnonzero(is_known)], alpha=0.75, linewidth=0)
    _show(figure, axes, drawn, values[is_known], limits=limits, colours=colours, label=label)
    return figure


def _show(
    figure: Figure,
    axes: Axes,
    drawn: Collection,
    values: FloatArray,
    *,
    limits: tuple[float, float],
    colours: str,
    label: str,
) -> None:
    """Colour items by their values, and explain the colours."""
    drawn.set_array(values)
    drawn.set_cmap(colours)
    drawn.set_clim(*limits)
    drawn.set_rasterized(len(values) > RASTERISED_FROM)
    axes.add_collection(drawn, autolim=False)
    tall = figure.get_figheight() - MARGIN - TITLE
    place = in_inches(figure, MARGIN + MAP_WIDTH + 0.15, MARGIN + 0.1 * tall, 0.19, 0.8 * tall)
    bar = figure.colorbar(drawn, cax=figure.add_axes(place), extend=_beyond(values, limits))
    bar.set_label(label, color=INK)


def _beyond(values: FloatArray, limits: tuple[float, float]) -> str:
    """Say, in matplotlib's words, at which ends values lie beyond the limits by more than rounding."""
    margin = 1e-6 * (limits[1] - limits[0])
    is_below, is_above = (values < limits[0] - margin).any(), (values > limits[1] + margin).any()
    return {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}[
        bool(is_below), bool(is_above)
    ]


def _line_width(axes: Axes, width: float) -> float:
    """Return a width in Å as typographic points, within what can be seen and does not cover all."""
    left, right = axes.get_xlim()
    return float(np.clip(width * MAP_WIDTH * 72 / (right - left), 0.3, 6.0))


def _check_length(values: FloatArray, items: ArrayLike, name: str) -> None:
    """Raise unless there is one value for each item."""
    if values.shape != (len(np.asarray(items)),):
        raise ValueError(f"{name} must have the shape ({len(np.asarray(items))},), got {values.shape}")
