"""What was found, cut into tiles of the field that the page decodes where it is looked at.

A tile holds the sites that lie in it, the bonds and rings that belong to it, and, behind its own atoms,
those of its
neighbours to which its bonds and rings lead. Positions are counted in 65534ths of the tile's extent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amorph2d.arrays import AnyArray, FloatArray, IntArray
from amorph2d.report.encode import differences, pack, quantise

PER_TILE = 3000
"""Atoms in a tile, about."""
SIGMA_STEP = 1e-4
"""Step in which errors of positions are stored [Å]."""

_GHOSTS_MOST = 65000


@dataclass(frozen=True, eq=False)
class Found:
    """Everything found in one frame, as arrays.

    Attributes
    ----------
    atoms, centres
        Columns ``x``, ``y`` [Å], ``sigma`` [Å], ``confidence``, ``flags`` (1 analysable, 2 doubtful),
        ``site``; (N,) and (C,) each.
    pairs, lengths
        Bonds as indices of atoms, (B, 2), and their lengths [Å].
    vertices, angles
        Atoms at which angles lie, (A,), and the angles [°].
    members, offsets
        Rings as indices of atoms, ragged, (M,) and (R + 1,).
    rings
        Columns ``x``, ``y``, ``size``, ``area`` [Å²], ``flags`` (1 complete, 2 no centre found, 4 criteria
        differ); (R,) each.
    atom_values, ring_values
        Numbers by name with the range that is stored, (N,) and (R,) each.
    """

    atoms: Mapping[str, AnyArray]
    centres: Mapping[str, AnyArray]
    pairs: IntArray
    lengths: FloatArray
    vertices: IntArray
    angles: FloatArray
    members: IntArray
    offsets: IntArray
    rings: Mapping[str, AnyArray]
    atom_values: Mapping[str, tuple[FloatArray, float, float]] = field(default_factory=dict)
    ring_values: Mapping[str, tuple[FloatArray, float, float]] = field(default_factory=dict)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.atoms["x"])


@dataclass(frozen=True)
class Tile:
    """One tile: what it reaches over, x0, y0, x1, y1 [Å], its own atoms and rings, and its packed columns."""

    box: tuple[float, float, float, float]
    n_atoms: int
    n_rings: int
    text: str


@dataclass(frozen=True, eq=False)
class Grid:
    """Square tiles over a field: corner and extent [Å], side [Å]."""

    field: tuple[float, float, float, float]
    side: float

    @property
    def n_columns(self) -> int:
        """Tiles from left to right."""
        return max(1, math.ceil(self.field[2] / self.side))

    @property
    def n_rows(self) -> int:
        """Tiles from top to bottom."""
        return max(1, math.ceil(self.field[3] / self.side))

    def cells(self, x: AnyArray, y: AnyArray) -> IntArray:
        """Return the cell of each point; one outside belongs to the nearest cell at the rim."""
        column = np.floor((np.asarray(x, dtype=float) - self.field[0]) / self.side).astype(np.int64)
        row = np.floor((np.asarray(y, dtype=float) - self.field[1]) / self.side).astype(np.int64)
        cells: IntArray = row.clip(0, self.n_rows - 1) * self.n_columns + column.clip(0, self.n_columns - 1)
        return cells


def cover(field: tuple[float, float, float, float], n_atoms: int, *, per_tile: int = PER_TILE) -> Grid:
    """Return tiles over a field with about `per_tile` atoms each.

    Parameters
    ----------
    field
        Left, top, width, height [Å].
    n_atoms
        Atoms in the field.
    per_tile
        Atoms in a tile, ≥ 1.

    Raises
    ------
    ValueError
        If `per_tile` is below 1.
    """
    if per_tile < 1:
        raise ValueError(f"per_tile must be ≥ 1, got {per_tile}")
    if n_atoms <= 2 * per_tile:
        return Grid(field, max(field[2:]))
    return Grid(field, math.sqrt(field[2] * field[3] * per_tile / n_atoms))


def cut_into_tiles(found: Found, grid: Grid) -> list[Tile]:
    """Cut everything found into tiles.

    Parameters
    ----------
    found
        What was found in a frame.
    grid
        The tiles.

    Returns
    -------
    list
        The tiles in which an atom, a ring centre or a ring lies, in the order of the grid.

    Raises
    ------
    ValueError
        If one tile would hold more atoms than 16 bits can count.
    """
    owners = _Owners(found, grid)
    return [
        _cut(found, owners, cell)
        for cell in range(grid.n_rows * grid.n_columns)
        if any(len(owners.of(kind, cell)) for kind in ("atoms", "centres", "rings"))
    ]


class _Owners:
    """Which tile each site, bond, angle and ring belongs to."""

    def __init__(self, found: Found, grid: Grid) -> None:
        self.atom_cells = grid.cells(found.atoms["x"], found.atoms["y"])
        n_cells = grid.n_rows * grid.n_columns
        # Atoms line by line, so that bonded ones stand near each other and their numbers compress.
        lines = np.floor(np.asarray(found.atoms["y"]) / max(grid.side / 40, 1e-9))
        order = np.lexsort((found.atoms["x"], lines, self.atom_cells))
        self._parts: dict[str, tuple[IntArray, IntArray]] = {
            "atoms": _by_cell(self.atom_cells, n_cells, order)
        }
        self.place = np.empty(found.n_atoms, dtype=np.int64)
        starts = self._parts["atoms"][1]
        self.place[order] = np.arange(found.n_atoms) - starts[self.atom_cells[order]]
        first = found.pairs[:, 0]
        bond_cells = self.atom_cells[first]
        vertex_cells = self.atom_cells[found.vertices]
        for kind, cells, sorted_by in (
            ("centres", grid.cells(found.centres["x"], found.centres["y"]), None),
            ("bonds", bond_cells, np.lexsort((self.place[first], bond_cells))),
            ("angles", vertex_cells, np.lexsort((self.place[found.vertices], vertex_cells))),
            ("rings", grid.cells(found.rings["x"], found.rings["y"]), None),
        ):
            self._parts[kind] = _by_cell(cells, n_cells, sorted_by)

    def of(self, kind: str, cell: int) -> IntArray:
        """Return the indices of what belongs to a cell."""
        order, starts = self._parts[kind]
        return order[starts[cell] : starts[cell + 1]]


def _by_cell(cells: IntArray, n_cells: int, order: IntArray | None) -> tuple[IntArray, IntArray]:
    """Return indices sorted by cell, and where each cell begins."""
    if order is None:
        order = np.argsort(cells, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=n_cells))])
    return order.astype(np.int64), starts.astype(np.int64)


def _cut(found: Found, owners: _Owners, cell: int) -> Tile:
    """Collect the columns of one tile."""
    atoms, bonds, rings = (owners.of(kind, cell) for kind in ("atoms", "bonds", "rings"))
    members, sizes = _rows(found.members, found.offsets, rings)
    pairs = found.pairs[bonds]
    named = np.concatenate([pairs.ravel(), members])
    ghosts = np.unique(named[owners.atom_cells[named] != cell])
    if len(atoms) + len(ghosts) > _GHOSTS_MOST:
        raise ValueError(f"a tile must hold at most {_GHOSTS_MOST} atoms, got {len(atoms) + len(ghosts)}")

    def local(indices: IntArray) -> IntArray:
        is_own = owners.atom_cells[indices] == cell
        place = np.where(is_own, owners.place[indices], len(atoms) + np.searchsorted(ghosts, indices))
        return place.astype(np.int64)

    drawn = np.concatenate([atoms, ghosts])
    centres = owners.of("centres", cell)
    box = _extent(found, drawn, centres, rings)
    ends = local(pairs)
    longest = float(found.lengths[bonds].max(initial=0.0))
    columns: dict[str, AnyArray] = {
        **_site_columns("a", found.atoms, atoms, drawn, box),
        **_site_columns("c", found.centres, centres, centres, box),
        "first": differences(ends[:, 0]),
        "step": ((ends[:, 1] - ends[:, 0]) % 65536).astype(np.uint16),
        "length": quantise(found.lengths[bonds], 0.0, longest),
        "counted": _counted(found, pairs),
        **_angle_columns(found, owners, cell, len(atoms)),
        "size": sizes.clip(0, 255).astype(np.uint8),
        "ring": found.rings["flags"][rings].astype(np.uint8),
        "members": differences(local(members)),
    }
    for mark, values, rows in (("av", found.atom_values, drawn), ("rv", found.ring_values, rings)):
        for number, (numbers, low, high) in enumerate(values.values()):
            columns[f"{mark}{number}"] = quantise(numbers[rows], low, high)
    header = {"box": box, "n": len(atoms), "longest": longest}
    return Tile(box, len(atoms), len(rings), pack(columns, header))


def _site_columns(
    mark: str, sites: Mapping[str, AnyArray], own: IntArray, drawn: IntArray, box: tuple[float, ...]
) -> dict[str, AnyArray]:
    """Return the columns of one kind of site: places of all that are drawn, the rest of the tile's own."""
    top = 65534 * SIGMA_STEP
    confidence = np.asarray(sites["confidence"], dtype=float)[own]
    steps = np.where(np.isfinite(confidence), np.rint(254 * np.clip(confidence, 0, 1)), 255)
    return {
        f"{mark}x": quantise(sites["x"][drawn], box[0], box[2]),
        f"{mark}y": quantise(sites["y"][drawn], box[1], box[3]),
        f"{mark}sigma": quantise(sites["sigma"][own], 0.0, top),
        f"{mark}confidence": np.nan_to_num(steps, nan=255).astype(np.uint8),
        f"{mark}flags": sites["flags"][own].astype(np.uint8),
        f"{mark}site": sites["site"][own].astype(np.uint32),
    }


def _angle_columns(found: Found, owners: _Owners, cell: int, n_atoms: int) -> dict[str, AnyArray]:
    """Return how many angles lie at each atom of a tile, and the angles one atom after the other."""
    angles = owners.of("angles", cell)
    n_angles = np.bincount(owners.place[found.vertices[angles]], minlength=n_atoms)
    return {
        "angles": n_angles.astype(np.uint16),
        "angle": quantise(found.angles[angles], 0.0, 180.0),
    }


def _counted(found: Found, pairs: IntArray) -> NDArray[np.uint8]:
    """Say of each bond whether it counts: both its atoms are analysable."""
    analysable = (found.atoms["flags"] & 1).astype(bool)
    counted: NDArray[np.uint8] = (analysable[pairs[:, 0]] & analysable[pairs[:, 1]]).astype(np.uint8)
    return counted


def _extent(
    found: Found, atoms: IntArray, centres: IntArray, rings: IntArray
) -> tuple[float, float, float, float]:
    """Return the smallest box around what a tile holds, x0, y0, x1, y1 [Å]."""
    x, y = (
        np.concatenate(
            [found.atoms[axis][atoms], found.centres[axis][centres], found.rings[axis][rings]]
        ).astype(float)
        for axis in ("x", "y")
    )
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _rows(flat: IntArray, offsets: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return the values of some rows of a ragged array, one row after the other, and their lengths."""
    lengths = np.diff(offsets)[rows]
    starts = np.repeat(offsets[rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return flat[starts + np.arange(len(starts))].astype(np.int64), lengths.astype(np.int64)


def ring_density(found: Found, grid: Grid, classes: IntArray) -> dict[str, Any]:
    """Return how much of each cell of a grid the rings of each size class cover.

    Parameters
    ----------
    found
        What was found in a frame; a ring covers the cell in which its centre lies.
    grid
        The cells.
    classes
        Size class of each ring, 0 … 6 by the order of the colours, (R,).

    Returns
    -------
    dict
        ``rows``, ``columns``, ``side`` and, packed, ``data``: cover by class ``k0`` … in 255ths of the
        cell, each value as ``v0`` … (mean over the rings), and ``warnings`` (rings marked, at most 255).
    """
    cells, n = grid.cells(found.rings["x"], found.rings["y"]), grid.n_rows * grid.n_columns
    area = np.nan_to_num(np.asarray(found.rings["area"], dtype=float))
    columns: dict[str, AnyArray] = {}
    total = np.bincount(cells, area, n)
    scale = 255 / np.maximum(total, grid.side**2)
    for number in range(7):
        share = np.bincount(cells, area * (classes == number), n)
        columns[f"k{number}"] = np.rint(share * scale).astype(np.uint8)
    for number, (values, low, high) in enumerate(found.ring_values.values()):
        is_known = np.isfinite(values)
        weight = np.bincount(cells, is_known, n)
        mean = np.bincount(cells, np.where(is_known, values, 0), n) / np.where(weight > 0, weight, np.nan)
        columns[f"v{number}"] = quantise(mean, low, high)
    marked = np.bincount(cells, (found.rings["flags"] & 6) > 0, n)
    columns["warnings"] = marked.clip(0, 255).astype(np.uint8)
    return {
        "rows": grid.n_rows,
        "columns": grid.n_columns,
        "side": grid.side,
        "data": pack(columns, {}),
    }
