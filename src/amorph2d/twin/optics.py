"""The optics under which the atoms that were found give the image."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from amorph2d.arrays import AnyArray, Float32Array, FloatArray
from amorph2d.imaging.optics import Optics, contrast_transfer_2d, wavelength
from amorph2d.twin.simulate import SheetWave, gaussian_transfer

BAND = (0.15, 1.3)  # frequencies that are compared [1/Å]
CELL = 0.03  # width of the cells in which the transfer is taken as constant [1/Å]
SECTORS = 12  # of half a turn
MODEL_ERROR = 0.02  # of a measured transfer, relative to a typical one: what the model leaves out
ROUNDS = 2  # of correction for what is not linear
STARTS = 5
STEPS = 40  # of the last fit
QUICK = 15  # steps from each of them
USUAL_TRANSFER = 0.55  # root mean square of sin χ times the envelopes, where the image shows atoms well
ANGULAR_SPREAD = 0.3  # not told from other damping [mrad]
APERTURE = 100.0  # wider than any camera's or wave's limit [mrad]

NAMES = (
    "contrast", "defocus", "Cs", "astigmatism_x", "astigmatism_y", "focal_spread", "blur", "coma_x", "coma_y",
    "trefoil_x", "trefoil_y",
)  # fmt: skip
CONTRAST, DEFOCUS, CS, FOCAL_SPREAD, BLUR = 0, 1, 2, 5, 6


@dataclass(frozen=True, eq=False)
class Transfer:
    """Contrast per phase, measured in cells of frequency.

    Attributes
    ----------
    qx, qy
        Mean frequency of each cell, weighted with the object's power, (N,) [1/Å].
    values
        Transfer, (N,); the image of a weak phase object φ is F⁻¹[values · φ(q)].
    errors
        Standard error of real and imaginary part, (N,).
    """

    qx: FloatArray
    qy: FloatArray
    values: NDArray[np.complex128]
    errors: FloatArray


@dataclass(frozen=True, eq=False)
class FittedOptics:
    """Optics of an image.

    Attributes
    ----------
    optics
        Aberrations and coherence.
    blur
        Standard deviation of what camera and vibration blur [Å].
    contrast
        Grey values per unit of relative intensity.
    errors
        Standard errors of defocus, Cs, astigmatism, focal_spread [Å], blur [Å] and contrast (relative).
    misfit
        Root mean square deviation of the measured transfer from the model's, in standard errors.
    """

    optics: Optics
    blur: float
    contrast: float
    errors: dict[str, float]
    misfit: float

    def describe(self) -> dict[str, float]:
        """Return what was fitted, by name, with the errors as ``<name>_error``."""
        names = (
            "energy",
            "defocus",
            "Cs",
            "astigmatism",
            "astigmatism_angle",
            "focal_spread",
            "coma",
            "trefoil",
        )
        values = {name: float(getattr(self.optics, name)) for name in names}
        values |= {"blur": self.blur, "contrast": self.contrast, "misfit": self.misfit}
        return values | {f"{name}_error": value for name, value in self.errors.items()}


@dataclass(frozen=True)
class Expectation:
    """What optics usually are: means and standard deviations of the parameters, in the order of `NAMES`."""

    means: FloatArray
    spreads: FloatArray

    @classmethod
    def of(cls, transfer: Transfer, *, defocus: float, Cs: float) -> Expectation:
        """Return the expectation for a usual size of defocus and Cs [Å].

        Grey values per relative intensity are 1 where the mean of the image stands for no contrast; files
        stretched for display have more of them, which a transfer stronger than a usual one tells.
        """
        weight = 1 / transfer.errors**2
        power = ((np.abs(transfer.values) ** 2 - 2 * transfer.errors**2) * weight).sum() / weight.sum()
        stretched = np.log(max(np.sqrt(max(power, 0.0)) / (2 * USUAL_TRANSFER), 1.0))
        means = np.array([stretched, 0, 0, 0, 0, 30, 0.25, 0, 0, 0, 0])
        spreads = np.array([0.3, defocus, Cs, 10, 10, 15, 0.12, 300, 300, 300, 300])
        return cls(means, spreads)


class NothingToFit(ValueError):
    """A window shows nothing to which optics could be fitted."""


def fit_optics(
    contrast: Float32Array,
    weight: Float32Array,
    wave: SheetWave,
    *,
    defocus: float,
    Cs: float,
) -> FittedOptics:
    """Fit the optics to an image whose atoms are known.

    The transfer is the cross spectrum of image and phase over the power of the phase, in cells of frequency;
    the model of the contrast transfer, times that of a Gaussian blur, is fitted to it by least squares from
    the best of a grid of defocus and Cs. What the image has beyond the weak-phase approximation is simulated
    with the result and taken off the image, and the fit repeated. Where the object tells little, as a crystal
    does that scatters into few frequencies, expectations decide.

    Parameters
    ----------
    contrast
        Image without its background, (rows, columns) of the window.
    weight
        How much each pixel counts, 0 … 1, smooth.
    wave
        Exit wave of the atoms.
    defocus, Cs
        Usual sizes, of both signs [Å].

    Raises
    ------
    NothingToFit
        If the window shows nothing that could be compared.

    References
    ----------
    E. J. Kirkland, Advanced Computing in Electron Microscopy, 3rd ed. (2020), doi:10.1007/978-3-030-33260-0;
    section 3.1.
    """
    energy, phase = wave.energy, wave.phase()
    seen = wave.window(phase)
    if not (weight > 0).any():
        raise NothingToFit("no part of the window to which the optics would be fitted shows the sheet alone")
    transfer = measure_transfer(contrast, seen, weight, wave.sampling)
    expectation = Expectation.of(transfer, defocus=2 * defocus / 3, Cs=Cs)
    starts = _starts(transfer, energy, expectation, defocus)
    fits = [_refine(start, transfer, energy, expectation, QUICK) for start in starts]
    best, _, errors = min(fits, key=lambda fit: fit[1])
    for _ in range(ROUNDS):
        beyond = _beyond_linear(best, wave, phase, energy)
        transfer = measure_transfer(contrast - beyond, seen, weight, wave.sampling)
        best, _, errors = _refine(best, transfer, energy, expectation, STEPS)
    return _fitted(best, errors, transfer, energy)


def measure_transfer(
    contrast: Float32Array, phase: Float32Array, weight: Float32Array, sampling: tuple[float, float]
) -> Transfer:
    """Return the transfer from a phase to an image in a window.

    Parameters
    ----------
    contrast, phase
        Image and phase of the object, (rows, columns).
    weight
        How much each pixel counts, 0 … 1, smooth.
    sampling
        Along y and x [Å/px].
    """
    shape = tuple(fft.next_fast_len(n, real=True) for n in contrast.shape)
    image, thing = (_windowed_spectrum(values, weight, shape) for values in (contrast, phase))
    qy, qx = fft.fftfreq(shape[0], sampling[0])[:, None], fft.rfftfreq(shape[1], sampling[1])[None, :]
    q = np.hypot(qy, qx)
    highest = min(BAND[1], 0.45 / max(sampling))
    is_used = (q >= BAND[0]) & (q < highest)
    is_used[:, 0] &= qy[:, 0] > 0
    image, thing = image[is_used], thing[is_used]
    qy, qx = np.broadcast_to(qy, q.shape)[is_used], np.broadcast_to(qx, q.shape)[is_used]
    ring = np.floor(q[is_used] / CELL).astype(np.int64)
    turn = np.minimum((np.arctan2(qy, qx) / np.pi + 0.5) * SECTORS, SECTORS - 1).astype(np.int64)
    cells, cell = np.unique(ring * SECTORS + turn, return_inverse=True)

    def total(values: AnyArray) -> FloatArray:
        return np.asarray(np.bincount(cell, values, len(cells)), dtype=np.float64)

    cross, power = image * thing.conj(), np.abs(thing) ** 2
    strength = total(power)
    values = np.asarray((total(cross.real) + 1j * total(cross.imag)) / strength, dtype=np.complex128)
    noise = _noise(np.abs(image - values[cell] * thing) ** 2, ring, cells // SECTORS)
    # Window and padding tie neighbouring frequencies together: this share of them is independent.
    independent = (weight**2).sum(dtype=np.float64) ** 2 / (weight**4).sum(dtype=np.float64) / np.prod(shape)
    scale = (np.abs(values) ** 2 * strength).sum() / strength.sum()
    errors = np.sqrt((noise / strength / independent + MODEL_ERROR**2 * scale) / 2)
    return Transfer(total(power * qx) / strength, total(power * qy) / strength, values, errors)


def linear_transfer(qx: FloatArray, qy: FloatArray, fitted: FittedOptics) -> NDArray[np.complex128]:
    """Return the contrast in grey values per phase at frequencies [1/Å], broadcast against each other."""
    blur = gaussian_transfer(qy, qx, fitted.blur)
    return 2 * fitted.contrast * contrast_transfer_2d(qx, qy, fitted.optics) * blur


def _windowed_spectrum(
    values: Float32Array, weight: Float32Array, shape: tuple[int, ...]
) -> NDArray[np.complex64]:
    """Spectrum of what a window shows, its mean subtracted."""
    mean = np.float32((values * weight).sum(dtype=np.float64) / weight.sum(dtype=np.float64))
    spectrum: NDArray[np.complex64] = fft.rfft2((values - mean) * weight, shape, workers=1)
    return spectrum


def _noise(power: FloatArray, ring: NDArray[np.int64], ring_of_cell: NDArray[np.int64]) -> FloatArray:
    """Power per frequency that the transfer does not explain, for each cell the mean of its ring."""
    n_rings = int(ring.max()) + 1
    n_free = np.maximum(
        np.bincount(ring, minlength=n_rings) - np.bincount(ring_of_cell, minlength=n_rings), 1
    )
    return (np.bincount(ring, power, n_rings) / n_free)[ring_of_cell]


def _as_optics(parameters: FloatArray, energy: float) -> Optics:
    """Optics of a vector of parameters."""
    _, defocus, Cs, ax, ay, focal_spread, _, coma_x, coma_y, trefoil_x, trefoil_y = parameters
    return Optics(
        energy=energy,
        defocus=float(defocus),
        Cs=float(Cs),
        focal_spread=float(abs(focal_spread)),
        angular_spread=ANGULAR_SPREAD,
        semiangle_cutoff=APERTURE,
        astigmatism=float(np.hypot(ax, ay)),
        astigmatism_angle=float(np.rad2deg(np.arctan2(ay, ax)) / 2),
        coma=float(np.hypot(coma_x, coma_y)),
        coma_angle=float(np.rad2deg(np.arctan2(coma_y, coma_x))),
        trefoil=float(np.hypot(trefoil_x, trefoil_y)),
        trefoil_angle=float(np.rad2deg(np.arctan2(trefoil_y, trefoil_x)) / 3),
    )


def _model(parameters: FloatArray, transfer: Transfer, energy: float) -> NDArray[np.complex128]:
    """Transfer of a vector of parameters at the cells."""
    q2 = transfer.qx**2 + transfer.qy**2
    blur = np.exp(-2 * (np.pi * parameters[BLUR]) ** 2 * q2)
    lens = contrast_transfer_2d(transfer.qx, transfer.qy, _as_optics(parameters, energy))
    return 2 * np.exp(parameters[CONTRAST]) * lens * blur


def _starts(transfer: Transfer, energy: float, expectation: Expectation, reach: float) -> list[FloatArray]:
    """Most likely pairs of defocus and Cs on a grid, the rest as expected."""
    lam, q2 = wavelength(energy), transfer.qx**2 + transfer.qy**2
    focal_spread, blur = expectation.means[[FOCAL_SPREAD, BLUR]]
    envelope = np.exp(-((0.5 * np.pi * lam * focal_spread * q2) ** 2) - 2 * (np.pi * blur) ** 2 * q2)
    step = 0.7 / (np.pi * lam * q2.max())
    defoci = np.arange(-reach, reach + step, step)
    aberrations = np.linspace(-2.5, 2.5, 21) * expectation.spreads[CS]
    weight = 1 / transfer.errors**2
    found: list[tuple[float, FloatArray]] = []
    costs = np.empty((len(aberrations), len(defoci)))
    sizes = np.empty_like(costs)
    for row, Cs in enumerate(aberrations):
        chi = np.pi * lam * q2 * (Cs / 2 * lam**2 * q2 - defoci[:, None])
        shape = 2 * np.sin(chi) * envelope
        norm = (shape**2) @ weight
        size = np.maximum(shape @ (weight * transfer.values.real) / norm, 1e-9)
        explained = 2 * size * (shape @ (weight * transfer.values.real)) - size**2 * norm
        sizes[row] = size
        unlike = (np.log(size) - expectation.means[CONTRAST]) / expectation.spreads[CONTRAST]
        unusual = (defoci / expectation.spreads[DEFOCUS]) ** 2 + (Cs / expectation.spreads[CS]) ** 2
        costs[row] = unlike**2 + unusual - explained
    for row, column in product(*map(range, costs.shape)):
        around = costs[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        if costs[row, column] <= around.min():
            start = expectation.means.copy()
            start[[CONTRAST, DEFOCUS, CS]] = np.log(sizes[row, column]), defoci[column], aberrations[row]
            found.append((costs[row, column], start))
    return [start for _, start in sorted(found, key=lambda pair: pair[0])[:STARTS]]


def _refine(
    start: FloatArray, transfer: Transfer, energy: float, expectation: Expectation, n_steps: int
) -> tuple[FloatArray, float, FloatArray]:
    """Fit from a start: parameters, half the sum of squares, standard errors."""
    from scipy.optimize import least_squares

    spreads, means = expectation.spreads, expectation.means

    def misfit(scaled: FloatArray) -> FloatArray:
        deviation = (_model(scaled * spreads, transfer, energy) - transfer.values) / transfer.errors
        return np.concatenate([deviation.real, deviation.imag, scaled - means / spreads])

    low = np.full(len(means), -np.inf)
    low[[FOCAL_SPREAD, BLUR]] = 0
    fit = least_squares(misfit, start / spreads, bounds=(low, np.inf), max_nfev=n_steps, ftol=1e-5, xtol=1e-4)
    jacobian = np.asarray(fit.jac)
    errors = spreads * np.sqrt(np.diag(np.linalg.pinv(jacobian.T @ jacobian)))
    return fit.x * spreads, float(fit.cost), errors


def _beyond_linear(
    parameters: FloatArray, wave: SheetWave, phase: Float32Array, energy: float
) -> Float32Array:
    """Image of the window less its weak-phase approximation."""
    optics, blur = _as_optics(parameters, energy), float(parameters[BLUR])
    qy, qx = wave.frequencies
    lens = 2 * contrast_transfer_2d(qx, qy, optics) * gaussian_transfer(qy, qx, blur)
    linear = fft.irfft2(fft.rfft2(phase, workers=1) * lens.astype(np.complex64), s=wave.box_shape, workers=1)
    beyond: Float32Array = np.float32(np.exp(parameters[CONTRAST])) * wave.window(
        wave.intensity(optics, blur=blur) - 1 - linear
    )
    return beyond


def _fitted(parameters: FloatArray, errors: FloatArray, transfer: Transfer, energy: float) -> FittedOptics:
    """Name the parameters and their errors."""
    deviation = (_model(parameters, transfer, energy) - transfer.values) / transfer.errors
    named = dict(zip(NAMES, errors.tolist(), strict=True))
    named["astigmatism"] = float(np.hypot(named.pop("astigmatism_x"), named.pop("astigmatism_y")) / 2**0.5)
    kept = ("defocus", "Cs", "astigmatism", "focal_spread", "blur", "contrast")
    return FittedOptics(
        _as_optics(parameters, energy),
        float(parameters[BLUR]),
        float(np.exp(parameters[CONTRAST])),
        {name: named[name] for name in kept},
        float(np.sqrt((np.abs(deviation) ** 2).mean() / 2)),
    )
