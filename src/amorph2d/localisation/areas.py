"""Maps of areas and of the background: what a network says of every pixel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, Float32Array, IntArray
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.maps import NetworkInput, network_input, run_tiles
from amorph2d.localisation.normalise import WholeStatistics
from amorph2d.units import as_sampling

if TYPE_CHECKING:
    from amorph2d.learning.storage import TrainedNetwork

_ROWS_AT_ONCE, _PIXELS_AT_ONCE = 512, 2**22
_LEAST_LIGHT = 0.2  # of the background over its mean, if an image is to be divided by it


def area_maps(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    network: TrainedNetwork,
    parameters: LocalisationParameters,
    source: NetworkInput | None = None,
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
    source
        The image resampled and normalised for such a network, if that has been done.

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
    if source is None:
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
    return background_map(image, sampling=sampling, network=network, parameters=parameters).whole()


def background_map(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    network: TrainedNetwork,
    parameters: LocalisationParameters,
) -> PixelMap:
    """Return what `estimate_background` does as a map that is read window by window."""
    _check_output(network, "background")
    source = network_input(image, sampling=sampling, config=network.config)
    if not isinstance(source.statistics, WholeStatistics):
        raise ValueError("the network's normalisation_window must be null for a background")
    slow = _whole_maps(source, network, parameters)[0]
    slow = slow * np.float32(source.statistics.spread) + np.float32(source.statistics.mean)
    return PixelMap(slow, shape=np.shape(image), sampling=sampling, network_sampling=network.config.sampling)


def at_pixels(
    maps: Float32Array, *, shape: tuple[int, ...], sampling: tuple[float, float], network_sampling: float
) -> Float32Array:
    """Interpolate maps, (channels, rows, columns), at the pixels of an image; see `PixelMap`."""
    pixels: dict[str, Any] = {"shape": shape, "sampling": sampling, "network_sampling": network_sampling}
    return np.stack([PixelMap(values, **pixels).whole() for values in maps])


class PixelMap:
    """A map on a network's grid, interpolated linearly at the pixels of an image, where it is read.

    Parameters
    ----------
    values
        Map, (rows, columns); the centre of pixel (0, 0) is that of the image's.
    shape
        Rows and columns of the image [px].
    sampling
        Its sampling, (y, x), > 0 [Å/px].
    network_sampling
        Sampling of the map, > 0 [Å/px].
    """

    def __init__(
        self,
        values: Float32Array,
        *,
        shape: tuple[int, ...],
        sampling: tuple[float, float],
        network_sampling: float,
    ) -> None:
        self.values, self.shape = values, shape
        self._y, self._x = (
            _neighbours(size, step / network_sampling, n)
            for size, step, n in zip(shape, as_sampling(sampling), values.shape, strict=True)
        )

    def read(self, rows: slice, columns: slice) -> Float32Array:
        """Return the window `rows`, `columns`; beyond the outermost centres of the map its edge goes on."""
        low_y, high_y, part_y = (each[rows] for each in self._y)
        low_x, high_x, part_x = (each[columns] for each in self._x)
        stripe = self.values[low_y] * (1 - part_y[:, None]) + self.values[high_y] * part_y[:, None]
        window: Float32Array = stripe[:, low_x] * (1 - part_x) + stripe[:, high_x] * part_x
        return window

    def stripes(self) -> Iterator[tuple[slice, Float32Array]]:
        """Yield rows and their values from top to bottom."""
        n_rows = min(_ROWS_AT_ONCE, max(_PIXELS_AT_ONCE // self.shape[1], 1))
        for start in range(0, self.shape[0], n_rows):
            rows = slice(start, min(start + n_rows, self.shape[0]))
            yield rows, self.read(rows, slice(0, self.shape[1]))

    def whole(self) -> Float32Array:
        """Return the map at all pixels, (rows, columns)."""
        result = np.empty(self.shape, dtype=np.float32)
        for rows, values in self.stripes():
            result[rows] = values
        return result


class FlattenedImage:
    """An image freed of its slow background where it is read.

    It is divided by the background relative to its mean, or, where the background comes near zero and grey
    values can be no counts of electrons, their difference is taken.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map.
    background
        Its background.

    Attributes
    ----------
    variation
        Standard deviation of the background over its mean; NaN where it is subtracted.
    """

    ndim = 2
    dtype = np.dtype(np.float32)

    def __init__(self, image: AnyArray, background: PixelMap) -> None:
        self._image, self._background = image, background
        self.shape: tuple[int, ...] = image.shape
        self.size: int = image.size
        self._mean = float(background.values.mean(dtype=np.float64))
        self._is_divided = float(background.values.min()) > _LEAST_LIGHT * self._mean > 0
        spread = float(background.values.std(dtype=np.float64))
        self.variation = spread / self._mean if self._is_divided else float("nan")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, window: slice | tuple[slice, slice]) -> Float32Array:
        """Return a window given by slices without steps."""
        rows, columns = window if isinstance(window, tuple) else (window, slice(None))
        pixels = self._image[rows, columns].astype(np.float32, copy=False)
        slow = self._background.read(rows, columns)
        flat: Float32Array
        if self._is_divided:
            flat = pixels * (np.float32(self._mean) / slow)
        else:
            flat = pixels - slow + np.float32(self._mean)
        return flat

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        """Return the whole image."""
        if copy is False:
            raise ValueError("a flattened image is computed and cannot be had without a copy")
        whole = np.empty(self.shape, dtype=np.float32)
        for start in range(0, self.shape[0], _ROWS_AT_ONCE):
            whole[start : start + _ROWS_AT_ONCE] = self[start : start + _ROWS_AT_ONCE]
        return whole if dtype is None else whole.astype(dtype, copy=False)


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
