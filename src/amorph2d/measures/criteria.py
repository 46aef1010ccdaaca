"""Checks of the located network: strange atoms, Euler's relation, and rings by three criteria."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import IntArray
from amorph2d.measures.config import StatisticsParameters
from amorph2d.measures.statistics import RING_SIZES, ring_class
from amorph2d.measures.tables import bonds_as_indices, find_sites, site_positions, split_frames
from amorph2d.topology.checks import STATUSES, check_network, ring_agreement
from amorph2d.topology.rings import Rings
from amorph2d.topology.shortest_path import shortest_path_rings

CRITERIA_COLUMNS = {
    "frame": "int32",
    "row": "int64",
    "x": "float64",
    "y": "float64",
    "size": "int32",
    "complete": "bool",
    "delaunay_size": "int32",
    "shortest_path": "bool",
    "status": "str",
}
CRITERIA_UNITS = {"x": "Å", "y": "Å"}


def compare_criteria(
    sites: pd.DataFrame,
    bonds: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    parameters: StatisticsParameters,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Hold the rings of each frame against two other criteria, and the network against Euler's relation.

    Parameters
    ----------
    sites, bonds, rings, ring_atoms
        Tables of one micrograph.
    parameters
        `rings.max_size` and `bonds.max_coordination` are used.

    Returns
    -------
    criteria
        One row for each ring, in order, and for each shortest-path ring that is no face: `frame`, `row` (of
        the rings of the frame, −1 for the latter), `x`, `y` [Å], `size`, `complete`, `delaunay_size` (−1
        where unknown), `shortest_path` (whether no path shortens it) and `status`, see
        `topology.checks.ring_agreement`.
    checks
        One row for each frame: `n_pieces`, `n_holes`; analysable atoms that are isolated, dangling or
        over-coordinated (more bonds than the parameter), `n_…`; `n_crossings` of bonds, `n_rings` and
        `n_expected_rings` by Euler's relation, whether all `is_consistent`; of the complete rings how many
        have each status; and `shortest_path_rings_N`, the complete ones of each size by that criterion.

    Raises
    ------
    ValueError
        If a column is missing or a table names a site that does not exist.
    """
    tables, rows = [], []
    for frame, own, pairs, faces, corners in split_frames(sites, bonds, rings, ring_atoms):
        atoms = own[own["kind"] == "atom"]
        found, row = _compare_frame(atoms, pairs, faces, corners, parameters)
        tables.append(found.assign(frame=frame))
        rows.append({"frame": frame} | row)
    criteria = pd.concat(tables) if tables else pd.DataFrame(columns=list(CRITERIA_COLUMNS))
    checks = pd.DataFrame(rows or {"frame": []}).astype({"frame": "int32"})
    return criteria[list(CRITERIA_COLUMNS)].astype(CRITERIA_COLUMNS).reset_index(drop=True), checks


def rings_from_tables(rings: pd.DataFrame, ring_atoms: pd.DataFrame, names: IntArray) -> Rings:
    """Return the rings of one frame, whose atoms are indices into sorted site numbers."""
    return Rings(
        members=find_sites(ring_atoms["atom"].to_numpy(), names, "rings", "atoms"),
        sizes=rings["size"].to_numpy(np.int64),
        centroids=site_positions(rings),
        areas=rings["area"].to_numpy(np.float64),
        is_complete=rings["complete"].to_numpy(bool),
    )


def _compare_frame(
    atoms: pd.DataFrame,
    bonds: pd.DataFrame,
    rings: pd.DataFrame,
    ring_atoms: pd.DataFrame,
    parameters: StatisticsParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the criteria and the checks of one frame."""
    names, positions = atoms["site"].to_numpy(), site_positions(atoms)
    max_size, most_bonds = parameters.rings.max_size, parameters.bonds.max_coordination
    counts = atoms["analysable"].to_numpy(bool)
    pairs = bonds_as_indices(bonds, names)
    faces = rings_from_tables(rings, ring_atoms, names)
    shortest = shortest_path_rings(len(atoms), pairs, max_size=max_size)
    found = ring_agreement(positions, faces, shortest, is_analysable=counts)
    found = found.rename(columns={"face": "row"})
    # The triangulation of atoms and centres is not made again.
    is_face = found["row"].to_numpy() >= 0
    known = np.where(rings["complete"], rings["delaunay_size"], -1)
    found.loc[is_face, "delaunay_size"] = known
    differs = (found["delaunay_size"] >= 0) & (found["delaunay_size"] != found["size"]) & is_face
    status = np.array(STATUSES)[differs.to_numpy() + 2 * ~found["shortest_path"].to_numpy(bool)]
    found["status"] = np.where(is_face, status, found["status"])
    check = check_network(positions, pairs, faces, max_size=max_size, max_coordination=most_bonds)
    complete = found[found["complete"].to_numpy(bool)]
    row: dict[str, Any] = {
        "n_pieces": len(check.euler),
        "n_holes": int(check.n_holes.sum()),
        "n_isolated": int(counts[check.isolated].sum()),
        "n_dangling": int(counts[check.dangling].sum()),
        "n_over_coordinated": int(counts[check.over_coordinated].sum()),
        "n_crossings": len(check.crossings),
        "n_rings": check.n_rings,
        "n_expected_rings": check.n_expected_rings,
        "is_consistent": check.is_consistent,
    }
    row |= {f"rings_{name}": int((complete["status"] == name).sum()) for name in STATUSES}
    sizes = complete.loc[complete["shortest_path"].to_numpy(bool), "size"].to_numpy()
    return found, row | {f"shortest_path_rings_{ring_class(n)}": _count(sizes, n) for n in RING_SIZES}


def _count(sizes: IntArray, size: int) -> int:
    """Count the rings of a class of sizes."""
    return int((sizes >= size).sum() if size == RING_SIZES[-1] else (sizes == size).sum())
