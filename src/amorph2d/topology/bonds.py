"""Bonds between atoms, from the Delaunay triangulation of atoms and ring centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray, as_pairs, as_points
from amorph2d.topology.periodic import as_box, nearest_image
from amorph2d.topology.triangulation import delaunay_edges


def delaunay_bonds(
    atoms: ArrayLike,
    ring_centres: ArrayLike | None = None,
    *,
    limits: tuple[float, float],
    box: ArrayLike | None = None,
) -> IntArray:
    """Bond atoms that share a Delaunay edge of suitable length.

    Atoms and ring centres are triangulated together, so that a centre keeps the atoms of its ring from being
    bonded across it; without centres only the limits do that.

    Parameters
    ----------
    atoms, ring_centres
        Positions, (N, 2) and (M, 2), x then y [Å].
    limits
        Shortest and longest bond, both included [Å].
    box
        Edge lengths of a periodic box, (2,) [Å]; None for an open sheet.

    Returns
    -------
    IntArray
        Index pairs i < j into `atoms`, sorted, (B, 2); B may be 0.

    Raises
    ------
    ValueError
        If a shape is wrong, the limits are not 0 ≤ shortest < longest, or the box is narrower than two
        longest bonds.

    References
    ----------
    Leist et al., ACS Nano 16, 20488 (2022): atoms and polygon centres in one triangulation, limits of 0.5 and
    3 Å.
    """
    positions = as_points(atoms, "atoms")
    centres = as_points(() if ring_centres is None else ring_centres, "ring_centres")
    _check_limits(limits)
    extent = as_box(box)
    if extent is not None and extent.min() < 2 * limits[1]:
        raise ValueError(f"box must be at least two longest bonds, {2 * limits[1]} Å, wide, got {extent}")
    edges = delaunay_edges(np.concatenate([positions, centres]), extent)
    return _bonds_among(edges, positions, limits, extent)


def delaunay_network(
    atoms: ArrayLike, ring_centres: ArrayLike, *, limits: tuple[float, float]
) -> tuple[IntArray, IntArray]:
    """Return what `delaunay_bonds` and `rings.delaunay_ring_sizes` do, from one triangulation.

    Parameters
    ----------
    atoms, ring_centres
        Positions in an open sheet, (N, 2) and (M, 2), x then y [Å].
    limits
        Shortest and longest bond, both included [Å].

    Returns
    -------
    bonds, ring_sizes
        Index pairs i < j into `atoms`, sorted, (B, 2), and edges from each ring centre to atoms, (M,).

    Raises
    ------
    ValueError
        If a shape is wrong or the limits are not 0 ≤ shortest < longest.
    """
    positions, centres = as_points(atoms, "atoms"), as_points(ring_centres, "ring_centres")
    _check_limits(limits)
    edges = delaunay_edges(np.concatenate([positions, centres]), None)
    return _bonds_among(edges, positions, limits, None), count_spokes(edges, len(positions), len(centres))


def count_spokes(edges: IntArray, n_atoms: int, n_centres: int) -> IntArray:
    """Count the edges from each ring centre to atoms, (M,); centres are numbered after the atoms."""
    spokes = unique_pairs(edges[(edges[:, 0] < n_atoms) & (edges[:, 1] >= n_atoms)])
    return np.bincount(spokes[:, 1] - n_atoms, minlength=n_centres).astype(np.int64)


def _check_limits(limits: tuple[float, float]) -> None:
    """Raise unless limits are in order."""
    shortest, longest = limits
    if not 0 <= shortest < longest:
        raise ValueError(f"limits must be 0 Å ≤ shortest < longest, got {shortest} to {longest}")


def _bonds_among(
    edges: IntArray, positions: FloatArray, limits: tuple[float, float], box: FloatArray | None
) -> IntArray:
    """Return the edges between atoms that are neither too short nor too long, sorted, (B, 2)."""
    edges = edges[edges[:, 1] < len(positions)]
    lengths = np.linalg.norm(bond_vectors(positions, edges, box=box), axis=1)
    return unique_pairs(edges[(lengths >= limits[0]) & (lengths <= limits[1])])


def bond_vectors(atoms: ArrayLike, bonds: ArrayLike, *, box: ArrayLike | None = None) -> FloatArray:
    """Vectors from the first to the second atom of each bond, to its nearest image in a periodic box.

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
    FloatArray
        Vectors, (B, 2), x then y [Å].

    Raises
    ------
    ValueError
        If a shape is wrong or a bond names an atom that does not exist.
    """
    positions = as_points(atoms, "atoms")
    pairs = as_pairs(bonds, len(positions), "bonds")
    return nearest_image(positions[pairs[:, 1]] - positions[pairs[:, 0]], as_box(box))


def unique_pairs(pairs: IntArray) -> IntArray:
    """Return pairs i ≤ j once each, (B, 2), sorted by i, then j."""
    if len(pairs) == 0:
        return np.empty((0, 2), dtype=np.int64)
    stride = int(pairs.max()) + 1
    keys = np.minimum(pairs[:, 0], pairs[:, 1]) * stride + np.maximum(pairs[:, 0], pairs[:, 1])
    keys.sort()
    keys = keys[np.append(True, keys[1:] != keys[:-1])]
    return np.stack(np.divmod(keys, stride), axis=1)
