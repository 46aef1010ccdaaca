"""Micrographs with what was found in them, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray, as_pairs, as_points
from amorph2d.plotting.colours import ACCENT, ATOM, CENTRE, MUTED, RING_COLOURS, ring_classes, ring_label
from amorph2d.plotting.grey import stretch
from amorph2d.plotting.micrographs import MAP_WIDTH, draw_scale_bar, map_axes, show_values
from amorph2d.units import Sampling, as_sampling

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

_BESIDE = 1.55  # of the map, for the legend [inch]
_PATHS_AT_ONCE = 20_000  # what is drawn as one has to fit into the rasteriser


class RingPolygons(Protocol):
    """The parts of ``topology.rings.Rings`` that a drawing needs."""

    @property
    def members(self) -> IntArray:
        """Atoms of one ring after the other, in order around it."""

    @property
    def offsets(self) -> IntArray:
        """Where each ring begins in `members`, and its length."""

    @property
    def sizes(self) -> IntArray:
        """Atoms in each ring."""


def ring_map(
    image: ArrayLike,
    atoms: ArrayLike,
    bonds: ArrayLike,
    rings: RingPolygons,
    *,
    sampling: Sampling,
    title: str = "",
) -> Figure:
    """Draw a micrograph with atoms, bonds and rings coloured by size.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs into `atoms`, (B, 2).
    rings
        Polygons: ring k has the atoms ``members[offsets[k]:offsets[k + 1]]`` in order, and ``sizes[k]``.
    sampling
        Pixel size, one value or (y, x) [Å/px].
    title
        Written above the map.

    Returns
    -------
    Figure
        One axes in Å, y downwards, with a scale bar and a legend of the ring sizes that occur.

    Raises
    ------
    ValueError
        If a shape or an index is wrong.
    """
    from matplotlib.patches import Patch, PathPatch

    points = as_points(atoms, "atoms")
    pairs = as_pairs(bonds, len(points), "bonds")
    polygons = _polygons(points, rings)
    figure, axes = map_axes(image, as_sampling(sampling), title=title, right=_BESIDE, dpi=150)
    classes = ring_classes(rings.sizes)
    keys: list[Artist] = []
    for ring_class in np.unique(classes).tolist():
        chosen = [polygons[index] for index in np.flatnonzero(classes == ring_class)]
        colour, alpha = RING_COLOURS[ring_class], 0.30 if ring_class == 6 else 0.72
        label = f"{ring_label(ring_class)} ({len(chosen)})"
        for outlines in _compound_paths(chosen, is_closed=True):
            axes.add_artist(PathPatch(outlines, facecolor=colour, alpha=alpha, linewidth=0))
        keys.append(Patch(facecolor=colour, edgecolor=MUTED, linewidth=0.6, label=label))
    unit = _points_per_angstrom(axes)
    width, size = float(np.clip(0.12 * unit, 0.2, 1.4)), float(np.clip(0.4 * unit, 0.4, 5.0)) ** 2
    for lines in _compound_paths(points[pairs], is_closed=False):
        axes.add_artist(PathPatch(lines, edgecolor=ATOM, fill=False, linewidth=width, capstyle="butt"))
    axes.scatter(points[:, 0], points[:, 1], s=size, color=ATOM, linewidth=0, zorder=3)
    if len(polygons):
        axes.legend(
            handles=keys, title="Ring size (number)", loc="upper left", bbox_to_anchor=(1.0, 1.0),
            frameon=False, fontsize=9, borderaxespad=0.3,
        )  # fmt: skip
    return figure


def prediction_examples(
    image: ArrayLike,
    heatmaps: ArrayLike,
    true: Mapping[str, ArrayLike],
    found: Mapping[str, ArrayLike],
    *,
    sampling: Sampling,
    heatmap_sampling: Sampling | None = None,
) -> Figure:
    """Draw what a network saw, what it answered, and the truth.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    heatmaps
        Probabilities, (C, rows, columns), one for each kind in the order of `true`.
    true, found
        Positions by kind (``atom``, ``ring``), (N, 2), x then y [Å]; the same kinds in both.
    sampling
        Pixel size of the image, one value or (y, x) [Å/px].
    heatmap_sampling
        Pixel size of the heat maps, where it differs from that of the image [Å/px].

    Returns
    -------
    Figure
        The image, then for each kind its heat map with true (circles) and found (crosses) positions.

    Raises
    ------
    ValueError
        If the kinds or the number of heat maps differ.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    maps = np.asarray(heatmaps, dtype=np.float32)
    if maps.ndim != 3 or len(maps) != len(true) or set(true) != set(found):
        raise ValueError(
            f"heatmaps must have one channel for each kind of true and found, got the shape {maps.shape} "
            f"for {sorted(true)} and {sorted(found)}"
        )
    steps = as_sampling(sampling)
    map_steps = steps if heatmap_sampling is None else as_sampling(heatmap_sampling)
    grey = stretch(image)
    figure = MatplotlibFigure(figsize=(4.2 * (1 + len(true)), 4.4), layout="constrained")
    panels = np.asarray(figure.subplots(1, 1 + len(true), squeeze=False)).ravel()
    show_values(panels[0], grey, steps)
    panels[0].set_title("image", fontsize=10)
    draw_scale_bar(panels[0], grey.shape, steps)
    for axes, heatmap, kind in zip(panels[1:], maps, true, strict=True):
        show_values(axes, heatmap, map_steps, cmap="gray_r")
        here, there = as_points(true[kind], f"true {kind}"), as_points(found[kind], f"found {kind}")
        axes.scatter(*here.T, s=26, facecolor="none", edgecolor=CENTRE, linewidth=0.8, label="true")
        axes.scatter(*there.T, s=16, color=ACCENT, marker="x", linewidth=0.8, label="found")
        axes.set_title(f"{kind}: {len(here)} true, {len(there)} found", fontsize=10)
        axes.legend(loc="lower right", fontsize=8)
    return figure


def area_examples(
    image: ArrayLike, maps: ArrayLike, truth: ArrayLike, *, channels: Sequence[str], sampling: Sampling
) -> Figure:
    """Draw an image with maps of areas, or of the background, and the truth.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    maps, truth
        What was estimated and what is true, (C, rows, columns); NaN in `truth` where it is not known.
    channels
        Names of the maps.
    sampling
        Pixel size, one value or (y, x) [Å/px].

    Returns
    -------
    Figure
        The image, then for each channel the estimated and the true map in the same grey values.

    Raises
    ------
    ValueError
        If the shapes or the number of channels differ.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    estimated, true = np.asarray(maps, dtype=np.float32), np.asarray(truth, dtype=np.float32)
    if estimated.ndim != 3 or estimated.shape != true.shape or len(estimated) != len(channels):
        raise ValueError(
            f"maps and truth must be (channels, rows, columns) alike for {list(channels)}, got the shapes "
            f"{estimated.shape} and {true.shape}"
        )
    steps, grey = as_sampling(sampling), stretch(image)
    n_panels = 1 + 2 * len(channels)
    figure = MatplotlibFigure(figsize=(4.2 * n_panels, 4.4), layout="constrained")
    panels = np.asarray(figure.subplots(1, n_panels, squeeze=False)).ravel()
    show_values(panels[0], grey, steps)
    panels[0].set_title("image", fontsize=10)
    draw_scale_bar(panels[0], grey.shape, steps)
    pairs = zip(channels, estimated, true, panels[1::2], panels[2::2], strict=True)
    for channel, here, there, left, right in pairs:
        known = there[np.isfinite(there)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        low, high = (low, high) if high > low else (min(low, 0.0), max(high, 1.0))
        for axes, values, word in ((left, here, "estimated"), (right, there, "true")):
            show_values(axes, np.clip((values - low) / (high - low), 0, 1), steps)
            axes.set_title(f"{channel}, {word}", fontsize=10)
    return figure


def _polygons(points: FloatArray, rings: RingPolygons) -> list[FloatArray]:
    """Return the corners of each ring, checked."""
    offsets, members = np.asarray(rings.offsets), np.asarray(rings.members)
    if len(offsets) != len(rings.sizes) + 1 or offsets[-1] != len(members):
        expected = f"{len(rings.sizes) + 1} offsets up to {len(members)}"
        raise ValueError(f"rings must have {expected}, got {len(offsets)} up to {offsets[-1:]}")
    if len(members) and (members.min() < 0 or members.max() >= len(points)):
        raise ValueError(f"rings must index {len(points)} atoms, got {members.min()} to {members.max()}")
    return np.split(points[members], offsets[1:-1]) if len(rings.sizes) else []


def _compound_paths(lines: Sequence[FloatArray] | FloatArray, *, is_closed: bool) -> Iterator[Path]:
    """Yield paths of many lines or polygons: as items of their own, thousands would take seconds."""
    from matplotlib.path import Path

    for start in range(0, len(lines), _PATHS_AT_ONCE):
        part = lines[start : start + _PATHS_AT_ONCE]
        corners = [np.concatenate([line, line[:1]]) if is_closed else line for line in part]
        ends = np.cumsum([len(line) for line in corners])
        codes = np.full(int(ends[-1]), Path.LINETO, dtype=np.uint8)
        codes[np.concatenate([[0], ends[:-1]])] = Path.MOVETO
        if is_closed:
            codes[ends - 1] = Path.CLOSEPOLY
        yield Path(np.concatenate(corners), codes)


def _points_per_angstrom(axes: Axes) -> float:
    """Return about how many typographic points one Å takes."""
    left, right = axes.get_xlim()
    return MAP_WIDTH * 72 / (right - left)
