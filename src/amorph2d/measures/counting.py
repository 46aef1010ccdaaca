"""Everything that the summary needs of one frame, added up in blocks of its window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from amorph2d.arrays import BoolArray
from amorph2d.measures.config import StatisticsParameters
from amorph2d.measures.crystallites import crystallite_boxes, crystallites_table
from amorph2d.measures.defects import DefectTables, defect_boxes, defect_sums, defect_tables
from amorph2d.measures.dopants import dopant_sums
from amorph2d.measures.grain_boundaries import boundaries_tables, grain_sums
from amorph2d.measures.grains import grains_table, ring_grains_table
from amorph2d.measures.noise import noise_sums
from amorph2d.measures.order import ring_order_table
from amorph2d.measures.order_sums import order_sums
from amorph2d.measures.pores import area_sums, image_blocks, pore_sums, pores_table
from amorph2d.measures.regions import restrict
from amorph2d.measures.ring_adjacency import neighbourhood_weights, ring_adjacency_table
from amorph2d.measures.ring_counts import corner_boxes, ring_weights
from amorph2d.measures.ring_pairs import complete_neighbours, ring_pairs_table
from amorph2d.measures.shells import shells_table
from amorph2d.measures.strain import strain_sums, strain_table
from amorph2d.measures.structure_factor import structure_factor_table
from amorph2d.measures.summary import PARTS, block_names, count_in_blocks
from amorph2d.measures.tables import pdf_table
from amorph2d.measures.window import Window
from amorph2d.units import Sampling


class MeasuredTables(NamedTuple):
    """What `order_tables`, `crystal_tables` and `find_defects` say of one frame, as far as it is counted."""

    ring_order: pd.DataFrame
    ring_grains: pd.DataFrame
    boundary_points: pd.DataFrame
    strain: pd.DataFrame
    defects: pd.DataFrame


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
    mask
        What each pixel shows, (rows, columns), 0 vacuum, 1 monolayer, 2 other; None: areas are not counted.
    sampling
        Of the mask, one value or (y, x) [Å/px].
    region
        Pixels of the mask that count, (rows, columns); all if None.
    dopants
        Candidates in this frame; None: they are not counted.
    measured
        What was measured in this frame already, the rows in order; None: nothing.
    """

    sites: pd.DataFrame
    bonds: pd.DataFrame
    angles: pd.DataFrame
    rings: pd.DataFrame
    ring_atoms: pd.DataFrame
    window: Window
    seen: Window
    mask: NDArray[np.uint8] | None = None
    sampling: Sampling = 1.0
    region: BoolArray | None = None
    dopants: pd.DataFrame | None = None
    measured: MeasuredTables | None = None

    def restricted(
        self, is_inside: BoolArray, region: BoolArray, *, window: Window, seen: Window
    ) -> FrameTables:
        """Return the same, of which only a region counts.

        Parameters
        ----------
        is_inside
            Which sites lie in the region, (N,).
        region
            Its pixels, (rows, columns).
        window, seen
            What of both areas lies in it.
        """
        sites, rings = restrict(self.sites, self.rings, self.ring_atoms, is_inside)
        dopants = self.dopants
        if dopants is not None:
            dopants = dopants[dopants["site"].isin(sites.loc[sites["analysable"], "site"])]
        return replace(
            self, sites=sites, rings=rings, window=window, seen=seen, region=region, dopants=dopants,
            measured=None,
        )  # fmt: skip


class OrderTables(NamedTuple):
    """Order around rings, crystallites, and which sizes of rings are neighbours, of one frame."""

    ring_order: pd.DataFrame
    crystallites: pd.DataFrame
    ring_adjacency: pd.DataFrame


class CrystalTables(NamedTuple):
    """Grains, their boundaries, and the strain at each atom, of one frame."""

    ring_grains: pd.DataFrame
    grains: pd.DataFrame
    boundaries: pd.DataFrame
    boundary_points: pd.DataFrame
    strain: pd.DataFrame


def frame_tables(number: int, *tables: pd.DataFrame, window: Window, seen: Window) -> FrameTables:
    """Return the rows of one frame of the tables of a micrograph, in the order of `FrameTables`."""
    sites, bonds, angles, rings, ring_atoms = (
        table[table["frame"].to_numpy() == number].reset_index(drop=True) for table in tables
    )
    sites = sites.sort_values("site", ignore_index=True)
    return FrameTables(sites, bonds, angles, rings, ring_atoms, window, seen)


def weighted_rings(tables: FrameTables) -> pd.DataFrame:
    """Return the rings with a column `weight`, see `ring_counts.ring_weights`."""
    return tables.rings.assign(weight=ring_weights(_boxes(tables), tables.seen))


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
    weights = neighbourhood_weights(_boxes(tables), complete_neighbours(tables.rings, pairs), tables.seen)
    return pairs, order.assign(weight=weights)


def order_tables(tables: FrameTables, parameters: StatisticsParameters) -> OrderTables:
    """Measure the order of the rings of one frame; crystallites are weighted for the window.

    Parameters
    ----------
    tables
        What was found in one frame.
    parameters
        `crystallites` is used.
    """
    pairs, order = measure_order(tables, parameters)
    neighbours = complete_neighbours(tables.rings, pairs)
    around = crystallite_boxes(_boxes(tables), order["crystallite"], neighbours)
    crystallites = crystallites_table(tables.rings, order, ring_weights(around, tables.seen))
    return OrderTables(order, crystallites, ring_adjacency_table(tables.rings, pairs))


def crystal_tables(tables: FrameTables, parameters: StatisticsParameters) -> CrystalTables:
    """Find the grains of one frame, their boundaries, and the strain at each atom.

    Parameters
    ----------
    tables
        What was found in one frame.
    parameters
        `grains` and `strain` are used.
    """
    sites, rings, corners = tables.sites, tables.rings, tables.ring_atoms
    pairs = ring_pairs_table(rings, corners)
    of_rings = ring_grains_table(sites, rings, corners, ring_pairs=pairs, parameters=parameters.grains)
    boundaries, points = boundaries_tables(
        sites, rings, corners, ring_pairs=pairs, ring_grains=of_rings, parameters=parameters.grains
    )
    strain = strain_table(sites, tables.bonds, corners, ring_grains=of_rings, parameters=parameters.strain)
    return CrystalTables(of_rings, grains_table(rings, pairs, of_rings), boundaries, points, strain)


def pair_tables(
    sites: pd.DataFrame, window: Window, parameters: StatisticsParameters
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Measure pair distribution, structure factor and shells of neighbours of the atoms of one frame.

    Parameters
    ----------
    sites
        Located sites of the frame.
    window
        The area in which atoms are analysable.
    parameters
        `pdf`, `structure_factor` and `shells` are used.
    """
    pdf = pdf_table(sites, window, parameters)
    is_counted = (sites["kind"] == "atom").to_numpy() & sites["analysable"].to_numpy(bool)
    density = np.count_nonzero(is_counted) / window.area if window.area > 0 else 0.0
    factor = structure_factor_table(sites, window, parameters.structure_factor)
    return pdf, factor, shells_table(pdf, density, parameters.shells)


def find_defects(tables: FrameTables, parameters: StatisticsParameters) -> DefectTables:
    """Find and name the defects of one frame, with a `weight` for those that the edge of the window cuts.

    Parameters
    ----------
    tables
        What was found in one frame.
    parameters
        `defects` is used.
    """
    found = defect_tables(tables.sites, tables.bonds, tables.rings, tables.ring_atoms, parameters.defects)
    boxes = defect_boxes(found.defect_atoms, found.defects, tables.sites)
    return found._replace(defects=found.defects.assign(weight=ring_weights(boxes, tables.seen)))


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
        One row for each block, one column for each sum, and `frame`, `block` and `wide` as of
        `summary.count_in_blocks`. Areas are counted in blocks of the whole image, which have rows of their
        own, with numbers below 0.
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
    grid = tables.window.blocks(block, parts=PARTS)
    pairs = ring_pairs_table(tables.rings, tables.ring_atoms)
    found = tables.measured or _measure(tables, parameters)
    sums = order_sums(grid, rings, ring_pairs=pairs, ring_order=found.ring_order)
    sums |= grain_sums(
        grid, tables.rings, ring_grains=found.ring_grains, boundary_points=found.boundary_points
    )
    sums |= strain_sums(grid, tables.sites, tables.bonds, strain=found.strain, parameters=parameters.strain)
    sums |= defect_sums(grid, found.defects)
    sums |= noise_sums(grid, tables.sites, tables.bonds, tables.angles, parameters=parameters.intervals.noise)
    if tables.dopants is not None:
        sums |= dopant_sums(grid, tables.dopants)
    counts = counts.assign(**sums)
    if tables.mask is None:
        return counts
    areas = _count_areas(tables, tables.mask, parameters).assign(frame=counts["frame"].iloc[0])
    return pd.concat([counts, areas], ignore_index=True).fillna(0.0)


def _measure(tables: FrameTables, parameters: StatisticsParameters) -> MeasuredTables:
    """Measure what is counted besides the network itself."""
    _, order = measure_order(tables, parameters)
    crystal = crystal_tables(tables, parameters)
    defects = find_defects(tables, parameters).defects
    return MeasuredTables(order, crystal.ring_grains, crystal.boundary_points, crystal.strain, defects)


def number_frame(counts: pd.DataFrame, frame: int) -> pd.DataFrame:
    """Return counts of a frame with its number, also where it has no sites to tell."""
    return counts.assign(frame=np.int32(frame))


def _count_areas(
    tables: FrameTables, mask: NDArray[np.uint8], parameters: StatisticsParameters
) -> pd.DataFrame:
    """Add up areas and pores in blocks of the whole image."""
    grid = image_blocks(mask.shape, tables.sampling, block=parameters.intervals.block, parts=PARTS)
    sums = area_sums(grid, mask, tables.sampling, tables.region)
    if tables.region is None:
        pores = pores_table(mask, tables.sampling, parameters.pores)
        sums |= pore_sums(grid, pores, mask, tables.sampling)
    return pd.DataFrame(block_names(grid, of_image=True) | sums)


def _boxes(tables: FrameTables) -> NDArray[np.float64]:
    """Bounds of each ring."""
    return corner_boxes(tables.rings, tables.ring_atoms, tables.sites)
