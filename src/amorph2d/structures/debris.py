"""What lies on a sheet: amorphous carbon, hydrocarbons, single heavy atoms and clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.random import Generator
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.outlines import Outline
from amorph2d.structures.periodic import as_box, shortest_image, wrap
from amorph2d.structures.specimen import Cloud

HYDROGEN, CARBON = 1, 6
DALTON = 1.66054  # mass of a mole's part, so that g/cm³ become 1/Å³ [10⁻²⁴ g]
CARBON_MASS, METHYLENE_MASS = 12.011, 14.027
GROUND = 3.2  # height of the lowest atoms, about the distance of two layers of graphite [Å]
_CELL = 2.4  # of the list of neighbours, longer than any distance that is kept [Å]
_STEP = 1.0  # of the map of thicknesses [Å]
_TRIALS = 60  # places that are tried for each atom
_LONGEST_CHAIN_BOND = 1.75
_HYDROGEN_BOND = 1.09
_HYDROGEN_ROUNDS = 12  # directions that are tried at each carbon atom
_LOWEST_HYDROGEN = 2.4  # height of hydrogen at least: it is smaller than carbon [Å]
_HYDROGEN_DISTANCE = 1.5  # between hydrogen and what it is not bonded to, at least [Å]


@dataclass(frozen=True)
class _Growth:
    """How atoms follow one another: bonded to one that has a free arm, away from all others."""

    bond: float
    spread: float
    others: float
    n_arms: int


_NETWORK = _Growth(bond=1.46, spread=0.04, others=1.8, n_arms=3)
_CHAINS = _Growth(bond=1.53, spread=0.02, others=2.2, n_arms=2)


def amorphous_carbon(outline: Outline, *, thickness: float, density: float, rng: Generator) -> Cloud:
    """Fill domes of amorphous carbon over a region.

    Atoms follow one another at 1.46 ± 0.04 Å, and no less than 1.38 Å, from one with fewer than three
    neighbours, and at least 1.8 Å from all others, until the density is reached. This is no model of the
    bonds in amorphous carbon: it has its density, its shortest distances and, seen in projection, its grain.

    Parameters
    ----------
    outline
        Where it lies, in the sheet's box.
    thickness
        Height where the region is deep enough, > 0; towards its edge it falls like a circle of this
        radius [Å].
    density
        Mass density, 0 < density ≤ 2.5 [g/cm³]; 1.5 to 2.3 in evaporated films.
    rng
        Source of random numbers; also of the side of the sheet.

    Returns
    -------
    Cloud
        Carbon atoms with z from 3.2 Å outwards on one side; none where the region is empty.

    Raises
    ------
    ValueError
        If an argument is out of its bounds.
    """
    positions = _fill(outline, thickness, density / (DALTON * CARBON_MASS), _NETWORK, density, rng)
    return Cloud("debris", positions, np.full(len(positions), CARBON))


def hydrocarbon(outline: Outline, *, thickness: float, density: float, rng: Generator) -> Cloud:
    """Fill domes of hydrocarbon over a region: chains of carbon, with hydrogen where there is room.

    Carbon atoms follow one another at 1.53 Å, at least 2.2 Å from all others, as many as the density
    has groups CH₂; then hydrogen goes to both free arms of each, 1.09 Å away, as far as it finds room.

    Parameters
    ----------
    outline
        Where it lies, in the sheet's box.
    thickness
        Height where the region is deep enough, > 0 [Å].
    density
        Mass density, 0 < density ≤ 2.5 [g/cm³]; 0.85 to 1.1 in oils and polymers.
    rng
        Source of random numbers; also of the side of the sheet.

    Returns
    -------
    Cloud
        Carbon and hydrogen atoms with |z| from 3.2 Å outwards on one side.

    Raises
    ------
    ValueError
        If an argument is out of its bounds.
    """
    carbon = _fill(outline, thickness, density / (DALTON * METHYLENE_MASS), _CHAINS, density, rng)
    hydrogen = _saturate(carbon, outline.box, rng)
    numbers = np.repeat([CARBON, HYDROGEN], [len(carbon), len(hydrogen)])
    return Cloud("debris", np.concatenate([carbon, hydrogen]), numbers)


def adatoms(box: ArrayLike, *, number: int, n: int, cluster_size: int, rng: Generator) -> Cloud:
    """Scatter adatoms, or clusters of them, over a sheet.

    The first atom of a cluster lies above or below the sheet by the covalent radii of itself and of carbon;
    each further one touches an earlier one and lies no lower. Atoms of different clusters are no closer than
    those that touch; a cluster that finds no such place is left out.

    Parameters
    ----------
    box
        Edge lengths of the sheet's box along x and y, (2,) [Å].
    number
        Atomic number.
    n
        Number of clusters, ≥ 0.
    cluster_size
        Atoms in each, ≥ 1.
    rng
        Source of random numbers.

    Raises
    ------
    ValueError
        If an argument is out of its bounds, or the element has no known radius.

    References
    ----------
    B. Cordero et al., Dalton Trans. 2832 (2008), doi:10.1039/b801115j: the radii, from ase.data.
    """
    from ase.data import covalent_radii

    edges = as_box(box)
    if n < 0 or cluster_size < 1:
        raise ValueError(f"n must be ≥ 0 and cluster_size ≥ 1, got {n} and {cluster_size}")
    if not 0 < number < len(covalent_radii):
        raise ValueError(f"number must be an atomic number up to {len(covalent_radii) - 1}, got {number}")
    radius = float(covalent_radii[number])
    height = radius + float(covalent_radii[CARBON])
    atoms: FloatArray = np.empty((0, 3))
    for _ in range(n):
        cluster = _cluster(cluster_size, 2 * radius, rng) + np.array([0, 0, height])
        for _ in range(_TRIALS):
            moved = cluster * [1, 1, rng.choice([-1.0, 1.0])] + np.append(rng.uniform(0, edges), 0.0)
            if _gap_between(moved, atoms, edges) >= 2 * radius:
                atoms = np.concatenate([atoms, np.column_stack([wrap(moved[:, :2], edges), moved[:, 2]])])
                break
    return Cloud("adatoms", atoms, np.full(len(atoms), number))


def _gap_between(some: FloatArray, others: FloatArray, box: FloatArray) -> float:
    """Shortest distance from one set of atoms to another, infinite without others [Å]."""
    vectors = some[:, None] - others
    vectors[..., :2] = shortest_image(vectors[..., :2], box)
    return float(np.linalg.norm(vectors, axis=2).min(initial=np.inf))


def _cluster(size: int, distance: float, rng: Generator) -> FloatArray:
    """Touching atoms, none closer than `distance` and none below the first, (size, 3) [Å]."""
    atoms: FloatArray = np.zeros((1, 3))
    while len(atoms) < size:
        step = _directions(1, rng)[0] * distance
        place = atoms[int(rng.integers(len(atoms)))] + step * [1, 1, np.sign(step[2])]
        if np.linalg.norm(atoms - place, axis=1).min() >= distance - 1e-9:
            atoms = np.concatenate([atoms, place[None]])
    return atoms


def _directions(n: int, rng: Generator) -> FloatArray:
    """Random unit vectors, (n, 3)."""
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _fill(
    outline: Outline, thickness: float, per_volume: float, growth: _Growth, density: float, rng: Generator
) -> FloatArray:
    """Atoms in domes over a region, (M, 3) [Å]."""
    if not (np.isfinite(thickness) and thickness > 0):
        raise ValueError(f"thickness must be > 0 Å, got {thickness}")
    if not 0 < density <= 2.5:
        raise ValueError(f"density must be > 0 and ≤ 2.5 g/cm³, got {density}")
    box = outline.box
    heights, step = _dome(outline, box, thickness)
    n_atoms = round(per_volume * float(heights.sum() * step.prod()))
    columns = np.argwhere(heights > 0)
    side = rng.choice([-1.0, 1.0])
    if n_atoms == 0 or len(columns) == 0:
        return np.empty((0, 3))
    weights = np.cumsum(heights[columns[:, 0], columns[:, 1]])
    atoms = _grow(
        n_atoms, heights, columns, weights / weights[-1], box, thickness, growth.bond, growth.spread,
        growth.others, growth.n_arms, rng,
    )  # fmt: skip
    return np.column_stack([wrap(atoms[:, :2], box), side * (GROUND + atoms[:, 2])])


def _dome(outline: Outline, box: FloatArray, thickness: float) -> tuple[FloatArray, FloatArray]:
    """Local thickness on a grid, (n_x, n_y) [Å], and the steps of the grid [Å]."""
    counts = np.ceil(box / _STEP).astype(np.int64)
    step: FloatArray = box / counts
    centres = (np.indices(counts.tolist()).reshape(2, -1).T + 0.5) * step
    depth = outline.depth(centres).reshape(counts.tolist())
    inward = np.clip(depth / thickness, 0, 1)
    return thickness * np.sqrt(1 - (1 - inward) ** 2), step


@njit(cache=True)
def _is_free(
    x: float, y: float, z: float, atoms: FloatArray, head: IntArray, following: IntArray, box: FloatArray,
    partner: int, distance: float,
) -> bool:  # pragma: no cover  # fmt: skip
    """Say whether no atom but the partner is closer to a place than `distance`."""
    n_x, n_y, n_z = head.shape
    i, j, k = int(x / box[0] * n_x), int(y / box[1] * n_y), int(z / _CELL)
    for a in range(i - 1, i + 2):
        for b in range(j - 1, j + 2):
            for c in range(max(0, k - 1), min(n_z, k + 2)):
                atom = head[a % n_x, b % n_y, c]
                while atom >= 0:
                    if atom != partner:
                        dx, dy, dz = x - atoms[atom, 0], y - atoms[atom, 1], z - atoms[atom, 2]
                        dx -= box[0] * np.rint(dx / box[0])
                        dy -= box[1] * np.rint(dy / box[1])
                        if dx * dx + dy * dy + dz * dz < distance * distance:
                            return False
                    atom = following[atom]
    return True


@njit(cache=True)
def _grow(
    n_atoms: int, heights: FloatArray, columns: IntArray, cumulated: FloatArray, box: FloatArray,
    thickness: float, bond: float, spread: float, others: float, n_arms: int, rng: Generator,
) -> FloatArray:  # pragma: no cover  # fmt: skip
    """Place atoms one after another; where none of the bonded places is free, at a random one."""
    n_x, n_y = max(3, int(box[0] / _CELL)), max(3, int(box[1] / _CELL))
    head = np.full((n_x, n_y, int(thickness / _CELL) + 1), -1, dtype=np.int64)
    following = np.full(n_atoms, -1, dtype=np.int64)
    atoms = np.empty((n_atoms, 3))
    arms = np.zeros(n_atoms, dtype=np.int64)
    open_atoms = np.empty(n_atoms, dtype=np.int64)
    n_open, n_placed = 0, 0
    width, height = box[0] / heights.shape[0], box[1] / heights.shape[1]
    for _ in range(n_atoms * _TRIALS):
        if n_placed == n_atoms:
            break
        slot, partner = -1, -1
        if n_open > 0 and rng.random() < 0.98:
            slot = int(rng.random() * n_open)
            partner = open_atoms[slot]
            up = 2 * rng.random() - 1
            turn = 2 * np.pi * rng.random()
            length = bond + spread * min(2.0, max(-2.0, rng.normal()))
            flat = length * np.sqrt(1 - up * up)
            x = atoms[partner, 0] + flat * np.cos(turn)
            y = atoms[partner, 1] + flat * np.sin(turn)
            z = atoms[partner, 2] + length * up
        else:
            place = columns[np.searchsorted(cumulated, rng.random())]
            x, y = (place[0] + rng.random()) * width, (place[1] + rng.random()) * height
            z = rng.random() * heights[place[0], place[1]]
        x, y = x % box[0], y % box[1]
        i, j = min(int(x / width), heights.shape[0] - 1), min(int(y / height), heights.shape[1] - 1)
        if z < 0 or z > heights[i, j] or x >= box[0] or y >= box[1]:
            continue
        if not _is_free(x, y, z, atoms, head, following, box, partner, others):
            # An atom whose surroundings are full is given up after some trials.
            if slot >= 0 and rng.random() < 0.1:
                n_open -= 1
                open_atoms[slot] = open_atoms[n_open]
            continue
        atoms[n_placed, 0], atoms[n_placed, 1], atoms[n_placed, 2] = x, y, z
        a, b, c = int(x / box[0] * n_x), int(y / box[1] * n_y), int(z / _CELL)
        following[n_placed] = head[a, b, c]
        head[a, b, c] = n_placed
        if slot >= 0:
            arms[n_placed] = 1
            arms[partner] += 1
            if arms[partner] >= n_arms:
                n_open -= 1
                open_atoms[slot] = open_atoms[n_open]
        open_atoms[n_open] = n_placed
        n_open += 1
        n_placed += 1
    return atoms[:n_placed]


def _saturate(carbon: FloatArray, box: FloatArray, rng: Generator) -> FloatArray:
    """Hydrogen atoms at the free arms of the carbon atoms, (M, 3) [Å]."""
    from scipy.spatial import cKDTree

    if len(carbon) == 0:
        return np.empty((0, 3))
    period = np.array([*box, 0.0])
    lift = np.array([0.0, 0.0, carbon[:, 2].min() - _HYDROGEN_BOND])
    backbone = cKDTree(carbon - lift, boxsize=period)
    bonds = backbone.query_pairs(_LONGEST_CHAIN_BOND, output_type="ndarray")
    n_free = 4 - np.bincount(bonds.ravel(), minlength=len(carbon))
    hydrogen = np.empty((0, 3))
    for _ in range(_HYDROGEN_ROUNDS):
        hosts = rng.permutation(np.flatnonzero(n_free > 0))
        places = carbon[hosts] + _HYDROGEN_BOND * _directions(len(hosts), rng)
        places[:, :2] = wrap(places[:, :2], box)
        others = np.asarray(backbone.query(places - lift, k=2)[0])[:, 1]
        is_kept = (others >= _HYDROGEN_DISTANCE) & (np.abs(places[:, 2]) >= _LOWEST_HYDROGEN)
        if len(hydrogen):
            nearest = cKDTree(hydrogen - lift, boxsize=period).query(places - lift)[0]
            is_kept &= np.asarray(nearest) >= _HYDROGEN_DISTANCE
        hosts, places = hosts[is_kept], places[is_kept]
        pairs = cKDTree(places - lift, boxsize=period).query_pairs(_HYDROGEN_DISTANCE, output_type="ndarray")
        is_first = np.ones(len(places), dtype=bool)
        is_first[pairs.max(axis=1, initial=-1)] = False
        hydrogen = np.concatenate([hydrogen, places[is_first]])
        n_free[hosts[is_first]] -= 1
    return hydrogen
