"""Images by abTEM from end to end: potential, multislice, lens, dose; the camera by SciPy.

abTEM's axis 0 is x. Optics, exposure and camera differ in form from the project's where they can: the defocus
is Scherzer's formula, the camera a sum of Gaussians times the pixel's own transfer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from scenes.structures import Structure

MARGIN = 10.0  # of the specimen around the field, at whose end it jumps [Å]
FLAT = 2.5  # depth up to which a specimen is one slice [Å]
SLICE = 1.5  # [Å]
ROOM = 2.0  # empty space below and above the specimen [Å]
CAMERAS = {"counting": ((1.0, 3.0),), "scintillator": ((0.75, 0.75), (0.25, 0.15))}  # weight, width [Nyquist]


@dataclass(frozen=True)
class Conditions:
    """How one image is taken; the names are those of a recipe where it has them."""

    energy: float
    Cs: float
    dose_per_area: float
    sampling: float
    size: int
    seed: int
    defocus_error: float = 0.0
    focal_spread: float = 30.0
    angular_spread: float = 0.3
    semiangle_cutoff: float = 50.0
    astigmatism: float = 0.0
    vibration: float = 0.1
    gradient: float = 0.0
    vignetting: float = 0.0
    camera: str = "scintillator"
    trefoil: float = 0.0
    trefoil_angle: float = 0.0
    coma: float = 0.0
    coma_angle: float = 0.0

    @property
    def bright_atoms(self) -> bool:
        """Atoms are bright with a negative Cs and overfocus."""
        return self.Cs < 0

    @property
    def defocus(self) -> float:
        """Scherzer's defocus 1.2 √(Cs λ), of the sign of Cs, and its error; underfocus positive [Å]."""
        from abtem.core.energy import energy2wavelength

        scherzer = 1.2 * np.sqrt(abs(self.Cs) * energy2wavelength(self.energy))
        return float(np.sign(self.Cs) * scherzer + self.defocus_error)


def noise_free(structure: Structure, conditions: Conditions, *, oversampling: int) -> np.ndarray:
    """Return the intensity over a whole structure whose extent is that of the field with margins."""
    import abtem
    from ase import Atoms

    n = conditions.size + 2 * margin_pixels(conditions)
    edge = n * conditions.sampling
    depth = np.ptp(structure.positions[:, 2])
    is_deep = depth > FLAT
    height = depth + 2 * ROOM
    low = structure.positions[:, 2].min() - ROOM
    atoms = Atoms(structure.numbers, structure.positions - [0, 0, low], cell=[edge, edge, height], pbc=True)
    potential = abtem.Potential(
        atoms, gpts=oversampling * n, slice_thickness=SLICE if is_deep else height, projection="infinite"
    )
    wave = abtem.PlaneWave(energy=conditions.energy).multislice(potential, lazy=False)
    # The wave has left through the bottom of the cell: the lens is focused back on z = 0, the sheet. A
    # specimen in one slice acts at the entrance of this slice.
    propagated = height + low if is_deep else height
    lens = abtem.CTF(
        energy=conditions.energy, Cs=conditions.Cs, defocus=conditions.defocus + propagated,
        C12=conditions.astigmatism, phi12=0.3,
        C23=conditions.trefoil, phi23=np.deg2rad(conditions.trefoil_angle),
        C21=conditions.coma, phi21=np.deg2rad(conditions.coma_angle), focal_spread=conditions.focal_spread,
        angular_spread=conditions.angular_spread, semiangle_cutoff=conditions.semiangle_cutoff,
    )  # fmt: skip
    image = wave.apply_ctf(lens).intensity()
    smeared = ndimage.gaussian_filter(
        np.asarray(image.array, np.float64),
        conditions.vibration / conditions.sampling * oversampling,
        mode="wrap",
    )
    blurred = abtem.Images(smeared.astype(np.float32), sampling=image.sampling)
    return np.asarray(blurred.interpolate(gpts=(n, n)).array if oversampling > 1 else blurred.array).T


def light(conditions: Conditions) -> np.ndarray:
    """Return the illumination of the field, mean 1: a plane times the Gaussian of the vignetting."""
    rng = np.random.default_rng(conditions.seed + 1_000_000)
    angle, centre = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.2, 2)
    y, x = np.mgrid[-0.5 : 0.5 : conditions.size * 1j, -0.5 : 0.5 : conditions.size * 1j]
    along = x * np.cos(angle) + y * np.sin(angle)
    field = 1 + conditions.gradient * along / np.ptp(along)
    if conditions.vignetting:
        farthest = 2 * (0.5 + abs(centre).max()) ** 2
        squares = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / farthest
        field *= (1 - conditions.vignetting) ** squares
    return (field / field.mean()).astype(np.float32)


def exposed(intensity: np.ndarray, conditions: Conditions) -> tuple[np.ndarray, np.ndarray]:
    """Return the image, in electrons per pixel, of a field with margins, and its illumination."""
    import abtem

    n, reach = margin_pixels(conditions), 16
    illumination = light(conditions)
    seen = intensity[n - reach : -(n - reach), n - reach : -(n - reach)]
    lit = np.maximum(seen * np.pad(illumination, reach, mode="edge"), 0)
    electrons = abtem.Images(lit.astype(np.float32), sampling=conditions.sampling).poisson_noise(
        dose_per_area=conditions.dose_per_area, seed=conditions.seed
    )
    recorded = camera(np.asarray(electrons.array, np.float64), CAMERAS[conditions.camera])
    return recorded[reach:-reach, reach:-reach].astype(np.float32), illumination


def camera(electrons: np.ndarray, gaussians: tuple[tuple[float, float], ...]) -> np.ndarray:
    """Return what a camera makes of the electrons: Gaussians in frequency times the pixel's sinc."""
    qy, qx = 2 * fft.fftfreq(electrons.shape[0])[:, None], 2 * fft.rfftfreq(electrons.shape[1])[None, :]
    squares = qy**2 + qx**2
    transfer = sum(weight * np.exp(-squares / width**2) for weight, width in gaussians)
    transfer = transfer * np.sinc(qy / 2) * np.sinc(qx / 2)
    return fft.irfft2(fft.rfft2(electrons) * transfer, s=electrons.shape)


def margin_pixels(conditions: Conditions) -> int:
    """Return the pixels of the specimen on each side of the field."""
    return int(np.ceil(MARGIN / conditions.sampling))


def extent(conditions: Conditions) -> float:
    """Return the edge of the specimen that an image needs [Å]."""
    return (conditions.size + 2 * margin_pixels(conditions)) * conditions.sampling
