"""Narrow the ranges of a simulated set to measured conditions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import FloatArray
from amorph2d.imaging.adaptation.conditions import Conditions, shared_polarity
from amorph2d.imaging.adaptation.config import AdaptationParameters, Margins
from amorph2d.imaging.config import WAVE_BAND, OpticsRanges, SynthesisParameters
from amorph2d.imaging.detector import modulation_transfer
from amorph2d.imaging.optics import Optics, matched_defocus, wavelength

Range = tuple[float, float]

_LEAST_ENVELOPE = math.exp(-3)  # of the amplitude that is still seen at the information limit
_LEAST_DIRT = 0.02  # share of the specimen that counts as covered by something
_LEAST_COVERAGE, _MOST_COVERAGE = 0.005, 0.95
_LAYER_CONTRAST = 0.015, 0.07  # of a single layer of carbon, in measured and simulated images
_FLOOR_ERROR = 0.03  # by which the floor of an MTF is uncertain, for it is confused with read-out noise
_COMMON = 0.1  # share of the images from which an energy decides ranges
_CS_STEPS = 101
_DEFOCUS_ERRORS = 1.5  # standard errors of the defocus to either side of the best
_CORNER = 1.4  # frequency, in Nyquist frequencies, where read-out noise shows most


@dataclass(frozen=True)
class Change:
    """A range that something measured decides.

    Attributes
    ----------
    name
        Group and name of the parameter, as ``detector.sampling``.
    value
        What it becomes.
    source
        What decided it.
    """

    name: str
    value: Any
    source: str


@dataclass(frozen=True, eq=False)
class Narrowed:
    """Parameters of a matched set.

    Attributes
    ----------
    parameters
        The narrowed parameters.
    table
        One row per parameter that changed: ``parameter``, ``base``, ``matched``, ``source``, as text.
    """

    parameters: SynthesisParameters
    table: pd.DataFrame


def narrow_ranges(
    parameters: SynthesisParameters,
    conditions: Sequence[Conditions],
    *,
    adaptation: AdaptationParameters,
    found: Mapping[str, Range] | None = None,
    contrast: float = math.nan,
) -> Narrowed:
    """Narrow the ranges of a simulated set to the conditions of one or several micrographs.

    What was measured decides its range, from the lowest to the highest micrograph, widened by a margin; it
    may leave the base range. What could not be measured keeps its base range. Pores and aperture are then cut
    to what the field and the pixels allow.

    Parameters
    ----------
    parameters
        Parameters of the unmatched set.
    conditions
        Conditions of each micrograph, at least one.
    adaptation
        Number of images, energy, families and margins of the matched set.
    found
        Ranges by name, as ``optics.focal_spread``, from a search among simulated candidates; cut to what the
        conditions say of the same parameters, unless they contradict it.
    contrast
        Standard deviation of the signal relative to the mean in simulated images that look alike: with it,
        dose and illumination are known of images whose intensities are not proportional to electrons.

    Returns
    -------
    Narrowed
        Parameters that the model accepts, and what changed.

    Raises
    ------
    ValueError
        If there are no conditions.
    """
    if not conditions:
        raise ValueError("conditions must hold at least one micrograph, got none")
    changes = {
        change.name: change
        for rule in (_image_scale, _noise, _camera, _light, _depth, _faults, _dirt)
        for change in rule(parameters, conditions, adaptation.margins, contrast)
    }
    changes |= {change.name: change for change in _energy(conditions, adaptation)}
    stated = changes.get("optics.energies")
    energies = parameters.optics.energies if stated is None else stated.value
    changes |= {change.name: change for change in _polarity(parameters, conditions, energies)}
    changes |= {change.name: change for change in _resolution(parameters, conditions, energies)}
    if adaptation.families is not None:
        changes["structures.families"] = Change(
            "structures.families", dict(adaptation.families), "parameter adaptation.families"
        )
    for name, limits in (found or {}).items():
        known = changes[name].value if name in changes else limits
        both = max(limits[0], known[0]), min(limits[1], known[1])
        changes[name] = Change(
            name, both if both[0] <= both[1] else limits, "search among simulated candidates"
        )
    raw = parameters.model_dump() | {"n_images": adaptation.n_images}
    for change in changes.values():
        group, name = change.name.split(".")
        raw[group][name] = change.value
    changes |= {change.name: change for change in _cut_to_size(raw)}
    narrowed = SynthesisParameters.model_validate(raw)
    return Narrowed(narrowed, _table(parameters, narrowed, changes))


def _known(conditions: Sequence[Conditions], name: str) -> list[float]:
    """Values of the micrographs in which a quantity is known."""
    values = [float(getattr(item, name)) for item in conditions]
    return [value for value in values if math.isfinite(value)]


def _image_scale(
    parameters: SynthesisParameters, conditions: Sequence[Conditions], margins: Margins, _: float
) -> Iterator[Change]:
    """Pixel size of specimens, and the zoom of their images below it."""
    values, margin = _known(conditions, "sampling"), margins.sampling
    yield Change("detector.sampling", (min(values), max(values) * (1 + margin)), "sampling")
    low = max(1 - margin, parameters.detector.zoom[0])
    yield Change("detector.zoom", (low, max(low, min(1.0, parameters.detector.zoom[1]))), "sampling")


def _noise(
    _: SynthesisParameters, conditions: Sequence[Conditions], margins: Margins, contrast: float
) -> Iterator[Change]:
    """Dose: from the shot noise, or else from noise over signal and the contrast of a single layer.

    Relative to the mean squared, the density of shot noise is one over the dose.
    """
    doses = _known(conditions, "dose_per_area")
    if doses:
        limits = min(doses) / margins.dose, max(doses) * margins.dose
        yield Change("detector.dose_per_area", limits, "shot noise")
        return
    densities = [value for value in _known(conditions, "noise_density") if value > 0]
    if densities:
        is_found = math.isfinite(contrast)
        weakest, strongest = (contrast, contrast) if is_found else _LAYER_CONTRAST
        margin = margins.dose if is_found else 1.0
        limits = 1 / (max(densities) * strongest**2) / margin, margin / (min(densities) * weakest**2)
        yield Change("detector.dose_per_area", limits, "noise over signal")


def _camera(
    parameters: SynthesisParameters, conditions: Sequence[Conditions], margins: Margins, _: float
) -> Iterator[Change]:
    """Transfer of the camera and its read-out noise, from the colour of the noise."""
    known = [item for item in conditions if math.isfinite(item.noise_density)]
    if not known:
        return
    is_camera = all(item.is_camera for item in known)
    source = "colour of the noise" if is_camera else "colour of the filtered noise"
    for name, attribute in (("mtf_width", "mtf_width"), ("mtf_exponent", "mtf_exponent")):
        values = _known(known, attribute)
        limits = min(values) / (1 + margins.camera), max(values) * (1 + margins.camera)
        yield Change(f"detector.{name}", limits, source)
    floors = _known(known, "mtf_floor")
    limits = max(min(floors) - _FLOOR_ERROR, 0.0), min(max(floors) + _FLOOR_ERROR, 1.0)
    yield Change("detector.mtf_floor", limits, source)
    # All that is left of the noise at the corner of the spectrum may be read-out noise, but no more.
    rest = max(math.sqrt(_noise_share(item, _CORNER)) for item in known) * (1 + margins.others)
    low, high = parameters.detector.readout_noise
    if rest < high:
        yield Change("detector.readout_noise", (min(low, rest), rest), source)


def _noise_share(conditions: Conditions, frequency: float) -> float:
    """Return the noise at `frequency`, in Nyquist frequencies, relative to that at zero frequency."""
    transfer = modulation_transfer(
        frequency,
        floor=conditions.mtf_floor,
        width=conditions.mtf_width,
        exponent=conditions.mtf_exponent,
    )
    return float(transfer) ** 2


def _light(
    parameters: SynthesisParameters, conditions: Sequence[Conditions], margins: Margins, contrast: float
) -> Iterator[Change]:
    """Gradient, vignetting and unevenness: none up to the strongest that was measured."""
    highest = {"gradient": 0.95, "vignetting": 0.95, "unevenness": parameters.detector.unevenness[1]}
    for name, limit in highest.items():
        values = []
        for item in conditions:
            scale = item.contrast if math.isfinite(item.contrast) else contrast
            measured = abs(getattr(item, f"{name}_per_signal"))
            error = 0.0 if name == "unevenness" else 2 * item.illumination_error
            values.append(scale * ((1 + margins.others) * measured + error))
        known = [value for value in values if math.isfinite(value)]
        if known:
            yield Change(f"detector.{name}", (0.0, min(max(known), limit)), "means of clean blocks")


def _depth(
    _: SynthesisParameters, conditions: Sequence[Conditions], __: Margins, ___: float
) -> Iterator[Change]:
    """Depth of the files."""
    counts = Counter(int(item.bits) for item in conditions)
    shares = {bits: count / len(conditions) for bits, count in sorted(counts.items())}
    yield Change("detector.bits", shares, "values of the pixels")


def _faults(
    _: SynthesisParameters, conditions: Sequence[Conditions], __: Margins, ___: float
) -> Iterator[Change]:
    """Share of the images with faulty pixels: none where no micrograph has any."""
    outliers = _known(conditions, "outliers")
    if outliers:
        share = (np.count_nonzero(outliers) + 0.5) / (len(outliers) + 1) if any(outliers) else 0.0
        yield Change("detector.faulty", float(share), "outlying pixels")


def _dirt(
    _: SynthesisParameters, conditions: Sequence[Conditions], margins: Margins, __: float
) -> Iterator[Change]:
    """Share of dirty micrographs, and how much of them is covered."""
    covered = [1 - share for share in _known(conditions, "clean_share")]
    if not covered:
        return
    dirty = [share for share in covered if share >= _LEAST_DIRT]
    # Jeffreys' estimate of a share: one clean micrograph does not mean that all are clean.
    share = (len(dirty) + 0.5) / (len(covered) + 1)
    yield Change("overlays.debris", share, "share of clean area")
    if dirty:
        low, high = min(dirty) / (1 + margins.others), max(dirty) * (1 + margins.others)
        limits = tuple(float(np.clip(share, _LEAST_COVERAGE, _MOST_COVERAGE)) for share in (low, high))
        yield Change("overlays.coverage", limits, "share of clean area")


def _polarity(
    parameters: SynthesisParameters, conditions: Sequence[Conditions], energies: Mapping[float, float]
) -> Iterator[Change]:
    """Defocus of one sign, with a Cs that needs no other, where all micrographs have one polarity.

    A matched defocus comes with either polarity in equal parts, so none is matched here: the range lies
    around the best defocus at the Cs closest to zero, and Cs is cut to where that is much the same.
    """
    polarity = shared_polarity(conditions)
    if polarity in ("unknown", "mixed"):
        return
    optics, tolerance = parameters.optics, parameters.optics.defocus_error
    common = _common(energies)

    def best(Cs: float) -> FloatArray:
        """Best defocus at each common energy."""
        return np.array(
            [
                matched_defocus(_round_optics(energy, Cs, optics), bright_atoms=polarity == "bright atoms")
                for energy in common
            ]
        )

    middle = float(np.clip(0.0, *optics.Cs))
    centre = best(middle)
    alike = [
        Cs
        for Cs in (*np.linspace(*optics.Cs, _CS_STEPS), middle)
        if np.abs(best(float(Cs)) - centre).max() <= tolerance
    ]
    low, high = centre.min() - _DEFOCUS_ERRORS * tolerance, centre.max() + _DEFOCUS_ERRORS * tolerance
    yield Change("optics.matched", 0.0, "sign of the skewness")
    yield Change("optics.defocus", (float(low), float(high)), "sign of the skewness")
    yield Change("optics.Cs", (float(min(alike)), float(max(alike))), "sign of the skewness")


def _common(energies: Mapping[float, float]) -> list[float]:
    """Energies that are frequent enough to decide a range."""
    least = _COMMON * sum(energies.values())
    return [energy for energy, weight in energies.items() if weight >= least]


def _round_optics(energy: float, Cs: float, ranges: OpticsRanges) -> Optics:
    """Optics in the middle of the ranges that matter for the best defocus."""
    return Optics(
        energy=energy,
        defocus=0.0,
        Cs=Cs,
        focal_spread=sum(ranges.focal_spread) / 2,
        angular_spread=sum(ranges.angular_spread) / 2,
        semiangle_cutoff=1e3 * wavelength(energy) * ranges.aperture[1],
    )


def _energy(conditions: Sequence[Conditions], adaptation: AdaptationParameters) -> Iterator[Change]:
    """Energy, which no image tells."""
    if adaptation.energy is not None:
        yield Change("optics.energies", {adaptation.energy: 1.0}, "parameter adaptation.energy")
        return
    stated = Counter(_known(conditions, "energy"))
    if stated:
        shares = {energy: count / stated.total() for energy, count in sorted(stated.items())}
        yield Change("optics.energies", shares, "metadata of the files")


def _resolution(
    parameters: SynthesisParameters, conditions: Sequence[Conditions], energies: Mapping[float, float]
) -> Iterator[Change]:
    """Aperture and coherence: signal at the information limit must have passed them.

    Only the best micrograph counts: that another one has no signal there may be its dose or its specimen.
    """
    limits = _known(conditions, "information_limit")
    if not limits:
        return
    limit, optics = max(limits), parameters.optics
    if limit > optics.aperture[0]:
        value = (limit, max(limit, optics.aperture[1]))
        yield Change("optics.aperture", value, "information limit")
    decay = -math.log(_LEAST_ENVELOPE)
    shortest = min(wavelength(energy) for energy in _common(energies))
    widest = {
        "focal_spread": 2 * math.sqrt(decay) / (math.pi * shortest * limit**2),
        "vibration": math.sqrt(decay / 2) / (math.pi * limit),
    }
    for name, most in widest.items():
        if most < getattr(optics, name)[1]:
            yield Change(f"optics.{name}", _at_most(getattr(optics, name), most), "information limit")


def _cut_to_size(raw: dict[str, Any]) -> Iterator[Change]:
    """Cut pores to the field and the aperture to the frequencies of the pixels."""
    detector = raw["detector"]
    highest = min(WAVE_BAND, 0.5 / detector["sampling"][1] * (1 - 1e-9))
    if raw["optics"]["aperture"][1] > highest:
        value = _at_most(raw["optics"]["aperture"], highest)
        raw["optics"]["aperture"] = value
        yield Change("optics.aperture", value, "Nyquist frequency")
    widest = min(detector["shape"]) * detector["sampling"][1] / 2 * (1 - 1e-9)
    if raw["pores"]["radius"][1] > widest:
        value = _at_most(raw["pores"]["radius"], widest)
        raw["pores"]["radius"] = value
        yield Change("pores.radius", value, "size of the field")


def _at_most(limits: Range, highest: float) -> Range:
    """Cut a range at its upper end."""
    return min(limits[0], highest), min(limits[1], highest)


def _table(
    base: SynthesisParameters, matched: SynthesisParameters, changes: Mapping[str, Change]
) -> pd.DataFrame:
    """List what changed."""
    rows = []
    for change in changes.values():
        group, name = change.name.split(".")
        before, after = (getattr(getattr(item, group), name) for item in (base, matched))
        rows.append(
            {
                "parameter": change.name,
                "base": _as_text(before),
                "matched": _as_text(after),
                "source": change.source,
            }
        )
    return pd.DataFrame(rows, columns=["parameter", "base", "matched", "source"])


def _as_text(value: Any) -> str:
    """Put a range, a share or relative frequencies into words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_as_text(item)}" for key, item in value.items())
    if isinstance(value, tuple):
        return " … ".join(_as_text(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
