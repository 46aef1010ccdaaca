"""Defects of a honeycomb, recognised by rings that are no hexagons and atoms of too few or many bonds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from amorph2d.arrays import AnyArray, BoolArray, FloatArray, IntArray
from amorph2d.measures.config import DefectParameters
from amorph2d.measures.defect_clusters import (
    HEXAGON,
    Circuits,
    cluster_hashes,
    crowded_atoms,
    enclosed_rings,
    graph_hash,
    label_clusters,
    long_bonds,
    side_keys,
    walk_circuits,
)
from amorph2d.measures.statistics import Ratio
from amorph2d.measures.tables import bonds_as_indices, find_sites, site_positions, split_frames
from amorph2d.measures.window import Blocks
from amorph2d.topology.coordination import coordination_numbers
from amorph2d.topology.ring_neighbours import RingNeighbours, ring_neighbours
from amorph2d.topology.rings import planar_rings

DEFECT_COLUMNS = {
    "frame": "int32",
    "defect": "int64",
    "kind": "str",
    "rings": "str",
    "n_rings": "int32",
    "n_missing_atoms": "float64",
    "x": "float64",
    "y": "float64",
    "area": "float64",
    "orientation": "float64",
    "confidence": "float64",
    "complete": "bool",
    "within": "int64",
}
DEFECT_UNITS = dict.fromkeys(DEFECT_COLUMNS, "") | {"x": "Å", "y": "Å", "area": "Å²", "orientation": "°"}
DEFECT_RING_COLUMNS = {"frame": "int32", "defect": "int64", "row": "int64"}
DEFECT_ATOM_COLUMNS = {"frame": "int32", "defect": "int64", "atom": "int64"}

DISLOCATION = "dislocation"
VACANCY, DIVACANCY, HOLE = "vacancy", "divacancy", "hole"
OTHER, BOUNDARY, AMORPHOUS = "other", "grain_boundary", "amorphous"
ATOM_KINDS = {1: "dangling", 2: "two_coordinated", 4: "over_coordinated"}  # by the bonds; 4 and more
_LOOP = [(k, (k + 1) % 12) for k in range(12)]

# Sizes of the rings, how many of their atoms have two bonds, and which rings share a bond.
_Graph = tuple[Sequence[int], Sequence[int], Sequence[tuple[int, int]]]
KNOWN_DEFECTS: Mapping[str, _Graph] = {
    DISLOCATION: ((5, 7), (0, 0), [(0, 1)]),
    "stone_wales": ((7, 7, 5, 5), (0,) * 4, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]),
    "divacancy_585": ((5, 8, 5), (0,) * 3, [(0, 1), (1, 2)]),
    "divacancy_555777": (
        (7, 7, 7, 5, 5, 5),
        (0,) * 6,
        [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (0, 4), (2, 4), (1, 5), (2, 5)],
    ),
    # Two halves 5-7-7-5, their pentagons 0 and 4 beside heptagons 5 and 1 of the other.
    "divacancy_5555_6_7777": (
        (5, 7, 7, 5, 5, 7, 7, 5),
        (0,) * 8,
        [(0, 1), (1, 2), (1, 3), (2, 3), (0, 6), (4, 6), (5, 6), (4, 5), (5, 7), (2, 7)],
    ),
    "flower": ((5, 7) * 6, (0,) * 12, _LOOP),
    VACANCY: ((12,), (3,), []),
    "vacancy_59": ((5, 9), (0, 1), [(0, 1)]),
    DIVACANCY: ((14,), (4,), []),
    "broken_bond": ((10,), (2,), []),
    # A foreign atom in the place of two, at which two pentagons and two hexagons meet.
    "fourfold_atom": ((5, 6, 5, 6), (0,) * 4, [(0, 1), (1, 2), (2, 3), (0, 3)]),
}
RING_KINDS = (*KNOWN_DEFECTS, HOLE, BOUNDARY, AMORPHOUS, OTHER)
DEFECT_KINDS = (*RING_KINDS, *ATOM_KINDS.values())
DEFECT_STATISTICS: dict[str, Ratio] = {
    f"defect_density_{kind}": Ratio(f"defects_{kind}", "defect_area") for kind in DEFECT_KINDS
}


class DefectTables(NamedTuple):
    """Table of defects, and of the rings and atoms they are made of."""

    defects: pd.DataFrame
    defect_rings: pd.DataFrame
    defect_atoms: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Network:
    """Rings of one frame: those of its table, and holes that are too large for it."""

    positions: FloatArray
    coordination: IntArray
    members: IntArray
    sizes: IntArray
    centroids: FloatArray
    areas: FloatArray
    is_complete: BoolArray
    row: IntArray  # in the table of rings, −1 for others
    former_row: IntArray  # of rings of the table that are none here, one entry for each of their atoms
    former_member: IntArray

    @property
    def ring(self) -> IntArray:
        """Ring of each member."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


def defects_table(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    parameters: DefectParameters,
) -> pd.DataFrame:
    """Return the first table of `defect_tables`."""
    return defect_tables(sites, bonds, rings, ring_atoms, parameters).defects


def defect_tables(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    parameters: DefectParameters,
) -> DefectTables:
    """Find and name the defects of each frame.

    A defect is a cluster of rings that are no hexagons and share atoms. Its name follows from the sizes of
    its rings and from which of them share bonds, as `KNOWN_DEFECTS` lists them. Of other clusters, those
    that lack one, two or more atoms are vacancies, divacancies and holes, thin ones grain boundaries, large
    ones amorphous. Bonds somewhat too long for the table of bonds count where an atom else lacks one: foreign
    atoms have such. Atoms with two bonds too short for any are left out: such are seen in vacancies where
    there are none. An atom with one, two, or more than three bonds is a row of its own besides.

    Parameters
    ----------
    sites, bonds, rings, ring_atoms
        Tables of the same frames, as `tables.network_tables` gives them.
    parameters
        Limits.

    Returns
    -------
    defects
        `frame`, `defect` from 0 on in each frame, `kind` of `DEFECT_KINDS`, `rings` with the sizes of the
        irregular rings from the smallest on ("5-7"), `n_rings`, their number, `n_missing_atoms` against the
        perfect crystal (NaN where a dislocation or the surroundings leave it undefined), `x`, `y` of the
        centre of area [Å], `area` of these rings [Å²], `orientation` of Burgers' vector of a dislocation,
        from the x axis towards y, from −180 to 180 [°], or NaN, `confidence`, the product of those of its
        atoms, `complete` (all its atoms are analysable and all rings around it are known), `within`, the
        defect on whose rings an atom of too few or many bonds lies, −1 for none and for clusters.
    defect_rings
        `frame`, `defect`, `row` of the ring among those of its frame; holes that are no ring of the table
        have none, and rings that are none after the corrections are those of the defect in their place.
    defect_atoms
        `frame`, `defect`, `atom` (site number).

    Raises
    ------
    ValueError
        If a column is missing, or a bond or ring names an atom that does not exist.

    References
    ----------
    Banhart, Kotakoski and Krasheninnikov, ACS Nano 5, 26 (2011), doi:10.1021/nn102598m: the defects.
    """
    parts: list[tuple[pd.DataFrame, ...]] = [
        tuple(pd.DataFrame(columns=list(columns)) for columns in _ALL_COLUMNS)
    ]
    for frame, own_sites, own_bonds, own_rings, own_atoms in split_frames(sites, bonds, rings, ring_atoms):
        found = _find_defects(own_sites, own_bonds, own_rings, own_atoms, parameters)
        parts.append(tuple(table.assign(frame=frame) for table in found))
    tables = (
        pd.concat(kind[1:] or kind, ignore_index=True)[list(columns)].astype(dict(columns))
        for kind, columns in zip(zip(*parts, strict=True), _ALL_COLUMNS, strict=True)
    )
    return DefectTables(*tables)


_ALL_COLUMNS = (DEFECT_COLUMNS, DEFECT_RING_COLUMNS, DEFECT_ATOM_COLUMNS)


def defect_sums(grid: Blocks, defects: pd.DataFrame) -> dict[str, FloatArray]:
    """Add up what `DEFECT_STATISTICS` need, in the blocks of one frame.

    Only complete defects count; those that the edge of the window cuts are missed. Atoms of a vacancy with
    two bonds count among these atoms, too.

    Parameters
    ----------
    grid
        Blocks of the window.
    defects
        Of one frame; with a column `weight`, which stands for defects missed at the edge, that is added up.

    Returns
    -------
    dict
        One array for each sum, one entry for each block; areas in Å².
    """
    counted = defects[defects["complete"].to_numpy(bool)]
    block, kind = grid.number(site_positions(counted)), counted["kind"].to_numpy()
    weight = counted["weight"].to_numpy(np.float64) if "weight" in counted else np.ones(len(counted))
    n = len(grid.areas)
    sums = {
        f"defects_{name}": np.bincount(block, weight * (kind == name), minlength=n).astype(np.float64)
        for name in DEFECT_KINDS
    }
    return sums | {"defect_area": grid.areas}


def defect_boxes(defect_atoms: pd.DataFrame, defects: pd.DataFrame, sites: pd.DataFrame) -> FloatArray:
    """Return lowest x and y, highest x and y of the atoms of each defect, (D, 4) [Å].

    From these `ring_counts.ring_weights` gives the weights that make up for defects cut by the edge.

    Parameters
    ----------
    defect_atoms, defects, sites
        Tables of the same frames.
    """
    key = ["frame", "defect"]
    placed = defect_atoms.merge(
        sites[["frame", "site", "x", "y"]], left_on=["frame", "atom"], right_on=["frame", "site"]
    )
    extremes = placed.groupby(key)[["x", "y"]].agg(["min", "max"])
    extremes = extremes.reindex(pd.MultiIndex.from_frame(defects[key]))
    order = [("x", "min"), ("y", "min"), ("x", "max"), ("y", "max")]
    return extremes[order].to_numpy(np.float64).reshape(-1, 4)


def _find_defects(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    parameters: DefectParameters,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Defects, their rings and their atoms in one frame."""
    atoms = sites[sites["kind"] == "atom"]
    names = atoms["site"].to_numpy()
    network = _network(atoms, bonds, rings, ring_atoms, parameters)
    neighbours = ring_neighbours(network.members, network.sizes)
    labels = label_clusters(network.members, network.sizes, network.coordination)
    confidence = atoms["confidence"].to_numpy(np.float64) if "confidence" in atoms else np.ones(len(atoms))
    member = labels[network.ring] >= 0
    own = np.unique(np.stack([labels[network.ring][member], network.members[member]], axis=1), axis=0)
    clusters = _describe_clusters(network, neighbours, labels, own, confidence, parameters)
    alone = _describe_atoms(network, atoms, own, confidence, n_clusters=len(clusters))
    atom = np.concatenate([own[:, 1], alone.pop("atom").to_numpy(np.int64)])
    defect = np.concatenate([own[:, 0], alone["defect"].to_numpy(np.int64)])
    return (
        pd.concat([table for table in (clusters, alone) if len(table)] or [clusters], ignore_index=True),
        _rows_of(network, labels, own),
        pd.DataFrame({"defect": defect, "atom": names[atom]}),
    )


def _network(
    atoms: pd.DataFrame,
    bonds: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    parameters: DefectParameters,
) -> _Network:
    """Rings of the tables, less those that a long bond cuts, and further faces, with atoms as indices."""
    names, positions = atoms["site"].to_numpy(), site_positions(atoms)
    pairs = bonds_as_indices(bonds, names)
    members = find_sites(ring_atoms["atom"].to_numpy(), names, "ring_atoms", "atoms")
    sizes = rings["size"].to_numpy(np.int64)
    if sizes.sum() != len(members):
        raise ValueError(f"ring_atoms must have {sizes.sum()} rows for these rings, got {len(members)}")
    is_crowded = crowded_atoms(positions, pairs, parameters.crowded)
    pairs = pairs[~is_crowded[pairs].any(axis=1)]
    added = long_bonds(positions, pairs, parameters.longest_bond)
    pairs = np.concatenate([pairs, added])
    is_cut = _are_cut(members, sizes, added)
    is_cut[np.repeat(np.arange(len(sizes)), sizes)[is_crowded[members]]] = True
    row, former = np.flatnonzero(~is_cut), np.flatnonzero(is_cut)
    former_members, former_sizes = members[np.repeat(is_cut, sizes)], sizes[is_cut]
    members, sizes = members[np.repeat(~is_cut, sizes)], sizes[row]
    kept = rings[~is_cut]
    analysable = atoms["analysable"].to_numpy(bool)
    n_atoms = len(atoms)
    forward = np.sort(side_keys(members, sizes, n_atoms))
    keys = pairs[:, 0] * n_atoms + pairs[:, 1], pairs[:, 1] * n_atoms + pairs[:, 0]
    is_open = ~(_are_among(keys[0], forward) & _are_among(keys[1], forward))
    faces = planar_rings(
        positions, pairs[is_open], max_size=parameters.largest_hole, is_analysable=analysable
    )
    first = side_keys(faces.members, faces.sizes, n_atoms)[faces.starts]
    is_new = ~_are_among(first, forward)
    return _Network(
        positions,
        coordination_numbers(pairs, n_atoms),
        np.concatenate([members, faces.members[np.repeat(is_new, faces.sizes)]]),
        np.concatenate([sizes, faces.sizes[is_new]]),
        np.concatenate([site_positions(kept), faces.centroids[is_new]]),
        np.concatenate([kept["area"].to_numpy(np.float64), faces.areas[is_new]]),
        np.concatenate([kept["complete"].to_numpy(bool), faces.is_complete[is_new]]),
        np.concatenate([row, np.full(int(is_new.sum()), -1)]),
        np.repeat(former, former_sizes),
        former_members,
    )


def _are_among(values: IntArray, ordered: IntArray) -> BoolArray:
    """Tell which values occur among sorted ones."""
    if len(ordered) == 0:
        return np.zeros(len(values), bool)
    place = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[place] == values)


def _rows_of(network: _Network, labels: IntArray, own: IntArray) -> pd.DataFrame:
    """Rows of the table of rings that each cluster covers; `own` are pairs of cluster and atom."""
    is_listed = (labels >= 0) & (network.row >= 0)
    cluster = np.full(len(network.positions), -1, dtype=np.int64)
    cluster[own[:, 1]] = own[:, 0]
    of_former = cluster[network.former_member]
    found = np.concatenate(
        [
            np.stack([labels[is_listed], network.row[is_listed]], axis=1),
            np.stack([of_former, network.former_row], axis=1)[of_former >= 0],
        ]
    )
    return pd.DataFrame(np.unique(found, axis=0), columns=["defect", "row"])


def _are_cut(members: IntArray, sizes: IntArray, bonds: IntArray) -> BoolArray:
    """Tell which rings hold both atoms of a bond that is not of their own, (R,)."""
    is_cut = np.zeros(len(sizes), bool)
    if len(bonds):
        ring = np.repeat(np.arange(len(sizes)), sizes)
        near = np.isin(members, bonds)
        pairs = set(zip(ring[near].tolist(), members[near].tolist(), strict=True))
        rings_of: dict[int, list[int]] = {}
        for k, atom in pairs:
            rings_of.setdefault(atom, []).append(k)
        for a, b in bonds.tolist():
            is_cut[[k for k in rings_of.get(a, []) if (k, b) in pairs]] = True
    return is_cut


def _describe_clusters(
    network: _Network,
    neighbours: RingNeighbours,
    labels: IntArray,
    own: IntArray,
    confidence: FloatArray,
    parameters: DefectParameters,
) -> pd.DataFrame:
    """One row for each cluster; `own` are pairs of cluster and atom."""
    n = int(labels.max(initial=-1)) + 1
    inside = labels >= 0
    cluster, sizes, areas = labels[inside], network.sizes[inside], network.areas[inside]
    area = np.bincount(cluster, areas, minlength=n)
    x, y = (np.bincount(cluster, areas * c, minlength=n) for c in network.centroids[inside].T)
    is_irregular = sizes != HEXAGON
    n_rings = np.bincount(cluster[is_irregular], minlength=n)
    is_closed = np.bincount(cluster, ~neighbours.is_interior[inside], minlength=n) == 0
    is_whole = np.bincount(cluster, ~network.is_complete[inside], minlength=n) == 0
    circuits = walk_circuits(
        network.positions,
        network.members,
        network.sizes,
        enclosed_rings(labels, neighbours),
        is_walked=is_closed & (n_rings < parameters.min_amorphous_rings),
    )
    kinds = _kinds(network, neighbours, labels, n_rings, circuits, parameters)
    angle = np.degrees(np.arctan2(circuits.burgers[:, 1], circuits.burgers[:, 0]))
    return pd.DataFrame(
        {
            "defect": np.arange(n),
            "kind": pd.array(kinds.tolist(), dtype="str"),
            "rings": pd.array(_ring_texts(cluster[is_irregular], sizes[is_irregular], n), dtype="str"),
            "n_rings": n_rings,
            "n_missing_atoms": circuits.n_missing,
            "x": x / np.where(area > 0, area, np.nan),
            "y": y / np.where(area > 0, area, np.nan),
            "area": area,
            "orientation": np.where(kinds == DISLOCATION, angle, np.nan),
            "confidence": _products(own[:, 0], confidence[own[:, 1]], n),
            "complete": is_closed & is_whole,
            "within": -1,
        }
    )


def _kinds(
    network: _Network,
    neighbours: RingNeighbours,
    labels: IntArray,
    n_rings: IntArray,
    circuits: Circuits,
    parameters: DefectParameters,
) -> AnyArray:
    """Kind of each cluster."""
    ring = network.ring
    n_open = np.bincount(ring, network.coordination[network.members] == 2, minlength=len(network.sizes))
    hashes = cluster_hashes(
        labels, network.sizes, n_open.astype(np.int64), neighbours.pairs, neighbours.n_bonds
    )
    largest = np.zeros(len(n_rings), np.int64)
    np.maximum.at(largest, labels[labels >= 0], network.sizes[labels >= 0])
    missing = np.where(
        np.isnan(circuits.n_missing), 3.0 * (largest > parameters.largest_ring), circuits.n_missing
    )
    n_links = _n_links(labels, neighbours)
    is_thin = 2 * n_links <= parameters.max_boundary_neighbours * n_rings
    elongation = _elongations(network.centroids, labels, len(n_rings))
    is_long = (elongation >= parameters.min_elongation) | (n_rings >= parameters.min_amorphous_rings)
    is_boundary = (n_rings >= parameters.min_boundary_rings) & is_thin & is_long
    # Later ones go before.
    kinds = np.full(len(n_rings), OTHER, dtype=object)
    for least, kind in ((1, VACANCY), (2, DIVACANCY), (3, HOLE)):
        kinds[missing >= least] = kind
    kinds[n_rings >= parameters.min_amorphous_rings] = AMORPHOUS
    kinds[is_boundary] = BOUNDARY
    for kind, own_hash in _known_hashes().items():
        kinds[hashes == own_hash] = kind
    return kinds


def _known_hashes() -> dict[str, Any]:
    """Hash of each known defect."""
    return {kind: np.uint64(graph_hash(*graph)) for kind, graph in KNOWN_DEFECTS.items()}


def _n_links(labels: IntArray, neighbours: RingNeighbours) -> IntArray:
    """Pairs of neighbouring rings in each cluster, (C,)."""
    first, second = labels[neighbours.pairs].T
    is_inside = (first >= 0) & (first == second)
    return np.bincount(first[is_inside], minlength=int(labels.max(initial=-1)) + 1).astype(np.int64)


def _elongations(centroids: FloatArray, labels: IntArray, n: int) -> FloatArray:
    """Length over width of each cluster, from the second moments of its ring centres, (C,)."""
    label, places = labels[labels >= 0], centroids[labels >= 0]
    count = np.maximum(np.bincount(label, minlength=n), 1)
    mean = np.stack([np.bincount(label, c, minlength=n) / count for c in places.T], axis=1)
    dx, dy = (places - mean[label]).T
    xx, yy, xy = (np.bincount(label, v, minlength=n) for v in (dx * dx, dy * dy, dx * dy))
    half, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    # No narrower than a hundredth of the length, so that the ratio stays finite.
    narrow = np.maximum(half - spread, 1e-4 * (half + spread))
    return np.sqrt(np.divide(half + spread, narrow, out=np.ones(n), where=narrow > 0))


def _ring_texts(cluster: IntArray, sizes: IntArray, n: int) -> list[str]:
    """Sizes of the rings of each cluster, from the smallest on."""
    order = np.lexsort((sizes, cluster))
    texts = list(map(str, sizes[order].tolist()))
    bounds = np.searchsorted(cluster[order], np.arange(n + 1)).tolist()
    return ["-".join(texts[low:high]) for low, high in pairwise(bounds)]


def _products(group: IntArray, values: FloatArray, n: int) -> FloatArray:
    """Product of the values of each group, (n,)."""
    product = np.ones(n)
    np.multiply.at(product, group, values)
    return product


def _describe_atoms(
    network: _Network, atoms: pd.DataFrame, own: IntArray, confidence: FloatArray, *, n_clusters: int
) -> pd.DataFrame:
    """One row for each atom with one, two, or more than three bonds."""
    bonds = np.minimum(network.coordination, max(ATOM_KINDS))
    atom = np.flatnonzero(np.isin(bonds, list(ATOM_KINDS)))
    within = np.full(len(bonds), -1, dtype=np.int64)
    within[own[::-1, 1]] = own[::-1, 0]
    x, y = network.positions[atom].T
    return pd.DataFrame(
        {
            "defect": n_clusters + np.arange(len(atom)),
            "kind": pd.array([ATOM_KINDS[k] for k in bonds[atom].tolist()], dtype="str"),
            "rings": pd.array([""] * len(atom), dtype="str"),
            "n_rings": 0,
            "n_missing_atoms": np.nan,
            "x": x,
            "y": y,
            "area": 0.0,
            "orientation": np.nan,
            "confidence": confidence[atom],
            "complete": atoms["analysable"].to_numpy(bool)[atom],
            "within": within[atom],
            "atom": atom,
        }
    )
