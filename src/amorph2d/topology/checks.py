"""Checks of a bond network: Euler's relation, strange atoms, crossing bonds, disagreeing ring counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_pairs, as_points
from amorph2d.topology.bonds import bond_vectors, unique_pairs
from amorph2d.topology.coordination import coordination_numbers
from amorph2d.topology.faces import count_pieces, walk_faces
from amorph2d.topology.periodic import as_box, build_tree, nearest_image, wrap
from amorph2d.topology.rings import Rings, assign_ring_centres, delaunay_ring_sizes
from amorph2d.topology.shortest_path import ShortestPathRings

AGREES, OTHER_DELAUNAY, HAS_SHORTCUT, DIFFERS_TWICE, NO_FACE = STATUSES = (
    "agrees",
    "other_delaunay_size",
    "has_shortcut",
    "other_delaunay_size_and_shortcut",
    "no_face",
)


@dataclass(frozen=True, eq=False)
class NetworkCheck:
    """What a sound network of bonds and its rings must fulfil.

    Attributes
    ----------
    piece
        Connected piece that each atom belongs to, (N,).
    euler
        Atoms − bonds + faces of each piece, (C,), outer face and holes included: 2, or 0 for a piece that
        covers a periodic box; less where bonds cross.
    n_holes
        Faces of each piece, (C,), that are too large for rings; its outer face is none of them.
    isolated, dangling, over_coordinated
        Atoms without a bond, with one bond, and with too many.
    crossings
        Pairs of bonds that cross, (K, 2).
    n_rings, n_expected_rings
        Rings, and how many there must be by Euler's relation.
    mean_ring_size, expected_mean_ring_size
        Mean size of the rings, and by counting the sides of bonds; NaN without rings.
    """

    piece: IntArray
    euler: IntArray
    n_holes: IntArray
    isolated: IntArray
    dangling: IntArray
    over_coordinated: IntArray
    crossings: IntArray
    n_rings: int
    n_expected_rings: int
    mean_ring_size: float
    expected_mean_ring_size: float

    @property
    def is_consistent(self) -> bool:
        """Whether no bonds cross and the rings are as many and as large as the atoms and bonds demand."""
        is_counted = self.n_rings == self.n_expected_rings and np.isclose(
            self.mean_ring_size, self.expected_mean_ring_size, equal_nan=True
        )
        return bool(len(self.crossings) == 0 and is_counted and np.isin(self.euler, (0, 2)).all())


def check_network(
    atoms: ArrayLike,
    bonds: ArrayLike,
    rings: Rings,
    *,
    max_size: int,
    max_coordination: int,
    box: ArrayLike | None = None,
) -> NetworkCheck:
    """Check a network of bonds and the rings found in it.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    bonds
        Index pairs, (B, 2).
    rings
        The faces of the network, from `planar_rings`, complete or not.
    max_size
        Atoms in the largest ring, as in `planar_rings`.
    max_coordination
        Most bonds that an atom should have, ≥ 1.
    box
        Edge lengths of a periodic box, (2,) [Å]; None for an open sheet.

    Returns
    -------
    NetworkCheck
        What was found; crossing bonds by their rows in `bonds`.

    Raises
    ------
    ValueError
        If a shape is wrong, a bond names an atom that does not exist, or `max_coordination` is less than 1.

    References
    ----------
    Euler's relation for a drawing in the plane, atoms − bonds + faces = 2 for each connected piece. The sizes
    of all faces add up to twice the number of bonds, each of which has two sides; in an endless sheet the
    mean ring size thus is 2 c/(c − 2) for a mean coordination c, which is 6 for c = 3. In a finite one the
    sides along the outer face, along holes and of bonds on no ring are taken off.
    """
    positions, extent = as_points(atoms, "atoms"), as_box(box)
    pairs = unique_pairs(as_pairs(bonds, len(positions), "bonds"))
    if max_coordination < 1:
        raise ValueError(f"max_coordination must be ≥ 1, got {max_coordination}")
    coordination = coordination_numbers(pairs, len(positions))
    piece = _label_pieces(pairs, len(positions))
    n_expected, expected_mean, holes = _expect_rings(positions, pairs, extent, max_size)
    return NetworkCheck(
        piece=piece,
        euler=_euler_of_pieces(positions, pairs, extent, piece),
        n_holes=np.bincount(piece[holes], minlength=piece.max(initial=-1) + 1),
        isolated=np.flatnonzero(coordination == 0),
        dangling=np.flatnonzero(coordination == 1),
        over_coordinated=np.flatnonzero(coordination > max_coordination),
        crossings=crossing_bonds(positions, bonds, box=box),
        n_rings=len(rings),
        n_expected_rings=n_expected,
        mean_ring_size=float(rings.sizes.mean()) if len(rings) else np.nan,
        expected_mean_ring_size=expected_mean,
    )


def crossing_bonds(atoms: ArrayLike, bonds: ArrayLike, *, box: ArrayLike | None = None) -> IntArray:
    """Find the bonds that cross; bonds that share an atom do not.

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
    IntArray
        Pairs of rows i < j of `bonds`, sorted, (K, 2).

    Raises
    ------
    ValueError
        If a shape is wrong or a bond names an atom that does not exist.
    """
    positions, extent = as_points(atoms, "atoms"), as_box(box)
    pairs = as_pairs(bonds, len(positions), "bonds")
    if len(pairs) == 0:
        return np.empty((0, 2), dtype=np.int64)
    vectors = bond_vectors(positions, pairs, box=extent)
    middles = positions[pairs[:, 0]] + vectors / 2
    reach = float(np.linalg.norm(vectors, axis=1).max())
    near = build_tree(middles, extent).query_pairs(reach, output_type="ndarray").astype(np.int64)
    is_apart = (pairs[near[:, 0], :, None] != pairs[near[:, 1], None, :]).all(axis=(1, 2))
    near = near[is_apart]
    u, v = vectors[near[:, 0]], vectors[near[:, 1]]
    between = nearest_image(middles[near[:, 1]] - middles[near[:, 0]], extent)
    # The lines meet at middle + t × vector; bonds cross where both |t| < 1/2. Parallel ones never do.
    area = np.abs(_cross(u, v))
    is_crossing = (2 * np.abs(_cross(between, v)) < area) & (2 * np.abs(_cross(between, u)) < area)
    return unique_pairs(near[is_crossing])


def ring_agreement(
    atoms: ArrayLike,
    rings: Rings,
    shortest: ShortestPathRings,
    *,
    ring_centres: ArrayLike | None = None,
    is_analysable: ArrayLike | None = None,
    box: ArrayLike | None = None,
) -> pd.DataFrame:
    """Compare the rings of a network by three criteria: faces, shortest paths, and Delaunay edges.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    rings
        The faces of the network, from `planar_rings`.
    shortest
        Rings of the same network by shortest paths, with a `max_size` no smaller.
    ring_centres
        Located ring centres, (M, 2) [Å]; without any the Delaunay edges are not judged.
    is_analysable
        Atoms that count, (N,); all if None.
    box
        Edge lengths of a periodic box, (2,), wider than two rings [Å]; None for an open sheet.

    Returns
    -------
    DataFrame
        One row for each face, in order, then one for each shortest-path ring that is no face: `face` (row in
        `rings`, −1 if none), `x`, `y` [Å], `size`, `complete`, `delaunay_size` (−1 where there is no centre
        or the face is not complete), `shortest_path` (whether no path shortens it) and `status`: "agrees",
        "other_delaunay_size", "has_shortcut", "other_delaunay_size_and_shortcut" or "no_face".

    Raises
    ------
    ValueError
        If a shape is wrong.

    References
    ----------
    Leist et al., ACS Nano 16, 20488 (2022): Delaunay edges; Franzblau, Phys. Rev. B 44, 4925 (1991),
    https://doi.org/10.1103/PhysRevB.44.4925: shortest paths.
    """
    positions = as_points(atoms, "atoms")
    counts = np.ones(len(positions), bool) if is_analysable is None else np.asarray(is_analysable, bool)
    if counts.shape != (len(positions),):
        raise ValueError(f"is_analysable must have the shape ({len(positions)},), got {counts.shape}")
    faces, paths = _atom_sets(rings), _atom_sets(shortest)
    known_paths, known_faces = set(paths), set(faces)
    is_path = np.array([ring in known_paths for ring in faces], dtype=bool)
    delaunay = _delaunay_sizes(positions, rings, ring_centres, box)
    differs = (delaunay >= 0) & (delaunay != rings.sizes)
    found = pd.DataFrame(
        {
            "face": np.arange(len(rings), dtype=np.int64),
            "x": rings.centroids[:, 0],
            "y": rings.centroids[:, 1],
            "size": rings.sizes,
            "complete": rings.is_complete,
            "delaunay_size": delaunay,
            "shortest_path": is_path,
            "status": np.array(STATUSES)[differs + 2 * ~is_path],
        }
    )
    is_new = np.array([ring not in known_faces for ring in paths], dtype=bool)
    others = _describe_paths(positions, shortest, counts, as_box(box))[is_new]
    return pd.concat([found, others], ignore_index=True).astype({"status": "str"})


def _label_pieces(bonds: IntArray, n_atoms: int) -> IntArray:
    """Label each atom with its connected piece."""
    if n_atoms == 0:
        return np.empty(0, dtype=np.int64)
    links = (np.ones(len(bonds), dtype=np.int8), (bonds[:, 0], bonds[:, 1]))
    graph = csr_array(links, shape=(n_atoms, n_atoms))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _euler_of_pieces(atoms: FloatArray, bonds: IntArray, box: FloatArray | None, piece: IntArray) -> IntArray:
    """Atoms − bonds + faces of each piece; an atom alone has its outer face."""
    faces = walk_faces(atoms, bonds, box)
    first = np.unique(faces.face, return_index=True)[1]
    n_pieces = piece.max(initial=-1) + 1
    n_atoms = np.bincount(piece, minlength=n_pieces)
    n_bonds = np.bincount(piece[bonds[:, 0]], minlength=n_pieces)
    n_faces = np.bincount(piece[faces.origin[first]], minlength=n_pieces) + (n_bonds == 0)
    return n_atoms - n_bonds + n_faces


def _expect_rings(
    atoms: FloatArray, bonds: IntArray, box: FloatArray | None, max_size: int
) -> tuple[int, float, IntArray]:
    """Return the number and mean size of rings by Euler's relation, and an atom at each hole.

    Bonds on no ring are left out first. Of pieces × 1 + bonds − atoms bounded faces, holes are no rings; a
    piece that goes around a periodic box has one less.
    """
    faces = walk_faces(atoms, bonds, box)
    bonds = bonds[faces.face[: len(bonds)] != faces.face[len(bonds) :]]
    faces = walk_faces(atoms, bonds, box)
    sizes = np.bincount(faces.face, minlength=len(faces.turns))
    is_inner = faces.turns == 1
    is_hole = is_inner & (sizes > max_size)
    first = np.unique(faces.face, return_index=True)[1]
    n_around = 0 if box is None else count_pieces(bonds) - int((faces.turns == -1).sum())
    n_pieces = count_pieces(bonds, len(atoms)) if len(atoms) else 0
    n_rings = len(bonds) - len(atoms) + n_pieces - int(is_hole.sum()) - n_around
    n_sides = 2 * len(bonds) - int(sizes[is_hole | ~is_inner].sum())
    return n_rings, n_sides / n_rings if n_rings else np.nan, faces.origin[first[is_hole]]


def _delaunay_sizes(
    atoms: FloatArray, rings: Rings, ring_centres: ArrayLike | None, box: ArrayLike | None
) -> IntArray:
    """Delaunay edges from the centre in each complete ring to atoms, −1 where there is none."""
    centres = as_points(() if ring_centres is None else ring_centres, "ring_centres")
    if len(centres) == 0:
        return np.full(len(rings), -1, dtype=np.int64)
    centre = assign_ring_centres(rings, centres, atoms, box=box)
    sizes = delaunay_ring_sizes(atoms, centres, box=box)[centre]
    return np.where((centre >= 0) & rings.is_complete, sizes, -1)


def _describe_paths(
    atoms: FloatArray, shortest: ShortestPathRings, is_analysable: BoolArray, box: FloatArray | None
) -> pd.DataFrame:
    """Rows of shortest-path rings as if none was a face, each at the mean of its atoms."""
    n, starts = len(shortest), shortest.starts
    centres, is_complete = np.empty((0, 2)), np.empty(0, dtype=bool)
    if n:
        origins = atoms[shortest.members[starts]]
        corners = nearest_image(atoms[shortest.members] - np.repeat(origins, shortest.sizes, axis=0), box)
        centres = wrap(origins + np.add.reduceat(corners, starts) / shortest.sizes[:, None], box)
        is_complete = np.logical_and.reduceat(is_analysable[shortest.members], starts)
    return pd.DataFrame(
        {
            "face": np.full(n, -1),
            "x": centres[:, 0],
            "y": centres[:, 1],
            "size": shortest.sizes,
            "complete": is_complete,
            "delaunay_size": np.full(n, -1),
            "shortest_path": np.ones(n, dtype=bool),
            "status": np.full(n, NO_FACE),
        }
    )


def _atom_sets(rings: Rings | ShortestPathRings) -> list[frozenset[int]]:
    """Atoms of each ring; two rings of the same atoms are the same where no bond crosses one of them."""
    members, starts = rings.members.tolist(), rings.starts.tolist()
    ends = [*starts[1:], len(members)]
    return [frozenset(members[start:end]) for start, end in zip(starts, ends, strict=bool(starts))]


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Signed area of the parallelograms between vectors, (N, 2)."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
