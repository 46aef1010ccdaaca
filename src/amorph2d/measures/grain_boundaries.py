"""Boundaries between grains: where they run, how long they are, and the rings on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, dijkstra

from amorph2d.arrays import AnyArray, BoolArray, FloatArray, IntArray
from amorph2d.measures.grains import (
    GrainParameters,
    check_rows,
    grow_grains,
    mean_orientations,
    misorientation,
    stack,
)
from amorph2d.measures.ring_pairs import complete_neighbours
from amorph2d.measures.statistics import Ratio, Share
from amorph2d.measures.tables import find_sites, site_positions, split_frames
from amorph2d.measures.window import Blocks
from amorph2d.topology.ring_neighbours import RingNeighbours

BOUNDARY_COLUMNS = {
    "frame": "int32",
    "boundary": "int64",
    "grain_i": "int64",
    "grain_j": "int64",
    "misorientation": "float64",
    "length": "float64",
    "n_rings_5": "int32",
    "n_rings_7": "int32",
    "n_rings_other": "int32",
    "is_closed": "bool",
}
BOUNDARY_UNITS = {"misorientation": "°", "length": "Å"}
BOUNDARY_POINT_COLUMNS = {"frame": "int32", "boundary": "int64", "x": "float64", "y": "float64"}
BOUNDARY_POINT_UNITS = {"x": "Å", "y": "Å"}
GRAIN_STATISTICS: dict[str, Ratio] = {
    "grain_boundary_density": Ratio("boundary_length", "grain_ring_area"),
    "grain_share": Share("grain_area", "grain_ring_area", "grain_rings"),
}
_N_AVERAGES = 16


class BoundaryTables(NamedTuple):
    """Tables of boundaries and of the points along them."""

    boundaries: pd.DataFrame
    points: pd.DataFrame


@dataclass(frozen=True, eq=False)
class Lines:
    """Boundaries between labelled rings, as lines.

    Attributes
    ----------
    points
        Points of one line after the other, in order along it, (P, 2) [Å]; the first again where it is closed.
    line
        Line of each point, (P,).
    labels
        Labels i < j on the two sides of each line, (L, 2).
    rings
        Two rings on the two sides of a bond of a line, (C, 2).
    ring_line
        That line, (C,).
    is_closed
        Lines that end where they begin, (L,).
    """

    points: FloatArray
    line: IntArray
    labels: IntArray
    rings: IntArray
    ring_line: IntArray
    is_closed: BoolArray

    @property
    def steps(self) -> tuple[FloatArray, FloatArray, IntArray]:
        """Middles, (S, 2) [Å], lengths, (S,) [Å], and line, (S,), of the pieces between points."""
        goes_on = self.line[1:] == self.line[:-1]
        first, second = self.points[:-1][goes_on], self.points[1:][goes_on]
        return (first + second) / 2, np.hypot(*(second - first).T), self.line[1:][goes_on]


def trace_boundaries(atoms: FloatArray, *, members: IntArray, sizes: IntArray, labels: IntArray) -> Lines:
    """Follow the bonds between rings of different labels.

    A line runs through the middles of these bonds, from a place where three labels meet, or where rings
    without a label begin, to the next. It is then averaged along itself, as the steps from bond to bond,
    which go in six directions only, would make it up to 15 % too long.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    members
        Atoms of one ring after the other, in order around it, (sum of sizes,).
    sizes
        Atoms in each ring, (R,).
    labels
        Of each ring, (R,); −1 for none.

    Returns
    -------
    Lines
        L may be 0.

    References
    ----------
    What averaging takes from curved lines is given back by averaging the remainder, too: Tukey, Exploratory
    Data Analysis (1977), "twicing".
    """
    ends, rings = _shared_bonds(members, sizes)
    is_between = (labels[rings] >= 0).all(axis=1) & (labels[rings[:, 0]] != labels[rings[:, 1]])
    ends, rings = ends[is_between], rings[is_between]
    sides = np.sort(labels[rings], axis=1)
    if len(ends) == 0:
        none = np.empty(0, np.int64)
        nothing = none.reshape(0, 2)
        return Lines(np.empty((0, 2)), none, nothing, nothing, none, np.empty(0, bool))
    links, tips = _join_bonds(ends, sides)
    points = _smooth(np.concatenate([atoms[ends].mean(axis=1), atoms[tips]]), links)
    order, line, is_closed = _put_in_order(links, len(ends), len(points))
    of_bond = np.empty(len(points), np.int64)
    of_bond[order] = line
    labels_of_lines = np.empty((int(line.max()) + 1, 2), np.int64)
    labels_of_lines[of_bond[: len(ends)]] = sides
    return Lines(points[order], line, labels_of_lines, rings, of_bond[: len(ends)], is_closed)


def boundaries_tables(
    sites: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    *,
    ring_pairs: pd.DataFrame,
    ring_grains: pd.DataFrame,
    parameters: GrainParameters,
) -> BoundaryTables:
    """Find the boundaries between the grains of each frame.

    Grains first take the rings between them, up to `boundary_reach` rings away, so a boundary runs through
    the middle of the rings that are no part of a grain. Where these are more, as in an amorphous part, there
    is no boundary.

    Parameters
    ----------
    sites, rings, ring_atoms
        Located sites, rings, and the atoms around each ring.
    ring_pairs, ring_grains
        From `ring_pairs.ring_pairs_table` and `grains.ring_grains_table`.
    parameters
        `boundary_reach` is used.

    Returns
    -------
    boundaries
        A row for each unbroken line between two grains: `frame`, `boundary`, `grain_i` < `grain_j`,
        `misorientation` of the two from 0 to 30 [°], `length` [Å], `n_rings_5`, `n_rings_7`, `n_rings_other`
        (pentagons, heptagons and all others but hexagons on the line or beside it), `is_closed`.
    points
        `frame`, `boundary`, `x`, `y` [Å], in order along each boundary.

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    check_rows(rings, ring_grains)
    parts, point_parts = [], []
    frames = split_frames(sites, rings, ring_atoms, ring_pairs, ring_grains)
    for frame, rows, own, atoms, pairs, grains in frames:
        is_complete, sizes = own["complete"].to_numpy(bool), own["size"].to_numpy()
        neighbours = complete_neighbours(own, pairs)
        grain = grains["grain"].to_numpy()
        grown = grow_grains(grain, neighbours, parameters.boundary_reach, is_counted=is_complete)
        members = find_sites(atoms["atom"].to_numpy(), rows["site"].to_numpy(), "rings", "atoms")
        lines = trace_boundaries(site_positions(rows), members=members, sizes=sizes, labels=grown)
        on_line = _rings_on_lines(lines, neighbours, grain, parameters.boundary_reach)
        columns = _measure_lines(lines, sizes, on_line, mean_orientations(grains))
        parts.append((frame, columns))
        x, y = lines.points.T
        point_parts.append((frame, {"boundary": lines.line, "x": x, "y": y}))
    return BoundaryTables(stack(BOUNDARY_COLUMNS, parts), stack(BOUNDARY_POINT_COLUMNS, point_parts))


def grain_sums(
    grid: Blocks, rings: pd.DataFrame, *, ring_grains: pd.DataFrame, boundary_points: pd.DataFrame
) -> dict[str, FloatArray]:
    """Add up what `GRAIN_STATISTICS` need, in the blocks of one frame.

    Counted are complete rings, and the length of the boundaries between them. A ring lies where its centre
    is.

    Parameters
    ----------
    grid
        Blocks of the window.
    rings, ring_grains, boundary_points
        Tables of one frame.

    Returns
    -------
    dict
        One array for each sum, one entry for each block.

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    check_rows(rings, ring_grains)
    is_counted = rings["complete"].to_numpy(bool)
    counted = rings[is_counted]
    area, in_grain = counted["area"].to_numpy(), ring_grains["grain"].to_numpy()[is_counted] >= 0
    block, n = grid.number(site_positions(counted)), len(grid.areas)
    points, line = site_positions(boundary_points), boundary_points["boundary"].to_numpy()
    goes_on = line[1:] == line[:-1]
    first, second = points[:-1][goes_on], points[1:][goes_on]
    on_block = grid.number((first + second) / 2)
    sums: dict[str, AnyArray] = {
        "grain_rings": np.bincount(block, minlength=n).astype(np.float64),
        "grain_ring_area": np.bincount(block, area, n),
        "grain_area": np.bincount(block, area * in_grain, n),
        "boundary_length": np.bincount(on_block, np.hypot(*(second - first).T), n),
    }
    return {name: values.astype(np.float64) for name, values in sums.items()}


def _shared_bonds(members: IntArray, sizes: IntArray) -> tuple[IntArray, IntArray]:
    """Bonds with a ring on either side, as atoms, (S, 2), and those two rings, (S, 2)."""
    if len(members) == 0:
        return np.empty((0, 2), np.int64), np.empty((0, 2), np.int64)
    last = np.cumsum(sizes)
    following = np.arange(1, len(members) + 1)
    following[last - 1] = last - sizes
    ends = np.sort(np.stack([members, members[following]], axis=1), axis=1)
    ring = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    ends, ring = ends[order], ring[order]
    is_shared = (ends[1:] == ends[:-1]).all(axis=1) & (ring[1:] != ring[:-1])
    return ends[1:][is_shared], np.stack([ring[:-1], ring[1:]], axis=1)[is_shared]


def _join_bonds(ends: IntArray, sides: IntArray) -> tuple[IntArray, IntArray]:
    """Join the bonds of lines at their atoms.

    Where just two meet that have the same sides, they are linked; at any other atom each has a tip. Tips are
    numbered after the bonds. Returns the links, (K, 2), and the atom of each tip.
    """
    n = len(ends)
    bond, atom = np.tile(np.arange(n), 2), ends.T.ravel()
    order = np.argsort(atom, kind="stable")
    bond, atom = bond[order], atom[order]
    starts = np.flatnonzero(np.append(True, atom[1:] != atom[:-1]))
    counts = np.diff(starts, append=len(atom))
    two = starts[counts == 2]
    two = two[(sides[bond[two]] == sides[bond[two + 1]]).all(axis=1)]
    is_tip = np.ones(len(atom), bool)
    is_tip[two] = is_tip[two + 1] = False
    links = np.stack([bond[two], bond[two + 1]], axis=1)
    to_tips = np.stack([bond[is_tip], n + np.arange(is_tip.sum())], axis=1)
    return np.concatenate([links, to_tips]), atom[is_tip]


def _smooth(points: FloatArray, links: IntArray) -> FloatArray:
    """Average points along their lines, tips left in place; the remainder is averaged again and added."""
    smooth = _average(points, links)
    return smooth + _average(points - smooth, links)


def _average(values: FloatArray, links: IntArray) -> FloatArray:
    """Take the mean of each value and that of its two neighbours, several times."""
    n = len(values)
    first, second = np.concatenate([links, links[:, ::-1]]).T
    has_two = np.bincount(first, minlength=n) == 2
    for _ in range(_N_AVERAGES):
        around = np.stack([np.bincount(first, column[second], n) for column in values.T], axis=1)
        values = np.where(has_two[:, None], values / 2 + around / 4, values)
    return values


def _put_in_order(links: IntArray, n_bonds: int, n_points: int) -> tuple[IntArray, IntArray, BoolArray]:
    """Order points along lines: indices, the line of each, and which lines are closed.

    A closed line is cut at its first point, which comes again at its end.
    """
    piece = connected_components(_as_graph(links, n_points), directed=False)[1]
    n_lines = int(piece.max()) + 1
    start = np.full(n_lines, -1)
    start[piece[n_bonds:][::-1]] = np.arange(n_bonds, n_points)[::-1]
    is_closed = start < 0
    first = np.full(n_lines, -1)
    first[piece[::-1]] = np.arange(n_points)[::-1]
    start = np.where(is_closed, first, start)
    # Of the two links at the start of a closed line one is left out.
    touching = np.flatnonzero(is_closed[piece[links[:, 0]]] & (links == start[piece[links]]).any(axis=1))
    cut = touching[np.unique(piece[links[touching, 0]], return_index=True)[1]]
    graph = _as_graph(np.delete(links, cut, axis=0), n_points)
    distance = dijkstra(graph, directed=False, indices=start, unweighted=True, min_only=True)
    index = np.concatenate([np.arange(n_points), start[is_closed]])
    line = piece[index]
    along = np.concatenate([distance, np.full(is_closed.sum(), np.inf)])
    order = np.lexsort((along, line))
    return index[order], line[order].astype(np.int64), is_closed


def _as_graph(links: IntArray, n: int) -> csr_array:
    """Links as a sparse matrix."""
    return csr_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(n, n))


def _rings_on_lines(lines: Lines, neighbours: RingNeighbours, grain: IntArray, reach: int) -> IntArray:
    """Line that each ring lies on or, in no grain, is connected to; −1 for none."""
    on_line = np.full(len(grain), -1, dtype=np.int64)
    for side in lines.rings.T:
        on_line[side[::-1]] = lines.ring_line[::-1]
    return grow_grains(on_line, neighbours, reach, is_counted=grain < 0)


def _measure_lines(
    lines: Lines, sizes: IntArray, on_line: IntArray, orientations: FloatArray
) -> dict[str, AnyArray]:
    """Columns of the boundaries of one frame."""
    n = len(lines.labels)
    _, lengths, line = lines.steps
    is_on = on_line >= 0
    of_size = {size: np.bincount(on_line[is_on & (sizes == size)], minlength=n) for size in (5, 6, 7)}
    all_rings = np.bincount(on_line[is_on], minlength=n)
    return {
        "boundary": np.arange(n),
        "grain_i": lines.labels[:, 0],
        "grain_j": lines.labels[:, 1],
        "misorientation": misorientation(*orientations[lines.labels].T),
        "length": np.bincount(line, lengths, n),
        "n_rings_5": of_size[5],
        "n_rings_7": of_size[7],
        "n_rings_other": all_rings - of_size[5] - of_size[6] - of_size[7],
        "is_closed": lines.is_closed,
    }
