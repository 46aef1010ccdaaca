"""How well areas are found, pixel by pixel, and vacuum also region by region."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import isotonic_regression

from amorph2d.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from amorph2d.imaging.simulated import SimulatedImage, in_units_of_carbon
from amorph2d.learning.config import EvaluationParameters
from amorph2d.learning.evaluation.reliability import calibration_error
from amorph2d.learning.evaluation.tables import (
    RELIABILITY_COLUMNS,
    Evaluation,
    conditions_of,
    group_images,
    share,
    total_images,
)
from amorph2d.learning.storage import TrainedNetwork
from amorph2d.learning.targets import AREAS
from amorph2d.localisation.areas import area_maps, at_pixels
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.masks import area_threshold

POLARITY_WINDOW = 6.0  # local mean and deviation against which atoms are bright or dark, as for sites [Å]
REGIONS = {"vacancies": 15.0, "small": 100.0, "medium": 1000.0, "large": np.inf}  # by area, below [Å²]
# Slivers between bonds that no image shows: less than half of the hexagon of carbon, 5.24 Å².
LEAST_REGION = 2.0
_COUNTS = ["area", "true_area", "predicted_area", "common_area", "area_without", "false_area"]
_REGION_COUNTS = [*(f"n_{size}{end}" for size in REGIONS for end in ("", "_found")), "n_false_regions"]
_CONFIDENCES = np.linspace(0.0, 1.0, 51)
_BINS = 200  # of the probability, in which pixels are counted


def evaluate_areas(
    network: TrainedNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> Evaluation:
    """Compare the areas that a network finds with the true ones.

    Everything is counted in Å², in units of carbon, on the images' own pixels away from their edges. A true
    region of vacuum, whose pixels touch at least at corners, belongs to a class by the whole of its area; it
    counts if at least half of it lies away from the edges, and is found if at least half of what does is
    predicted. A predicted region is false if it touches no vacuum. Regions below 2 Å² do not count.

    Parameters
    ----------
    network
        The network; it must have thresholds of its own unless `localisation` gives them.
    images
        Images that it was not trained on, taken one by one; those without a mask are passed over.
    localisation
        Tiles, precision and, instead of those of the network, thresholds.
    evaluation
        Border and bins.

    Returns
    -------
    Evaluation
        Counts of each image and channel: ``area``, ``true_area``, ``predicted_area``, ``common_area``;
        ``area_without`` is the area of images that show nothing of the channel, ``false_area`` what is
        predicted there [Å²]. Where the network knows vacuum also ``n_vacancies`` (regions below 15 Å²),
        ``n_small`` (below 100), ``n_medium`` (below 1000) and ``n_large``, each also with ``_found``, and
        ``n_false_regions``, all 0 for other channels.

        Ratios of summed counts: ``dice``, ``iou``, ``precision``, ``recall``, ``false_share``,
        ``found_vacancies`` and so on; NaN where undefined. Totals have ``calibration_error`` as well.

        `reliability` has the share that shows the channel by probability, recalibrated if the network's
        metadata say how, in bins of equal width; ``n`` are pixels.

    Raises
    ------
    ValueError
        If there is no image with a mask, or no threshold.
    """
    channels = network.config.channels
    thresholds = {channel: area_threshold(network, channel, localisation) for channel in channels}
    histograms = {channel: AreaHistogram() for channel in channels}
    rows: list[dict[str, Any]] = []
    for image, mask, maps in _predict(network, images, localisation):
        conditions = conditions_of(image, window=POLARITY_WINDOW)
        inner, pixel = inner_pixels(image, evaluation.border), image.sampling**2
        for channel, probability in zip(channels, maps, strict=True):
            is_true = mask == AREAS[channel]
            is_predicted = probability > np.float32(thresholds[channel])
            histograms[channel].add(probability[inner], is_true[inner], pixel=pixel)
            row = {"index": image.index, "channel": channel} | conditions
            row |= _compare(is_true[inner], is_predicted[inner], pixel=pixel)
            if channel == "vacuum":
                row |= count_regions(is_true, is_predicted, inner=inner, pixel=pixel)
            elif "vacuum" in channels:
                row |= dict.fromkeys(_REGION_COUNTS, 0)
            rows.append(row)
    table = pd.DataFrame(rows)
    reliability = _reliability(histograms, network.metadata.get("confidence"), evaluation.bins)
    totals = total_images(table, ratios=area_ratios)
    errors = [
        calibration_error(reliability[reliability["channel"] == channel]) for channel in totals["channel"]
    ]
    return Evaluation(
        images=table,
        totals=totals.assign(calibration_error=errors),
        groups=group_images(table, edges=evaluation.edges, ratios=area_ratios),
        reliability=reliability,
    )


def calibrate_areas(
    network: TrainedNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> TrainedNetwork:
    """Give a network of areas its thresholds, and what its probabilities are worth.

    Parameters
    ----------
    network
        The network.
    images
        Images that were not trained on, and are not used to evaluate; taken one by one.
    localisation
        Tiles and precision; its thresholds are not used.
    evaluation
        Border, and the thresholds to choose from.

    Returns
    -------
    TrainedNetwork
        The network with ``metadata["thresholds"]``, for each channel the one with the best Dice of all images
        together, and ``metadata["confidence"]``: ``raw``, rising probabilities of the network, and for each
        channel the share of pixels with this probability that show it, never falling.

    Raises
    ------
    ValueError
        If there is no image with a mask, a channel is in none of them, or the network never predicts it.

    References
    ----------
    Zadrozny, Elkan, Proc. 8th ACM SIGKDD, 694 (2002), doi:10.1145/775047.775151: isotonic regression.
    """
    channels = network.config.channels
    histograms = {channel: AreaHistogram(evaluation.thresholds) for channel in channels}
    for image, mask, maps in _predict(network, images, localisation):
        inner, pixel = inner_pixels(image, evaluation.border), image.sampling**2
        for channel, probability in zip(channels, maps, strict=True):
            is_true = mask[inner] == AREAS[channel]
            histograms[channel].add(probability[inner], is_true, pixel=pixel)
    thresholds = {
        channel: _best_threshold(histograms[channel], channel, evaluation.thresholds) for channel in channels
    }
    confidence: dict[str, list[float]] = {"raw": _CONFIDENCES.tolist()}
    confidence |= {channel: _recalibrated(histograms[channel]).tolist() for channel in channels}
    calibration = {"thresholds": thresholds, "confidence": confidence}
    return replace(network, metadata={**network.metadata, **calibration})


def inner_pixels(image: SimulatedImage, border: float) -> tuple[slice, slice]:
    """Return the rows and columns at least `border` [Å] from the outermost pixel centres; maybe none."""
    margin = int(np.ceil(border / image.sampling - 1e-9))
    rows, columns = (slice(margin, max(size - margin, margin)) for size in image.image.shape)
    return rows, columns


def area_ratios(counts: pd.DataFrame) -> pd.DataFrame:
    """Form the ratios of summed counts: the columns named in `evaluate_areas`, NaN where undefined."""
    true, predicted, common = (counts[f"{name}_area"] for name in ("true", "predicted", "common"))
    ratios = {
        "dice": share(2 * common, true + predicted),
        "iou": share(common, true + predicted - common),
        "precision": share(common, predicted),
        "recall": share(common, true),
        "false_share": share(counts["false_area"], counts["area_without"]),
    }
    if "n_false_regions" in counts:
        ratios |= {f"found_{size}": share(counts[f"n_{size}_found"], counts[f"n_{size}"]) for size in REGIONS}
    return pd.DataFrame(ratios, index=counts.index)


def count_regions(
    is_true: BoolArray, is_predicted: BoolArray, *, inner: tuple[slice, slice], pixel: float
) -> dict[str, int]:
    """Count connected regions by size, those that are found, and predicted ones that touch none.

    Parameters
    ----------
    is_true, is_predicted
        Pixels of the truth and of the prediction, (rows, columns).
    inner
        Rows and columns that count.
    pixel
        Area of a pixel, > 0 [Å²].

    Returns
    -------
    dict
        ``n_vacancies``, ``n_vacancies_found`` and so on for each size of `REGIONS`, and ``n_false_regions``.
    """
    labels, whole = _regions(is_true)
    within = np.bincount(labels[inner].ravel(), minlength=len(whole))
    hit = np.bincount(labels[inner][is_predicted[inner]], minlength=len(whole))
    counts = (whole * pixel >= LEAST_REGION) & (2 * within >= whole)
    counts[0] = False
    is_found = counts & (2 * hit >= within)
    size = np.searchsorted(list(REGIONS.values()), whole * pixel, side="right")
    found: dict[str, int] = {}
    for number, name in enumerate(REGIONS):
        found[f"n_{name}"] = int((counts & (size == number)).sum())
        found[f"n_{name}_found"] = int((is_found & (size == number)).sum())
    drawn, areas = _regions(is_predicted[inner])
    touching = np.bincount(drawn[is_true[inner]], minlength=len(areas))
    found["n_false_regions"] = int(((areas * pixel >= LEAST_REGION) & (touching == 0))[1:].sum())
    return found


class AreaHistogram:
    """Pixels by their probability, of any number of images, without keeping them.

    Parameters
    ----------
    thresholds
        Probabilities that must separate two bins.

    Attributes
    ----------
    edges
        Probabilities between the bins, (B - 1,); a pixel on one lies below it.
    n
        Pixels in each bin, (B,).
    area, true
        Their area, and that of those that show the channel, (B,) [Å²].
    weighted
        Area times probability, (B,) [Å²].
    """

    def __init__(self, thresholds: Sequence[float] = ()) -> None:
        between = np.linspace(0, 1, _BINS + 1)[1:-1]
        self.edges = np.unique(np.concatenate([between, thresholds]).astype(np.float32))
        n_bins = len(self.edges) + 1
        self.n: IntArray = np.zeros(n_bins, dtype=np.int64)
        self.area, self.true, self.weighted = np.zeros((3, n_bins))

    def add(self, probability: Float32Array, is_true: BoolArray, *, pixel: float) -> None:
        """Add pixels of the area `pixel` [Å²]."""
        values = probability.ravel()
        place = np.searchsorted(self.edges, values, side="left")
        n = np.bincount(place, minlength=len(self.n))
        self.n += n
        self.area += pixel * n
        self.true += pixel * np.bincount(place[is_true.ravel()], minlength=len(self.n))
        self.weighted += pixel * np.bincount(place, weights=values, minlength=len(self.n))

    def dice(self, threshold: float) -> float:
        """Return the Dice coefficient above a threshold that separates two bins; NaN of nothing."""
        above = np.searchsorted(self.edges, np.float32(threshold), side="left") + 1
        common, predicted = self.true[above:].sum(), self.area[above:].sum()
        both = self.true.sum() + predicted
        return float(2 * common / both) if both > 0 else math.nan


def _predict(
    network: TrainedNetwork, images: Iterable[SimulatedImage], localisation: LocalisationParameters
) -> Iterator[tuple[SimulatedImage, NDArray[np.uint8], Float32Array]]:
    """Yield the images that have a mask, in units of carbon, the masks, and probabilities at their pixels."""
    n_images, n_masked = 0, 0
    for image in map(in_units_of_carbon, images):
        n_images += 1
        if image.mask is None:
            continue
        n_masked += 1
        steps = image.sampling, image.sampling
        maps = area_maps(image.image, sampling=steps, network=network, parameters=localisation)
        grid = network.config.sampling
        maps = at_pixels(maps, shape=image.image.shape, sampling=steps, network_sampling=grid)
        yield image, image.mask, maps
    if n_images == 0:
        raise ValueError("images must hold at least one image, got none")
    if n_masked == 0:
        raise ValueError(
            f"images must have masks of what their pixels show, got {n_images} images without one"
        )


def _compare(is_true: BoolArray, is_predicted: BoolArray, *, pixel: float) -> dict[str, float]:
    """Areas of the truth, of the prediction and of what they share; false area where there is nothing."""
    n_true, n_predicted = int(is_true.sum()), int(is_predicted.sum())
    n_without = is_true.size if n_true == 0 else 0
    n_false = n_predicted if n_true == 0 else 0
    sizes = is_true.size, n_true, n_predicted, int((is_true & is_predicted).sum()), n_without, n_false
    return {name: pixel * size for name, size in zip(_COUNTS, sizes, strict=True)}


def _regions(is_in: BoolArray) -> tuple[AnyArray, IntArray]:
    """Return the number, from 1, of each pixel's region, 0 outside, and the pixels that have each number."""
    labels = ndimage.label(is_in, structure=np.ones((3, 3)))[0]
    return labels, np.bincount(labels.ravel(), minlength=1).astype(np.int64)


def _best_threshold(histogram: AreaHistogram, channel: str, thresholds: Sequence[float]) -> float:
    """Return the candidate with the best Dice; of equal ones the first."""
    if not histogram.true.any():
        raise ValueError(f"no image shows {channel!r} away from its edges: its threshold cannot be chosen")
    dice = [histogram.dice(threshold) for threshold in thresholds]
    if not max(dice) > 0:
        raise ValueError(f"no {channel!r} was found: the network is not trained enough to be used")
    return float(thresholds[int(np.argmax(dice))])


def _recalibrated(histogram: AreaHistogram) -> FloatArray:
    """Return the share that shows the channel at `_CONFIDENCES`, never falling."""
    filled = histogram.area > 0
    area = histogram.area[filled]
    share = isotonic_regression(histogram.true[filled] / area, weights=area, increasing=True).x
    return np.interp(_CONFIDENCES, histogram.weighted[filled] / area, share)


def _reliability(
    histograms: dict[str, AreaHistogram], confidence: dict[str, list[float]] | None, n_bins: int
) -> pd.DataFrame:
    """Return what a network states against what is true, in bins of equal width that hold a pixel."""
    rows: list[dict[str, Any]] = []
    for channel, histogram in histograms.items():
        filled = histogram.n > 0
        area = histogram.area[filled]
        stated = histogram.weighted[filled] / area
        if confidence is not None and channel in confidence:
            stated = np.interp(stated, confidence["raw"], confidence[channel])
        bins = np.minimum((stated * n_bins).astype(int), n_bins - 1)
        sums = [
            np.bincount(bins, weights=values, minlength=n_bins)
            for values in (area, area * stated, histogram.true[filled], histogram.n[filled])
        ]
        rows += [
            {"channel": channel, "quantity": "probability", "predicted": weighted / total,
             "measured": true / total, "n": int(n)}
            for total, weighted, true, n in zip(*sums, strict=True) if n > 0
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=RELIABILITY_COLUMNS)
