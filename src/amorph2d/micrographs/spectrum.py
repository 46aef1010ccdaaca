"""Samplings at which the spectrum of a micrograph could be that of a honeycomb network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, FloatArray, as_image
from amorph2d.micrographs.errors import MicrographError

REFERENCE_BOND = 1.42
"""Bond length that limits of the sampling are stated for: that of graphene [Å]."""

LIMITS = (0.03, 0.75)
"""Samplings looked for in networks with the bonds of graphene [Å/px]; others in proportion."""

PLANES = (1.5, math.sqrt(3) / 2)
"""Lattice spacings of the first two reflections of a honeycomb, in bond lengths."""

LARGEST_SIDE = 1024
"""Side of the part of an image that its spectrum is taken of, at most [px]."""

_LEAST_SIDE = 64
_STEP = 0.02  # of the logarithm of the frequency
_LEAST_PERIODS = 3.0  # over the shorter side: slower waves are background
_LEAST_IN_RING = 4
_ENVELOPE = 0.8, 0.15, 25  # the background: window and smoothing in log frequency, percentile
_SMOOTHING = 0.02
_SECOND = 0.5  # weight of the second reflections, which many images lack
_PROMINENCE = 0.25
_MOST = 6
_BELOW = 1.5  # weight of power below the first reflections
_BEYOND_NOISE = 2.0  # standard errors taken off an excess


@dataclass(frozen=True)
class Candidate:
    """A sampling that the spectrum allows [Å/px], and how far its reflections stand out, ≥ 0."""

    sampling: float
    score: float


@dataclass(frozen=True, eq=False)
class Profile:
    """Logarithm of the power over its background, by the logarithm of the frequency [1/px]."""

    frequency: FloatArray
    excess: FloatArray
    background: FloatArray


def scaled_limits(bond_length: float, limits: tuple[float, float] = LIMITS) -> tuple[float, float]:
    """Return limits of the sampling for a material, in proportion to its bond length [Å/px].

    Raises
    ------
    ValueError
        If the bond length is not positive or the limits are not positive and in order.
    """
    if not (math.isfinite(bond_length) and bond_length > 0):
        raise ValueError(f"bond_length must be > 0 Å, got {bond_length}")
    low, high = limits
    if not 0 < low < high:
        raise ValueError(f"limits must be 0 < lowest < highest in Å/px, got {limits}")
    scale = bond_length / REFERENCE_BOND
    return low * scale, high * scale


def spectrum_candidates(
    image: ArrayLike, *, spacing: float = REFERENCE_BOND, limits: tuple[float, float] = LIMITS
) -> list[Candidate]:
    """List the samplings at which the spectrum has the rings or peaks of a honeycomb network.

    The power, averaged over directions, is compared with the smooth background below it. Where it stands out
    at the frequencies of the first reflections, 1.5 bonds apart, or of the second, 0.866 bonds apart, or
    both, there is a candidate. Transfer zeros may hide either, so a true sampling need not come first.

    Parameters
    ----------
    image
        Intensities, (rows, columns), at least 64 px a side; the middle of a larger one than 1024 px.
    spacing
        Bond length of the material [Å].
    limits
        Lowest and highest sampling for bonds of 1.42 Å [Å/px]; scaled with `spacing`.

    Returns
    -------
    list of Candidate
        The best first, at most six; empty where nothing stands out.

    Raises
    ------
    MicrographError
        If the image is too small or has no contrast.
    ValueError
        If `spacing` or `limits` are not valid.

    References
    ----------
    A. H. Castro Neto et al., Rev. Mod. Phys. 81, 109 (2009), doi:10.1103/RevModPhys.81.109, for the
    reciprocal lattice of a honeycomb.
    """
    low, high = scaled_limits(spacing, limits)
    return rank_candidates(radial_profile(power_of(middle(image))), spacing, (low, high))


def rank_candidates(profile: Profile, spacing: float, limits: tuple[float, float]) -> list[Candidate]:
    """List the candidates of a profile, as `spectrum_candidates` does, within unscaled limits."""
    low, high = limits
    steps = np.arange(math.log(low), math.log(high) + _STEP / 4, _STEP / 4)
    first, second = (
        np.interp(steps - math.log(plane * spacing), profile.frequency, profile.excess, left=0, right=0)
        for plane in PLANES
    )
    scores = first + _SECOND * second
    peaks = _prominent_peaks(scores)
    best = sorted(peaks, key=lambda k: -scores[k])[:_MOST]
    return [Candidate(float(np.exp(steps[k])), float(scores[k])) for k in best]


def _prominent_peaks(values: FloatArray) -> list[int]:
    """Return the maxima that rise above the higher of the valleys beside them; 0 lies beyond the ends."""
    padded = np.concatenate([[0.0], values, [0.0]])
    maxima = np.flatnonzero((padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:])) + 1
    kept = []
    for k in maxima:
        valleys = []
        for side in (padded[k - 1 :: -1], padded[k + 1 :]):
            higher = np.flatnonzero(side > padded[k])
            valleys.append(side[: higher[0]].min() if higher.size else side.min())
        if padded[k] - max(valleys) >= _PROMINENCE:
            kept.append(int(k) - 1)
    return kept


def first_order_share(profile: Profile, sampling: float, spacing: float) -> float:
    """Return how far the lowest reflections in a profile are the first ones of a network, 0 … 1.

    The pattern of a honeycomb's second reflections is that of the first ones of a network 1.73 times wider.
    Only where power stands out at a frequency 1.73 times lower than that of the first reflections is the
    sampling the latter's; `sampling` [Å/px] and the bond length `spacing` [Å] say which are the first.
    """
    around = np.linspace(-1.5 * _STEP, 1.5 * _STEP, 7)
    expected = math.log(sampling / (PLANES[0] * spacing))
    below, first, second = (
        float(
            np.interp(expected + shift + around, profile.frequency, profile.excess, left=0.0, right=0.0).max()
        )
        for shift in (-math.log(math.sqrt(3)), 0.0, math.log(math.sqrt(3)))
    )
    # Contamination under slow waves of the transfer leaves a little there in networks as well.
    return math.exp(-_BELOW * below / (first + second)) if first + second > 0 else math.exp(-_BELOW)


def middle(image: ArrayLike) -> Float32Array:
    """Check an image and return its middle."""
    array = as_image(image)
    if min(array.shape) < _LEAST_SIDE:
        raise MicrographError(
            f"the image must be at least {_LEAST_SIDE} px a side for an estimate of its sampling, "
            f"got {array.shape[0]} × {array.shape[1]} px"
        )
    if not np.ptp(array) > 0:
        raise MicrographError("the image has no contrast, so that its sampling cannot be estimated")
    # From half of a spectrum one cannot tell whether the number of columns was odd.
    return array[tuple(_central(n, min(n - n % 2, LARGEST_SIDE)) for n in array.shape)]


def _central(size: int, most: int) -> slice:
    """Return the middle of a range."""
    start = max(size - most, 0) // 2
    return slice(start, start + min(size, most))


def power_of(image: Float32Array) -> FloatArray:
    """Power under a Hann window, half of the plane of frequencies."""
    window = np.multiply.outer(*(np.hanning(n + 2)[1:-1] for n in image.shape))
    flat = image - (image * window).sum() / window.sum()
    power: FloatArray = np.abs(np.fft.rfft2(flat * window)) ** 2
    return power + 1e-12 * power.max()


def frequencies_of(shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Frequencies along y and x of a power spectrum [1/px]."""
    y = np.fft.fftfreq(shape[0])
    columns = 2 * (shape[1] - 1)
    x = np.arange(shape[1]) / columns
    return np.broadcast_to(y[:, None], shape), np.broadcast_to(x[None, :], shape)


def radial_profile(power: FloatArray) -> Profile:
    """Average power over directions, and separate what stands out."""
    from scipy.ndimage import gaussian_filter1d, percentile_filter

    distance = np.hypot(*frequencies_of(power.shape)).ravel()
    least = _LEAST_PERIODS / min(power.shape[0], 2 * (power.shape[1] - 1))
    edges = np.arange(math.log(least), math.log(math.sqrt(0.5)) + _STEP, _STEP)
    with np.errstate(divide="ignore"):
        ring = np.digitize(np.log(distance), edges)
    order = np.argsort(ring, kind="stable")
    starts = np.searchsorted(ring[order], np.arange(1, len(edges) + 1))
    values = power.ravel()[order]
    cells = [values[a:b] for a, b in pairwise(starts)]
    centres, counts = (edges[1:] + edges[:-1]) / 2, np.array([len(cell) for cell in cells])
    is_full = counts >= _LEAST_IN_RING
    full = [cell for cell, kept in zip(cells, is_full, strict=True) if kept]
    mean, typical = (
        np.interp(centres, centres[is_full], np.log([measure(cell) for cell in full]))
        for measure in (np.mean, np.median)
    )
    width, smoothing, percentile = _ENVELOPE
    # Bragg peaks do not enter the median, and rings narrower than the window not the low percentile.
    lowest = percentile_filter(
        typical - math.log(math.log(2)), percentile, round(width / _STEP), mode="nearest"
    )
    background = gaussian_filter1d(lowest, smoothing / _STEP, mode="nearest")
    noise = np.interp(centres, centres[is_full], 1 / np.sqrt(counts[is_full]))
    excess = np.maximum(mean - background - _BEYOND_NOISE * noise, 0)
    return Profile(centres, gaussian_filter1d(excess, _SMOOTHING / _STEP, mode="nearest"), background)
