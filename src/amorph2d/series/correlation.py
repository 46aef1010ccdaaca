"""Displacement between two frames of one area by the correlation of their phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft
from scipy.ndimage import maximum_filter

from amorph2d.arrays import BoolArray, Float32Array, FloatArray, IntArray, as_image
from amorph2d.localisation.normalise import normalise
from amorph2d.series.config import DriftParameters
from amorph2d.units import Sampling, as_sampling

ComplexArray = NDArray[np.complex64]

_BRIGHTEST = 5.0  # robust standard deviations at which hot pixels and X-ray events are cut
_THINNING = 3  # of the pixels that show this deviation
_RING_WIDTH = 4.0  # frequency steps
_FLOOR_QUANTILE = 0.05
_FINENESS = 4  # grid points of the correlation per period of the highest frequency
_N_NEWTON = 12
_LEAST_COHERENCE = 0.4  # correlation from which on two frames show the same crystal
_DECISIVE = 4.0  # standard deviations of the noise between two peaks of which one is believed
_STEP_TOLERANCE = 1e-5  # [Å]
_REACH = 0.25  # periods of the highest frequency that a maximum may move from its grid point, per stage
# A window correlates neighbouring frequencies: N Σw⁴/(Σw²)² of a Hann window is 35/18 per axis.
_CORRELATED = (35 / 18) ** 2


class Displacement(NamedTuple):
    """Displacement of one frame against another.

    Attributes
    ----------
    vector
        Displacement, (2,), x then y [Å].
    error
        Its standard deviation per axis from the scatter of the phases; infinite where nothing is found [Å].
    correlation
        Mean cosine of the phase differences that remain, −1 to 1.
    is_significant
        Whether the peak of the correlation stands out of its noise.
    is_unique
        Whether it stands out of all other peaks within reach as well.
    """

    vector: FloatArray
    error: float
    correlation: float
    is_significant: bool
    is_unique: bool


class Circle(NamedTuple):
    """Displacements that are possible, and the likeliest of them.

    Attributes
    ----------
    centre
        Centre, (2,), x then y [Å].
    radius
        Radius, > 0 [Å].
    expected
        Displacement that decides between peaks of nearly the same height, (2,), x then y [Å].
    """

    centre: FloatArray
    radius: float
    expected: FloatArray


class _Peak(NamedTuple):
    """Peak of a correlation: place, height in deviations of its noise and relative to the sum of weights."""

    vector: FloatArray
    significance: float
    correlation: float
    is_unique: bool


@dataclass(frozen=True)
class Spectrum:
    """What is kept of a frame.

    Attributes
    ----------
    values
        Fourier coefficients within the band, (rows, columns) of the grid.
    power
        Mean square of the coefficients of each ring of frequencies, (rings,).
    signal
        Part of the power that is not noise, (rings,), 0 to 1.
    """

    values: ComplexArray
    power: FloatArray
    signal: FloatArray


class SpectralGrid:
    """Frequencies of frames of one shape in the band of the parameters.

    Attributes
    ----------
    shape
        Rows and columns of a frame [px].
    """

    def __init__(self, shape: tuple[int, int], sampling: Sampling, parameters: DriftParameters) -> None:
        self.shape = shape
        self.steps = as_sampling(sampling)
        self._background = parameters.background / float(np.sqrt(self.steps[0] * self.steps[1]))
        edges = np.array(shape) * self.steps
        rows = np.fft.fftfreq(shape[0], 1 / shape[0]).astype(np.int64)
        columns = np.arange(shape[1] // 2 + 1)
        low, high = parameters.band
        self._all_rings = _rings(rows / edges[0], columns / edges[1], _RING_WIDTH / edges.min())
        self._keep_rows = np.flatnonzero(np.abs(rows) / edges[0] < high)
        self._keep_columns = np.flatnonzero(columns / edges[1] < high)
        self._rows, self._columns = rows[self._keep_rows], columns[self._keep_columns]
        self.qy, self.qx = self._rows / edges[0], self._columns / edges[1]
        frequency = np.hypot(self.qy[:, None], self.qx)
        self.is_used = (frequency >= low) & (frequency < high) & self._is_counted(rows, columns)
        if not self.is_used.any():
            raise ValueError(
                f"band must hold frequencies of an image of {shape} pixels, got {parameters.band}"
            )
        self.rings = self._all_rings[np.ix_(self._keep_rows, self._keep_columns)]
        # Each column of positive frequencies stands for two; that of zero holds both.
        self.counts = np.where(self._columns == 0, 1.0, 2.0)
        self.period = 1 / min(high, float(frequency[self.is_used].max()))
        self.grid_shape = tuple(
            fft.next_fast_len(
                max(int(np.ceil(_FINENESS * edge / self.period)), 2 * int(np.abs(index).max()) + 2)
            )
            for edge, index in zip(edges, (self._rows, self._columns), strict=True)
        )
        self._grid_steps = edges / self.grid_shape
        self._window = [_hann(n) for n in shape]

    def _is_counted(self, rows: IntArray, columns: IntArray) -> BoolArray:
        """Leave out the Nyquist frequencies, which have no partner."""
        is_row, is_column = (
            2 * np.abs(index) < n for index, n in zip((rows, columns), self.shape, strict=True)
        )
        inner: BoolArray = is_row[self._keep_rows][:, None] & is_column[self._keep_columns]
        return inner

    def transform(self, frame: ArrayLike) -> Spectrum:
        """Even out, window and transform a frame.

        Raises
        ------
        ValueError
            If `frame` is not a finite image of the grid's shape.
        """
        image = as_image(frame, "frame")
        if image.shape != self.shape:
            raise ValueError(f"frames must all have the shape {self.shape}, got {image.shape}")
        even = normalise(_without_spikes(normalise(image, self._background)), self._background)
        even *= self._window[0][:, None]
        even *= self._window[1]
        spectrum = fft.rfft2(even, workers=1)
        power = _ring_means(np.abs(spectrum) ** 2, self._all_rings)
        values = spectrum[np.ix_(self._keep_rows, self._keep_columns)]
        return Spectrum(values * self.is_used, power, _signal(power))

    def correlate(self, terms: ComplexArray) -> Float32Array:
        """Return the sum of turned terms on a grid of displacements, `grid_shape`."""
        padded = np.zeros((self.grid_shape[0], self.grid_shape[1] // 2 + 1), np.complex64)
        padded[np.ix_(self._rows % self.grid_shape[0], self._columns)] = terms
        correlation = fft.irfft2(padded, s=self.grid_shape, workers=1, norm="forward")
        return np.asarray(correlation, dtype=np.float32)

    def displacements(self) -> tuple[FloatArray, FloatArray]:
        """Return the displacements along y and x of the rows and columns of a correlation [Å]."""
        dy, dx = (
            np.fft.fftfreq(n, 1 / n) * step for n, step in zip(self.grid_shape, self._grid_steps, strict=True)
        )
        return dy, dx


def measure_displacement(
    grid: SpectralGrid, first: Spectrum, second: Spectrum, *, circle: Circle, parameters: DriftParameters
) -> Displacement:
    """Measure by how much a frame is displaced against another.

    The peak of the correlation of the phases, each weighted by how much of its ring of frequencies is
    signal, says which displacement it is: all that is not periodic counts as much as the lattice. Where it is
    too low, as with a perfect crystal, the cross-correlation is asked instead, in which strong frequencies
    count more; its peak also gives the fraction of a pixel.

    Parameters
    ----------
    grid
        Frequencies of both frames.
    first, second
        Frames.
    circle
        Where the displacement is looked for.
    parameters
        When a peak is significant, and when others are nearly as high.

    Returns
    -------
    Displacement
        Of the second against the first frame.

    References
    ----------
    Kuglin and Hines, Proc. IEEE Int. Conf. Cybernetics and Society (1975), 163: phase correlation.
    Guizar-Sicairos, Thurman and Fienup, Opt. Lett. 33, 156 (2008), doi:10.1364/OL.33.000156: refinement by
    evaluating the Fourier sum between the grid points.
    """
    cross = second.values * first.values.conj()
    signal = np.sqrt(first.signal * second.signal)[grid.rings] * grid.is_used
    phases = cross * (signal / np.maximum(np.abs(cross), np.finfo(np.float32).tiny))
    strong = cross * signal
    peak = _highest(grid, phases, circle, parameters.max_ambiguity, _DECISIVE)
    is_significant = peak.significance >= parameters.min_significance
    if not is_significant:
        other = _highest(grid, strong, circle, parameters.max_ambiguity, 0.0)
        is_significant = other.correlation >= _LEAST_COHERENCE
        peak = other if is_significant else peak
    vector = _climb(grid, strong, peak.vector)
    error = _error(grid, strong, vector)
    is_significant = is_significant and bool(np.isfinite(error))
    return Displacement(vector, error, peak.correlation, is_significant, peak.is_unique)


def _highest(
    grid: SpectralGrid, terms: ComplexArray, circle: Circle, max_ambiguity: float, margin: float
) -> _Peak:
    """Return the highest peak of a correlation within a circle."""
    weights = np.abs(terms)
    total = float((weights @ grid.counts).sum())
    places, heights = _peaks(grid, terms, circle)
    if not len(heights) or not total > 0 or heights.max() <= 0:
        return _Peak(circle.expected, 0.0, 0.0, False)
    noise = np.sqrt(_CORRELATED * float((weights**2 @ grid.counts).sum()))
    least = min(max_ambiguity * heights.max(), heights.max() - margin * noise)
    rivals = np.flatnonzero(heights >= least)
    chosen = rivals[np.argmin(np.hypot(*(places[rivals] - circle.expected).T))]
    height = float(heights[chosen])
    vector = _climb(grid, terms, places[chosen])
    return _Peak(vector, height / noise, height / total, len(rivals) == 1)


def _peaks(grid: SpectralGrid, terms: ComplexArray, circle: Circle) -> tuple[FloatArray, FloatArray]:
    """Return the maxima (N, 2) of the correlation within a circle and their heights."""
    (centre, radius, _), correlation = circle, grid.correlate(terms)
    dy, dx = grid.displacements()
    rows, columns = (
        np.flatnonzero(np.abs(place - middle) <= radius)
        for place, middle in ((dy, centre[1]), (dx, centre[0]))
    )
    wide = [_with_neighbours(index, n) for index, n in zip((rows, columns), grid.grid_shape, strict=True)]
    around = correlation[np.ix_(*wide)]
    is_maximum = around >= maximum_filter(around, 3, mode="nearest")
    inside = np.hypot(dy[wide[0]][:, None] - centre[1], dx[wide[1]] - centre[0]) <= radius
    found = np.argwhere(is_maximum & inside)
    places = np.column_stack([dx[wide[1]][found[:, 1]], dy[wide[0]][found[:, 0]]])
    return places, around[found[:, 0], found[:, 1]].astype(np.float64)


def _with_neighbours(index: IntArray, n: int) -> IntArray:
    """Return indices on a ring of `n` with those beside them, in the order of the displacements."""
    signed = np.where(index < (n + 1) // 2, index, index - n)
    if not len(signed):
        return signed
    return np.arange(max(signed.min() - 1, -(n // 2)), min(signed.max() + 1, (n - 1) // 2) + 1) % n


def _climb(grid: SpectralGrid, terms: ComplexArray, start: FloatArray) -> FloatArray:
    """Return the maximum of the correlation near `start` by Newton's method; `start` if there is none."""
    place, reach = start, _REACH * grid.period
    for _ in range(_N_NEWTON):
        gradient, curvature = _derivatives(grid, terms, place)
        if not (curvature[0, 0] < 0 and np.linalg.det(curvature) > 0):
            return start
        step = -np.linalg.solve(curvature, gradient)
        place = place + step
        if not np.hypot(*(place - start)) <= reach:
            return start
        if np.abs(step).max() < _STEP_TOLERANCE:
            break
    return place


def _turned(grid: SpectralGrid, terms: ComplexArray, place: FloatArray) -> ComplexArray:
    """Return the terms when the second frame is moved back by `place`."""
    rows, columns = (
        np.exp(2j * np.pi * q * d).astype(np.complex64) for q, d in ((grid.qy, place[1]), (grid.qx, place[0]))
    )
    return terms * rows[:, None] * columns


def _derivatives(grid: SpectralGrid, terms: ComplexArray, place: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the gradient (2,) and the second derivatives (2, 2) of the correlation, x then y."""
    turned = _turned(grid, terms, place) * grid.counts
    odd, even = turned.imag.astype(np.float64), turned.real.astype(np.float64)
    qx, qy = 2 * np.pi * grid.qx, 2 * np.pi * grid.qy
    gradient = -np.array([odd.sum(axis=0) @ qx, odd.sum(axis=1) @ qy])
    mixed = qy @ even @ qx
    curvature = -np.array([[even.sum(axis=0) @ qx**2, mixed], [mixed, even.sum(axis=1) @ qy**2]])
    return gradient, curvature


def _error(grid: SpectralGrid, terms: ComplexArray, place: FloatArray) -> float:
    """Return the standard deviation per axis that the scatter of the phases leaves [Å]."""
    _, curvature = _derivatives(grid, terms, place)
    scatter = (_turned(grid, terms, place).imag.astype(np.float64) * grid.counts) ** 2
    qx, qy = 2 * np.pi * grid.qx, 2 * np.pi * grid.qy
    mixed = qy @ scatter @ qx
    slopes = np.array([[scatter.sum(axis=0) @ qx**2, mixed], [mixed, scatter.sum(axis=1) @ qy**2]])
    if not np.linalg.det(curvature) > 0:
        return np.inf
    inverse = np.linalg.inv(curvature)
    return float(np.sqrt(_CORRELATED * np.trace(inverse @ slopes @ inverse) / 2))


def _without_spikes(image: Float32Array) -> Float32Array:
    """Cut hot pixels and X-ray events, which would raise the local standard deviation as well."""
    limit = _BRIGHTEST * 1.4826 * float(np.median(np.abs(image[::_THINNING, ::_THINNING])))
    return np.clip(image, -limit, limit)


def _hann(n: int) -> Float32Array:
    """Return a window that falls to nothing half a pixel outside of both ends, (n,)."""
    return np.asarray(np.sin(np.pi * (np.arange(n) + 0.5) / n) ** 2, dtype=np.float32)


def _rings(qy: FloatArray, qx: FloatArray, width: float) -> IntArray:
    """Return the ring of each frequency."""
    return (np.hypot(qy[:, None], qx) / width).astype(np.int64)


def _ring_means(values: Float32Array, rings: IntArray) -> FloatArray:
    """Return the mean of each ring."""
    sums = np.bincount(rings.ravel(), weights=values.ravel())
    return np.asarray(sums / np.maximum(np.bincount(rings.ravel()), 1))


def _signal(power: FloatArray) -> FloatArray:
    """Return the part of the power above that of the noise, which is all there is in the weakest rings."""
    inner = power[: max(int(0.7 * len(power)), 1)]  # further rings lie in the corners only
    floor = float(np.quantile(inner, _FLOOR_QUANTILE))
    return np.clip(1 - floor / np.maximum(power, np.finfo(np.float32).tiny), 0.0, 1.0)
