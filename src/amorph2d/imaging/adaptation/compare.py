"""How alike two sets of micrographs are: spectra and grey values of locally normalised images."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, as_image
from amorph2d.imaging.adaptation.config import ComparisonParameters
from amorph2d.imaging.adaptation.spectra import radial_spectrum
from amorph2d.localisation.normalise import normalise
from amorph2d.units import Sampling, as_sampling

BIN = 0.05
"""Width of the bins of frequency in which spectra are compared [1/Å]."""

FIELD = 25.0
"""Side of the windows in which these spectra are taken: peaks are then equally sharp in all of them [Å]."""

_LEVELS = (np.arange(400) + 0.5) / 400  # of the quantiles that stand for a distribution of grey values
_EDGES = np.linspace(-4, 4, 81)
_LEAST_SIDE = 32  # [px]


@dataclass(frozen=True, eq=False)
class Appearance:
    """What a micrograph, or a set, looks like after local normalisation.

    Attributes
    ----------
    frequency
        Centres of the bins, (K,) [1/Å].
    density
        Power spectral density in each bin, (K,) [Å²]; NaN beyond the Nyquist frequency.
    quantiles
        Quantiles of the normalised grey values at evenly spaced levels, (400,).
    histogram
        Probability density of the normalised grey values between −4 and 4, (80,).
    """

    frequency: FloatArray
    density: FloatArray
    quantiles: FloatArray
    histogram: FloatArray


@dataclass(frozen=True, eq=False)
class Comparison:
    """Measured against simulated micrographs.

    Attributes
    ----------
    appearances
        Appearance by name of the set: ``measured``, ``matched`` and, where there is one, ``unmatched``.
    distances
        One row per set that is compared with the measured one, ``set``, ``spectrum`` (root mean square of
        the log ratio of the spectra) and ``grey_values`` (Wasserstein distance, in local standard
        deviations). The row ``floor`` compares halves of the measured set with each other.
    """

    appearances: dict[str, Appearance]
    distances: pd.DataFrame


def appearance(
    image: ArrayLike,
    sampling: Sampling,
    *,
    comparison: ComparisonParameters,
    weights: ArrayLike | None = None,
) -> Appearance:
    """Describe a micrograph after local normalisation.

    Parameters
    ----------
    image
        Intensities, (rows, columns), at least 32 px a side.
    sampling
        Along y and x [Å/px].
    comparison
        Window of the normalisation and band of frequencies.
    weights
        How much each pixel counts, (rows, columns), 0 … 1; None: all alike.

    Returns
    -------
    Appearance
        Spectrum and grey values.
    """
    array, steps = as_image(image), as_sampling(sampling)
    size = math.sqrt(steps[0] * steps[1])
    flat = normalise(array, comparison.window / size)
    values = flat if weights is None else flat[np.asarray(weights) > 0.5]
    spectrum = radial_spectrum(flat, steps, weights=weights, field=FIELD, width=BIN)
    bins = np.arange(round(comparison.band[0] / BIN), round(comparison.band[1] / BIN))
    rings = (spectrum.frequency / BIN).astype(int)
    found = np.isin(rings, bins) & ((rings + 1) * BIN <= 0.5 / max(steps))
    density = np.full(len(bins), np.nan)
    density[rings[found] - bins[0]] = spectrum.mean[found]
    return Appearance(
        frequency=np.asarray((bins + 0.5) * BIN, dtype=np.float64),
        density=density,
        quantiles=np.quantile(values, _LEVELS).astype(np.float64),
        histogram=np.histogram(values, _EDGES)[0] / (values.size * np.diff(_EDGES)),
    )


def histogram_centres() -> FloatArray:
    """Return the grey values, in local standard deviations, at which histograms are given, (80,)."""
    return (_EDGES[1:] + _EDGES[:-1]) / 2


def pool_appearances(items: Iterable[Appearance]) -> Appearance:
    """Average spectra, geometrically, and grey values of several micrographs with equal weight.

    Raises
    ------
    ValueError
        If there are none.
    """
    found = list(items)
    if not found:
        raise ValueError("there must be at least one image to compare, got none")
    density = np.array([item.density for item in found])
    known = np.isfinite(density) & (density > 0)
    logs = np.log(np.where(known, density, 1.0)).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return Appearance(
        frequency=found[0].frequency,
        density=np.where(known.any(axis=0), np.exp(logs), np.nan),
        # The distribution of a mixture, as its parts have equal weight: all quantiles together, thinned.
        quantiles=np.quantile(np.concatenate([item.quantiles for item in found]), _LEVELS),
        histogram=np.mean([item.histogram for item in found], axis=0),
    )


def spectrum_distance(first: Appearance, second: Appearance) -> float:
    """Return the root mean square of log(first / second) over the bins where both spectra are known.

    NaN where there are none.
    """
    ratio = np.log(first.density / second.density)
    ratio = ratio[np.isfinite(ratio)]
    return float(np.sqrt(np.mean(ratio**2))) if ratio.size else float("nan")


def grey_value_distance(first: Appearance, second: Appearance) -> float:
    """Return the Wasserstein distance of two distributions of grey values, in local standard deviations.

    In one dimension it is the mean distance of equal quantiles.

    References
    ----------
    C. Villani, Topics in Optimal Transportation (2003), doi:10.1090/gsm/058; section 2.2.
    """
    return float(np.mean(np.abs(first.quantiles - second.quantiles)))


def compare_sets(
    measured: Sequence[Appearance],
    simulated: Sequence[Appearance],
    *,
    unmatched: Sequence[Appearance] = (),
    halves: tuple[Sequence[Appearance], Sequence[Appearance]] | None = None,
) -> Comparison:
    """Compare simulated with measured micrographs.

    Parameters
    ----------
    measured, simulated
        Appearance of each micrograph; at least one each.
    unmatched
        Appearance of images of an unmatched set, as a yardstick.
    halves
        Two halves of what was measured; None: every other of the measured micrographs. Where there is but
        one, there is no floor.

    Returns
    -------
    Comparison
        Pooled appearances and their distances.
    """
    sets = {"measured": pool_appearances(measured), "matched": pool_appearances(simulated)}
    if unmatched:
        sets["unmatched"] = pool_appearances(unmatched)
    rows = [_row(name, sets["measured"], item) for name, item in sets.items() if name != "measured"]
    if halves is None and len(measured) > 1:
        halves = measured[::2], measured[1::2]
    if halves is not None:
        rows.append(_row("floor", pool_appearances(halves[0]), pool_appearances(halves[1])))
    return Comparison(sets, pd.DataFrame(rows))


def _row(name: str, first: Appearance, second: Appearance) -> dict[str, object]:
    """Distances of two sets."""
    return {
        "set": name,
        "spectrum": spectrum_distance(first, second),
        "grey_values": grey_value_distance(first, second),
    }


def halve_image(image: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the left and the right half of an image, for the floor where there is one micrograph only.

    Raises
    ------
    ValueError
        If the halves are narrower than 32 px.
    """
    array = as_image(image)
    middle = array.shape[1] // 2
    if middle < _LEAST_SIDE:
        raise ValueError(f"image must be at least {2 * _LEAST_SIDE} px wide, got {array.shape[1]}")
    return array[:, :middle].astype(np.float64), array[:, middle:].astype(np.float64)
