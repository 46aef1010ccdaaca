"""Exit waves and images; abTEM's axis 0 is x, ours is y: the axes are swapped here and nowhere else.

Scattering factors, interaction constants and the container of waves are abTEM's, and so are the conventions;
the images agree with abTEM's own. The transforms are SciPy's on one thread: several times faster than those
that abTEM offers without plans that differ from run to run, and the bits do not depend on threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, special

from amorph2d.arrays import AnyArray, Float32Array, FloatArray, IntArray, as_image
from amorph2d.imaging.optics import Optics, wave_transfer, wavelength
from amorph2d.imaging.scattering import projected_scattering_factor

if TYPE_CHECKING:
    from abtem.waves import Waves

    ComplexArray = NDArray[np.complex64]

BAND_LIMIT = 2 / 3  # of the Nyquist frequency of the coarser axis: products of two such fields do not alias
TAPER = 0.02  # width of the limit's soft edge, in units of the Nyquist frequency
KERNEL_WIDTH = 6  # grid points over which an atom is spread, per axis
KERNEL_SHAPE = 12.3  # Kaiser–Bessel β for this width and band: aliases stay below 1e-5


def exit_wave(
    positions: ArrayLike,
    numbers: ArrayLike,
    *,
    box: tuple[float, float],
    shape: tuple[int, int],
    energy: float,
    slice_thickness: float = 2.0,
) -> Waves:
    """Return the exit wave of a periodic specimen under a plane wave, referred to the plane z = 0.

    Multislice: atoms are gathered, from the lowest z on, in slices no thicker than `slice_thickness`, and
    the potential of a slice acts in the plane of its mean z. Between these planes, and at the end back to
    z = 0, the wave propagates freely. So the defocus of the optics refers to the plane z = 0 whatever lies
    above or below it, a flat layer costs one slice and empty space next to nothing. An atom at z looks under
    a defocus f (underfocus positive) as one at 0 does under f + z, but that its contrast is damped by the
    angular spread as at f.

    Parameters
    ----------
    positions
        Atoms, (M, 3), x, y and z, or (M, 2) with z = 0; x and y are periodic, z > 0 lies further along the
        beam [Å].
    numbers
        Atomic numbers, (M,).
    box
        Edge lengths of the periodic box along x and y [Å].
    shape
        Rows and columns of the grid over the box.
    energy
        Electron energy [eV].
    slice_thickness
        Largest extent in z of the atoms that share a slice [Å].

    Returns
    -------
    Waves
        abTEM's wave on the grid, x first, as its spectrum (`reciprocal_space`). It is limited to 2/3 of the
        Nyquist frequency of the coarser axis, that is 0.333/sampling [1/Å], with a cosine edge of
        0.01/sampling inside of it, as in abTEM: an aperture above 0.323/sampling is cut by this limit.

    Raises
    ------
    ValueError
        If positions, numbers, box, shape or thickness are impossible.

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), doi:10.1007/978-3-030-33260-0;
    chapter 6. J. Madsen and T. Susi, Open Research Europe 1, 24 (2021),
    doi:10.12688/openreseurope.13015.2; scattering factors of I. Lobato and D. Van Dyck, Acta Cryst. A 70, 636
    (2014).
    """
    from abtem import Waves

    atoms, elements = _as_atoms(positions, numbers)
    if min(box) <= 0 or min(shape) < KERNEL_WIDTH:
        raise ValueError(
            f"box must be > 0 Å and shape at least {KERNEL_WIDTH} × {KERNEL_WIDTH}, got {box} and {shape}"
        )
    if slice_thickness <= 0:
        raise ValueError(f"slice_thickness must be > 0 Å, got {slice_thickness}")
    grid = _Grid(shape[0], shape[1], float(box[0]), float(box[1]))
    spectrum = _multislice(atoms, elements, grid, float(energy), slice_thickness)
    return Waves(spectrum.T, energy=energy, extent=(grid.width, grid.height), reciprocal_space=True)


def form_image(wave: Waves, optics: Optics) -> Float32Array:
    """Return the intensity of `wave` behind the `optics`, (rows, columns), mean about 1 for a thin sheet.

    Raises
    ------
    ValueError
        If wave and optics differ in their energy.
    """
    if wave.energy != optics.energy:
        raise ValueError(f"wave and optics must have one energy, got {wave.energy} and {optics.energy} eV")
    spectrum = wave.array.T if wave.reciprocal_space else fft.fft2(wave.array.T, workers=1)
    width, height = cast(tuple[float, float], wave.extent)
    qy, qx = _Grid(spectrum.shape[0], spectrum.shape[1], width, height).frequencies
    radius = optics.semiangle_cutoff * 1e-3 / wavelength(optics.energy)
    rows = np.flatnonzero(np.abs(qy) <= radius + 1 / height)
    columns = np.flatnonzero(np.abs(qx) <= radius + 1 / width)
    inside = np.ix_(rows, columns)
    qy, qx = qy[rows].astype(np.float32), qx[:, columns].astype(np.float32)
    transfer = wave_transfer(qx, qy, optics) * _aperture(qx, qy, radius, (1 / width, 1 / height))
    passed = np.zeros(spectrum.shape, np.complex64)
    passed[inside] = spectrum[inside] * transfer
    field = fft.ifft2(passed, workers=1, overwrite_x=True)
    return np.ascontiguousarray(field.real**2 + field.imag**2)


def resample_periodic(image: ArrayLike, shape: tuple[int, int]) -> Float32Array:
    """Return a periodic image on a grid of another `shape`; pixel (0, 0) keeps its centre.

    The spectrum is cut or padded: exact for an image that is limited to the Nyquist frequencies of both
    grids.
    """
    if min(shape) < 1:
        raise ValueError(f"shape must be at least 1 × 1, got {shape[0]} × {shape[1]}")
    resampled = as_image(image)
    for axis in (0, 1):
        resampled = _resampled(resampled, shape[axis], axis)
    return np.ascontiguousarray(resampled)


def _resampled(image: Float32Array, size: int, axis: int) -> Float32Array:
    """Resample one axis to `size` pixels."""
    former = image.shape[axis]
    if size == former:
        return image
    lines = np.moveaxis(fft.rfft(image, axis=axis, workers=1), axis, 0)
    kept = min(size, former) // 2 + 1
    spectrum = np.zeros((size // 2 + 1, lines.shape[1]), lines.dtype)
    spectrum[:kept] = lines[:kept] * (size / former)
    if min(size, former) % 2 == 0:
        # The Nyquist term of an even grid stands for both signs: cutting adds the two, padding parts them.
        spectrum[kept - 1] *= 2 if size < former else 0.5
    result: Float32Array = fft.irfft(np.moveaxis(spectrum, 0, axis), size, axis=axis, workers=1)
    return result


@dataclass(frozen=True)
class _Grid:
    """Rows and columns over a periodic box of a width and a height [Å]."""

    rows: int
    columns: int
    width: float
    height: float

    @property
    def frequencies(self) -> tuple[FloatArray, FloatArray]:
        """Frequencies along y, (rows, 1), and along x, (1, columns) [1/Å]."""
        qy = fft.fftfreq(self.rows, self.height / self.rows)
        return qy[:, None], fft.fftfreq(self.columns, self.width / self.columns)[None, :]

    def band(self) -> Float32Array:
        """Return what the band limit lets pass, (rows, columns)."""
        qy, qx = (q.astype(np.float32) for q in self.frequencies)
        nyquist = 0.5 / max(self.height / self.rows, self.width / self.columns)
        excess = np.sqrt(qx**2 + qy**2) / nyquist - BAND_LIMIT
        return np.where(
            excess > 0, 0, 0.5 - 0.5 * np.cos(np.pi * np.clip(excess / TAPER, -1, 0, dtype=np.float32))
        )

    def propagator(self, distance: float, lam: float) -> tuple[ComplexArray, ComplexArray]:
        """Fresnel propagator over `distance` along the beam [Å], as its factors along y and x."""
        qy, qx = self.frequencies
        along_y, along_x = (np.exp(-1j * np.pi * lam * distance * q**2) for q in (qy, qx))
        return along_y.astype(np.complex64), along_x.astype(np.complex64)


def _as_atoms(positions: ArrayLike, numbers: ArrayLike) -> tuple[FloatArray, IntArray]:
    """Atoms as (M, 3) and (M,)."""
    atoms, elements = np.asarray(positions, dtype=np.float64), np.asarray(numbers, dtype=np.int64)
    if atoms.size == 0:
        atoms = np.empty((0, 3))
    if atoms.ndim != 2 or atoms.shape[1] not in (2, 3) or not np.isfinite(atoms).all():
        raise ValueError(f"positions must be finite, (M, 3) or (M, 2), got the shape {atoms.shape}")
    if elements.shape != (len(atoms),):
        raise ValueError(f"numbers must have the shape ({len(atoms)},), got {elements.shape}")
    if atoms.shape[1] == 2:
        atoms = np.column_stack([atoms, np.zeros(len(atoms))])
    return atoms, elements


def _multislice(
    atoms: FloatArray, elements: IntArray, grid: _Grid, energy: float, thickness: float
) -> ComplexArray:
    """Spectrum of the exit wave in the plane z = 0, (rows, columns)."""
    from abtem.core.energy import energy2sigma

    lam, sigma, band = wavelength(energy), energy2sigma(energy), grid.band()
    potential = _Potential(grid, band)
    spectrum = np.zeros((grid.rows, grid.columns), np.complex64)
    spectrum[0, 0] = spectrum.size
    plane = None
    for members in _slices(atoms[:, 2], thickness):
        height = float(atoms[members, 2].mean())
        transmission = _phase_factor(sigma * potential.project(atoms[members], elements[members]))
        if plane is not None:
            _propagate(spectrum, grid, height - plane, lam)
            transmission *= fft.ifft2(spectrum, workers=1, overwrite_x=True)
        spectrum = fft.fft2(transmission, workers=1, overwrite_x=True)
        spectrum *= band
        plane = height
    _propagate(spectrum, grid, -(plane or 0.0), lam)
    return spectrum


def _slices(z: FloatArray, thickness: float) -> Iterator[IntArray]:
    """Members of each slice, from the lowest on; none extends further than `thickness`."""
    order = np.argsort(z, kind="stable")
    heights, start = z[order], 0
    while start < len(order):
        stop = int(np.searchsorted(heights, heights[start] + thickness, side="right"))
        yield order[start:stop]
        start = stop


def _propagate(spectrum: ComplexArray, grid: _Grid, distance: float, lam: float) -> None:
    """Propagate a wave freely, in place."""
    if distance != 0:
        along_y, along_x = grid.propagator(distance, lam)
        spectrum *= along_y
        spectrum *= along_x


def _phase_factor(phase: Float32Array) -> ComplexArray:
    """exp(i phase)."""
    factor = np.empty(phase.shape, np.complex64)
    np.cos(phase, out=factor.real)
    np.sin(phase, out=factor.imag)
    return factor


class _Potential:
    """Projected potentials on a grid, limited to its band.

    Atoms are spread over the grid with a Kaiser–Bessel kernel whose spectrum is divided out again, so that an
    atom between grid points scatters as one on them does; shared out linearly among its four neighbours, as
    in abTEM, it would lose 4 % of its contrast at 0.2 Å.

    References
    ----------
    J. A. Fessler and B. P. Sutton, IEEE Trans. Signal Process. 51, 560 (2003), doi:10.1109/TSP.2002.807005.
    """

    def __init__(self, grid: _Grid, band: Float32Array) -> None:
        self._grid = grid
        half = slice(0, grid.columns // 2 + 1)
        qy, qx = grid.frequencies
        self._k2 = qy**2 + np.abs(qx[:, half]) ** 2
        spread = _kernel_spectrum(qy * (grid.height / grid.rows)) * _kernel_spectrum(
            qx[:, half] * (grid.width / grid.columns)
        )
        pixel = grid.height * grid.width / (grid.rows * grid.columns)
        self._weight = np.where(band[:, half] > 0, 1 / (spread * pixel), 0)
        self._factors: dict[int, Float32Array] = {}

    def project(self, atoms: FloatArray, elements: IntArray) -> Float32Array:
        """Projected potential of atoms, (rows, columns) [V Å]."""
        shape = (self._grid.rows, self._grid.columns)
        spectrum: Any = 0
        for element in np.unique(elements):
            density = self._spread(atoms[elements == element])
            spectrum = spectrum + fft.rfft2(density, workers=1) * self._factor(int(element))
        projected: Float32Array = fft.irfft2(spectrum, s=shape, workers=1, overwrite_x=True)
        return projected

    def _factor(self, element: int) -> Float32Array:
        """Scattering factor of an element on the grid, the spreading divided out."""
        if element not in self._factors:
            factor = projected_scattering_factor(element)(self._k2)
            self._factors[element] = (factor * self._weight).astype(np.float32)
        return self._factors[element]

    def _spread(self, atoms: FloatArray) -> Float32Array:
        """Atoms spread over the grid, (rows, columns)."""
        grid = self._grid
        rows, along_y = _kernel_points(atoms[:, 1] * (grid.rows / grid.height), grid.rows)
        columns, along_x = _kernel_points(atoms[:, 0] * (grid.columns / grid.width), grid.columns)
        flat = rows[:, :, None] * grid.columns + columns[:, None, :]
        weights = along_y[:, :, None] * along_x[:, None, :]
        density = np.bincount(flat.ravel(), weights.ravel(), grid.rows * grid.columns)
        return density.reshape(grid.rows, grid.columns).astype(np.float32)


def _kernel_points(coordinates: FloatArray, size: int) -> tuple[IntArray, FloatArray]:
    """Grid points near periodic coordinates in pixels and their weights, (M, KERNEL_WIDTH)."""
    points = np.floor(coordinates)[:, None] + np.arange(1 - KERNEL_WIDTH // 2, KERNEL_WIDTH // 2 + 1)
    reach = 2 / KERNEL_WIDTH * (points - coordinates[:, None])
    weights = special.i0(KERNEL_SHAPE * np.sqrt(np.maximum(1 - reach**2, 0))) / special.i0(KERNEL_SHAPE)
    return points.astype(np.int64) % size, weights


def _kernel_spectrum(frequency: FloatArray) -> FloatArray:
    """Fourier transform of the kernel at frequencies below 0.5 [cycles/px]."""
    root = np.sqrt(np.asarray(KERNEL_SHAPE**2 - (np.pi * KERNEL_WIDTH * frequency) ** 2, dtype=np.float64))
    return KERNEL_WIDTH / special.i0(KERNEL_SHAPE) * np.sinh(root) / root


def _aperture(qx: AnyArray, qy: AnyArray, radius: float, step: tuple[float, float]) -> AnyArray:
    """Aperture of a radius [1/Å] with an edge as wide as the frequency step in its direction."""
    q = np.sqrt(qx**2 + qy**2)
    edge = np.sqrt((qx * step[0]) ** 2 + (qy * step[1]) ** 2) / np.maximum(q, 1e-9)
    return np.clip((radius - q) / np.maximum(edge, 1e-9) + 0.5, 0, 1)
