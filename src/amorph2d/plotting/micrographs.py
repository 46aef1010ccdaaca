"""Micrographs side by side, and the parts that every drawing of one shares, as matplotlib figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, as_image
from amorph2d.plotting.colours import INK
from amorph2d.plotting.grey import scale_bar, stretch

MAP_WIDTH, MARGIN, TITLE = 7.0, 0.1, 0.35
"""Of a map alone, around it, and above it for its title [inch]."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from amorph2d.imaging.simulated import SimulatedImage


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
    if len(titles) != len(images) or (sampling is not None and len(sampling) != len(images)):
        raise ValueError(f"images and titles must be equally many, got {len(images)} and {len(titles)}")
    if columns < 1:
        raise ValueError(f"columns must be ≥ 1, got {columns}")
    steps = [None] * len(images) if sampling is None else sampling
    cells = list(zip(images, titles, steps, strict=True))
    return _draw_sheet([cells[start : start + columns] for start in range(0, len(cells), columns)])


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
    return _draw_sheet(
        [
            [(image.image, _recipe_line(image), image.sampling) for image in families[name][:per_family]]
            for name in sorted(families)
        ]
    )


def show_values(axes: Axes, values: AnyArray, sampling: tuple[float, float], *, cmap: str = "gray") -> None:
    """Show grey values or a map from 0 to 1 in Å, with the centre of pixel (0, 0) at the origin."""
    rows, columns = values.shape
    left, top = -0.5 * sampling[1], -0.5 * sampling[0]
    extent = (left, left + columns * sampling[1], top + rows * sampling[0], top)
    limits = (0, 255) if values.dtype == np.uint8 else (0, 1)
    axes.imshow(values, cmap=cmap, extent=extent, vmin=limits[0], vmax=limits[1])
    axes.set(xlim=extent[:2], ylim=extent[2:])
    axes.set_axis_off()


def map_axes(
    image: ArrayLike, sampling: tuple[float, float], *, title: str, right: float, dpi: float
) -> tuple[Figure, Axes]:
    """Return a figure that shows a micrograph in Å with a scale bar, and its axes.

    Margins are fixed: to have them computed takes as long as to draw the map.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    sampling
        Pixel size, (y, x) [Å/px].
    title
        Written above the map.
    right
        Room beside the map [inch].
    dpi
        Pixels per inch.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    grey = stretch(as_image(image))
    height, width = grey.shape[0] * sampling[0], grey.shape[1] * sampling[1]
    tall = float(np.clip(MAP_WIDTH * height / width, 2.0, 14.0))
    figure = MatplotlibFigure(figsize=(MAP_WIDTH + MARGIN + right, tall + MARGIN + TITLE), dpi=dpi)
    axes = figure.add_axes(in_inches(figure, MARGIN, MARGIN, MAP_WIDTH, tall))
    show_values(axes, grey, sampling)
    draw_scale_bar(axes, grey.shape, sampling)
    axes.set_title(title, fontsize=11, color=INK, loc="left", parse_math=False)
    return figure, axes


def in_inches(
    figure: Figure, left: float, bottom: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """Return a place in inches as shares of the figure."""
    wide, tall = figure.get_size_inches()
    return left / wide, bottom / tall, width / wide, height / tall


def draw_scale_bar(axes: Axes, shape: tuple[int, ...], sampling: tuple[float, float]) -> None:
    """Draw a labelled scale bar into the lower left corner, above everything else."""
    from matplotlib.font_manager import FontProperties
    from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

    height, width = shape[0] * sampling[0], shape[1] * sampling[1]
    length, label = scale_bar(width)
    bar = AnchoredSizeBar(
        axes.transData, length, label, "lower left", pad=0.35, borderpad=0.7, sep=3, label_top=True,
        size_vertical=0.012 * height, color=INK, fontproperties=FontProperties(size="small"),
    )  # fmt: skip
    bar.patch.set(facecolor="white", alpha=0.85, linewidth=0)
    bar.set(zorder=6, in_layout=False)
    axes.add_artist(bar)


def _draw_sheet(rows: Sequence[Sequence[tuple[ArrayLike, str, float | None]]]) -> Figure:
    """Draw rows of images, each with a title and, where the pixel size is known, a scale bar."""
    from matplotlib.figure import Figure as MatplotlibFigure

    columns = max((len(row) for row in rows), default=1)
    figure = MatplotlibFigure(figsize=(1.9 * columns, 2.15 * max(1, len(rows))), layout="constrained")
    if not rows:
        figure.text(0.5, 0.5, "no images", ha="center", color=INK)
        return figure
    for axes in np.ravel(figure.subplots(len(rows), columns, squeeze=False)):
        axes.set_axis_off()
    for index, row in enumerate(rows):
        for axes, (image, title, step) in zip(figure.axes[index * columns :], row, strict=False):
            grey = stretch(image)
            show_values(axes, grey, (step or 1.0, step or 1.0))
            axes.set_title(title, fontsize=7, color=INK, parse_math=False)
            if step is not None:
                draw_scale_bar(axes, grey.shape, (step, step))
    return figure


def _recipe_line(image: SimulatedImage) -> str:
    """Say in two lines what an image is."""
    recipe = image.recipe
    dose = "no noise"
    if np.isfinite(recipe["dose_per_area"]):
        dose = f"{float(format(recipe['dose_per_area'], '.2g')):,.0f} e⁻/Å²".replace(",", "\u202f")
    optics = f"{recipe['energy'] / 1e3:g} kV, {recipe['defocus']:.0f} Å".replace("-", "\u2212")
    return f"{image.index} · {recipe['family']}\n{optics}, {dose}"
