"""Resample images to another sampling without moving anything in Å."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, Float32Array, as_image
from amorph2d.units import Sampling, as_sampling

_LOBES = 3
_ROWS_AT_ONCE, _ROWS_READ = 128, 1024  # of the result, and at most of the image for them
_COLUMNS_AT_ONCE = 128
_LARGEST_HELD = 2**25


def resample(image: ArrayLike, sampling: Sampling, to: float) -> Float32Array:
    """Resample `image` to square pixels of `to` Å.

    The centre of pixel (0, 0) stays where it is, and the centre of pixel (i, j) of the result lies (i, j)
    times `to` from it: positions in Å do not change. Interpolation and, when coarsening, the anti-aliasing
    filter are one separable Lanczos kernel of three lobes, stretched by the ratio. It reaches a few pixels
    only, so a window is resampled alike by itself. The image is mirrored at its outermost pixel centres.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type.
    sampling
        Its sampling, one value or (y, x), > 0 [Å/px].
    to
        Sampling of the result, > 0 [Å/px].

    Returns
    -------
    Float32Array
        The image on the new grid, which ends at or before the last pixel centre of the old one; the image
        itself where nothing changes.

    Raises
    ------
    ValueError
        If `image` is not a finite two-dimensional image, or a sampling is not positive.

    References
    ----------
    Duchon, J. Appl. Meteorol. 18, 1016 (1979), doi:10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2.
    """
    pixels = as_image(image)
    steps = as_sampling(sampling)
    rows, columns = resampled_shape(pixels.shape, sampling, to)
    if is_same_sampling(steps, to):
        return pixels
    return resample_window(pixels, steps, to, slice(0, rows), slice(0, columns))


class ResampledImage:
    """An image on another grid, of which any window can be read; large ones are never held whole.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map.
    sampling
        Its sampling, one value or (y, x), > 0 [Å/px].
    to
        Sampling of the grid, > 0 [Å/px].

    Attributes
    ----------
    shape
        Rows and columns of the resampled image [px].

    Raises
    ------
    ValueError
        If `image` is not a finite two-dimensional image of real numbers, or a sampling is not positive.
    """

    def __init__(self, image: AnyArray, sampling: Sampling, to: float) -> None:
        _check_image(image)
        self.shape = resampled_shape(image.shape, sampling, to)
        self._image, self._steps, self._to = image, as_sampling(sampling), to
        if not is_same_sampling(sampling, to) and self.shape[0] * self.shape[1] <= _LARGEST_HELD:
            whole = slice(0, self.shape[0]), slice(0, self.shape[1])
            self._image, self._steps = resample_window(image, self._steps, to, *whole), (to, to)

    def read(self, rows: slice, columns: slice) -> Float32Array:
        """Return the window `rows`, `columns`, float32."""
        if is_same_sampling(self._steps, self._to):
            return self._image[rows, columns].astype(np.float32, copy=False)
        return resample_window(self._image, self._steps, self._to, rows, columns)

    def stripes(self, height: int) -> Iterator[Float32Array]:
        """Yield the image from top to bottom, `height` rows at a time."""
        for start in range(0, self.shape[0], height):
            yield self.read(slice(start, min(start + height, self.shape[0])), slice(0, self.shape[1]))


def _check_image(image: AnyArray) -> None:
    """Check as `as_image` does, without a copy of the image."""
    if image.ndim != 2 or image.size == 0:
        raise ValueError(f"image must be two-dimensional and not empty, got the shape {image.shape}")
    if image.dtype.kind not in "biuf":
        raise ValueError(f"image must hold real numbers, got {image.dtype}")
    if image.dtype.kind == "f":
        stripes = (image[start : start + _ROWS_AT_ONCE] for start in range(0, len(image), _ROWS_AT_ONCE))
        bad = sum(int((~np.isfinite(stripe)).sum()) for stripe in stripes)
        if bad:
            raise ValueError(f"image must be finite, got {bad} pixels that are NaN or infinite")


def resampled_shape(shape: tuple[int, ...], sampling: Sampling, to: float) -> tuple[int, int]:
    """Return the rows and columns that an image of `shape` has once resampled `to` Å/px."""
    _, to = as_sampling(to)
    rows, columns = (
        math.floor((size - 1) * step / to * (1 + 1e-12) + 1e-9) + 1
        for size, step in zip(shape, as_sampling(sampling), strict=True)
    )
    return rows, columns


def is_same_sampling(sampling: Sampling, to: float) -> bool:
    """Say whether resampling changes nothing: the samplings agree to one part in 10⁹."""
    return bool(np.allclose(as_sampling(sampling), to, rtol=1e-9, atol=0.0))


def resample_window(
    image: AnyArray, sampling: tuple[float, float], to: float, rows: slice, columns: slice
) -> Float32Array:
    """Return the window `rows`, `columns` of the resampled image, reading only what it needs of `image`.

    Equal to the same window of `resample(image, sampling, to)` up to rounding. Nothing is checked.
    """
    across = list(_bands(image.shape[1], sampling[1], to, columns, _COLUMNS_AT_ONCE))
    first = min(source.start for _, source, _ in across)
    last = max(source.stop for _, source, _ in across)
    window = np.empty((rows.stop - rows.start, columns.stop - columns.start), dtype=np.float32)
    height = max(min(_ROWS_AT_ONCE, int(_ROWS_READ * sampling[0] / to)), 1)
    for target, source, weights in _bands(image.shape[0], sampling[0], to, rows, height):
        stripe = weights @ image[source, first:last].astype(np.float32, copy=False)
        for target_x, source_x, weights_x in across:
            window[target, target_x] = stripe[:, source_x.start - first : source_x.stop - first] @ weights_x.T
    return window


def _bands(
    size: int, step: float, to: float, wanted: slice, at_once: int
) -> Iterator[tuple[slice, slice, Float32Array]]:
    """Yield (place in the result, pixels read, dense weights) for `at_once` wanted samples at a time."""
    for start in range(wanted.start, wanted.stop, at_once):
        stop = min(start + at_once, wanted.stop)
        source, weights = _lanczos_weights(np.arange(start, stop) * (to / step), size, max(to / step, 1.0))
        yield slice(start - wanted.start, stop - wanted.start), source, weights


def _lanczos_weights(places: AnyArray, size: int, stretch: float) -> tuple[slice, Float32Array]:
    """Return the pixels read and their weights (places, pixels) for samples at `places` [px]."""
    reach = _LOBES * stretch
    taps = np.floor(places)[:, None] + np.arange(-math.ceil(reach), math.ceil(reach) + 2)
    distance = (taps - places[:, None]) / stretch
    kernel = np.where(np.abs(distance) < _LOBES, np.sinc(distance) * np.sinc(distance / _LOBES), 0.0)
    kernel /= kernel.sum(axis=1, keepdims=True)
    period = max(2 * (size - 1), 1)
    folded = np.abs((taps.astype(np.int64) + size - 1) % period - (size - 1))
    used = folded[kernel != 0]
    source = slice(int(used.min()), int(used.max()) + 1)
    weights = np.zeros((len(places), source.stop - source.start))
    sample, tap = np.nonzero(kernel)
    np.add.at(weights, (sample, folded[sample, tap] - source.start), kernel[sample, tap])
    return source, weights.astype(np.float32)
