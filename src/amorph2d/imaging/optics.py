"""Optics of the microscope: aberrations, coherence and the contrast that they transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import AnyArray, FloatArray
from amorph2d.imaging.geometry import unit_vector


@dataclass(frozen=True)
class Optics:
    """Conditions under which an image is taken.

    Attributes
    ----------
    energy
        Electron energy [eV].
    defocus
        Defocus, underfocus positive [Å].
    Cs
        Spherical aberration [Å].
    focal_spread
        1/e half width of the focal spread [Å].
    angular_spread
        Angular spread of the illumination [mrad].
    semiangle_cutoff
        Objective aperture [mrad].
    astigmatism, trefoil, coma
        Aberrations C12, C23, C21 [Å] and their directions, from x towards y [°].
    C5
        Spherical aberration of fifth order [Å].
    """

    energy: float
    defocus: float
    Cs: float
    focal_spread: float
    angular_spread: float
    semiangle_cutoff: float
    astigmatism: float = 0.0
    astigmatism_angle: float = 0.0
    trefoil: float = 0.0
    trefoil_angle: float = 0.0
    coma: float = 0.0
    coma_angle: float = 0.0
    C5: float = 0.0

    def __post_init__(self) -> None:
        for name in ("energy", "semiangle_cutoff"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("focal_spread", "angular_spread"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be ≥ 0, got {getattr(self, name)}")


def wavelength(energy: float) -> float:
    """Return the relativistic electron wavelength [Å] at `energy` [eV].

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), doi:10.1007/978-3-030-33260-0;
    chapter 2.
    """
    from ase import units

    if energy <= 0:
        raise ValueError(f"energy must be > 0 eV, got {energy}")
    rest_energy = units._me * units._c**2 / units._e
    momentum = np.sqrt(energy * (2 * rest_energy + energy))
    return float(1e10 * units._hplanck * units._c / units._e / momentum)


def phase_shift(frequency: ArrayLike, optics: Optics) -> FloatArray:
    """Return the round aberration phase χ at `frequency` q [1/Å] in rad.

    χ = −πλΔf q² + ½πCs λ³ q⁴ + ⅓πC5 λ⁵ q⁶.

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), doi:10.1007/978-3-030-33260-0;
    chapter 2.
    """
    return _round_phase(np.asarray(frequency, dtype=np.float64), optics.defocus, optics)


def coherence_envelope(frequency: ArrayLike, optics: Optics) -> FloatArray:
    """Return the quasi-coherent envelope of round optics at `frequency` [1/Å], 1 at the origin.

    It is the product of the envelopes of focal and angular spread, both given as 1/e half widths.

    References
    ----------
    R. H. Wade and J. Frank, Optik 49, 81 (1977); in the form of E. J. Kirkland (2020), section 3.2, with the
    1/e half width of the focal spread.
    """
    return _round_envelope(np.asarray(frequency, dtype=np.float64), optics.defocus, optics)


def contrast_transfer(frequency: ArrayLike, optics: Optics) -> FloatArray:
    """Return the weak-phase contrast transfer of round optics; positive where atoms look bright.

    The image of a weak phase object φ, positive at atoms, is 1 + F⁻¹[2 T(q) φ(q)] with T = sin χ · envelope
    · aperture, at `frequency` q [1/Å].

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), doi:10.1007/978-3-030-33260-0;
    section 3.1.
    """
    q = np.asarray(frequency, dtype=np.float64)
    return np.sin(phase_shift(q, optics)) * coherence_envelope(q, optics) * _passes(q, optics)


def wave_transfer(qx: ArrayLike, qy: ArrayLike, optics: Optics) -> NDArray[Any]:
    """Return what the lens multiplies the spectrum of the exit wave with, aperture excepted.

    H(q) = E(q) exp(−iχ(q)) with all aberrations of `optics`:
    χ = 2π/λ · [½α²(−Δf + C12 cos 2(φ−φ12)) + ⅓α³(C21 cos(φ−φ21) + C23 cos 3(φ−φ23)) + ¼Cs α⁴ + ⅙C5 α⁶],
    α = λ|q| and φ from x towards y. The envelope E of the angular spread follows the gradient of χ.

    Parameters
    ----------
    qx, qy
        Frequencies along x and y, broadcast against each other; single precision is kept [1/Å].

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), doi:10.1007/978-3-030-33260-0;
    chapters 2 and 3; symbols and signs are abTEM's.
    """
    lam = wavelength(optics.energy)
    x, y = lam * _floating(qx), lam * _floating(qy)
    r2 = x**2 + y**2
    path, along_x, along_y = _path_difference(x, y, r2, optics)
    spread = np.pi / lam * optics.angular_spread * 1e-3
    envelope = np.exp(
        -((0.5 * np.pi / lam * optics.focal_spread * r2) ** 2) - spread**2 * (along_x**2 + along_y**2)
    )
    chi = 2 * np.pi / lam * path
    transfer = np.empty(chi.shape, np.result_type(chi, np.complex64))
    transfer.real = envelope * np.cos(chi)
    transfer.imag = -envelope * np.sin(chi)
    return transfer


def contrast_transfer_2d(qx: ArrayLike, qy: ArrayLike, optics: Optics) -> NDArray[np.complex128]:
    """Return the weak-phase contrast transfer of all aberrations, complex.

    The image of a weak phase object φ is 1 + F⁻¹[2 T(q) φ(q)] with
    T(q) = (i/2) [A(q) H(q) − A(−q) H*(−q)], H from `wave_transfer` and A the aperture. Without coma and
    trefoil χ is even and T = sin χ · envelope · aperture, real; odd aberrations turn its phase: details are
    displaced. T(−q) = T*(q), as the image is real.

    Parameters
    ----------
    qx, qy
        Frequencies along x and y, broadcast against each other [1/Å].
    """
    x, y = np.asarray(qx, dtype=np.float64), np.asarray(qy, dtype=np.float64)
    transfer = 0.5j * (wave_transfer(x, y, optics) - wave_transfer(-x, -y, optics).conj())
    return transfer * _passes(np.hypot(x, y), optics)


def matched_defocus(optics: Optics, *, bright_atoms: bool, band: tuple[float, float] = (0.35, 0.9)) -> float:
    """Return the defocus [Å] that transfers `band` [1/Å] most strongly with atoms bright or dark.

    It maximises the mean transfer over the band in which neighbouring atoms of a carbon sheet are told
    apart. Of the optics the round aberrations and the coherence count; defocus and aperture are ignored.
    The search covers ±300 Å, and more where a large Cs or C5 has to be balanced: the defocus that cancels
    the slope of their phase at the upper end of the band.
    """
    q = np.linspace(*band, 56)[None, :]
    theta = wavelength(optics.energy) * band[1]
    reach = max(300.0, 2 * np.ceil(abs(optics.Cs * theta**2 + optics.C5 * theta**4) / 2))
    candidates = np.linspace(-reach, reach, int(reach) + 1)
    transfer = np.sin(_round_phase(q, candidates[:, None], optics))
    transfer *= _round_envelope(q, candidates[:, None], optics)
    mean = transfer.mean(axis=1)
    return float(candidates[np.argmax(mean if bright_atoms else -mean)])


def _floating(value: ArrayLike) -> AnyArray:
    """`value` as an array of single or double precision."""
    array = np.asarray(value)
    return array if array.dtype == np.float32 else array.astype(np.float64)


def _passes(frequency: FloatArray, optics: Optics) -> NDArray[np.bool_]:
    """Whether the objective aperture lets `frequency` pass."""
    return frequency * wavelength(optics.energy) * 1e3 <= optics.semiangle_cutoff


def _round_phase(q: FloatArray, defocus: float | FloatArray, optics: Optics) -> FloatArray:
    """χ of the round aberrations; `defocus` may be many, broadcast against `q`."""
    a2 = (wavelength(optics.energy) * q) ** 2
    return np.pi / wavelength(optics.energy) * a2 * (optics.Cs / 2 * a2 + optics.C5 / 3 * a2**2 - defocus)


def _round_envelope(q: FloatArray, defocus: float | FloatArray, optics: Optics) -> FloatArray:
    """Envelope of the round aberrations; `defocus` may be many, broadcast against `q`."""
    lam = wavelength(optics.energy)
    a2 = (lam * q) ** 2
    temporal = (0.5 * np.pi / lam * optics.focal_spread * a2) ** 2
    slope = np.pi * optics.angular_spread * 1e-3 * q * (optics.Cs * a2 + optics.C5 * a2**2 - defocus)
    return np.asarray(np.exp(-temporal - slope**2))


def _path_difference(
    x: AnyArray, y: AnyArray, r2: AnyArray, optics: Optics
) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Path difference χλ/2π [Å] at the angles x and y [rad], and its derivatives by them."""
    cos2, sin2 = unit_vector(2 * optics.astigmatism_angle)
    cos3, sin3 = unit_vector(3 * optics.trefoil_angle)
    cos1, sin1 = unit_vector(optics.coma_angle)
    across, mixed, radial = x**2 - y**2, 2 * x * y, cos1 * x + sin1 * y
    slope = -optics.defocus + optics.Cs * r2 + optics.C5 * r2**2
    along_x = slope * x + optics.astigmatism * (cos2 * x + sin2 * y)
    along_y = slope * y + optics.astigmatism * (sin2 * x - cos2 * y)
    path = r2 * (-optics.defocus / 2 + optics.Cs / 4 * r2 + optics.C5 / 6 * r2**2)
    path = path + optics.astigmatism / 2 * (cos2 * across + sin2 * mixed)
    if optics.coma or optics.trefoil:
        threefold_x, threefold_y = cos3 * across + sin3 * mixed, sin3 * across - cos3 * mixed
        along_x = along_x + optics.coma / 3 * (2 * x * radial + cos1 * r2) + optics.trefoil * threefold_x
        along_y = along_y + optics.coma / 3 * (2 * y * radial + sin1 * r2) + optics.trefoil * threefold_y
        path = path + (optics.coma * r2 * radial + optics.trefoil * (x * threefold_x + y * threefold_y)) / 3
    return path, along_x, along_y
