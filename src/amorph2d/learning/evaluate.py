"""How good a fitted network is: scores by kind, dose and polarity, its thresholds and its position error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression

from amorph2d.arrays import Float32Array, FloatArray
from amorph2d.imaging.simulated import SimulatedImage, in_units_of_carbon
from amorph2d.learning.batches import true_sites
from amorph2d.learning.config import EvaluationParameters
from amorph2d.learning.storage import SiteNetwork
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.locate import locate_sites
from amorph2d.localisation.matching import match_points
from amorph2d.localisation.normalise import normalise
from amorph2d.localisation.scores import Scores, score_sites, sum_scores
from amorph2d.units import positions_to_pixels

_COUNTS = ["n_true", "n_predicted", "n_matched", "sum_squared_distance"]
_CONDITIONS = ["family", "energy", "defocus", "dose_per_area"]
_CONFIDENCES = np.linspace(0.0, 1.0, 21)


@dataclass(frozen=True, eq=False)
class EvaluationTables:
    """Scores of a network.

    Attributes
    ----------
    images
        One row per image and kind: index, kind, family, energy [eV], defocus [Å], dose_per_area [e⁻/Å²],
        polarity, n_true, n_predicted, n_matched, sum_squared_distance [Å²].
    groups
        One row per kind, dose bin (dose_low, dose_high [e⁻/Å²]) and polarity: n_images, the summed counts,
        precision, recall, f1 and rmse [Å].
    totals
        The same, one row per kind.
    """

    images: pd.DataFrame
    groups: pd.DataFrame
    totals: pd.DataFrame


def evaluate_network(
    network: SiteNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> EvaluationTables:
    """Locate the sites of images with known truth and score them.

    Parameters
    ----------
    network
        The network; it must have thresholds of its own unless `localisation` gives them.
    images
        Images that it was not trained on; taken one by one.
    localisation
        How sites are located.
    evaluation
        How they are scored.

    Returns
    -------
    EvaluationTables
        Counts of each image, and ratios of summed counts; NaN where a ratio is undefined.

    Raises
    ------
    ValueError
        If there is no image or no threshold.
    """
    rows: list[dict[str, Any]] = []
    for image, found in _locate(network, images, localisation):
        conditions = {name: image.recipe[name] for name in _CONDITIONS}
        polarity = contrast_polarity(image, window=network.config.normalisation_window)
        for kind in network.config.channels:
            scores = _score(_positions(found, kind), true_sites(image, kind), image, evaluation)
            counts = (scores.n_reference, scores.n_predicted, scores.n_matched, scores.sum_squared_distance)
            row = {"index": image.index, "kind": kind, **conditions, "polarity": polarity}
            rows.append({**row, **dict(zip(_COUNTS, counts, strict=True))})
    if not rows:
        raise ValueError("images must hold at least one image, got none")
    table = pd.DataFrame(rows)
    edges = np.array([0.0, *evaluation.dose_edges, np.inf])
    dose_bin = np.searchsorted(edges, table["dose_per_area"], side="right") - 1
    binned = table.assign(dose_low=edges[dose_bin], dose_high=edges[dose_bin + 1])
    return EvaluationTables(
        images=table,
        groups=group_scores(binned, by=["kind", "dose_low", "dose_high", "polarity"]),
        totals=group_scores(table, by=["kind"]),
    )


def group_scores(images: pd.DataFrame, *, by: Sequence[str]) -> pd.DataFrame:
    """Add up the counts of the rows that agree in the columns `by`, then form the ratios.

    Parameters
    ----------
    images
        Rows as in `EvaluationTables.images`.
    by
        Columns that define the groups.

    Returns
    -------
    pandas.DataFrame
        `by`, n_images, n_true, n_predicted, n_matched, sum_squared_distance [Å²], precision, recall, f1,
        rmse [Å].
    """
    grouped = images.groupby(list(by), sort=True)
    table = grouped[_COUNTS].sum()
    table.insert(0, "n_images", grouped.size())
    scores = [
        Scores(int(n_predicted), int(n_true), int(n_matched), float(squares))
        for n_true, n_predicted, n_matched, squares in table[_COUNTS].to_numpy()
    ]
    for name in ("precision", "recall", "f1", "rmse"):
        table[name] = [getattr(score, name) for score in scores]
    return table.reset_index()


def calibrate_network(
    network: SiteNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> SiteNetwork:
    """Give a network the thresholds and the position errors found on images with known truth.

    Parameters
    ----------
    network
        The network.
    images
        Images that were not trained on, and are not used to evaluate.
    localisation
        How sites are located; its thresholds are not used.
    evaluation
        How they are scored; has the thresholds to choose from.

    Returns
    -------
    SiteNetwork
        The network with ``metadata["thresholds"]``, the threshold with the best F1 for each kind, and
        ``metadata["sigma"]``: ``confidence``, rising, and for each kind the root-mean-square error per axis
        of sites with this confidence, never rising [Å].

    Raises
    ------
    ValueError
        If no site of some kind is found, or there is no image.
    """
    kinds = network.config.channels
    least = {kind: float(min(evaluation.thresholds)) for kind in kinds}
    located = [
        (image, found)
        for image, found in _locate(network, images, localisation.model_copy(update={"thresholds": least}))
    ]
    if not located:
        raise ValueError("images must hold at least one image, got none")
    thresholds, sigma = {}, {}
    for kind in kinds:
        thresholds[kind] = _best_threshold(located, kind, evaluation)
        confidence, squares = _matched_errors(located, kind, thresholds[kind], evaluation)
        if len(squares) == 0:
            raise ValueError(
                f"no site of the kind {kind!r} was found: the network is not trained enough to be used"
            )
        sigma[kind] = error_by_confidence(confidence, squares, n_bins=evaluation.confidence_bins).tolist()
    calibration = {"thresholds": thresholds, "sigma": {"confidence": _CONFIDENCES.tolist(), "sigma": sigma}}
    return replace(network, metadata={**network.metadata, **calibration})


def error_by_confidence(confidence: FloatArray, squared_distances: FloatArray, *, n_bins: int) -> FloatArray:
    """Return the root-mean-square error per axis at the confidences 0, 0.05 … 1, never rising.

    Parameters
    ----------
    confidence, squared_distances
        Of each matched site, (N,), N ≥ 1 [1 and Å²].
    n_bins
        Bins with equal numbers of sites; between their mean confidences the error is interpolated.

    Returns
    -------
    FloatArray
        Errors per axis, (21,) [Å].
    """
    order = np.argsort(confidence)
    bins = [members for members in np.array_split(order, n_bins) if len(members)]
    centres = np.array([confidence[members].mean() for members in bins])
    mean_squares = np.array([squared_distances[members].mean() / 2 for members in bins])
    weights = np.array([len(members) for members in bins], dtype=float)
    falling = isotonic_regression(mean_squares, weights=weights, increasing=False).x
    return np.interp(_CONFIDENCES, centres, np.sqrt(falling))


def contrast_polarity(image: SimulatedImage, *, window: float) -> str:
    """Say whether an image has ``bright atoms`` or ``dark atoms``.

    The locally normalised image at the atoms is compared with that at the ring centres, or with its mean
    where there are none.

    Parameters
    ----------
    image
        The image with its truth; without atoms it has ``no atoms``.
    window
        Gaussian sigma of the normalisation [Å].
    """
    if len(image.atoms) == 0:
        return "no atoms"
    pixels = normalise(image.image, window / image.sampling)
    rings = _values_at(pixels, image.rings, image.sampling)
    background = rings.mean() if len(rings) else 0.0
    return (
        "bright atoms"
        if _values_at(pixels, image.atoms, image.sampling).mean() > background
        else "dark atoms"
    )


def _values_at(pixels: Float32Array, positions: FloatArray, sampling: float) -> Float32Array:
    nearest = np.rint(positions_to_pixels(positions, sampling)).astype(int)
    nearest = np.clip(nearest, 0, np.array(pixels.shape) - 1)
    return pixels[nearest[:, 0], nearest[:, 1]]


def _locate(
    network: SiteNetwork, images: Iterable[SimulatedImage], localisation: LocalisationParameters
) -> Iterator[tuple[SimulatedImage, pd.DataFrame]]:
    for image in map(in_units_of_carbon, images):
        sampling = (image.sampling, image.sampling)
        yield image, locate_sites(image.image, sampling=sampling, network=network, parameters=localisation)


def _positions(found: pd.DataFrame, kind: str, threshold: float = 0.0) -> FloatArray:
    kept = found[(found["kind"] == kind) & (found["confidence"] > threshold)]
    return kept[["x", "y"]].to_numpy()


def _window(image: SimulatedImage, border: float) -> tuple[float, float, float, float]:
    """Where sites are scored, (x0, y0, x1, y1) [Å]."""
    height, width = ((size - 1) * image.sampling for size in image.image.shape)
    return border, border, width - border, height - border


def _score(
    predicted: FloatArray, true: FloatArray, image: SimulatedImage, evaluation: EvaluationParameters
) -> Scores:
    window = _window(image, evaluation.border)
    return score_sites(predicted, true, max_distance=evaluation.max_distance, window=window)


def _best_threshold(
    located: Sequence[tuple[SimulatedImage, pd.DataFrame]], kind: str, evaluation: EvaluationParameters
) -> float:
    """Return the candidate with the best F1; of equal ones the first."""
    f1 = []
    for threshold in evaluation.thresholds:
        scores = sum_scores(
            _score(_positions(found, kind, threshold), true_sites(image, kind), image, evaluation)
            for image, found in located
        )
        f1.append(0.0 if math.isnan(scores.f1) else scores.f1)
    return float(evaluation.thresholds[int(np.argmax(f1))])


def _matched_errors(
    located: Sequence[tuple[SimulatedImage, pd.DataFrame]],
    kind: str,
    threshold: float,
    evaluation: EvaluationParameters,
) -> tuple[FloatArray, FloatArray]:
    """Confidence and squared distance of the matched sites of all images."""
    confidences, squares = [], []
    for image, found in located:
        kept = found[(found["kind"] == kind) & (found["confidence"] > threshold)]
        matching = match_points(
            kept[["x", "y"]].to_numpy(), true_sites(image, kind), max_distance=evaluation.max_distance
        )
        confidences.append(kept["confidence"].to_numpy(dtype=float)[matching.pairs[:, 0]])
        squares.append(matching.distances**2)
    return np.concatenate(confidences), np.concatenate(squares)
