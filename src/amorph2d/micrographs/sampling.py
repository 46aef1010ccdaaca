"""The sampling of a micrograph that states none, from its spectrum and the network located in it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array
from amorph2d.micrographs.crops import clean_part, crop_for_estimate
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.lattice import Lattice, fit_lattice
from amorph2d.micrographs.located import NetworkCheck, check_network
from amorph2d.micrographs.spectrum import (
    LIMITS,
    Candidate,
    Profile,
    first_order_share,
    middle,
    power_of,
    radial_profile,
    rank_candidates,
    scaled_limits,
)
from amorph2d.units import Sampling, as_sampling

Locate = Callable[[Float32Array, float], pd.DataFrame]
"""Locates the sites of an image, (rows, columns), of a sampling [Å/px]: the columns kind, x, y [Å]."""

_TOLERANCE = 0.15
_TURNS = 4  # of locating at a better sampling
_SETTLED = 0.008
_SAME = 0.08  # candidates closer than this are one
_CONVINCING = 0.3
_CLEAR = 0.6  # a score from which on no other sampling is looked for
_NETWORK_ERROR = 0.01  # of a sampling from bonds, relative, beside their spread
_MISFIT = 0.1  # deviation of the bonds from the expected ones that a score falls off with
_AGREEMENT = 0.03  # deviation up to which a reciprocal lattice is that of the located network
_LEAST_PEAKS = 3
_BOTH_ORDERS = 5  # peaks from which on a lattice needs no located network
_FIRST_ORDER = 0.5  # share below which a bare lattice may be that of second reflections
_BARE_CONFIDENCE = 0.7  # in a lattice in which no convincing network is located
_PROBED = 0.06  # logarithmic distance of samplings at which bonds are measured again
_LEAST_SLOPE = 0.3  # of the logarithm of the located bonds
_CRYSTALLINE = 0.6  # share of the power in the peaks of one lattice
_CHANCE_SCORE = 0.15  # of networks located where there are none


@dataclass(frozen=True)
class SamplingEstimate:
    """A sampling estimated from an image.

    Attributes
    ----------
    sampling
        Of pixels as high as wide [Å/px].
    error
        One standard error [Å/px].
    confidence
        How sure it is that this candidate is right, 0 … 1.
    candidates
        What was tried: (sampling [Å/px], score 0 … 1 of the network located with it), best first.
    method
        How the value was found, in words.
    """

    sampling: float
    error: float
    confidence: float
    candidates: tuple[tuple[float, float], ...]
    method: str


@dataclass(frozen=True)
class _Trial:
    """A sampling at which the located bonds have the expected length, as far as that could be reached."""

    sampling: float
    score: float
    error: float


def estimate_sampling(
    image: ArrayLike, *, bond_length: float, locate: Locate, limits: tuple[float, float] = LIMITS
) -> SamplingEstimate:
    """Estimate the sampling of an image of a network with three bonds at each atom.

    The candidates of `spectrum_candidates` are tried one by one: the network's sites are located, and the
    sampling is changed until their bonds have the expected length. That with the most self-consistent sites
    wins. Where the spectrum has the peaks of a crystal, its reciprocal lattice refines the value; with the
    peaks of two orders it is enough even where the network is not located well.

    Parameters
    ----------
    image
        Intensities, (rows, columns), at least 64 px a side, with square pixels; of a large one a part is
        used.
    bond_length
        Typical bond length of the material [Å].
    locate
        Locates sites; called with a part of the image and its sampling [Å/px], several times.
    limits
        Lowest and highest sampling for bonds of 1.42 Å [Å/px]; scaled with `bond_length`.

    Raises
    ------
    MicrographError
        If the image is too small or has no contrast, or no sampling is convincing; then the message says
        what was tried and how to give the sampling.
    ValueError
        If `bond_length` or `limits` are not valid.
    """
    low, high = scaled_limits(bond_length, limits)
    part = crop_for_estimate(image, bond_length=bond_length)
    allowed = 0.97 * low, 1.03 * high
    profile = radial_profile(power_of(middle(part)))
    candidates = rank_candidates(profile, bond_length, (low, high))
    trials: list[_Trial] = []
    for candidate in candidates:
        if not _is_tried(candidate.sampling, trials):
            trial = _try(part, candidate.sampling, bond_length, locate, allowed)
            share = first_order_share(profile, trial.sampling, bond_length)
            trials.append(replace(trial, score=share * trial.score))
        if max(trial.score for trial in trials) > _CLEAR:
            break
    ranked = _distinct(trials)
    tried = tuple((trial.sampling, trial.score) for trial in ranked)
    if ranked and ranked[0].score >= _CONVINCING:
        settled = _settled(part, ranked[0], bond_length, locate)
        value, error, method = _refined(part, settled, bond_length)
        return SamplingEstimate(value, error, _confidence(ranked), tried, method)
    lattice = _bare_lattice(part, profile, candidates, bond_length)
    if lattice is None:
        raise MicrographError(_not_convincing(ranked, candidates, (low, high)))
    error = math.hypot(lattice.error, _NETWORK_ERROR * lattice.sampling)
    return SamplingEstimate(lattice.sampling, error, _BARE_CONFIDENCE, tried, "reciprocal lattice")


def check_sampling(stated: Sampling, estimate: SamplingEstimate) -> str | None:
    """Compare a stated sampling with an estimate; return a warning, or None.

    Parameters
    ----------
    stated
        One value or (y, x) [Å/px].
    estimate
        From the image.

    Returns
    -------
    str or None
        A warning that names both where they differ by more than 15 %.

    Raises
    ------
    ValueError
        If `stated` is not positive.
    """
    value = math.sqrt(math.prod(as_sampling(stated)))
    deviation = estimate.sampling / value - 1
    if abs(deviation) <= _TOLERANCE:
        return None
    return (
        f"the stated sampling of {value:.4g} Å/px contradicts the image, whose {estimate.method} means "
        f"{estimate.sampling:.4g} ± {estimate.error:.1g} Å/px ({100 * deviation:+.0f} %, confidence "
        f"{estimate.confidence:.2f}); check the calibration"
    )


def _try(
    part: Float32Array, sampling: float, bond_length: float, locate: Locate, allowed: tuple[float, float]
) -> _Trial:
    """Locate sites at a sampling, and again at the one that their bonds mean, until it settles."""
    best = _Trial(sampling, 0.0, 0.0)
    for _ in range(_TURNS):
        check, deviation = _measure(part, sampling, bond_length, locate)
        if check.score == 0:
            break
        score = check.score * math.exp(-0.5 * (deviation / _MISFIT) ** 2)
        if score > best.score or abs(deviation) < _SETTLED:
            error = sampling * math.hypot(check.error / check.bond_length, _NETWORK_ERROR, deviation / 4)
            best = _Trial(sampling * math.exp(deviation), score, error)
        following = sampling * math.exp(deviation)
        if abs(deviation) < _SETTLED or not allowed[0] <= following <= allowed[1]:
            break
        sampling = following
    if best.score == 0:
        return best
    return replace(best, error=best.error / math.sqrt(best.score))


def _measure(
    part: Float32Array, sampling: float, bond_length: float, locate: Locate
) -> tuple[NetworkCheck, float]:
    """Check the network located at a sampling, and return how far its bonds are from the expected ones."""
    cut = clean_part(part, sampling, bond_length)
    extent = cut.shape[0] * sampling, cut.shape[1] * sampling
    check = check_network(locate(cut, sampling), extent, bond_length=bond_length)
    return check, math.log(bond_length / check.bond_length) if check.score > 0 else math.nan


def _settled(part: Float32Array, trial: _Trial, bond_length: float, locate: Locate) -> _Trial:
    """Find the sampling of a trial again from the bonds located around it.

    A network draws noisy sites towards the spacings that it was trained with, so its bonds follow the
    sampling only in part, and a single measurement settles too early.
    """
    shifts = np.array([-_PROBED, 0.0, _PROBED])
    deviations = np.array(
        [_measure(part, trial.sampling * math.exp(shift), bond_length, locate)[1] for shift in shifts]
    )
    if np.isnan(deviations).any():
        return trial
    slope = max(-float(np.polyfit(shifts, deviations, 1)[0]), _LEAST_SLOPE)
    shift = float(np.clip(deviations.mean() / slope, -_PROBED / 2, _PROBED / 2))
    error = math.hypot(trial.error, trial.sampling * _NETWORK_ERROR * (1 / min(slope, 1.0) - 1))
    return replace(trial, sampling=trial.sampling * math.exp(shift), error=error)


def _is_tried(sampling: float, trials: list[_Trial]) -> bool:
    """Say whether a trial ended close to a sampling."""
    return any(trial.score > 0 and abs(math.log(sampling / trial.sampling)) < _SAME for trial in trials)


def _distinct(trials: list[_Trial]) -> list[_Trial]:
    """Sort trials by score, and leave out those that ended where a better one did."""
    kept: list[_Trial] = []
    for trial in sorted(trials, key=lambda trial: -trial.score):
        if all(abs(math.log(trial.sampling / other.sampling)) > _SAME for other in kept):
            kept.append(trial)
    return kept


def _refined(part: Float32Array, trial: _Trial, bond_length: float) -> tuple[float, float, str]:
    """Combine a trial with the reciprocal lattice, if there is one that agrees."""
    lattice = fit_lattice(part, trial.sampling, spacing=bond_length)
    if lattice is None or not _agrees(lattice, trial):
        return trial.sampling, trial.error, "located network"
    weights = np.array([trial.error, lattice.error]) ** -2.0
    value = float(np.average([trial.sampling, lattice.sampling], weights=weights))
    return value, float(weights.sum() ** -0.5), "located network and reciprocal lattice"


def _agrees(lattice: Lattice, trial: _Trial) -> bool:
    """Say whether a reciprocal lattice is a crystal's and that of a located network."""
    is_crystal = lattice.n_peaks >= _LEAST_PEAKS and lattice.share > _CRYSTALLINE
    return is_crystal and abs(lattice.sampling / trial.sampling - 1) < _AGREEMENT


def _bare_lattice(
    part: Float32Array, profile: Profile, candidates: list[Candidate], bond_length: float
) -> Lattice | None:
    """Return the reciprocal lattice of the best candidate if it has first and second reflections."""
    if not candidates:
        return None
    lattice = fit_lattice(part, candidates[0].sampling, spacing=bond_length)
    if lattice is None or lattice.n_peaks < _BOTH_ORDERS or lattice.share < _CRYSTALLINE:
        return None
    is_first = first_order_share(profile, lattice.sampling, bond_length) > _FIRST_ORDER
    return lattice if is_first else None


def _confidence(ranked: list[_Trial]) -> float:
    """Compare the score of the best candidate with the others', and with what chance reaches."""
    others = sum(trial.score**2 for trial in ranked[1:2]) + _CHANCE_SCORE**2
    return ranked[0].score ** 2 / (ranked[0].score ** 2 + others)


def _not_convincing(ranked: list[_Trial], candidates: list[Candidate], limits: tuple[float, float]) -> str:
    """Say what was tried and what to do."""
    tried = ", ".join(f"{each.sampling:.3g}" for each in candidates)
    what = f"at none of the spectrum's candidates ({tried} Å/px) is there a convincing network"
    if ranked:
        best = f"{ranked[0].sampling:.3g} Å/px, scores {ranked[0].score:.2f} of at least {_CONVINCING:g}"
        what += f"; the best, at {best}"
    if not candidates:
        what = "its spectrum has no rings or peaks of a network"
    return (
        f"the sampling could not be estimated from the image: {what} (tried {limits[0]:.3g} to "
        f"{limits[1]:.3g} Å/px). Give the sampling in Å/px in one of three ways: the parameter sampling, a "
        "line 'name of the file,sampling' in sampling.csv next to it, or a calibration with a unit of "
        "length in the file itself"
    )
