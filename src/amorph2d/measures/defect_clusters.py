"""Clusters of rings that are no hexagons: which there are, how they are connected, and what they lack."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.topology.ring_neighbours import RingNeighbours

HEXAGON = 6
N_ROUNDS = 4  # of refining the labels of rings by those of their neighbours
_TURN = np.exp(1j * np.pi / 3)  # from a bond to the next along a path in a honeycomb
_HEXAGON_AREA = 1.5 * np.sqrt(3)  # in squared bond lengths
_NOTHING = np.empty(0, dtype=np.int64)

HashArray = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Circuits:
    """Closed paths around clusters, laid out along the bonds of a perfect honeycomb.

    Attributes
    ----------
    burgers
        Vector from the end of the path back to its start, (C, 2), in bond lengths of the crystal around;
        NaN where the path does not turn by a full circle, or cannot be walked.
    n_missing
        Atoms fewer than a perfect honeycomb has inside of the path, (C,); NaN where it does not close.
    """

    burgers: FloatArray
    n_missing: FloatArray


def label_clusters(members: IntArray, sizes: IntArray, coordination: IntArray) -> IntArray:
    """Label each ring with the cluster of irregular rings that it belongs to.

    Irregular are rings that are no hexagons, and hexagons with an atom of more than three bonds. Those that
    share an atom are one cluster.

    Parameters
    ----------
    members
        Atoms of one ring after the other, as indices, (sum of sizes,).
    sizes
        Atoms in each ring, (R,).
    coordination
        Bonds of each atom, (N,).

    Returns
    -------
    IntArray
        Cluster of each ring, (R,), numbered from 0 by their first rings; −1 for all other rings.
    """
    n_rings = len(sizes)
    labels = np.full(n_rings, -1, dtype=np.int64)
    ring = np.repeat(np.arange(n_rings), sizes)
    is_irregular = sizes != HEXAGON
    is_irregular[ring[coordination[members] > 3]] = True
    if not is_irregular.any():
        return labels
    is_link = is_irregular[ring]
    links = (ring[is_link], n_rings + members[is_link])
    n_nodes = n_rings + len(coordination)
    graph = csr_array((np.ones(len(links[0]), np.int8), links), shape=(n_nodes, n_nodes))
    pieces = connected_components(graph, directed=False)[1][:n_rings][is_irregular]
    _, first, number = np.unique(pieces, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    labels[is_irregular] = rank[number]
    return labels


def enclosed_rings(labels: IntArray, neighbours: RingNeighbours) -> IntArray:
    """Label rings with the one cluster that encloses them, too.

    Parameters
    ----------
    labels
        Cluster of each ring, (R,), −1 for none.
    neighbours
        Which rings share bonds.

    Returns
    -------
    IntArray
        `labels`, and the cluster for patches of other rings that border nothing else, (R,).
    """
    n_rings = len(labels)
    is_plain = labels < 0
    first, second = neighbours.ordered_pairs.T
    is_link = is_plain[first] & is_plain[second]
    graph = csr_array(
        (np.ones(int(is_link.sum()), np.int8), (first[is_link], second[is_link])), shape=(n_rings,) * 2
    )
    patch = connected_components(graph, directed=False)[1]
    lowest, highest = np.full(n_rings, n_rings), np.full(n_rings, -1)
    is_rim = is_plain[first] & ~is_plain[second]
    np.minimum.at(lowest, patch[first[is_rim]], labels[second[is_rim]])
    np.maximum.at(highest, patch[first[is_rim]], labels[second[is_rim]])
    is_closed = np.ones(n_rings, bool)
    is_closed[patch[~neighbours.is_interior]] = False
    is_inside = is_closed & (lowest == highest)
    return np.where(is_plain & is_inside[patch], highest[patch], labels)


def cluster_hashes(
    labels: IntArray, sizes: IntArray, n_open: IntArray, pairs: IntArray, n_bonds: IntArray
) -> HashArray:
    """Return a number for each cluster that depends on its rings and how they share bonds, and on no more.

    Parameters
    ----------
    labels
        Cluster of each ring, (R,), −1 for none.
    sizes
        Atoms in each ring, (R,).
    n_open
        Of these, those with two bonds, (R,).
    pairs, n_bonds
        Rings that share bonds, (P, 2), and how many, (P,).

    Returns
    -------
    HashArray
        One number for each cluster, (C,).

    References
    ----------
    Shervashidze et al., J. Mach. Learn. Res. 12, 2539 (2011): the labels of Weisfeiler and Leman.
    """
    is_inside = (labels[pairs[:, 0]] >= 0) & (labels[pairs[:, 0]] == labels[pairs[:, 1]])
    first, second = pairs[is_inside].T
    first, second = np.concatenate([first, second]), np.concatenate([second, first])
    weight = _mixed(np.tile(n_bonds[is_inside], 2).astype(np.uint64))
    colour = _mixed((sizes * 1000 + n_open).astype(np.uint64))
    for _ in range(N_ROUNDS):
        around = np.zeros(len(sizes), dtype=np.uint64)
        np.add.at(around, first, _mixed(colour[second] ^ weight))
        colour = _mixed(colour ^ _mixed(around))
    total = np.zeros(int(labels.max(initial=-1)) + 1, dtype=np.uint64)
    np.add.at(total, labels[labels >= 0], _mixed(colour[labels >= 0]))
    return total


def graph_hash(sizes: ArrayLike, n_open: ArrayLike, pairs: ArrayLike) -> int:
    """Return the number that `cluster_hashes` gives a cluster whose rings share one bond with each other.

    Parameters
    ----------
    sizes, n_open
        Atoms in each ring, and those with two bonds, (R,).
    pairs
        Rings that share a bond, (P, 2).
    """
    n_atoms = np.asarray(sizes, dtype=np.int64)
    links = np.asarray(pairs, dtype=np.int64).reshape(-1, 2)
    found = cluster_hashes(
        np.zeros(len(n_atoms), np.int64),
        n_atoms,
        np.asarray(n_open, np.int64),
        links,
        np.ones(len(links), np.int64),
    )
    return int(found[0])


def walk_circuits(
    positions: FloatArray,
    members: IntArray,
    sizes: IntArray,
    regions: IntArray,
    *,
    is_walked: BoolArray,
) -> Circuits:
    """Walk around clusters in a crystal, and lay the same path out in a perfect honeycomb.

    At each atom the path turns left or right by 60°. In the honeycomb it ends where it began, unless there is
    a dislocation inside: then the vector that closes it is Burgers'. Where it closes, the area inside tells
    by Euler's formula how many atoms there would be.

    Parameters
    ----------
    positions
        Atoms, (N, 2), x then y [Å].
    members, sizes
        Rings, all walked from x towards y, and all of the sheet around the clusters.
    regions
        Cluster of each ring, those that it encloses included, (R,); −1 for none.
    is_walked
        Clusters to walk around, (C,).

    Returns
    -------
    Circuits
        What the paths tell, one for each cluster.

    References
    ----------
    Hirth and Lothe, Theory of Dislocations (1982), chapter 1: Burgers circuits.
    """
    n_clusters = len(is_walked)
    burgers, n_missing = np.full((n_clusters, 2), np.nan), np.full(n_clusters, np.nan)
    n_around = np.bincount(members, minlength=len(positions))
    ring = np.repeat(np.arange(len(sizes)), sizes)
    cluster = regions[ring]
    is_side = (cluster >= 0) & np.append(is_walked, False)[cluster]
    following = _following(members, sizes)
    origin, target, cluster = members[is_side], following[is_side], cluster[is_side]
    n_own, n_atoms = _rings_at(cluster, origin, n_clusters)
    start, end, owner, n_outer = _outline(origin, target, cluster, n_around[origin] - n_own)
    bounds = np.searchsorted(owner, np.arange(n_clusters + 1)).tolist()
    for k in np.flatnonzero(is_walked).tolist():
        own = slice(bounds[k], bounds[k + 1])
        path = _walk(start[own], end[own], n_outer[own])
        if path is None:
            continue
        atoms, turns = path
        closing, area = _laid_out(positions[atoms], turns)
        burgers[k] = closing.real, closing.imag
        if abs(closing) < 0.1:
            n_missing[k] = 1 + 2 * np.rint(area / _HEXAGON_AREA) + len(atoms) / 2 - n_atoms[k]
    return Circuits(burgers, n_missing)


def _following(members: IntArray, sizes: IntArray) -> IntArray:
    """Atom after each member of its ring."""
    following = np.arange(1, len(members) + 1)
    ends = np.cumsum(sizes)
    following[ends - 1] = ends - sizes
    return members[following]


def side_keys(members: IntArray, sizes: IntArray, n_atoms: int) -> IntArray:
    """Return a number for the way from each member of a ring to the next, (sum of sizes,)."""
    return members * n_atoms + _following(members, sizes)


def crowded_atoms(positions: FloatArray, bonds: IntArray, limit: float) -> BoolArray:
    """Tell which atoms have at least two bonds that are shorter than a limit.

    Parameters
    ----------
    positions
        Atoms, (N, 2) [Å].
    bonds
        Index pairs, (B, 2).
    limit
        In median lengths of the bonds.

    Returns
    -------
    BoolArray
        (N,).
    """
    if len(bonds) == 0:
        return np.zeros(len(positions), bool)
    lengths = np.hypot(*(positions[bonds[:, 1]] - positions[bonds[:, 0]]).T)
    short = bonds[lengths < limit * np.median(lengths)]
    return np.asarray(np.bincount(short.ravel(), minlength=len(positions)) > 1)


def long_bonds(positions: FloatArray, bonds: IntArray, longest: float) -> IntArray:
    """Find further bonds of atoms with one or two bonds, the shortest first.

    No bond closes a triangle, and none is added where both atoms have three by then.

    Parameters
    ----------
    positions
        Atoms, (N, 2) [Å].
    bonds
        Index pairs, (B, 2).
    longest
        Longest further bond in median lengths of those given.

    Returns
    -------
    IntArray
        Index pairs i < j, (L, 2).
    """
    if len(bonds) == 0:
        return np.empty((0, 2), dtype=np.int64)
    lengths = np.hypot(*(positions[bonds[:, 1]] - positions[bonds[:, 0]]).T)
    n_bonds = np.bincount(bonds.ravel(), minlength=len(positions))
    lacking = np.flatnonzero((n_bonds == 1) | (n_bonds == 2))
    bonded = np.flatnonzero(n_bonds > 0)
    near = KDTree(positions[lacking]).sparse_distance_matrix(
        KDTree(positions[bonded]), longest * float(np.median(lengths)), output_type="ndarray"
    )
    first, second = lacking[near["i"]], bonded[near["j"]]
    # Of a pair of which both lack a bond, one of the two that are found.
    is_new = (near["v"] > 0) & ((first < second) | (n_bonds[second] > 2))
    first, second, distance = first[is_new], second[is_new], near["v"][is_new]
    touched = np.zeros(len(positions), bool)
    touched[first] = touched[second] = True
    neighbours: dict[int, set[int]] = {}
    for a, b in bonds[touched[bonds].any(axis=1)].tolist():
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    added = []
    for k in np.argsort(distance, kind="stable").tolist():
        a, b = int(first[k]), int(second[k])
        of_a, of_b = neighbours[a], neighbours[b]
        if b in of_a or of_a & of_b or min(len(of_a), len(of_b)) > 2:
            continue
        of_a.add(b)
        of_b.add(a)
        added.append((min(a, b), max(a, b)))
    return np.array(added, dtype=np.int64).reshape(-1, 2)


def _rings_at(cluster: IntArray, atom: IntArray, n_clusters: int) -> tuple[IntArray, IntArray]:
    """How often each pair of cluster and atom occurs, (S,), and different atoms of each cluster, (C,)."""
    if len(atom) == 0:
        return _NOTHING, np.zeros(n_clusters, np.int64)
    keys = cluster * (int(atom.max()) + 1) + atom
    found, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    n_atoms = np.bincount(found // (int(atom.max()) + 1), minlength=n_clusters)
    return counts[inverse].astype(np.int64), n_atoms.astype(np.int64)


def _outline(
    origin: IntArray, target: IntArray, cluster: IntArray, n_outer: IntArray
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Sides of regions with a ring beyond, by cluster: both ends, cluster, outer rings at the first end."""
    order = np.lexsort((np.maximum(origin, target), np.minimum(origin, target), cluster))
    low, high = np.minimum(origin, target)[order], np.maximum(origin, target)[order]
    owner = cluster[order]
    is_same = (np.diff(low) == 0) & (np.diff(high) == 0) & (np.diff(owner) == 0)
    is_outer = ~(np.append(False, is_same) | np.append(is_same, False))[: len(order)]
    kept = order[is_outer]
    return origin[kept], target[kept], cluster[kept], n_outer[kept]


def _walk(start: IntArray, end: IntArray, n_outer: IntArray) -> tuple[IntArray, IntArray] | None:
    """Atoms along one closed path and turns at each, 1 left and −1 right; None if there is no such path."""
    if len(start) == 0 or not np.isin(n_outer, (1, 2)).all():
        return None
    place = dict(zip(start.tolist(), range(len(start)), strict=True))
    steps, here = [], 0
    for _ in range(len(start)):
        steps.append(here)
        here = place.get(int(end[here]), -1)
        if here <= 0:
            break
    if here != 0 or len(steps) != len(start):
        return None
    turns = np.where(n_outer[steps] == 2, 1, -1)
    return (start[steps], turns) if turns.sum() == HEXAGON else None


def _laid_out(path: FloatArray, turns: IntArray) -> tuple[complex, float]:
    """Vector that closes a path in the honeycomb, as it lies in the sheet, and the area inside."""
    steps = _TURN ** np.cumsum(turns)
    seen = np.roll(path, -1, axis=0) - path
    corners = np.cumsum(steps) - steps
    area = float((corners.conj() * steps).imag.sum() / 2)
    turned = (steps.conj() * (seen[:, 0] + 1j * seen[:, 1])).sum()
    return complex(-steps.sum() * turned / abs(turned)), area


def _mixed(values: HashArray) -> HashArray:
    """Numbers that depend on each value alone, but look random.

    References
    ----------
    Steele, Lea and Flood, Proc. OOPSLA (2014), doi:10.1145/2660193.2660195: the mixing of SplitMix64.
    """
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
