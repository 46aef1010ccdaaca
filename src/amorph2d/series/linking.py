"""Sites followed from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from amorph2d.arrays import FloatArray, IntArray, as_points
from amorph2d.series.config import LinkingParameters

_COLUMNS = ("frame", "site", "kind", "x", "y")


def link_sites(tables: Sequence[pd.DataFrame], *, parameters: LinkingParameters) -> list[pd.DataFrame]:
    """Give the sites of a series the numbers of their tracks; sites of one track are one and the same.

    From frame to frame, sites of a kind are assigned to tracks one to one so that the sum of their squared
    displacements is least, where a track that finds no site counts as one displaced by the largest step. A
    track that is missed waits at its last place, for as many frames as the memory lasts; then it ends, and a
    site found there later starts another. Remove the drift first.

    Parameters
    ----------
    tables
        Sites of each frame in the order of their times, each with ``frame``, ``site``, ``kind``, ``x`` and
        ``y`` [Å]; a table may be empty.
    parameters
        Largest step and memory.

    Returns
    -------
    list of DataFrame
        Copies with ``track``, int64, numbered over all kinds in the order in which tracks start.

    Raises
    ------
    ValueError
        If a column is missing, a table has more than one frame, or a position is not finite.

    References
    ----------
    Crocker and Grier, J. Colloid Interface Sci. 179, 298 (1996), doi:10.1006/jcis.1996.0217; eqs. 6 to 8.
    """
    for number, table in enumerate(tables):
        _check(table, number)
    kinds = [table["kind"].to_numpy(object) for table in tables]
    positions = [as_points(table[["x", "y"]].to_numpy(), "positions") for table in tables]
    tracks = [np.empty(len(table), dtype=np.int64) for table in tables]
    n_tracks = 0
    for kind in sorted({kind for column in kinds for kind in column}):
        chosen = [column == kind for column in kinds]
        followed, n_found = follow_points(
            [points[is_kind] for points, is_kind in zip(positions, chosen, strict=True)], parameters
        )
        for track, is_kind, found in zip(tracks, chosen, followed, strict=True):
            track[is_kind] = found + n_tracks
        n_tracks += n_found
    return [
        table.assign(track=track) for table, track in zip(tables, _in_order_of_start(tracks), strict=True)
    ]


def follow_points(
    positions: Sequence[FloatArray], parameters: LinkingParameters
) -> tuple[list[IntArray], int]:
    """Return the track of each point of each frame, from 0 on, and the number of tracks.

    Parameters
    ----------
    positions
        Points of each frame, (N, 2), x then y [Å].
    parameters
        Largest step and memory.
    """
    live = _Live(np.empty((0, 2)), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    tracks, n_tracks = [], 0
    for points in positions:
        track = np.full(len(points), -1, dtype=np.int64)
        source, target = _assign(live.places, points, parameters.max_step)
        track[target] = live.tracks[source]
        is_new = track < 0
        track[is_new] = n_tracks + np.arange(is_new.sum())
        n_tracks += int(is_new.sum())
        tracks.append(track)
        missed = np.setdiff1d(np.flatnonzero(live.n_missed < parameters.memory), source)
        live = _Live(
            np.concatenate([points, live.places[missed]]),
            np.concatenate([track, live.tracks[missed]]),
            np.concatenate([np.zeros(len(points), dtype=np.int64), live.n_missed[missed] + 1]),
        )
    return tracks, n_tracks


class _Live(NamedTuple):
    """Tracks that may go on: last places (N, 2) [Å], numbers, and frames since, each (N,)."""

    places: FloatArray
    tracks: IntArray
    n_missed: IntArray


def _check(table: pd.DataFrame, number: int) -> None:
    """Check that a table holds the sites of one frame."""
    missing = [name for name in _COLUMNS if name not in table]
    if missing:
        raise ValueError(
            f"table {number} must have the column {missing[0]}, got {', '.join(map(str, table))}"
        )
    if table["frame"].nunique() > 1:
        raise ValueError(f"table {number} must be of one frame, got {table['frame'].nunique()}")


def _assign(places: FloatArray, points: FloatArray, max_step: float) -> tuple[IntArray, IntArray]:
    """Return which places and points belong together, in pairs."""
    if not (len(places) and len(points)):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    near = KDTree(places).sparse_distance_matrix(KDTree(points), max_step, output_type="ndarray")
    source, target = near["i"].astype(np.int64), near["j"].astype(np.int64)
    is_alone = (np.bincount(source, minlength=len(places))[source] == 1) & (
        np.bincount(target, minlength=len(points))[target] == 1
    )
    crowd = np.flatnonzero(~is_alone)
    chosen = crowd[_cheapest(source[crowd], target[crowd], near["v"][crowd] ** 2, max_step**2)]
    kept = np.concatenate([np.flatnonzero(is_alone), chosen])
    return source[kept], target[kept]


def _cheapest(source: IntArray, target: IntArray, squares: FloatArray, alone: float) -> IntArray:
    """Return the links of the cheapest assignment, in which a source without a target costs `alone`."""
    if not len(source):
        return np.empty(0, dtype=np.int64)
    _, row = np.unique(source, return_inverse=True)
    _, column = np.unique(target, return_inverse=True)
    n_rows, n_columns = int(row.max()) + 1, int(column.max()) + 1
    own = np.arange(n_rows)
    # Every source may also take a column of its own. A weight of 0 would not be stored, hence the shift.
    cost = sparse.csr_array(
        (
            np.concatenate([squares + alone, np.full(n_rows, 2 * alone)]),
            (np.concatenate([row, own]), np.concatenate([column, n_columns + own])),
        ),
        shape=(n_rows, n_columns + n_rows),
    )
    rows, columns = min_weight_full_bipartite_matching(cost)
    taken = np.full(n_rows, -1)
    taken[rows] = columns
    return np.flatnonzero(taken[row] == column)


def _in_order_of_start(tracks: list[IntArray]) -> list[IntArray]:
    """Renumber tracks in the order in which they appear."""
    if not tracks:
        return []
    every = np.concatenate(tracks)
    _, first, inverse = np.unique(every, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.split(rank[inverse], np.cumsum([len(track) for track in tracks])[:-1])
