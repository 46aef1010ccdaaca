"""Order of rings as statistics of blocks of the sheet, which give them intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd

from amorph2d.arrays import AnyArray, FloatArray
from amorph2d.measures.crystallites import HEXAGON
from amorph2d.measures.ring_adjacency import neighbour_size_sums
from amorph2d.measures.ring_laws import AboavWeaire, Assortativity, Variance, pair_values
from amorph2d.measures.ring_pairs import complete_neighbours
from amorph2d.measures.statistics import Ratio, Share, Spread
from amorph2d.measures.tables import site_positions
from amorph2d.measures.window import Blocks
from amorph2d.topology.ring_neighbours import RingNeighbours

AREA_SIZES = (5, 6, 7)

ORDER_STATISTICS: dict[str, Ratio | Spread | Variance | AboavWeaire | Assortativity] = {
    "psi6_mean": Ratio("psi6", "interior_weight"),
    "ring_regularity_mean": Ratio("ring_regularity", "order_weight"),
    "crystalline_share": Share("crystalline_area", "interior_area", "interior_rings"),
    **{f"ring_area_{n}_mean": Ratio(f"ring_area_{n}", f"order_weight_{n}") for n in AREA_SIZES},
    "ring_distance_mean": Ratio("ring_distance", "ring_pairs"),
    "ring_distance_std": Spread("ring_distance", "ring_distance_squared", "ring_pairs"),
    # How often the ring behind a bond of a hexagon is a hexagon, too.
    "hexagon_adjacency": Share("hexagon_sides_to_hexagons", "hexagon_sides", "interior_hexagons"),
    "ring_size_variance": Variance("order_size", "order_size_squared", "order_weight"),
    "aboav_weaire_a": AboavWeaire(
        "interior_size",
        "interior_neighbour_size",
        "interior_product",
        "interior_size_squared",
        "interior_weight",
    ),
    "ring_assortativity": Assortativity("pair_size", "pair_product", "pair_size_squared", "pair_bonds"),
}
ORDER_STATISTIC_UNITS = {
    **{f"ring_area_{n}_mean": "Å²" for n in AREA_SIZES},
    "ring_distance_mean": "Å",
    "ring_distance_std": "Å",
}
# These can be negative.
SIGNED_ORDER_STATISTICS = ("aboav_weaire_a", "ring_assortativity")


def order_sums(
    grid: Blocks, rings: pd.DataFrame, *, ring_pairs: pd.DataFrame, ring_order: pd.DataFrame
) -> dict[str, FloatArray]:
    """Add up what `ORDER_STATISTICS` need, in the blocks of one frame.

    Shapes, areas and sizes are those of complete rings, weighted with the column `weight` of `rings` if there
    is one. Order, crystalline share, adjacency and the Aboav–Weaire law are those of rings around which all
    rings are complete, weighted with the column `weight` of `ring_order` if there is one, which
    `ring_adjacency.neighbourhood_weights` gives. Distances and correlations of sizes are those of pairs of
    complete rings. A ring lies where its centre is, a pair halfway between two.

    Parameters
    ----------
    grid
        Blocks of the window.
    rings, ring_pairs, ring_order
        Tables of one frame, with as many rows of `ring_order` as of `rings`.

    Returns
    -------
    dict
        One array for each sum, one entry for each block.

    Raises
    ------
    ValueError
        If the tables do not belong together.
    """
    if len(rings) != len(ring_order):
        raise ValueError(f"ring_order must have {len(rings)} rows, got {len(ring_order)}")
    neighbours = complete_neighbours(rings, ring_pairs)
    return (
        _sum_shapes(grid, rings, ring_order)
        | _sum_interior(grid, rings, ring_order, neighbours)
        | _sum_pairs(grid, rings, ring_pairs)
    )


def _sum_shapes(grid: Blocks, rings: pd.DataFrame, ring_order: pd.DataFrame) -> dict[str, FloatArray]:
    """Add up shapes, areas and sizes of complete rings."""
    is_counted = rings["complete"].to_numpy(bool)
    counted, order = rings[is_counted], ring_order[is_counted]
    size, area, weight = counted["size"].to_numpy(), counted["area"].to_numpy(), _weights(counted)
    regularity = np.nan_to_num(order["regularity"].to_numpy())  # all corners in one place: not regular
    return _sum(
        grid,
        site_positions(counted),
        order_weight=weight,
        order_size=weight * size,
        order_size_squared=weight * size.astype(np.int64) ** 2,
        ring_regularity=weight * regularity,
        **{f"order_weight_{n}": weight * (size == n) for n in AREA_SIZES},
        **{f"ring_area_{n}": weight * (size == n) * area for n in AREA_SIZES},
    )


def _sum_interior(
    grid: Blocks, rings: pd.DataFrame, ring_order: pd.DataFrame, neighbours: RingNeighbours
) -> dict[str, FloatArray]:
    """Add up what needs all neighbours of a ring."""
    sizes = rings["size"].to_numpy(np.int64)
    is_hexagon = sizes == HEXAGON
    first, second = neighbours.ordered_pairs.T
    n_bonds = np.tile(neighbours.n_bonds, 2)
    to_hexagons = np.bincount(first, n_bonds * is_hexagon[second], minlength=len(sizes)) * is_hexagon
    is_known = neighbours.is_interior
    size, around = sizes[is_known], neighbour_size_sums(sizes, neighbours)[is_known]
    weight = _weights(ring_order)[is_known]
    area = rings["area"].to_numpy()[is_known]
    is_crystalline = ring_order["crystallite"].to_numpy()[is_known] >= 0
    weighted = {
        "weight": np.ones(len(size)),
        "area": area,
        "size": size,
        "size_squared": size**2,
        "neighbour_size": around,
        "product": size * around,
    }
    return _sum(
        grid,
        site_positions(rings)[is_known],
        interior_rings=np.ones(len(size)),
        interior_hexagons=is_hexagon[is_known],
        crystalline_area=weight * area * is_crystalline,
        psi6=weight * ring_order["psi6"].to_numpy()[is_known],
        hexagon_sides=weight * size * is_hexagon[is_known],
        hexagon_sides_to_hexagons=weight * to_hexagons[is_known],
        **{f"interior_{name}": weight * values for name, values in weighted.items()},
    )


def _sum_pairs(grid: Blocks, rings: pd.DataFrame, ring_pairs: pd.DataFrame) -> dict[str, FloatArray]:
    """Add up distances and sizes of neighbouring rings."""
    pairs, distance = ring_pairs[["row_i", "row_j"]].to_numpy(), ring_pairs["distance"].to_numpy()
    values = pair_values(rings["size"].to_numpy()[pairs], ring_pairs["n_bonds"].to_numpy())
    return _sum(
        grid,
        site_positions(rings)[pairs].mean(axis=1),
        ring_pairs=np.ones(len(distance)),
        ring_distance=distance,
        ring_distance_squared=distance**2,
        pair_size=values["size"],
        pair_product=values["product"],
        pair_size_squared=values["squares"],
        pair_bonds=values["count"],
    )


def _weights(rows: pd.DataFrame) -> FloatArray:
    """Column of weights, or 1 for all."""
    return rows["weight"].to_numpy(np.float64) if "weight" in rows else np.ones(len(rows))


def _sum(grid: Blocks, places: FloatArray, **values: AnyArray) -> dict[str, FloatArray]:
    """Add up values in each block."""
    block, n = grid.number(places), len(grid.areas)
    return {name: np.bincount(block, value, minlength=n).astype(np.float64) for name, value in values.items()}
