"""Images obey the theory of weak phase objects, of counting statistics and of conserved electrons."""

import numpy as np
import pytest

from amorph2d.imaging.detector import modulation_transfer, record
from amorph2d.imaging.optics import Optics, contrast_transfer, contrast_transfer_2d, wavelength
from amorph2d.imaging.waves import exit_wave, form_image

ENERGY = 3e5
OPTICS = {"energy": ENERGY, "Cs": -2e5, "C5": 0.0, "focal_spread": 15.0, "angular_spread": 0.1,
          "semiangle_cutoff": 24.0}  # fmt: skip
ROUND = Optics(**OPTICS, defocus=-100.0)
ABERRATED = Optics(
    **{**OPTICS, "C5": 6e7}, defocus=-90.0, astigmatism=60.0, astigmatism_angle=25.0, coma=900.0,
    coma_angle=-40.0, trefoil=1200.0, trefoil_angle=65.0,
)  # fmt: skip
CARBON_BOND = 1.42


def graphene(n_x, n_y):
    """Atoms and rectangular box of a graphene sheet."""
    cell = CARBON_BOND * np.array([np.sqrt(3), 3.0])
    basis = np.array([[0, 0], [0.5, 1 / 6], [0.5, 1 / 2], [0, 2 / 3]]) * cell
    origins = (
        np.stack(np.meshgrid(np.arange(n_x), np.arange(n_y), indexing="ij"), -1).reshape(-1, 1, 2) * cell
    )
    return (origins + basis).reshape(-1, 2), cell * (n_x, n_y)


ATOM = (np.array([[9.3, 14.1]]), np.array([30.0, 24.0]), (192, 240))
SHEET = (*graphene(12, 7), (240, 240))


def frequencies(box, shape):
    """Frequencies along x and y, broadcast to (rows, columns) [1/Å]."""
    return np.fft.fftfreq(shape[1], box[0] / shape[1])[None, :], np.fft.fftfreq(shape[0], box[1] / shape[0])[
        :, None
    ]


def phase_spectrum(positions, number, box, shape):
    """Spectrum of the phase that atoms give the wave: scattering factor times sum over the atoms."""
    from abtem.core.energy import energy2sigma
    from abtem.parametrizations import LobatoParametrization
    from ase.data import chemical_symbols

    qx, qy = frequencies(box, shape)
    waves_y = np.exp(-2j * np.pi * qy * positions[:, 1])
    waves_x = np.exp(-2j * np.pi * qx.T * positions[:, 0])
    factor = LobatoParametrization().projected_scattering_factor(chemical_symbols[number])(qx**2 + qy**2)
    return energy2sigma(ENERGY) * factor * (waves_y @ waves_x.T) * (shape[0] * shape[1] / np.prod(box))


def wave_of(positions, number, box, shape):
    return exit_wave(positions, [number] * len(positions), box=tuple(box), shape=shape, energy=ENERGY)


def linear_image(wave, optics):
    """Half the difference between the images of an object and of its negative: no squares are left in it."""
    from abtem import Waves

    positive = wave.ensure_real_space()
    negative = Waves(positive.array.conj(), energy=ENERGY, extent=positive.extent)
    return (form_image(positive, optics) - form_image(negative, optics)) / 2


@pytest.mark.parametrize("optics", [ROUND, ABERRATED], ids=["round", "aberrated"])
@pytest.mark.parametrize(("positions", "box", "shape"), [ATOM, SHEET], ids=["atom", "sheet"])
def test_contrast_is_that_of_a_weak_phase_object(positions, box, shape, optics):
    qx, qy = frequencies(box, shape)
    spectrum = phase_spectrum(positions, 6, box, shape)
    expected = np.fft.ifft2(2 * contrast_transfer_2d(qx, qy, optics) * spectrum)
    assert np.abs(expected.imag).max() < 1e-9
    contrast = linear_image(wave_of(positions, 6, box, shape), optics)
    assert np.abs(contrast - expected.real).max() < 0.005 * np.abs(expected).max()


def test_hydrogen_needs_no_linearisation():
    positions, box, shape = ATOM
    qx, qy = frequencies(box, shape)
    spectrum = phase_spectrum(positions, 1, box, shape)
    expected = 1 + np.fft.ifft2(2 * contrast_transfer_2d(qx, qy, ROUND) * spectrum).real
    image = form_image(wave_of(positions, 1, box, shape), ROUND)
    contrast, predicted = image - image.mean(), expected - expected.mean()
    assert np.abs(contrast - predicted).max() < 0.02 * np.abs(predicted).max()


@pytest.mark.parametrize("optics", [
    Optics(**{**OPTICS, "Cs": 0.0, "semiangle_cutoff": 30.0}, defocus=250.0),
    Optics(**{**OPTICS, "Cs": 1e6, "semiangle_cutoff": 30.0}, defocus=200.0),
    Optics(**{**OPTICS, "Cs": -1e5, "C5": 3e8, "semiangle_cutoff": 30.0}, defocus=-250.0),
])  # fmt: skip
def test_transfer_vanishes_at_the_predicted_frequencies(optics):
    positions, box, shape = np.array([[30.0, 30.0]]), np.array([60.0, 60.0]), (400, 400)
    spectrum = np.fft.fft2(linear_image(wave_of(positions, 6, box, shape), optics))
    measured = (spectrum / (2 * phase_spectrum(positions, 6, box, shape)))[0, :70].real
    q = np.arange(70) / 60.0
    fine = np.linspace(0.05, 1.1, 20001)
    predicted = zeros(fine, contrast_transfer(fine, optics))
    found = zeros(q[3:67], measured[3:67])
    assert len(predicted) >= 2
    assert found == pytest.approx(predicted, abs=0.004)


def zeros(q, values):
    """Frequencies at which a function changes sign, interpolated linearly."""
    at = np.flatnonzero(np.sign(values[:-1]) != np.sign(values[1:]))
    return q[at] + (q[at + 1] - q[at]) * values[at] / (values[at] - values[at + 1])


def test_first_zero_of_pure_defocus_is_known():
    optics = Optics(**{**OPTICS, "Cs": 0.0, "semiangle_cutoff": 30.0}, defocus=250.0)
    fine = np.linspace(0.05, 0.6, 5001)
    assert zeros(fine, contrast_transfer(fine, optics))[0] == pytest.approx(
        (wavelength(ENERGY) * 250.0) ** -0.5
    )


@pytest.mark.parametrize(("angle", "wide", "narrow"), [(0.0, 1, 0), (90.0, 0, 1)])
def test_overfocused_atom_is_stretched_along_the_axis_of_stronger_overfocus(angle, wide, narrow):
    """Overfocus 150 Å along the direction of C12 and 50 Å across it: the atom is wider along it."""
    box, shape = np.array([30.0, 24.0]), (192, 240)
    settings = {**OPTICS, "Cs": 0.0}
    optics = Optics(**settings, defocus=-100.0, astigmatism=50.0, astigmatism_angle=angle)
    image = linear_image(wave_of(np.array([[12.5, 10.0]]), 6, box, shape), optics)
    assert np.unravel_index(image.argmax(), shape) == (80, 100)
    widths = [(line > image.max() / 2).sum() for line in (image[:, 100], image[80])]
    assert widths[wide] > widths[narrow]


def test_image_is_not_mirrored():
    """Three atoms in an L: none lies where a flip or a swap of the axes would put it."""
    corner, right, down = (4.0, 3.0), (10.0, 3.0), (4.0, 14.0)
    wave = wave_of(np.array([corner, right, down]), 6, (20.0, 18.0), (180, 200))
    image = form_image(wave, ROUND)
    brightest = sorted(np.argsort(image.ravel())[::-1][:400], key=lambda i: -image.ravel()[i])
    rows, columns = np.unravel_index(brightest, image.shape)
    for x, y in (corner, right, down):
        assert np.hypot(columns * 0.1 - x, rows * 0.1 - y).min() < 0.06
        assert np.hypot(columns * 0.1 - (20 - x), rows * 0.1 - (18 - y)).min() > 0.5


@pytest.mark.parametrize("dose", [3.0, 25.0, 400.0, 2e4])
def test_variance_of_the_counts_is_their_mean(dose):
    counts = record(np.ones((300, 400)), electrons_per_pixel=dose, floor=1.0, width=1.0, exponent=2.0,
                    rng=np.random.default_rng(1))  # fmt: skip
    assert counts.mean() == pytest.approx(dose, rel=0.01)
    assert counts.var() == pytest.approx(dose, rel=0.02)


CAMERAS = [
    {"floor": 0.1, "width": 0.4, "exponent": 2.5},
    {"floor": 0.0, "width": 0.2, "exponent": 1.8},
    {"floor": 0.05, "width": 1.0, "exponent": 3.5},
]


def noise_power(counts):
    """Power of the noise per pixel in units of the mean, and the frequencies in units of Nyquist's."""
    power = np.abs(np.fft.fft2(counts - counts.mean())) ** 2 / (counts.mean() * counts.size)
    q = 2 * np.hypot(np.fft.fftfreq(counts.shape[0])[:, None], np.fft.fftfreq(counts.shape[1])[None, :])
    return power, q


@pytest.mark.parametrize("camera", CAMERAS)
def test_flat_field_shows_the_mtf_at_all_frequencies(camera):
    counts = record(np.ones((640, 512)), electrons_per_pixel=300.0, rng=np.random.default_rng(2), **camera)
    power, q = noise_power(counts)
    expected = modulation_transfer(q, **camera) ** 2
    rings = np.digitize(q, np.linspace(0, np.sqrt(2), 15))
    for ring in range(1, 15):
        inside = (rings == ring) & (q > 0)
        error = 1 / np.sqrt(inside.sum() / 2)
        assert power[inside].mean() == pytest.approx(expected[inside].mean(), rel=max(0.02, 3.5 * error))


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("dose", [20.0, 1000.0])
def test_dose_follows_from_a_flat_field(camera, dose):
    """mean² / variance counts the electrons once the MTF's damping of the noise is divided out."""
    counts = record(np.ones((640, 512)), electrons_per_pixel=dose, rng=np.random.default_rng(3), **camera)
    q = noise_power(counts)[1]
    damping = (modulation_transfer(q, **camera) ** 2).mean()
    assert damping < 0.92
    assert counts.mean() ** 2 / counts.var() * damping == pytest.approx(dose, rel=0.02)


def norm(wave):
    """Electrons in a wave relative to those that came."""
    return (np.abs(wave.array.astype(complex)) ** 2).sum() / wave.array.size**2


def test_vacuum_keeps_its_norm():
    wave = wave_of(np.empty((0, 3)), 6, (10.0, 12.0), (48, 40))
    assert norm(wave) == pytest.approx(1, abs=1e-6)
    assert form_image(wave, Optics(**OPTICS, defocus=300.0)) == pytest.approx(1, abs=1e-6)


def test_free_propagation_loses_no_electrons():
    positions, box, shape = SHEET
    level = norm(wave_of(positions, 6, box, shape))
    assert 0.995 < level < 1
    for z in (-400.0, 37.0, 500.0):
        raised = np.column_stack([positions, np.full(len(positions), z)])
        assert norm(wave_of(raised, 6, box, shape)) == pytest.approx(level, abs=1e-6)


def test_thick_gaps_lose_no_electrons():
    """Two sheets: what is lost lies beyond the band limit and does not depend on the empty space between."""
    positions, box, shape = SHEET
    norms = []
    for gap in (10.0, 100.0, 1000.0):
        second = np.column_stack([positions + 0.5, np.full(len(positions), gap)])
        both = np.concatenate([np.column_stack([positions, np.zeros(len(positions))]), second])
        norms.append(norm(wave_of(both, 6, box, shape)))
    assert all(0.99 < value < 1 for value in norms)
    assert np.ptp(norms) < 2e-3


def test_lens_without_losses_keeps_the_electrons():
    positions, box, shape = SHEET
    wave = wave_of(positions, 6, box, shape)
    lossless = {**OPTICS, "focal_spread": 0.0, "angular_spread": 0.0, "semiangle_cutoff": 200.0}
    for defocus in (-300.0, 0.0, 300.0):
        image = form_image(wave, Optics(**lossless, defocus=defocus))
        assert image.mean(dtype=float) == pytest.approx(norm(wave), abs=1e-6)
