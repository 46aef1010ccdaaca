"""Rounds of the fit: the image of an atom from all windows, the atoms in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import median_filter

from amorph2d.arrays import AnyArray, BoolArray, Float32Array, FloatArray, IntArray
from amorph2d.localisation.refinement.config import RefinementParameters
from amorph2d.localisation.refinement.fit import covariances, normal_blocks, pairs_within, solve
from amorph2d.localisation.refinement.grid import NOISE_STEP, Spectra
from amorph2d.localisation.refinement.kernel import (
    Kernel,
    add_equations,
    corrected,
    empty_kernel,
    overlap_table,
)
from amorph2d.localisation.refinement.window import Window

LEAST_WEIGHT = 0.4  # of a pixel, from which on an atom there is fitted and judged
_PAIR_REACH = 4.2  # overlaps of atoms farther apart hardly change a step [Å]
_TABLE_STEP = 0.125  # [Å]
_SIGMA_REACH = 2.7  # neighbours that are unknown as well when an atom's error is estimated [Å]
_ITERATIONS = 6  # of the conjugate gradients
_LARGEST_STEP = np.array([0.4, 0.15, 0.15])  # of amplitude and position [Å] in a round
_AMPLITUDES = (0.02, 4.0)
_RIDGE = 1e-4  # of the mean diagonal, where the atoms do not determine their image
_SMOOTHED = 7  # rings over whose median the noise is smoothed


@dataclass(frozen=True, eq=False)
class Priors:
    """What is believed before the image is looked at: Student's t around the network's position."""

    position: float
    amplitude: float
    freedom: float

    def precision(self, atoms: Atoms) -> FloatArray:
        """Return the precision of (amplitude, x, y) that stands for the prior in this round, (N, 3)."""
        squares = ((atoms.positions - atoms.start) ** 2).sum(axis=1) / self.position**2
        place = (self.freedom + 2) / (self.freedom + squares) / self.position**2
        off = ((atoms.amplitudes - 1) / self.amplitude) ** 2
        height = (self.freedom + 1) / (self.freedom + off) / self.amplitude**2
        height = np.where(atoms.is_loose, 1e-3 * height, height)
        return np.column_stack([height, place, place])


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms of a window.

    Attributes
    ----------
    start
        Where the network put them, from the first pixel, (N, 2) [Å].
    positions
        Where they are by now, (N, 2) [Å].
    amplitudes
        Contrast relative to that of the kernel, (N,).
    is_loose
        Which amplitudes nothing is known about, (N,).
    pairs
        Index pairs of atoms whose images overlap, (B, 2).
    """

    start: FloatArray
    positions: FloatArray
    amplitudes: FloatArray
    is_loose: BoolArray
    pairs: IntArray

    @classmethod
    def at(cls, positions: FloatArray) -> Atoms:
        """Return atoms of amplitude 1 at positions."""
        n, start = len(positions), np.ascontiguousarray(positions)
        pairs = pairs_within(start, _PAIR_REACH)
        return cls(start, start.copy(), np.ones(n), np.zeros(n, dtype=np.bool_), pairs)

    def changed(self, is_kept: BoolArray, added: FloatArray) -> Atoms:
        """Return the atoms that are kept, and loose ones at the positions `added`."""
        n = len(added)
        positions = np.concatenate([self.positions[is_kept], added])
        return Atoms(
            np.concatenate([self.start[is_kept], added]),
            positions,
            np.concatenate([self.amplitudes[is_kept], np.ones(n)]),
            np.concatenate([self.is_loose[is_kept], np.ones(n, dtype=np.bool_)]),
            pairs_within(positions, _PAIR_REACH),
        )


def estimate_kernel(
    windows: Sequence[Window], found: Sequence[FloatArray], parameters: RefinementParameters
) -> tuple[Kernel, float]:
    """Return the image of an atom and the noise that windows show together, and the share explained."""
    kernel = empty_kernel(
        reach=parameters.kernel_reach,
        max_frequency=band_limit(windows[0].grid.sampling, parameters),
        order=parameters.kernel_order,
    )
    atoms = [Atoms.at(positions) for positions in found]
    before = sum(_local_power(window, window.residual(None, None)) for window in windows)
    if not before > 0:
        return kernel, 0.0
    kernel, residuals = _estimated(kernel, windows, atoms)
    for _ in range(parameters.n_kernel_rounds - 1):
        stepper = Stepper(kernel, parameters)
        atoms = [
            stepper.moved(window, each, window.grid.spectra(kernel), residual)
            for window, each, residual in zip(windows, atoms, residuals, strict=True)
        ]
        kernel, residuals = _estimated(kernel, windows, atoms)
    after = sum(_local_power(*both) for both in zip(windows, residuals, strict=True))
    return kernel, 1 - after / before


def _estimated(
    kernel: Kernel, windows: Sequence[Window], atoms: Sequence[Atoms]
) -> tuple[Kernel, list[AnyArray]]:
    """Return the kernel and the noise for atoms where they are, and what these leave of the windows."""
    sources = [
        window.sources(each.positions, each.amplitudes) for window, each in zip(windows, atoms, strict=True)
    ]
    kernel = _improved(kernel, windows, atoms, sources)
    residuals = [
        window.residual(window.grid.spectra(kernel), source)
        for window, source in zip(windows, sources, strict=True)
    ]
    return replace(kernel, noise=measured_noise(windows, residuals), noise_step=NOISE_STEP), residuals


def _local_power(window: Window, residual: AnyArray) -> float:
    """Return the power of a residual at the frequencies of the fit."""
    values = residual.ravel()[window.grid.band]
    return float(np.vdot(values, values).real)


def band_limit(sampling: tuple[float, float], parameters: RefinementParameters) -> float:
    """Return the highest frequency that is fitted [1/Å]."""
    return min(parameters.max_frequency, 0.48 / max(sampling))


def _improved(
    kernel: Kernel, windows: Sequence[Window], atoms: Sequence[Atoms], sources: Sequence[AnyArray]
) -> Kernel:
    """Return the kernel with what the residual still has of it."""
    size = kernel.coefficients.size
    matrix, vector = np.zeros((size, size)), np.zeros(size)
    for window, each, source in zip(windows, atoms, sources, strict=True):
        grid = window.grid
        spectra = grid.spectra(kernel) if kernel.coefficients.any() else None
        residual = window.residual(spectra, source)
        # The window cuts the image of an atom as it weighs the atom: it is wide against it.
        counted = window.sources(each.positions, each.amplitudes * window.weights_at(each.positions))
        weight = 1 / kernel.noise_at(np.hypot(grid.kx, grid.ky))
        add_equations(
            grid.kx, grid.ky, weight,
            (counted.ravel()[grid.band] * grid.prefilter.ravel()[grid.band]).astype(np.complex128),
            residual.ravel()[grid.band].astype(np.complex128),
            kernel.step, kernel.coefficients.shape[1], matrix, vector,
        )  # fmt: skip
    return corrected(kernel, matrix, vector, _RIDGE)


def measured_noise(windows: Sequence[Window], residuals: Sequence[AnyArray]) -> FloatArray:
    """Return the power of the residuals per area in rings, nowhere less than at higher frequencies.

    Shot noise falls with the MTF of the camera. Where it lies below what higher frequencies have, the atoms
    have been fitted to it.
    """
    last = int(0.5 / max(windows[0].grid.sampling) / NOISE_STEP)
    total, area = np.zeros(last), np.zeros(last)
    for window, residual in zip(windows, residuals, strict=True):
        power, count = window.grid.power(residual)
        total += power[:last]
        area += count[:last] * window.covered
    noise = total / np.maximum(area, np.finfo(np.float64).tiny)
    smooth = median_filter(noise, _SMOOTHED, mode="nearest")
    return np.maximum(noise, np.maximum.accumulate(smooth[::-1])[::-1])


class Stepper:
    """Steps of the fit under one kernel."""

    def __init__(self, kernel: Kernel, parameters: RefinementParameters) -> None:
        self.kernel = kernel
        self.table: Float32Array = overlap_table(kernel, reach=_PAIR_REACH + 0.5, step=_TABLE_STEP)
        self.priors = Priors(parameters.position_prior, parameters.amplitude_prior, parameters.freedom)

    @property
    def power(self) -> float:
        """Squared signal to noise of an atom."""
        half = (self.table.shape[0] - 1) // 2
        return float(self.table[half, half, 0])

    def moved(self, window: Window, atoms: Atoms, spectra: Spectra, residual: AnyArray) -> Atoms:
        """Return the atoms after a step from where they left the residual."""
        gradient = window.sampled(window.correlated(spectra, residual), atoms.positions)
        gradient[:, 1:] *= atoms.amplitudes[:, None]
        precision = self.priors.precision(atoms)
        gradient[:, 0] += (1 - atoms.amplitudes) * precision[:, 0]
        gradient[:, 1:] += (atoms.start - atoms.positions) * precision[:, 1:]
        diagonal, off = self._blocks(window, atoms, precision)
        step = np.clip(
            solve(diagonal, atoms.pairs, off, gradient, _ITERATIONS), -_LARGEST_STEP, _LARGEST_STEP
        )
        return replace(
            atoms,
            positions=atoms.positions + step[:, 1:],
            amplitudes=np.clip(atoms.amplitudes + step[:, 0], *_AMPLITUDES),
        )

    def settled(self, window: Window, atoms: Atoms, spectra: Spectra, n_rounds: int) -> Atoms:
        """Return the atoms after some steps."""
        for _ in range(n_rounds):
            atoms = self.moved(
                window, atoms, spectra, window.left(spectra, atoms.positions, atoms.amplitudes)
            )
        return atoms

    def conditional(self, window: Window, atoms: Atoms, splines: Float32Array) -> FloatArray:
        """Return the amplitude that the image alone gives each atom where it is, the others unchanged."""
        weights = np.maximum(window.weights_at(atoms.positions), LEAST_WEIGHT)
        left = window.sampled(splines, atoms.positions)[:, 0]
        return np.asarray(atoms.amplitudes + left / (self.power * weights))

    def covariances(self, window: Window, atoms: Atoms) -> FloatArray:
        """Return the covariance of (amplitude, x, y) of each atom, (N, 3, 3)."""
        diagonal, off = self._blocks(window, atoms, self.priors.precision(atoms))
        return np.asarray(covariances(atoms.positions, atoms.pairs, diagonal, off, _SIGMA_REACH))

    def _blocks(
        self, window: Window, atoms: Atoms, precision: FloatArray
    ) -> tuple[Float32Array, Float32Array]:
        """Return the blocks of the normal matrix."""
        weights = window.weights_at(atoms.positions)
        blocks: tuple[Float32Array, Float32Array] = normal_blocks(
            atoms.positions, atoms.amplitudes, weights, atoms.pairs, self.table, _TABLE_STEP, precision
        )
        return blocks
