"""Rings that share bonds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, IntArray


@dataclass(frozen=True, eq=False)
class RingNeighbours:
    """Which rings share bonds.

    Attributes
    ----------
    pairs
        Rings i < j that share at least one bond, sorted, (P, 2).
    n_bonds
        Bonds that each pair shares, (P,).
    n_neighbours
        Rings that each ring shares bonds with, (R,).
    n_shared
        Bonds of each ring that belong to another ring, too, (R,).
    is_interior
        Whether all bonds of a ring do, so that all its neighbours are known, (R,).
    """

    pairs: IntArray
    n_bonds: IntArray
    n_neighbours: IntArray
    n_shared: IntArray
    is_interior: BoolArray

    @property
    def ordered_pairs(self) -> IntArray:
        """Each pair twice, (2 P, 2): as (i, j), all in order, then as (j, i)."""
        return np.concatenate([self.pairs, self.pairs[:, ::-1]])


def ring_neighbours(members: ArrayLike, sizes: ArrayLike) -> RingNeighbours:
    """Find the rings that share bonds.

    Two rings that share a chain of bonds, as on either side of a two-coordinated atom, are one pair. A bond
    with the same ring on both sides is not shared.

    Parameters
    ----------
    members
        Atoms of one ring after the other, in order around it, (sum of sizes,): indices or site numbers ≥ 0.
    sizes
        Atoms in each ring, ≥ 3, (R,).

    Returns
    -------
    RingNeighbours
        The pairs of neighbours; P may be 0.

    Raises
    ------
    ValueError
        If a shape is wrong, a ring has fewer than three atoms, or the sizes do not add up to the members.
    """
    atoms, lengths = _checked(members, sizes)
    n_rings = len(lengths)
    if n_rings == 0:
        nothing = np.empty(0, np.int64)
        return RingNeighbours(nothing.reshape(0, 2), nothing, nothing, nothing, np.empty(0, bool))
    sides, others = _sides_in_common(_bond_keys(atoms, lengths))
    ring = np.repeat(np.arange(n_rings), lengths)
    first, second = ring[sides], ring[others]
    is_pair = first != second
    is_shared = np.zeros(len(atoms), bool)
    is_shared[sides[is_pair]] = is_shared[others[is_pair]] = True
    keys = np.minimum(first, second)[is_pair] * n_rings + np.maximum(first, second)[is_pair]
    found, n_bonds = np.unique(keys, return_counts=True)
    pairs = np.stack(np.divmod(found, n_rings), axis=1)
    n_shared = np.bincount(ring[is_shared], minlength=n_rings).astype(np.int64)
    return RingNeighbours(
        pairs=pairs,
        n_bonds=n_bonds.astype(np.int64),
        n_neighbours=np.bincount(pairs.ravel(), minlength=n_rings).astype(np.int64),
        n_shared=n_shared,
        is_interior=n_shared == lengths,
    )


def _checked(members: ArrayLike, sizes: ArrayLike) -> tuple[IntArray, IntArray]:
    """Members and sizes as integers that belong together."""
    atoms, lengths = np.asarray(members), np.asarray(sizes)
    if atoms.ndim != 1 or lengths.ndim != 1:
        raise ValueError(f"members and sizes must be one-dimensional, got {atoms.shape}, {lengths.shape}")
    if lengths.size and lengths.min() < 3:
        raise ValueError(f"sizes must be ≥ 3, got {lengths.min()}")
    if lengths.sum() != len(atoms):
        raise ValueError(f"sizes must add up to the {len(atoms)} members, got {lengths.sum():.0f}")
    return atoms.astype(np.int64), lengths.astype(np.int64)


def _bond_keys(atoms: IntArray, sizes: IntArray) -> IntArray:
    """One number for the bond from each member of a ring to the next, the same from either end."""
    ends = np.cumsum(sizes)
    following = np.arange(1, len(atoms) + 1)
    following[ends - 1] = ends - sizes
    low, high = np.minimum(atoms, atoms[following]), np.maximum(atoms, atoms[following])
    if high.max() >= 2**31:  # of site numbers so large the product would overflow
        numbered = np.unique(np.stack([low, high]), return_inverse=True)[1].reshape(2, -1)
        low, high = numbered.astype(np.int64)
    return np.asarray(low * (high.max() + 1) + high)


def _sides_in_common(keys: IntArray) -> tuple[IntArray, IntArray]:
    """Index pairs of equal keys, each once."""
    order = np.argsort(keys)
    keys = keys[order]
    first, second = [], []
    for lag in range(1, len(keys)):  # two rings at a bond, and more only where rings are no faces
        is_equal = keys[lag:] == keys[:-lag]
        if not is_equal.any():
            break
        first.append(order[:-lag][is_equal])
        second.append(order[lag:][is_equal])
    nothing = np.empty(0, np.int64)
    return np.concatenate([nothing, *first]), np.concatenate([nothing, *second])
