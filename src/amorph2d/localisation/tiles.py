"""Windows that cover an image, each with the context that the network needs around what it owns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray, as_points


@dataclass(frozen=True)
class Tile:
    """A window of an image.

    Attributes
    ----------
    read
        Rows and columns that the network sees.
    own
        Rows and columns of which this tile alone decides; inside `read`.
    """

    read: tuple[slice, slice]
    own: tuple[slice, slice]

    @property
    def origin(self) -> FloatArray:
        """Row and column of the first pixel read, (2,) [px]."""
        return np.array([axis.start for axis in self.read], dtype=np.float64)

    def owns(self, pixels: ArrayLike, *, margin: float = 0.0) -> BoolArray:
        """Say which points of the image lie in pixels that the tile owns.

        Parameters
        ----------
        pixels
            Row and column in the image, (N, 2) [px]. A point between two pixels belongs to the nearer one.
        margin
            Points this far outside count as well [px].

        Returns
        -------
        BoolArray
            Owned or not, (N,).
        """
        low = np.array([axis.start for axis in self.own]) - 0.5 - margin
        high = np.array([axis.stop for axis in self.own]) - 0.5 + margin
        points = as_points(pixels, "pixels")
        return np.asarray(((points >= low) & (points < high)).all(axis=1))


def cover(shape: Sequence[int], *, tile_size: int, halo: int, stride: int) -> list[Tile]:
    """Cover an image with tiles that own each of its pixels once.

    Every tile begins at a multiple of `stride`, so the network pools the same pixels together as in the whole
    image, and reads at least `halo` pixels beyond what it owns unless the image ends there. Along each axis
    all tiles are equally long once the last is filled up to a multiple of `stride`.

    Parameters
    ----------
    shape
        Rows and columns of the image [px].
    tile_size
        Largest side of a tile, rounded down to a multiple of `stride` [px].
    halo
        Context that the network needs on each side, >= 0 [px].
    stride
        Sides of the network's coarsest pixels, > 0 [px].

    Returns
    -------
    list of Tile
        Tiles, row by row.

    Raises
    ------
    ValueError
        If a number is out of bounds, or `tile_size` leaves nothing to own between two halos.
    """
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"shape must be two numbers of pixels >= 1, got {tuple(shape)}")
    if stride < 1 or halo < 0:
        raise ValueError(f"stride must be >= 1 px and halo >= 0 px, got {stride} and {halo}")
    least = (2 * (-(-halo // stride)) + 1) * stride
    if tile_size < least:
        raise ValueError(
            f"tile_size must be >= {least} px, two halos of {halo} px and a stride of {stride} px, "
            f"got {tile_size}"
        )
    rows, columns = (_cover_axis(size, tile_size // stride * stride, halo, stride) for size in shape)
    return [
        Tile(read=(read_rows, read_columns), own=(own_rows, own_columns))
        for (read_rows, own_rows), (read_columns, own_columns) in product(rows, columns)
    ]


def _cover_axis(size: int, tile_size: int, halo: int, stride: int) -> list[tuple[slice, slice]]:
    """Return (read, own) along one axis; tiles are spread evenly, so that no context is wasted at the end."""
    if size <= tile_size:
        return [(slice(0, size), slice(0, size))]
    last = -(-(size - tile_size) // stride)
    step = (tile_size - 2 * (-(-halo // stride)) * stride) // stride
    n_tiles = -(-last // step) + 1
    starts = [int(start) * stride for start in np.linspace(0, last, n_tiles).astype(int)]
    stops = [min(start + tile_size, size) for start in starts]
    borders = [(start + stop) // 2 for start, stop in zip(starts[1:], stops[:-1], strict=True)]
    return [
        (slice(start, stop), slice(low, high))
        for start, stop, low, high in zip(starts, stops, [0, *borders], [*borders, size], strict=True)
    ]
