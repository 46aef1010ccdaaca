"""A sheet that also knows which atoms each of its rings is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from amorph2d.arrays import BoolArray, FloatArray, IntArray
from amorph2d.structures.periodic import (
    polygon_areas_and_centroids,
    shortest_image,
    unwrapped_polygons,
    wrap,
)
from amorph2d.structures.sheet import Sheet


@dataclass(frozen=True, eq=False)
class RingedSheet(Sheet):
    """A sheet with the members of its rings.

    Attributes
    ----------
    ring_members
        Atom indices around each ring, all rings after one another, (M,).
    ring_offsets
        Where each ring starts in `ring_members`, and the end, (R + 1,).
    """

    ring_members: IntArray
    ring_offsets: IntArray


def bond_vectors(sheet: Sheet) -> FloatArray:
    """Return the vector of every bond from its first to its second atom, (B, 2) [Å]."""
    return shortest_image(sheet.positions[sheet.bonds[:, 1]] - sheet.positions[sheet.bonds[:, 0]], sheet.box)


def coordination_numbers(sheet: Sheet) -> IntArray:
    """Return how many bonds every atom has, (N,)."""
    return np.bincount(sheet.bonds.ravel(), minlength=len(sheet.positions))


def ring_areas(sheet: RingedSheet) -> FloatArray:
    """Return the area enclosed by every ring, (R,) [Å²]; negative where a ring is turned inside out."""
    corners = unwrapped_polygons(sheet.positions, sheet.ring_members, sheet.ring_offsets, sheet.box)
    return polygon_areas_and_centroids(corners, sheet.ring_offsets)[0]


def moved(sheet: RingedSheet, positions: FloatArray, box: FloatArray) -> RingedSheet:
    """Return `sheet` with its atoms at `positions` in `box`, and its ring centres where they then are."""
    wrapped = wrap(positions, box)
    corners = unwrapped_polygons(wrapped, sheet.ring_members, sheet.ring_offsets, box)
    centroids = polygon_areas_and_centroids(corners, sheet.ring_offsets)[1]
    return replace(sheet, positions=wrapped, ring_centres=wrap(centroids, box), box=box)


def with_atoms(sheet: RingedSheet, is_kept: BoolArray) -> RingedSheet:
    """Return `sheet` with the atoms `is_kept` only, and the bonds and rings that lost none of theirs."""
    index = np.cumsum(is_kept) - 1
    bonds = sheet.bonds[is_kept[sheet.bonds].all(axis=1)]
    ring = np.repeat(np.arange(len(sheet.ring_sizes)), sheet.ring_sizes)
    n_lost = np.bincount(ring[~is_kept[sheet.ring_members]], minlength=len(sheet.ring_sizes))
    is_whole = n_lost == 0
    sizes = sheet.ring_sizes[is_whole]
    return RingedSheet(
        positions=sheet.positions[is_kept],
        numbers=sheet.numbers[is_kept],
        bonds=index[bonds],
        ring_centres=sheet.ring_centres[is_whole],
        ring_sizes=sizes,
        box=sheet.box,
        ring_members=index[sheet.ring_members[is_whole[ring]]],
        ring_offsets=np.concatenate([[0], np.cumsum(sizes)]),
    )
