"""An image as a network sees it, and the network's maps of it, tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.heatmaps import pad_to_stride, run_network
from amorph2d.localisation.normalise import (
    LocalStatistics,
    WholeStatistics,
    block_side,
    measure_statistics,
    measure_whole,
)
from amorph2d.localisation.resample import ResampledImage
from amorph2d.localisation.tiles import Tile, cover
from amorph2d.units import as_sampling

if TYPE_CHECKING:
    from amorph2d.learning.config import NetworkConfig
    from amorph2d.learning.storage import TrainedNetwork

_STRIPE = 512


@dataclass(frozen=True)
class NetworkInput:
    """An image at a network's sampling, of which any window can be read, normalised for the network.

    Attributes
    ----------
    image
        The resampled image.
    statistics
        What normalises it.
    """

    image: ResampledImage
    statistics: LocalStatistics | WholeStatistics

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns at the network's sampling [px]."""
        return self.image.shape

    def read(self, rows: slice, columns: slice) -> Float32Array:
        """Return the normalised window `rows`, `columns`."""
        return self.statistics.normalise(self.image.read(rows, columns), rows, columns)


def network_input(image: ArrayLike, *, sampling: tuple[float, float], config: NetworkConfig) -> NetworkInput:
    """Resample and normalise an image for a network.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map.
    sampling
        Its sampling, (y, x), > 0 [Å/px].
    config
        Sampling and normalisation of the network.

    Raises
    ------
    ValueError
        If the image or the sampling is not valid.
    """
    # What only can be read by windows is read by windows.
    is_read_by_windows = hasattr(image, "shape") and hasattr(image, "__getitem__")
    pixels: Any = image if is_read_by_windows else np.asarray(image)
    resampled = ResampledImage(pixels, as_sampling(sampling), config.sampling)
    if config.normalisation_window is None:
        return NetworkInput(resampled, measure_whole(resampled.stripes(_STRIPE)))
    sigma_px = config.normalisation_window / config.sampling
    height = max(_STRIPE // block_side(sigma_px), 1) * block_side(sigma_px)
    return NetworkInput(resampled, measure_statistics(resampled.stripes(height), resampled.shape, sigma_px))


def run_tiles(
    source: NetworkInput, network: TrainedNetwork, parameters: LocalisationParameters, *, beyond: int = 0
) -> Iterator[tuple[Tile, Float32Array]]:
    """Yield tiles that cover an image, each with the network's maps of all that it reads.

    Parameters
    ----------
    source
        The image.
    network
        The network.
    parameters
        Size and number of tiles that go through the network together, and its precision.
    beyond
        How far outside of what a tile owns its maps must be right [px].

    Yields
    ------
    tuple
        The tile, and maps (channels, rows, columns) float32.
    """
    config = network.config
    tiles = cover(
        source.shape,
        tile_size=parameters.tile_size,
        halo=config.receptive_field + beyond,
        stride=config.stride,
    )
    for start in range(0, len(tiles), parameters.batch_size):
        batch = tiles[start : start + parameters.batch_size]
        windows = [source.read(*tile.read) for tile in batch]
        padded = np.stack([pad_to_stride(window, config.stride) for window in windows])
        maps = run_network(network, padded, precision=parameters.precision)
        for tile, window, drawn in zip(batch, windows, maps, strict=True):
            yield tile, drawn[:, : window.shape[0], : window.shape[1]]
