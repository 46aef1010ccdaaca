"""The sampling of a micrograph of a crystal, from its reciprocal lattice."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray
from amorph2d.micrographs.spectrum import (
    PLANES,
    REFERENCE_BOND,
    frequencies_of,
    middle,
    power_of,
    radial_profile,
)

_ANNULUS = 0.07  # how far from the expected ones frequencies are looked at
_SECTOR = 5.0  # how far peaks of one lattice deviate from 60° [°]
_CHANCE = 1e-3  # at which noise alone is taken for a Bragg peak
_LEAST_ERROR = 0.003  # of a fit, relative
_PEAK_RADIUS = 3.0  # in steps of the frequency
_FIRST = ((1, 0), (0, 1), (-1, 1))
_SECOND = ((1, 1), (-1, 2), (-2, 1))


@dataclass(frozen=True)
class Lattice:
    """A fit of a hexagonal reciprocal lattice.

    Attributes
    ----------
    sampling
        At which the lattice is the expected one [Å/px].
    error
        Of the sampling, from the misfit and number of the peaks [Å/px].
    n_peaks
        Peaks in half the plane, 2 … 6.
    share
        Part of the power of all first reflections, or of the second if there are more of them, that is in
        the peaks of this lattice: 1 in a crystal, little in an amorphous network.
    """

    sampling: float
    error: float
    n_peaks: int
    share: float


def fit_lattice(image: ArrayLike, sampling: float, *, spacing: float = REFERENCE_BOND) -> Lattice | None:
    """Fit the reciprocal lattice of a crystal near a sampling.

    Peaks of the first and second reflections are looked for at multiples of 30° from the strongest, and two
    lattice vectors fitted to them. A lattice that is strained or sheared by the optics counts by the area of
    its cell.

    Parameters
    ----------
    image
        Intensities, (rows, columns), as for `spectrum_candidates`.
    sampling
        About right, to 5 % [Å/px].
    spacing
        Bond length of the material [Å].

    Returns
    -------
    Lattice or None
        The fit; None where less than two directions have a peak.
    """
    power = power_of(middle(image))
    profile = radial_profile(power)
    frequencies = frequencies_of(power.shape)
    distance = np.hypot(*frequencies)
    with np.errstate(divide="ignore"):
        background = np.exp(np.interp(np.log(distance), profile.frequency, profile.background))
    whitened = power / background
    annuli = [_annulus(distance, sampling / (plane * spacing)) for plane in PLANES]
    # The largest of n exponential values exceeds this with the given chance.
    threshold = math.log(power.size / _CHANCE)
    start = _strongest(whitened, annuli[0])
    if start is None or whitened[start] < threshold:
        return None
    turn = math.atan2(*(f[start] for f in frequencies))
    orders: list[list[tuple[tuple[int, int], FloatArray]]] = [[], []]
    for order, indices in enumerate((_FIRST, _SECOND)):
        for number, index in enumerate(indices):
            angle = turn + math.radians(60 * number + 30 * order)
            place = _strongest(whitened, annuli[order] & _sector(frequencies, angle))
            if place is not None and whitened[place] > threshold:
                vector = _sub_bin(whitened, frequencies, place)
                sign = np.sign(vector @ np.array([math.sin(angle), math.cos(angle)]))
                orders[order].append((index, sign * vector))
    fullest = int(len(orders[1]) > len(orders[0]))
    share = _share(power - background, frequencies, annuli[fullest], [peak for _, peak in orders[fullest]])
    return _fitted(orders[0] + orders[1], spacing, share)


def _share(
    excess: FloatArray,
    frequencies: tuple[FloatArray, FloatArray],
    is_there: BoolArray,
    peaks: list[FloatArray],
) -> float:
    """Part of the power in an annulus that lies around peaks."""
    y, x = frequencies
    steps = 1 / excess.shape[0], 1 / (2 * (excess.shape[1] - 1))
    is_near = np.zeros(excess.shape, dtype=bool)
    for peak in peaks:
        for row, column in (peak, -peak):
            is_near |= np.hypot((y - row) / steps[0], (x - column) / steps[1]) < _PEAK_RADIUS
    whole = float(excess[is_there].sum())
    return min(float(excess[is_near & is_there].sum()) / whole, 1.0) if whole > 0 else 0.0


def _fitted(peaks: list[tuple[tuple[int, int], FloatArray]], spacing: float, share: float) -> Lattice | None:
    """Fit two vectors of a reciprocal lattice to its peaks, by index [1/px]."""
    indices = np.array([index for index, _ in peaks], dtype=np.float64)
    vectors = np.array([vector for _, vector in peaks])
    if np.linalg.matrix_rank(indices) < 2:
        return None
    basis = np.linalg.lstsq(indices, vectors, rcond=None)[0]
    length = math.sqrt(abs(np.linalg.det(basis)) / math.sin(math.pi / 3))
    misfit = math.sqrt(float(((indices @ basis - vectors) ** 2).sum()) / max(2 * len(vectors) - 4, 1))
    sampling = PLANES[0] * spacing * length
    error = math.hypot(misfit / length / math.sqrt(len(vectors)), _LEAST_ERROR / max(share, 0.1))
    return Lattice(sampling, sampling * error, len(vectors), share)


def _annulus(distance: FloatArray, expected: float) -> BoolArray:
    """Say where reflections of an expected distance may lie."""
    return np.asarray(np.abs(distance / expected - 1) < _ANNULUS)


def _sector(frequencies: tuple[FloatArray, FloatArray], angle: float) -> BoolArray:
    """Say where frequencies point along a direction or against it."""
    y, x = frequencies
    across = np.abs(y * math.cos(angle) - x * math.sin(angle))
    return np.asarray(across < math.sin(math.radians(_SECTOR)) * np.hypot(y, x))


def _strongest(power: FloatArray, is_there: BoolArray) -> tuple[int, int] | None:
    """Find the largest value where `is_there`."""
    if not is_there.any():
        return None
    row, column = np.unravel_index(int(np.argmax(np.where(is_there, power, 0.0))), power.shape)
    return int(row), int(column)


def _sub_bin(
    power: FloatArray, frequencies: tuple[FloatArray, FloatArray], place: tuple[int, int]
) -> FloatArray:
    """Centre of a peak, from parabolas through the logarithms of its neighbours [1/px]."""
    centre = []
    for axis, values in enumerate(frequencies):
        lines = [place[axis] - 1, place[axis], place[axis] + 1]
        size = power.shape[axis]
        if axis == 1 and not 0 < place[1] < size - 1:
            centre.append(float(values[place]))
            continue
        logs = [math.log(power[(k % size, place[1]) if axis == 0 else (place[0], k)]) for k in lines]
        curvature = logs[0] - 2 * logs[1] + logs[2]
        shift = 0.5 * (logs[0] - logs[2]) / curvature if curvature < 0 else 0.0
        step = 1 / size if axis == 0 else 1 / (2 * (size - 1))
        centre.append(float(values[place]) + float(np.clip(shift, -0.5, 0.5)) * step)
    return np.array(centre)
