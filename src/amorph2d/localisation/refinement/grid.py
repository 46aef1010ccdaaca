"""A rectangular grid in Fourier space, and kernels on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from amorph2d.arrays import AnyArray, Float32Array, FloatArray, IntArray
from amorph2d.localisation.refinement.kernel import Kernel, transfer_at
from amorph2d.localisation.refinement.splines import spline_transfer


@dataclass(frozen=True, eq=False)
class Spectra:
    """A kernel on a grid, with the prefilter of the splines.

    Attributes
    ----------
    model
        From the grid of sources to the image, (rows, columns / 2 + 1).
    matched
        From the residual to its correlation with the atom, weighted by the noise.
    whitening
        From the residual to noise of power 1 per area, up to the highest frequency of the kernel.
    """

    model: AnyArray
    matched: AnyArray
    whitening: Float32Array


class Grid:
    """Frequencies of a periodic grid in which a window has room around it.

    Parameters
    ----------
    window
        Rows and columns of the window.
    sampling
        (y, x) [Å/px].
    room
        Left empty so that opposite sides do not touch [Å].
    max_frequency
        Highest frequency of interest [1/Å].
    """

    def __init__(
        self, window: tuple[int, int], sampling: tuple[float, float], *, room: float, max_frequency: float
    ) -> None:
        self.sampling, self.area = sampling, sampling[0] * sampling[1]
        rows, columns = (
            fft.next_fast_len(size + int(np.ceil(room / step)), real=True)
            for size, step in zip(window, sampling, strict=True)
        )
        self.shape = rows, columns
        ky, kx = fft.fftfreq(rows, sampling[0]), fft.rfftfreq(columns, sampling[1])
        frequency = np.hypot(ky[:, None], kx[None, :])
        self.rings = np.rint(frequency / _RING).astype(np.int64)
        down, across = spline_transfer(ky * sampling[0]), spline_transfer(kx * sampling[1])
        self.prefilter = (1 / (down[:, None] * across[None, :])).astype(np.float32)
        self.band: IntArray = np.flatnonzero(frequency < max_frequency)
        row, column = np.unravel_index(self.band, frequency.shape)
        self.kx, self.ky = kx[column], ky[row]

    def spectra(self, kernel: Kernel) -> Spectra:
        """Return a kernel on this grid."""
        transfer = transfer_at(kernel.coefficients, kernel.step, self.kx, self.ky)
        inverse = 1 / kernel.noise_at(np.hypot(self.kx, self.ky))
        filtered = transfer * self.prefilter.ravel()[self.band]
        return Spectra(
            self._filled(filtered / self.area, np.complex64),
            self._filled(filtered.conj() * inverse, np.complex64),
            self._filled(np.sqrt(inverse), np.float32),
        )

    def _filled(self, values: AnyArray, dtype: type) -> AnyArray:
        """Return values of the band on the whole grid."""
        grid: AnyArray = np.zeros(self.prefilter.shape, dtype=dtype)
        grid.ravel()[self.band] = values
        return grid

    def power(self, spectrum: AnyArray) -> tuple[FloatArray, IntArray]:
        """Return sums of the squares of a spectrum in rings `NOISE_STEP` wide, and how many there are."""
        squares = spectrum.real**2 + spectrum.imag**2
        rings = self.rings.ravel()
        total: FloatArray = np.bincount(rings, squares.ravel()).astype(np.float64)
        return total, np.bincount(rings).astype(np.int64)


_RING = NOISE_STEP = 0.05  # width of the rings in which the noise is averaged [1/Å]
