"""One-to-one assignment of predicted to reference points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import KDTree

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points

_LARGEST_DENSE = 250_000


@dataclass(frozen=True)
class Matching:
    """Matched pairs.

    Attributes
    ----------
    pairs
        Indices of predicted and reference points, (K, 2), ordered by the predicted point.
    distances
        Their distances, (K,) [Å].
    """

    pairs: IntArray
    distances: FloatArray


def match_points(predicted: ArrayLike, reference: ArrayLike, *, max_distance: float) -> Matching:
    """Match predicted to reference points one to one.

    As many pairs as possible are made, and of all ways to make that many, the one with the least sum of
    squared distances. Points within reach of each other form small groups, each of which is solved by itself.

    Parameters
    ----------
    predicted, reference
        Positions, (N, 2) and (M, 2), x then y [Å].
    max_distance
        Largest separation counted as a match, > 0 [Å].

    Returns
    -------
    Matching
        Index pairs (K, 2) and distances (K,) [Å]; K may be 0.

    Raises
    ------
    ValueError
        If a shape is wrong or `max_distance` is not positive.

    References
    ----------
    Crouse, IEEE Trans. Aerosp. Electron. Syst. 52, 1679 (2016), doi:10.1109/TAES.2016.140952.
    """
    points, targets = as_points(predicted, "predicted"), as_points(reference, "reference")
    if not (np.isfinite(max_distance) and max_distance > 0):
        raise ValueError(f"max_distance must be > 0 Å, got {max_distance}")
    first, second, distances = _candidates(points, targets, max_distance)
    group = _groups(first, second, len(points), len(targets))
    is_kept = _nearest_of_stars(first, second, distances, group)
    for edges in _crowds(first, second, group):
        is_kept[edges[_assign(first[edges], second[edges], distances[edges])]] = True
    kept = np.flatnonzero(is_kept)
    kept = kept[np.argsort(first[kept])]
    return Matching(np.column_stack([first[kept], second[kept]]), distances[kept])


def _candidates(
    points: FloatArray, targets: FloatArray, max_distance: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return all pairs within reach and their distances."""
    if not (len(points) and len(targets)):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
    near = KDTree(points).sparse_distance_matrix(KDTree(targets), max_distance, output_type="ndarray")
    return near["i"].astype(np.int64), near["j"].astype(np.int64), near["v"]


def _groups(first: IntArray, second: IntArray, n_points: int, n_targets: int) -> IntArray:
    """Return the connected group of each candidate pair."""
    n_nodes = n_points + n_targets
    graph = sparse.coo_array(
        (np.ones(len(first), dtype=bool), (first, second + n_points)), shape=(n_nodes, n_nodes)
    )
    return connected_components(graph, directed=False)[1][first].astype(np.int64)


def _nearest_of_stars(first: IntArray, second: IntArray, distances: FloatArray, group: IntArray) -> BoolArray:
    """Keep the nearest pair of each group whose pairs all share one point: that is its best match."""
    is_star = _shares_one(first, group) | _shares_one(second, group)
    order = np.lexsort((distances, group))
    is_nearest = np.zeros(len(group), dtype=bool)
    is_nearest[order[np.flatnonzero(np.diff(group[order], prepend=-1))]] = True
    return is_nearest & is_star


def _shares_one(ends: IntArray, group: IntArray) -> BoolArray:
    """Say for each pair whether all pairs of its group have the same end."""
    n_groups = int(group.max(initial=-1)) + 1
    low, high = np.full(n_groups, np.iinfo(np.int64).max), np.full(n_groups, -1)
    np.minimum.at(low, group, ends)
    np.maximum.at(high, group, ends)
    return np.asarray((low == high)[group])


def _crowds(first: IntArray, second: IntArray, group: IntArray) -> list[IntArray]:
    """Return the candidate pairs of each group that is not a star."""
    crowded = np.flatnonzero(~(_shares_one(first, group) | _shares_one(second, group)))
    crowded = crowded[np.argsort(group[crowded], kind="stable")]
    return np.split(crowded, np.flatnonzero(np.diff(group[crowded])) + 1) if len(crowded) else []


def _assign(first: IntArray, second: IntArray, distances: FloatArray) -> IntArray:
    """Return which candidate pairs of one group are matched."""
    points, row = np.unique(first, return_inverse=True)
    targets, column = np.unique(second, return_inverse=True)
    # Leaving one more point alone costs more than all distances of the group together.
    alone = (min(len(points), len(targets)) + 1) * (distances.max() ** 2 + 1e-12)
    if len(points) * len(targets) > _LARGEST_DENSE:
        return _assign_sparse(row, column, distances**2, alone)
    cost = np.full((len(points), len(targets)), alone)
    edge = np.full(cost.shape, -1, dtype=np.int64)
    cost[row, column] = distances**2
    edge[row, column] = np.arange(len(first))
    chosen = edge[linear_sum_assignment(cost)]
    return chosen[chosen >= 0]


def _assign_sparse(row: IntArray, column: IntArray, squares: FloatArray, alone: float) -> IntArray:
    """Solve a large group; every row may also take a column of its own, which leaves it alone."""
    n_rows, n_columns = int(row.max()) + 1, int(column.max()) + 1
    own = np.arange(n_rows)
    # A weight of 0 would not be stored, hence the shift by `alone`, the same for every row.
    cost = sparse.csr_array(
        (
            np.concatenate([squares + alone, np.full(n_rows, 2 * alone)]),
            (np.concatenate([row, own]), np.concatenate([column, n_columns + own])),
        ),
        shape=(n_rows, n_columns + n_rows),
    )
    rows, columns = min_weight_full_bipartite_matching(cost)
    chosen = np.full(n_rows, -1)
    chosen[rows] = columns
    return np.flatnonzero(chosen[row] == column)
