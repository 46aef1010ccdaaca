"""Open sheets of rings around given centres, as arrays and as tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import Voronoi, cKDTree

from amorph2d.measures.ring_pairs import complete_neighbours, ring_pairs_table
from amorph2d.topology.ring_neighbours import RingNeighbours
from amorph2d.topology.rings import planar_rings
from strategies import make_sites, rotate

SPACING = 2.46  # of the ring centres of graphene [Å]


def triangular(width: float, height: float, angle: float) -> np.ndarray:
    """Ring centres of graphene that fill a rectangle around the origin, turned by an angle [°]."""
    reach = np.hypot(width, height) / SPACING + 2
    i, j = np.meshgrid(np.arange(-reach, reach), np.arange(-reach, reach))
    points = SPACING * np.stack([(i + j / 2).ravel(), np.sqrt(3) / 2 * j.ravel()], axis=1)
    points = rotate(points, angle) + np.array([0.31, 0.17])
    return points[(np.abs(points) <= [width / 2, height / 2]).all(axis=1)]


def two_grains(width: float, height: float, angles: tuple[float, float]) -> np.ndarray:
    """Ring centres of two crystals that meet at x = 0, turned by two angles [°]."""
    left, right = (triangular(width, height, angle) for angle in angles)
    both = np.concatenate([left[left[:, 0] < 0], right[right[:, 0] >= 0]])
    near = cKDTree(both).query_pairs(0.7 * SPACING, output_type="ndarray")
    return np.delete(both, near[:, 1], axis=0)


def voronoi_tables(
    centres: np.ndarray, window: tuple[float, float] | None = None, max_size: int = 30
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Tables of sites, rings and ring atoms of the Voronoi cells, with three bonds at each atom.

    Atoms in the rectangle around the origin with the sides `window`, by default that of the centres, are
    analysable.
    """
    half = np.abs(centres).max(axis=0) if window is None else np.array(window) / 2
    diagram = Voronoi(centres)
    bonds = np.array([ridge for ridge in diagram.ridge_vertices if min(ridge) >= 0])
    used, bonds = np.unique(bonds, return_inverse=True)
    atoms = diagram.vertices[used]
    is_near = (np.abs(atoms) <= np.abs(centres).max(axis=0) + SPACING).all(axis=1)
    bonds = bonds.reshape(-1, 2)
    bonds = bonds[is_near[bonds].all(axis=1)]
    sites = make_sites(atoms, analysable=(np.abs(atoms) <= half).all(axis=1))
    return tables_of(sites, bonds, max_size)


def tables_of(
    sites: pd.DataFrame, bonds: np.ndarray, max_size: int = 30
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Tables of sites, rings and ring atoms of one frame."""
    found = planar_rings(
        sites[["x", "y"]], bonds, max_size=max_size, is_analysable=sites["analysable"].to_numpy()
    )
    x, y = found.centroids.T
    frame = sites["frame"].to_numpy()[:1].repeat(len(found))
    rings = pd.DataFrame({"frame": frame, "size": found.sizes, "x": x, "y": y, "area": found.areas}).assign(
        complete=found.is_complete
    )
    rows = np.repeat(np.arange(len(found)), found.sizes)
    atoms = sites["site"].to_numpy()[found.members]
    return sites, rings, pd.DataFrame({"frame": frame[:1].repeat(len(rows)), "row": rows, "atom": atoms})


def neighbours_of(rings: pd.DataFrame, ring_atoms: pd.DataFrame) -> RingNeighbours:
    """Which complete rings of one frame share bonds."""
    return complete_neighbours(rings, ring_pairs_table(rings, ring_atoms))
