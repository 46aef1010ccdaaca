"""Whether a micrograph looks like what a network was trained on, and by how much it does not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.learning.domain import Distance, judge_confidence, measure_view, spectrum_distance

if TYPE_CHECKING:
    from amorph2d.learning.config import NetworkConfig

_UNITS = {
    "sampling": " Å/px",
    "dose_per_area": " e⁻/Å²",
    "energy": " eV",
    "defocus": " Å",
    "Cs": " Å",
    "focal_spread": " Å",
    "angular_spread": " mrad",
    "atom_density": " 1/Å²",
    "ring_density": " 1/Å²",
}
_ROUNDING = 1e-6  # rounded figures of a metadata header must not fall off the edge of a range


@dataclass(frozen=True)
class Finding:
    """One quantity of a micrograph that lies outside of a network's training domain.

    Attributes
    ----------
    quantity
        What it is: ``sampling``, ``dose_per_area``, ``energy``, ``contrast``, ``spectrum``,
        ``confident_share``, ``atom_density``, ``ring_density`` …
    value
        Its value, in the unit of the range.
    low, high
        The range of the training.
    excess
        By how much it is outside, > 1: the factor by which it is above the upper or below the lower end,
        infinite for 0. Of a range that is not all positive: 1 more than the distance to it in its own widths.
    text
        All this as a sentence without its full stop.
    """

    quantity: str
    value: float
    low: float
    high: float
    excess: float
    text: str


def guard(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    dose: float | None,
    energy: float | None,
    sites: pd.DataFrame | None,
    area: float | None,
    domain: Mapping[str, Any],
    config: NetworkConfig,
    has_counts: bool,
) -> list[Finding]:
    """Compare a micrograph with what a network was trained on.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type, as it is given to the network.
    sampling
        Its sampling, (y, x), in units of carbon [Å/px].
    dose
        Dose, in units of carbon [e⁻/Å²]; None and NaN: not known.
    energy
        Energy of the electrons [eV]; None and NaN: not known.
    sites
        Table of the sites that the network found; None: not looked for.
    area
        Area of the monolayer on which the analysable ones of them lie, in units of carbon [Å²]; None: not
        known.
    domain
        The network's metadata. Of them ``training_domain`` (`training_domain`), ``training_images``
        (`describe_images`) and ``training_sites`` (`describe_sites`) are used, as far as they are there.
    config
        Sampling and normalisation of the network.
    has_counts
        Whether the intensities are proportional to electrons. Those of 8-bit pictures, stretched for display,
        are not; then the contrast is not looked at.

    Returns
    -------
    list of Finding
        What lies outside; empty where all that is known lies inside.

    Raises
    ------
    ValueError
        If the image, the sampling or a range of the domain is not valid.
    """
    known = {"sampling": sampling, "dose_per_area": dose, "energy": energy}
    findings = check_ranges(known, domain.get("training_domain") or {})
    findings += _check_view(image, sampling, domain.get("training_images") or {}, config, has_counts)
    if sites is not None:
        judged = judge_confidence(sites, math.nan if area is None else area)
        findings += check_ranges(judged, domain.get("training_sites") or {})
    return findings


def check_ranges(record: Mapping[str, Any], domain: Mapping[str, Sequence[float]]) -> list[Finding]:
    """Say which quantities of a micrograph lie outside the ranges of a training.

    Parameters
    ----------
    record
        What is known of the micrograph, by name (`sampling`, `dose_per_area` …), one value or several; None
        and NaN are unknown.
    domain
        Lowest and highest value of the training, by the same names.

    Raises
    ------
    ValueError
        If a range of the domain is not two numbers in order.
    """
    findings = []
    for name, limits in domain.items():
        if len(limits) != 2 or not limits[0] <= limits[1]:
            raise ValueError(f"domain of {name} must be [lowest, highest], got {limits}")
        low, high = float(limits[0]), float(limits[1])
        slack = _ROUNDING * max(abs(low), abs(high))
        findings += [
            _outside(name, value, low, high)
            for value in _values(record.get(name))
            if value < low - slack or value > high + slack
        ]
    return findings


def _values(given: Any) -> Iterable[float]:
    """Return the different values of a quantity that are known, rising."""
    if given is None:
        return ()
    values = {float(value) for value in np.atleast_1d(np.asarray(given, dtype=np.float64))}
    return sorted(value for value in values if not math.isnan(value))


def _outside(name: str, value: float, low: float, high: float) -> Finding:
    """Say by how much a value is outside its range."""
    unit = _UNITS.get(name, "")
    is_above = value > high
    if low > 0 and value >= 0:
        excess = value / high if is_above else low / value if value > 0 else math.inf
        by = f"{value / high:.2g} times its upper end" if is_above else f"{value / low:.2g} of its lower end"
    else:
        width, gap = high - low, value - high if is_above else low - value
        excess = 1 + gap / width if width > 0 else math.inf
        by = f"{gap:.3g}{unit} {'above its upper' if is_above else 'below its lower'} end"
    text = f"{name} {value:.4g}{unit} lies outside {low:.4g} … {high:.4g}{unit} of the training ({by})"
    return Finding(name, value, low, high, excess, text)


def _check_view(
    image: ArrayLike,
    sampling: tuple[float, float],
    described: Mapping[str, Any],
    config: NetworkConfig,
    has_counts: bool,
) -> list[Finding]:
    """Compare contrast and spectrum with those of the training images."""
    if not described.keys() & {"contrast", "spectrum"}:
        return []
    view = measure_view(image, sampling=sampling, config=config)
    findings = []
    if has_counts and "contrast" in described:
        findings += check_ranges({"contrast": view.contrast}, {"contrast": described["contrast"]})
    if view.spectrum is not None and "spectrum" in described:
        distance = spectrum_distance(view.spectrum, described["spectrum"])
        if distance.value > distance.limit:
            findings.append(_unlike(distance, int(described["n_images"]), config.sampling))
    return findings


def _unlike(distance: Distance, n_images: int, sampling: float) -> Finding:
    """Say in what a power spectrum is unlike those of the training."""
    low, high = (edge / sampling for edge in distance.band)
    if distance.is_sharpness:
        what = "peaks too sharp" if distance.deviation > 0 else "peaks not sharp enough"
    else:
        what = "too much power" if distance.deviation > 0 else "too little power"
    farther = (
        f"farther from the training than {100 * (1 - distance.farther):.3g} % of its images"
        if distance.farther > 0
        else f"farther from the training than practically all of its {n_images} images looked at"
    )
    excess = distance.value / distance.limit
    text = (
        f"spectrum is {farther} ({excess:.2g} times the distance that 1 % of them exceed); "
        f"above all {what} at {low:.2f} … {high:.2f} 1/Å, by {abs(distance.deviation):.2g} "
        "standard deviations"
    )
    return Finding("spectrum", distance.value, 0.0, distance.limit, excess, text)
