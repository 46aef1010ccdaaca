"""Optics of the microscope: contrast transfer and the image of an exit wave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray


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
        Aberrations C12, C23, C21 [Å] and their directions [°].
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
    eq. 2.5.
    """
    from ase import units

    if energy <= 0:
        raise ValueError(f"energy must be > 0 eV, got {energy}")
    rest_energy = units._me * units._c**2 / units._e
    return 1e10 * units._hplanck * units._c / units._e / np.sqrt(energy * (2 * rest_energy + energy))


def phase_shift(frequency: ArrayLike, optics: Optics) -> FloatArray:
    """Return the round aberration phase χ = −πλΔf q² + ½πCs λ³ q⁴ [rad] at `frequency` q [1/Å].

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), doi:10.1007/978-3-030-33260-0;
    eq. 2.10.
    """
    q = np.asarray(frequency, dtype=np.float64)
    lam = wavelength(optics.energy)
    return np.pi * lam * q**2 * (0.5 * optics.Cs * lam**2 * q**2 - optics.defocus)


def coherence_envelope(frequency: ArrayLike, optics: Optics) -> FloatArray:
    """Return the quasi-coherent envelope of focal and angular spread at `frequency` [1/Å], 1 at the origin.

    References
    ----------
    R. H. Wade and J. Frank, Optik 49, 81 (1977); in the form of E. J. Kirkland (2020), section 3.2, with the
    1/e half width of the focal spread.
    """
    q = np.asarray(frequency, dtype=np.float64)
    lam = wavelength(optics.energy)
    temporal = np.exp(-((0.5 * np.pi * lam * optics.focal_spread * q**2) ** 2))
    slope = np.pi * optics.angular_spread * 1e-3 * (optics.Cs * lam**2 * q**3 - optics.defocus * q)
    return temporal * np.exp(-(slope**2))


def contrast_transfer(frequency: ArrayLike, optics: Optics) -> FloatArray:
    """Return the weak-phase contrast transfer at `frequency` [1/Å]; positive where atoms look bright.

    The image of a weak phase object φ, positive at atoms, is 1 + F⁻¹[2 T(q) φ(q)] with T = sin χ · envelope
    · aperture.

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), doi:10.1007/978-3-030-33260-0;
    section 3.1.
    """
    q = np.asarray(frequency, dtype=np.float64)
    inside = q * wavelength(optics.energy) * 1e3 <= optics.semiangle_cutoff
    return np.sin(phase_shift(q, optics)) * coherence_envelope(q, optics) * inside


def matched_defocus(optics: Optics, *, bright_atoms: bool, band: tuple[float, float] = (0.35, 0.9)) -> float:
    """Return the defocus [Å] that transfers `band` [1/Å] most strongly with atoms bright or dark.

    It maximises the mean transfer over the band in which neighbouring atoms of a carbon sheet are told
    apart; of the optics, the defocus alone is ignored.
    """
    q = np.linspace(*band, 56)[None, :]
    candidates = np.linspace(-300, 300, 301)
    lam = wavelength(optics.energy)
    chi = np.pi * lam * q**2 * (0.5 * optics.Cs * lam**2 * q**2 - candidates[:, None])
    slope = np.pi * optics.angular_spread * 1e-3 * (optics.Cs * lam**2 * q**3 - candidates[:, None] * q)
    temporal = np.exp(-((0.5 * np.pi * lam * optics.focal_spread * q**2) ** 2))
    transfer = (np.sin(chi) * temporal * np.exp(-(slope**2))).mean(axis=1)
    return float(candidates[np.argmax(transfer if bright_atoms else -transfer)])
