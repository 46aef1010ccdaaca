"""Rings of a bond network, by two criteria: faces of its drawing, and Delaunay edges from a ring centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_pairs, as_points
from amorph2d.topology.bonds import count_spokes, unique_pairs
from amorph2d.topology.faces import drop_crossing_bonds, is_planar, walk_faces
from amorph2d.topology.periodic import as_box, build_tree, nearest_image, wrap
from amorph2d.topology.triangulation import delaunay_edges


@dataclass(frozen=True, eq=False)
class Rings:
    """Rings of a bond network, each the circle of its atoms.

    Attributes
    ----------
    members
        Atoms of one ring after the other, in order around it, (sum of sizes,).
    sizes
        Atoms in each ring, (R,).
    centroids
        Centres of area, (R, 2), x then y [Å].
    areas
        Areas, (R,) [Å²].
    is_complete
        Whether all atoms of the ring are analysable, (R,).
    """

    members: IntArray
    sizes: IntArray
    centroids: FloatArray
    areas: FloatArray
    is_complete: BoolArray

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def starts(self) -> IntArray:
        """Where each ring begins in `members`, (R,)."""
        return _starts(self.sizes)

    @property
    def offsets(self) -> IntArray:
        """Where each ring begins in `members`, and its length, (R + 1,)."""
        return np.append(self.starts, len(self.members))


def planar_rings(
    atoms: ArrayLike,
    bonds: ArrayLike,
    *,
    max_size: int,
    box: ArrayLike | None = None,
    is_analysable: ArrayLike | None = None,
) -> Rings:
    """Find the rings of a bond network as the faces of its drawing in the plane.

    The outer face is no ring. Chains, dangling ends and bridges between ring systems change neither size nor
    area of the ring they lie in. Where two bonds cross, the longer is left out; Delaunay bonds never cross.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs, (B, 2).
    max_size
        Atoms in the largest ring, ≥ 3; larger faces are pores and left out.
    box
        Edge lengths of a periodic box, (2,), wider than two rings [Å]; None for an open sheet.
    is_analysable
        Atoms that count, (N,); all if None.

    Returns
    -------
    Rings
        The rings; R may be 0.

    Raises
    ------
    ValueError
        If a shape is wrong, a bond joins an atom to itself, or `max_size` is less than 3.
    """
    positions, extent = as_points(atoms, "atoms"), as_box(box)
    pairs = unique_pairs(as_pairs(bonds, len(positions), "bonds"))
    n_loops = int((pairs[:, 0] == pairs[:, 1]).sum())
    if n_loops:
        raise ValueError(f"bonds must join two atoms, got {n_loops} from an atom to itself")
    if max_size < 3:
        raise ValueError(f"max_size must be ≥ 3, got {max_size}")
    counts = np.ones(len(positions), bool) if is_analysable is None else np.asarray(is_analysable, bool)
    if counts.shape != (len(positions),):
        raise ValueError(f"is_analysable must have the shape ({len(positions)},), got {counts.shape}")
    members, sizes = _ring_members(positions, pairs, extent, max_size)
    return _measure_rings(positions, members, sizes, extent, counts)


def delaunay_ring_sizes(
    atoms: ArrayLike, ring_centres: ArrayLike, *, box: ArrayLike | None = None
) -> IntArray:
    """Count the Delaunay edges from each ring centre to atoms.

    At the border of an open sheet, where the ring is not closed, the number means nothing.

    Parameters
    ----------
    atoms, ring_centres
        Positions, (N, 2) and (M, 2), x then y [Å].
    box
        Edge lengths of a periodic box, (2,), wider than two rings [Å]; None for an open sheet.

    Returns
    -------
    IntArray
        Ring sizes by this criterion, (M,).

    Raises
    ------
    ValueError
        If a shape is wrong.

    References
    ----------
    Leist et al., ACS Nano 16, 20488 (2022): polygons told apart by the number of edges between their centre
    and the nearest atoms.
    """
    positions, centres = as_points(atoms, "atoms"), as_points(ring_centres, "ring_centres")
    edges = delaunay_edges(np.concatenate([positions, centres]), as_box(box))
    return count_spokes(edges, len(positions), len(centres))


def assign_ring_centres(
    rings: Rings, ring_centres: ArrayLike, atoms: ArrayLike, *, box: ArrayLike | None = None
) -> IntArray:
    """Find the ring centre that lies in each ring.

    Parameters
    ----------
    rings
        R rings of `atoms`.
    ring_centres, atoms
        Positions, (M, 2) and (N, 2), x then y [Å].
    box
        Edge lengths of a periodic box, (2,), wider than two rings [Å]; None for an open sheet.

    Returns
    -------
    IntArray
        Index of the centre in each ring, (R,): the one nearest the centroid if there are several, −1 if there
        is none.

    Raises
    ------
    ValueError
        If a shape is wrong.
    """
    positions, centres = as_points(atoms, "atoms"), as_points(ring_centres, "ring_centres")
    extent = as_box(box)
    assigned = np.full(len(rings), -1, dtype=np.int64)
    if len(rings) == 0 or len(centres) == 0:
        return assigned
    corners = nearest_image(
        positions[rings.members] - np.repeat(rings.centroids, rings.sizes, axis=0), extent
    )
    radii = np.sqrt(np.maximum.reduceat((corners**2).sum(axis=1), rings.starts))
    near = build_tree(rings.centroids, extent).sparse_distance_matrix(
        build_tree(centres, extent), radii.max(), output_type="ndarray"
    )
    near = near[near["v"] <= radii[near["i"]]]
    offsets = nearest_image(centres[near["j"]] - rings.centroids[near["i"]], extent)
    near = near[_lie_inside(rings, corners, near["i"], offsets)]
    near = near[np.lexsort((near["j"], -near["v"]))]  # the nearest is written last
    assigned[near["i"]] = near["j"]
    return assigned


def euler_characteristic(n_atoms: int, n_bonds: int, n_rings: int) -> int:
    """Return atoms − bonds + rings.

    For an open sheet this is the number of its pieces less that of its pores; for a periodic sheet without
    pores it is 0. Anything else says that bonds cross or that rings were missed.
    """
    return n_atoms - n_bonds + n_rings


def _ring_members(
    atoms: FloatArray, bonds: IntArray, box: FloatArray | None, max_size: int
) -> tuple[IntArray, IntArray]:
    """Atoms around each ring, one ring after the other, and the sizes of the rings."""
    faces = walk_faces(atoms, bonds, box)
    if not is_planar(faces, bonds):
        bonds = drop_crossing_bonds(atoms, bonds, box)
        faces = walk_faces(atoms, bonds, box)
    # The same face on both sides: a dangling end or a bridge, on no ring.
    is_bridge = faces.face[: len(bonds)] == faces.face[len(bonds) :]
    if is_bridge.any():
        faces = walk_faces(atoms, bonds[~is_bridge], box)
    sizes = np.bincount(faces.face, minlength=len(faces.turns))
    is_ring = (faces.turns == 1) & (sizes <= max_size)
    here = np.unique(faces.face, return_index=True)[1][is_ring]
    sizes = sizes[is_ring]
    members = np.empty(sizes.sum(), dtype=np.int64)
    starts = _starts(sizes)
    for step in range(sizes.max(initial=0)):
        goes_on = sizes > step
        members[starts[goes_on] + step] = faces.origin[here[goes_on]]
        here = faces.following[here]
    return members, sizes


def _measure_rings(
    atoms: FloatArray, members: IntArray, sizes: IntArray, box: FloatArray | None, is_analysable: BoolArray
) -> Rings:
    """Areas and centroids of rings by the shoelace formula, relative to the first atom of each."""
    if len(sizes) == 0:
        return Rings(members, sizes, np.empty((0, 2)), np.empty(0), np.empty(0, dtype=bool))
    starts = _starts(sizes)
    origins = atoms[members[starts]]
    corners = nearest_image(atoms[members] - np.repeat(origins, sizes, axis=0), box)
    following = corners[_next_corner(sizes)]
    cross = corners[:, 0] * following[:, 1] - following[:, 0] * corners[:, 1]
    areas = np.add.reduceat(cross, starts) / 2
    centroids = np.add.reduceat(corners, starts) / sizes[:, None]
    has_area = areas > 0  # a ring drawn as a line or a figure of eight has no centre of area
    moments = np.add.reduceat((corners + following) * cross[:, None], starts)
    centroids[has_area] = moments[has_area] / (6 * areas[has_area, None])
    is_complete = np.logical_and.reduceat(is_analysable[members], starts)
    return Rings(members, sizes, wrap(origins + centroids, box), np.abs(areas), is_complete)


def _lie_inside(rings: Rings, corners: FloatArray, ring: IntArray, points: FloatArray) -> BoolArray:
    """Tell which points, (K, 2), lie in their rings: a line to the right crosses an odd number of sides."""
    sizes = rings.sizes[ring]
    point = np.repeat(np.arange(len(ring)), sizes)
    start = np.repeat(rings.starts[ring] - _starts(sizes), sizes)
    corner = start + np.arange(len(point))
    a = corners[corner] - points[point]
    b = corners[_next_corner(rings.sizes)[corner]] - points[point]
    is_split = (a[:, 1] > 0) != (b[:, 1] > 0)
    is_right = (a[:, 0] * b[:, 1] - b[:, 0] * a[:, 1] > 0) == (b[:, 1] > a[:, 1])
    return np.bincount(point, is_split & is_right, minlength=len(ring)) % 2 == 1


def _starts(sizes: IntArray) -> IntArray:
    """Where each of several runs of these sizes begins."""
    return np.cumsum(sizes) - sizes


def _next_corner(sizes: IntArray) -> IntArray:
    """Index of the next corner around each of several polygons of these sizes."""
    following = np.arange(1, sizes.sum() + 1)
    following[np.cumsum(sizes) - 1] = _starts(sizes)
    return following
