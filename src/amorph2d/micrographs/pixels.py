"""The pixels of an image: checked, and kept in its file where there are many of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from amorph2d.arrays import AnyArray
from amorph2d.micrographs.contents import sides
from amorph2d.micrographs.errors import MicrographError

MINIMUM_SIDE = 32
"""Smallest side of an image that can be analysed [px]."""

MAPPED_FROM = 2**26
"""Pixels from which on an image that is stored as it is stays in its file, as a read-only memory map."""

LARGEST_VALUE = 1e15
"""Largest intensity: the sum of the squares of 16384² of them is still a number in single precision."""

SMALLEST_CONTRAST = 1e-15
"""Smallest difference of the brightest and the darkest pixel, whose square is one in single precision."""

_STRIPE = 2**22  # pixels that are looked at together
_LEVELS = 16  # grey levels between the darkest and the brightest pixel, at least


def check_size(shape: tuple[int, ...], bytes_needed: int, bytes_stored: int) -> None:
    """Check the size of an image before it is read.

    Raises
    ------
    MicrographError
        If it is too small, or far larger than its file could hold of a measured image.
    """
    if min(shape) < MINIMUM_SIDE:
        raise MicrographError(f"is too small: {sides(shape)}; at least {MINIMUM_SIDE} px a side are needed")
    # Electron counts at a low dose shrink tenfold or so; what shrinks far more is empty, or made to harm.
    if bytes_needed > 4 * MAPPED_FROM and bytes_needed > 200 * bytes_stored:
        raise MicrographError(
            f"promises {sides(shape)}, which would unfold its {bytes_stored} bytes to {bytes_needed}; "
            "no measured image shrinks so far: save it uncompressed"
        )


def check_pixels(data: AnyArray) -> AnyArray:
    """Check the pixels of an image.

    Parameters
    ----------
    data
        Pixels, (rows, columns), or (rows, columns, channels) where all channels are alike.

    Returns
    -------
    array
        The image, (rows, columns) float32; a memory map of `MAPPED_FROM` pixels or more is returned as it
        is, read-only and of the type as stored.

    Raises
    ------
    MicrographError
        If the image is too small, has colours, pixels that are not finite or too large, or no contrast.
    """
    data = _without_colour(data)
    check_size(data.shape, 0, 0)
    is_mapped = isinstance(data, np.memmap)
    if is_mapped and data.size >= MAPPED_FROM:
        _check_values(data, data)
        return data
    with np.errstate(over="ignore", invalid="ignore"):
        # What is in memory already is not copied; what is mapped always, or it would hold on to its file.
        image = np.array(data, dtype=np.float32, order="C", subok=False, copy=is_mapped or None)
    _check_values(image, np.asarray(data))
    return image


def _stripes(data: AnyArray) -> Iterator[AnyArray]:
    """Yield the rows of an image in pieces of a few megapixels."""
    rows = max(1, _STRIPE // data.shape[1])
    for start in range(0, data.shape[0], rows):
        yield data[start : start + rows]


def _check_values(image: AnyArray, stored: AnyArray) -> None:
    """Check that the pixels are numbers, not too large, and differ."""
    bad, low, high = 0, np.inf, -np.inf
    for part in _stripes(image):
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.asarray(part, dtype=np.float32)
        finite = np.isfinite(values)
        wrong = int(values.size - np.count_nonzero(finite))
        bad += wrong
        if wrong < values.size:
            values = values if not wrong else values[finite]
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    if bad:
        beyond = " or beyond single precision" if stored.dtype.itemsize > 4 else ""
        raise MicrographError(
            f"has {bad} of {image.size} pixels that are NaN or infinite{beyond}; replace or crop them"
        )
    largest, contrast = max(abs(low), abs(high)), high - low
    if contrast == 0:
        same = stored.flat[0]
        if any((part != same).any() for part in _stripes(stored)):
            raise MicrographError(
                f"has a contrast that is lost in single precision: all its pixels are near {same:g}; "
                "subtract the background"
            )
        raise MicrographError(f"has no contrast: all its pixels are {same:g}")
    if largest > LARGEST_VALUE:
        raise MicrographError(
            f"has pixels of up to {largest:.3g}; intensities up to {LARGEST_VALUE:g} can be analysed: "
            "scale it"
        )
    if contrast < SMALLEST_CONTRAST:
        raise MicrographError(
            f"has pixels that differ by {contrast:.3g} at most; at least {SMALLEST_CONTRAST:g} can be "
            "analysed: scale it"
        )
    if contrast < _LEVELS * np.finfo(np.float32).eps * largest:
        raise MicrographError(
            f"has a contrast of {contrast:.3g} on {largest:.6g}, which is lost in single precision; "
            "subtract the background"
        )


def _without_colour(data: AnyArray) -> AnyArray:
    """One channel of pixels whose colours are all grey."""
    if data.ndim == 2:
        return data
    # Planar files have the channels first.
    channels = np.moveaxis(data, 0, -1) if data.shape[0] in (3, 4) and data.shape[-1] not in (3, 4) else data
    if channels.ndim != 3 or channels.shape[-1] not in (3, 4):
        raise MicrographError(f"has {channels.shape[-1]} channels a pixel; convert it to grey")
    if any(not np.array_equal(channels[..., 0], channels[..., k]) for k in (1, 2)):
        raise MicrographError("is a colour image; convert it to grey")
    return channels[..., 0]
