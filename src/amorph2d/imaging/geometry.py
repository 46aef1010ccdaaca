"""Distortions of the image plane: where things go, and images resampled accordingly.

Coordinates are pixels, (row, column), counted in the distorted and the undistorted image from the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, Float32Array, FloatArray, as_image, as_points

HIGHEST_ORDER = 2  # half waves per image of a smooth variation, per axis
LARGEST_STRETCH = 0.1  # of anisotropy and barrel: beyond it the map might fold
WOBBLE_STREAM = 1  # of the seed of an image, so that nothing else that it decides is related
SPLINE_REACH = 2  # pixels around a place that its spline needs
PRECISION = 1e-6  # to which the map is inverted [px]
ROUNDS = 60


@dataclass(frozen=True)
class Distortion:
    """Smooth distortion of an image.

    Attributes
    ----------
    anisotropy
        Difference of the magnification along and across `anisotropy_direction`, relative to their mean,
        which stays 1.
    anisotropy_direction
        Direction of the higher magnification, from x towards y [°].
    barrel
        Radial displacement of what a corner shows, relative to its distance from the centre; it grows with
        the third power of that distance. Positive: the corners are magnified (pincushion), negative: barrel.
    wobble
        Root mean square length of a smooth random displacement [px].
    seed
        Seed of that displacement.
    """

    anisotropy: float = 0.0
    anisotropy_direction: float = 0.0
    barrel: float = 0.0
    wobble: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("anisotropy", "barrel"):
            if not abs(getattr(self, name)) <= LARGEST_STRETCH:
                raise ValueError(
                    f"{name} must lie in -{LARGEST_STRETCH} … {LARGEST_STRETCH}, got {getattr(self, name)}"
                )
        if not 0 <= self.wobble < np.inf:
            raise ValueError(f"wobble must be ≥ 0 px, got {self.wobble}")
        if self.seed < 0:
            raise ValueError(f"seed must be ≥ 0, got {self.seed}")

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        return not (self.anisotropy or self.barrel or self.wobble)

    def reach(self, shape: tuple[int, int], *, beyond: int = 0) -> int:
        """Return how many pixels around it an image has to show for `distort` to fill it.

        Parameters
        ----------
        shape
            Rows and columns of the distorted image.
        beyond
            Pixels around it that are distorted with it, `keep` of `distort`.
        """
        if self.is_identity:
            return 0
        rows, columns = _edge(shape, beyond)
        moved = np.array(_sources(rows, columns, shape, self)) - (rows, columns)
        return int(np.ceil(np.abs(moved).max())) + SPLINE_REACH


def unit_vector(direction: float) -> tuple[float, float]:
    """Return the components along x and y of a direction, from x towards y [°]."""
    return float(np.cos(np.deg2rad(direction))), float(np.sin(np.deg2rad(direction)))


def source_positions(pixels: ArrayLike, shape: tuple[int, int], distortion: Distortion) -> FloatArray:
    """Return where in the undistorted image the `pixels` of a distorted one are taken from.

    Parameters
    ----------
    pixels
        Rows and columns in the distorted image, (N, 2) [px].
    shape
        Rows and columns of that image.
    distortion
        What moves them.

    Returns
    -------
    FloatArray
        Rows and columns in the undistorted image, on the same axes: beyond 0 … shape − 1 where the
        distorted image shows what lies beyond the undistorted one, (N, 2) [px].
    """
    points = as_points(pixels, "pixels")
    rows, columns = _sources(points[:, 0], points[:, 1], shape, distortion)
    return np.column_stack([rows, columns])


def distorted_positions(points: ArrayLike, shape: tuple[int, int], distortion: Distortion) -> FloatArray:
    """Return where a distorted image shows `points` of the undistorted one: `source_positions` inverted.

    Parameters
    ----------
    points
        Rows and columns in the undistorted image, (N, 2) [px].
    shape
        Rows and columns of the distorted image.
    distortion
        What moves them.

    Returns
    -------
    FloatArray
        Rows and columns in the distorted image, (N, 2) [px].

    Raises
    ------
    ValueError
        If the distortion is so strong that it cannot be inverted.
    """
    sources = as_points(points)
    found = sources.copy()
    if distortion.is_identity:
        return found
    for _ in range(ROUNDS):
        error = sources - source_positions(found, shape, distortion)
        found += error
        if np.abs(error).max(initial=0) < PRECISION:
            return found
    raise ValueError(f"distortion must be weak enough to be inverted, got {distortion}")


def distort(
    image: ArrayLike, distortion: Distortion, *, shape: tuple[int, int], margin: int, keep: int = 0
) -> Float32Array:
    """Return `image` distorted, without its margin or with a part of it.

    Cubic splines interpolate. Beyond its edges the image is taken as periodic, which shows in the outermost
    8 px of an image that is not.

    Parameters
    ----------
    image
        Undistorted image with a margin, (rows + 2 margin, columns + 2 margin).
    distortion
        What moves its pixels; an identity is exact and free.
    shape
        Rows and columns without the margin: the image to which the distortion refers.
    margin
        Pixels around it in `image`; at least `keep` and what `Distortion.reach` says.
    keep
        Pixels around it in the result.

    Returns
    -------
    Float32Array
        Distorted image, (rows + 2 keep, columns + 2 keep). Coordinates count from the first pixel within the
        margins, of the undistorted and of the distorted image alike.

    Raises
    ------
    ValueError
        If image, shape and margin contradict each other or the margin is too narrow for the distortion.
    """
    array = as_image(image)
    if min(shape) < 1 or array.shape != (shape[0] + 2 * margin, shape[1] + 2 * margin):
        raise ValueError(
            f"image must have the shape {shape} and {margin} px of margin around it, got {array.shape}"
        )
    if not 0 <= keep <= margin:
        raise ValueError(f"keep must lie in 0 … {margin} px, got {keep}")
    if distortion.is_identity:
        cut = margin - keep
        return array[cut : array.shape[0] - cut, cut : array.shape[1] - cut].copy()
    needed = keep + distortion.reach(shape, beyond=keep) - SPLINE_REACH
    if needed > margin:
        raise ValueError(f"margin must be ≥ {needed} px for this distortion, got {margin}")
    return _interpolate(array, distortion, shape, margin, keep)


def smooth_variation(
    rows: AnyArray, columns: AnyArray, shape: tuple[int, int], rng: np.random.Generator
) -> AnyArray:
    """Return a smooth random variation of mean 0 and root mean square 1 over an image of `shape`.

    A sum of products of cosines of up to two half waves along each axis, the lower the stronger.

    Parameters
    ----------
    rows, columns
        Where to evaluate it, broadcast against each other; single precision is kept [px].
    shape
        Rows and columns of the image.
    rng
        Draws the weights.
    """
    return _smooth_variations(rows, columns, shape, rng, 1)[0]


def _smooth_variations(
    rows: AnyArray, columns: AnyArray, shape: tuple[int, int], rng: np.random.Generator, n_fields: int
) -> list[AnyArray]:
    """Independent smooth variations whose squares have the mean 1 in the sum over their number."""
    orders = np.arange(HIGHEST_ORDER + 1)
    weights = rng.normal(size=(n_fields, len(orders), len(orders)))
    weights /= 1 + orders[:, None] ** 2 + orders[None, :] ** 2
    weights[:, 0, 0] = 0
    power = weights**2 * np.where(orders > 0, 0.5, 1)[:, None] * np.where(orders > 0, 0.5, 1)
    weights *= np.sqrt(n_fields / power.sum())
    along_rows = [np.cos(np.pi * float(k) * (rows + 0.5) / shape[0]) for k in orders]
    along_columns = [np.cos(np.pi * float(k) * (columns + 0.5) / shape[1]) for k in orders]
    fields: list[Any] = []
    for weight in weights:
        # Plain sums: a matrix product's last bits may depend on the number of threads.
        factors = [sum(float(w) * wave for w, wave in zip(row, along_columns, strict=True)) for row in weight]
        fields.append(sum(wave * factor for wave, factor in zip(along_rows, factors, strict=True)))
    return fields


def _sources(
    rows: AnyArray, columns: AnyArray, shape: tuple[int, int], distortion: Distortion
) -> tuple[AnyArray, AnyArray]:
    """Rows and columns of the sources of pixels, broadcast against each other, in their own precision."""
    middle = ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    y, x = rows - middle[0], columns - middle[1]
    along_x, along_y = unit_vector(distortion.anisotropy_direction)
    stretched, squeezed = 1 / (1 + distortion.anisotropy / 2), 1 / (1 - distortion.anisotropy / 2)
    difference = stretched - squeezed
    source_y = (squeezed + difference * along_y**2) * y + difference * along_x * along_y * x
    source_x = (squeezed + difference * along_x**2) * x + difference * along_x * along_y * y
    if distortion.barrel:
        corner = max(middle[0] ** 2 + middle[1] ** 2, 1.0)
        pull = (-distortion.barrel / corner) * (x**2 + y**2)
        source_y, source_x = source_y + pull * y, source_x + pull * x
    if distortion.wobble:
        rng = np.random.default_rng(np.random.SeedSequence(distortion.seed, spawn_key=(WOBBLE_STREAM,)))
        moved = _smooth_variations(rows, columns, shape, rng, 2)
        scale = distortion.wobble / 2**0.5
        source_y, source_x = source_y + scale * moved[0], source_x + scale * moved[1]
    return source_y + middle[0], source_x + middle[1]


def _edge(shape: tuple[int, int], beyond: int) -> tuple[FloatArray, FloatArray]:
    """Rows and columns of the outermost pixels of an image with `beyond` pixels around it."""
    rows, columns = (np.arange(-beyond, n + beyond, dtype=np.float64) for n in shape)
    top, left = np.full_like(columns, rows[0]), np.full_like(rows, columns[0])
    bottom, right = np.full_like(columns, rows[-1]), np.full_like(rows, columns[-1])
    return np.concatenate([top, bottom, rows, rows]), np.concatenate([columns, columns, left, right])


def _interpolate(
    image: Float32Array, distortion: Distortion, shape: tuple[int, int], margin: int, keep: int
) -> Float32Array:
    """Resample by cubic B-splines."""
    rows, columns = (np.arange(-keep, n + keep, dtype=np.float32) for n in shape)
    sources = _sources(rows[:, None], columns[None, :], shape, distortion)
    source_rows, source_columns = (np.float32(margin) + source for source in np.broadcast_arrays(*sources))
    result = np.empty(source_rows.shape, np.float32)
    _compiled()(_spline_coefficients(image), source_rows, source_columns, result)
    return result


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., None]:
    """Compile the kernel at its first use: importing numba takes longer than many an image."""
    from numba import njit

    kernel: Callable[..., None] = njit(cache=True)(_sum_splines)
    return kernel


def _sum_splines(coefficients: AnyArray, rows: AnyArray, columns: AnyArray, result: AnyArray) -> None:
    """Sum a cubic B-spline at rows and columns, of which coefficient (1, 1) is the origin."""
    for i in range(result.shape[0]):
        for j in range(result.shape[1]):
            row, column = int(rows[i, j]), int(columns[i, j])
            v, u = rows[i, j] - row, columns[i, j] - column
            y0, y3 = (1 - v) ** 3 / 6, v**3 / 6
            y1, y2 = (4 - 3 * v**2 * (2 - v)) / 6, (4 - 3 * (1 - v) ** 2 * (1 + v)) / 6
            x0, x3 = (1 - u) ** 3 / 6, u**3 / 6
            x1, x2 = (4 - 3 * u**2 * (2 - u)) / 6, (4 - 3 * (1 - u) ** 2 * (1 + u)) / 6
            taps = coefficients[row : row + 4, column : column + 4]
            total = 0.0
            for k, y in enumerate((y0, y1, y2, y3)):
                total += y * (x0 * taps[k, 0] + x1 * taps[k, 1] + x2 * taps[k, 2] + x3 * taps[k, 3])
            result[i, j] = total


def _spline_coefficients(image: Float32Array) -> Float32Array:
    """Coefficients of the periodic cubic B-spline through an image, continued beyond its edges.

    References
    ----------
    M. Unser, IEEE Signal Process. Mag. 16 (6), 22 (1999), doi:10.1109/79.799930.
    """
    from scipy import fft

    sampled = [(2 + np.cos(2 * np.pi * fft.fftfreq(n))) / 3 for n in image.shape]
    spectrum = fft.rfft2(image, workers=1)
    spectrum *= (1 / sampled[0])[:, None].astype(np.float32)
    spectrum *= (1 / sampled[1])[None, : image.shape[1] // 2 + 1].astype(np.float32)
    coefficients = fft.irfft2(spectrum, s=image.shape, workers=1, overwrite_x=True)
    return np.pad(coefficients, ((1, 2), (1, 2)), mode="wrap")
