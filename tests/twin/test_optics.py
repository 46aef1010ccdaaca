from dataclasses import replace

import numpy as np
import pytest

from amorph2d.imaging.optics import Optics, contrast_transfer_2d
from amorph2d.twin.optics import (
    BAND,
    Expectation,
    FittedOptics,
    NothingToFit,
    fit_optics,
    linear_transfer,
    measure_transfer,
)
from amorph2d.twin.simulate import sheet_wave

SHAPE, STEPS = (208, 240), (0.2, 0.2)
WEIGHT = np.outer(np.hanning(208), np.hanning(240)).astype(np.float32)
LENS = Optics(
    energy=8e4, defocus=-70.0, Cs=-8e4, focal_spread=30.0, angular_spread=0.3, semiangle_cutoff=100.0,
    astigmatism=12.0, astigmatism_angle=30.0, coma=300.0, coma_angle=50.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def wave(sheet):
    return sheet_wave(sheet[0].atoms, shape=SHAPE, sampling=STEPS, energy=8e4)


def test_the_transfer_of_a_known_filter_is_measured():
    rng = np.random.default_rng(0)
    thing = rng.normal(size=SHAPE).astype(np.float32)
    image = 0.7 * np.roll(thing, (0, 2), axis=(0, 1))
    measured = measure_transfer(image, thing, WEIGHT, STEPS)
    expected = 0.7 * np.exp(-2j * np.pi * measured.qx * 0.4)
    assert np.abs(measured.values - expected).max() < 0.08
    assert np.abs(measured.values - 0.7).max() > 0.5
    # The cells that hold a column of frequencies and its mirror image must not mix the two.
    assert np.hypot(measured.qx, measured.qy).min() > 0.97 * BAND[0]


def test_errors_of_the_transfer_are_those_of_the_noise():
    rng = np.random.default_rng(1)
    thing = rng.normal(size=SHAPE).astype(np.float32)
    image = 0.5 * thing + 2 * rng.normal(size=SHAPE).astype(np.float32)
    measured = measure_transfer(image, thing, WEIGHT, STEPS)
    deviation = (measured.values - 0.5) / measured.errors
    assert 0.7 < np.sqrt((np.abs(deviation) ** 2).mean() / 2) < 1.4


@pytest.mark.parametrize("polarity", [1, -1])
def test_optics_are_found_for_both_polarities(wave, polarity):
    lens = replace(LENS, defocus=polarity * LENS.defocus, Cs=polarity * LENS.Cs)
    rng = np.random.default_rng(2)
    image = 1.0 * wave.window(wave.intensity(lens, blur=0.25)) - 1
    noisy = image + 0.03 * rng.normal(size=SHAPE).astype(np.float32)
    fitted = fit_optics(noisy, WEIGHT, wave, defocus=500.0, Cs=1.5e5)
    assert fitted.optics.defocus == pytest.approx(lens.defocus, abs=6)
    assert fitted.optics.Cs == pytest.approx(lens.Cs, abs=1.5e4)
    assert fitted.optics.astigmatism == pytest.approx(12, abs=4)
    assert abs((fitted.optics.astigmatism_angle - 30 + 90) % 180 - 90) < 15
    assert fitted.optics.coma == pytest.approx(300, abs=60)
    assert fitted.contrast == pytest.approx(1, abs=0.15)
    assert fitted.misfit < 2
    twin = wave.window(wave.intensity(fitted.optics, blur=fitted.blur)) - 1
    inner = (slice(30, -30), slice(30, -30))
    assert np.corrcoef(twin[inner].ravel(), image[inner].ravel())[0, 1] > 0.995


def test_a_stretched_file_is_expected_to_have_more_contrast(wave):
    image = wave.window(wave.intensity(LENS, blur=0.25)) - 1
    phase = wave.window(wave.phase())
    plain, stretched = (
        Expectation.of(measure_transfer(factor * image, phase, WEIGHT, STEPS), defocus=300.0, Cs=1e5)
        for factor in (0.5, 20.0)
    )
    assert plain.means[0] == 0
    assert stretched.means[0] > np.log(4)


def test_the_linear_transfer_is_twice_the_contrast_transfer():
    fitted = FittedOptics(LENS, blur=0.3, contrast=5.0, errors={"defocus": 2.0}, misfit=1.0)
    qx, qy = np.array([[0.3]]), np.array([[0.4]])
    blur = np.exp(-2 * (np.pi * 0.3 * 0.5) ** 2)
    expected = 10 * blur * contrast_transfer_2d(qx, qy, LENS)
    assert linear_transfer(qx, qy, fitted) == pytest.approx(expected, rel=1e-5)
    described = fitted.describe()
    assert described["defocus"] == -70
    assert described["defocus_error"] == 2
    assert described["blur"] == 0.3


def test_a_window_without_the_sheet_is_refused():
    wave = sheet_wave(np.array([[5.0, 6.0]]), shape=(64, 80), sampling=(0.2, 0.2), energy=8e4)
    nothing = np.zeros((64, 80), np.float32)
    with pytest.raises(NothingToFit, match="shows the sheet alone"):
        fit_optics(nothing, nothing, wave, defocus=500, Cs=1.5e5)
