"""What of a micrograph its twin is made from and compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from amorph2d.arrays import BoolArray, Float32Array, FloatArray, as_image, as_points
from amorph2d.imaging.simulated import MONOLAYER, OTHER
from amorph2d.localisation.slow import slow_mean
from amorph2d.twin.compare import clipped
from amorph2d.twin.config import TwinParameters
from amorph2d.units import positions_to_pixels

ATOM = "atom"
LEAST_WEIGHT = 0.01  # of what is no sheet, in the mean that is taken off the image
TAPER = 2.0  # standard deviation of the soft edge of what the optics are fitted to [Å]


@dataclass(frozen=True, eq=False)
class Scene:
    """A window of a micrograph: its pixels, the atoms in it, and what counts.

    Attributes
    ----------
    image
        Grey values, (rows, columns).
    slow, details
        What varies slowly in them, and what is left without it and without faulty pixels, (rows, columns).
    weight
        Of each pixel in the mean that is taken off, (rows, columns).
    is_inside
        Far enough from the edges for all atoms that matter to be known, (rows, columns).
    is_sheet
        No other matter is near, (rows, columns).
    is_compared
        Inside, and one layer all around, (rows, columns).
    atoms
        Positions in the sheet, (N, 2), x then y from the window's pixel (0, 0) [Å].
    points
        Row and column of all sites in the window, (M, 2) [px].
    window
        Rows and columns in the micrograph.
    sampling
        Along y and x [Å/px].
    sigma
        Standard deviation of the Gaussian whose mean is taken off, along y and x [px].
    """

    image: Float32Array
    slow: Float32Array
    details: Float32Array
    weight: Float32Array
    is_inside: BoolArray
    is_sheet: BoolArray
    is_compared: BoolArray
    atoms: FloatArray
    points: FloatArray
    window: tuple[slice, slice]
    sampling: tuple[float, float]
    sigma: tuple[float, float]

    def soft_weight(self, window: tuple[slice, slice]) -> Float32Array:
        """Return how much each pixel of a window counts in the fit of the optics, smooth at all edges."""
        reach = 3 * TAPER
        inner = eroded(self.is_sheet[window], reach, self.sampling)
        sigma = tuple(TAPER / step for step in self.sampling)
        soft: Float32Array = ndimage.gaussian_filter(
            inner.astype(np.float32), sigma, mode="constant", truncate=3.0
        )
        return soft


def as_scene(
    image: Any,
    sites: pd.DataFrame,
    mask: NDArray[np.uint8],
    *,
    sampling: tuple[float, float],
    parameters: TwinParameters,
) -> Scene:
    """Cut out the part of a micrograph that shows most of the sheet, and say what of it counts."""
    window = clearest(mask, parameters.max_side)
    pixels, shown = as_image(image[window]), mask[window]
    is_known = shown != OTHER
    sigma = (parameters.background / sampling[0], parameters.background / sampling[1])
    weight = np.where(is_known, np.float32(1), np.float32(LEAST_WEIGHT))
    is_inside = eroded(np.ones(shown.shape, dtype=np.bool_), parameters.border, sampling)
    points = positions_to_pixels(as_points(sites[["x", "y"]].to_numpy(), "sites"), sampling)
    is_compared = is_inside & eroded(shown == MONOLAYER, parameters.border, sampling, beyond=True)
    slow = slow_mean(pixels, sigma, weight)
    rows, columns = np.clip(np.rint(points), 0, np.array(mask.shape) - 1).astype(np.int64).T
    is_used = (sites["kind"] == ATOM).to_numpy(dtype=np.bool_) & (mask[rows, columns] != OTHER)
    points = points - [window[0].start, window[1].start]
    return Scene(
        image=pixels,
        slow=slow,
        details=clipped(pixels - slow, is_compared),
        weight=weight,
        is_inside=is_inside,
        is_sheet=eroded(is_known, parameters.border, sampling, beyond=True),
        is_compared=is_compared,
        atoms=points[is_used][:, ::-1] * [sampling[1], sampling[0]],
        points=points,
        window=window,
        sampling=sampling,
        sigma=sigma,
    )


def clearest(mask: NDArray[np.uint8], max_side: int) -> tuple[slice, slice]:
    """Return the rows and columns, at most `max_side` each, that show most of the sheet.

    Windows begin at multiples of an eighth of their side; of equal ones it is that nearest the centre.
    """
    sides = [min(n, max_side) for n in mask.shape]
    steps = [max(side // 8, 1) for side in sides]
    starts = [
        np.unique(np.append(np.arange(0, n - side + 1, step), [(n - side) // 2, n - side]))
        for n, side, step in zip(mask.shape, sides, steps, strict=True)
    ]
    edges = [np.unique(np.append(start, start + side)) for start, side in zip(starts, sides, strict=True)]
    counts = np.zeros([len(each) for each in edges], dtype=np.int64)
    for row, (top, bottom) in enumerate(zip(edges[0][:-1], edges[0][1:], strict=True), start=1):
        columns = np.count_nonzero(mask[top:bottom] == MONOLAYER, axis=0)
        counts[row] = counts[row - 1] + np.append(0, np.cumsum(columns))[edges[1]]
    low, high = (
        [
            np.searchsorted(edge, start + side * far)
            for edge, start, side in zip(edges, starts, sides, strict=True)
        ]
        for far in (0, 1)
    )
    shown = counts[np.ix_(*high)] - counts[np.ix_(low[0], high[1])] - counts[np.ix_(high[0], low[1])]
    shown += counts[np.ix_(*low)]
    away = [np.abs(start - (n - side) / 2) for start, side, n in zip(starts, sides, mask.shape, strict=True)]
    distance = away[0][:, None] ** 2 + away[1] ** 2
    best = np.lexsort((distance.ravel(), -shown.ravel()))[0]
    row, column = np.unravel_index(best, shown.shape)
    top, left = int(starts[0][row]), int(starts[1][column])
    return slice(top, top + sides[0]), slice(left, left + sides[1])


def richest(scene: Scene, side: float) -> tuple[slice, slice]:
    """Return the window of a `side` [Å] that shows most atoms that are compared, of a grid of windows."""
    shape = scene.image.shape
    sides = [min(n, round(side / step)) for n, step in zip(shape, scene.sampling, strict=True)]
    starts = [
        np.unique(np.append(np.arange(0, n - size, max(size // 2, 1)), n - size))
        for n, size in zip(shape, sides, strict=True)
    ]
    places = scene.atoms[:, ::-1] / scene.sampling
    nearest = np.clip(np.rint(places).astype(np.int64), 0, np.array(shape) - 1)
    rows, columns = places[scene.is_compared[tuple(nearest.T)]].T
    best, window = -1, (slice(0, sides[0]), slice(0, sides[1]))
    for top in starts[0].tolist():
        is_row = (rows >= top) & (rows < top + sides[0])
        for left in starts[1].tolist():
            n_atoms = int(np.count_nonzero(is_row & (columns >= left) & (columns < left + sides[1])))
            if n_atoms > best:
                best, window = n_atoms, (slice(top, top + sides[0]), slice(left, left + sides[1]))
    return window


def eroded(
    is_there: BoolArray, reach: float, sampling: tuple[float, float], *, beyond: bool = False
) -> BoolArray:
    """Return where a square of half width `reach` [Å] is all there; `beyond` the edges it is, or not."""
    size = [2 * round(reach / step) + 1 for step in sampling]
    return np.asarray(ndimage.minimum_filter(is_there, size, mode="constant", cval=beyond))
