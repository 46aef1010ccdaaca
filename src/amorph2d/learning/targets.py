"""What networks learn to draw: heat maps of sites, areas, the background."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from amorph2d.arrays import Float32Array
from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM, SimulatedImage
from amorph2d.units import positions_to_pixels

REACH = 3.0  # Sigmas; a Gaussian is cut where it has fallen to 1 % of its peak.
AREAS = {"vacuum": VACUUM, "monolayer": MONOLAYER, "other": OTHER}
UNKNOWN = 255  # what a pixel of the areas shows that does not count


def draw_heatmaps(
    positions: Sequence[ArrayLike], shape: tuple[int, int], *, sampling: float, sigma: float
) -> Tensor:
    """Draw one heat map per kind of site.

    Each site is a Gaussian of height 1 about its exact position; where Gaussians overlap, the larger counts.

    Parameters
    ----------
    positions
        One array (N, 2) per kind, x then y; sites outside the image draw what reaches into it [Å].
    shape
        Rows and columns of the heat maps [px].
    sampling
        Pixel size [Å/px].
    sigma
        Standard deviation of the Gaussians [Å].

    Returns
    -------
    Tensor
        Heat maps, (kinds, rows, columns) float32.

    Raises
    ------
    ValueError
        If an array's shape is wrong or `sigma` is not positive.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be > 0 Å, got {sigma}")
    sites = [torch.from_numpy(positions_to_pixels(points, sampling).copy()) for points in positions]
    maps = torch.repeat_interleave(torch.arange(len(sites)), torch.tensor([len(points) for points in sites]))
    pixels = torch.cat(sites).float() if sites else torch.empty(0, 2)
    return draw_peaks(maps, pixels, n_maps=len(sites), shape=shape, sigma=sigma / sampling)


def draw_peaks(maps: Tensor, pixels: Tensor, *, n_maps: int, shape: tuple[int, int], sigma: float) -> Tensor:
    """Draw peaks into a stack of maps, on the device of `pixels`; the kernel of `draw_heatmaps`.

    Parameters
    ----------
    maps
        Map of each peak, (N,) int64.
    pixels
        Row and column of each peak, (N, 2) float32 [px].
    n_maps, shape
        Number of maps and their rows and columns.
    sigma
        Standard deviation of the Gaussians [px].

    Returns
    -------
    Tensor
        The maps, (n_maps, rows, columns) float32.
    """
    reach = int(REACH * sigma + 0.5)
    near = pixels.round()
    is_near = ((near >= -reach) & (near < near.new_tensor(shape) + reach)).all(dim=1)
    maps, pixels, near = maps[is_near], pixels[is_near], near[is_near]
    steps = torch.arange(-reach, reach + 1, device=pixels.device)
    profile = torch.exp(-0.5 * ((near - pixels)[:, :, None] + steps).square() / sigma**2)
    values = profile[:, 0, :, None] * profile[:, 1, None, :]
    margin = 2 * reach  # takes what falls outside, so that no index needs a check
    rows, columns = shape[0] + 2 * margin, shape[1] + 2 * margin
    corner = near.long() + margin
    centre = (maps * rows + corner[:, 0]) * columns + corner[:, 1]
    index = centre[:, None, None] + steps[:, None] * columns + steps
    drawn = torch.zeros(n_maps * rows * columns, device=pixels.device)
    drawn.scatter_reduce_(0, index.flatten(), values.flatten(), "amax")
    return drawn.view(n_maps, rows, columns)[:, margin : rows - margin, margin : columns - margin]


def draw_areas(codes: Tensor, channels: Sequence[str]) -> Tensor:
    """Draw one map per channel: 1 where a pixel shows it, 0 elsewhere, NaN where nothing is known.

    Parameters
    ----------
    codes
        What each pixel shows, (B, rows, columns): 0 vacuum, 1 monolayer, 2 other, 255 unknown.
    channels
        Of ``vacuum``, ``monolayer`` and ``other``.

    Returns
    -------
    Tensor
        Maps, (B, channels, rows, columns) float32.
    """
    maps = torch.stack([codes == AREAS[channel] for channel in channels], dim=1).float()
    return maps.masked_fill((codes == UNKNOWN)[:, None], float("nan"))


def true_background(image: SimulatedImage) -> Float32Array:
    """Return the illumination of a simulated image in its own grey values.

    The grey values are taken as a + b times the illumination, a and b by least squares over the pixels on
    which nothing but the sheet lies: a file may have been stretched, and then its zero is not the camera's.

    Parameters
    ----------
    image
        The image; its recipe holds the illumination.

    Returns
    -------
    Float32Array
        (rows, columns).
    """
    light = image.illumination
    is_bare = np.ones(light.shape, bool) if image.mask is None else image.mask != OTHER
    if not is_bare.any():
        is_bare[:] = True
    grey, shone = image.image[is_bare].astype(np.float64), light[is_bare].astype(np.float64)
    centred = shone - shone.mean()
    square = float(centred @ centred)
    # Under even illumination there is no slope to find, and none is needed.
    slope = float(centred @ grey) / square if square > 1e-12 * len(shone) else 0.0
    return np.asarray(grey.mean() + slope * (light - shone.mean()), dtype=np.float32)
