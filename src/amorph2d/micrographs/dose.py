"""The dose of a micrograph, from its own shot noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, FloatArray, as_image
from amorph2d.imaging.detector import modulation_transfer
from amorph2d.units import Sampling, as_sampling

SPECIMEN_LIMIT = 1.4
"""Spatial frequency [1/Å] above which an image of light atoms holds noise only."""

_TILE = 256
_MAX_TILES = 36
_BINS = 24
_MIN_BINS = 5
_MIN_PER_BIN = 50
_MAX_CONTRAST = 0.3
_MAX_EXTRAPOLATION = 20.0
# Relative error of the median of exponential powers, whose window ties neighbouring frequencies together.
_CORRELATION = 1.6
# Floor, log width and exponent of a camera's transfer, and how far cameras differ; they hold what the
# spectrum leaves open.
_USUAL = np.array([0.05, np.log(0.5), 2.5])
_SPREAD = np.array([0.1, 0.7, 0.7])


@dataclass(frozen=True)
class NoiseSpectrum:
    """Noise power per pixel by frequency.

    Attributes
    ----------
    frequency
        In Nyquist frequencies, (bins,).
    level
        Power, in the square of the image's unit, (bins,).
    error
        Relative standard error of `level`, (bins,).
    """

    frequency: FloatArray
    level: FloatArray
    error: FloatArray


def estimate_dose(image: ArrayLike, sampling: Sampling) -> float:
    """Estimate the dose of an image from its shot noise.

    The variance of N electrons is N: with the gain g, signal gN and noise power g²N, the square of the mean
    over the noise power is N, whatever the gain. Above `SPECIMEN_LIMIT` the spectrum is noise, shaped by the
    camera's modulation transfer; a model of the transfer carries it on to zero frequency, where it is 1.

    This assumes that the intensities are proportional to electrons: dark level subtracted, no contrast
    stretch (as in 8-bit pictures for display), no filter or resampling, and a camera whose shot noise
    outweighs its read-out noise and passes through the same transfer as the signal.

    Parameters
    ----------
    image
        Intensities in any unit, (rows, columns).
    sampling
        Along y and x [Å/px].

    Returns
    -------
    float
        Dose per area [e⁻/Å²]; NaN where the image cannot tell: a mean that is not positive, a contrast
        beyond 30 % (a black level was subtracted), pixels too coarse to see beyond the specimen, or a
        spectrum unlike a camera's (filtered).

    References
    ----------
    W. Van den Broek, S. Van Aert and D. Van Dyck, Microsc. Microanal. 18, 336 (2012),
    doi:10.1017/S1431927611012633, for the model of the modulation transfer.
    """
    array = as_image(image)
    step_y, step_x = as_sampling(sampling)
    mean = float(array.mean(dtype=np.float64))
    if mean <= 0:
        return float("nan")
    noise = _noise_spectrum(array, step_y, step_x)
    if len(noise.level) < _MIN_BINS or noise.level.min() <= 0:
        return float("nan")
    at_zero = _at_zero_frequency(noise)
    variance = float(array.var(dtype=np.float64))
    # Beyond the noise, the variance is the specimen's contrast: a few per cent for a single layer.
    if not variance - noise.level.max() < (_MAX_CONTRAST * mean) ** 2:
        return float("nan")
    return mean**2 / at_zero / (step_y * step_x)


def _tiles(image: Float32Array, side: tuple[int, int]) -> list[Float32Array]:
    """Up to `_MAX_TILES` tiles spread over an image."""
    rows, columns = (np.arange(0, n - step + 1, step) for n, step in zip(image.shape, side, strict=True))
    corners = [(row, column) for row in rows for column in columns]
    chosen = np.unique(np.linspace(0, len(corners) - 1, _MAX_TILES).round().astype(int))
    return [image[r : r + side[0], c : c + side[1]] for r, c in (corners[k] for k in chosen)]


def _noise_spectrum(image: Float32Array, step_y: float, step_x: float) -> NoiseSpectrum:
    """Noise power in rings of frequency beyond the specimen's."""
    side = (min(_TILE, image.shape[0]), min(_TILE, image.shape[1]))
    # The window keeps strong low frequencies from leaking into the noise.
    window = np.hanning(side[0] + 2)[1:-1, None] * np.hanning(side[1] + 2)[None, 1:-1]
    spectra = [np.abs(np.fft.rfft2((tile - tile.mean()) * window)) ** 2 for tile in _tiles(image, side)]
    power = np.mean(spectra, axis=0) / (window**2).sum()
    y, x = np.fft.fftfreq(side[0])[:, None], np.fft.rfftfreq(side[1])[None, :]
    beyond = np.hypot(y / step_y, x / step_x) > SPECIMEN_LIMIT
    frequency, power = 2 * np.hypot(y, x)[beyond], power[beyond]
    ring = np.digitize(frequency, np.linspace(0, np.sqrt(2), _BINS + 1))
    kept = [k for k in np.unique(ring) if np.count_nonzero(ring == k) >= _MIN_PER_BIN]
    counts = np.array([np.count_nonzero(ring == k) for k in kept])
    # The median is blind to Bragg peaks; power averaged over n tiles follows a gamma distribution of shape n.
    to_mean = len(spectra) / _gamma_median(len(spectra))
    return NoiseSpectrum(
        frequency=np.array([frequency[ring == k].mean() for k in kept]),
        level=to_mean * np.array([np.median(power[ring == k]) for k in kept]),
        error=_CORRELATION / np.sqrt(counts * len(spectra)),
    )


def _gamma_median(n: int) -> float:
    """Median of the gamma distribution of shape `n`."""
    from scipy.special import gammaincinv

    return float(gammaincinv(n, 0.5))


def _at_zero_frequency(noise: NoiseSpectrum) -> float:
    """Noise power carried on to zero frequency, or NaN where the spectrum is not a camera's."""
    from scipy.optimize import least_squares

    error = np.hypot(noise.error, 0.02)

    def model(p: FloatArray) -> FloatArray:
        return p[0] + 2 * np.log(
            modulation_transfer(noise.frequency, floor=p[1], width=np.exp(p[2]), exponent=p[3])
        )

    def misfit(p: FloatArray) -> FloatArray:
        return np.append((model(p) - np.log(noise.level)) / error, (p[1:] - _USUAL) / _SPREAD)

    bounds = ([-np.inf, 0.0, -2.5, 1.0], [np.inf, 1.0, 2.0, 5.0])
    fit = least_squares(misfit, [np.log(noise.level.max()), *_USUAL], bounds=bounds)
    deviation = float(np.sqrt(np.mean((model(fit.x) - np.log(noise.level)) ** 2)))
    at_zero = float(np.exp(fit.x[0]))
    is_camera = deviation < 0.1 + 2 * error.mean() and at_zero < _MAX_EXTRAPOLATION * noise.level.max()
    return at_zero if is_camera else float("nan")
