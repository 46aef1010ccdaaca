"""What the images of a training set look like to a network, and how far another image is from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, FloatArray, IntArray
from amorph2d.imaging.simulated import MONOLAYER, SimulatedImage, in_units_of_carbon

if TYPE_CHECKING:
    from amorph2d.learning.config import NetworkConfig
    from amorph2d.learning.storage import TrainedNetwork
    from amorph2d.localisation.config import LocalisationParameters
    from amorph2d.localisation.maps import NetworkInput

CONFIDENT = 0.9
"""Probability from which on a site is called confident."""

KINDS = ("atom", "ring")

_SIDES = (
    128,
    64,
)  # of the windows whose spectra are averaged, the largest that fits; with 32 a band is empty
_PER_AXIS = 4  # windows along each axis at most; small images have fewer, which overlap by half
_EDGES = np.geomspace(0.03, 0.5, 15)  # of the bands; beyond the first is the background [1/px]
_SPECIMEN = (0.2, 1.2)  # frequencies at which light atoms leave a signal [1/Å]
_FLOOR = 0.01  # of the density of white noise with the variance of the image: less makes no difference
_SHRINKAGE = 0.02  # towards a diagonal covariance
_FOLDS = 5
_LEAST_IMAGES = 4 * (len(_EDGES) - 1)  # two for each number that describes a spectrum
_RANGE = (0.005, 0.995)  # quantiles that are the ends of a range
_SHARES = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)  # of images farther out, that are stored
_ALARM = 0.01  # share of the training images beyond the limit of the distance
_LEAST_AREA = 200.0  # on which a density of sites is known: some 75 atoms [Å²]
_STRETCHED = 8  # bits of a picture for display


@dataclass(frozen=True, eq=False)
class View:
    """What an image looks like to a network.

    Attributes
    ----------
    contrast
        Standard deviation over mean, of the frequencies at which there is a specimen; noise is part of it.
        NaN where the mean is not positive.
    spectrum
        Logarithms of the mean power in each band of frequencies, then of the highest over the mean power in
        each, which tells crystals from the rest, (2 * bands,); None for an image too small.
    """

    contrast: float
    spectrum: FloatArray | None


@dataclass(frozen=True)
class Distance:
    """How far a spectrum is from those of the training images.

    Attributes
    ----------
    value
        Mahalanobis distance over the root of the number of dimensions: 1 for a usual training image.
    limit
        Distance beyond which a hundredth of the training images lies.
    farther
        Share of the training images that lie farther out; 0 where none of those looked at does.
    deviation
        The largest single deviation [standard deviations].
    is_sharpness
        Whether that is of the highest over the mean power, or of the mean power.
    band
        Frequencies at which it is, low and high [1/px of the network].
    """

    value: float
    limit: float
    farther: float
    deviation: float
    is_sharpness: bool
    band: tuple[float, float]


def measure_view(image: ArrayLike, *, sampling: tuple[float, float], config: NetworkConfig) -> View:
    """Measure contrast and power spectrum of an image at a network's sampling, normalised for it.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map.
    sampling
        Its sampling, (y, x), in units of carbon, > 0 [Å/px].
    config
        Sampling and normalisation of the network.

    Raises
    ------
    ValueError
        If the image or the sampling is not valid.
    """
    from amorph2d.localisation.maps import network_input

    source = network_input(image, sampling=sampling, config=config)
    if min(source.shape) < min(_SIDES):
        return View(math.nan, None)
    seen, raw, mean = _mean_powers(source)
    frequency, count = _frequencies(raw.shape[0], 2 * (raw.shape[1] - 1))
    is_specimen = (frequency >= _SPECIMEN[0] * config.sampling) & (frequency < _SPECIMEN[1] * config.sampling)
    variance = float((raw * count)[is_specimen].sum() / count.sum())
    return View(math.sqrt(variance) / mean if mean > 0 else math.nan, _band_features(seen, frequency, count))


def describe_images(
    images: Iterable[SimulatedImage], config: NetworkConfig, *, max_images: int
) -> dict[str, Any]:
    """Describe what training images look like to a network, so that others can be compared with them.

    Parameters
    ----------
    images
        The training images; of a sequence those looked at are spread over all of it.
    config
        Sampling and normalisation of the network.
    max_images
        How many are looked at, ≥ 1.

    Returns
    -------
    dict
        JSON values. ``n_images``; ``contrast``, the quantiles 0.5 % and 99.5 %, of images that are counts;
        ``spectrum``: ``edges`` of the bands [1/px], ``mean``, upper triangle of the ``covariance``, and the
        ``distances`` that the ``shares`` of images lie beyond, each judged by images of other specimens.
        What too few images tell is left out.

    Raises
    ------
    ValueError
        If `max_images` is not positive, or there is no image.
    """
    if max_images < 1:
        raise ValueError(f"max_images must be ≥ 1, got {max_images}")
    contrasts, spectra, specimens, n_images = [], [], [], 0
    for image in map(in_units_of_carbon, _spread(images, max_images)):
        view = measure_view(image.image, sampling=(image.sampling, image.sampling), config=config)
        n_images += 1
        # A picture for display has lost its black level, so its contrast says nothing.
        if math.isfinite(view.contrast) and image.recipe.get("bits", 0) != _STRETCHED:
            contrasts.append(view.contrast)
        if view.spectrum is not None:
            spectra.append(view.spectrum)
            specimens.append(int(image.recipe.get("specimen", image.index)))
    if n_images == 0:
        raise ValueError("images must hold at least one image, got none")
    described: dict[str, Any] = {"n_images": n_images}
    if contrasts:
        described["contrast"] = _range(contrasts)
    if len(spectra) >= _LEAST_IMAGES and len(set(specimens)) >= _FOLDS:
        described["spectrum"] = _describe_spectra(np.array(spectra), np.array(specimens))
    return described


def spectrum_distance(spectrum: FloatArray, described: Mapping[str, Any]) -> Distance:
    """Return how far the spectrum of an image is from those of the training images.

    Parameters
    ----------
    spectrum
        `View.spectrum` of the image, (2 * bands,).
    described
        ``spectrum`` of `describe_images`.

    Raises
    ------
    ValueError
        If the two do not have the same bands.

    References
    ----------
    Mahalanobis, Proc. Natl. Inst. Sci. India 2, 49 (1936).
    """
    mean, edges = np.array(described["mean"]), described["edges"]
    if spectrum.shape != mean.shape or len(edges) != len(mean) // 2 + 1:
        raise ValueError(
            f"spectrum must have the {len(mean)} values of the training, got the shape {spectrum.shape}"
        )
    covariance = np.zeros((len(mean), len(mean)))
    covariance[np.triu_indices(len(mean))] = described["covariance"]
    covariance = np.triu(covariance) + np.triu(covariance, 1).T
    value = float(_distances(spectrum[None], mean, covariance)[0])
    distances, shares = np.array(described["distances"]), np.array(described["shares"])
    deviations = (spectrum - mean) / np.sqrt(np.diag(covariance))
    worst = int(np.abs(deviations).argmax())
    band = worst % (len(mean) // 2)
    # Logarithms of shares: they fall by orders of magnitude.
    farther = 0.0 if value > distances[-1] else math.exp(np.interp(value, distances, np.log(shares)))
    return Distance(
        value=value,
        limit=float(np.interp(-_ALARM, -shares, distances)),
        farther=farther,
        deviation=float(deviations[worst]),
        is_sharpness=worst >= len(mean) // 2,
        band=(float(edges[band]), float(edges[band + 1])),
    )


def judge_confidence(sites: pd.DataFrame, mask_area: float) -> dict[str, float]:
    """Return how sure a network is of what it found, and how much it found.

    Parameters
    ----------
    sites
        Table of the sites of an image: kind, confidence and perhaps analysable; only those count.
    mask_area
        Area of the monolayer on which they lie, in units of carbon [Å²].

    Returns
    -------
    dict
        ``confident_share``: share of the sites with a probability of at least 0.9, NaN where there is no
        site; ``atom_density`` and ``ring_density`` [1/Å²], NaN for an area below 200 Å².
    """
    counted = sites[sites["analysable"].to_numpy(bool)] if "analysable" in sites else sites
    share = float((counted["confidence"] >= CONFIDENT).mean()) if len(counted) else math.nan
    area = mask_area if mask_area >= _LEAST_AREA else math.nan
    densities = {f"{kind}_density": int((counted["kind"] == kind).sum()) / area for kind in KINDS}
    return {"confident_share": share, **densities}


def describe_confidence(tables: Iterable[tuple[pd.DataFrame, float]]) -> dict[str, list[float]]:
    """Return the ranges of `judge_confidence` over images that a network was not trained on.

    Parameters
    ----------
    tables
        Of each image its sites and the area of monolayer on which they lie [Å²].

    Returns
    -------
    dict
        Quantiles 0.5 % and 99.5 % of each quantity; of ``confident_share`` the upper end is 1, since no
        network is too sure. What no image tells is left out.
    """
    judged = pd.DataFrame([judge_confidence(sites, area) for sites, area in tables])
    described = {str(name): _range(judged[name].dropna()) for name in judged if judged[name].notna().any()}
    if "confident_share" in described:
        described["confident_share"][1] = 1.0
    return described


def describe_sites(
    network: TrainedNetwork, images: Iterable[SimulatedImage], *, localisation: LocalisationParameters
) -> dict[str, list[float]]:
    """Locate the sites of images with known areas and return the ranges of `describe_confidence`.

    Parameters
    ----------
    network
        The network of sites, calibrated.
    images
        Images that it was not trained on; taken one by one.
    localisation
        How sites are located.
    """
    return describe_confidence(_located(network, image, localisation) for image in images)


def _located(
    network: TrainedNetwork, image: SimulatedImage, localisation: LocalisationParameters
) -> tuple[pd.DataFrame, float]:
    """Return the sites on the monolayer of an image, and its area [Å²]."""
    from amorph2d.analysis.regions import COUNTED, analysable_region, in_region
    from amorph2d.localisation.locate import locate_sites

    image = in_units_of_carbon(image)
    sampling = (image.sampling, image.sampling)
    sites = locate_sites(image.image, sampling=sampling, network=network, parameters=localisation)
    mask = np.full(image.image.shape, MONOLAYER, dtype=np.uint8) if image.mask is None else image.mask
    region = analysable_region(mask, image.sampling, border=localisation.border, margin=0.0)
    is_on = in_region(sites, region, image.sampling)
    return sites[is_on], float(np.count_nonzero(region == COUNTED)) * image.sampling**2


def _spread(images: Iterable[SimulatedImage], most: int) -> Iterator[SimulatedImage]:
    """Yield up to `most` images, of a sequence spread over all of it."""
    if isinstance(images, Sequence):
        places = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
        return (images[int(place)] for place in places)
    return islice(iter(images), most)


def _mean_powers(source: NetworkInput) -> tuple[FloatArray, FloatArray, float]:
    """Return the mean power of windows as the network sees them, that of the image itself, and its mean.

    Of white noise the power is its variance.
    """
    sides = [next(side for side in _SIDES if side <= size) for size in source.shape]
    window = np.hanning(sides[0] + 2)[1:-1, None] * np.hanning(sides[1] + 2)[None, 1:-1]
    rows, columns = (
        np.linspace(0, size - side, min(1 + -(-2 * (size - side) // side), _PER_AXIS)).round().astype(int)
        for size, side in zip(source.shape, sides, strict=True)
    )
    seen, raw, means = [], [], []
    for row, column in product(rows, columns):
        place = slice(row, row + sides[0]), slice(column, column + sides[1])
        seen.append(_power(source.read(*place), window)[0])
        power, mean = _power(source.image.read(*place), window)
        raw.append(power)
        means.append(mean)
    return np.mean(seen, axis=0), np.mean(raw, axis=0), float(np.mean(means))


def _power(tile: AnyArray, window: FloatArray) -> tuple[FloatArray, float]:
    """Return the power of a tile less its mean, and the mean, both under a window."""
    mean = float((tile * window).sum() / window.sum())
    return np.abs(np.fft.rfft2((tile - mean) * window)) ** 2 / (window**2).sum(), mean


def _frequencies(rows: int, columns: int) -> tuple[FloatArray, FloatArray]:
    """Return frequencies of a real transform [1/px], and how often each is there in the whole plane."""
    x = np.fft.rfftfreq(columns)[None, :]
    count = np.where((x > 0) & (x < 0.5), 2.0, 1.0)
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], x)
    return frequency, np.broadcast_to(count, frequency.shape)


def _band_features(power: FloatArray, frequency: FloatArray, count: FloatArray) -> FloatArray:
    """Return logarithms of the mean power in each band, and of the highest over the mean."""
    number = np.digitize(frequency, _EDGES) - 1
    means, sharpness = [], []
    for band in range(len(_EDGES) - 1):
        values, weights = power[number == band], count[number == band]
        mean = float((values * weights).sum() / weights.sum()) + _FLOOR
        means.append(math.log(mean))
        sharpness.append(math.log((float(values.max()) + _FLOOR) / mean))
    return np.array(means + sharpness)


def _describe_spectra(spectra: FloatArray, specimens: IntArray) -> dict[str, Any]:
    """Return mean and covariance of spectra, and how far from those of others they lie."""
    # Images of one specimen are alike: one must not vouch for the other.
    fold = np.unique(specimens, return_inverse=True)[1] % _FOLDS
    held_back = [
        _distances(spectra[fold == k], *_mean_and_covariance(spectra[fold != k])) for k in range(_FOLDS)
    ]
    distances = np.quantile(np.concatenate(held_back), 1 - np.array(_SHARES))
    mean, covariance = _mean_and_covariance(spectra)
    return {
        "edges": _rounded(_EDGES),
        "mean": _rounded(mean),
        "covariance": _rounded(covariance[np.triu_indices(len(mean))]),
        "shares": list(_SHARES),
        "distances": _rounded(distances),
    }


def _mean_and_covariance(spectra: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and covariance, shrunk so that it can be inverted.

    Ledoit, Wolf, J. Multivar. Anal. 88, 365 (2004) for the idea; the strength is fixed.
    """
    covariance = np.cov(spectra, rowvar=False)
    usual = np.diag(np.maximum(np.diag(covariance), 1e-6))
    return spectra.mean(axis=0), (1 - _SHRINKAGE) * covariance + _SHRINKAGE * usual


def _distances(spectra: FloatArray, mean: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return Mahalanobis distances over the root of the number of dimensions, (N,)."""
    difference = spectra - mean
    squares = (difference * np.linalg.solve(covariance, difference.T).T).sum(axis=1)
    return np.sqrt(squares / len(mean))


def _range(values: Iterable[float]) -> list[float]:
    """Return the two ends of the usual range of values."""
    return _rounded(np.quantile(np.fromiter(values, np.float64), _RANGE))


def _rounded(values: AnyArray) -> list[float]:
    """Return values with six digits, as JSON holds them."""
    return [float(f"{value:.6g}") for value in values]
