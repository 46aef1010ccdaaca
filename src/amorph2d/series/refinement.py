"""Drift from the sites that a series was found to have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.series.config import LinkingParameters
from amorph2d.series.drift import remove_drift
from amorph2d.series.linking import link_sites

_LEAST_LINKED = 10  # sites of a frame
_LARGEST_SCATTER = 1 / 3  # of the largest step: sites that meet by chance are on average farther apart
_N_LINKINGS = 2
_N_ROUNDS = 20
_TOLERANCE = 1e-4  # [Å]
_OUTLIER = 2.385  # scaled residual at which a Cauchy weight is a half
_TO_SIGMA = 1.4826  # of a normal distribution, per median absolute deviation
_LEAST_SCALE = 1e-6  # [Å]
_HOLD = 1e-6  # weight of the given drift, in sites


class _Observations(NamedTuple):
    """Sites of tracks: frame, track and kind, each (N,), and positions (N, 2) [Å]."""

    frame: IntArray
    track: IntArray
    kind: IntArray
    positions: FloatArray


def refine_drift(
    tables: Sequence[pd.DataFrame], drift: pd.DataFrame, *, parameters: LinkingParameters
) -> pd.DataFrame:
    """Make the drift of a series more exact by its sites.

    Sites that can be linked after the drift has been removed should not have moved. The places of all tracks
    and the drift of all frames are fitted together, so errors do not add up from frame to frame. Sites that
    did move are outliers and lose their weight. Errors take the sites as independent of each other; where
    those of neighbours are not, the drift is less exact than stated.

    Parameters
    ----------
    tables
        Sites of each frame as found, with the drift in them; see `link_sites`.
    drift
        Drift of each frame as of `estimate_drift`, in the same order, exact to about half the largest step.
    parameters
        How sites are linked.

    Returns
    -------
    DataFrame
        A copy of `drift` with other ``dx``, ``dy`` and ``error``, and ``n_linked``, the sites of each frame
        that were also found in another. ``is_reliable`` stays only where these are at least ten and agree; a
        frame without any keeps its drift and error.

    Raises
    ------
    ValueError
        If tables and drift differ in their number or their frames, or a table is not valid.

    References
    ----------
    Holland and Welsch, Commun. Stat. A 6, 813 (1977), doi:10.1080/03610927708827533: iteratively reweighted
    least squares, and the constant of the Cauchy weights.
    """
    _check(tables, drift)
    result = drift.reset_index(drop=True).copy()
    n_linked = np.zeros(len(drift), dtype=np.int64)
    for _ in range(_N_LINKINGS if len(drift) else 0):
        linked = link_sites(remove_drift(tables, result), parameters=parameters)
        seen = _observations(linked)
        n_linked = np.bincount(seen.frame, minlength=len(drift))
        shift, errors, scatter = _fit(seen, len(drift))
        result[["dx", "dy"]] += shift
        is_fitted = n_linked > 0
        result["error"] = np.where(is_fitted, errors, drift["error"])
        is_tight = scatter < _LARGEST_SCATTER * parameters.max_step
        result["is_reliable"] = drift["is_reliable"].to_numpy(bool) & is_tight & (n_linked >= _LEAST_LINKED)
    return result.assign(n_linked=n_linked)


def _check(tables: Sequence[pd.DataFrame], drift: pd.DataFrame) -> None:
    """Check that tables and drift are of the same frames."""
    if len(tables) != len(drift):
        raise ValueError(f"tables must be as many as the frames of drift, {len(drift)}, got {len(tables)}")
    for table, frame in zip(tables, drift["frame"], strict=True):
        if len(table) and (table["frame"] != frame).any():
            raise ValueError(
                f"tables must be of the frames of drift, got {table['frame'].iloc[0]} for {frame}"
            )


def _observations(tables: Sequence[pd.DataFrame]) -> _Observations:
    """Return the sites of tracks of at least two frames."""
    frame = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    every = pd.concat(tables, ignore_index=True)
    track = every["track"].to_numpy(np.int64)
    is_linked = np.bincount(track)[track] > 1 if len(track) else np.empty(0, dtype=bool)
    chosen = every[is_linked]
    return _Observations(
        frame[is_linked],
        np.unique(track[is_linked], return_inverse=True)[1].astype(np.int64),
        pd.factorize(chosen["kind"])[0].astype(np.int64),
        chosen[["x", "y"]].to_numpy(np.float64),
    )


def _fit(seen: _Observations, n_frames: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the shift (N, 2), its error and the median residual (N,) of each frame [Å]."""
    shift, weights = np.zeros((n_frames, 2)), np.ones(len(seen.frame))
    length = np.bincount(seen.track)[seen.track]
    # The place of a short track is near its sites because it is their mean.
    stretch = np.sqrt(length / np.maximum(length - 1, 1))[:, None]
    for _ in range(_N_ROUNDS):
        before = shift
        shift, variances, residuals = _solve(seen, weights, n_frames)
        residuals *= stretch
        distance, scale = np.hypot(*residuals.T), _scales(residuals, seen.kind)
        weights = 1 / (1 + (distance / (_OUTLIER * scale)) ** 2) / scale**2
        if np.abs(shift - before).max() < _TOLERANCE:
            break
    scatter = pd.Series(distance).groupby(seen.frame).median().reindex(range(n_frames), fill_value=0.0)
    return shift, np.sqrt(np.maximum(variances, 0.0)), scatter.to_numpy(np.float64)


def _solve(
    seen: _Observations, weights: FloatArray, n_frames: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return shifts (F, 2), their variances (F,) and the residuals (N, 2) of weighted least squares.

    The places of the tracks are their weighted means, which leaves equations for the frames only.
    """
    shape = (int(seen.track.max(initial=-1)) + 1, n_frames)
    by_track = sparse.csr_array((weights, (seen.track, seen.frame)), shape=shape)
    sums: FloatArray = np.asarray(by_track.sum(axis=1)).ravel()
    shared = (by_track.T @ sparse.diags_array(1 / sums) @ by_track).toarray() if len(sums) else 0.0
    hold = _HOLD * float(weights.mean()) if len(weights) else 1.0
    normal = np.diag(np.bincount(seen.frame, weights=weights, minlength=n_frames) + hold) - shared
    inverse = np.zeros((n_frames, n_frames))
    inverse[1:, 1:] = np.linalg.inv(normal[1:, 1:])
    centred = seen.positions - _means(seen, weights, sums, seen.positions)
    pulls = _sums(seen.frame, weights, centred, n_frames)
    shift = inverse @ pulls
    moved = shift[seen.frame]
    residuals = centred - (moved - _means(seen, weights, sums, moved))
    return shift, np.diag(inverse), residuals


def _means(seen: _Observations, weights: FloatArray, sums: FloatArray, values: FloatArray) -> FloatArray:
    """Return for each observation the weighted mean of the values of its track, (N, 2)."""
    return (_sums(seen.track, weights, values, len(sums)) / sums[:, None])[seen.track]


def _sums(group: IntArray, weights: FloatArray, values: FloatArray, n_groups: int) -> FloatArray:
    """Return the weighted sums (groups, 2) of values (N, 2)."""
    return np.column_stack(
        [np.bincount(group, weights=weights * values[:, axis], minlength=n_groups) for axis in range(2)]
    )


def _scales(residuals: FloatArray, kind: IntArray) -> FloatArray:
    """Return the robust standard deviation per axis of the residuals of each kind, (N,) [Å]."""
    scale = np.empty(len(kind))
    for number in np.unique(kind):
        is_kind = kind == number
        scale[is_kind] = max(_TO_SIGMA * float(np.median(np.abs(residuals[is_kind]))), _LEAST_SCALE)
    return scale
