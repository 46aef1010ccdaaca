"""Maps of areas and of the background: what a network says of every pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, IntArray
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.maps import NetworkInput, network_input, run_tiles
from amorph2d.localisation.normalise import WholeStatistics
from amorph2d.units import as_sampling

if TYPE_CHECKING:
    from amorph2d.learning.storage import TrainedNetwork

_ROWS_AT_ONCE = 512


def area_maps(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    network: TrainedNetwork,
    parameters: LocalisationParameters,
) -> Float32Array:
    """Return the probability that each pixel shows an area.

    The image is resampled to the network's sampling, normalised and given to the network tile by tile; the
    result does not depend on the tiles.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map.
    sampling
        Its sampling, (y, x), > 0 [Å/px].
    network
        A network with the output ``areas``.
    parameters
        Tiles and precision.

    Returns
    -------
    Float32Array
        Probabilities on the network's grid, (channels, rows, columns).

    Raises
    ------
    ValueError
        If the image or the sampling is not valid, the network has another output or the tiles are too small.
    """
    _check_output(network, "areas")
    source = network_input(image, sampling=sampling, config=network.config)
    return _whole_maps(source, network, parameters)


def estimate_background(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    network: TrainedNetwork,
    parameters: LocalisationParameters,
) -> Float32Array:
    """Return the slow variation of the illumination in the grey values of the image.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type.
    sampling
        Its sampling, (y, x), > 0 [Å/px].
    network
        A network with the output ``background``.
    parameters
        Tiles and precision.

    Returns
    -------
    Float32Array
        Grey value that an empty specimen would have at each pixel, (rows, columns); dividing by it, after
        the grey value of no electrons is subtracted from both, flattens the image.

    Raises
    ------
    ValueError
        If the image or the sampling is not valid, the network has another output or the tiles are too small.
    """
    _check_output(network, "background")
    source = network_input(image, sampling=sampling, config=network.config)
    if not isinstance(source.statistics, WholeStatistics):
        raise ValueError("the network's normalisation_window must be null for a background")
    maps = _whole_maps(source, network, parameters)
    pixels = {"shape": np.shape(image), "sampling": sampling}
    slow = at_pixels(maps, **pixels, network_sampling=network.config.sampling)[0]
    return slow * np.float32(source.statistics.spread) + np.float32(source.statistics.mean)


def at_pixels(
    maps: Float32Array, *, shape: tuple[int, ...], sampling: tuple[float, float], network_sampling: float
) -> Float32Array:
    """Interpolate maps on a network's grid linearly at the pixels of the image.

    Parameters
    ----------
    maps
        Maps, (channels, rows, columns); the centre of pixel (0, 0) is that of the image's.
    shape
        Rows and columns of the image [px].
    sampling
        Its sampling, (y, x), > 0 [Å/px].
    network_sampling
        Sampling of the maps, > 0 [Å/px].

    Returns
    -------
    Float32Array
        (channels, rows, columns) of `shape`; beyond the outermost centres of the maps their edge goes on.
    """
    steps = as_sampling(sampling)
    (low_y, high_y, part_y), (low_x, high_x, part_x) = (
        _neighbours(size, step / network_sampling, n)
        for size, step, n in zip(shape, steps, maps.shape[1:], strict=True)
    )
    result = np.empty((len(maps), *shape), dtype=np.float32)
    for start in range(0, shape[0], _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        for source, target in zip(maps, result, strict=True):
            weight = part_y[rows, None]
            stripe = source[low_y[rows]] * (1 - weight) + source[high_y[rows]] * weight
            target[rows] = stripe[:, low_x] * (1 - part_x) + stripe[:, high_x] * part_x
    return result


def _check_output(network: TrainedNetwork, wanted: str) -> None:
    """Refuse a network that draws something else."""
    if network.config.output != wanted:
        raise ValueError(f"the network's output must be {wanted!r}, got {network.config.output!r}")


def _whole_maps(
    source: NetworkInput, network: TrainedNetwork, parameters: LocalisationParameters
) -> Float32Array:
    """Join what the tiles own."""
    maps = np.empty((len(network.config.channels), *source.shape), dtype=np.float32)
    for tile, drawn in run_tiles(source, network, parameters):
        inner = tuple(
            slice(own.start - read.start, own.stop - read.start)
            for own, read in zip(tile.own, tile.read, strict=True)
        )
        maps[:, *tile.own] = drawn[:, *inner]
    return maps


def _neighbours(size: int, ratio: float, n: int) -> tuple[IntArray, IntArray, Float32Array]:
    """Return the two map pixels about each of `size` places and the weight of the second."""
    places = np.clip(np.arange(size) * ratio, 0, n - 1)
    low = np.minimum(places.astype(np.int64), max(n - 2, 0))
    return low, np.minimum(low + 1, n - 1), (places - low).astype(np.float32)
