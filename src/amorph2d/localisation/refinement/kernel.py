"""The image of a single atom and the noise, as the micrograph itself shows them.

Both live in Fourier space. The transfer F(k) of the atom is a sum of cubic B-splines in |k| times harmonics
of the direction: even ones are real and odd ones imaginary, so that the atom's image is real.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from scipy import fft

from amorph2d.arrays import AnyArray, Float32Array, FloatArray

_RINGS = 16  # per knot
N_TABLE = 6  # the overlap and its derivatives: h, x, y, xx, xy, yy


@dataclass(frozen=True, eq=False)
class Kernel:
    """Transfer of an atom and spectrum of the noise.

    Attributes
    ----------
    step
        Distance of the knots in frequency [1/Å].
    coefficients
        Of the splines, (radial, angular): angular 0, then cosine and sine of each order.
    noise
        Power of the noise per area at the knots of `noise_step`, linear between them, (M,) [Å²].
    noise_step
        Distance of these knots [1/Å].
    """

    step: float
    coefficients: FloatArray
    noise: FloatArray
    noise_step: float

    @property
    def order(self) -> int:
        """Highest angular order."""
        return (self.coefficients.shape[1] - 1) // 2

    @property
    def max_frequency(self) -> float:
        """Frequency up to which an atom transfers anything [1/Å]."""
        return self.step * (self.coefficients.shape[0] - 3)

    def noise_at(self, frequency: FloatArray) -> FloatArray:
        """Return the power of the noise at frequencies [Å²]."""
        return np.interp(frequency / self.noise_step, np.arange(len(self.noise)), self.noise)

    def profile(self, radii: FloatArray) -> FloatArray:
        """Return the radial part of the atom's image at `radii` [Å], per amplitude."""
        from scipy.special import j0

        q = np.linspace(0, self.max_frequency, 512)
        transfer = transfer_at(self.coefficients[:, :1], self.step, q, np.zeros_like(q)).real
        integrand = 2 * np.pi * q * transfer * j0(2 * np.pi * np.outer(radii, q))
        return np.asarray(np.trapezoid(integrand, q, axis=1))


def empty_kernel(*, reach: float, max_frequency: float, order: int) -> Kernel:
    """Return a kernel of nothing under white noise."""
    step = 1 / (2 * reach)
    n_radial = int(np.ceil(max_frequency / step)) + 3
    return Kernel(step, np.zeros((n_radial, 1 + 2 * order)), np.ones(2), 100.0)


@njit(cache=True, nogil=True)
def _basis(
    kx: float, ky: float, step: float, radial: FloatArray, angular: AnyArray
) -> int:  # pragma: no cover
    """Fill in the four splines and the harmonics at a frequency; return the first spline's number."""
    q = np.sqrt(kx * kx + ky * ky)
    first = int(q / step)
    u = q / step - first
    radial[0] = (1 - u) ** 3 / 6
    radial[1] = (4 - 6 * u * u + 3 * u**3) / 6
    radial[2] = (1 + 3 * u + 3 * u * u - 3 * u**3) / 6
    radial[3] = u**3 / 6
    cosine, sine = (kx / q, ky / q) if q > 0 else (0.0, 0.0)
    real, imaginary = 1.0, 0.0
    angular[0] = 1.0
    for order in range(1, (len(angular) - 1) // 2 + 1):
        real, imaginary = real * cosine - imaginary * sine, real * sine + imaginary * cosine
        angular[2 * order - 1], angular[2 * order] = real, imaginary
    return first


@njit(cache=True, nogil=True)
def _transfer(  # pragma: no cover
    coefficients: FloatArray, step: float, kx: FloatArray, ky: FloatArray, result: AnyArray
) -> None:
    """Sum the splines at frequencies."""
    n_radial, n_angular = coefficients.shape
    radial, angular = np.empty(4), np.empty(n_angular)
    for i in range(len(kx)):
        first = _basis(kx[i], ky[i], step, radial, angular)
        if first + 3 >= n_radial:
            result[i] = 0
            continue
        even = odd = 0.0
        for b in range(4):
            for a in range(n_angular):
                term = coefficients[first + b, a] * radial[b] * angular[a]
                if ((a + 1) // 2) % 2 == 0:
                    even += term
                else:
                    odd += term
        result[i] = even + 1j * odd


def transfer_at(coefficients: FloatArray, step: float, kx: FloatArray, ky: FloatArray) -> AnyArray:
    """Return the transfer at the frequencies `kx`, `ky` [1/Å]."""
    result = np.empty(kx.size, dtype=np.complex128)
    _transfer(coefficients, step, kx.ravel(), ky.ravel(), result)
    return result.reshape(kx.shape)


@njit(cache=True, nogil=True)
def add_equations(  # pragma: no cover
    kx: FloatArray,
    ky: FloatArray,
    weight: FloatArray,
    sources: AnyArray,
    residual: AnyArray,
    step: float,
    n_angular: int,
    matrix: FloatArray,
    vector: FloatArray,
) -> None:
    """Add the lower triangle of the normal equations for residual ≈ transfer × sources.

    Harmonics are summed in rings much narrower than a spline first.
    """
    n_radial = len(vector) // n_angular
    n_rings = (n_radial - 3) * _RINGS
    radial, angular = np.empty(4), np.empty(n_angular)
    is_odd = np.array([((a + 1) // 2) % 2 for a in range(n_angular)])
    powers, crosses = np.zeros((n_rings, n_angular, n_angular)), np.zeros((n_rings, n_angular))
    for i in range(len(kx)):
        ring = int(np.sqrt(kx[i] ** 2 + ky[i] ** 2) / step * _RINGS)
        if ring >= n_rings:
            continue
        _basis(kx[i], ky[i], step, radial, angular)
        power = weight[i] * (sources[i].real ** 2 + sources[i].imag ** 2)
        cross = weight[i] * (np.conj(sources[i]) * residual[i])
        for a in range(n_angular):
            crosses[ring, a] += angular[a] * (cross.imag if is_odd[a] else cross.real)
            part = power * angular[a]
            for c in range(a + 1):
                powers[ring, a, c] += part * angular[c]
    for ring in range(n_rings):
        first = _basis((ring + 0.5) / _RINGS * step, 0.0, step, radial, angular) * n_angular
        for b in range(4):
            for a in range(n_angular):
                row = first + b * n_angular + a
                vector[row] += radial[b] * crosses[ring, a]
                for d in range(b + 1):
                    for c in range(n_angular if d < b else a + 1):
                        if is_odd[a] == is_odd[c]:
                            both = powers[ring, max(a, c), min(a, c)]
                            matrix[row, first + d * n_angular + c] += radial[b] * radial[d] * both


def corrected(kernel: Kernel, matrix: FloatArray, vector: FloatArray, ridge: float) -> Kernel:
    """Return the kernel with the solution of the normal equations added."""
    scale = np.trace(matrix) / max(len(vector), 1)
    if not scale > 0:
        return kernel
    regular = matrix + np.tril(matrix, -1).T + ridge * scale * np.eye(len(vector))
    change = np.linalg.solve(regular, vector).reshape(kernel.coefficients.shape)
    return replace(kernel, coefficients=kernel.coefficients + change)


def overlap_table(kernel: Kernel, *, reach: float, step: float) -> Float32Array:
    """Return the overlap h of two atoms a distance (x, y) apart, weighted by the noise, and its derivatives.

    h(d) = ∫ d²k |F|² / P · cos(2πk·d)

    Parameters
    ----------
    kernel
        Transfer F and noise P.
    reach
        Largest distance along an axis [Å].
    step
        Distance of the nodes [Å].

    Returns
    -------
    Float32Array
        (rows, columns, 6): h and its derivatives x, y, xx, xy, yy; the middle node is the distance 0.
    """
    half = int(np.ceil(reach / step)) + 1
    n = fft.next_fast_len(max(2 * half + 2, int(np.ceil(4 * reach / step))))
    ky, kx = fft.fftfreq(n, step)[:, None], fft.rfftfreq(n, step)[None, :]
    kx, ky = (np.ascontiguousarray(k) for k in np.broadcast_arrays(kx, ky))
    transfer = transfer_at(kernel.coefficients, kernel.step, kx, ky)
    power = (transfer.real**2 + transfer.imag**2) / kernel.noise_at(np.hypot(kx, ky))
    wave_x, wave_y = 2j * np.pi * kx, 2j * np.pi * ky
    factors = (1.0, wave_x, wave_y, wave_x**2, wave_x * wave_y, wave_y**2)
    table = np.empty((2 * half + 1, 2 * half + 1, N_TABLE), dtype=np.float32)
    wanted = np.arange(-half, half + 1) % n
    for number, factor in enumerate(factors):
        table[:, :, number] = fft.irfft2(power * factor, s=(n, n))[np.ix_(wanted, wanted)] / step**2
    return table
