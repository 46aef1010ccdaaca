"""What the conditions of a micrograph leave open, found among simulated candidates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from amorph2d.arrays import BoolArray, FloatArray, as_records
from amorph2d.imaging.adaptation.compare import Appearance, appearance, grey_value_distance
from amorph2d.imaging.adaptation.conditions import measure_conditions
from amorph2d.imaging.adaptation.config import ComparisonParameters, SearchParameters
from amorph2d.imaging.config import SynthesisParameters
from amorph2d.imaging.simulated import SimulatedImage

SEARCHED = {
    "defocus": "optics.defocus",
    "focal_spread": "optics.focal_spread",
    "vibration": "optics.vibration",
    "drift": "optics.drift",
    "astigmatism": "optics.astigmatism",
    "trefoil": "optics.trefoil",
    "coma": "optics.coma",
    "angular_spread": "optics.angular_spread",
    "Cs": "optics.Cs",
    "C5": "optics.C5",
}
"""Columns of a recipe that a search may narrow, and the parameters that they are drawn from."""

CRYSTAL, AMORPHOUS = "graphene", "relaxed"
_SEED = 7  # between the seeds of the set and of the candidates
_STRUCTURE = 1.05  # frequency beyond which spectra are a matter of the dose [1/Å]
_LEAST_SIDE = 128  # of a candidate [px]
_KEPT = 0.05, 0.95  # quantiles of the accepted candidates that the new range spans


@dataclass(frozen=True, eq=False)
class Found:
    """Result of a search.

    Attributes
    ----------
    ranges
        Narrowed ranges by name of the parameter, as ``optics.focal_spread``.
    contrast
        Median contrast of the accepted candidates: standard deviation relative to the mean; NaN without any.
    candidates
        One row per candidate: its recipe's searched columns, ``distance`` and ``is_accepted``.
    """

    ranges: dict[str, tuple[float, float]]
    contrast: float
    candidates: pd.DataFrame


def candidate_parameters(
    parameters: SynthesisParameters, search: SearchParameters, *, family: str
) -> SynthesisParameters:
    """Return parameters whose images are the candidates of a search.

    All candidates show one clean sheet at the most frequent energy, so that they share its exit wave;
    optics and detector are drawn from the ranges of `parameters`.
    """
    raw = parameters.model_dump()
    raw |= {"n_images": search.n_candidates, "images_per_specimen": search.n_candidates}
    raw |= {"images_per_shard": search.n_candidates, "seed": (parameters.seed + _SEED) % 2**32}
    bond_length = sum(parameters.structures.bond_length) / 2
    raw["structures"] |= {
        "families": {family: 1.0},
        "bond_length": (bond_length, bond_length),
        "strain": (0.0, 0.0),
        "tilted": 0.0,
    }
    raw["defects"] |= {"probability": 0.0, "doped": 0.0}
    raw["pores"] |= {"probability": 0.0, "open": 0.0}
    raw["overlays"] |= {"layer": 0.0, "debris": 0.0, "adatoms": 0.0}
    energies = parameters.optics.energies
    raw["optics"]["energies"] = {max(energies, key=lambda energy: energies[energy]): 1.0}
    finest = parameters.detector.sampling[0] * parameters.detector.zoom[0]
    side = max(math.ceil(search.field / finest), _LEAST_SIDE)
    raw["detector"] |= {"shape": (side, side), "bits": {0: 1.0}, "faulty": 0.0}
    widest = 0.49 * side * parameters.detector.sampling[1]
    raw["pores"]["radius"] = tuple(min(edge, widest) for edge in raw["pores"]["radius"])
    return SynthesisParameters.model_validate(raw)


def search_conditions(
    measured: Sequence[Appearance],
    parameters: SynthesisParameters,
    *,
    search: SearchParameters,
    comparison: ComparisonParameters,
    is_crystal: bool,
) -> Found:
    """Narrow what the conditions leave open by simulating candidates and keeping those that look alike.

    Candidates are drawn from `parameters`; the share of them whose normalised spectrum and grey values are
    closest to one of the micrographs is accepted. The range of a parameter is narrowed to that of the
    accepted ones where these differ from the others (Kolmogorov and Smirnov), or the distance follows the
    parameter (Spearman), more than chance allows.

    Parameters
    ----------
    measured
        Appearance of the clean area of each micrograph.
    parameters
        Parameters narrowed to the conditions of the micrographs.
    search, comparison
        How many candidates, and how they are compared.
    is_crystal
        Whether candidates are graphene, or else amorphous carbon.

    Returns
    -------
    Found
        Nothing is narrowed with no candidates.

    References
    ----------
    J. K. Pritchard et al., Mol. Biol. Evol. 16, 1791 (1999), doi:10.1093/oxfordjournals.molbev.a026091:
    rejection by a distance of summary statistics (approximate Bayesian computation).
    """
    if search.n_candidates == 0:
        return Found({}, math.nan, pd.DataFrame(columns=[*SEARCHED, "distance", "is_accepted"]))
    from amorph2d.imaging.recipes import draw_recipes
    from amorph2d.imaging.simulate import simulate_images

    drawn = candidate_parameters(parameters, search, family=CRYSTAL if is_crystal else AMORPHOUS)
    recipes = draw_recipes(drawn)
    images = list(simulate_images(as_records(recipes)))
    distances = np.array([_distance(image, measured, comparison) for image in images])
    is_accepted = _accepted(distances, search.accepted)
    candidates = recipes[list(SEARCHED)].assign(distance=distances.min(axis=1), is_accepted=is_accepted)
    # The range of the defocus counts where it is not matched.
    idle = {"defocus"} if parameters.optics.matched > 0 else set()
    ranges = {
        parameter: narrowed
        for name, parameter in SEARCHED.items()
        if name not in idle
        and (narrowed := _narrowed(candidates[name].to_numpy(), candidates, search.significance))
    }
    contrasts = [_contrast(image) for image, accepted in zip(images, is_accepted, strict=True) if accepted]
    return Found(ranges, float(np.nanmedian(contrasts)), candidates)


def _distance(
    image: SimulatedImage, measured: Sequence[Appearance], comparison: ComparisonParameters
) -> FloatArray:
    """Distance of a candidate to each micrograph: of what stands out of the noise, and of the grey values."""
    own = appearance(image.image, image.sampling, comparison=comparison)
    return np.array([structure_distance(item, own) + grey_value_distance(item, own) for item in measured])


def structure_distance(measured: Appearance, other: Appearance) -> float:
    """Return the root mean square of log(measured / other) below 1.05 1/Å, the noise added to both.

    The noise is a matter of the dose, which follows from other quantities: what it buries must not count.
    """
    density, is_structure = measured.density, measured.frequency <= _STRUCTURE
    beyond = density[~is_structure & np.isfinite(density)]
    noise = float(np.median(beyond) if beyond.size else np.nanmin(density))
    ratio = np.log((density + noise) / (other.density + noise))[is_structure]
    return float(np.sqrt(np.nanmean(ratio**2)))


def _contrast(image: SimulatedImage) -> float:
    """Return the signal's standard deviation relative to the mean, as `measure_conditions` has it."""
    return measure_conditions(image.image, sampling=image.sampling).contrast


def _accepted(distances: FloatArray, share: float) -> BoolArray:
    """Candidates, (C,), among the closest to any micrograph, from distances (C, M)."""
    n = max(3, round(share * len(distances)))
    closest = np.argsort(distances, axis=0, kind="stable")[:n]
    accepted = np.zeros(len(distances), dtype=bool)
    accepted[closest.ravel()] = True
    return accepted


def _narrowed(
    values: FloatArray, candidates: pd.DataFrame, significance: float
) -> tuple[float, float] | None:
    """Range of the accepted values where these differ from the others, or where the distance follows them."""
    from scipy.stats import ks_2samp, spearmanr

    is_accepted, distance = candidates["is_accepted"].to_numpy(), candidates["distance"].to_numpy()
    if is_accepted.all() or np.ptp(values) == 0:
        return None
    chances = (
        ks_2samp(values[is_accepted], values[~is_accepted]).pvalue,
        spearmanr(values, distance).pvalue,
    )
    if min(chances) > significance / len(chances):
        return None
    low, high = np.quantile(values[is_accepted], _KEPT)
    return float(low), float(high)
