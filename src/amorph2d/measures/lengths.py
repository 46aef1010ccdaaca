"""Bond lengths."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray
from amorph2d.topology.bonds import bond_vectors


def bond_lengths(atoms: ArrayLike, bonds: ArrayLike, *, box: ArrayLike | None = None) -> FloatArray:
    """Measure bonds.

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
        Lengths, (B,) [Å].

    Raises
    ------
    ValueError
        If a shape is wrong or a bond names an atom that does not exist.
    """
    vectors = bond_vectors(atoms, bonds, box=box)
    return np.hypot(vectors[:, 0], vectors[:, 1])
