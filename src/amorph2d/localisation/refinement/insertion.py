"""Atoms between two others that the network has moved together.

An atom with two neighbours at the rim of a large ring has short bonds. Where it is missed its neighbours are
found too close to it, about 1.9 Å from each other, and nothing is left of the image between them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from amorph2d.arrays import Float32Array, FloatArray, IntArray
from amorph2d.localisation.refinement.config import RefinementParameters
from amorph2d.localisation.refinement.grid import Spectra
from amorph2d.localisation.refinement.rounds import LEAST_WEIGHT, Atoms, Stepper
from amorph2d.localisation.refinement.window import Window, mean_squares

_CLEAR = 1.3  # around the middle of a pair in which there is no third atom [Å]
_APART = 2.15  # distance of two neighbours of an atom with two short bonds [Å]
_LARGEST_SHIFT = 0.35  # of a neighbour, before the fit [Å]
_SHORTEST = 1.0  # bond of an inserted atom [Å]
_RADIUS = 2.2  # around the middle in which the residuals are compared [Å]
_ROUNDS = 3


def with_inserted(
    window: Window, atoms: Atoms, *, stepper: Stepper, spectra: Spectra, parameters: RefinementParameters
) -> tuple[Atoms, int]:
    """Put an atom between two that are farther apart than bonds where the image is explained better so.

    The neighbours are moved apart and all is fitted. The atom stays where the sum of squares of the whitened
    residual around falls by enough, its contrast is that of an atom, and its bonds are not too short;
    elsewhere all is as it was.

    Parameters
    ----------
    window
        The window.
    atoms
        Fitted atoms.
    stepper, spectra
        The kernel.
    parameters
        `insertion_lengths`, `insertion_gain`, `confirmed_amplitude`.

    Returns
    -------
    tuple
        The atoms, new ones at the end, and how many are new.
    """
    pairs = _long_pairs(window, atoms.positions, parameters.insertion_lengths)
    if not len(pairs):
        return atoms, 0
    ends = atoms.positions[pairs]
    middles = ends.mean(axis=1)
    apart = ends[:, 1] - ends[:, 0]
    length = np.hypot(*apart.T)[:, None]
    shift = np.clip((_APART - length) / 2, 0, _LARGEST_SHIFT) * apart / length
    moved = np.zeros_like(atoms.positions)
    moved[pairs[:, 0]], moved[pairs[:, 1]] = -shift, shift
    tried = replace(atoms, positions=atoms.positions + moved, start=atoms.start + moved)
    tried = tried.changed(np.ones(len(moved), dtype=np.bool_), middles)
    tried = stepper.settled(window, tried, spectra, _ROUNDS)
    before, _ = _squares(window, atoms, spectra, middles)
    after, splines = _squares(window, tried, spectra, middles)
    n = len(atoms.positions)
    bonds = np.hypot(*np.moveaxis(tried.positions[pairs] - tried.positions[n:, None], -1, 0))
    is_good = (
        (before - after > parameters.insertion_gain)
        & (stepper.conditional(window, tried, splines)[n:] >= parameters.confirmed_amplitude)
        & (bonds.min(axis=1) >= _SHORTEST)
    )
    if not is_good.any():
        return atoms, 0
    positions, start = atoms.positions.copy(), atoms.start.copy()
    changed = pairs[is_good].ravel()
    positions[changed], start[changed] = tried.positions[changed], tried.start[changed]
    kept = replace(atoms, positions=positions, start=start)
    kept = kept.changed(np.ones(n, dtype=np.bool_), tried.positions[n:][is_good])
    return stepper.settled(window, kept, spectra, 1), int(is_good.sum())


def _long_pairs(window: Window, positions: FloatArray, lengths: tuple[float, float]) -> IntArray:
    """Return pairs of atoms too far apart for a bond, the longest first, no atom in two of them, (P, 2)."""
    tree = KDTree(positions)
    pairs = tree.query_pairs(lengths[1], output_type="ndarray")
    length = np.hypot(*(positions[pairs[:, 0]] - positions[pairs[:, 1]]).T)
    is_long = length >= lengths[0]
    pairs, length = pairs[is_long], length[is_long]
    middles = positions[pairs].mean(axis=1).reshape(-1, 2)
    is_clear = tree.query_ball_point(middles, _CLEAR, return_length=True) == 2
    is_clear &= window.weights_at(middles) >= LEAST_WEIGHT
    pairs = pairs[is_clear][np.argsort(-length[is_clear], kind="stable")]
    # An atom belongs to the first pair that it is in.
    first = np.full(len(positions), len(pairs))
    np.minimum.at(first, pairs.ravel(), np.repeat(np.arange(len(pairs)), 2))
    return np.asarray(pairs[(first[pairs] == np.arange(len(pairs))[:, None]).all(axis=1)], dtype=np.int64)


def _squares(
    window: Window, atoms: Atoms, spectra: Spectra, places: FloatArray
) -> tuple[FloatArray, Float32Array]:
    """Return the sums of squares of the whitened residual around places, and the residual's correlation."""
    residual = window.left(spectra, atoms.positions, atoms.amplitudes)
    means = np.empty(len(places))
    radius = _RADIUS / np.array(window.grid.sampling)
    mean_squares(window.whitened(spectra, residual), window.weight, window.pixels_of(places), radius, means)
    return means * np.pi * _RADIUS**2, window.correlated(spectra, residual)
