"""How far an image and its twin differ, and where by more than noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from amorph2d.arrays import BoolArray, Float32Array, FloatArray
from amorph2d.imaging.scattering import CARBON, projected_scattering_factor
from amorph2d.micrographs.dose import SPECIMEN_LIMIT, estimate_dose
from amorph2d.twin.optics import FittedOptics, linear_transfer

SITE_REACH = 0.7  # standard deviation of the Gaussian about a site over which its misfit is averaged [Å]
STEP = 0.5  # of the blocks of the map of the misfit, in units of their width
NOISE_BAND = 0.4  # width of the frequencies just beyond the specimen's from which noise is taken [1/Å]
CLIPPED = 8.0  # standard deviations
QUARTILES = 1.349  # their distance in standard deviations of a normal variate
MEDIAN_SQUARE = 0.455  # of a standard normal variate


@dataclass(frozen=True)
class Noise:
    """Noise of an image.

    Attributes
    ----------
    at_zero, at_limit
        Power per pixel at frequency zero and at the specimen's limit; between them its logarithm changes
        with the square of the frequency.
    variance
        Of a pixel, all frequencies together.
    """

    at_zero: float
    at_limit: float
    variance: float

    def power(self, q2: FloatArray) -> FloatArray:
        """Return the power per pixel at squared frequencies [1/Å²]."""
        slope = np.log(self.at_limit / self.at_zero) / SPECIMEN_LIMIT**2
        return self.at_zero * np.exp(np.minimum(slope, 0) * q2)


def measure_noise(residual: Float32Array, sampling: tuple[float, float]) -> Noise | None:
    """Return the noise of an image without its specimen; None where the image does not show it alone.

    It is what the image holds beyond the frequencies of the specimen, carried on to lower ones by the model
    of a camera, see `amorph2d.micrographs.dose.estimate_dose`.
    """
    spread = float(residual.std(dtype=np.float64))
    mean = 100 * spread  # any mean does: without contrast, only its ratio to the noise is asked for
    dose = (
        estimate_dose(residual - residual.mean(dtype=np.float64) + mean, sampling) if spread > 0 else np.nan
    )
    if not np.isfinite(dose):
        return None
    at_zero = mean**2 / (dose * sampling[0] * sampling[1])
    window = np.hanning(residual.shape[0])[:, None] * np.hanning(residual.shape[1])[None, :]
    power = np.abs(fft.rfft2(residual * window.astype(np.float32), workers=1)) ** 2 / (window**2).sum()
    q2 = _squared_frequencies(residual.shape, sampling)
    is_beyond = q2 > SPECIMEN_LIMIT**2
    near = power[is_beyond & (q2 < (SPECIMEN_LIMIT + NOISE_BAND) ** 2)]
    # The median of an exponential distribution, blind to what is left of a crystal's reflections.
    noise = Noise(at_zero, min(float(np.median(near)) / np.log(2), at_zero), 0.0)
    twice = _weights_of_half(power.shape, residual.shape[1])
    variance = float((np.where(is_beyond, power, noise.power(q2)) * twice).sum() / residual.size)
    return replace(noise, variance=variance)


def clipped(values: Float32Array, where: BoolArray) -> Float32Array:
    """Return `values` with what only faulty pixels and X-rays reach cut off.

    The limits are 8 standard deviations about the median, both from the quartiles of the pixels `where`.
    """
    if not where.any():
        return values
    low, middle, high = np.percentile(values[where], (25, 50, 75))
    reach = CLIPPED * (high - low) / QUARTILES
    return np.clip(values, np.float32(middle - reach), np.float32(middle + reach))


def deviation_map(
    residual: Float32Array,
    is_compared: BoolArray,
    fitted: FittedOptics,
    noise: Noise | None,
    sampling: tuple[float, float],
) -> Float32Array:
    """Return what each place of a residual holds of an atom's image, in standard deviations of the noise.

    The residual is correlated with the image of a single atom: among linear filters the one that best tells
    an atom too many or too few from white noise.

    Parameters
    ----------
    residual
        Image less its twin; 0 where nothing is known, (rows, columns).
    is_compared
        Where a typical deviation is taken from, if the noise is not known, (rows, columns).
    fitted
        Optics that make the image of an atom.
    noise
        Noise of the image; None: the result is in units of a typical deviation.
    sampling
        Along y and x [Å/px].

    References
    ----------
    S. M. Kay, Fundamentals of Statistical Signal Processing: Detection Theory (1998), chapter 4.
    """
    shape = tuple(fft.next_fast_len(n, real=True) for n in residual.shape)
    qy, qx = fft.fftfreq(shape[0], sampling[0])[:, None], fft.rfftfreq(shape[1], sampling[1])[None, :]
    q2 = _squared_frequencies(shape, sampling)
    kernel = linear_transfer(qx, qy, fitted) * _atom_phase(q2, fitted.optics.energy)
    kernel[q2 > SPECIMEN_LIMIT**2] = 0
    spectrum = fft.rfft2(residual, shape, workers=1) * kernel.conj().astype(np.complex64)
    found: Float32Array = fft.irfft2(spectrum, shape, workers=1, overwrite_x=True)
    found = found[: residual.shape[0], : residual.shape[1]]
    if noise is None:
        expected = float(np.median(found[is_compared] ** 2)) / MEDIAN_SQUARE
    else:
        power = noise.power(q2) * np.abs(kernel) ** 2
        expected = float((power * _weights_of_half(power.shape, shape[1])).sum() / np.prod(shape))
    return np.asarray(found / np.float32(np.sqrt(expected if expected > 0 else 1.0)))


def misfit_map(
    deviation: Float32Array, is_compared: BoolArray, sampling: tuple[float, float], *, block: float
) -> tuple[Float32Array, tuple[float, float]]:
    """Return the mean square deviation in blocks, and their sampling (y, x) [Å].

    Blocks overlap by half their width. NaN where nothing of a block is compared.
    """
    width = [max(round(block / step), 1) for step in sampling]
    stride = [max(round(STEP * block / step), 1) for step in sampling]
    share = ndimage.uniform_filter(is_compared.astype(np.float32), width, mode="constant")
    square = ndimage.uniform_filter(np.where(is_compared, deviation**2, 0), width, mode="constant")
    share, square = share[:: stride[0], :: stride[1]], square[:: stride[0], :: stride[1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        misfit = np.where(share > 0.1, square / share, np.nan).astype(np.float32)
    return misfit, (stride[0] * sampling[0], stride[1] * sampling[1])


def site_misfit(
    deviation: Float32Array, is_compared: BoolArray, pixels: FloatArray, sampling: tuple[float, float]
) -> Float32Array:
    """Return the mean square deviation about sites, (N,); NaN where nothing is compared.

    Parameters
    ----------
    deviation, is_compared
        Deviation and where it counts, (rows, columns).
    pixels
        Row and column of each site, (N, 2) [px].
    sampling
        Along y and x [Å/px].
    """
    sigma = (SITE_REACH / sampling[0], SITE_REACH / sampling[1])
    share = _smoothed(is_compared.astype(np.float32), sigma)
    square = _smoothed(np.where(is_compared, deviation**2, np.float32(0)), sigma)
    found = np.full(len(pixels), np.nan, dtype=np.float32)
    nearest = np.rint(pixels).astype(np.int64)
    is_inside = ((nearest >= 0) & (nearest < deviation.shape)).all(axis=1)
    rows, columns = nearest[is_inside].T
    counts = is_compared[rows, columns]
    found[np.flatnonzero(is_inside)[counts]] = (square / np.maximum(share, np.float32(1e-3)))[rows, columns][
        counts
    ]
    return found


def _smoothed(values: Float32Array, sigma: tuple[float, float]) -> Float32Array:
    """Under a Gaussian; beyond the edges the image goes on as at them."""
    result: Float32Array = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3.0)
    return result


def _weights_of_half(shape: tuple[int, ...], n_columns: int) -> FloatArray:
    """How often each frequency of `scipy.fft.rfft2` stands in the whole plane, (columns,)."""
    twice = np.full(shape[1], 2.0)
    twice[0] = 1.0
    if n_columns % 2 == 0:
        twice[-1] = 1.0
    return twice


def _squared_frequencies(shape: tuple[int, ...], sampling: tuple[float, float]) -> FloatArray:
    """Squared frequencies of `scipy.fft.rfft2` [1/Å²]."""
    qy, qx = fft.fftfreq(shape[0], sampling[0])[:, None], fft.rfftfreq(shape[1], sampling[1])[None, :]
    return np.asarray(qy**2 + qx**2)


def _atom_phase(q2: FloatArray, energy: float) -> NDArray[np.float64]:
    """Spectrum of the phase that an atom of carbon shifts, at squared frequencies [rad Å²]."""
    from abtem.core.energy import energy2sigma

    return np.asarray(energy2sigma(energy) * projected_scattering_factor(CARBON)(q2), dtype=np.float64)
