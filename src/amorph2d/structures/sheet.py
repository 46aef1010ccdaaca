"""A planar network of atoms in a periodic box."""

from __future__ import annotations

from dataclasses import dataclass

from amorph2d.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Sheet:
    """Atoms, bonds and rings of a two-dimensional network, periodic along x and y.

    Attributes
    ----------
    positions
        Atoms, (N, 2), x then y, wrapped into the box [Å].
    numbers
        Atomic numbers, (N,).
    bonds
        Index pairs i < j, (B, 2); the shortest periodic image is meant.
    ring_centres
        Centroids of the closed rings, (R, 2), wrapped into the box [Å].
    ring_sizes
        Atoms in each ring, (R,).
    box
        Edge lengths along x and y, (2,) [Å].
    """

    positions: FloatArray
    numbers: IntArray
    bonds: IntArray
    ring_centres: FloatArray
    ring_sizes: IntArray
    box: FloatArray
