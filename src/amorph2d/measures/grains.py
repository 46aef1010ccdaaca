"""Grains: patches of hexagons of one orientation, and the boundaries between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import ArrayLike

from amorph2d.arrays import AnyArray, BoolArray, FloatArray, IntArray, as_points
from amorph2d.measures.config import GrainParameters
from amorph2d.measures.crystallites import HEXAGON, fold_angle
from amorph2d.measures.ring_pairs import complete_neighbours
from amorph2d.measures.tables import by_frame, find_sites, site_positions, split_frames
from amorph2d.topology.periodic import as_box, nearest_image
from amorph2d.topology.ring_neighbours import RingNeighbours

RING_GRAIN_COLUMNS = {"frame": "int32", "row": "int64", "orientation": "float64", "grain": "int64"}
RING_GRAIN_UNITS = {"orientation": "°"}
GRAIN_COLUMNS = {
    "frame": "int32",
    "grain": "int64",
    "n_rings": "int32",
    "area": "float64",
    "x": "float64",
    "y": "float64",
    "orientation": "float64",
    "orientation_error": "float64",
    "spread": "float64",
    "is_cut": "bool",
}
GRAIN_UNITS = {
    "area": "Å²",
    "x": "Å",
    "y": "Å",
    "orientation": "°",
    "orientation_error": "°",
    "spread": "°",
}
_HELD = 4  # bonds with one grain, of six, that make a hexagon part of it whatever its own shape says


def hexagon_orientations(
    atoms: ArrayLike, members: ArrayLike, sizes: ArrayLike, *, box: ArrayLike | None = None
) -> FloatArray:
    """Return the direction in which the next ring centres lie, from the corners of each hexagon.

    The regular hexagon of any size that lies nearest to the corners by least squares is turned by the phase
    of their first Fourier component around the ring, so no angle is ever unwrapped. It is off by about
    σ/(√6 bond length) if positions are off by σ: less than the direction to any one neighbour.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    members
        Atoms of one ring after the other, in order around it, (sum of sizes,).
    sizes
        Atoms in each ring, (R,).
    box
        Edge lengths of a periodic box, (2,), wider than two rings [Å]; None for an open sheet.

    Returns
    -------
    FloatArray
        From x towards y, from 0 to less than 60, (R,) [°]; NaN for rings that are no hexagons.

    Raises
    ------
    ValueError
        If a shape is wrong.
    """
    positions, corner, n_atoms = as_points(atoms, "atoms"), np.asarray(members), np.asarray(sizes)
    if n_atoms.sum() != len(corner):
        raise ValueError(f"sizes must add up to {len(corner)} members, got {n_atoms.sum()}")
    found = np.full(len(n_atoms), np.nan)
    is_hexagon = n_atoms == HEXAGON
    if not is_hexagon.any():
        return found
    around = positions[corner[np.repeat(is_hexagon, n_atoms)].reshape(-1, HEXAGON)]
    steps = nearest_image((around - around[:, :1]).reshape(-1, 2), as_box(box))
    z = (steps[:, 0] + 1j * steps[:, 1]).reshape(-1, HEXAGON)
    turn = np.exp(2j * np.pi * np.arange(HEXAGON) / HEXAGON)
    forwards, backwards = z @ turn.conj(), z @ turn
    # A ring may be listed either way round.
    first = np.where(np.abs(forwards) >= np.abs(backwards), forwards, backwards)
    found[is_hexagon] = fold_angle(np.degrees(np.angle(first)) + 30)  # corners point between the neighbours
    return found


def misorientation(first: ArrayLike, second: ArrayLike) -> FloatArray:
    """Return by how much two orientations of sixfold symmetry differ, from 0 to 30 [°]."""
    apart = np.abs(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)) % 60
    return np.minimum(apart, 60 - apart)


def label_grains(
    sizes: ArrayLike,
    orientations: ArrayLike,
    neighbours: RingNeighbours,
    parameters: GrainParameters,
    *,
    is_counted: ArrayLike | None = None,
) -> IntArray:
    """Label each ring with its grain.

    Patches grow by merging: pairs of neighbouring hexagons are taken in the order of their misorientation,
    and the patches that they belong to become one if their mean orientations differ by less than
    `max_misorientation`. The means decide, not the pair, so a few hexagons in between do not join two grains,
    and a boundary of dislocations far apart is found as long as its grains differ by more. At last a hexagon
    without a grain joins the one with which it shares at least four of its six bonds.

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    orientations
        Of the hexagons, (R,) [°]; NaN for all other rings.
    neighbours
        Which of these rings share bonds.
    parameters
        What makes a grain.
    is_counted
        Rings that may belong to one, (R,); all if None.

    Returns
    -------
    IntArray
        Grain of each ring, (R,), numbered from 0 by their first rings; −1 for all other rings.

    Raises
    ------
    ValueError
        If the lengths differ.

    References
    ----------
    Nock and Nielsen, IEEE Trans. Pattern Anal. Mach. Intell. 26, 1452 (2004),
    https://doi.org/10.1109/TPAMI.2004.110: regions merged in the order of the difference at their border, if
    their means agree.
    """
    n_atoms, angles = np.asarray(sizes), np.asarray(orientations, dtype=np.float64)
    counts = np.ones(len(n_atoms), bool) if is_counted is None else np.asarray(is_counted, bool)
    lengths = {len(n_atoms), len(angles), len(counts), len(neighbours.n_shared)}
    if len(lengths) > 1:
        raise ValueError(
            f"sizes, orientations, is_counted and neighbours must have one length, got {lengths}"
        )
    is_hexagon = counts & (n_atoms == HEXAGON) & np.isfinite(angles)
    pairs = neighbours.pairs[is_hexagon[neighbours.pairs].all(axis=1)]
    apart = misorientation(angles[pairs[:, 0]], angles[pairs[:, 1]])
    pairs = pairs[np.argsort(apart, kind="stable")]
    phase = np.radians(HEXAGON * np.where(is_hexagon, angles, 0.0))
    limit = np.cos(np.radians(HEXAGON * parameters.max_misorientation))
    patch = _merge(pairs, np.cos(phase), np.sin(phase), limit)
    is_large = np.bincount(patch[is_hexagon], minlength=len(n_atoms)) >= parameters.min_rings
    labels = _renumber(np.where(is_hexagon & is_large[patch], patch, -1))
    favourite, n_bonds = _favourites(labels, neighbours)
    joins = is_hexagon & (labels < 0) & (n_bonds >= _HELD)
    return np.where(joins, favourite, labels)


def grow_grains(
    labels: ArrayLike, neighbours: RingNeighbours, n_steps: int, *, is_counted: ArrayLike | None = None
) -> IntArray:
    """Give rings near grains to the grain with which they share most bonds, step after step.

    Parameters
    ----------
    labels
        Grain of each ring, (R,), −1 for none.
    neighbours
        Which of these rings share bonds.
    n_steps
        How many rings away from a grain its label may get, ≥ 0.
    is_counted
        Rings that may be given away, (R,); all if None.

    Returns
    -------
    IntArray
        Grain that each ring lies in or next to, (R,), −1 for none.
    """
    grown = np.array(labels, dtype=np.int64)
    counts = np.ones(len(grown), bool) if is_counted is None else np.asarray(is_counted, bool)
    for _ in range(n_steps):
        favourite, n_bonds = _favourites(grown, neighbours)
        grown = np.where(counts & (grown < 0) & (n_bonds > 0), favourite, grown)
    return grown


def ring_grains_table(
    sites: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    *,
    ring_pairs: pd.DataFrame,
    parameters: GrainParameters,
) -> pd.DataFrame:
    """Find the orientation and the grain of each ring of each frame.

    Parameters
    ----------
    sites, rings, ring_atoms
        Located sites, rings, and the atoms around each ring.
    ring_pairs
        From `ring_pairs.ring_pairs_table`.
    parameters
        What makes a grain.

    Returns
    -------
    DataFrame
        A row for each ring: `frame`, `row` (of the ring among those of its frame), `orientation` of a hexagon
        from 0 to 60 [°] (NaN for other rings), `grain` (−1 for none; only complete rings have one).

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    parts = []
    for frame, rows, own, atoms, pairs in split_frames(sites, rings, ring_atoms, ring_pairs):
        sizes, is_complete = own["size"].to_numpy(), own["complete"].to_numpy(bool)
        neighbours = complete_neighbours(own, pairs)
        members = find_sites(atoms["atom"].to_numpy(), rows["site"].to_numpy(), "rings", "atoms")
        angles = hexagon_orientations(site_positions(rows), members, sizes)
        grain = label_grains(sizes, angles, neighbours, parameters, is_counted=is_complete)
        parts.append((frame, {"row": np.arange(len(own)), "orientation": angles, "grain": grain}))
    return stack(RING_GRAIN_COLUMNS, parts)


def grains_table(rings: pd.DataFrame, ring_pairs: pd.DataFrame, ring_grains: pd.DataFrame) -> pd.DataFrame:
    """Measure the grains of each frame.

    Parameters
    ----------
    rings, ring_pairs
        Rings, and the pairs of them from `ring_pairs.ring_pairs_table`.
    ring_grains
        As `ring_grains_table` gives them.

    Returns
    -------
    DataFrame
        `frame`, `grain`, `n_rings`, `area` [Å²], `x` and `y` of its centre of area [Å], `orientation` of its
        lattice of ring centres from 0 to 60 [°], `orientation_error` (of this mean, as if hexagons were
        independent) [°], `spread` (root of the mean square of what the hexagons are turned away from it) [°],
        `is_cut` (one of its rings has a bond with no complete ring behind it).

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    check_rows(rings, ring_grains)
    angle = ring_grains["orientation"].to_numpy()
    area = rings["area"].to_numpy(np.float64)
    members = pd.DataFrame(
        {
            "frame": ring_grains["frame"].to_numpy(),
            "grain": ring_grains["grain"].to_numpy(),
            "n_rings": 1,
            "area": area,
            "x": area * rings["x"].to_numpy(),
            "y": area * rings["y"].to_numpy(),
            "real": np.cos(np.radians(HEXAGON * angle)),
            "imaginary": np.sin(np.radians(HEXAGON * angle)),
            "n_cut": ~_is_interior(rings, ring_pairs),
        }
    )
    keys = ["frame", "grain"]
    members = members[members["grain"] >= 0]
    found = members.groupby(keys).sum().reset_index()
    phase = np.arctan2(found["imaginary"].to_numpy(), found["real"].to_numpy())
    mean = fold_angle(np.degrees(phase) / HEXAGON)
    of_ring = members[keys].merge(found[keys].assign(mean=mean), on=keys, how="left")
    apart = misorientation(angle[ring_grains["grain"].to_numpy() >= 0], of_ring["mean"])
    spread = np.sqrt(members[keys].assign(square=apart**2).groupby(keys)["square"].mean().to_numpy())
    measured = found.assign(
        x=found["x"] / found["area"],
        y=found["y"] / found["area"],
        orientation=mean,
        orientation_error=spread / np.sqrt(np.maximum(found["n_rings"] - 1, 1)),
        spread=spread,
        is_cut=found["n_cut"] > 0,
    )
    return measured[list(GRAIN_COLUMNS)].astype(GRAIN_COLUMNS)


def mean_orientations(ring_grains: pd.DataFrame) -> FloatArray:
    """Return the mean orientation of each grain of one frame, by its number [°].

    Parameters
    ----------
    ring_grains
        Rows of one frame of what `ring_grains_table` gives.
    """
    grain = ring_grains["grain"].to_numpy()
    phase = np.radians(HEXAGON * ring_grains["orientation"].to_numpy()[grain >= 0])
    sine, cosine = (np.bincount(grain[grain >= 0], part) for part in (np.sin(phase), np.cos(phase)))
    return fold_angle(np.degrees(np.arctan2(sine, cosine)) / HEXAGON)


def stack(columns: Mapping[str, str], parts: Iterable[tuple[int, Mapping[str, AnyArray]]]) -> pd.DataFrame:
    """Put what was found in each frame into one table."""
    tables = [pd.DataFrame(found).assign(frame=frame) for frame, found in parts]
    stacked = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(columns))
    return stacked[list(columns)].astype(dict(columns))


def check_rows(rings: pd.DataFrame, ring_grains: pd.DataFrame) -> None:
    """Raise unless the table of grains has a row for each ring."""
    same = len(rings) == len(ring_grains)
    if not same or (rings["frame"].to_numpy() != ring_grains["frame"].to_numpy()).any():
        raise ValueError("ring_grains must have a row for each ring, in the same order")


def _is_interior(rings: pd.DataFrame, ring_pairs: pd.DataFrame) -> BoolArray:
    """Tell which rings of all frames have complete rings behind all their bonds."""
    is_interior = np.zeros(len(rings), bool)
    frames, pairs_of = rings["frame"].to_numpy(), by_frame(ring_pairs)
    for frame, own in by_frame(rings).items():
        neighbours = complete_neighbours(own, pairs_of.get(frame, ring_pairs.iloc[:0]))
        is_interior[frames == frame] = neighbours.is_interior
    return is_interior


def _favourites(labels: IntArray, neighbours: RingNeighbours) -> tuple[IntArray, IntArray]:
    """Grain with which each ring shares most bonds, (R,), −1 for none, and how many, (R,)."""
    favourite, most = np.full(len(labels), -1, dtype=np.int64), np.zeros(len(labels), dtype=np.int64)
    n = int(labels.max(initial=-1)) + 1
    first, second = neighbours.ordered_pairs.T
    is_grain = labels[second] >= 0
    keys, where = np.unique(first[is_grain] * n + labels[second[is_grain]], return_inverse=True)
    votes = np.bincount(where, np.tile(neighbours.n_bonds, 2)[is_grain], len(keys)).astype(np.int64)
    ring, label = np.divmod(keys, max(n, 1))
    order = np.lexsort((-label, votes, ring))  # of each ring the most votes, then the lowest label, come last
    favourite[ring[order]], most[ring[order]] = label[order], votes[order]
    return favourite, most


def _renumber(patches: IntArray) -> IntArray:
    """Patches numbered from 0 by their first members; −1 stays."""
    is_member = patches >= 0
    kept, first, number = np.unique(patches[is_member], return_index=True, return_inverse=True)
    rank = np.empty(len(kept), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(kept))
    labels = np.full(len(patches), -1, dtype=np.int64)
    labels[is_member] = rank[number]
    return labels


@njit(cache=True)
def _root(parents, item):  # type: ignore[no-untyped-def]  # pragma: no cover
    """First of the items merged with this one; halves the way there."""
    while parents[item] != item:
        parents[item] = parents[parents[item]]
        item = parents[item]
    return item


@njit(cache=True)
def _merge(pairs, cosine, sine, limit):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Merge pair after pair where the angle between the sums of two patches has at least this cosine."""
    n = len(cosine)
    parents, count = np.arange(n), np.ones(n, np.int64)
    x, y = cosine.copy(), sine.copy()
    for k in range(len(pairs)):
        a, b = _root(parents, pairs[k, 0]), _root(parents, pairs[k, 1])
        if a == b:
            continue
        product = x[a] * x[b] + y[a] * y[b]
        if product < limit * np.sqrt((x[a] ** 2 + y[a] ** 2) * (x[b] ** 2 + y[b] ** 2)):
            continue
        if count[a] < count[b]:
            a, b = b, a
        parents[b] = a
        count[a] += count[b]
        x[a] += x[b]
        y[a] += y[b]
    for item in range(n):
        parents[item] = _root(parents, item)
    return parents
