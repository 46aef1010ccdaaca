"""Holes in a sheet."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from amorph2d.arrays import BoolArray, IntArray
from amorph2d.structures.network import RingedSheet, with_atoms
from amorph2d.structures.outlines import Outline, circle, irregular_blob


def cut_pore(
    sheet: RingedSheet, outline: Outline, *, erosion: float = 0.0, rng: Generator | None = None
) -> RingedSheet:
    """Cut a pore of any outline into a sheet.

    Atoms inside go, or the one nearest to the inside if there is none: a pore is at least a vacancy. If
    wanted, atoms of the rim follow at random. Then go fragments that are cut off, then atoms with fewer than
    two bonds, again and again. Rings that lose an atom are no longer rings.

    Parameters
    ----------
    sheet
        Periodic sheet.
    outline
        The pore, in the box of the sheet.
    erosion
        Expected number of atoms taken away from the rim, one after another, relative to the atoms on it,
        0 ≤ erosion ≤ 1. An atom that loses a neighbour is from then on part of the rim.
    rng
        Source of random numbers; needed for erosion only.

    Raises
    ------
    ValueError
        If `erosion` is out of its bounds or without `rng`, or the pore leaves no sheet.
    """
    if not 0 <= erosion <= 1:
        raise ValueError(f"erosion must be ≥ 0 and ≤ 1, got {erosion}")
    depth = outline.depth(sheet.positions)
    is_kept = depth <= 0
    if is_kept.all() and len(depth):
        is_kept[depth.argmax()] = False
    if erosion > 0:
        if rng is None:
            raise ValueError("rng must be given for erosion > 0, got None")
        is_kept = _eroded(sheet.bonds, is_kept, erosion, rng)
    return _largest_sheet(sheet, is_kept)


def circular_pore(sheet: RingedSheet, *, centre: ArrayLike, radius: float) -> RingedSheet:
    """Cut a circular pore into a sheet, at least a vacancy; the rest is as for `cut_pore`.

    Parameters
    ----------
    sheet
        Periodic sheet.
    centre
        Centre of the pore, x then y, (2,) [Å].
    radius
        Radius, > 0 and below half of the shorter box edge [Å].

    Raises
    ------
    ValueError
        If the pore does not fit into the box, or leaves no sheet.
    """
    return cut_pore(sheet, circle(sheet.box, centre=centre, radius=radius))


def irregular_pore(
    sheet: RingedSheet,
    *,
    centre: ArrayLike,
    radius: float,
    roughness: float,
    erosion: float = 0.0,
    rng: Generator,
) -> RingedSheet:
    """Cut a pore with a random contour into a sheet, at least a vacancy; the rest is as for `cut_pore`.

    Parameters
    ----------
    sheet
        Periodic sheet.
    centre
        Centre of the pore, x then y, (2,) [Å].
    radius
        Mean radius, > 0 [Å].
    roughness
        Largest relative deviation of the contour from the circle, 0 ≤ roughness < 1;
        `radius` × (1 + `roughness`) must be below half of the shorter box edge.
    erosion
        Expected number of atoms taken away from the rim relative to the atoms on it, 0 ≤ erosion ≤ 1.
    rng
        Source of random numbers.

    Raises
    ------
    ValueError
        If an argument is out of its bounds, the pore does not fit into the box, or it leaves no sheet.
    """
    outline = irregular_blob(sheet.box, centre=centre, radius=radius, roughness=roughness, rng=rng)
    return cut_pore(sheet, outline, erosion=erosion, rng=rng)


def _eroded(bonds: IntArray, is_kept: BoolArray, erosion: float, rng: Generator) -> BoolArray:
    """Take atoms away from the rim, each drawn from all that are on it by then."""
    is_cut = is_kept[bonds[:, 0]] != is_kept[bonds[:, 1]]
    on_rim = np.unique(bonds[is_cut][is_kept[bonds[is_cut]]])
    n_taken = rng.binomial(len(on_rim), erosion)
    starts, partners = _partners(bonds, len(is_kept))
    rest, rim = is_kept.copy(), on_rim.tolist()
    for draw in rng.random(n_taken).tolist():
        place = int(draw * len(rim))
        atom, rim[place] = rim[place], rim[-1]
        rim.pop()
        rest[atom] = False
        known = set(rim)
        rim += [
            partner
            for partner in partners[starts[atom] : starts[atom + 1]].tolist()
            if rest[partner] and partner not in known
        ]
    return rest


def _partners(bonds: IntArray, n_atoms: int) -> tuple[IntArray, IntArray]:
    """Return the partners of all atoms after one another, and where those of each start, and the end."""
    both = bonds.T.ravel()
    order = np.argsort(both, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(both, minlength=n_atoms))])
    return starts, bonds[:, ::-1].T.ravel()[order]


def _largest_sheet(sheet: RingedSheet, is_kept: BoolArray) -> RingedSheet:
    """Return the largest piece of what is kept, without loose ends."""
    if not is_kept.any():
        raise ValueError("pore must leave atoms, got none outside it")
    n_atoms = len(is_kept)
    bonds = sheet.bonds[is_kept[sheet.bonds].all(axis=1)]
    rest = is_kept & _is_in_largest_piece(bonds, is_kept)
    while True:
        bonds = bonds[rest[bonds].all(axis=1)]
        is_loose = rest & (np.bincount(bonds.ravel(), minlength=n_atoms) < 2)
        if not is_loose.any():
            break
        rest &= ~is_loose
    if not rest.any():
        raise ValueError("pore must leave a connected sheet, got only loose chains of atoms outside it")
    return with_atoms(sheet, rest)


def _is_in_largest_piece(bonds: IntArray, is_kept: BoolArray) -> BoolArray:
    """Say which atoms belong to the largest connected piece of those kept, (N,)."""
    n_atoms = len(is_kept)
    graph = csr_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms))
    piece = connected_components(graph, directed=False)[1]
    return piece == np.bincount(piece[is_kept]).argmax()
