"""The parts of an image that its sampling is estimated from."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, as_image
from amorph2d.micrographs.spectrum import LARGEST_SIDE, REFERENCE_BOND, spectrum_candidates

FIELD = 42.0
"""Side of the part of an image that a network is located in, in bond lengths."""
_PIXELS_PER_BOND = 5.0


def crop_for_estimate(image: ArrayLike, *, bond_length: float = REFERENCE_BOND) -> Float32Array:
    """Return the part of an image that its sampling is estimated from, at most 1024 px a side.

    Of a larger image it is the middle or a corner, whichever has the clearest rings or peaks.

    Parameters
    ----------
    image
        Intensities, (rows, columns); it may be a memory map.
    bond_length
        Typical bond length of the material [Å].
    """
    # A memory map is not read as a whole.
    pixels = image if isinstance(image, np.ndarray) else np.asarray(image)
    shape = pixels.shape
    if len(shape) != 2 or max(shape) <= LARGEST_SIDE:
        return as_image(np.asarray(pixels))
    sides = [min(n, LARGEST_SIDE) for n in shape]
    spare = [n - side for n, side in zip(shape, sides, strict=True)]
    starts = [(spare[0] // 2, spare[1] // 2)]
    if max(spare) >= LARGEST_SIDE // 2:
        starts += [(y, x) for y in sorted({0, spare[0]}) for x in sorted({0, spare[1]})]
    parts = [as_image(np.asarray(pixels[y : y + sides[0], x : x + sides[1]])) for y, x in starts]
    if len(parts) == 1:
        return parts[0]
    return max(parts, key=lambda part: _clearest(part, bond_length))


def _clearest(part: Float32Array, bond_length: float) -> float:
    """How far the best candidate of a part stands out."""
    if not np.ptp(part) > 0:
        return 0.0
    return max((each.score for each in spectrum_candidates(part, spacing=bond_length)), default=0.0)


def clean_part(part: Float32Array, sampling: float, bond_length: float) -> Float32Array:
    """Cut out the part, 42 bonds wide, in which the network prevails over slower waves.

    Contamination and edges of the sheet have the most of the slower ones.

    Parameters
    ----------
    part
        Intensities, (rows, columns).
    sampling
        A supposed one [Å/px].
    bond_length
        Typical bond length of the material [Å].
    """
    from scipy.ndimage import gaussian_filter, uniform_filter

    side = math.ceil(FIELD * bond_length / sampling)
    if max(part.shape) <= side:
        return part
    block = max(int(bond_length / sampling / _PIXELS_PER_BOND), 1)
    small = _block_means(part, block)
    scale = bond_length / (sampling * block)
    smooth = gaussian_filter(small, 0.25 * scale)
    slow = gaussian_filter(smooth, 0.8 * scale)
    size = max(min(side // block, min(small.shape)), 1)
    band, rest = (
        uniform_filter(values**2, size, mode="nearest") for values in (smooth - slow, slow - np.median(slow))
    )
    ratio = band / (rest + band + 1e-30)
    heights = [max(min(side, n) // block, 1) for n in part.shape]
    inner = tuple(
        slice(h // 2, max(n - (h - h // 2), h // 2) + 1) for n, h in zip(small.shape, heights, strict=True)
    )
    place = np.unravel_index(int(np.argmax(ratio[inner])), ratio[inner].shape)
    starts = [min(int(k) * block, max(n - side, 0)) for k, n in zip(place, part.shape, strict=True)]
    return part[starts[0] : starts[0] + side, starts[1] : starts[1] + side]


def _block_means(image: Float32Array, block: int) -> Float32Array:
    """Average blocks of pixels; what is left over at the far edges is dropped."""
    rows, columns = (n // block for n in image.shape)
    cut = image[: rows * block, : columns * block]
    return np.asarray(cut.reshape(rows, block, columns, block).mean(axis=(1, 3)), dtype=np.float32)
