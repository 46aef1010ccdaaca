"""The camera: dose, shot noise, modulation transfer, faults and files; and the illumination that reaches it.

Filters take images as periodic. All transforms are of single precision on one thread.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft

from amorph2d.arrays import Float32Array, FloatArray, as_image
from amorph2d.imaging.geometry import smooth_variation, unit_vector

SMALLEST_EXPANDED = 10.0  # mean from which shot noise is drawn through a normal variate [e⁻]
UNEVENNESS_STREAM = 2  # of the seed of an image, so that nothing else that it decides is related
SPIKE_WIDTH = (0.2, 0.7)  # standard deviation of the charge that an X-ray leaves [px]
SPIKE_REACH = 2  # pixels on each side of its centre


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
    q = np.abs(np.asarray(frequency))
    q = q if q.dtype == np.float32 else q.astype(np.float64)
    return np.asarray((1 - floor) / (1 + (q / (2 * width)) ** exponent) + floor)


def blur(image: ArrayLike, sigma: float) -> Float32Array:
    """Return the periodic `image` blurred by a Gaussian of standard deviation `sigma` [px]."""
    if sigma < 0:
        raise ValueError(f"sigma must be ≥ 0 px, got {sigma}")
    array = as_image(image)
    if sigma == 0:
        return array.copy()
    qy, qx = _frequencies(array.shape)
    along_y, along_x = (np.exp(-2 * (np.pi * sigma * q) ** 2).astype(np.float32) for q in (qy, qx))
    return _filtered(array, along_y, along_x)


def drift_blur(image: ArrayLike, *, length: float, direction: float) -> Float32Array:
    """Return the periodic `image` of a specimen that drifts steadily during the exposure.

    Parameters
    ----------
    image
        Image of the specimen at rest, (rows, columns). In the result its details are centred on the middle
        of their way.
    length
        Way during the exposure, ≥ 0 [px].
    direction
        Direction of the drift, from x towards y [°].

    Notes
    -----
    The average over a straight way multiplies the spectrum with sin(πqL)/πqL, q along the way.
    """
    if length < 0:
        raise ValueError(f"length must be ≥ 0 px, got {length}")
    array = as_image(image)
    if length == 0:
        return array.copy()
    qy, qx = _frequencies(array.shape)
    along_x, along_y = unit_vector(direction)
    travelled = (qx * (length * along_x)).astype(np.float32) + (qy * (length * along_y)).astype(np.float32)
    return _filtered(array, np.sinc(travelled))


def record(
    intensity: ArrayLike,
    *,
    electrons_per_pixel: float,
    floor: float,
    width: float,
    exponent: float,
    rng: np.random.Generator,
    readout_noise: float = 0.0,
    gain_noise: float = 0.0,
) -> Float32Array:
    """Return what the camera records of an intensity.

    Shot noise comes first; the MTF acts on signal and noise alike; then each pixel has its gain, and the
    readout adds its noise.

    Parameters
    ----------
    intensity
        Relative intensity, (rows, columns), 1 where all electrons arrive; taken as periodic.
    electrons_per_pixel
        Electrons that reach a pixel of intensity 1, > 0 [e⁻].
    floor, width, exponent
        Shape of the MTF, see `modulation_transfer`.
    rng
        Source of the noise.
    readout_noise
        Standard deviation of the noise that the readout adds, ≥ 0 [e⁻].
    gain_noise
        Standard deviation of the relative gain from pixel to pixel, what flat-field correction leaves, ≥ 0.

    Returns
    -------
    Float32Array
        Signal, (rows, columns) [e⁻].

    Raises
    ------
    ValueError
        If `electrons_per_pixel` is not positive, `intensity` or a noise is negative, or the MTF impossible.
    """
    if electrons_per_pixel <= 0:
        raise ValueError(f"electrons_per_pixel must be > 0, got {electrons_per_pixel}")
    for name, value in (("readout_noise", readout_noise), ("gain_noise", gain_noise)):
        if value < 0:
            raise ValueError(f"{name} must be ≥ 0, got {value}")
    counts = shot_noise(as_image(intensity, "intensity") * np.float32(electrons_per_pixel), rng)
    signal = _filtered(counts, _half_plane(counts.shape, floor=floor, width=width, exponent=exponent))
    if gain_noise > 0:
        signal *= 1 + np.float32(gain_noise) * rng.standard_normal(signal.shape, dtype=np.float32)
    if readout_noise > 0:
        signal += np.float32(readout_noise) * rng.standard_normal(signal.shape, dtype=np.float32)
    return signal


def shot_noise(mean: ArrayLike, rng: np.random.Generator) -> Float32Array:
    """Return Poisson counts around a `mean` image, ≥ 0 [e⁻].

    Means below 10 are drawn by the generator's own Poisson sampler. Above, a normal variate w is sent through
    the asymptotic inverse of the Poisson distribution, rounded down,

    λ + √λ w + (1/3 + w²/6) − (w/36 + w³/72)/√λ + (−8/405 + 7w²/810 + w⁴/270)/λ,

    which takes half the time. The counts of 5 in 10⁴ draws differ, by one, from the exact inverse at a mean
    of 10, of 1 in 10⁴ at 30 and of fewer above, until single precision rounds (4 in 10³ at 10⁵, no bias).

    References
    ----------
    M. B. Giles, ACM Trans. Math. Softw. 42, 7 (2016), doi:10.1145/2699466; the asymptotic expansion.
    """
    expected = as_image(mean, "intensity")
    if expected.min() < 0:
        raise ValueError(f"intensity must be ≥ 0, got {expected.min()}")
    is_low = expected < SMALLEST_EXPANDED
    if is_low.all():
        return rng.poisson(expected).astype(np.float32)
    counts = _expanded_poisson(np.maximum(expected, np.float32(SMALLEST_EXPANDED)), rng)
    if is_low.any():
        counts[is_low] = rng.poisson(expected[is_low])
    return counts


def illumination(
    shape: tuple[int, int],
    *,
    gradient: float,
    direction: float,
    vignetting: float = 0.0,
    centre: tuple[float, float] = (0.5, 0.5),
    unevenness: float = 0.0,
    seed: int = 0,
) -> Float32Array:
    """Return an illumination field of mean 1, positive everywhere, (rows, columns).

    It is the product of a linear gradient, a quadratic fall-off and a smooth unevenness.

    Parameters
    ----------
    shape
        Rows and columns.
    gradient
        Change across the image along `direction`, peak to peak relative to the mean, 0 … 2.
    direction
        Direction of the rise, from x towards y [°].
    vignetting
        Loss at the corner that is farthest from `centre`, relative to there, 0 … 1; it grows with the square
        of the distance.
    centre
        Brightest place of the vignetting as shares of the width and the height, x then y.
    unevenness
        Root mean square of the logarithm of a smooth random factor, ≥ 0.
    seed
        Seed of that factor.

    Raises
    ------
    ValueError
        If a strength is out of its range.
    """
    if not 0 <= gradient < 2:
        raise ValueError(f"gradient must lie in 0 … 2, got {gradient}")
    if not 0 <= vignetting < 1:
        raise ValueError(f"vignetting must lie in 0 … 1, got {vignetting}")
    if not 0 <= unevenness < np.inf:
        raise ValueError(f"unevenness must be ≥ 0, got {unevenness}")
    along_x, along_y = unit_vector(direction)
    span = abs(along_x) + abs(along_y)
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in shape)
    field = (1 + (gradient * along_y / span) * y)[:, None] + ((gradient * along_x / span) * x)[None, :]
    if vignetting:
        field = field * _vignette(shape, vignetting, centre)
    if unevenness:
        rows, columns = (np.arange(n, dtype=np.float32) for n in shape)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(UNEVENNESS_STREAM,)))
        variation = smooth_variation(rows[:, None], columns[None, :], shape, rng)
        field = field * np.exp(np.float32(unevenness) * variation)
    return np.asarray(field / field.mean(dtype=np.float64), dtype=np.float32)


def dead_and_hot_pixels(
    signal: ArrayLike,
    *,
    dead_fraction: float,
    hot_fraction: float,
    hot_level: float,
    rng: np.random.Generator,
) -> Float32Array:
    """Return `signal` with pixels that see nothing, and pixels that are stuck at a high level.

    Parameters
    ----------
    signal
        What the camera recorded, (rows, columns) [e⁻].
    dead_fraction, hot_fraction
        Expected shares of the pixels that read 0 and that read `hot_level`, together 0 … 1.
    hot_level
        What a hot pixel reads, relative to the mean of the signal, ≥ 0.
    rng
        Decides which.
    """
    if min(dead_fraction, hot_fraction) < 0 or dead_fraction + hot_fraction > 1:
        raise ValueError(
            "dead_fraction and hot_fraction must be ≥ 0 and together ≤ 1, "
            f"got {dead_fraction} and {hot_fraction}"
        )
    if hot_level < 0:
        raise ValueError(f"hot_level must be ≥ 0, got {hot_level}")
    faulty = as_image(signal).copy()
    level = hot_level * faulty.mean(dtype=np.float64)
    shares = (dead_fraction, hot_fraction, max(1 - dead_fraction - hot_fraction, 0.0))
    n_dead, n_hot, _ = rng.multinomial(faulty.size, shares)
    chosen = rng.choice(faulty.size, n_dead + n_hot, replace=False)
    faulty.ravel()[chosen[:n_dead]] = 0
    faulty.ravel()[chosen[n_dead:]] = level
    return faulty


def xray_spikes(signal: ArrayLike, *, rate: float, level: float, rng: np.random.Generator) -> Float32Array:
    """Return `signal` with the traces of X-rays that hit the camera: bright events of one to few pixels.

    Parameters
    ----------
    signal
        What the camera recorded, (rows, columns) [e⁻].
    rate
        Expected events per million pixels, ≥ 0.
    level
        Mean charge of an event relative to the mean signal of a pixel, ≥ 0; the charges are distributed
        exponentially. A Gaussian of 0.2 to 0.7 px around a random place shares a charge out.
    rng
        Source of the events.
    """
    if rate < 0 or level < 0:
        raise ValueError(f"rate and level must be ≥ 0, got {rate} and {level}")
    struck = as_image(signal).copy()
    n_events = int(rng.poisson(rate * struck.size / 1e6))
    charges = rng.exponential(level * struck.mean(dtype=np.float64), n_events)
    widths = rng.uniform(*SPIKE_WIDTH, n_events)
    centres = rng.uniform(-0.5, np.array(struck.shape) - 0.5, (n_events, 2))
    offsets = np.arange(-SPIKE_REACH, SPIKE_REACH + 1)
    pixels = np.rint(centres).astype(np.int64)[:, :, None] + offsets
    shares = np.exp(-0.5 * ((pixels - centres[:, :, None]) / widths[:, None, None]) ** 2)
    shares /= shares.sum(axis=2, keepdims=True)
    traces = charges[:, None, None] * shares[:, 0, :, None] * shares[:, 1, None, :]
    rows, columns = np.broadcast_arrays(pixels[:, 0, :, None], pixels[:, 1, None, :])
    hit = (rows >= 0) & (rows < struck.shape[0]) & (columns >= 0) & (columns < struck.shape[1])
    np.add.at(struck, (rows[hit], columns[hit]), traces[hit].astype(np.float32))
    return struck


def as_stored(
    signal: ArrayLike,
    *,
    bits: Literal[0, 8, 16],
    clip: tuple[float, float] = (0.0, 1.0),
    counts_per_electron: float = 1.0,
    offset: float = 0.0,
) -> Float32Array:
    """Return the numbers that a file of a certain depth holds of `signal`.

    Parameters
    ----------
    signal
        What the camera recorded, (rows, columns) [e⁻].
    bits
        8: whole numbers 0 … 255, stretched between two quantiles and clipped; 16: whole counts,
        0 … 65 535, clipped; 0: the signal itself.
    clip
        8 bits: the quantiles that become 0 and 255. An image without contrast becomes 0.
    counts_per_electron, offset
        16 bits: gain [counts/e⁻] and the count that stands for no electrons.
    """
    if bits not in (0, 8, 16):
        raise ValueError(f"bits must be 0, 8 or 16, got {bits}")
    if not 0 <= clip[0] < clip[1] <= 1:
        raise ValueError(f"clip must be two quantiles, 0 ≤ low < high ≤ 1, got {clip}")
    if counts_per_electron <= 0:
        raise ValueError(f"counts_per_electron must be > 0, got {counts_per_electron}")
    array = as_image(signal)
    if bits == 0:
        return array.copy()
    if bits == 16:
        return np.clip(np.rint(array * np.float32(counts_per_electron) + np.float32(offset)), 0, 65535)
    low, high = (float(value) for value in np.quantile(array, clip))
    scale = 255 / (high - low) if high > low else 0.0
    return np.clip(np.rint((array - np.float32(low)) * np.float32(scale)), 0, 255)


def _expanded_poisson(mean: Float32Array, rng: np.random.Generator) -> Float32Array:
    """Poisson counts by the expansion that `shot_noise` gives."""
    w = rng.standard_normal(mean.shape, dtype=np.float32)
    w2, root = w * w, np.sqrt(mean)
    counts = (w2 * (w2 / 270 + 7 / 810) - 8 / 405) / mean
    counts -= w * (w2 / 72 + 1 / 36) / root
    counts += w2 / 6 + 1 / 3
    counts += w * root
    counts += mean
    return np.maximum(np.floor(counts, out=counts), 0, out=counts)


def _frequencies(shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """Frequencies of `scipy.fft.rfft2` along rows (rows, 1) and columns (1, columns // 2 + 1), per pixel."""
    return fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None, :]


def _filtered(image: Float32Array, *transfers: Float32Array) -> Float32Array:
    """Multiply the spectrum of a periodic image with factors."""
    spectrum = fft.rfft2(image, workers=1)
    for transfer in transfers:
        spectrum *= transfer
    filtered: Float32Array = fft.irfft2(spectrum, s=image.shape, workers=1, overwrite_x=True)
    return filtered


def _half_plane(shape: tuple[int, ...], *, floor: float, width: float, exponent: float) -> Float32Array:
    """MTF at the frequencies of `scipy.fft.rfft2`: one quadrant, mirrored."""
    qy = np.arange(shape[0] // 2 + 1, dtype=np.float32)[:, None] * np.float32(2 / shape[0])
    qx = np.arange(shape[1] // 2 + 1, dtype=np.float32)[None, :] * np.float32(2 / shape[1])
    quadrant = modulation_transfer(np.sqrt(qy**2 + qx**2), floor=floor, width=width, exponent=exponent)
    rows = np.arange(shape[0])
    return quadrant[np.minimum(rows, shape[0] - rows)].astype(np.float32)


def _vignette(shape: tuple[int, int], loss: float, centre: tuple[float, float]) -> Float32Array:
    """Quadratic fall-off from the centre, by `loss` at the farthest corner; distances in pixels."""
    y = np.linspace(0, 1, shape[0], dtype=np.float32) - np.float32(centre[1])
    x = np.linspace(0, 1, shape[1], dtype=np.float32) - np.float32(centre[0])
    squares_y, squares_x = (y * shape[0]) ** 2, (x * shape[1]) ** 2
    farthest = max(squares_y[0], squares_y[-1]) + max(squares_x[0], squares_x[-1])
    return np.asarray(1 - (loss / float(farthest)) * (squares_y[:, None] + squares_x[None, :]))
