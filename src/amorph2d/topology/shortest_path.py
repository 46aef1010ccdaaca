"""Rings of a bond network that no path of bonds shortens, from the network alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from amorph2d.arrays import IntArray, as_pairs
from amorph2d.topology.bonds import unique_pairs


@dataclass(frozen=True, eq=False)
class ShortestPathRings:
    """Rings of a bond network, each the circle of its atoms.

    Attributes
    ----------
    members
        Atoms of one ring after the other, in order around it from the atom of the lowest number, (sum of
        sizes,).
    sizes
        Atoms in each ring, (R,).
    """

    members: IntArray
    sizes: IntArray

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def starts(self) -> IntArray:
        """Where each ring begins in `members`, (R,)."""
        return np.cumsum(self.sizes) - self.sizes


def shortest_path_rings(n_atoms: int, bonds: ArrayLike, *, max_size: int) -> ShortestPathRings:
    """Find the rings of a bond network by the shortest-path criterion of Franzblau.

    A circle of bonds is a ring if no two of its atoms are joined by fewer bonds than lie between them along
    the circle. The criterion knows neither positions nor a plane, so it checks the faces of a drawing
    independently: a face around which there is a shorter way is no ring, and a ring may enclose several
    faces. It differs from King's, the shortest circle through two bonds of an atom, which counts circles that
    have a shortcut elsewhere. Rings that a periodic box closes count like any other.

    Parameters
    ----------
    n_atoms
        Number of atoms N.
    bonds
        Index pairs, (B, 2).
    max_size
        Atoms in the largest ring, ≥ 3. Memory grows with its square: in a network of three-coordinated atoms
        it is about 2 N `max_size`² byte.

    Returns
    -------
    ShortestPathRings
        Each ring once; R may be 0.

    Raises
    ------
    ValueError
        If a bond names an atom that does not exist or joins an atom to itself, or `max_size` is less than 3.

    References
    ----------
    Franzblau, Phys. Rev. B 44, 4925 (1991), https://doi.org/10.1103/PhysRevB.44.4925; King, Nature 213, 1112
    (1967), https://doi.org/10.1038/2131112a0: the other criterion.
    """
    pairs = unique_pairs(as_pairs(bonds, n_atoms, "bonds"))
    n_loops = int((pairs[:, 0] == pairs[:, 1]).sum())
    if n_loops:
        raise ValueError(f"bonds must join two atoms, got {n_loops} from an atom to itself")
    if max_size < 3:
        raise ValueError(f"max_size must be ≥ 3, got {max_size}")
    stream = _search_all(_find_surroundings(*_list_neighbours(n_atoms, pairs), max_size // 2), max_size)
    starts = np.flatnonzero(stream < 0)
    return ShortestPathRings(np.where(stream < 0, -1 - stream, stream), np.diff(starts, append=len(stream)))


class _Network(NamedTuple):
    """Neighbours of each atom, and all atoms within some bonds of it, by number, with their distances."""

    starts: IntArray
    neighbours: IntArray
    firsts: IntArray
    near: IntArray
    distances: IntArray


def _list_neighbours(n_atoms: int, bonds: IntArray) -> tuple[IntArray, IntArray]:
    """Return where the neighbours of each atom begin, (N + 1,), and the neighbours themselves, (2 B,)."""
    ends = np.concatenate([bonds, bonds[:, ::-1]])
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    return np.searchsorted(ends[:, 0], np.arange(n_atoms + 1)), np.ascontiguousarray(ends[:, 1])


@njit(cache=True)
def _lengthen(values, length):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return an array with room for more."""
    longer = np.empty(length, values.dtype)
    for k in range(len(values)):  # quicker to compile than slices
        longer[k] = values[k]
    return longer


@njit(cache=True)
def _find_surroundings(starts, neighbours, reach):  # type: ignore[no-untyped-def]  # pragma: no cover
    """List the atoms within `reach` bonds of each atom."""
    n_atoms = len(starts) - 1
    firsts = np.zeros(n_atoms + 1, np.int64)
    queues, steps = np.empty(16 * n_atoms + 1, np.int32), np.empty(16 * n_atoms + 1, np.int16)
    distance = np.full(n_atoms, -1, np.int16)
    queue = np.empty(n_atoms, np.int32)
    for root in range(n_atoms):
        queue[0], distance[root], n, head = root, 0, 1, 0
        while head < n and distance[queue[head]] < reach:
            atom = queue[head]
            head += 1
            for k in range(starts[atom], starts[atom + 1]):
                other = neighbours[k]
                if distance[other] < 0:
                    distance[other] = distance[atom] + 1
                    queue[n] = other
                    n += 1
        begin, end = firsts[root], firsts[root] + n
        if end > len(queues):
            queues, steps = _lengthen(queues, 2 * end), _lengthen(steps, 2 * end)
        for k in range(n):
            queues[begin + k], steps[begin + k] = queue[k], distance[queue[k]]
            distance[queue[k]] = -1
        firsts[root + 1] = end
    # To be near is mutual: written from the other side, the atoms of each list come in order.
    near, distances = np.empty(firsts[-1], np.int32), np.empty(firsts[-1], np.int16)
    free = firsts.copy()
    for root in range(n_atoms):
        for k in range(firsts[root], firsts[root + 1]):
            near[free[queues[k]]], distances[free[queues[k]]] = root, steps[k]
            free[queues[k]] += 1
    return _Network(starts, neighbours, firsts, near, distances)


@njit(cache=True)
def _distance(network, a, b):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Bonds between two atoms, or −1 if they are farther apart than the surroundings reach."""
    low, high = network.firsts[a], network.firsts[a + 1]
    while low < high:
        middle = (low + high) // 2
        if network.near[middle] < b:
            low = middle + 1
        else:
            high = middle
    if low < network.firsts[a + 1] and network.near[low] == b:
        return int(network.distances[low])
    return -1


@njit(cache=True)
def _add_ring(network, ring, stream, n):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Append a circle to the stream if it is a ring, its first atom i as −1 − i.

    If opposite atoms are as far apart as along the circle, all others are, too.
    """
    size, half = len(ring), len(ring) // 2
    for k in range(size if size % 2 else half):
        if _distance(network, ring[k], ring[(k + half) % size]) != half:
            return stream, n
    if n + size > len(stream):
        stream = _lengthen(stream, 2 * (n + size))
    for k in range(size):
        stream[n + k] = ring[k]
    stream[n] = -1 - ring[0]
    return stream, n + size


@njit(cache=True)
def _close(network, depth, left, right, steps, stream, n):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Append the rings that close where two walkers are one or two bonds apart."""
    a, b = left[steps], right[steps]
    n_between = 2 - (_distance(network, a, b) == 1)
    ring = np.empty(2 * steps + n_between, np.int64)
    for k in range(steps + 1):
        ring[-k], ring[k] = right[k], left[k]
    if n_between == 1:
        return _add_ring(network, ring, stream, n)
    for k in range(network.starts[a], network.starts[a + 1]):
        middle = network.neighbours[k]
        if middle > left[0] and depth[middle] == steps + 1 and _distance(network, middle, b) == 1:
            ring[steps + 1] = middle
            stream, n = _add_ring(network, ring, stream, n)
    return stream, n


@njit(cache=True)
def _search(network, root, depth, max_size, stream, n):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Append the rings in which the root has the lowest number.

    Two walkers leave it. As long as each step takes both away from it and from each other, the size of the
    ring is open; once their distance falls behind twice the number of steps, it gives the size. Few circles
    that are no rings get far.
    """
    reach = max_size // 2
    left, right = np.full(reach + 2, root), np.full(reach + 2, root)
    trials, sizes = np.zeros(reach + 2, np.int64), np.zeros(reach + 2, np.int64)
    starts, neighbours = network.starts, network.neighbours
    level = 1
    while level > 0:
        p, q, trial = left[level - 1], right[level - 1], trials[level]
        n_q = starts[q + 1] - starts[q]
        if trial == (starts[p + 1] - starts[p]) * n_q:
            level -= 1
            continue
        trials[level] += 1
        a, b = neighbours[starts[p] + trial // n_q], neighbours[starts[q] + trial % n_q]
        if a <= root or b <= root or depth[a] != level or depth[b] != level:
            continue
        if a == b or (level == 1 and a > b):  # each ring in one direction only
            continue
        apart, size = _distance(network, a, b), sizes[level - 1]
        if size == 0 and apart < 2 * level:
            size = apart + 2 * level
        if apart < 0 or max(size, 4 * level * (size == 0)) > max_size:
            continue
        if size > 0 and apart != size - 2 * level:
            continue
        left[level], right[level], sizes[level] = a, b, size
        if apart <= 2:
            stream, n = _close(network, depth, left, right, level, stream, n)
        if size == 0 or apart > 2:
            level += 1
            trials[level] = 0
    return stream, n


@njit(cache=True)
def _search_all(network, max_size):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return all rings one after the other, the first atom i of each as −1 − i."""
    n_atoms = len(network.starts) - 1
    stream, n = np.empty(4 * n_atoms + max_size, np.int64), 0
    depth = np.full(n_atoms, -1, np.int64)  # bonds from the root
    for root in range(n_atoms):
        begin, end = network.firsts[root], network.firsts[root + 1]
        for k in range(begin, end):
            depth[network.near[k]] = network.distances[k]
        stream, n = _search(network, root, depth, max_size, stream, n)
        for k in range(begin, end):
            depth[network.near[k]] = -1
    return stream[:n].copy()
