"""The micrograph as an image pyramid: an overview, and tiles that the page decodes when it shows them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amorph2d.arrays import AnyArray, Float32Array
from amorph2d.report.encode import data_uri
from amorph2d.units import Sampling, as_sampling

TILE = 512
OVERVIEW = 1024
"""Longest side of the coarsest level, which stands in the page as one picture [px]."""
FINEST = 0.08
"""Pixel size below which an embedded image shows nothing more of an atom, 1/18 of a bond [Å/px]."""

_QUALITY = (
    70  # of tiles: many pixels are mostly shot noise; at 85 they take half as much again, atoms look the same
)
_OVERVIEW_QUALITY = 85
_BASE64 = 4 / 3
_LEAST_SIDE = 512
_PERCENTILES = (0.5, 99.5)
_SAMPLED = 1_000_000  # pixels from which black and white are taken

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pyramid:
    """An image at several pixel sizes, each level half as fine as the one before.

    Attributes
    ----------
    shape
        Rows and columns of level 0.
    n_levels
        Number of levels, the overview included.
    overview
        The coarsest level, as a JPEG data URI.
    tiles
        JPEG tiles of the other levels in base64, by ``level-row-column``.
    """

    shape: tuple[int, int]
    n_levels: int
    overview: str
    tiles: dict[str, str]

    @property
    def n_bytes(self) -> int:
        """Characters that the pyramid takes in a page."""
        return len(self.overview) + sum(map(len, self.tiles.values()))


def finest_shape(
    shape: tuple[int, int], sampling: Sampling, *, share: float = 1.0, finest: float = FINEST
) -> tuple[int, int]:
    """Return rows and columns of the finest level worth having, times `share`.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    sampling
        Its pixel size, (y, x) [Å/px].
    share
        Part of the pixels along a side that is kept, 0 … 1.
    finest
        Smallest pixel size, > 0 [Å/px].

    Raises
    ------
    ValueError
        If `share` is not within 0 … 1.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be within 0 … 1, got {share}")
    shares = (min(1.0, step / finest) * share for step in as_sampling(sampling))
    rows, columns = (max(1, round(n * part)) for n, part in zip(shape, shares, strict=True))
    return rows, columns


def affordable_shapes(
    images: Sequence[Float32Array], samplings: Sequence[Sampling], *, n_bytes: float
) -> list[tuple[int, int]]:
    """Return the finest level of each image with which all pyramids together take at most `n_bytes`.

    All images give way alike, in steps of a sixth, until none is above 512 px; how many bytes a pixel takes
    is found by encoding a few tiles.

    Parameters
    ----------
    images
        Micrographs, (rows, columns) each.
    samplings
        Their pixel sizes, (y, x) [Å/px].
    n_bytes
        Characters that the tiles may take in the page.
    """
    share = 1.0
    while True:
        shapes = [
            finest_shape(image.shape, step, share=share)
            for image, step in zip(images, samplings, strict=True)
        ]
        total = sum(estimate_bytes(image, shape) for image, shape in zip(images, shapes, strict=True))
        if total <= n_bytes or max((max(shape) for shape in shapes), default=0) <= _LEAST_SIDE:
            return shapes
        share *= 5 / 6


def estimate_bytes(image: Float32Array, shape: tuple[int, int]) -> float:
    """Estimate the characters that a pyramid of `image` with the finest level `shape` takes in a page."""
    if max(shape) <= OVERVIEW:
        return len(_jpeg_uri(_encode(_to_grey(_resample(image, shape, (0, 0, *shape))), _OVERVIEW_QUALITY)))
    limits = _limits(image, shape)
    side = min(256, *shape)
    n_bytes = n_pixels = 0
    for row in np.linspace(0, shape[0] - side, 3):
        for column in np.linspace(0, shape[1] - side, 3):
            box = (int(row), int(column), int(row) + side, int(column) + side)
            n_bytes += len(_encode(_to_grey(_resample(image, shape, box), limits), _QUALITY))
            n_pixels += side * side
    return _BASE64 * 4 / 3 * n_bytes / n_pixels * math.prod(shape)


def build_pyramid(image: Float32Array, shape: tuple[int, int]) -> Pyramid:
    """Encode an image as a pyramid.

    The image is read once, in strips as high as a tile; each level is stretched between its own
    percentiles, as averaging takes noise and with it contrast away.

    Parameters
    ----------
    image
        Micrograph, (rows, columns), in memory or mapped from a file.
    shape
        Rows and columns of the finest level, at most those of the image.

    Returns
    -------
    Pyramid
        Overview and tiles; without tiles where the overview shows every pixel.

    Raises
    ------
    ValueError
        If `shape` is not within 1 … the shape of the image.
    """
    if not all(1 <= n <= most for n, most in zip(shape, image.shape, strict=True)):
        raise ValueError(f"shape must be within 1 … {image.shape}, got {shape}")
    n_levels = 1 + max(0, math.ceil(math.log2(max(shape) / OVERVIEW)))
    if n_levels == 1:
        whole = _resample(image, shape, (0, 0, *shape))
        return Pyramid(shape, 1, _jpeg_uri(_encode(_to_grey(whole), _OVERVIEW_QUALITY)), {})
    tiles: dict[str, str] = {}
    level = np.empty((_half(shape[0]), _half(shape[1])), dtype=np.float32)
    limits = _limits(image, shape)
    for top in range(0, shape[0], TILE):
        strip = _resample(image, shape, (top, 0, min(top + TILE, shape[0]), shape[1]))
        tiles |= _encode_strip(_to_grey(strip, limits), 0, top // TILE)
        halved = halve(strip)
        level[top // 2 : top // 2 + len(halved)] = halved
    for number in range(1, n_levels - 1):
        limits = _percentiles(level)
        for top in range(0, len(level), TILE):
            tiles |= _encode_strip(_to_grey(level[top : top + TILE], limits), number, top // TILE)
        level = halve(level)
    return Pyramid(shape, n_levels, _jpeg_uri(_encode(_to_grey(level), _OVERVIEW_QUALITY)), tiles)


def halve(values: Float32Array) -> Float32Array:
    """Return means of 2 × 2 pixels, (⌈rows / 2⌉, ⌈columns / 2⌉); an odd last line counts twice."""
    rows, columns = values.shape
    padded = np.pad(values, ((0, rows % 2), (0, columns % 2)), mode="edge")
    total = padded[::2, ::2] + padded[1::2, ::2]
    total += padded[::2, 1::2]
    total += padded[1::2, 1::2]
    return (total * np.float32(0.25)).astype(np.float32, copy=False)


def _half(n: int) -> int:
    """Return half of a length, rounded up."""
    return (n + 1) // 2


def _resample(image: Float32Array, shape: tuple[int, int], box: Box) -> Float32Array:
    """Return the part `box` (top, left, bottom, right) of the image averaged down to `shape`."""
    from PIL import Image

    top, left, bottom, right = box
    if shape == image.shape:
        return np.ascontiguousarray(image[top:bottom, left:right], dtype=np.float32)
    down, across = (n / m for n, m in zip(image.shape, shape, strict=True))
    first_row, first_column = int(top * down), int(left * across)
    last_row = min(image.shape[0], math.ceil(bottom * down - 1e-9))
    last_column = min(image.shape[1], math.ceil(right * across - 1e-9))
    part = np.ascontiguousarray(image[first_row:last_row, first_column:last_column], dtype=np.float32)
    corners = (
        left * across - first_column,
        top * down - first_row,
        min(right * across - first_column, part.shape[1]),
        min(bottom * down - first_row, part.shape[0]),
    )
    small = Image.fromarray(part).resize((right - left, bottom - top), Image.Resampling.BOX, box=corners)
    return np.asarray(small, dtype=np.float32)


def _limits(image: Float32Array, shape: tuple[int, int]) -> tuple[float, float]:
    """Return the values that turn black and white at the pixels of `shape`, from lines all over the image."""
    n_lines = min(shape[0], max(1, _SAMPLED // shape[1]))
    tops = np.unique(np.linspace(0, shape[0] - 1, n_lines).astype(int))
    lines = [_resample(image, shape, (int(top), 0, int(top) + 1, shape[1])) for top in tops]
    return _percentiles(np.concatenate(lines))


def _percentiles(values: Float32Array) -> tuple[float, float]:
    """Return the values that turn black and white."""
    step = max(1, math.isqrt(values.size // _SAMPLED))
    low, high = np.percentile(values[::step, ::step], _PERCENTILES)
    return float(low), float(high)


def _to_grey(values: Float32Array, limits: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Map values to 8-bit grey; one without contrast is mid-grey."""
    low, high = limits or _percentiles(values)
    if not high > low:
        return np.full(values.shape, 128, dtype=np.uint8)
    grey = (values - np.float32(low)) * np.float32(255 / (high - low))
    grey += np.float32(0.5)
    return np.clip(grey, 0, 255, out=grey).astype(np.uint8)


def _encode_strip(grey: NDArray[np.uint8], level: int, row: int) -> dict[str, str]:
    """Encode one row of tiles."""
    return {
        f"{level}-{row}-{column}": base64.b64encode(_encode(tile, _QUALITY)).decode("ascii")
        for column, tile in _columns(grey)
    }


def _columns(grey: AnyArray) -> Iterator[tuple[int, AnyArray]]:
    """Yield the tiles of a strip with their columns."""
    for left in range(0, grey.shape[1], TILE):
        yield left // TILE, grey[:, left : left + TILE]


def _encode(grey: AnyArray, quality: int) -> bytes:
    """Encode grey values as JPEG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(grey)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _jpeg_uri(jpeg: bytes) -> str:
    """Return a JPEG as a data URI."""
    return data_uri(jpeg, "image/jpeg")
