"""The image of the atoms found in a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft

from amorph2d.arrays import Float32Array, FloatArray, as_points
from amorph2d.imaging.optics import Optics
from amorph2d.imaging.waves import exit_wave, form_image, resample_periodic
from amorph2d.units import as_sampling

if TYPE_CHECKING:
    from abtem.waves import Waves

CARBON = 6
WAVE_SAMPLING = 0.2  # of the exit wave, whatever the image's [Å/px]
MARGIN = 8.0  # of empty space around a window, at least, for its sides not to see each other [Å]


@dataclass(frozen=True, eq=False)
class SheetWave:
    """Exit wave of the atoms in and around a window, in a periodic box that is wider than it.

    Attributes
    ----------
    wave
        abTEM's wave.
    energy
        Electron energy [eV].
    shape
        Rows and columns of the window [px].
    box_shape
        Rows and columns of the box [px].
    sampling
        Along y and x [Å/px].
    corner
        Row and column of the box at which the window starts [px].
    """

    wave: Waves
    energy: float
    shape: tuple[int, int]
    box_shape: tuple[int, int]
    sampling: tuple[float, float]
    corner: tuple[int, int]

    @property
    def frequencies(self) -> tuple[FloatArray, FloatArray]:
        """Frequencies along y, (rows, 1), and x, (1, columns / 2 + 1), of the box [1/Å]."""
        qy = fft.fftfreq(self.box_shape[0], self.sampling[0])
        return qy[:, None], fft.rfftfreq(self.box_shape[1], self.sampling[1])[None, :]

    def phase(self) -> Float32Array:
        """Return the phase of the wave at the pixels of the box, (rows, columns) [rad]."""
        field = fft.ifft2(self.wave.array.T, workers=1)
        return resample_periodic(np.angle(field), self.box_shape)

    def intensity(self, optics: Optics, *, blur: float) -> Float32Array:
        """Return the noise-free image of the box, 1 where there are no atoms, (rows, columns).

        Parameters
        ----------
        optics
            Of the energy of the wave.
        blur
            Standard deviation of what camera and vibration blur [Å].
        """
        image = resample_periodic(form_image(self.wave, optics), self.box_shape)
        qy, qx = self.frequencies
        spectrum = fft.rfft2(image, workers=1) * gaussian_transfer(qy, qx, blur)
        blurred: Float32Array = fft.irfft2(spectrum, s=self.box_shape, workers=1, overwrite_x=True)
        return blurred

    def window(self, image: Float32Array) -> Float32Array:
        """Cut the window out of an image of the box."""
        (top, left), (rows, columns) = self.corner, self.shape
        return image[top : top + rows, left : left + columns]


def gaussian_transfer(qy: FloatArray, qx: FloatArray, sigma: float) -> Float32Array:
    """Return what a Gaussian of a standard deviation [Å] leaves of frequencies [1/Å]."""
    along_y, along_x = (np.exp(-2 * (np.pi * sigma * q) ** 2).astype(np.float32) for q in (qy, qx))
    return along_y * along_x


def sheet_wave(
    atoms: ArrayLike, *, shape: tuple[int, int], sampling: tuple[float, float], energy: float
) -> SheetWave:
    """Return the exit wave of a flat sheet of carbon in a window.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y; the origin is the centre of the window's pixel (0, 0). Atoms farther
        outside than half the empty space around the window are left out [Å].
    shape
        Rows and columns of the window [px].
    sampling
        Along y and x, > 0 [Å/px].
    energy
        Electron energy [eV].
    """
    points, steps = as_points(atoms, "atoms"), as_sampling(sampling)
    pads = [int(np.ceil(MARGIN / step)) for step in steps]
    rows, columns = (fft.next_fast_len(n + 2 * pad, real=True) for n, pad in zip(shape, pads, strict=True))
    corner = ((rows - shape[0]) // 2, (columns - shape[1]) // 2)
    reach = np.array(corner[::-1]) * steps[::-1] / 2
    last = (np.array(shape[::-1]) - 1) * steps[::-1]
    is_near = ((points >= -reach) & (points <= last + reach)).all(axis=1)
    box = (columns * steps[1], rows * steps[0])
    wave = exit_wave(
        points[is_near] + np.array(corner[::-1]) * steps[::-1],
        np.full(np.count_nonzero(is_near), CARBON),
        box=box,
        shape=(
            fft.next_fast_len(int(np.ceil(box[1] / WAVE_SAMPLING))),
            fft.next_fast_len(int(np.ceil(box[0] / WAVE_SAMPLING))),
        ),
        energy=energy,
    )
    return SheetWave(wave, energy, shape, (rows, columns), steps, corner)
