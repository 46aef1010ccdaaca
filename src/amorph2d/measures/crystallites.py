"""Crystallites: connected patches of hexagons, their areas and sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from amorph2d.arrays import AnyArray, BoolArray, FloatArray, IntArray
from amorph2d.measures.config import CrystalliteParameters
from amorph2d.topology.ring_neighbours import RingNeighbours

HEXAGON = 6
CRYSTALLITE_COLUMNS = {
    "frame": "int32",
    "crystallite": "int64",
    "n_rings": "int32",
    "area": "float64",
    "equivalent_diameter": "float64",
    "x": "float64",
    "y": "float64",
    "orientation": "float64",
    "coherence": "float64",
    "is_cut": "bool",
    "weight": "float64",
}
CRYSTALLITE_UNITS = {"area": "Å²", "equivalent_diameter": "Å", "x": "Å", "y": "Å", "orientation": "°"}


@dataclass(frozen=True)
class CrystalliteSizes:
    """Mean sizes of crystallites.

    Attributes
    ----------
    n_crystallites, n_cut
        All crystallites, and those that the edge cuts.
    number_mean, area_mean
        Mean equivalent diameter of all, each counted once or by its area [Å]. Cut ones count as large as what
        is seen of them, which makes both too small, and large ones reach into the window more often, which
        makes the first too large.
    number_mean_corrected, area_mean_corrected
        The same of crystallites that are not cut, weighted for the window [Å]: free of both, but NaN where
        all are cut, and uncertain where they are not much smaller than the window.
    """

    n_crystallites: int
    n_cut: int
    number_mean: float
    area_mean: float
    number_mean_corrected: float
    area_mean_corrected: float


def label_crystallites(
    sizes: ArrayLike,
    neighbours: RingNeighbours,
    psi6: ArrayLike,
    *,
    parameters: CrystalliteParameters,
) -> IntArray:
    """Label each ring with its crystallite.

    A hexagon is crystalline if it shares at least `min_hexagon_neighbours` of its six bonds with hexagons and
    its |ψ6| is large enough. Where it shares some bonds with no ring, at the edge, as large a part of the
    others is asked for. Two crystalline hexagons that share a bond belong to one crystallite if the lattices
    around them are turned by no more than `max_misorientation` against one another: without that limit,
    grains grow together through hexagons in the boundary between them.

    Parameters
    ----------
    sizes
        Atoms in each ring, (R,).
    neighbours
        Which of these rings share bonds.
    psi6
        Complex bond-orientational order of each ring, (R,), from `order.ring_psi6`; NaN where undefined.
    parameters
        What makes a crystallite.

    Returns
    -------
    IntArray
        Crystallite of each ring, (R,), numbered from 0 by their first rings; −1 for all other rings.

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    n_atoms, order = np.asarray(sizes), np.asarray(psi6)
    lengths = {len(n_atoms), len(order), len(neighbours.n_shared)}
    if len(lengths) > 1:
        raise ValueError(f"sizes, psi6 and neighbours must have one length, got {lengths}")
    is_crystalline = _is_crystalline(n_atoms == HEXAGON, neighbours, np.abs(order), parameters)
    labels = np.full(len(n_atoms), -1, dtype=np.int64)
    if not is_crystalline.any():
        return labels
    links = neighbours.pairs[is_crystalline[neighbours.pairs].all(axis=1)]
    if parameters.max_misorientation < 30:
        links = links[_misorientation(order[links]) <= parameters.max_misorientation]
    graph = csr_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(len(n_atoms),) * 2)
    pieces = connected_components(graph, directed=False)[1]
    is_large = np.bincount(pieces[is_crystalline], minlength=len(n_atoms)) >= parameters.min_rings
    is_member = is_crystalline & is_large[pieces]
    kept, first, number = np.unique(pieces[is_member], return_index=True, return_inverse=True)
    rank = np.empty(len(kept), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(kept))
    labels[is_member] = rank[number]
    return labels


def _is_crystalline(
    is_hexagon: BoolArray, neighbours: RingNeighbours, order: FloatArray, parameters: CrystalliteParameters
) -> BoolArray:
    """Tell which rings are hexagons among hexagons."""
    first, second = neighbours.ordered_pairs.T
    n_bonds = np.tile(neighbours.n_bonds, 2) * is_hexagon[second]
    to_hexagons = np.bincount(first, n_bonds, minlength=len(is_hexagon))
    is_among = HEXAGON * to_hexagons >= parameters.min_hexagon_neighbours * neighbours.n_shared
    # A ring on its own has no order; comparisons with NaN are false.
    is_ordered = (order >= parameters.min_psi6 - 1e-9) | (parameters.min_psi6 == 0)
    return np.asarray(is_hexagon & is_among & is_ordered & (neighbours.n_shared > 0))


def _misorientation(psi6: AnyArray) -> FloatArray:
    """Angle between the lattices around two rings each, (P, 2), from 0 to 30 [°]."""
    return np.abs(np.degrees(np.angle(psi6[:, 0] * np.conj(psi6[:, 1])))) / HEXAGON


def crystallite_boxes(bounding_boxes: ArrayLike, labels: ArrayLike, neighbours: RingNeighbours) -> FloatArray:
    """Return the bounds of each crystallite together with the rings around it.

    A crystallite is known to be complete where all rings around it are seen, too: these are the bounds that
    `ring_counts.ring_weights` needs.

    Parameters
    ----------
    bounding_boxes
        Lowest x and y, highest x and y of each ring, (R, 4) [Å].
    labels
        Crystallite of each ring, (R,), −1 for none.
    neighbours
        Which of these rings share bonds.

    Returns
    -------
    FloatArray
        Lowest x and y, highest x and y, (C, 4) [Å].

    Raises
    ------
    ValueError
        If the shape of the boxes is wrong.
    """
    boxes, crystallite = np.asarray(bounding_boxes, dtype=np.float64).reshape(-1, 4), np.asarray(labels)
    if len(boxes) != len(crystallite):
        raise ValueError(
            f"bounding_boxes must have the shape ({len(crystallite)}, 4), got {np.shape(bounding_boxes)}"
        )
    own = np.arange(len(crystallite))
    first, second = np.concatenate([neighbours.ordered_pairs, np.stack([own, own], axis=1)]).T
    is_member = crystallite[first] >= 0
    target, around = crystallite[first[is_member]], boxes[second[is_member]]
    n = int(crystallite.max(initial=-1)) + 1
    bounds = np.concatenate([np.full((n, 2), np.inf), np.full((n, 2), -np.inf)], axis=1)
    np.minimum.at(bounds[:, :2], target, around[:, :2])
    np.maximum.at(bounds[:, 2:], target, around[:, 2:])
    return bounds


def crystallites_table(
    rings: pd.DataFrame, ring_order: pd.DataFrame, weights: ArrayLike | None = None
) -> pd.DataFrame:
    """Measure the crystallites of each frame.

    Parameters
    ----------
    rings
        Table of rings.
    ring_order
        As `order.ring_order_table` gives it, with a row for each ring in the same order.
    weights
        Of each crystallite, in the order of the rows returned, from `crystallite_boxes` and
        `ring_counts.ring_weights`; NaN if None.

    Returns
    -------
    DataFrame
        `frame`, `crystallite`, `n_rings`, `area` [Å²], `equivalent_diameter` of a disc of that area [Å], `x`
        and `y` of its centre of area [Å], `orientation` of its lattice of ring centres from 0 to 60 [°],
        `coherence` of the orientation (|mean ψ6| over the mean of |ψ6|: 1 for one lattice, less where it
        bends or grains have grown together), `is_cut` (one of its rings has a bond with no complete ring
        behind it: at the border, a mask, or a pore), `weight` for the window (0 where it is cut).

    Raises
    ------
    ValueError
        If the tables do not belong together, or there are not as many weights as crystallites.
    """
    if len(rings) != len(ring_order) or (rings["frame"].to_numpy() != ring_order["frame"].to_numpy()).any():
        raise ValueError("ring_order must have a row for each ring, in the same order")
    area = rings["area"].to_numpy(np.float64)
    angle = np.radians(HEXAGON * ring_order["orientation"].to_numpy(np.float64))
    psi6 = ring_order["psi6"].to_numpy(np.float64) * np.exp(1j * angle)
    members = pd.DataFrame(
        {
            "frame": ring_order["frame"].to_numpy(),
            "crystallite": ring_order["crystallite"].to_numpy(),
            "n_rings": 1,
            "area": area,
            "x": area * rings["x"].to_numpy(),
            "y": area * rings["y"].to_numpy(),
            "order": np.nan_to_num(np.abs(psi6)),
            "real": np.nan_to_num(psi6.real),
            "imaginary": np.nan_to_num(psi6.imag),
            "n_cut": ~ring_order["complete"].to_numpy(bool),
        }
    )
    found = members[members["crystallite"] >= 0].groupby(["frame", "crystallite"]).sum().reset_index()
    is_cut = found["n_cut"].to_numpy() > 0
    weight = np.full(len(found), np.nan) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != (len(found),):
        raise ValueError(f"weights must have the shape ({len(found)},), got {weight.shape}")
    mean = found["real"].to_numpy() + 1j * found["imaginary"].to_numpy()
    measured = found.assign(
        x=found["x"] / found["area"],
        y=found["y"] / found["area"],
        equivalent_diameter=2 * np.sqrt(found["area"] / np.pi),
        orientation=fold_angle(np.degrees(np.angle(mean)) / HEXAGON),
        coherence=np.abs(mean) / found["order"],
        is_cut=is_cut,
        weight=np.where(is_cut, 0.0, weight),
    )
    return measured[list(CRYSTALLITE_COLUMNS)].astype(CRYSTALLITE_COLUMNS)


def crystallite_sizes(crystallites: pd.DataFrame) -> CrystalliteSizes:
    """Average the equivalent diameters of crystallites.

    Parameters
    ----------
    crystallites
        As `crystallites_table` gives them, of one window or of several.

    Returns
    -------
    CrystalliteSizes
        Means of all and, corrected, of those that are not cut; NaN where there are none.

    References
    ----------
    The weights are those of Miles and of Lantuéjoul, see `ring_counts.ring_weights`.
    """
    diameter = crystallites["equivalent_diameter"].to_numpy(np.float64)
    area = crystallites["area"].to_numpy(np.float64)
    weight = crystallites["weight"].to_numpy(np.float64)
    is_cut = crystallites["is_cut"].to_numpy(bool)
    return CrystalliteSizes(
        n_crystallites=len(diameter),
        n_cut=int(is_cut.sum()),
        number_mean=_mean(diameter, np.ones(len(diameter))),
        area_mean=_mean(diameter, area),
        number_mean_corrected=_mean(diameter, weight),
        area_mean_corrected=_mean(diameter, weight * area),
    )


def fold_angle(degrees: FloatArray) -> FloatArray:
    """Return angles of sixfold symmetry from 0 to less than 60 [°]."""
    folded = degrees % 60.0
    return np.where(folded == 60.0, 0.0, folded)  # a tiny negative angle rounds up to 60 itself


def _mean(values: FloatArray, weights: FloatArray) -> float:
    """Weighted mean; NaN where nothing has a weight."""
    total = float(weights.sum())
    return float((values * weights).sum() / total) if total > 0 else np.nan
