"""Faces of a bond network drawn in the plane, walked along half-edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.topology.bonds import bond_vectors
from amorph2d.topology.periodic import build_tree, nearest_image


@dataclass(frozen=True, eq=False)
class Faces:
    """Half-edges and the faces to their left (for x to the right and y up).

    Half-edge h < B runs along bond h, half-edge h + B runs back.

    Attributes
    ----------
    origin
        Atom that each half-edge leaves, (2 B,).
    following
        Half-edge that goes on around the same face, (2 B,).
    face
        Face of each half-edge, (2 B,).
    turns
        Full left turns on the way around each face, (F,): 1 for a ring, −1 for an outer face, 0 for a face
        that spans a periodic box; anything else where bonds cross.
    """

    origin: IntArray
    following: IntArray
    face: IntArray
    turns: IntArray


def walk_faces(atoms: FloatArray, bonds: IntArray, box: FloatArray | None) -> Faces:
    """Walk around all faces of the network of bonds, (B, 2), each bond given once.

    References
    ----------
    de Berg et al., Computational Geometry, 3rd ed. (2008), section 2.2,
    https://doi.org/10.1007/978-3-540-77974-2: half-edges and the next half-edge around a face.
    """
    n_bonds = len(bonds)
    if n_bonds == 0:
        nothing = np.empty(0, dtype=np.int64)
        return Faces(nothing, nothing, nothing, nothing)
    vectors = bond_vectors(atoms, bonds, box=box)
    vectors = np.concatenate([vectors, -vectors])
    origin = np.concatenate([bonds[:, 0], bonds[:, 1]])
    twin = np.concatenate([np.arange(n_bonds, 2 * n_bonds), np.arange(n_bonds)])
    angle = np.arctan2(vectors[:, 1], vectors[:, 0])
    # At its end a half-edge turns as far left as it can: onto the next half-edge clockwise from its own twin.
    following = _clockwise_neighbours(origin, angle)[twin]
    face = _label_cycles(following)
    interior = (angle[twin] - angle[following]) % (2 * np.pi)
    interior[following == twin] = 2 * np.pi  # a dead end is walked around
    turns = np.rint(np.bincount(face, np.pi - interior) / (2 * np.pi))
    return Faces(origin, following, face, turns.astype(np.int64))


def drop_crossing_bonds(atoms: FloatArray, bonds: IntArray, box: FloatArray | None) -> IntArray:
    """Leave out the longer of any two bonds that cross."""
    vectors = bond_vectors(atoms, bonds, box=box)
    lengths = np.linalg.norm(vectors, axis=1)
    middles = atoms[bonds[:, 0]] + vectors / 2
    first, second = build_tree(middles, box).query_pairs(lengths.max(), output_type="ndarray").T
    share = (bonds[first][:, :, None] == bonds[second][:, None, :]).any(axis=(1, 2))
    first, second = first[~share], second[~share]
    between = nearest_image(middles[second] - middles[first], box)
    # The lines meet at middle + t × vector; bonds cross where both |t| < 1/2. Parallel ones never do.
    area = np.abs(_cross(vectors[first], vectors[second]))
    is_crossing = (2 * np.abs(_cross(between, vectors[second])) < area) & (
        2 * np.abs(_cross(between, vectors[first])) < area
    )
    first, second = first[is_crossing], second[is_crossing]
    return np.delete(bonds, np.where(lengths[first] > lengths[second], first, second), axis=0)


def is_planar(faces: Faces, bonds: IntArray) -> bool:
    """Tell from the turns around the faces whether the network is drawn without crossings.

    There is one outer face for each piece, or none where a single piece covers a periodic box; all else are
    rings.
    """
    if (faces.turns == 1).all():
        return True
    return bool((np.abs(faces.turns) == 1).all() and (faces.turns == -1).sum() == count_pieces(bonds))


def count_pieces(bonds: IntArray, n_atoms: int | None = None) -> int:
    """Count the connected pieces of a network; atoms without bonds count only if their number is given."""
    if n_atoms is None:
        atoms, renumbered = np.unique(bonds, return_inverse=True)
        bonds, n_atoms = renumbered.reshape(-1, 2), len(atoms)
    graph = csr_array(
        (np.ones(len(bonds), dtype=np.int8), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms)
    )
    return int(connected_components(graph, directed=False)[0])


def _clockwise_neighbours(origin: IntArray, angle: FloatArray) -> IntArray:
    """Return the next half-edge clockwise that leaves the same atom, or itself if it is alone."""
    order = np.lexsort((angle, origin))
    is_first = np.diff(origin[order], prepend=-1) != 0
    last = np.append(np.flatnonzero(is_first)[1:], len(order)) - 1
    neighbours = np.empty_like(order)
    neighbours[order[1:]] = order[:-1]
    neighbours[order[is_first]] = order[last]
    return neighbours


def _label_cycles(following: IntArray) -> IntArray:
    """Label each element of a permutation with its cycle."""
    n = len(following)
    graph = csr_array((np.ones(n, dtype=np.int8), following, np.arange(n + 1)), shape=(n, n))
    return connected_components(graph, connection="weak")[1].astype(np.int64)


def _cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """Signed area of the parallelograms between vectors, (N, 2)."""
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
