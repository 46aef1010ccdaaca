"""Heat maps of sites: what the network learns to draw."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from amorph2d.units import positions_to_pixels

REACH = 3.0  # Sigmas; a Gaussian is cut where it has fallen to 1 % of its peak.


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
