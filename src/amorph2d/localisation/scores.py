"""How well predicted sites agree with the true ones: counts first, ratios last."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray, as_points
from amorph2d.localisation.matching import match_points


class Contains(Protocol):
    """What can say where positions lie."""

    def contains(self, positions: ArrayLike) -> BoolArray:
        """Tell which positions, (N, 2) [Å], lie in it, (N,)."""


Place = tuple[float, float, float, float] | Contains


@dataclass(frozen=True)
class Scores:
    """Counts of predicted, reference and matched sites, which add up over images.

    Attributes
    ----------
    n_predicted, n_reference, n_matched
        Numbers of predicted sites, of reference sites and of matched pairs.
    sum_squared_distance
        Sum of the squared distances of the matched pairs [Å²].
    """

    n_predicted: int
    n_reference: int
    n_matched: int
    sum_squared_distance: float

    def __add__(self, other: Scores) -> Scores:
        return Scores(
            self.n_predicted + other.n_predicted,
            self.n_reference + other.n_reference,
            self.n_matched + other.n_matched,
            self.sum_squared_distance + other.sum_squared_distance,
        )

    @property
    def precision(self) -> float:
        """Matched part of the predicted sites; NaN without predicted sites."""
        return _ratio(self.n_matched, self.n_predicted)

    @property
    def recall(self) -> float:
        """Matched part of the reference sites; NaN without reference sites."""
        return _ratio(self.n_matched, self.n_reference)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN without any site."""
        return _ratio(2 * self.n_matched, self.n_predicted + self.n_reference)

    @property
    def rmse(self) -> float:
        """Root-mean-square distance of the matched pairs, both axes together [Å]; NaN without a pair."""
        return math.sqrt(_ratio(self.sum_squared_distance, self.n_matched))


def sum_scores(scores: Iterable[Scores]) -> Scores:
    """Add up `scores`; none at all give zero counts."""
    return sum(scores, start=Scores(0, 0, 0, 0.0))


def score_sites(
    predicted: ArrayLike,
    reference: ArrayLike,
    *,
    max_distance: float,
    window: Place | None = None,
) -> Scores:
    """Match predicted to reference sites and count.

    Parameters
    ----------
    predicted, reference
        Positions, (N, 2) and (M, 2), x then y [Å].
    max_distance
        Largest separation counted as a match, > 0 [Å].
    window
        Where sites count: (x0, y0, x1, y1) with its edges included [Å], or anything that `contains`
        positions; everywhere if None. All sites are matched first. A pair counts where its reference lies, so
        a predicted site that belongs to a reference site outside of the window is neither right nor wrong.

    Returns
    -------
    Scores
        Counts and summed squared distance.

    Raises
    ------
    ValueError
        If a shape is wrong, `max_distance` is not positive or `window` has no extent.
    """
    predicted, reference = as_points(predicted, "predicted"), as_points(reference, "reference")
    matching = match_points(predicted, reference, max_distance=max_distance)
    counts_predicted, counts_reference = _inside(predicted, window), _inside(reference, window)
    is_counted = counts_reference[matching.pairs[:, 1]]
    counts_predicted[matching.pairs[:, 0]] = is_counted
    return Scores(
        n_predicted=int(counts_predicted.sum()),
        n_reference=int(counts_reference.sum()),
        n_matched=int(is_counted.sum()),
        sum_squared_distance=float((matching.distances[is_counted] ** 2).sum()),
    )


def _inside(points: FloatArray, window: Place | None) -> BoolArray:
    """Say which points lie in the window."""
    if window is None:
        return np.ones(len(points), dtype=bool)
    if not isinstance(window, tuple | list):
        return window.contains(points)
    low, high = np.array(window[:2], dtype=float), np.array(window[2:], dtype=float)
    if not (high > low).all():
        raise ValueError(f"window must be (x0, y0, x1, y1) with x1 > x0 and y1 > y0, got {tuple(window)}")
    return np.asarray(((points >= low) & (points <= high)).all(axis=1))


def _ratio(part: float, whole: float) -> float:
    """Return part / whole, NaN where that is undefined."""
    return part / whole if whole else math.nan
