"""Under which conditions a micrograph was taken, as far as the image itself tells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray, as_image
from amorph2d.imaging.adaptation.clean import LEAST_RING, find_clean_area, ring_strength
from amorph2d.imaging.adaptation.illumination import flatten, measure_illumination
from amorph2d.imaging.adaptation.spectra import Noise, RadialSpectrum, radial_spectrum, separate_noise
from amorph2d.units import Sampling, as_sampling

Polarity = Literal["bright atoms", "dark atoms", "unknown"]
Depth = Literal[0, 8, 16]

_LATTICE_BAND = 0.45, 0.9  # widths of the Gaussians whose difference passes the first ring [Å]
_SKEW_BLOCK = 10.0  # side of the blocks for the error of the skewness [Å]
_SKEW_ERRORS = 3.0  # standard errors from which the polarity counts as known
_LEAST_SKEW_BLOCKS = 6
_LOWEST_SIGNAL = 0.12  # frequency from which structure counts as signal [1/Å]
_HIGHEST_SIGNAL = 1.2  # and up to which signal and noise are compared [1/Å]
_OUTLYING = 12.0  # spreads of the image from which a pixel is an outlier
_MAX_CONTRAST = 0.3  # beyond it, intensities are not proportional to electrons: a level was subtracted
_MAX_EXTRAPOLATION = 20.0


@dataclass(frozen=True)
class Conditions:
    """Conditions of a micrograph; NaN where the image does not tell.

    Attributes
    ----------
    sampling
        Pixel size, geometric mean of both directions [Å/px].
    dose_per_area
        Dose from the shot noise; NaN for 8-bit, filtered and background-subtracted images [e⁻/Å²].
    noise_density
        Spectral density of the noise at zero frequency, relative to the variance of the signal [Å²].
    mtf_floor, mtf_width, mtf_exponent
        Shape of the transfer that colours the noise, as in `modulation_transfer`, in units of the Nyquist
        frequency.
    noise_deviation
        Root mean square of log(noise measured / modelled).
    is_camera
        Whether the noise is a camera's; not so in images that were filtered or resampled.
    information_limit
        Highest frequency at which signal stands above the noise [1/Å].
    signal_share
        Share of the variance between 0.12 and 1.2 1/Å that is signal and not noise.
    contrast
        Standard deviation of the signal in the clean area relative to the mean; NaN where intensities are
        not proportional to electrons.
    skewness, skewness_error
        Skewness of the clean area around the first ring of a carbon sheet, and its standard error.
    polarity
        Whether atoms or ring centres are bright; "unknown" within three standard errors.
    polarity_confidence
        Probability that the sign of the skewness is not by chance, 0 … 1.
    ring_strength
        Density of the spectrum at the first ring of a carbon sheet relative to both sides of it.
    gradient_per_signal
        Linear change of the illumination across the image, peak to peak, in standard deviations of the
        signal: known even where intensities are not proportional to electrons.
    vignetting_per_signal
        Loss of illumination from the centre to the corners, in the same unit; < 0 where these are brighter.
    unevenness_per_signal
        Root mean square of what else varies slowly, in the same unit.
    illumination_error
        Standard error of `gradient_per_signal`, from the scatter of the blocks that it was fitted to.
    clean_share
        Share of the specimen that is a single layer.
    vacuum_share
        Share of the image that is vacuum.
    outliers
        Pixels far outside their neighbours: hot, dead or hit by X-rays [1/10⁶ px].
    bits
        Depth of a file that was stretched over it, 8 or 16; 0: counts as they are [bits].
    is_proportional
        Whether intensities can be proportional to electrons.
    energy
        Electron energy, where it is given [eV].
    """

    sampling: float
    dose_per_area: float
    noise_density: float
    mtf_floor: float
    mtf_width: float
    mtf_exponent: float
    noise_deviation: float
    is_camera: bool
    information_limit: float
    signal_share: float
    contrast: float
    skewness: float
    skewness_error: float
    polarity: Polarity
    polarity_confidence: float
    ring_strength: float
    gradient_per_signal: float
    vignetting_per_signal: float
    unevenness_per_signal: float
    illumination_error: float
    clean_share: float
    vacuum_share: float
    outliers: float
    bits: Depth
    is_proportional: bool
    energy: float

    @property
    def gradient(self) -> float:
        """Linear change of the illumination, peak to peak relative to its mean."""
        return self.gradient_per_signal * self.contrast

    @property
    def vignetting(self) -> float:
        """Loss of illumination at the corners, relative to the centre."""
        loss = self.vignetting_per_signal * self.contrast
        return loss / (1 + loss / 3)

    @property
    def unevenness(self) -> float:
        """Root mean square of what else varies slowly, relative to the mean."""
        return self.unevenness_per_signal * self.contrast


def measure_conditions(
    image: ArrayLike, *, sampling: Sampling, depth: Depth = 0, energy: float | None = None
) -> Conditions:
    """Measure the conditions of one micrograph.

    Parameters
    ----------
    image
        Intensities as stored, (rows, columns), at least 32 px a side.
    sampling
        Along y and x [Å/px].
    depth
        8 or 16 for a file whose values were stretched over so many bits, 0 for counts; see `stored_depth`.
    energy
        Electron energy, if known [eV]; the image does not tell it.

    Returns
    -------
    Conditions
        What could be measured.

    Raises
    ------
    ValueError
        If the image is too small or has no contrast.
    """
    array, steps = as_image(image), as_sampling(sampling)
    if array.min() == array.max():
        raise ValueError(f"image must have contrast, got {array.flat[0]:g} everywhere")
    size = math.sqrt(steps[0] * steps[1])
    area = find_clean_area(array, steps)
    counted = area.is_clean if area.is_clean.any() else np.ones_like(area.is_clean)
    light = measure_illumination(array, steps, counted)
    mean = float(array[counted].mean(dtype=np.float64))
    flat = flatten(array, light)
    spectrum = radial_spectrum(flat, steps, weights=area.weights(steps))
    noise = separate_noise(spectrum, size)
    signal, noisy = signal_and_noise(spectrum, noise, size)
    is_proportional = depth == 0 and mean > 0 and signal <= (_MAX_CONTRAST * mean) ** 2
    skewness, error = lattice_skewness(flat, steps, counted)
    strength = ring_strength(spectrum)
    polarity, confidence = _polarity(skewness, error, strength)
    per_signal = 1 / math.sqrt(signal) if signal > 0 else math.nan
    return Conditions(
        sampling=size,
        dose_per_area=_dose(spectrum, noise, mean) if is_proportional else math.nan,
        noise_density=noise.density * per_signal**2,
        mtf_floor=noise.floor,
        mtf_width=noise.width,
        mtf_exponent=noise.exponent,
        noise_deviation=noise.deviation,
        is_camera=noise.is_camera,
        information_limit=noise.information_limit,
        signal_share=signal / (signal + noisy) if signal + noisy > 0 else math.nan,
        contrast=math.sqrt(signal) / mean if is_proportional else math.nan,
        skewness=skewness,
        skewness_error=error,
        polarity=polarity,
        polarity_confidence=confidence,
        ring_strength=strength,
        gradient_per_signal=light.gradient * per_signal,
        vignetting_per_signal=light.vignetting * per_signal,
        unevenness_per_signal=light.unevenness * per_signal,
        illumination_error=light.error * per_signal,
        clean_share=area.share,
        vacuum_share=area.vacuum_share,
        outliers=1e6 * outlier_share(array),
        bits=depth,
        is_proportional=is_proportional,
        energy=math.nan if energy is None else float(energy),
    )


def stored_depth(image: ArrayLike, dtype: str) -> Depth:
    """Return over how many bits the values of a file were stretched; 0: counts as they are.

    Parameters
    ----------
    image
        Pixels, (rows, columns).
    dtype
        Type of the pixels in the file. Files of 8 bits are pictures; those of 16 bits were stretched where
        they use the range from 0 to 65535 at both ends.
    """
    if dtype == "uint8":
        return 8
    array = as_image(image)
    is_full = array.min() == 0 and array.max() >= 0.99 * np.iinfo(np.uint16).max
    return 16 if dtype == "uint16" and is_full else 0


def outlier_share(image: ArrayLike) -> float:
    """Return the share of the pixels that lie outside their neighbours by twelve spreads of the whole image.

    The spread is 1.48 times the median deviation from the median, so outliers do not widen it; structure,
    which spans several pixels, and noise lie within.
    """
    from scipy.ndimage import median_filter

    array = as_image(image)
    spread = 1.4826 * float(np.median(np.abs(array - np.median(array))))
    outside = np.abs(array - median_filter(array, 3, mode="mirror"))
    return float(np.mean(outside > _OUTLYING * spread)) if spread > 0 else 0.0


def signal_and_noise(spectrum: RadialSpectrum, noise: Noise, sampling: float) -> tuple[float, float]:
    """Return the variance of the signal and of the noise between 0.12 and 1.2 1/Å.

    Without a model of the noise all counts as noise.
    """
    inside = (spectrum.frequency >= _LOWEST_SIGNAL) & (spectrum.frequency <= _HIGHEST_SIGNAL)
    frequency, density = spectrum.frequency[inside], spectrum.mean[inside]
    if frequency.size < 2:
        return 0.0, 0.0
    measure = 2 * np.pi * frequency * np.gradient(frequency)
    if not math.isfinite(noise.density):
        return 0.0, float((density * measure).sum())
    level = noise.at(frequency, sampling)
    reached = frequency <= (noise.information_limit if math.isfinite(noise.information_limit) else 0.0)
    signal = float(((density - level) * measure)[reached].sum())
    return max(signal, 0.0), float((level * measure).sum())


def lattice_skewness(
    image: ArrayLike, sampling: Sampling, is_clean: BoolArray | None = None
) -> tuple[float, float]:
    """Measure the skewness of an image around the first ring of a carbon sheet, and its standard error.

    Each ring has two atoms' worth of corners to one centre. At the frequencies of the first ring, 0.47 1/Å,
    bright centres are few bright spots on a darker net and give a positive skewness; bright atoms give a
    negative one. For a crystal this is the invariant sum of three phases that does not depend on the origin.

    Parameters
    ----------
    image
        Image with an even background, (rows, columns).
    sampling
        Along y and x [Å/px].
    is_clean
        Pixels that count, (rows, columns); None: all.

    Returns
    -------
    tuple
        Skewness and the standard error from a jackknife over blocks; NaN with fewer than six blocks.
    """
    from scipy.ndimage import gaussian_filter

    array, steps = as_image(image), as_sampling(sampling)
    inner, outer = (
        gaussian_filter(array, [width / step for step in steps], mode="mirror") for width in _LATTICE_BAND
    )
    band = (inner - outer).astype(np.float64)
    counted = np.ones(array.shape, dtype=bool) if is_clean is None else is_clean
    side = [max(int(_SKEW_BLOCK / step), 2) for step in steps]
    moments = []
    for row in range(0, array.shape[0], side[0]):
        for column in range(0, array.shape[1], side[1]):
            cell = np.s_[row : row + side[0], column : column + side[1]]
            values = band[cell][counted[cell]]
            moments.append([values.size, values.sum(), (values**2).sum(), (values**3).sum()])
    filled = np.array([m for m in moments if m[0] > 0.3 * side[0] * side[1]])
    if len(filled) < _LEAST_SKEW_BLOCKS:
        return math.nan, math.nan
    total = filled.sum(axis=0)
    without = np.array([_skewness(total - block) for block in filled])
    n = len(filled)
    return _skewness(total), math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))


def _skewness(sums: FloatArray) -> float:
    """Skewness from the number of values and the sums of their first three powers."""
    n, first, second, third = sums
    mean = first / n
    variance = second / n - mean**2
    if variance <= 0:
        return 0.0
    return float((third / n - 3 * mean * second / n + 2 * mean**3) / variance**1.5)


def _polarity(skewness: float, error: float, strength: float) -> tuple[Polarity, float]:
    """Polarity of an image, and the probability that the sign of the skewness is right."""
    if not (math.isfinite(skewness) and error > 0):
        return "unknown", 0.0
    errors = abs(skewness) / error
    confidence = math.erf(errors / math.sqrt(2))
    if errors < _SKEW_ERRORS or strength < LEAST_RING:
        return "unknown", confidence
    return ("dark atoms" if skewness > 0 else "bright atoms"), confidence


def _dose(spectrum: RadialSpectrum, noise: Noise, mean: float) -> float:
    """Dose from the level of the shot noise: for a Poisson process, the square of the mean over it."""
    if not noise.is_camera or mean <= 0:
        return math.nan
    beyond = spectrum.frequency > (noise.information_limit if math.isfinite(noise.information_limit) else 0)
    highest = float(spectrum.typical[beyond].max()) if beyond.any() else 0.0
    return mean**2 / noise.density if noise.density < _MAX_EXTRAPOLATION * highest else math.nan


def conditions_table(conditions: Sequence[Conditions]) -> pd.DataFrame:
    """Return one row per micrograph, with what follows from the fields."""
    derived = ("gradient", "vignetting", "unevenness")
    columns = [field.name for field in fields(Conditions)]
    rows = [asdict(item) | {name: getattr(item, name) for name in derived} for item in conditions]
    return pd.DataFrame(rows, columns=[*columns, *derived])


def pool_conditions(conditions: Sequence[Conditions]) -> dict[str, Any]:
    """Pool several micrographs into one row.

    Returns
    -------
    dict
        Median of each number over the micrographs where it is known (dose: geometric mean), the depth that
        most have, flags where all have them, and the polarity that all known ones share, or "mixed".

    Raises
    ------
    ValueError
        If there are no conditions.
    """
    if not conditions:
        raise ValueError("conditions must hold at least one micrograph, got none")
    table = conditions_table(conditions)
    pooled: dict[str, Any] = {}
    for name in table.columns:
        column = table[name]
        if name == "polarity":
            pooled[name] = shared_polarity(conditions)
        elif name == "bits":
            pooled[name] = int(column.mode().iloc[0])
        elif name in ("is_camera", "is_proportional"):
            pooled[name] = bool(column.all())
        elif name == "dose_per_area":
            pooled[name] = float(np.exp(np.log(column).mean()))
        else:
            pooled[name] = float(column.median())
    return pooled


def shared_polarity(conditions: Sequence[Conditions]) -> str:
    """Return the polarity of all micrographs whose polarity is known, "mixed", or "unknown" without any."""
    known = {item.polarity for item in conditions} - {"unknown"}
    if not known:
        return "unknown"
    return known.pop() if len(known) == 1 else "mixed"
