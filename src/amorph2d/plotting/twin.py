"""A micrograph and its twin side by side, as a matplotlib figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import as_image
from amorph2d.plotting.colours import INK, REFERENCE
from amorph2d.plotting.grey import stretch
from amorph2d.plotting.micrographs import draw_scale_bar, show_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from amorph2d.twin.make import Twin

HIGHEST = 10.0
"""Misfit from which on the map is darkest."""


def twin_figure(image: ArrayLike, twin: Twin) -> Figure:
    """Draw a micrograph, its twin, their difference and where they differ by more than noise.

    Parameters
    ----------
    image
        Micrograph, (rows, columns), whole or the twin's window of it.
    twin
        What `amorph2d.twin.make.make_twin` returned for it.

    Returns
    -------
    Figure
        Four panels in Å; doubtful sites are marked in the first. Where there is no twin, the micrograph
        and the reason.

    Raises
    ------
    ValueError
        If the image does not contain the window of the twin.
    """
    from matplotlib.figure import Figure as MatplotlibFigure

    pixels = np.asarray(image)
    if pixels.shape != twin.image.shape:
        pixels = pixels[twin.window]
    if pixels.shape != twin.image.shape:
        raise ValueError(f"image must contain the window of the twin, {twin.image.shape}, got {pixels.shape}")
    micrograph, steps = as_image(pixels), twin.sampling
    height, width = micrograph.shape[0] * steps[0], micrograph.shape[1] * steps[1]
    tall = float(np.clip(4.0 * height / width, 1.5, 9.0)) + 0.5
    figure = MatplotlibFigure(figsize=(16.8, tall), layout="constrained", dpi=110)
    panels = np.asarray(figure.subplots(1, 4, squeeze=False)).ravel()
    show_values(panels[0], stretch(micrograph), steps)
    panels[0].set_title("micrograph", fontsize=10, color=INK)
    draw_scale_bar(panels[0], micrograph.shape, steps)
    if not np.isfinite(twin.image).all():
        for axes in panels[1:]:
            axes.set_axis_off()
        panels[1].text(0, 0.5, f"no twin: {twin.reason}", color=INK, wrap=True, parse_math=False)
        return figure
    # The grey values of the twin stand for the same intensities in all panels.
    low, high = (float(value) for value in np.percentile(twin.image, (0.5, 99.5)))
    span = max(high - low, float(np.finfo(np.float32).tiny))
    show_values(panels[1], np.clip((twin.image - low) / span, 0, 1), steps)
    panels[1].set_title(f"twin, correlation {twin.correlation:.3f}", fontsize=10, color=INK)
    reach = max(3 * twin.noise_floor, span / 2)
    show_values(panels[2], np.clip(0.5 + twin.residual / (2 * reach), 0, 1), steps)
    panels[2].set_title("micrograph less twin", fontsize=10, color=INK)
    show_values(panels[3], np.clip(twin.misfit / HIGHEST, 0, 1), twin.misfit_sampling, cmap="magma_r")
    panels[3].set_title(f"misfit, 0 to {HIGHEST:g}", fontsize=10, color=INK)
    doubtful = twin.sites[twin.sites["is_doubtful"]]
    corner = [twin.window[1].start * steps[1], twin.window[0].start * steps[0]]
    x, y = doubtful["x"].to_numpy() - corner[0], doubtful["y"].to_numpy() - corner[1]
    panels[0].scatter(x, y, s=30, facecolor="none", edgecolor=REFERENCE, linewidth=0.9)
    return figure
