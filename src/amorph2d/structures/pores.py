"""Holes in a sheet."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points
from amorph2d.structures.network import RingedSheet, coordination_numbers, with_atoms
from amorph2d.structures.periodic import shortest_image

_HARMONICS = np.arange(2, 8)
_N_DIRECTIONS = 720


def circular_pore(sheet: RingedSheet, *, centre: ArrayLike, radius: float) -> RingedSheet:
    """Cut a circular pore into a sheet.

    Atoms inside go, then fragments that are cut off, then atoms with fewer than two bonds, again and again.
    Rings that lose an atom are no longer rings.

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
        If the pore does not fit into the box, or leaves no atoms.
    """
    _check_reach(radius, radius, sheet.box)
    return _without(sheet, np.hypot(*_from_centre(sheet, centre).T) < radius)


def irregular_pore(
    sheet: RingedSheet, *, centre: ArrayLike, radius: float, roughness: float, rng: Generator
) -> RingedSheet:
    """Cut a pore with a random smooth contour into a sheet.

    The contour is a circle times 1 + h(θ), h being a sum of six random harmonics whose amplitudes fall with
    their order. The rest is as for `circular_pore`.

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
    rng
        Source of random numbers.

    Raises
    ------
    ValueError
        If `roughness` is out of its bounds, the pore does not fit into the box, or it leaves no atoms.
    """
    if not 0 <= roughness < 1:
        raise ValueError(f"roughness must be ≥ 0 and < 1, got {roughness}")
    _check_reach(radius, radius * (1 + roughness), sheet.box)
    vectors = _from_centre(sheet, centre)
    angles = np.arctan2(vectors[:, 1], vectors[:, 0])
    contour = radius * (1 + roughness * _random_contour(angles, rng))
    return _without(sheet, np.hypot(*vectors.T) < contour)


def _check_reach(radius: float, reach: float, box: FloatArray) -> None:
    if not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius must be > 0 Å, got {radius}")
    if reach >= box.min() / 2:
        raise ValueError(
            f"pore must be narrower than the box: it reaches {reach:g} Å from its centre, half of the box "
            f"{box.tolist()} Å is {box.min() / 2:g} Å"
        )


def _from_centre(sheet: RingedSheet, centre: ArrayLike) -> FloatArray:
    """Return the shortest vector from the centre to every atom, (N, 2) [Å]."""
    return shortest_image(sheet.positions - as_points(np.atleast_2d(centre), "centre"), sheet.box)


def _random_contour(angles: FloatArray, rng: Generator) -> FloatArray:
    """Return a random smooth function of the angle, its largest deviation from zero being 1."""
    amplitudes = rng.normal(size=len(_HARMONICS)) / _HARMONICS
    phases = rng.uniform(0, 2 * np.pi, len(_HARMONICS))
    around = np.linspace(0, 2 * np.pi, _N_DIRECTIONS, endpoint=False)
    values = np.cos(np.concatenate([angles, around])[:, None] * _HARMONICS + phases) @ amplitudes
    return np.clip(values[: len(angles)] / np.abs(values[len(angles) :]).max(), -1, 1)


def _without(sheet: RingedSheet, is_removed: BoolArray) -> RingedSheet:
    """Return the largest piece of the sheet without the removed atoms and without loose ends."""
    if is_removed.all():
        raise ValueError("pore must leave atoms, got none outside it")
    rest = with_atoms(sheet, ~is_removed)
    rest = with_atoms(rest, _is_in_largest_piece(rest.bonds, len(rest.positions)))
    while (coordination_numbers(rest) < 2).any():
        rest = with_atoms(rest, coordination_numbers(rest) >= 2)
    if len(rest.positions) == 0:
        raise ValueError("pore must leave a connected sheet, got only loose chains of atoms outside it")
    return rest


def _is_in_largest_piece(bonds: IntArray, n_atoms: int) -> BoolArray:
    """Say which atoms belong to the largest connected piece, (N,)."""
    graph = csr_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_atoms, n_atoms))
    piece = connected_components(graph, directed=False)[1]
    return piece == np.bincount(piece).argmax()
