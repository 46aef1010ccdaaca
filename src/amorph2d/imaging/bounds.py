"""How precisely atoms can be located at best: the Cramér–Rao bound of their positions in an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, FloatArray, IntArray, as_points
from amorph2d.imaging.detector import modulation_transfer
from amorph2d.imaging.geometry import unit_vector
from amorph2d.imaging.optics import Optics, contrast_transfer_2d, wavelength
from amorph2d.imaging.recipes import LENGTH_SCALES
from amorph2d.imaging.scattering import CARBON, projected_scattering_factor
from amorph2d.imaging.simulated import OTHER, SimulatedImage

HEAVIEST = 96  # atomic number up to which scattering factors are known
NEIGHBOURHOOD = 5.0  # distance up to which the neighbours of an atom are unknown as well [Å]
TILE = 8.0  # edge of the squares whose atoms share one Fisher matrix with their neighbourhood [Å]
WRAP = 10.0  # empty space between a cluster and its periodic images, at least [Å]
SMALLEST_PERIOD = (
    30.0  # distance of these images, at least; less undersamples the transfer far from focus [Å]
)
REPORTED = 5.0  # radius of the patch of an image whose atoms count [Å]
SINGULAR = 1e-12  # eigenvalues, relative to the largest, below which nothing is known


@dataclass(frozen=True)
class Exposure:
    """What blurs and disturbs an image besides the optics; the names are those of a recipe's columns.

    Attributes
    ----------
    dose_per_area
        Electrons per area of the specimen [e⁻/Å²].
    sampling
        Size of the square pixels [Å/px].
    vibration
        Standard deviation of the blur by vibration [Å].
    drift, drift_direction
        Way during the exposure [Å] and its direction, from x towards y [°].
    mtf_floor, mtf_width, mtf_exponent
        Shape of the camera's MTF, see `amorph2d.imaging.detector.modulation_transfer`.
    readout_noise
        Standard deviation of what the readout adds, relative to the shot noise of a pixel of the mean.
    gain_noise
        Standard deviation of the relative gain from pixel to pixel.
    """

    dose_per_area: float
    sampling: float
    vibration: float = 0.0
    drift: float = 0.0
    drift_direction: float = 0.0
    mtf_floor: float = 1.0
    mtf_width: float = 1.0
    mtf_exponent: float = 2.0
    readout_noise: float = 0.0
    gain_noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("dose_per_area", "sampling"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("vibration", "drift", "readout_noise", "gain_noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be ≥ 0, got {getattr(self, name)}")


def position_bound(
    atoms: ArrayLike,
    *,
    optics: Optics,
    exposure: Exposure,
    numbers: ArrayLike = CARBON,
    neighbourhood: float = NEIGHBOURHOOD,
    are_amplitudes_known: bool = True,
) -> FloatArray:
    """Return the Cramér–Rao bound of the positions of atoms in an HRTEM image.

    No unbiased estimate of the positions from the image has a smaller standard deviation. The image is
    that of a weak phase object, I(r) = 1 + Σᵢ fᵢ(r − rᵢ), and an atom's own f follows from its scattering
    factor, the optics, vibration and drift. Shot noise of the mean intensity passes through the MTF with the
    signal; readout and gain add white noise after it. With the dose D, the MTF M, the pixels' mean number of
    electrons n and the relative noise r of the readout and g of the gain, the Fisher information is

    F(i,a; j,b) = D ∫ d²k (2π)² kₐ k_b fᵢ(k) fⱼ*(k) exp(2πi k·(rᵢ − rⱼ)) M² / (M² + r² + g² n),

    over the frequencies of the pixels, up to Nyquist along x and along y. The bound of an atom comes from
    the inverse of the matrix of the atom and all its neighbours: atoms that overlap disturb each other.

    Parameters
    ----------
    atoms
        Positions, (N, 2), x then y [Å].
    optics
        Optics of the microscope, taken as known.
    exposure
        Dose, pixels, blur and camera.
    numbers
        Atomic numbers, (N,), or one for all atoms.
    neighbourhood
        Atoms up to this distance, at least, are unknown together with an atom, those farther away count as
        known; the bound grows with it towards that of all atoms together. ``inf``: all of them, in a time
        that grows with the third power of their number [Å].
    are_amplitudes_known
        Whether the contrast of each atom is known; otherwise it is estimated with the positions.

    Returns
    -------
    FloatArray
        Root mean square over the two axes of the smallest standard deviation, (N,); ``inf`` where the image
        says nothing about an atom [Å per axis].

    Raises
    ------
    ValueError
        If shapes or numbers are impossible, or `neighbourhood` is negative.

    Notes
    -----
    Not included: the squares of the scattered wave and multiple scattering, the higher shot noise of bright
    places, heights above or below the plane of focus, folded frequencies beyond those of the pixels, the
    rounding of files, optics, dose and background that are not known, and atoms whose number or whose
    presence is doubtful. Where the bound is large it is too low: an estimate may then mistake one arrangement
    for another. A method that uses more than the image, such as known bond lengths, may do better, and so
    may one that is biased.

    References
    ----------
    S. M. Kay, Fundamentals of Statistical Signal Processing: Estimation Theory (1993), chapter 3; for HRTEM
    S. Van Aert, D. Van Dyck and A. J. den Dekker, Opt. Express 14, 3830 (2006), doi:10.1364/OE.14.003830.
    Images and noise are those of `amorph2d.imaging.optics.contrast_transfer_2d` and
    `amorph2d.imaging.detector.record`.
    """
    points = as_points(atoms, "atoms")
    elements = _as_elements(numbers, len(points))
    if not neighbourhood >= 0:
        raise ValueError(f"neighbourhood must be ≥ 0 Å, got {neighbourhood}")
    variances = np.empty((len(points), 2))
    for inner, members in _tiles(points, neighbourhood):
        band = _Band.of(optics, exposure, period=_period(points[members]))
        found = _variances(points[members], elements[members], band, are_amplitudes_known)
        variances[inner] = found[np.searchsorted(members, inner)]
    return np.asarray(np.sqrt(variances.mean(axis=1)))


def image_bound(image: SimulatedImage) -> float:
    """Return the Cramér–Rao bound of the positions of atoms in a simulated image.

    It is the root mean square of `position_bound` over the atoms of one patch, 5 Å around the atom next to
    the centre of the image, with their neighbourhood; atoms under other matter do not count. The recipe
    gives optics, dose, pixels, blur and camera, and the illumination at the patch scales the dose. All atoms
    count as carbon: between boron and nitrogen the mean bound is 3 % higher. Tilt, ripples, distortion,
    faulty pixels and what `position_bound` leaves out are left out.

    Returns
    -------
    float
        Bound [Å per axis]. NaN without an atom that counts, and for silica and polymers, whose nodes are no
        single atoms; ``inf`` if the image says nothing about an atom of the patch.
    """
    recipe, is_clear = image.recipe, ~_is_under_other(image)
    if image.length_scale != 1 or recipe.get("family") in LENGTH_SCALES or not is_clear.any():
        return float("nan")
    middle = (np.array(image.image.shape[::-1]) - 1) / 2 * image.sampling
    clear = image.atoms[is_clear]
    centre = clear[np.argmin(_distances(clear, middle))]
    distances = _distances(image.atoms, centre)
    is_near = distances <= REPORTED + NEIGHBOURHOOD
    row, column = np.rint(centre[::-1] / image.sampling).astype(np.int64)
    exposure = Exposure(**{name: recipe[name] for name in Exposure.__dataclass_fields__})
    lit = replace(exposure, dose_per_area=exposure.dose_per_area * float(image.illumination[row, column]))
    optics = Optics(**{name: recipe[name] for name in Optics.__dataclass_fields__})
    points = image.atoms[is_near]
    band = _Band.of(optics, lit, period=_period(points))
    variances = _variances(points, np.full(len(points), CARBON), band, True)
    is_reported = (is_clear & (distances <= REPORTED))[is_near]
    return float(np.sqrt(variances[is_reported].mean()))


@dataclass(frozen=True, eq=False)
class _Band:
    """Frequencies of a periodic image, one of each pair ±k, and what an atom leaves at them.

    `strength` is the amplitude, in units of the noise and over the atom's phase, of an atom's Fourier
    components: its square is the Fisher information on them.
    """

    rows: IntArray  # places of the frequencies in `along_y` and `along_x`
    columns: IntArray
    along_y: FloatArray  # [1/Å]
    along_x: FloatArray
    strength: FloatArray
    energy: float

    @classmethod
    def of(cls, optics: Optics, exposure: Exposure, *, period: float) -> _Band:
        """Band of a square image at least `period` wide, of an odd number of pixels: Nyquist between two."""
        half = int(np.ceil(period / exposure.sampling / 2))
        step = 1 / ((2 * half + 1) * exposure.sampling)
        along_y: FloatArray = step * np.arange(-half, half + 1, dtype=np.float64)
        along_x = along_y[half:]
        qy, qx = along_y[:, None], along_x[None, :]
        weight = _passed_share(qx, qy, step, optics) * ((qx > 0) | (qy > 0))
        rows, columns = np.nonzero(weight)
        qy, qx = along_y[rows], along_x[columns]
        contrast = _phase_contrast(qx, qy, optics) * _blur(qx, qy, exposure)
        precision = 2 * exposure.dose_per_area * step**2 * weight[rows, columns]
        strength = contrast * np.sqrt(precision * _efficiency(np.hypot(qx, qy), exposure))
        return cls(rows, columns, along_y, along_x, strength, optics.energy)


def _passed_share(qx: FloatArray, qy: FloatArray, step: float, optics: Optics) -> FloatArray:
    """Share of the cell of each frequency that lies within the aperture."""
    radius = optics.semiangle_cutoff * 1e-3 / wavelength(optics.energy)
    return np.clip((radius - np.hypot(qx, qy)) / step + 0.5, 0, 1)


def _phase_contrast(qx: FloatArray, qy: FloatArray, optics: Optics) -> FloatArray:
    """Contrast per phase of the object; the aperture is counted apart."""
    return 2 * np.abs(contrast_transfer_2d(qx, qy, replace(optics, semiangle_cutoff=np.inf)))


def _blur(qx: FloatArray, qy: FloatArray, exposure: Exposure) -> FloatArray:
    """Transfer of vibration and drift."""
    along_x, along_y = unit_vector(exposure.drift_direction)
    vibration = np.exp(-2 * (np.pi * exposure.vibration) ** 2 * (qx**2 + qy**2))
    return vibration * np.sinc(exposure.drift * (along_x * qx + along_y * qy))


def _efficiency(frequency: FloatArray, exposure: Exposure) -> FloatArray:
    """Return the detective quantum efficiency M² / (M² + r² + g² n)."""
    transfer = modulation_transfer(
        2 * exposure.sampling * frequency,
        floor=exposure.mtf_floor,
        width=exposure.mtf_width,
        exponent=exposure.mtf_exponent,
    )
    electrons = exposure.dose_per_area * exposure.sampling**2
    white = exposure.readout_noise**2 + exposure.gain_noise**2 * electrons
    return transfer**2 / (transfer**2 + white)


def _as_elements(numbers: ArrayLike, n_atoms: int) -> IntArray:
    """Atomic numbers of all atoms, (N,)."""
    elements = np.asarray(numbers, dtype=np.int64)
    if elements.ndim and elements.shape != (n_atoms,):
        raise ValueError(f"numbers must be one or have the shape ({n_atoms},), got {elements.shape}")
    if elements.size and not 1 <= elements.min() <= elements.max() <= HEAVIEST:
        raise ValueError(f"numbers must lie in 1 … {HEAVIEST}, got {elements.min()} … {elements.max()}")
    return np.broadcast_to(elements, (n_atoms,))


def _variances(points: FloatArray, elements: IntArray, band: _Band, are_amplitudes_known: bool) -> FloatArray:
    """Smallest variances along x and y of atoms of one periodic image, (N, 2) [Å²]."""
    from abtem.core.energy import energy2sigma

    kinds, kind = np.unique(elements, return_inverse=True)
    ky, kx = band.along_y[band.rows], band.along_x[band.columns]
    potentials = np.array([projected_scattering_factor(int(number))(kx**2 + ky**2) for number in kinds])
    strengths = energy2sigma(band.energy) * band.strength * potentials
    waves = np.take(np.exp(2j * np.pi * points[:, :1] * band.along_x), band.columns, axis=1)
    waves *= np.take(np.exp(2j * np.pi * points[:, 1:] * band.along_y), band.rows, axis=1)
    waves *= strengths[kind]
    turned = 2j * np.pi * waves
    changes = np.concatenate([turned * kx, turned * ky, waves][: 2 if are_amplitudes_known else 3])
    rows = changes.view(np.float64)  # real and imaginary part of a frequency as two data
    return _inverse_diagonal(rows @ rows.T)[: 2 * len(points)].reshape(2, -1).T


def _tiles(points: FloatArray, neighbourhood: float) -> Iterator[tuple[IntArray, IntArray]]:
    """Atoms of each square tile, and these with their neighbourhood; both ascending."""
    if len(points) == 0:
        return
    corner, everything = points.min(axis=0), np.arange(len(points))
    edge = TILE if np.isfinite(neighbourhood) else np.inf
    _, tile = np.unique(np.floor((points - corner) / edge), axis=0, return_inverse=True)
    for number in range(tile.max() + 1):
        inner = everything[tile == number]
        low, high = points[inner].min(axis=0), points[inner].max(axis=0)
        outside = np.maximum(np.maximum(low - points, points - high), 0)
        yield inner, everything[_distances(outside, np.zeros(2)) <= neighbourhood]


def _period(points: FloatArray) -> float:
    """Width of a periodic image in which a cluster does not notice its images [Å]."""
    return max(float(np.ptp(points, axis=0).max()) + WRAP, SMALLEST_PERIOD)


def _distances(points: FloatArray, centre: FloatArray) -> FloatArray:
    """Distances of points from a centre."""
    return np.asarray(np.hypot(*(points - centre).T))


def _is_under_other(image: SimulatedImage) -> BoolArray:
    """Say which atoms lie under other matter, by the mask where there is one."""
    if image.mask is None:
        return np.zeros(len(image.atoms), dtype=np.bool_)
    columns, rows = np.rint(image.atoms.T / image.sampling).astype(np.int64)
    return np.asarray(image.mask[rows, columns] == OTHER)


def _inverse_diagonal(information: FloatArray) -> FloatArray:
    """Diagonal of the inverse of a positive semidefinite matrix; ``inf`` for what it says nothing about."""
    values, vectors = np.linalg.eigh(information)
    shares = vectors**2
    is_null = values <= SINGULAR * values[-1]
    diagonal = shares[:, ~is_null] @ (1 / values[~is_null])
    return np.where(shares[:, is_null].sum(axis=1) > np.sqrt(SINGULAR), np.inf, diagonal)
