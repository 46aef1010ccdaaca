"""Fields of view of a periodic sheet, and its repetition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points
from amorph2d.structures.network import bond_vectors
from amorph2d.structures.periodic import as_box, wrap
from amorph2d.structures.sheet import Sheet


@dataclass(frozen=True, eq=False)
class Field:
    """The part of a sheet inside a rectangle, not periodic.

    Attributes
    ----------
    positions
        Atoms, (N, 2), 0 ≤ x < width, 0 ≤ y < height [Å].
    numbers
        Atomic numbers, (N,).
    bonds
        Index pairs i < j of bonds with both ends in the rectangle, (B, 2).
    ring_centres
        Centres in the rectangle of rings that may reach beyond it, (R, 2) [Å].
    ring_sizes
        Atoms in each ring, (R,).
    size
        Width and height of the rectangle, (2,) [Å].
    """

    positions: FloatArray
    numbers: IntArray
    bonds: IntArray
    ring_centres: FloatArray
    ring_sizes: IntArray
    size: FloatArray


def cut_field(sheet: Sheet, *, size: ArrayLike, origin: ArrayLike) -> Field:
    """Cut a rectangle out of a periodic sheet.

    Parameters
    ----------
    sheet
        Periodic sheet.
    size
        Width and height, (2,), no larger than the box [Å].
    origin
        Where in the sheet the field's origin lies, (2,); the rectangle may cross the edges of the box [Å].

    Raises
    ------
    ValueError
        If the field is larger than the box: `repeat` the sheet first.
    """
    extent = as_box(size, "size")
    corner = as_points(np.atleast_2d(origin), "origin")
    if (extent > sheet.box).any():
        raise ValueError(
            f"size must be at most the box {sheet.box.tolist()} Å, got {extent.tolist()}: repeat the sheet"
        )
    positions = wrap(sheet.positions - corner, sheet.box)
    centres = wrap(sheet.ring_centres - corner, sheet.box)
    is_inside, is_centre_inside = _is_within(positions, extent), _is_within(centres, extent)
    ends = positions[sheet.bonds[:, 1]] - positions[sheet.bonds[:, 0]]
    is_unbroken = _is_within(np.abs(ends), sheet.box / 2)
    bonds = sheet.bonds[is_inside[sheet.bonds].all(axis=1) & is_unbroken]
    return Field(
        positions=positions[is_inside],
        numbers=sheet.numbers[is_inside],
        bonds=(np.cumsum(is_inside) - 1)[bonds],
        ring_centres=centres[is_centre_inside],
        ring_sizes=sheet.ring_sizes[is_centre_inside],
        size=extent,
    )


def _is_within(points: FloatArray, extent: FloatArray) -> BoolArray:
    """Say which points lie below `extent` along x and y, (N,)."""
    return (points[:, 0] < extent[0]) & (points[:, 1] < extent[1])


def repeat(sheet: Sheet, counts: tuple[int, int]) -> Sheet:
    """Return the sheet repeated along x and y, one periodic sheet again.

    Parameters
    ----------
    sheet
        Periodic sheet.
    counts
        Copies along x and along y, each ≥ 1.

    Raises
    ------
    ValueError
        If a count is below 1.
    """
    n_x, n_y = counts
    if n_x < 1 or n_y < 1:
        raise ValueError(f"counts must be ≥ 1, got {counts}")
    copies = np.indices((n_x, n_y)).reshape(2, -1).T
    shifts = copies * sheet.box
    n_atoms, n_copies = len(sheet.positions), len(copies)
    first, second = sheet.bonds.T
    straight = sheet.positions[second] - sheet.positions[first]
    images = np.rint((bond_vectors(sheet) - straight) / sheet.box).astype(np.int64)
    reached = (copies[:, None] + images) % [n_x, n_y]
    starts = np.arange(n_copies)[:, None] * n_atoms + first
    ends = (reached[..., 0] * n_y + reached[..., 1]) * n_atoms + second
    bonds = np.sort(np.stack([starts.ravel(), ends.ravel()], axis=1), axis=1)
    return Sheet(
        positions=(shifts[:, None] + sheet.positions).reshape(-1, 2),
        numbers=np.tile(sheet.numbers, n_copies),
        bonds=bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))],
        ring_centres=(shifts[:, None] + sheet.ring_centres).reshape(-1, 2),
        ring_sizes=np.tile(sheet.ring_sizes, n_copies),
        box=sheet.box * [n_x, n_y],
    )
