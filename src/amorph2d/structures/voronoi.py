"""The network of atoms whose rings surround given seeds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray, as_points
from amorph2d.structures.network import RingedSheet
from amorph2d.structures.periodic import as_box, polygon_areas_and_centroids, unwrapped_polygons, wrap
from amorph2d.structures.triangulation import (
    cell_areas_and_centroids,
    neighbouring_triangles,
    triangles_around_points,
    triangulate,
)

CARBON = 6


def voronoi_network(seeds: ArrayLike, box: ArrayLike) -> RingedSheet:
    """Build the periodic Voronoi network of `seeds`: one atom per vertex, one ring per seed.

    Every atom has three bonds, and the mean ring size is exactly 6. Bond lengths are those of the
    Voronoi diagram, some of them close to zero: `relax_network` makes them equal.

    Parameters
    ----------
    seeds
        Seeds of the rings, (R, 2), x then y [Å].
    box
        Edge lengths along x and y, (2,) [Å].

    Returns
    -------
    RingedSheet
        2 R carbon atoms, 3 R bonds, R rings in the order of the seeds, with their centres at the centroids of
        the rings, not at the seeds.

    Raises
    ------
    ValueError
        If the box is too small for the seeds, or four seeds lie on an empty circle.

    References
    ----------
    Leist et al., ACS Nano 16, 20488 (2022): Voronoi networks of Poisson disk seeds as training structures.
    """
    edges = as_box(box)
    triangulation = triangulate(wrap(as_points(seeds, "seeds"), edges), edges)
    pairs, vectors = neighbouring_triangles(triangulation)
    if (np.abs(vectors) >= edges / 2).any():
        raise ValueError(f"box {edges.tolist()} Å is too small: a bond is longer than half of it")
    members, _, offsets = triangles_around_points(triangulation)
    positions = wrap(triangulation.circumcentres, edges)
    corners = unwrapped_polygons(positions, members, offsets, edges)
    return RingedSheet(
        positions=positions,
        numbers=np.full(len(positions), CARBON),
        bonds=_sorted_pairs(pairs),
        ring_centres=wrap(polygon_areas_and_centroids(corners, offsets)[1], edges),
        ring_sizes=np.diff(offsets),
        box=edges,
        ring_members=members,
        ring_offsets=offsets,
    )


def voronoi_cells(seeds: ArrayLike, box: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return the areas (N,) [Å²] and the centroids (N, 2), wrapped [Å], of periodic Voronoi cells.

    Raises
    ------
    ValueError
        As `voronoi_network`.
    """
    edges = as_box(box)
    areas, centroids = cell_areas_and_centroids(triangulate(wrap(as_points(seeds, "seeds"), edges), edges))
    return areas, wrap(centroids, edges)


def _sorted_pairs(pairs: IntArray) -> IntArray:
    """Return index pairs with i < j, in ascending order."""
    ordered = np.sort(pairs, axis=1)
    return ordered[np.lexsort((ordered[:, 1], ordered[:, 0]))]
