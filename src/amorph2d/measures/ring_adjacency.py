"""Which sizes of rings are neighbours.

Everything here counts bonds: a ring of n atoms has n neighbours, one behind each of its bonds, and one that
shares two bonds with it counts twice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.measures.ring_counts import ring_weights
from amorph2d.measures.ring_pairs import complete_neighbours
from amorph2d.measures.tables import by_frame
from amorph2d.measures.window import Window
from amorph2d.topology.ring_neighbours import RingNeighbours

RING_ADJACENCY_COLUMNS = {
    "frame": "int32",
    "size": "int32",
    "neighbour_size": "int32",
    "n_pairs": "int64",
    "n_bonds": "int64",
}
RING_ADJACENCY_UNITS: dict[str, str] = {}


def neighbour_size_sums(sizes: ArrayLike, neighbours: RingNeighbours) -> IntArray:
    """Add up the sizes of the rings behind the bonds of each ring, (R,).

    For interior rings of n atoms the mean of this is n m(n).

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    neighbours
        Which of these rings share bonds.
    """
    n_atoms = np.asarray(sizes, dtype=np.int64)
    first, second = neighbours.ordered_pairs.T
    around = np.bincount(first, np.tile(neighbours.n_bonds, 2) * n_atoms[second], minlength=len(n_atoms))
    return np.rint(around).astype(np.int64)


def neighbourhood_boxes(bounding_boxes: ArrayLike, neighbours: RingNeighbours) -> FloatArray:
    """Return the bounds of each ring together with its neighbours.

    Parameters
    ----------
    bounding_boxes
        Lowest x and y, highest x and y of each ring, (R, 4) [Å].
    neighbours
        Which of these rings share bonds.

    Returns
    -------
    FloatArray
        Lowest x and y, highest x and y, (R, 4) [Å].

    Raises
    ------
    ValueError
        If the shape of the boxes is wrong.
    """
    boxes = np.array(bounding_boxes, dtype=np.float64).reshape(-1, 4)
    if len(boxes) != len(neighbours.n_neighbours):
        raise ValueError(
            f"bounding_boxes must have the shape ({len(neighbours.n_neighbours)}, 4), "
            f"got {np.shape(bounding_boxes)}"
        )
    first, second = neighbours.ordered_pairs.T
    bounds = boxes.copy()
    np.minimum.at(bounds[:, :2], first, boxes[second, :2])
    np.maximum.at(bounds[:, 2:], first, boxes[second, 2:])
    return bounds


def neighbourhood_weights(
    bounding_boxes: ArrayLike, neighbours: RingNeighbours, window: Window
) -> FloatArray:
    """Weigh each ring by how much rarer it is seen with all its neighbours than it is.

    Parameters
    ----------
    bounding_boxes
        Lowest x and y, highest x and y of each ring, (R, 4) [Å].
    neighbours
        Which of the complete rings share bonds.
    window
        The area in which atoms are analysable.

    Returns
    -------
    FloatArray
        As `ring_counts.ring_weights` gives them for rings with their neighbours, (R,); 0 for rings whose
        neighbours are not all complete.

    Raises
    ------
    ValueError
        If the shape of the boxes is wrong.
    """
    boxes = neighbourhood_boxes(bounding_boxes, neighbours)
    return np.where(neighbours.is_interior, ring_weights(boxes, window), 0.0)


def ring_adjacency_table(rings: pd.DataFrame, ring_pairs: pd.DataFrame) -> pd.DataFrame:
    """Count the neighbours of each size around the rings of each size.

    Counted are rings whose neighbours are all known and complete, and all neighbours of these. So each pair
    of two such rings is there twice, once from either ring, and m(n) is the mean of `neighbour_size` over the
    rows of size n, weighted by `n_bonds`.

    Parameters
    ----------
    rings, ring_pairs
        Rings, and the pairs of them from `ring_pairs.ring_pairs_table`.

    Returns
    -------
    DataFrame
        `frame`, `size`, `neighbour_size`, `n_pairs`, `n_bonds` that these share; no rows with 0 pairs.

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    parts = [pd.DataFrame(columns=list(RING_ADJACENCY_COLUMNS)).astype(RING_ADJACENCY_COLUMNS)]
    pairs_of = by_frame(ring_pairs)
    for frame, own in by_frame(rings).items():
        neighbours = complete_neighbours(own, pairs_of.get(frame, ring_pairs.iloc[:0]))
        first, second = neighbours.ordered_pairs.T
        is_known = neighbours.is_interior[first]
        sizes = own["size"].to_numpy()
        pairs = pd.DataFrame(
            {
                "frame": frame,
                "size": sizes[first[is_known]],
                "neighbour_size": sizes[second[is_known]],
                "n_pairs": 1,
                "n_bonds": np.tile(neighbours.n_bonds, 2)[is_known],
            }
        ).astype(RING_ADJACENCY_COLUMNS)
        parts.append(pairs.groupby(["frame", "size", "neighbour_size"]).sum().reset_index())
    return pd.concat(parts, ignore_index=True).astype(RING_ADJACENCY_COLUMNS)
