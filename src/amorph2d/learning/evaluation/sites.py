"""How well a network finds sites, and what its confidences are worth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import BoolArray, FloatArray
from amorph2d.imaging.simulated import SimulatedImage, in_units_of_carbon
from amorph2d.learning.batches import true_sites
from amorph2d.learning.config import EvaluationParameters
from amorph2d.learning.evaluation.reliability import (
    CONFIDENCES,
    calibration_error,
    confidence_reliability,
    coverage,
    error_by_confidence,
    probability_by_confidence,
    sigma_reliability,
)
from amorph2d.learning.evaluation.rings import count_rings, lie_in, ring_fraction_error
from amorph2d.learning.evaluation.tables import (
    RELIABILITY_COLUMNS,
    Evaluation,
    conditions_of,
    group_images,
    share,
    total_images,
)
from amorph2d.learning.storage import TrainedNetwork
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.locate import locate_sites
from amorph2d.localisation.matching import match_points

Place = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class JudgedSites:
    """The sites of one kind that were found in an image, as far as they count.

    Attributes
    ----------
    confidence
        Confidence of each, (N,).
    sigma
        Predicted error per axis of each, (N,) [Å].
    is_true
        Whether each is matched with a true site, (N,).
    errors
        Found less true position of those that are, (n_matched, 2) [Å].
    n_true
        Number of true sites.
    """

    confidence: FloatArray
    sigma: FloatArray
    is_true: BoolArray
    errors: FloatArray
    n_true: int

    @property
    def squared_distances(self) -> FloatArray:
        """Of the matched pairs, (n_matched,) [Å²]."""
        return np.asarray((self.errors**2).sum(axis=1))


def judge_sites(found: pd.DataFrame, true: FloatArray, *, window: Place, max_distance: float) -> JudgedSites:
    """Match found to true sites and tell which are right; the same counts as `score_sites`.

    Parameters
    ----------
    found
        One row per site: x, y, sigma [Å] and confidence.
    true
        True positions, (M, 2) [Å].
    window
        Where sites count, (x0, y0, x1, y1) [Å]. All are matched first, and a pair counts where its true site
        lies.
    max_distance
        Largest distance of a pair [Å].
    """
    points = found[["x", "y"]].to_numpy(np.float64)
    pairs = match_points(points, true, max_distance=max_distance).pairs
    is_wanted = lie_in(true, window)
    is_paired = np.zeros(len(points), dtype=bool)
    is_paired[pairs[:, 0]] = True
    pairs = pairs[is_wanted[pairs[:, 1]]]
    is_true = np.zeros(len(points), dtype=bool)
    is_true[pairs[:, 0]] = True
    counts = is_true | (~is_paired & lie_in(points, window))
    return JudgedSites(
        confidence=found["confidence"].to_numpy(np.float64)[counts],
        sigma=found["sigma"].to_numpy(np.float64)[counts],
        is_true=is_true[counts],
        errors=points[pairs[:, 0]] - true[pairs[:, 1]],
        n_true=int(is_wanted.sum()),
    )


def evaluate_sites(
    network: TrainedNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> Evaluation:
    """Locate the sites of images with known truth and score them.

    Parameters
    ----------
    network
        The network; it must have thresholds of its own unless `localisation` gives them.
    images
        Images that it was neither trained nor calibrated on; taken one by one.
    localisation
        How sites are located.
    evaluation
        How they are scored.

    Returns
    -------
    Evaluation
        Lengths are in units of carbon. Counts of an image: n_true, n_predicted, n_matched,
        sum_squared_distance [Å²]; on the row of the channel atom, of the matched atoms of an image whose
        Cramér–Rao bound is known, sum_squared_bound and sum_squared_distance_bounded [Å²]; on that of the
        channel ring, the rings by size, n_true_4 … n_true_8, n_true_other and n_found_4 … n_found_other, see
        `count_rings`. Where they do not belong these are 0.

        Ratios: precision, recall, f1, rmse, both axes together [Å], rmse_over_bound, per axis, and
        ring_fraction_error, the largest difference between the found and the true share of a ring size; NaN
        where they are undefined. Totals have calibration_error, within_1_sigma and within_2_sigma as well.

    Raises
    ------
    ValueError
        If there is no image or no threshold.
    """
    rows: list[dict[str, Any]] = []
    judged: dict[str, list[JudgedSites]] = {channel: [] for channel in network.config.channels}
    for image in images:
        scaled = in_units_of_carbon(image)
        found = _locate(scaled, network, localisation)
        conditions = conditions_of(scaled, window=network.config.normalisation_window)
        conditions["bound"] = _bound_of(image)
        rings = count_rings(scaled, found, window=_window(scaled, evaluation.border))
        for channel in judged:
            sites = _judge(found, channel, scaled, evaluation)
            judged[channel].append(sites)
            counts = _counts_of(sites, conditions["bound"] if channel == "atom" else math.nan)
            counts |= rings if channel == "ring" else dict.fromkeys(rings, 0)
            rows.append({"index": scaled.index, "channel": channel, **conditions, **counts})
    if not rows:
        raise ValueError("images must hold at least one image, got none")
    table = pd.DataFrame(rows)
    reliability, summary = _hold_against_truth(judged, n_bins=evaluation.bins)
    return Evaluation(
        images=table,
        totals=total_images(table, ratios=site_ratios).merge(summary, on="channel"),
        groups=group_images(table, edges=evaluation.edges, ratios=site_ratios),
        reliability=reliability,
    )


def site_ratios(counts: pd.DataFrame) -> pd.DataFrame:
    """Form the ratios of summed counts: the columns named in `evaluate_sites`.

    References
    ----------
    Kay, Fundamentals of Statistical Signal Processing: Estimation Theory (1993), chapter 3: no unbiased
    estimate of a position has a smaller root-mean-square error than the Cramér–Rao bound.
    """
    n_true, n_predicted, n_matched = (counts[f"n_{name}"] for name in ("true", "predicted", "matched"))
    per_axis = counts["sum_squared_distance_bounded"] / 2
    return pd.DataFrame(
        {
            "precision": share(n_matched, n_predicted),
            "recall": share(n_matched, n_true),
            "f1": share(2 * n_matched, n_predicted + n_true),
            "rmse": np.sqrt(share(counts["sum_squared_distance"], n_matched)),
            "rmse_over_bound": np.sqrt(share(per_axis, counts["sum_squared_bound"])),
            "ring_fraction_error": ring_fraction_error(counts),
        },
        index=counts.index,
    )


def calibrate_sites(
    network: TrainedNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> TrainedNetwork:
    """Give a network the thresholds, probabilities and position errors found on images with known truth.

    Parameters
    ----------
    network
        The network; a calibration that it has is replaced.
    images
        Images that were not trained on, and are not used to evaluate.
    localisation
        How sites are located; its thresholds are not used.
    evaluation
        How they are scored; has the thresholds to choose from.

    Returns
    -------
    TrainedNetwork
        The network with three more metadata. All of them take the raw confidence, the height of a peak:
        ``thresholds``, for each kind the one with the best F1 of readable images; ``confidence``, rising
        values ``raw`` and for each kind the probability that a site is true, never falling; ``sigma``, rising
        values ``confidence`` and for each kind in ``sigma`` the root-mean-square error per axis, never
        rising [Å].

    Raises
    ------
    ValueError
        If no true site of some kind is found, or there is no image.
    """
    channels = network.config.channels
    least = {channel: float(min(evaluation.thresholds)) for channel in channels}
    bare = replace(network, metadata={k: v for k, v in network.metadata.items() if k != "confidence"})
    located = [
        _Located(_locate(image, bare, localisation.model_copy(update={"thresholds": least})), image)
        for image in map(in_units_of_carbon, images)
    ]
    if not located:
        raise ValueError("images must hold at least one image, got none")
    thresholds, probabilities, sigmas = {}, {}, {}
    for channel in channels:
        thresholds[channel] = _best_threshold(located, channel, evaluation)
        sites = _join(_judge_above(located, channel, thresholds[channel], evaluation))
        if not sites.is_true.any():
            raise ValueError(
                f"no site of the kind {channel!r} was found: the network is not trained enough to be used"
            )
        errors = error_by_confidence(
            sites.confidence[sites.is_true], sites.squared_distances, n_bins=evaluation.bins
        )
        sigmas[channel] = errors.tolist()
        everything = _join(_judge_above(located, channel, 0.0, evaluation))
        probabilities[channel] = probability_by_confidence(everything.confidence, everything.is_true).tolist()
    grid = CONFIDENCES.tolist()
    calibration = {
        "thresholds": thresholds,
        "confidence": {"raw": grid, **probabilities},
        "sigma": {"confidence": grid, "sigma": sigmas},
    }
    return replace(network, metadata={**network.metadata, **calibration})


@dataclass(frozen=True, eq=False)
class _Located:
    """What was found in an image, and the image."""

    found: pd.DataFrame
    image: SimulatedImage


def _locate(
    image: SimulatedImage, network: TrainedNetwork, localisation: LocalisationParameters
) -> pd.DataFrame:
    sampling = (image.sampling, image.sampling)
    return locate_sites(image.image, sampling=sampling, network=network, parameters=localisation)


def _judge(
    found: pd.DataFrame,
    channel: str,
    image: SimulatedImage,
    evaluation: EvaluationParameters,
    threshold: float = -math.inf,
) -> JudgedSites:
    """Judge the sites of one kind above a threshold."""
    kept = found[(found["kind"] == channel) & (found["confidence"] > threshold)]
    return judge_sites(
        kept,
        true_sites(image, channel),
        window=_window(image, evaluation.border),
        max_distance=evaluation.max_distance,
    )


def _window(image: SimulatedImage, border: float) -> Place:
    """Where sites count, (x0, y0, x1, y1) [Å]."""
    height, width = ((size - 1) * image.sampling for size in image.image.shape)
    return border, border, width - border, height - border


def _bound_of(image: SimulatedImage) -> float:
    """Return the Cramér–Rao bound of an image's atoms per axis [Å], NaN where it is not known."""
    from amorph2d.imaging.bounds import image_bound

    try:
        bound = image_bound(image)
    except KeyError:  # the recipe does not name the optics
        return math.nan
    return bound if math.isfinite(bound) else math.nan


def _counts_of(sites: JudgedSites, bound: float) -> dict[str, float]:
    """Return what adds up of the judged sites of one image."""
    n_matched, squares = len(sites.errors), float(sites.squared_distances.sum())
    is_bounded = not math.isnan(bound)
    return {
        "n_true": sites.n_true,
        "n_predicted": len(sites.is_true),
        "n_matched": n_matched,
        "sum_squared_distance": squares,
        "sum_squared_bound": n_matched * bound**2 if is_bounded else 0.0,
        "sum_squared_distance_bounded": squares if is_bounded else 0.0,
    }


def _hold_against_truth(
    judged: Mapping[str, Sequence[JudgedSites]], *, n_bins: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the reliability of each channel, and what sums it up."""
    tables, rows = [], []
    for channel, parts in judged.items():
        sites = _join(parts)
        sigma, errors = sites.sigma[sites.is_true], sites.errors
        has_sigma = np.isfinite(sigma)
        sigma, errors = sigma[has_sigma], errors[has_sigma]
        confidences = confidence_reliability(sites.confidence, sites.is_true, n_bins=n_bins)
        sigmas = sigma_reliability(sigma, errors, n_bins=n_bins)
        for quantity, table in (("confidence", confidences), ("sigma", sigmas)):
            tables.append(table.assign(channel=channel, quantity=quantity))
        row = {"channel": channel, "calibration_error": calibration_error(confidences)}
        rows.append(row | {f"within_{n}_sigma": coverage(sigma, errors, n_sigma=n) for n in (1, 2)})
    return pd.concat(tables, ignore_index=True)[list(RELIABILITY_COLUMNS)], pd.DataFrame(rows)


def _join(parts: Iterable[JudgedSites]) -> JudgedSites:
    """Return the judged sites of all images as one."""
    parts = list(parts)
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("confidence", "sigma", "is_true", "errors")
    }
    return JudgedSites(**arrays, n_true=sum(part.n_true for part in parts))


def _judge_above(
    located: Sequence[_Located], channel: str, threshold: float, evaluation: EvaluationParameters
) -> Iterator[JudgedSites]:
    for each in located:
        yield _judge(each.found, channel, each.image, evaluation, threshold)


def _best_threshold(located: Sequence[_Located], channel: str, evaluation: EvaluationParameters) -> float:
    """Return the candidate with the best F1 of the readable images; of equal ones the first.

    The best threshold rises the less there is to be seen, so hopeless images would cost those that can be
    read some of their sites.
    """
    counts = np.zeros((len(evaluation.thresholds), len(located), 2))
    for row, threshold in zip(counts, evaluation.thresholds, strict=True):
        for both, sites in zip(row, _judge_above(located, channel, threshold, evaluation), strict=True):
            both[:] = 2 * len(sites.errors), len(sites.is_true) + sites.n_true
    is_readable = _f1(counts).max(axis=0) >= evaluation.readable
    chosen = counts[:, is_readable] if is_readable.any() else counts
    return float(evaluation.thresholds[int(np.argmax(_f1(chosen.sum(axis=1))))])


def _f1(counts: FloatArray) -> FloatArray:
    """Divide twice the matched by all sites, (..., 2); 0 where there is none."""
    twice, n_sites = counts[..., 0], counts[..., 1]
    return np.divide(twice, n_sites, out=np.zeros(twice.shape), where=n_sites > 0)
