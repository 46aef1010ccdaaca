"""Radial power spectra of micrographs, and the noise in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, FloatArray, as_image
from amorph2d.imaging.detector import modulation_transfer
from amorph2d.units import Sampling, as_sampling

SIDE = 512
"""Largest side of the window that a spectrum is taken in [px]; larger images have several windows."""

_LEAST_SIDE = 32
_MAX_TILES = 36
_RING_WIDTH = 1.5  # in units of the frequency step of the window
_LEAST_IN_RING = 12
_LEAST_RINGS = 8
_TURNS = 5  # of fitting the noise and finding where it dominates
_CORRELATION = 1.6  # the window ties neighbouring frequencies together
_CHANCE = 1e-6  # at which noise alone is taken for a Bragg peak in a ring
_SIGNIFICANT = 4.0  # standard errors above the noise that count as signal
_MODEL_ERROR = 0.06  # relative error of the noise model, beyond its statistics
_BEYOND = 1.0  # frequency above which the first fit of the noise starts [1/Å]
_SPECIMEN = 1.6  # frequency beyond which light atoms leave no signal in any microscope of today [1/Å]
_RELEVANT = 2.5  # highest frequency that matters where the noise is not a camera's [1/Å]
_UNLIKE = 0.3  # deviation beyond which a spectrum is not a camera's
_LEAST_LEFT = 0.25  # share of the frequencies, up to the corner, that the noise is fitted to at least
# Floor, log width and exponent of a camera's transfer, and how far cameras differ; they hold what the
# spectrum leaves open.
_USUAL = np.array([0.05, np.log(0.5), 2.5])
_SPREAD = np.array([0.1, 0.7, 0.7])


@dataclass(frozen=True, eq=False)
class RadialSpectrum:
    """Power spectral density by frequency, averaged over directions.

    The integral of `mean` over the plane of frequencies is the variance of the image, whatever its pixels.

    Attributes
    ----------
    frequency
        Centres of the rings, ascending, (K,) [1/Å].
    mean
        Mean density in each ring, (K,) [Å² × square of the image's unit].
    typical
        Density of the noise-like part of each ring, from its median: blind to Bragg peaks, (K,).
    peak
        Largest density in each ring, (K,).
    count
        Independent values behind each ring, (K,).
    n_windows
        Windows that were averaged.
    """

    frequency: FloatArray
    mean: FloatArray
    typical: FloatArray
    peak: FloatArray
    count: FloatArray
    n_windows: int

    @property
    def error(self) -> FloatArray:
        """Relative standard error of `typical`, (K,)."""
        return _CORRELATION / np.sqrt(self.count)


@dataclass(frozen=True)
class Noise:
    """Noise of an image and how far the signal reaches beyond it.

    Attributes
    ----------
    density
        Spectral density of the noise carried on to zero frequency [Å² × square of the image's unit]; NaN
        where the spectrum beyond the signal is too short.
    floor, width, exponent
        Shape of the transfer that colours the noise, as in `modulation_transfer`.
    deviation
        Root mean square of log(measured / model) where the noise dominates.
    information_limit
        Highest frequency at which signal stands above the noise [1/Å]; NaN where there is none.
    is_camera
        Whether the whole spectrum is that of a camera's shot noise; one that is not belongs to an image that
        was filtered or resampled, and the model then holds up to 2.5 1/Å only.
    """

    density: float
    floor: float
    width: float
    exponent: float
    deviation: float
    information_limit: float
    is_camera: bool

    def at(self, frequency: ArrayLike, sampling: float) -> FloatArray:
        """Return the density of the noise at `frequency` [1/Å] for pixels of `sampling` [Å/px]."""
        transfer = modulation_transfer(
            2 * sampling * np.asarray(frequency, dtype=np.float64),
            floor=self.floor,
            width=self.width,
            exponent=self.exponent,
        )
        return self.density * transfer**2


_NAN = float("nan")
_UNKNOWN = Noise(_NAN, _NAN, _NAN, _NAN, _NAN, _NAN, is_camera=False)


def radial_spectrum(
    image: ArrayLike,
    sampling: Sampling,
    *,
    weights: ArrayLike | None = None,
    field: float | None = None,
    width: float | None = None,
) -> RadialSpectrum:
    """Measure the radial power spectrum of an image.

    Parameters
    ----------
    image
        Intensities, (rows, columns), at least 32 px a side; the mean of each window is taken off.
    sampling
        Along y and x [Å/px].
    weights
        How much each pixel counts, 0 … 1, (rows, columns), smooth; None: all alike.
    field
        Side of the windows that are averaged, which sets how sharp peaks are [Å]; None: 512 px.
    width
        Width of the rings, the first of which begins at 0 [1/Å]; None: as narrow as the windows allow.

    Returns
    -------
    RadialSpectrum
        Rings from the lowest frequency but two up to the corner of the plane of frequencies.

    Raises
    ------
    ValueError
        If the image is too small, the shapes differ or no pixel counts.
    """
    array, steps = as_image(image), as_sampling(sampling)
    if min(array.shape) < _LEAST_SIDE:
        raise ValueError(f"image must be at least {_LEAST_SIDE} px a side, got {array.shape}")
    share = np.ones(array.shape, np.float32) if weights is None else as_image(weights, "weights")
    if share.shape != array.shape:
        raise ValueError(f"weights must have the image's shape {array.shape}, got {share.shape}")
    most = [SIDE if field is None else max(round(field / step), _LEAST_SIDE) for step in steps]
    side = (min(most[0], array.shape[0]), min(most[1], array.shape[1]))
    window = np.hanning(side[0] + 2)[1:-1, None] * np.hanning(side[1] + 2)[None, 1:-1]
    power, n_windows = _mean_power(array, share, window)
    y, x = np.fft.fftfreq(side[0], steps[0])[:, None], np.fft.rfftfreq(side[1], steps[1])[None, :]
    step = max(1 / (side[0] * steps[0]), 1 / (side[1] * steps[1]))
    return _rings(np.hypot(y, x), steps[0] * steps[1] * power, width or _RING_WIDTH * step, n_windows)


def _mean_power(image: Float32Array, share: Float32Array, window: FloatArray) -> tuple[FloatArray, int]:
    """Average the power of windows spread over an image, those that count most, and their number."""
    rows, columns = (
        np.linspace(0, n - side, max(round(n / side), 1)).round().astype(int)
        for n, side in zip(image.shape, window.shape, strict=True)
    )
    cells = [np.s_[r : r + window.shape[0], c : c + window.shape[1]] for r in rows for c in columns]
    energy = np.array([float(((share[cell] * window) ** 2).sum()) for cell in cells])
    if not energy.max() > 0:
        raise ValueError("weights must be > 0 somewhere away from the edges, got 0 everywhere")
    kept = [k for k in np.argsort(-energy, kind="stable")[:_MAX_TILES] if energy[k] > 0.25 * energy.max()]
    power = sum(_power(image[cells[k]], share[cells[k]] * window) for k in kept)
    return np.asarray(power) / energy[kept].sum(), len(kept)


def _power(tile: Float32Array, weights: FloatArray) -> FloatArray:
    """Power of a tile under a window, its weighted mean taken off."""
    mean = float((tile * weights).sum() / weights.sum())
    return np.abs(np.fft.rfft2((tile - mean) * weights)) ** 2


def _rings(frequency: FloatArray, density: FloatArray, width: float, n_windows: int) -> RadialSpectrum:
    """Sort the plane of frequencies into rings."""
    from scipy.special import gammaincinv

    ring = (frequency / width).astype(int).ravel()
    order = np.argsort(ring, kind="stable")
    starts = np.searchsorted(ring[order], np.arange(1, ring.max() + 2))
    values, distance = density.ravel()[order], frequency.ravel()[order]
    slices = [slice(a, b) for a, b in pairwise(starts) if b - a >= _LEAST_IN_RING]
    # The median is blind to Bragg peaks; power averaged over n windows has a gamma distribution of shape n.
    to_mean = n_windows / float(gammaincinv(n_windows, 0.5))
    return RadialSpectrum(
        frequency=np.array([distance[s].mean() for s in slices]),
        mean=np.array([values[s].mean() for s in slices]),
        typical=to_mean * np.array([np.median(values[s]) for s in slices]),
        peak=np.array([values[s].max() for s in slices]),
        count=np.array([float(s.stop - s.start) * n_windows for s in slices]),
        n_windows=n_windows,
    )


def separate_noise(spectrum: RadialSpectrum, sampling: float) -> Noise:
    """Fit the noise of a spectrum where it dominates, and find how far the signal reaches.

    The noise is taken for shot noise behind a camera's modulation transfer, fitted to the rings beyond the
    signal. Where the signal reaches is found from that fit, so both are repeated until they agree.

    Parameters
    ----------
    spectrum
        Spectrum of the clean part of an image.
    sampling
        Pixel size, geometric mean of both directions [Å/px].

    Returns
    -------
    Noise
        Level and shape of the noise, and the information limit.

    References
    ----------
    W. Van den Broek, S. Van Aert and D. Van Dyck, Microsc. Microanal. 18, 336 (2012),
    doi:10.1017/S1431927611012633, for the model of the modulation transfer.
    """
    noise = _agree(spectrum, sampling)
    is_camera = noise.deviation < _UNLIKE
    if not is_camera and spectrum.frequency[-1] > _RELEVANT:
        noise = _agree(_up_to(spectrum, _RELEVANT), sampling)
    return replace(noise, is_camera=is_camera)


def _up_to(spectrum: RadialSpectrum, highest: float) -> RadialSpectrum:
    """Return the rings up to a frequency."""
    n = int(np.searchsorted(spectrum.frequency, highest, side="right"))
    names = ("frequency", "mean", "typical", "peak", "count")
    return replace(spectrum, **{name: getattr(spectrum, name)[:n] for name in names})


def _agree(spectrum: RadialSpectrum, sampling: float) -> Noise:
    """Fit the noise and find the information limit in turns."""
    latest = (1 - _LEAST_LEFT) * float(spectrum.frequency[-1])
    start = min(_BEYOND, latest)
    for _ in range(_TURNS):
        noise = _fit_noise(spectrum, sampling, start)
        limit = _information_limit(spectrum, noise, sampling)
        again = min(1.08 * limit if np.isfinite(limit) else start, latest)
        if abs(again - start) < 0.02:
            break
        start = again
    return replace(noise, information_limit=limit)


def _fit_noise(spectrum: RadialSpectrum, sampling: float, start: float) -> Noise:
    """Fit level and transfer of the noise to the rings above `start`."""
    from scipy.optimize import least_squares

    kept = (spectrum.frequency >= start) & (spectrum.typical > 0)
    if np.count_nonzero(kept) < _LEAST_RINGS:
        return _UNKNOWN
    frequency, level = 2 * sampling * spectrum.frequency[kept], np.log(spectrum.typical[kept])
    error = np.hypot(spectrum.error[kept], _MODEL_ERROR)

    def model(p: FloatArray) -> FloatArray:
        transfer = modulation_transfer(frequency, floor=p[1], width=float(np.exp(p[2])), exponent=p[3])
        return np.asarray(p[0] + 2 * np.log(transfer))

    def misfit(p: FloatArray) -> FloatArray:
        return np.append((model(p) - level) / error, (p[1:] - _USUAL) / _SPREAD)

    bounds = ([-np.inf, 0.0, -2.5, 1.0], [np.inf, 1.0, 2.0, 5.0])
    # A soft loss: single rings may hold what is left of a Bragg peak.
    fit = least_squares(misfit, [level.max(), *_USUAL], bounds=bounds, loss="soft_l1")
    deviation = float(np.sqrt(np.mean((model(fit.x) - level) ** 2)))
    return Noise(
        density=float(np.exp(fit.x[0])),
        floor=float(fit.x[1]),
        width=float(np.exp(fit.x[2])),
        exponent=float(fit.x[3]),
        deviation=deviation,
        information_limit=float("nan"),
        is_camera=False,
    )


def _information_limit(spectrum: RadialSpectrum, noise: Noise, sampling: float) -> float:
    """Highest frequency of a ring above the noise, as a whole with its neighbour or by a Bragg peak."""
    from scipy.special import gammainccinv

    if not np.isfinite(noise.density):
        return float("nan")
    level = noise.at(spectrum.frequency, sampling)
    excess = (spectrum.typical / level - 1) / np.hypot(spectrum.error, _MODEL_ERROR)
    is_broad = excess > _SIGNIFICANT
    is_broad[:-1] &= is_broad[1:] | (excess[1:] > 0.5 * _SIGNIFICANT)
    # The largest of n values of mean 1 and gamma distribution exceeds this with the given chance.
    n = spectrum.n_windows
    beyond = gammainccinv(n, _CHANCE * n / np.maximum(spectrum.count, 1)) / n
    is_peak = spectrum.peak > beyond * np.maximum(level, spectrum.typical)
    is_possible = spectrum.frequency <= min(_SPECIMEN, 0.5 / sampling)
    reached = np.flatnonzero((is_broad | is_peak) & is_possible)
    return float(spectrum.frequency[reached[-1]]) if reached.size else float("nan")
