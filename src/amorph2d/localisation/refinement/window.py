"""A window of an image: what the atoms explain of it, and what they leave."""

from __future__ import annotations

import numpy as np
from numba import njit
from scipy import fft

from amorph2d.arrays import AnyArray, Float32Array, FloatArray
from amorph2d.localisation.refinement.grid import Grid, Spectra
from amorph2d.localisation.refinement.splines import sample, spread
from amorph2d.localisation.slow import slow_mean


class Window:
    """A window of an image, freed of its slow background.

    Parameters
    ----------
    pixels
        Grey values, (rows, columns).
    weight
        Share to which each pixel counts, 0 … 1, (rows, columns).
    grid
        Fourier space with room for the window.
    background
        Standard deviation of the Gaussian whose mean is the slow background [Å].
    """

    def __init__(self, pixels: Float32Array, weight: Float32Array, grid: Grid, *, background: float) -> None:
        self.grid, self.weight = grid, weight
        dy, dx = grid.sampling
        self.values = pixels - slow_mean(pixels, (background / dy, background / dx))
        self.covered = float(np.vdot(weight, weight)) * grid.area

    def pixels_of(self, positions: FloatArray) -> FloatArray:
        """Return (row, column) of positions (N, 2) from the first pixel [Å]."""
        return np.ascontiguousarray(positions[:, ::-1] / np.array(self.grid.sampling))

    def weights_at(self, positions: FloatArray) -> FloatArray:
        """Return the weights of the pixels at positions, 0 outside."""
        pixels = np.rint(self.pixels_of(positions)).astype(np.int64)
        is_inside = ((pixels >= 0) & (pixels < self.weight.shape)).all(axis=1)
        weights = np.zeros(len(pixels))
        weights[is_inside] = self.weight[pixels[is_inside, 0], pixels[is_inside, 1]]
        return weights

    def sources(self, positions: FloatArray, strengths: FloatArray) -> AnyArray:
        """Return the spectrum of point sources, still without the prefilter."""
        values = np.zeros(self.grid.shape, dtype=np.float32)
        spread(values, self.pixels_of(positions), strengths)
        return fft.rfft2(values, workers=1)

    def residual(self, spectra: Spectra | None, sources: AnyArray | None) -> AnyArray:
        """Return the spectrum of what the atoms leave of the image where it counts."""
        rows, columns = self.values.shape
        left = np.zeros(self.grid.shape, dtype=np.float32)
        inner = self.values
        if spectra is not None and sources is not None:
            model = fft.irfft2(sources * spectra.model, s=self.grid.shape, workers=1, overwrite_x=True)
            inner = self.values - model[:rows, :columns]
        np.multiply(inner, self.weight, out=left[:rows, :columns])
        spectrum: AnyArray = fft.rfft2(left, workers=1, overwrite_x=True)
        spectrum *= np.float32(self.grid.area)
        return spectrum

    def left(self, spectra: Spectra, positions: FloatArray, amplitudes: FloatArray) -> AnyArray:
        """Return the spectrum of what atoms leave of the image where it counts."""
        return self.residual(spectra, self.sources(positions, amplitudes))

    def correlated(self, spectra: Spectra, residual: AnyArray) -> Float32Array:
        """Return the splines of the residual's correlation with the atom, over the noise."""
        return self._inverse(residual * spectra.matched)

    def whitened(self, spectra: Spectra, residual: AnyArray) -> Float32Array:
        """Return the residual with noise of power 1 per area, (rows, columns) [1/Å]."""
        rows, columns = self.values.shape
        return self._inverse(residual * spectra.whitening)[:rows, :columns]

    def _inverse(self, spectrum: AnyArray) -> Float32Array:
        """Return what has a spectrum."""
        values: AnyArray = fft.irfft2(spectrum, s=self.grid.shape, workers=1, overwrite_x=True)
        values *= np.float32(1 / self.grid.area)
        return values

    def sampled(self, splines: Float32Array, positions: FloatArray) -> FloatArray:
        """Return value and slopes along x and y [1/Å] of splines at positions, (N, 3)."""
        result = np.empty((len(positions), 3))
        sample(splines, self.pixels_of(positions), result)
        result[:, 1] /= self.grid.sampling[1]
        result[:, 2] /= self.grid.sampling[0]
        return result


@njit(cache=True, nogil=True)
def mean_squares(  # pragma: no cover
    white: Float32Array, weight: Float32Array, pixels: FloatArray, radius: FloatArray, result: FloatArray
) -> None:
    """Fill in the weighted mean square within an ellipse around each (row, column); NaN where none counts."""
    rows, columns = white.shape
    for i in range(len(pixels)):
        total = area = 0.0
        row, column = pixels[i]
        for y in range(max(int(np.ceil(row - radius[0])), 0), min(int(row + radius[0]) + 1, rows)):
            for x in range(
                max(int(np.ceil(column - radius[1])), 0), min(int(column + radius[1]) + 1, columns)
            ):
                v, u = (y - row) / radius[0], (x - column) / radius[1]
                if u * u + v * v <= 1:
                    # The residual was weighted already: its variance is that of the noise times weight².
                    total += white[y, x] ** 2
                    area += weight[y, x] ** 2
        result[i] = total / area if area > 0.5 else np.nan
