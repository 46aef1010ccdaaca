"""Windows of any shape, given by their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.measures.window import Blocks, RectangularWindow, Window
from amorph2d.units import Sampling, as_sampling, positions_to_pixels

_STRIP = 512  # rows eroded at once: bounds the memory


@dataclass(frozen=True, eq=False)
class MaskWindow:
    """The pixels of a mask that are true, each a rectangle around its centre.

    Attributes
    ----------
    mask
        Pixels that belong to the window, (rows, columns).
    sampling
        Pixel size, one value or (y, x) [Å/px].
    most_pixels
        Pixels of the set covariance, ≥ 1; larger masks are coarsened for it. It then takes about 30 byte for
        each of these pixels, and nothing beside the mask for each pixel of the mask.
    """

    mask: BoolArray
    sampling: Sampling
    most_pixels: int = 2**22

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_ or self.mask.size == 0:
            raise ValueError(
                f"mask must be two-dimensional and boolean, got {self.mask.dtype} {self.mask.shape}"
            )
        if not self.most_pixels >= 1:
            raise ValueError(f"most_pixels must be ≥ 1, got {self.most_pixels}")
        as_sampling(self.sampling)

    @property
    def area(self) -> float:
        """Area [Å²]."""
        return float(np.count_nonzero(self.mask) * np.prod(as_sampling(self.sampling)))

    def contains(self, positions: ArrayLike) -> BoolArray:
        """Tell which positions, (N, 2) [Å], lie on a pixel of the window, (N,)."""
        pixels = np.rint(positions_to_pixels(positions, self.sampling)).astype(np.int64)
        is_inside = np.asarray(((pixels >= 0) & (pixels < self.mask.shape)).all(axis=1))
        is_inside[is_inside] = self.mask[tuple(pixels[is_inside].T)]
        return is_inside

    def set_covariance(self, r: ArrayLike) -> FloatArray:
        """Area of the overlap with the window shifted by r [Å], mean over all directions [Å²].

        The overlap with a shift by whole pixels is the autocorrelation of the mask; between them it is
        bilinear, for pixels are rectangles, and is integrated along the circle in closed form. A mask of more
        than `most_pixels` in its bounding box is exchanged for the share of larger pixels that it covers:
        then the overlap is smoothed over such a pixel, and too small by at most a quarter of one along the
        outline where r is smaller than it.

        References
        ----------
        Illian et al., Statistical Analysis and Modelling of Spatial Point Patterns (2008), appendix B,
        https://doi.org/10.1002/9780470725160: isotropised set covariance.
        """
        distances = np.abs(np.asarray(r, dtype=np.float64))
        bounds = _bounding_box(self.mask)
        if bounds is None or distances.size == 0:
            return np.zeros(distances.shape)
        inside = self.mask[bounds]
        factor = int(np.ceil(np.sqrt(inside.size / self.most_pixels)))
        steps = factor * np.array(as_sampling(self.sampling))
        overlap = _autocorrelate(_coarsen(inside, factor), np.ceil(distances.max() / steps).astype(int) + 1)
        values = [_mean_on_circle(overlap, each / steps) for each in distances.ravel().tolist()]
        return np.reshape(values, distances.shape) * steps.prod()

    def blocks(self, size: float, *, parts: int = 1) -> Blocks:
        """Cut the bounding box of the mask into blocks with edges of about `size` [Å], each into parts²."""
        bounds = _bounding_box(self.mask)
        if bounds is None:
            return Blocks(np.zeros(2), np.full(2, size / parts), (parts, parts), np.zeros(parts**2))
        steps = np.array(as_sampling(self.sampling))[::-1]
        low, high = np.array([[axis.start, axis.stop] for axis in bounds[::-1]]).T
        sides = (high - low) * steps
        n_x, n_y = (int(n) * parts for n in np.maximum(1, np.rint(sides / size)))
        blocks = Blocks((low - 0.5) * steps, sides / (n_x, n_y), (n_x, n_y), np.zeros(n_x * n_y))
        column, row = (
            np.minimum((np.arange(n) + 0.5) * step // edge, parts - 1).astype(np.int64)
            for n, step, edge, parts in zip(high - low, steps, blocks.size, (n_x, n_y), strict=True)
        )
        counts = np.zeros((n_x, n_y))
        for number in range(n_y):
            is_own = np.flatnonzero(row == number)
            if len(is_own):
                strip = self.mask[bounds][is_own[0] : is_own[-1] + 1]
                counts[:, number] = np.bincount(column, np.count_nonzero(strip, axis=0), minlength=n_x)
        return replace(blocks, areas=counts.ravel() * steps.prod())

    def eroded(self, border: float) -> MaskWindow:
        """Return the pixels whose centres are at least `border` [Å] from everything outside of the window.

        Beyond the image everything is outside.

        Raises
        ------
        ValueError
            If `border` is negative.
        """
        if not border >= 0:
            raise ValueError(f"border must be ≥ 0 Å, got {border}")
        step_y, step_x = as_sampling(self.sampling)
        reach = int(np.ceil(border / step_y + 0.5))
        # From the centre of a pixel to the edge of one k rows away it is k − 1/2 pixels.
        away = np.maximum(np.arange(reach + 1) - 0.5, 0) * step_y
        across = np.sqrt(np.maximum(border**2 - away**2, 0)) / step_x + 0.5
        # With a margin, so that rounding does not decide where the border ends on an edge.
        least = np.maximum(np.ceil(across - 1e-9), 1).astype(np.int32)
        kept = np.zeros_like(self.mask)
        n_rows = len(self.mask)
        for start in range(0, n_rows, _STRIP):
            stop = min(start + _STRIP, n_rows)
            low, high = max(start - reach, 0), min(stop + reach, n_rows)
            room = np.pad(
                _steps_to_outside(self.mask[low:high]), ((reach - start + low, reach - high + stop), (0, 0))
            )
            is_near = (room < least.max()).any(axis=0)  # far from everything outside there is nothing to do
            room = room[:, is_near]
            own = np.ones((stop - start, room.shape[1]), dtype=bool)
            for k in range(-reach, reach + 1):
                if k == 0 or away[abs(k)] < border - 1e-9 * step_y:
                    own &= room[reach + k : reach + k + stop - start] >= least[abs(k)]
            kept[start:stop] = True
            kept[start:stop, is_near] = own
        return replace(self, mask=kept)


def _bounding_box(mask: BoolArray) -> tuple[slice, slice] | None:
    """Rows and columns of the smallest rectangle around the pixels that are true; None without any."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _coarsen(mask: BoolArray, factor: int) -> FloatArray:
    """Return which share of pixels `factor` times as large a mask covers, (rows, columns) rounded up."""
    if factor == 1:
        return mask.astype(np.float64)
    starts = np.arange(0, mask.shape[1], factor)
    sums = [
        np.add.reduceat(np.count_nonzero(mask[row : row + factor], axis=0), starts)
        for row in range(0, len(mask), factor)
    ]
    return np.array(sums) / factor**2


def _autocorrelate(image: FloatArray, reach: IntArray) -> FloatArray:
    """Return the sums of products of an image with itself, shifted by up to `reach` rows and columns.

    (2 × reach + 1), no shift in the middle; beyond the image there is 0.
    """
    from scipy import fft

    shape = [fft.next_fast_len(n + int(m), real=True) for n, m in zip(image.shape, reach, strict=True)]
    shape = [max(n, 2 * int(m) + 1) for n, m in zip(shape, reach, strict=True)]
    spectrum = fft.rfft2(image, shape)
    power = spectrum.real**2 + spectrum.imag**2
    del spectrum
    sums = fft.irfft2(power, shape)
    return np.asarray(sums[np.ix_(*(np.arange(-m, m + 1) for m in reach))])


def _mean_on_circle(values: FloatArray, radii: FloatArray) -> float:
    """Mean over all directions of the bilinear interpolation of `values`, which are even around their middle.

    Parameters
    ----------
    values
        Odd numbers of rows and columns, the same after a half turn.
    radii
        Radii along rows and columns, (2,), in pixels: the circle is an ellipse where pixels are oblong.
    """
    middle = (np.array(values.shape) - 1) // 2
    phi = _crossings(radii)
    centre = (phi[1:] + phi[:-1]) / 2
    a, b = radii
    i, j = np.floor(a * np.sin(centre)).astype(int), np.floor(b * np.cos(centre)).astype(int)
    row, column = i + middle[0], j + middle[1]
    v00, v01 = values[row, column], values[row, column + 1]
    v10, v11 = values[row + 1, column], values[row + 1, column + 1]
    # Integrals along each arc of 1, of the way into the pixel along rows and columns, and of their product.
    sine, cosine, width = np.diff(np.sin(phi)), -np.diff(np.cos(phi)), np.diff(phi)
    down, right = a * cosine - i * width, b * sine - j * width
    product = a * b * np.diff(np.sin(phi) ** 2) / 2 - j * a * cosine - i * b * sine + i * j * width
    total = v00 * width + (v10 - v00) * down + (v01 - v00) * right + (v11 - v10 - v01 + v00) * product
    return float(total.sum() / np.pi)


def _crossings(radii: FloatArray) -> FloatArray:
    """Angles from 0 to π at which an ellipse with these radii passes from pixel to pixel, ends included."""
    a, b = radii
    rows = np.arange(1, int(a) + 1) / max(a, 1e-300)
    columns = np.arange(-int(b), int(b) + 1) / max(b, 1e-300)
    at_rows = np.arcsin(np.minimum(rows, 1))
    at_columns = np.arccos(np.clip(columns, -1, 1))
    return np.unique(np.concatenate([[0.0, np.pi], at_rows, np.pi - at_rows, at_columns]))


def _steps_to_outside(mask: BoolArray) -> NDArray[np.int32]:
    """Columns from each pixel to the nearest that is not in the mask, or beyond its sides; 0 outside."""
    n = mask.shape[1]
    places = np.arange(n, dtype=np.int32)
    before = np.maximum.accumulate(np.where(mask, np.int32(-1), places), axis=1)
    after = np.minimum.accumulate(np.where(mask, np.int32(n), places)[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(np.minimum(places - before, after - places))


def observed_window(counts: BoolArray, sampling: Sampling) -> Window:
    """Return the window of the pixels that count: a rectangle where they fill one.

    Parameters
    ----------
    counts
        (rows, columns); the window ends at the outer edges of its outermost pixels.
    sampling
        Pixel size, one value or (y, x) [Å/px].

    Raises
    ------
    ValueError
        If `counts` is no boolean image or `sampling` is not positive.
    """
    window = MaskWindow(counts, sampling)
    rows, columns = np.flatnonzero(counts.any(axis=1)), np.flatnonzero(counts.any(axis=0))
    if len(rows) == 0:
        return RectangularWindow(0.0, 0.0, 0.0, 0.0)
    if np.count_nonzero(counts) != (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1):
        return window
    step_y, step_x = as_sampling(sampling)
    return RectangularWindow(
        (columns[0] - 0.5) * step_x, (rows[0] - 0.5) * step_y,
        (columns[-1] + 0.5) * step_x, (rows[-1] + 0.5) * step_y,
    )  # fmt: skip
