"""Micrographs with what was found in them, as matplotlib figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, FloatArray, IntArray, as_image, as_pairs, as_points
from amorph2d.plotting.colours import ACCENT, ATOM, CENTRE, INK, RING_COLOURS, ring_classes, ring_label
from amorph2d.plotting.grey import scale_bar, stretch
from amorph2d.units import Sampling, as_sampling

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from amorph2d.imaging.simulated import SimulatedImage


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
    from matplotlib.collections import LineCollection, PolyCollection

    points = as_points(atoms, "atoms")
    pairs = as_pairs(bonds, len(points), "bonds")
    polygons = _polygons(points, rings)
    figure, axes = _map_axes(image, as_sampling(sampling))
    classes = ring_classes(rings.sizes)
    for ring_class in np.unique(classes).tolist():
        chosen = [polygons[index] for index in np.flatnonzero(classes == ring_class)]
        colour, alpha = RING_COLOURS[ring_class], 0.30 if ring_class == 6 else 0.72
        label = f"{ring_label(ring_class)} ({len(chosen)})"
        axes.add_collection(PolyCollection(chosen, facecolor=colour, alpha=alpha, linewidth=0, label=label))
    unit = _points_per_angstrom(axes)
    width, size = float(np.clip(0.12 * unit, 0.2, 1.4)), float(np.clip(0.4 * unit, 0.4, 5.0)) ** 2
    axes.add_collection(LineCollection(list(points[pairs]), color=ATOM, linewidth=width))
    axes.scatter(points[:, 0], points[:, 1], s=size, color=ATOM, linewidth=0, zorder=3)
    if len(polygons):
        figure.legend(title="Ring size (number)", loc="outside right upper", frameon=False, fontsize=9)
    axes.set_title(title, fontsize=11, color=INK, loc="left", parse_math=False)
    return figure


def contact_sheet(
    images: Sequence[ArrayLike],
    titles: Sequence[str],
    *,
    columns: int = 6,
    sampling: Sequence[float] | None = None,
) -> Figure:
    """Draw many images side by side.

    Parameters
    ----------
    images
        Micrographs, each (rows, columns).
    titles
        A line for each image; images of one family stand together if they come so.
    columns
        Images in a row, ≥ 1.
    sampling
        Pixel size of each image [Å/px]; with it every image has its own scale bar.

    Returns
    -------
    Figure
        One small axes per image; an empty figure with a note if there are none.

    Raises
    ------
    ValueError
        If the lengths differ or `columns` is below 1.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    if len(titles) != len(images) or (sampling is not None and len(sampling) != len(images)):
        raise ValueError(f"images and titles must be equally many, got {len(images)} and {len(titles)}")
    if columns < 1:
        raise ValueError(f"columns must be ≥ 1, got {columns}")
    rows = max(1, math.ceil(len(images) / columns))
    columns = min(columns, max(1, len(images)))
    figure = MatplotlibFigure(figsize=(1.9 * columns, 2.15 * rows), layout="constrained")
    if not images:
        figure.text(0.5, 0.5, "no images", ha="center", color=INK)
        return figure
    grid = np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel()
    for index, axes in enumerate(grid):
        axes.set_axis_off()
        if index < len(images):
            grey = stretch(images[index])
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255)
            axes.set_title(titles[index], fontsize=7, color=INK, parse_math=False)
            if sampling is not None:
                _draw_scale_bar(axes, grey.shape, (float(sampling[index]),) * 2, in_pixels=True)
    return figure


def family_sheet(images: Sequence[SimulatedImage], *, per_family: int = 6) -> Figure:
    """Draw the first images of each family of a simulated set, a block of rows for each family.

    Parameters
    ----------
    images
        Their recipes hold ``family``, ``energy`` [eV], ``defocus`` [Å] and ``dose_per_area`` [e⁻/Å²].
    per_family
        Most images of one family, ≥ 1.

    Returns
    -------
    Figure
        The contact sheet, families in alphabetical order.
    """
    if per_family < 1:
        raise ValueError(f"per_family must be ≥ 1, got {per_family}")
    families: dict[str, list[SimulatedImage]] = {}
    for image in images:
        families.setdefault(str(image.recipe["family"]), []).append(image)
    shown = [image for name in sorted(families) for image in families[name][:per_family]]
    titles, sampling = [_recipe_line(image) for image in shown], [image.sampling for image in shown]
    return contact_sheet([image.image for image in shown], titles, columns=per_family, sampling=sampling)


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
    _show(panels[0], grey, steps)
    panels[0].set_title("image", fontsize=10)
    _draw_scale_bar(panels[0], grey.shape, steps)
    for axes, heatmap, kind in zip(panels[1:], maps, true, strict=True):
        _show(axes, heatmap, map_steps, cmap="gray_r")
        here, there = as_points(true[kind], f"true {kind}"), as_points(found[kind], f"found {kind}")
        axes.scatter(*here.T, s=26, facecolor="none", edgecolor=CENTRE, linewidth=0.8, label="true")
        axes.scatter(*there.T, s=16, color=ACCENT, marker="x", linewidth=0.8, label="found")
        axes.set_title(f"{kind}: {len(here)} true, {len(there)} found", fontsize=10)
        axes.legend(loc="lower right", fontsize=8)
    return figure


def _recipe_line(image: SimulatedImage) -> str:
    """Say in two lines what an image is."""
    recipe = image.recipe
    dose = f"{recipe['dose_per_area']:.2g} e⁻/Å²" if np.isfinite(recipe["dose_per_area"]) else "no noise"
    optics = f"{recipe['energy'] / 1e3:g} kV, {recipe['defocus']:.0f} Å"
    return f"{image.index} · {recipe['family']}\n{optics}, {dose}"


def _polygons(points: FloatArray, rings: RingPolygons) -> list[FloatArray]:
    """Return the corners of each ring, checked."""
    offsets, members = np.asarray(rings.offsets), np.asarray(rings.members)
    if len(offsets) != len(rings.sizes) + 1 or offsets[-1] != len(members):
        expected = f"{len(rings.sizes) + 1} offsets up to {len(members)}"
        raise ValueError(f"rings must have {expected}, got {len(offsets)} up to {offsets[-1:]}")
    if len(members) and (members.min() < 0 or members.max() >= len(points)):
        raise ValueError(f"rings must index {len(points)} atoms, got {members.min()} to {members.max()}")
    return np.split(points[members], offsets[1:-1]) if len(rings.sizes) else []


def _map_axes(image: ArrayLike, sampling: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return a figure that shows the image in Å with a scale bar."""
    from matplotlib.figure import Figure as MatplotlibFigure

    grey = stretch(as_image(image))
    height, width = grey.shape[0] * sampling[0], grey.shape[1] * sampling[1]
    tall = float(np.clip(7.0 * height / width, 2.0, 14.0))
    figure = MatplotlibFigure(figsize=(8.4, tall), layout="constrained", dpi=150)
    axes = figure.add_subplot()
    _show(axes, grey, sampling)
    _draw_scale_bar(axes, grey.shape, sampling)
    return figure, axes


def _show(axes: Axes, values: AnyArray, sampling: tuple[float, float], *, cmap: str = "gray") -> None:
    """Show an array in Å with the centre of pixel (0, 0) at the origin."""
    rows, columns = values.shape
    left, top = -0.5 * sampling[1], -0.5 * sampling[0]
    extent = (left, left + columns * sampling[1], top + rows * sampling[0], top)
    limits = (0, 255) if values.dtype == np.uint8 else (0, 1)
    axes.imshow(values, cmap=cmap, extent=extent, vmin=limits[0], vmax=limits[1])
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_axis_off()


def _points_per_angstrom(axes: Axes) -> float:
    """Return about how many typographic points one Å takes."""
    left, right = axes.get_xlim()
    return 7.0 * 72 / (right - left)


def _draw_scale_bar(
    axes: Axes, shape: tuple[int, ...], sampling: tuple[float, float], *, in_pixels: bool = False
) -> None:
    """Draw a labelled scale bar into the lower left corner."""
    from matplotlib.patches import Rectangle

    length, label = scale_bar(shape[1] * sampling[1])
    step_y, step_x = (1.0, 1.0) if in_pixels else sampling
    length, height, width = length / (sampling[1] if in_pixels else 1.0), shape[0] * step_y, shape[1] * step_x
    x, y = 0.04 * width, 0.95 * height
    corner, box = (x - 0.015 * width, y - 0.085 * height), (length + 0.03 * width, 0.115 * height)
    axes.add_patch(Rectangle(corner, *box, facecolor="white", alpha=0.75, linewidth=0))
    axes.add_patch(Rectangle((x, y), length, 0.012 * height, facecolor=INK, linewidth=0))
    middle = (x + length / 2, y - 0.012 * height)
    axes.text(*middle, label, ha="center", va="bottom", color=INK, fontsize="small")
