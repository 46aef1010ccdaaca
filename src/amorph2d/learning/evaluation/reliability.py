"""What a network says of itself: confidences and sigmas, measured and held against the truth."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from amorph2d.arrays import AnyArray, BoolArray, FloatArray, IntArray, as_points

CONFIDENCES = np.linspace(0.0, 1.0, 101)
"""Raw confidences at which a calibration is tabulated; between them it is interpolated."""


def probability_by_confidence(confidence: FloatArray, is_true: BoolArray) -> FloatArray:
    """Return the probability that a site is true at the raw confidences 0, 0.01 … 1, never falling.

    Isotonic regression of what was found. A site more at either end, a true one below and a false one above
    all others, keeps the probability from reaching 0 or 1, which no finite number of sites can prove.

    Parameters
    ----------
    confidence
        Raw confidence of each site, between 0 and 1, (N,), N ≥ 1.
    is_true
        Whether each is a site, (N,).

    Returns
    -------
    FloatArray
        Probabilities, (101,); outside the raw confidences that occur they stay the same.

    References
    ----------
    Zadrozny and Elkan, Proc. 8th ACM SIGKDD, 694 (2002), doi:10.1145/775047.775151: calibration by isotonic
    regression.
    """
    last = len(CONFIDENCES) - 1
    cell = np.rint(np.asarray(confidence, dtype=np.float64) * last).astype(np.int64)
    cell = np.concatenate([cell, [cell.min(), cell.max()]])
    outcome = np.concatenate([is_true, [True, False]]).astype(np.float64)
    n, n_true = (np.bincount(cell, weights, minlength=last + 1) for weights in (None, outcome))
    known = np.flatnonzero(n)
    rising = isotonic_regression(n_true[known] / n[known], weights=n[known]).x
    return np.interp(CONFIDENCES, CONFIDENCES[known], rising)


def error_by_confidence(confidence: FloatArray, squared_distances: FloatArray, *, n_bins: int) -> FloatArray:
    """Return the root-mean-square error per axis at the raw confidences 0, 0.01 … 1, never rising.

    Parameters
    ----------
    confidence, squared_distances
        Of each matched site, (N,), N ≥ 1 [1 and Å²].
    n_bins
        Bins with equal numbers of sites; between their mean confidences the error is interpolated.

    Returns
    -------
    FloatArray
        Errors per axis, (101,) [Å].
    """
    order = np.argsort(confidence, kind="stable")
    bins = [members for members in np.array_split(order, n_bins) if len(members)]
    centres = np.array([confidence[members].mean() for members in bins])
    mean_squares = np.array([squared_distances[members].mean() / 2 for members in bins])
    weights = np.array([len(members) for members in bins], dtype=float)
    falling = isotonic_regression(mean_squares, weights=weights, increasing=False).x
    return np.interp(CONFIDENCES, centres, np.sqrt(falling))


def confidence_reliability(confidence: ArrayLike, is_true: ArrayLike, *, n_bins: int) -> pd.DataFrame:
    """Hold predicted probabilities against the share of what is true, bin by bin.

    Parameters
    ----------
    confidence
        Predicted probability of each site, (N,).
    is_true
        Whether it is one, (N,).
    n_bins
        Bins of the confidence, filled equally; equal confidences share a bin, so there may be fewer.

    Returns
    -------
    DataFrame
        predicted, the mean confidence; measured, the share of true ones; n. One row per bin, rising.

    Raises
    ------
    ValueError
        If the lengths differ or `n_bins` is less than 1.
    """
    predicted, outcome = np.asarray(confidence, dtype=np.float64), np.asarray(is_true, dtype=np.float64)
    return _tabulate(_equal_bins(predicted, outcome, n_bins), predicted, outcome)


def sigma_reliability(sigma: ArrayLike, errors: ArrayLike, *, n_bins: int) -> pd.DataFrame:
    """Hold predicted sigmas against the errors of position, bin by bin.

    Parameters
    ----------
    sigma
        Predicted standard deviation per axis of each site, (N,) [Å].
    errors
        Its errors along x and y, (N, 2) [Å].
    n_bins
        Bins of sigma, filled equally; equal sigmas share a bin, so there may be fewer.

    Returns
    -------
    DataFrame
        predicted and measured: root mean squares of sigma and of the errors per axis [Å]; n. One row per bin,
        rising.

    Raises
    ------
    ValueError
        If the lengths differ or `n_bins` is less than 1.
    """
    predicted = np.asarray(sigma, dtype=np.float64)
    squares = (as_points(errors, "errors") ** 2).mean(axis=1)
    table = _tabulate(_equal_bins(predicted, squares, n_bins), predicted**2, squares)
    return table.assign(predicted=np.sqrt(table["predicted"]), measured=np.sqrt(table["measured"]))


def calibration_error(reliability: pd.DataFrame) -> float:
    """Return the mean distance of predicted and measured, weighted with n; NaN of an empty table.

    Parameters
    ----------
    reliability
        Rows of one channel and quantity: predicted, measured and n.

    References
    ----------
    Naeini et al., Proc. AAAI Conf. Artif. Intell. 29, 2901 (2015): expected calibration error, with equally
    filled bins here.
    """
    if reliability["n"].sum() == 0:
        return math.nan
    distance = (reliability["predicted"] - reliability["measured"]).abs()
    return float((distance * reliability["n"]).sum() / reliability["n"].sum())


def coverage(sigma: ArrayLike, errors: ArrayLike, *, n_sigma: float) -> float:
    """Return the share of errors, each axis by itself, that lie within `n_sigma` predicted sigmas.

    Of Gaussian errors with true sigmas 68.3 % lie within one and 95.4 % within two.

    Parameters
    ----------
    sigma
        Predicted standard deviation per axis of each site, (N,) [Å].
    errors
        Its errors along x and y, (N, 2) [Å]; NaN if there are none.
    n_sigma
        How many sigmas.
    """
    points = as_points(errors, "errors")
    if len(points) == 0:
        return math.nan
    return float((np.abs(points) <= n_sigma * np.asarray(sigma, dtype=np.float64)[:, None]).mean())


def _equal_bins(values: FloatArray, others: AnyArray, n_bins: int) -> IntArray:
    """Return the bin, 0 …, of each value, so that bins are filled equally and equal values are together."""
    if values.shape != others.shape:
        raise ValueError(f"there must be one outcome per prediction, got {len(others)} for {len(values)}")
    if n_bins < 1:
        raise ValueError(f"n_bins must be ≥ 1, got {n_bins}")
    bins = np.floor((rankdata(values) - 0.5) / max(len(values), 1) * n_bins)
    return np.asarray(np.unique(bins, return_inverse=True)[1], dtype=np.int64)


def _tabulate(bins: IntArray, predicted: FloatArray, measured: FloatArray) -> pd.DataFrame:
    """Return the means and numbers of each bin."""
    n = np.bincount(bins)
    means = [np.bincount(bins, weights=values) / n for values in (predicted, measured)]
    return pd.DataFrame({"predicted": means[0], "measured": means[1], "n": n.astype(np.int64)})
