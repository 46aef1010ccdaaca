"""How well the slow background is found: what would remain of it in a corrected image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import Float32Array, FloatArray
from amorph2d.imaging.simulated import SimulatedImage, in_units_of_carbon
from amorph2d.learning.config import EvaluationParameters
from amorph2d.learning.evaluation.areas import POLARITY_WINDOW, inner_pixels
from amorph2d.learning.evaluation.tables import (
    RELIABILITY_COLUMNS,
    Evaluation,
    conditions_of,
    group_images,
    share,
    total_images,
)
from amorph2d.learning.storage import TrainedNetwork
from amorph2d.learning.targets import true_background
from amorph2d.localisation.areas import estimate_background
from amorph2d.localisation.config import LocalisationParameters

STRETCHED = 8  # bits of a file whose zero is not that of the camera
PEAK = 0.99  # quantile of the residual that stands for its peak
_COUNTS = [
    "area", "sum_squares", "sum_squares_uncorrected", "n_peak", "sum_peak",
    "area_spread", "sum_squares_spread", "sum_squares_spread_uncorrected",
]  # fmt: skip


def evaluate_background(
    network: TrainedNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> Evaluation:
    """Compare the background that a network estimates with the true one.

    Only the variation counts, away from the edges: the residual is estimate / truth - 1, less its mean. The
    grey values of an 8-bit file were stretched and their zero is unknown, so they cannot be divided; such
    files count only in a second measure, in which the difference of estimate and truth, less its mean, is in
    units of the standard deviation of the image.

    Parameters
    ----------
    network
        The network.
    images
        Images that it was not trained on; taken one by one.
    localisation
        Tiles and precision.
    evaluation
        Border and bins.

    Returns
    -------
    Evaluation
        Counts of each image: ``area`` [Å²], ``sum_squares`` and ``sum_squares_uncorrected``, squares of the
        residual with and without a correction times area [Å²], ``n_peak``, 1, and ``sum_peak``, the 99th
        percentile of the absolute residual, all 0 for 8-bit files; ``area_spread``, ``sum_squares_spread``
        and ``sum_squares_spread_uncorrected`` likewise, in units of the image's spread.

        Ratios: ``residual`` and ``uncorrected``, root mean squares relative to the background;
        ``residual_peak``, the mean over images; ``residual_spread`` and ``uncorrected_spread``; NaN where
        undefined.

        `reliability` holds the root mean square that the network's metadata state, if they do, against the
        measured one; ``n`` are images.

    Raises
    ------
    ValueError
        If there is no image.
    """
    rows: list[dict[str, Any]] = []
    for image, estimate in _estimate(network, images, localisation):
        conditions = conditions_of(image, window=POLARITY_WINDOW)
        row = {"index": image.index, "channel": network.config.channels[0]} | conditions
        rows.append(row | _compare(image, estimate, evaluation.border))
    table = pd.DataFrame(rows)
    totals = total_images(table, ratios=background_ratios)
    return Evaluation(
        images=table,
        totals=totals,
        groups=group_images(table, edges=evaluation.edges, ratios=background_ratios),
        reliability=_reliability(network, totals),
    )


def calibrate_background(
    network: TrainedNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> TrainedNetwork:
    """Give a network of the background what is left of the background after its correction.

    Parameters
    ----------
    network
        The network.
    images
        Images that were not trained on, and are not used to evaluate; taken one by one.
    localisation
        Tiles and precision.
    evaluation
        Border.

    Returns
    -------
    TrainedNetwork
        The network with ``metadata["sigma"]``: for its channel the root mean square of the residual, relative
        to the background; empty if all images are stretched to 8 bits. Its ``metadata["thresholds"]`` are
        empty.

    Raises
    ------
    ValueError
        If there is no image.
    """
    area = squares = 0.0
    for image, estimate in _estimate(network, images, localisation):
        counts = _compare(image, estimate, evaluation.border)
        area, squares = area + counts["area"], squares + counts["sum_squares"]
    sigma = {network.config.channels[0]: float(np.sqrt(squares / area))} if area > 0 else {}
    return replace(network, metadata={**network.metadata, "thresholds": {}, "sigma": sigma})


def background_ratios(counts: pd.DataFrame) -> pd.DataFrame:
    """Form the ratios of summed counts: the columns named in `evaluate_background`, NaN where undefined."""
    area, area_spread = counts["area"], counts["area_spread"]
    return pd.DataFrame(
        {
            "residual": np.sqrt(share(counts["sum_squares"], area)),
            "uncorrected": np.sqrt(share(counts["sum_squares_uncorrected"], area)),
            "residual_peak": share(counts["sum_peak"], counts["n_peak"]),
            "residual_spread": np.sqrt(share(counts["sum_squares_spread"], area_spread)),
            "uncorrected_spread": np.sqrt(share(counts["sum_squares_spread_uncorrected"], area_spread)),
        },
        index=counts.index,
    )


def _estimate(
    network: TrainedNetwork, images: Iterable[SimulatedImage], localisation: LocalisationParameters
) -> Iterator[tuple[SimulatedImage, Float32Array]]:
    """Yield the images, in units of carbon, with their estimated backgrounds."""
    is_empty = True
    for image in map(in_units_of_carbon, images):
        is_empty = False
        steps = image.sampling, image.sampling
        yield (
            image,
            estimate_background(image.image, sampling=steps, network=network, parameters=localisation),
        )
    if is_empty:
        raise ValueError("images must hold at least one image, got none")


@dataclass(frozen=True)
class _Residual:
    """Squares of a residual summed over pixels, with and without a correction, and its peak."""

    n: int
    squares: float
    uncorrected: float
    peak: float


def _compare(image: SimulatedImage, estimate: Float32Array, border: float) -> dict[str, float]:
    """Return the counts of one image."""
    inner, pixel = inner_pixels(image, border), image.sampling**2
    truth = true_background(image)[inner].astype(np.float64)
    found = estimate[inner].astype(np.float64)
    spread = float(image.image.std(dtype=np.float64))
    nothing = _Residual(0, 0.0, 0.0, 0.0)
    relative = in_spreads = nothing
    if truth.size and image.recipe["bits"] != STRETCHED:
        relative = _residual(found / truth, truth / truth.mean())
    if truth.size and spread > 0:
        in_spreads = _residual((found - truth) / spread, truth / spread)
    values = (
        pixel * relative.n, pixel * relative.squares, pixel * relative.uncorrected,
        int(relative.n > 0), relative.peak,
        pixel * in_spreads.n, pixel * in_spreads.squares, pixel * in_spreads.uncorrected,
    )  # fmt: skip
    return dict(zip(_COUNTS, values, strict=True))


def _residual(corrected: FloatArray, uncorrected: FloatArray) -> _Residual:
    """Sum the variation about the mean that a correction leaves, and that of the background itself."""
    left = corrected - corrected.mean()
    before = uncorrected - uncorrected.mean()
    peak = float(np.quantile(np.abs(left), PEAK))
    return _Residual(left.size, float((left**2).sum()), float((before**2).sum()), peak)


def _reliability(network: TrainedNetwork, totals: pd.DataFrame) -> pd.DataFrame:
    """Return the stated against the measured root mean square of the residual."""
    channel = network.config.channels[0]
    stated = (network.metadata.get("sigma") or {}).get(channel)
    row = totals.iloc[0]
    rows = [(channel, "sigma", stated, row["residual"], int(row["n_peak"]))]
    is_known = stated is not None and row["n_peak"] > 0
    return pd.DataFrame(rows if is_known else [], columns=RELIABILITY_COLUMNS)
