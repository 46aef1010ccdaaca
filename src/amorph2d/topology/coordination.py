"""How many bonds an atom has."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import IntArray, as_pairs


def coordination_numbers(bonds: ArrayLike, n_atoms: int) -> IntArray:
    """Count the bonds of each atom.

    Parameters
    ----------
    bonds
        Index pairs, (B, 2).
    n_atoms
        Number of atoms N.

    Returns
    -------
    IntArray
        Bonds of each atom, (N,).

    Raises
    ------
    ValueError
        If a bond names an atom that does not exist.
    """
    pairs = as_pairs(bonds, n_atoms, "bonds")
    return np.bincount(pairs.ravel(), minlength=n_atoms).astype(np.int64)
