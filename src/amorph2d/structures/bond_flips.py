"""Compiled Monte Carlo moves of a three-coordinated planar network: bonds turned by 90 degrees."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.random import Generator

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.network import RingedSheet
from amorph2d.structures.springs import (
    HISTORY,
    LONGEST_FIRST_STEP,
    LONGEST_STEP,
    SUFFICIENT_DECREASE,
    descend,
    inner_product,
    remember,
)

_SHELLS = 3  # of neighbours around a switched bond that move with it
_CLUSTER = 2 * (2 ** (_SHELLS + 3) - 1)  # most atoms that they and two frozen shells can have
# Energy that the relaxation of a switch will gain at most, from the force F on the atoms about the bond:
# A + B F² before it begins, C F² on the way, in units of the springs. Measured in amorphous networks of
# graphene, where that misjudges one acceptable switch in a hundred.
_GAIN, _GAIN_PER_FORCE, _COMPLIANCE = 0.53, 0.0175, 0.12
_STILL_TO_GAIN = 0.002  # where the relaxation of a cluster ends
_MOST_ITERATIONS, _MOST_HALVINGS = 15, 8


class Graph(NamedTuple):
    """A three-coordinated planar network that can be changed in place.

    Attributes
    ----------
    positions
        Atoms, (N, 2), inside the box [Å].
    neighbours
        Neighbours of every atom, counter-clockwise for y up, (N, 3).
    rings
        Ring between each neighbour and the next one, (N, 3).
    sizes
        Atoms in each ring, (R,).
    """

    positions: FloatArray
    neighbours: IntArray
    rings: IntArray
    sizes: IntArray


class Rules(NamedTuple):
    """What decides about a switch.

    Attributes
    ----------
    temperature
        kT of the Metropolis criterion [eV].
    wanted
        Wanted fraction of rings of each size from 0, (L,); no ring grows to L.
    stiffness
        K of the energy R K/2 Σ (fraction - wanted)² of R rings [eV].
    smallest, largest
        Sizes between which rings may change.
    rest, bond_scale, angle_scale
        Springs: rest length d [Å], 3 α / (16 d²) and 3 β / (8 d²) [eV/Å⁴].
    """

    temperature: float
    wanted: FloatArray
    stiffness: float
    smallest: int
    largest: int
    rest: float
    bond_scale: float
    angle_scale: float


def build_graph(sheet: RingedSheet) -> Graph:
    """Return the graph of a sheet all atoms of which have three bonds and three rings."""
    n_atoms, offsets = len(sheet.positions), sheet.ring_offsets
    corner = np.arange(len(sheet.ring_members))
    after, before = corner + 1, corner - 1
    after[offsets[1:] - 1], before[offsets[:-1]] = offsets[:-1], offsets[1:] - 1
    order = np.argsort(sheet.ring_members, kind="stable").reshape(n_atoms, 3)
    following, previous = sheet.ring_members[after][order], sheet.ring_members[before][order]
    ring = np.repeat(np.arange(len(sheet.ring_sizes)), sheet.ring_sizes)[order]
    # A ring lies between the atom after and the one before: the sector of the first ring ends where that of
    # the second or third one begins.
    is_in_turn = following[:, 1] == previous[:, 0]
    second, third = np.where(is_in_turn, 1, 2), np.where(is_in_turn, 2, 1)
    atom = np.arange(n_atoms)
    return Graph(
        positions=sheet.positions.copy(),
        neighbours=np.column_stack([following[:, 0], following[atom, second], following[atom, third]]),
        rings=np.column_stack([ring[:, 0], ring[atom, second], ring[atom, third]]),
        sizes=sheet.ring_sizes.astype(np.int64),
    )


@njit(cache=True)
def ring_corners(graph: Graph) -> IntArray:  # pragma: no cover
    """Return the atoms around each ring, all rings after one another, (M,)."""
    neighbours, rings, sizes = graph.neighbours, graph.rings, graph.sizes
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
    members = np.full(offsets[-1], -1)
    for atom in range(len(neighbours)):
        for sector in range(3):
            ring = rings[atom, sector]
            if members[offsets[ring]] >= 0:
                continue
            v, s = atom, sector
            for corner in range(offsets[ring], offsets[ring + 1]):
                members[corner] = v
                v, s = _next_corner(neighbours, v, s)
    return members


@njit(cache=True)
def switch_at_random(  # pragma: no cover
    graph: Graph, box: FloatArray, rules: Rules, weights: FloatArray, n_trials: int, rng: Generator
) -> int:
    """Try to switch random bonds, and relax the atoms around those that are; return how many were.

    `weights` (N,) is the probability that a trial at an atom is made at all.
    """
    positions = graph.positions
    n_atoms = len(positions)
    local = np.full(n_atoms, -1)
    members, links = np.empty(_CLUSTER, np.int64), np.empty((_CLUSTER, 3), np.int64)
    corners, gradient = np.empty(2 * _CLUSTER), np.empty(2 * _CLUSTER)
    counts = np.bincount(graph.sizes, minlength=len(rules.wanted)).astype(np.float64)
    unit = rules.bond_scale * rules.rest**4
    most, most_per_force = _GAIN * unit, _GAIN_PER_FORCE / (rules.bond_scale * rules.rest**2)
    n_switched = 0
    for _ in range(n_trials):
        i, slot = int(rng.random() * n_atoms), int(rng.random() * 3)
        is_made = rng.random() < weights[i]
        budget = -rules.temperature * np.log(1.0 - rng.random())
        if not (is_made and _has_sizes(graph, i, slot, rules)):
            continue
        budget -= _statistics_energy(graph, i, slot, rules, counts)
        if budget < -most or _is_entangled(graph, i, slot):
            continue
        # Before the cluster is gathered and relaxed, the six atoms whose angles change show whether it pays.
        n_free, n_centres, n_all = _gather(graph, box, i, slot, 0, local, members, links, corners)
        threshold = budget + _cluster_energy(corners, links, n_centres, n_all, rules, gradient)
        if threshold < 0:
            continue
        _turn_bond(corners, links, slot)
        energy = _cluster_energy(corners, links, n_centres, n_all, rules, gradient)
        force = inner_product(gradient[: 2 * n_all], gradient[: 2 * n_all])
        if energy - most - most_per_force * force > threshold:
            continue
        n_free, n_centres, n_all = _gather(graph, box, i, slot, _SHELLS, local, members, links, corners)
        threshold = budget + _cluster_energy(corners, links, n_centres, n_free, rules, gradient)
        _turn_bond(corners, links, slot)
        energy = _relax_cluster(corners, links, n_centres, n_free, rules, threshold)
        if energy > threshold or not _is_convex(corners, links, n_free):
            continue
        for k in range(n_free):
            for axis in range(2):
                # The remainder of a tiny negative number rounds up to the box length itself.
                inside = corners[2 * k + axis] % box[axis]
                positions[members[k], axis] = inside if inside < box[axis] else 0.0
        _switch(graph, i, slot, counts)
        n_switched += 1
    return n_switched


@njit(cache=True)
def _slot_of(neighbours: IntArray, atom: int, neighbour: int) -> int:  # pragma: no cover
    """Return which of the three neighbours of `atom` is `neighbour`."""
    if neighbours[atom, 0] == neighbour:
        return 0
    return 1 if neighbours[atom, 1] == neighbour else 2


@njit(cache=True)
def _next_corner(neighbours: IntArray, atom: int, sector: int) -> tuple[int, int]:  # pragma: no cover
    """Return the next atom around the ring in a sector of `atom`, and the ring's sector there."""
    following = neighbours[atom, sector]
    return following, (_slot_of(neighbours, following, atom) + 2) % 3


@njit(cache=True)
def _rings_about(  # pragma: no cover
    graph: Graph, i: int, slot: int
) -> tuple[int, int, int, int, int, int]:
    """Return the bond's other atom j, i's place there, the rings beside the bond, and those at its ends."""
    j = graph.neighbours[i, slot]
    back = _slot_of(graph.neighbours, j, i)
    left, right = graph.rings[i, slot], graph.rings[i, (slot + 2) % 3]
    return j, back, left, right, graph.rings[i, (slot + 1) % 3], graph.rings[j, (back + 1) % 3]


@njit(cache=True)
def _has_sizes(graph: Graph, i: int, slot: int, rules: Rules) -> bool:  # pragma: no cover
    """Say whether a switch leaves the rings at allowed sizes."""
    _, _, left, right, near, far = _rings_about(graph, i, slot)
    sizes = graph.sizes
    return min(sizes[left], sizes[right]) > rules.smallest and max(sizes[near], sizes[far]) < rules.largest


@njit(cache=True)
def _is_entangled(graph: Graph, i: int, slot: int) -> bool:  # pragma: no cover
    """Say whether a switch would make a ring border itself, or two rings border each other twice."""
    _, _, _, _, near, far = _rings_about(graph, i, slot)
    if near == far:
        return True
    atom, sector = i, (slot + 1) % 3
    for _ in range(graph.sizes[near]):
        if graph.rings[atom, (sector + 2) % 3] == far:
            return True
        atom, sector = _next_corner(graph.neighbours, atom, sector)
    return False


@njit(cache=True)
def _statistics_energy(  # pragma: no cover
    graph: Graph, i: int, slot: int, rules: Rules, counts: FloatArray
) -> float:
    """Return by how much a switch raises the energy of the ring statistics."""
    if rules.stiffness == 0.0:
        return 0.0
    _, _, left, right, near, far = _rings_about(graph, i, slot)
    n_rings = len(graph.sizes)
    energy = 0.0
    # One ring after the other, as if already changed by those before; then all is put back.
    for ring, change in ((left, -1), (right, -1), (near, 1), (far, 1)):
        old = graph.sizes[ring]
        new = old + change
        excess_old = counts[old] / n_rings - rules.wanted[old]
        excess_new = counts[new] / n_rings - rules.wanted[new]
        energy += rules.stiffness * (excess_new - excess_old + 1.0 / n_rings)
        counts[old] -= 1
        counts[new] += 1
    for ring, change in ((left, -1), (right, -1), (near, 1), (far, 1)):
        counts[graph.sizes[ring]] += 1
        counts[graph.sizes[ring] + change] -= 1
    return energy


@njit(cache=True)
def _switch(graph: Graph, i: int, slot: int, counts: FloatArray) -> None:  # pragma: no cover
    """Turn the bond: its atoms swap a neighbour, the rings beside it shrink, those at its ends grow."""
    neighbours, rings, sizes = graph.neighbours, graph.rings, graph.sizes
    j, back, left, right, near, far = _rings_about(graph, i, slot)
    s1, s2, t1, t2 = (slot + 1) % 3, (slot + 2) % 3, (back + 1) % 3, (back + 2) % 3
    a, b, c, d = neighbours[i, s1], neighbours[i, s2], neighbours[j, t1], neighbours[j, t2]
    neighbours[a, _slot_of(neighbours, a, i)] = j
    neighbours[c, _slot_of(neighbours, c, j)] = i
    neighbours[i, s1], neighbours[i, s2] = b, c
    neighbours[j, t1], neighbours[j, t2] = d, a
    rings[i, slot], rings[i, s1], rings[i, s2] = near, right, far
    rings[j, back], rings[j, t1], rings[j, t2] = far, left, near
    for ring, change in ((left, -1), (right, -1), (near, 1), (far, 1)):
        counts[sizes[ring]] -= 1
        sizes[ring] += change
        counts[sizes[ring]] += 1


@njit(cache=True)
def _gather(  # pragma: no cover
    graph: Graph,
    box: FloatArray,
    i: int,
    slot: int,
    n_shells: int,
    local: IntArray,
    members: IntArray,
    links: IntArray,
    corners: FloatArray,
) -> tuple[int, int, int]:
    """Collect the atoms around a bond, in one piece; `local` is as before at the end.

    Returns the number of atoms within `n_shells` bonds, of those whose arms they pull, and of all.
    """
    positions, neighbours = graph.positions, graph.neighbours
    members[0], members[1] = i, neighbours[i, slot]
    local[members[0]], local[members[1]] = 0, 1
    corners[0], corners[1] = positions[i]
    n_free, n_centres, begin, end = 2, 2, 0, 2
    _place(positions, box, members, corners, 0, 1)
    for shell in range(n_shells + 2):
        n_all = end
        if shell == n_shells:
            n_free = n_all
        if shell == n_shells + 1:
            n_centres = n_all
        for k in range(begin, n_all):
            for s in range(3):
                atom = neighbours[members[k], s]
                if local[atom] < 0:
                    local[atom], members[end] = end, atom
                    _place(positions, box, members, corners, k, end)
                    end += 1
        begin = n_all
    for k in range(n_centres):
        for s in range(3):
            links[k, s] = local[neighbours[members[k], s]]
    for k in range(end):
        local[members[k]] = -1
    return n_free, n_centres, end


@njit(cache=True)
def _place(  # pragma: no cover
    positions: FloatArray, box: FloatArray, members: IntArray, corners: FloatArray, known: int, new: int
) -> None:
    """Set the corner of a new member to its image nearest to a known one."""
    for axis in range(2):
        step = positions[members[new], axis] - positions[members[known], axis]
        if step > box[axis] / 2:
            step -= box[axis]
        elif step < -box[axis] / 2:
            step += box[axis]
        corners[2 * new + axis] = corners[2 * known + axis] + step


@njit(cache=True)
def _turn_bond(corners: FloatArray, links: IntArray, slot: int) -> None:  # pragma: no cover
    """Turn the bond of the first two atoms of a cluster by 90° about its middle, and swap neighbours."""
    back = _slot_of(links, 1, 0)
    s1, s2, t1, t2 = (slot + 1) % 3, (slot + 2) % 3, (back + 1) % 3, (back + 2) % 3
    a, c = links[0, s1], links[1, t1]
    links[a, _slot_of(links, a, 0)] = 1
    links[c, _slot_of(links, c, 1)] = 0
    links[0, s1], links[0, s2] = links[0, s2], c
    links[1, t1], links[1, t2] = links[1, t2], a
    x, y = (corners[0] + corners[2]) / 2, (corners[1] + corners[3]) / 2
    half_x, half_y = corners[0] - x, corners[1] - y
    corners[0], corners[1] = x - half_y, y + half_x
    corners[2], corners[3] = x + half_y, y - half_x


@njit(cache=True)
def _cluster_energy(  # pragma: no cover
    corners: FloatArray, links: IntArray, n_centres: int, n_free: int, rules: Rules, gradient: FloatArray
) -> float:
    """Return the energy of the arms of the first atoms of a cluster; fill the gradient of the free ones."""
    target = rules.rest * rules.rest
    bond, angle = rules.bond_scale, 2 * rules.angle_scale
    for k in range(2 * n_free):
        gradient[k] = 0.0
    energy = 0.0
    # Half of each bond: the other end takes the other half.
    for i in range(n_centres):
        a, b, c = links[i, 0], links[i, 1], links[i, 2]
        x, y = corners[2 * i], corners[2 * i + 1]
        ax, ay = corners[2 * a] - x, corners[2 * a + 1] - y
        bx, by = corners[2 * b] - x, corners[2 * b + 1] - y
        cx, cy = corners[2 * c] - x, corners[2 * c + 1] - y
        long_a, long_b, long_c = (
            ax * ax + ay * ay - target,
            bx * bx + by * by - target,
            cx * cx + cy * cy - target,
        )
        ab, bc, ca = (
            ax * bx + ay * by + target / 2,
            bx * cx + by * cy + target / 2,
            cx * ax + cy * ay + target / 2,
        )
        energy += 0.5 * bond * (long_a * long_a + long_b * long_b + long_c * long_c)
        energy += 0.5 * angle * (ab * ab + bc * bc + ca * ca)
        long_a, long_b, long_c = 2 * bond * long_a, 2 * bond * long_b, 2 * bond * long_c
        ab, bc, ca = angle * ab, angle * bc, angle * ca
        pull_ax, pull_ay = long_a * ax + ab * bx + ca * cx, long_a * ay + ab * by + ca * cy
        pull_bx, pull_by = long_b * bx + ab * ax + bc * cx, long_b * by + ab * ay + bc * cy
        pull_cx, pull_cy = long_c * cx + bc * bx + ca * ax, long_c * cy + bc * by + ca * ay
        if a < n_free:
            gradient[2 * a] += pull_ax
            gradient[2 * a + 1] += pull_ay
        if b < n_free:
            gradient[2 * b] += pull_bx
            gradient[2 * b + 1] += pull_by
        if c < n_free:
            gradient[2 * c] += pull_cx
            gradient[2 * c + 1] += pull_cy
        if i < n_free:
            gradient[2 * i] -= pull_ax + pull_bx + pull_cx
            gradient[2 * i + 1] -= pull_ay + pull_by + pull_cy
    return energy


@njit(cache=True)
def _relax_cluster(  # pragma: no cover
    corners: FloatArray, links: IntArray, n_centres: int, n_free: int, rules: Rules, threshold: float
) -> float:
    """Relax the free atoms of a cluster; return the energy, infinite if it will not fall to `threshold`."""
    n = 2 * n_free
    found = corners[:n].copy()
    gradient, direction, trial, trial_gradient = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    steps, changes = np.empty((HISTORY, n)), np.empty((HISTORY, n))
    curvatures, weights = np.empty(HISTORY), np.empty(HISTORY)
    energy = _cluster_energy(corners, links, n_centres, n_free, rules, gradient)
    compliance = _COMPLIANCE / (rules.bond_scale * rules.rest**2)
    still_to_gain = _STILL_TO_GAIN * rules.bond_scale * rules.rest**4
    n_known, newest = 0, 0
    for iteration in range(_MOST_ITERATIONS):
        gain = compliance * inner_product(gradient, gradient)
        if iteration > 1 and energy - gain > threshold:
            return np.inf
        if gain < still_to_gain:
            break
        descend(gradient, direction, steps, changes, curvatures, weights, newest, n_known)
        slope = inner_product(gradient, direction)
        longest = rules.rest * (LONGEST_STEP if n_known else LONGEST_FIRST_STEP)
        length = min(1.0, longest / np.abs(direction).max())
        is_lower = False
        for _ in range(_MOST_HALVINGS):
            for k in range(n):
                corners[k] = found[k] + length * direction[k]
            trial_energy = _cluster_energy(corners, links, n_centres, n_free, rules, trial_gradient)
            if trial_energy <= energy + SUFFICIENT_DECREASE * length * slope:
                is_lower = True
                break
            length *= 0.5
        if not is_lower:
            break
        trial[:] = corners[:n]
        newest, n_known = remember(
            found, trial, gradient, trial_gradient, steps, changes, curvatures, newest, n_known
        )
        energy = trial_energy
    corners[:n] = found
    return energy


@njit(cache=True)
def _is_convex(corners: FloatArray, links: IntArray, n_free: int) -> bool:  # pragma: no cover
    """Say whether all angles at the free atoms are below 180°, so that no ring is folded over another."""
    for i in range(n_free):
        for s in range(3):
            a, b = links[i, s], links[i, (s + 1) % 3]
            ax, ay = corners[2 * a] - corners[2 * i], corners[2 * a + 1] - corners[2 * i + 1]
            bx, by = corners[2 * b] - corners[2 * i], corners[2 * b + 1] - corners[2 * i + 1]
            if ax * by - ay * bx <= 0:
                return False
    return True
