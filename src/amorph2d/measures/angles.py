"""Angles between the bonds of an atom."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.topology.bonds import bond_vectors


def bond_angles(
    atoms: ArrayLike, bonds: ArrayLike, *, box: ArrayLike | None = None
) -> tuple[IntArray, FloatArray]:
    """Measure the angle between every two bonds of an atom.

    An atom with k bonds has k (k − 1) / 2 angles, the reflex angle of a two-coordinated atom not being one of
    them.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs, (B, 2).
    box
        Edge lengths of a periodic box, (2,) [Å]; None for an open sheet.

    Returns
    -------
    triples
        Atoms i, vertex and j, where i < j, sorted by vertex, (A, 3).
    angles
        Angles from 0 to 180, (A,) [°].

    Raises
    ------
    ValueError
        If a shape is wrong or a bond names an atom that does not exist.
    """
    vectors = bond_vectors(atoms, bonds, box=box)
    pairs = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    vertex, end = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.lexsort((end, vertex))
    vertex, end, vectors = vertex[order], end[order], np.concatenate([vectors, -vectors])[order]
    first, second = _pairs_in_runs(vertex)
    a, b = vectors[first], vectors[second]
    cross = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    # atan2 keeps its precision near 0° and 180°, where the arc cosine loses it.
    angles = np.degrees(np.arctan2(np.abs(cross), (a * b).sum(axis=1)))
    return np.stack([end[first], vertex[first], end[second]], axis=1), angles


def _pairs_in_runs(labels: IntArray) -> tuple[IntArray, IntArray]:
    """Index pairs first < second of elements with the same label, in sorted labels."""
    n = len(labels)
    run_end = np.searchsorted(labels, labels, side="right")
    later = run_end - np.arange(n) - 1
    first = np.repeat(np.arange(n), later)
    rank = np.arange(len(first)) - np.repeat(np.cumsum(later) - later, later)
    return first, first + 1 + rank
