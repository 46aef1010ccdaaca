"""How far sites located in an image are a network with three bonds at each atom."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from amorph2d.arrays import BoolArray, FloatArray

_ATOM_AREA = 0.75 * math.sqrt(3)  # area of an atom of a honeycomb, in squares of the bond length
_BESIDE = 1.35  # of the typical spacing: farther atoms are no neighbours
_RINGS_BESIDE = 0.6, 1.5  # distances of an atom's three ring centres, in typical spacings
_EDGE = 1.6  # atoms closer to the edge lack neighbours; in bond lengths
_LEAST_ATOMS = 12


@dataclass(frozen=True)
class NetworkCheck:
    """How far located sites are a three-coordinated network.

    Attributes
    ----------
    score
        0 … 1: geometric mean of the share of the atoms that have three neighbours and three ring centres
        beside them, and the share of the area that they cover.
    bond_length
        Median over these atoms [Å]; NaN where there are too few.
    error
        Its statistical error [Å].
    """

    score: float
    bond_length: float
    error: float


_NOTHING = NetworkCheck(0.0, math.nan, math.nan)


def check_network(sites: pd.DataFrame, extent: tuple[float, float], *, bond_length: float) -> NetworkCheck:
    """Judge how far sites are a network with three bonds at each atom.

    Parameters
    ----------
    sites
        Table with the columns kind ("atom" or "ring"), x and y [Å].
    extent
        Height and width of the image that they are from [Å].
    bond_length
        Typical bond length of the material [Å].
    """
    from scipy.spatial import cKDTree

    atoms, rings = (
        sites.loc[sites["kind"] == kind, ["y", "x"]].to_numpy(dtype=np.float64) for kind in ("atom", "ring")
    )
    if len(atoms) < _LEAST_ATOMS or len(rings) < _LEAST_ATOMS // 2:
        return _NOTHING
    distances = np.asarray(cKDTree(atoms).query(atoms, k=5)[0])[:, 1:]
    beside = np.asarray(cKDTree(rings).query(atoms, k=3)[0])
    typical = float(np.median(distances[:, :2]))
    is_inside = _is_inside(atoms, extent, _EDGE * bond_length)
    is_good = (distances[:, 2] < _BESIDE * typical) & (distances[:, 3] > _BESIDE * typical)
    is_good &= (beside[:, 0] > _RINGS_BESIDE[0] * typical) & (beside[:, 2] < _RINGS_BESIDE[1] * typical)
    is_good &= is_inside
    n_good = int(np.count_nonzero(is_good))
    inner = math.prod(max(side - 2 * _EDGE * bond_length, 0.0) for side in extent)
    if n_good < _LEAST_ATOMS or inner == 0:
        return _NOTHING
    covered = min(n_good * _ATOM_AREA * typical**2 / inner, 1.0)
    bonds = distances[is_good, :3]
    length = float(np.median(bonds))
    spread = 1.4826 * float(np.median(np.abs(bonds - length)))
    # Each bond is there twice.
    error = 1.25 * spread / math.sqrt(bonds.size / 2)
    return NetworkCheck(math.sqrt(n_good / np.count_nonzero(is_inside) * covered), length, error)


def _is_inside(points: FloatArray, extent: tuple[float, float], margin: float) -> BoolArray:
    """Say which points, y then x, are farther than a margin from the edges."""
    return np.asarray(((points > margin) & (points < np.array(extent) - margin)).all(axis=1))
