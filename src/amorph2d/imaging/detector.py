"""The camera: dose, shot noise, modulation transfer; and the illumination that reaches it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import Float32Array, FloatArray, as_image


def modulation_transfer(frequency: ArrayLike, *, floor: float, width: float, exponent: float) -> FloatArray:
    """Return the MTF at `frequency` in units of the Nyquist frequency, 1 at the origin.

    MTF(q) = (1 − C) / (1 + (q / 2ω)^α) + C with `floor` C, `width` ω and `exponent` α.

    Raises
    ------
    ValueError
        If `floor` is outside 0 … 1 or `width` or `exponent` is not positive.

    References
    ----------
    W. Van den Broek, S. Van Aert and D. Van Dyck, Microsc. Microanal. 18, 336 (2012),
    doi:10.1017/S1431927611012633;
    as used by J. Madsen et al., Adv. Theory Simul. 1, 1800037 (2018), doi:10.1002/adts.201800037.
    """
    if not 0 <= floor <= 1:
        raise ValueError(f"floor must lie in 0 … 1, got {floor}")
    if width <= 0 or exponent <= 0:
        raise ValueError(f"width and exponent must be > 0, got {width} and {exponent}")
    q = np.abs(np.asarray(frequency, dtype=np.float64))
    return (1 - floor) / (1 + (q / (2 * width)) ** exponent) + floor


def _frequencies(shape: tuple[int, int]) -> FloatArray:
    """Frequencies of `numpy.fft.rfft2`, in cycles per pixel."""
    return np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])


def _filtered(image: ArrayLike, transfer: FloatArray) -> Float32Array:
    """Multiply the spectrum of a periodic image with `transfer`."""
    array = np.asarray(image, dtype=np.float32)
    return np.fft.irfft2(np.fft.rfft2(array) * transfer, s=array.shape).astype(np.float32)


def blur(image: ArrayLike, sigma: float) -> Float32Array:
    """Return the periodic `image` blurred by a Gaussian of standard deviation `sigma` [px]."""
    if sigma < 0:
        raise ValueError(f"sigma must be ≥ 0 px, got {sigma}")
    array = as_image(image)
    return _filtered(array, np.exp(-2 * (np.pi * sigma * _frequencies(array.shape)) ** 2))


def record(
    intensity: ArrayLike,
    *,
    electrons_per_pixel: float,
    floor: float,
    width: float,
    exponent: float,
    rng: np.random.Generator,
) -> Float32Array:
    """Return what the camera records of an intensity: shot noise, then the MTF on signal and noise alike.

    Parameters
    ----------
    intensity
        Relative intensity, (rows, columns), 1 where all electrons arrive; taken as periodic.
    electrons_per_pixel
        Electrons that reach a pixel of intensity 1, > 0 [e⁻].
    floor, width, exponent
        Shape of the MTF, see `modulation_transfer`.
    rng
        Source of the shot noise.

    Returns
    -------
    Float32Array
        Signal, (rows, columns) [e⁻].

    Raises
    ------
    ValueError
        If `electrons_per_pixel` is not positive or `intensity` is negative somewhere.
    """
    if electrons_per_pixel <= 0:
        raise ValueError(f"electrons_per_pixel must be > 0, got {electrons_per_pixel}")
    expected = as_image(intensity, "intensity")
    if expected.min() < 0:
        raise ValueError(f"intensity must be ≥ 0, got {expected.min()}")
    counts = rng.poisson(expected * electrons_per_pixel)
    frequency = 2 * _frequencies(expected.shape)
    return _filtered(counts, modulation_transfer(frequency, floor=floor, width=width, exponent=exponent))


def illumination(shape: tuple[int, int], *, gradient: float, direction: float) -> Float32Array:
    """Return a linear illumination field of mean 1, (rows, columns).

    Parameters
    ----------
    shape
        Rows and columns.
    gradient
        Change across the image along `direction`, peak to peak relative to the mean, 0 … 2.
    direction
        Direction of the rise, from x towards y [°].
    """
    if not 0 <= gradient < 2:
        raise ValueError(f"gradient must lie in 0 … 2, got {gradient}")
    y = np.linspace(-0.5, 0.5, shape[0])[:, None]
    x = np.linspace(-0.5, 0.5, shape[1])[None, :]
    along_x, along_y = np.cos(np.deg2rad(direction)), np.sin(np.deg2rad(direction))
    span = abs(along_x) + abs(along_y)
    return (1 + gradient * (x * along_x + y * along_y) / span).astype(np.float32)
