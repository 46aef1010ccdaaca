"""Which atoms of a fit are believed, which are none, and where one is missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from amorph2d.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from amorph2d.localisation.nearby import points_near
from amorph2d.localisation.refinement.config import RefinementParameters
from amorph2d.localisation.refinement.grid import Spectra
from amorph2d.localisation.refinement.insertion import with_inserted
from amorph2d.localisation.refinement.rounds import LEAST_WEIGHT, Atoms, Stepper
from amorph2d.localisation.refinement.window import Window, mean_squares

MISFIT_RADIUS = 1.5  # around an atom in which the residual is averaged [Å]
_SUPPORT = 0.5  # distance of a weak peak of the network that supports a missing atom [Å]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Atoms of a window after the fit.

    Attributes
    ----------
    number
        Number of the atom at the start, -1 for one that was missing, (N,).
    positions
        From the first pixel of the window, (N, 2) [Å].
    sigma
        Error per axis of the fit, root mean square over both axes, (N,) [Å].
    amplitudes
        Relative contrast that the image alone gives the atom, (N,).
    misfit
        Mean square of the residual around the atom over that of the noise, (N,).
    weights
        Share to which the pixel of the atom counts, (N,).
    """

    number: IntArray
    positions: FloatArray
    sigma: FloatArray
    amplitudes: FloatArray
    misfit: FloatArray
    weights: FloatArray


def fit_window(
    window: Window,
    start: FloatArray,
    support: FloatArray,
    *,
    stepper: Stepper,
    spectra: Spectra,
    parameters: RefinementParameters,
) -> Fitted:
    """Fit the atoms of a window under a known kernel; reject and look again once.

    Parameters
    ----------
    window
        The window.
    start
        Positions of the atoms by the network, (N, 2) [Å].
    support
        Positions of the network's weak peaks, (M, 2) [Å].
    stepper, spectra
        The kernel.
    parameters
        Limits.
    """
    atoms, numbers = Atoms.at(start), np.arange(len(start))
    atoms = stepper.settled(window, atoms, spectra, parameters.n_rounds)
    for _ in range(parameters.n_repairs):
        splines = window.correlated(spectra, window.left(spectra, atoms.positions, atoms.amplitudes))
        is_kept = _are_atoms(window, atoms, splines, stepper, parameters)
        missing = _missing(window, splines, atoms.positions[is_kept], support, stepper, parameters)
        if is_kept.all() and not len(missing):
            break
        atoms = atoms.changed(is_kept, missing)
        numbers = np.concatenate([numbers[is_kept], np.full(len(missing), -1)])
        atoms = stepper.settled(window, atoms, spectra, 1)
    atoms, n_new = with_inserted(window, atoms, stepper=stepper, spectra=spectra, parameters=parameters)
    numbers = np.concatenate([numbers, np.full(n_new, -1)])
    residual = window.left(spectra, atoms.positions, atoms.amplitudes)
    splines = window.correlated(spectra, residual)
    is_kept = _are_atoms(window, atoms, splines, stepper, parameters)
    variance = stepper.covariances(window, atoms)
    columns: tuple[AnyArray, ...] = (
        numbers,
        atoms.positions,
        np.sqrt((variance[:, 1, 1] + variance[:, 2, 2]) / 2),
        stepper.conditional(window, atoms, splines),
        _misfit(window, atoms, window.whitened(spectra, residual), stepper),
        window.weights_at(atoms.positions),
    )
    return Fitted(*(column[is_kept] for column in columns))


def _are_atoms(
    window: Window, atoms: Atoms, splines: Float32Array, stepper: Stepper, parameters: RefinementParameters
) -> BoolArray:
    """Say which atoms have the contrast of one, or stand where that cannot be judged."""
    least = np.where(atoms.is_loose, parameters.confirmed_amplitude, parameters.least_amplitude)
    has_contrast = stepper.conditional(window, atoms, splines) >= least
    return np.asarray(has_contrast | (window.weights_at(atoms.positions) < LEAST_WEIGHT))


def _missing(
    window: Window,
    splines: Float32Array,
    atoms: FloatArray,
    support: FloatArray,
    stepper: Stepper,
    parameters: RefinementParameters,
) -> FloatArray:
    """Return where the residual looks like an atom, (M, 2) [Å]."""
    rows, columns = window.values.shape
    least = max(
        parameters.repair_significance * stepper.power**0.5,
        min(parameters.repair_amplitude, parameters.repair_support) * stepper.power,
    )
    inner = splines[:rows, :columns]
    pixels = np.argwhere((inner >= least) & (window.weight > LEAST_WEIGHT))
    pixels = pixels[_are_highest(splines, pixels)]
    if not len(pixels):
        return np.empty((0, 2))
    places = _tops(window, splines, pixels[:, ::-1] * np.array(window.grid.sampling)[::-1])
    heights = window.sampled(splines, places)[:, 0] / (
        stepper.power * window.weights_at(places).clip(LEAST_WEIGHT)
    )
    is_supported = _distance(places, support) < _SUPPORT
    enough = np.where(is_supported, parameters.repair_support, parameters.repair_amplitude)
    is_missing = (heights >= enough) & (_distance(places, atoms) >= parameters.repair_distance)
    return _apart(places[is_missing], heights[is_missing], parameters.repair_distance)


def _are_highest(values: Float32Array, pixels: IntArray) -> BoolArray:
    """Say which pixels (row, column) are no lower than the eight around them; values are periodic."""
    row, column = pixels.T
    here = values[row, column]
    around = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x]
    others = [values[(row + y) % values.shape[0], (column + x) % values.shape[1]] for y, x in around]
    return np.asarray((here >= np.array(others)).all(axis=0))


def _tops(window: Window, splines: Float32Array, places: FloatArray) -> FloatArray:
    """Return the vertices of parabolas through the values around the pixels of maxima."""
    steps = np.array(window.grid.sampling)[::-1]
    result = places.copy()
    for axis in range(2):
        shift = np.zeros(2)
        shift[axis] = steps[axis]
        before, here, after = (window.sampled(splines, places + sign * shift)[:, 0] for sign in (-1, 0, 1))
        curvature = np.minimum(before - 2 * here + after, -1e-12)
        result[:, axis] += np.clip(0.5 * (before - after) / curvature, -1, 1) * steps[axis]
    return result


def _distance(places: FloatArray, points: FloatArray) -> FloatArray:
    """Return the distance of each place from the nearest point [Å]."""
    if len(points) == 0 or len(places) == 0:
        return np.full(len(places), np.inf)
    return np.asarray(KDTree(points).query(places)[0])


def _apart(places: FloatArray, heights: FloatArray, distance: float) -> FloatArray:
    """Return the places without those that lie close to a higher one."""
    kept: list[FloatArray] = []
    for place in places[np.argsort(-heights, kind="stable")]:
        if all(np.hypot(*(place - other)) >= distance for other in kept):
            kept.append(place)
    return np.array(kept).reshape(-1, 2)


def _misfit(window: Window, atoms: Atoms, white: Float32Array, stepper: Stepper) -> FloatArray:
    """Return the mean square of the whitened residual around each atom over its expectation."""
    result = np.empty(len(atoms.positions))
    steps = np.array(window.grid.sampling)
    mean_squares(white, window.weight, window.pixels_of(atoms.positions), MISFIT_RADIUS / steps, result)
    return result / (np.pi * stepper.kernel.max_frequency**2)


def is_believed(fit: Fitted, moves: FloatArray, parameters: RefinementParameters) -> BoolArray:
    """Say which fits replace the network's position: on counted pixels, without misfit, not moved far."""
    return np.asarray(
        (fit.weights >= LEAST_WEIGHT)
        & (fit.misfit <= parameters.largest_misfit)
        & (moves <= parameters.largest_move)
    )


def is_crowded(positions: FloatArray, new: BoolArray, parameters: RefinementParameters) -> BoolArray:
    """Say which new atoms, (N,), have more neighbours than bonds, among all atoms at `positions`, (N, 2)."""
    crowded = np.zeros(len(positions), dtype=bool)
    if new.any():
        near = points_near(positions[:, 0], positions[:, 1], positions[new], parameters.repair_reach)
        found = KDTree(positions[near]).query_ball_point(
            positions[new], parameters.repair_reach, return_length=True
        )
        crowded[new] = np.asarray(found) - 1 > parameters.repair_bonds  # each finds itself
    return crowded
