import numpy as np
import pytest

from amorph2d.imaging.optics import (
    Optics,
    coherence_envelope,
    contrast_transfer,
    matched_defocus,
    phase_shift,
    wavelength,
)
from amorph2d.imaging.waves import exit_wave, form_image

GOOD = {"energy": 8e4, "Cs": 0.0, "focal_spread": 0.0, "angular_spread": 0.0, "semiangle_cutoff": 60.0}


@pytest.mark.parametrize(("energy", "expected"), [(6e4, 0.048661), (8e4, 0.041757), (3e5, 0.019687)])
def test_wavelength_is_the_tabulated_one(energy, expected):
    assert wavelength(energy) == pytest.approx(expected, abs=2e-6)


def test_transfer_is_zero_where_theory_says():
    optics = Optics(defocus=100.0, **GOOD)
    zeros = np.sqrt(np.arange(1, 4) / (wavelength(8e4) * 100.0))
    assert contrast_transfer(zeros, optics) == pytest.approx(0, abs=1e-9)
    assert abs(contrast_transfer(zeros * 0.9, optics)).min() > 0.1


def test_spherical_aberration_enters_with_the_fourth_power():
    optics = Optics(defocus=0.0, **{**GOOD, "Cs": 1e5})
    assert phase_shift([0.8], optics) / phase_shift([0.4], optics) == pytest.approx(16)


def test_envelope_is_one_at_the_origin_and_falls():
    optics = Optics(defocus=50.0, **{**GOOD, "focal_spread": 40.0, "angular_spread": 0.5})
    envelope = coherence_envelope(np.linspace(0, 1.4, 50), optics)
    assert envelope[0] == 1
    assert (np.diff(envelope) < 0).all()


def test_aperture_cuts():
    optics = Optics(defocus=50.0, **{**GOOD, "semiangle_cutoff": 20.0})
    edge = 0.020 / wavelength(8e4)
    assert contrast_transfer([edge * 1.01], optics) == 0
    assert contrast_transfer([edge * 0.99], optics) != 0


@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize("Cs", [-2e5, 0.0, 2e5])
def test_matched_defocus_gives_the_wanted_polarity(bright, Cs):
    coherent = {**GOOD, "focal_spread": 30.0, "Cs": Cs}
    defocus = matched_defocus(Optics(defocus=0.0, **coherent), bright_atoms=bright)
    transfer = contrast_transfer(np.linspace(0.35, 0.9, 200), Optics(defocus=defocus, **coherent)).mean()
    assert transfer * (1 if bright else -1) > 0.1


@pytest.mark.parametrize("name", ["energy", "semiangle_cutoff"])
def test_impossible_optics_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be > 0, got -1"):
        Optics(**{**GOOD, "defocus": 0.0, name: -1.0})


def image_of_one_atom(position, box, shape, **optics):
    wave = exit_wave([position], [6], box=box, shape=shape, energy=8e4)
    return form_image(wave, Optics(**{**GOOD, "defocus": 0.0, **optics}))


def test_atom_appears_at_its_position_on_a_grid_that_is_not_square():
    box, shape = (24.0, 12.0), (60, 120)
    image = image_of_one_atom((18.0, 4.0), box, shape, defocus=-60.0, focal_spread=20.0)
    assert image.shape == shape
    row, column = np.unravel_index(image.argmax(), shape)
    assert (column * 0.2, row * 0.2) == pytest.approx((18.0, 4.0), abs=1e-6)


@pytest.mark.parametrize(("defocus", "sign"), [(-60.0, 1), (60.0, -1)])
def test_underfocus_makes_atoms_dark(defocus, sign):
    image = image_of_one_atom((6.0, 6.0), (12.0, 12.0), (60, 60), defocus=defocus, focal_spread=20.0)
    assert np.sign(image[30, 30] - image.mean()) == sign


def test_contrast_agrees_with_the_weak_phase_transfer():
    coherent = {"defocus": -80.0, "Cs": -1e5, "focal_spread": 30.0, "angular_spread": 0.2}
    size, n = 40.0, 256
    wave = exit_wave([(20.0, 20.0)], [6], box=(size, size), shape=(n, n), energy=8e4)
    phase = np.angle(wave.array).T
    image = form_image(wave, Optics(**{**GOOD, **coherent}))
    q = np.hypot(np.fft.fftfreq(n, size / n)[:, None], np.fft.fftfreq(n, size / n)[None])
    transfer = contrast_transfer(q, Optics(**{**GOOD, **coherent}))
    expected = 1 + np.fft.ifft2(2 * transfer * np.fft.fft2(phase)).real
    contrast, predicted = image - image.mean(), expected - expected.mean()
    assert np.abs(contrast - predicted).max() < 0.06 * np.abs(predicted).max()


def test_vacuum_keeps_its_norm():
    wave = exit_wave(np.empty((0, 2)), [], box=(10.0, 12.0), shape=(48, 40), energy=6e4)
    image = form_image(wave, Optics(**{**GOOD, "energy": 6e4, "defocus": 300.0}))
    assert image == pytest.approx(1, abs=1e-5)


def test_moving_the_atom_moves_the_image():
    first = image_of_one_atom((4.0, 5.0), (12.0, 10.0), (50, 60), defocus=-50.0)
    second = image_of_one_atom((4.6, 5.4), (12.0, 10.0), (50, 60), defocus=-50.0)
    assert second == pytest.approx(np.roll(first, (2, 3), axis=(0, 1)), abs=1e-4)
