"""Everything that the summary needs of one frame, added up in blocks of its window."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from amorph2d.arrays import BoolArray
from amorph2d.measures.config import StatisticsParameters
from amorph2d.measures.crystallites import crystallite_boxes, crystallites_table
from amorph2d.measures.order import ring_order_table
from amorph2d.measures.order_sums import order_sums
from amorph2d.measures.regions import restrict
from amorph2d.measures.ring_adjacency import neighbourhood_weights, ring_adjacency_table
from amorph2d.measures.ring_counts import corner_boxes, ring_weights
from amorph2d.measures.ring_pairs import complete_neighbours, ring_pairs_table
from amorph2d.measures.summary import count_in_blocks
from amorph2d.measures.window import Window


@dataclass(frozen=True, eq=False)
class FrameTables:
    """What was found in one frame.

    Attributes
    ----------
    sites, bonds, angles, rings, ring_atoms
        Tables of the results contract, the rows of this frame.
    window
        The area of the sheet in which sites are analysable.
    seen
        This, and the vacuum in it.
    """

    sites: pd.DataFrame
    bonds: pd.DataFrame
    angles: pd.DataFrame
    rings: pd.DataFrame
    ring_atoms: pd.DataFrame
    window: Window
    seen: Window

    def restricted(self, is_inside: BoolArray, window: Window, seen: Window) -> FrameTables:
        """Return the same, of which only a region counts.

        Parameters
        ----------
        is_inside
            Which sites lie in the region, (N,).
        window, seen
            What of both areas lies in it.
        """
        sites, rings = restrict(self.sites, self.rings, self.ring_atoms, is_inside)
        return replace(self, sites=sites, rings=rings, window=window, seen=seen)


def weighted_rings(tables: FrameTables) -> pd.DataFrame:
    """Return the rings with a column `weight`, see `ring_counts.ring_weights`."""
    boxes = corner_boxes(tables.rings, tables.ring_atoms, tables.sites)
    return tables.rings.assign(weight=ring_weights(boxes, tables.seen))


def measure_order(tables: FrameTables, parameters: StatisticsParameters) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return which rings share bonds, and the order around each ring.

    Parameters
    ----------
    tables
        What was found in one frame.
    parameters
        `crystallites` is used.

    Returns
    -------
    ring_pairs, ring_order
        As `ring_pairs_table` and `order.ring_order_table` give them; the latter with a column `weight`, by
        which rings count whose neighbours are all complete, see `ring_adjacency.neighbourhood_weights`.
    """
    pairs = ring_pairs_table(tables.rings, tables.ring_atoms)
    order = ring_order_table(
        tables.sites, tables.rings, tables.ring_atoms, ring_pairs=pairs, parameters=parameters.crystallites
    )
    boxes = corner_boxes(tables.rings, tables.ring_atoms, tables.sites)
    weights = neighbourhood_weights(boxes, complete_neighbours(tables.rings, pairs), tables.seen)
    return pairs, order.assign(weight=weights)


def order_tables(
    tables: FrameTables, parameters: StatisticsParameters
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return the tables of order, crystallites and adjacency of the rings of one frame.

    Parameters
    ----------
    tables
        What was found in one frame.
    parameters
        `crystallites` is used.

    Returns
    -------
    ring_order, crystallites, ring_adjacency
        See `order.ring_order_table`, `crystallites.crystallites_table` and
        `ring_adjacency.ring_adjacency_table`; crystallites are weighted for the window.
    """
    pairs, order = measure_order(tables, parameters)
    boxes = corner_boxes(tables.rings, tables.ring_atoms, tables.sites)
    neighbours = complete_neighbours(tables.rings, pairs)
    around = crystallite_boxes(boxes, order["crystallite"], neighbours)
    crystallites = crystallites_table(tables.rings, order, ring_weights(around, tables.seen))
    return order, crystallites, ring_adjacency_table(tables.rings, pairs)


def count_frame(tables: FrameTables, parameters: StatisticsParameters) -> pd.DataFrame:
    """Add up all that `summary.summarise_blocks` evaluates, in blocks of the window of one frame.

    Parameters
    ----------
    tables
        What was found in one frame.
    parameters
        Everything that the statistics depend on, at the material's lengths.

    Returns
    -------
    DataFrame
        One row for each block, one column for each sum, and `frame`.
    """
    rings = weighted_rings(tables)
    block = parameters.intervals.block
    counts = count_in_blocks(
        tables.sites,
        tables.bonds,
        tables.angles,
        tables.rings,
        window=tables.window,
        block=block,
        weights=rings["weight"],
    )
    pairs, order = measure_order(tables, parameters)
    sums = order_sums(tables.window.blocks(block), rings, ring_pairs=pairs, ring_order=order)
    return counts.assign(**sums)


def frame_tables(number: int, *tables: pd.DataFrame, window: Window, seen: Window) -> FrameTables:
    """Return the rows of one frame of the tables of a micrograph, in the order of `FrameTables`."""
    sites, bonds, angles, rings, ring_atoms = (
        table[table["frame"].to_numpy() == number].reset_index(drop=True) for table in tables
    )
    return FrameTables(sites, bonds, angles, rings, ring_atoms, window, seen)


def number_frame(counts: pd.DataFrame, frame: int) -> pd.DataFrame:
    """Return counts of a frame with its number, also where it has no sites to tell."""
    return counts.assign(frame=np.int32(frame))
