"""Pairs of neighbouring rings: found once, and used by all that needs to know which rings are neighbours."""

from __future__ import annotations

import numpy as np
import pandas as pd

from amorph2d.measures.tables import by_frame, site_positions
from amorph2d.topology.ring_neighbours import RingNeighbours, ring_neighbours

RING_PAIR_COLUMNS = {
    "frame": "int32",
    "row_i": "int64",
    "row_j": "int64",
    "n_bonds": "int32",
    "distance": "float64",
}
RING_PAIR_UNITS = {"distance": "Å"}


def ring_pairs_table(rings: pd.DataFrame, ring_atoms: pd.DataFrame) -> pd.DataFrame:
    """List the pairs of complete rings that share bonds.

    Parameters
    ----------
    rings, ring_atoms
        Rings, and the atoms around each of them in the same order.

    Returns
    -------
    DataFrame
        `frame`, `row_i` < `row_j` of the rings among those of their frame, `n_bonds` shared, `distance` of
        their centres [Å].

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    parts = [pd.DataFrame(columns=list(RING_PAIR_COLUMNS)).astype(RING_PAIR_COLUMNS)]
    atoms_of = by_frame(ring_atoms)
    for frame, own in by_frame(rings).items():
        found = _complete_pairs(own, atoms_of.get(frame, ring_atoms.iloc[:0]))
        parts.append(found.assign(frame=frame)[list(RING_PAIR_COLUMNS)].astype(RING_PAIR_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def complete_neighbours(rings: pd.DataFrame, ring_pairs: pd.DataFrame) -> RingNeighbours:
    """Return which complete rings of one frame share bonds.

    Parameters
    ----------
    rings, ring_pairs
        R rings of one frame, and the pairs of them.

    Returns
    -------
    RingNeighbours
        By rows of `rings`; rings that are not complete have no neighbours.

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    n, pairs = len(rings), ring_pairs[["row_i", "row_j"]].to_numpy(np.int64)
    if len(pairs) and pairs.max() >= n:
        raise ValueError(f"ring_pairs must name {n} rings, got row {pairs.max()}")
    n_bonds = ring_pairs["n_bonds"].to_numpy(np.int64)
    n_shared = np.rint(np.bincount(pairs.T.ravel(), np.tile(n_bonds, 2), minlength=n)).astype(np.int64)
    return RingNeighbours(
        pairs=pairs,
        n_bonds=n_bonds,
        n_neighbours=np.bincount(pairs.ravel(), minlength=n).astype(np.int64),
        n_shared=n_shared,
        is_interior=n_shared == rings["size"].to_numpy(),
    )


def _complete_pairs(rings: pd.DataFrame, ring_atoms: pd.DataFrame) -> pd.DataFrame:
    """Pairs of complete rings of one frame."""
    sizes, is_complete = rings["size"].to_numpy(np.int64), rings["complete"].to_numpy(bool)
    if len(ring_atoms) != sizes.sum():
        raise ValueError(f"ring_atoms must have {sizes.sum()} rows, got {len(ring_atoms)}")
    members = ring_atoms["atom"].to_numpy()[np.repeat(is_complete, sizes)]
    found = ring_neighbours(members, sizes[is_complete])
    first, second = np.flatnonzero(is_complete)[found.pairs].T
    steps = site_positions(rings)[second] - site_positions(rings)[first]
    distance = np.hypot(steps[:, 0], steps[:, 1])
    return pd.DataFrame({"row_i": first, "row_j": second, "n_bonds": found.n_bonds, "distance": distance})
