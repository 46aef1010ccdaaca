from dataclasses import replace

import numpy as np
import pytest

from amorph2d.imaging.optics import (
    Optics,
    coherence_envelope,
    contrast_transfer,
    contrast_transfer_2d,
    matched_defocus,
    phase_shift,
    wave_transfer,
    wavelength,
)

GOOD = {"energy": 8e4, "Cs": 0.0, "focal_spread": 0.0, "angular_spread": 0.0, "semiangle_cutoff": 60.0}
ABERRATED = Optics(
    energy=6e4, defocus=-70.0, Cs=-8e4, C5=4e6, focal_spread=25.0, angular_spread=0.4,
    semiangle_cutoff=70.0, astigmatism=60.0, astigmatism_angle=25.0, trefoil=700.0, trefoil_angle=-40.0,
    coma=500.0, coma_angle=110.0,
)  # fmt: skip


@pytest.mark.parametrize(("energy", "expected"), [(6e4, 0.048661), (8e4, 0.041757), (3e5, 0.019687)])
def test_wavelength_is_the_tabulated_one(energy, expected):
    assert wavelength(energy) == pytest.approx(expected, abs=2e-6)
    with pytest.raises(ValueError, match="energy must be > 0 eV, got -1"):
        wavelength(-1)


def test_transfer_is_zero_where_theory_says():
    optics = Optics(defocus=100.0, **GOOD)
    zeros = np.sqrt(np.arange(1, 4) / (wavelength(8e4) * 100.0))
    assert contrast_transfer(zeros, optics) == pytest.approx(0, abs=1e-9)
    assert abs(contrast_transfer(zeros * 0.9, optics)).min() > 0.1


@pytest.mark.parametrize(("name", "power"), [("defocus", 2), ("Cs", 4), ("C5", 6)])
def test_each_round_aberration_enters_with_its_power(name, power):
    optics = Optics(**{**GOOD, "defocus": 0.0, name: 1e5})
    assert phase_shift([0.8], optics) / phase_shift([0.4], optics) == pytest.approx(2**power)


@pytest.mark.parametrize(("name", "factor"), [("defocus", -1.0), ("Cs", 1 / 2), ("C5", 1 / 3)])
def test_round_aberrations_have_their_size(name, factor):
    angle = 0.9 * wavelength(8e4)
    power = {"defocus": 2, "Cs": 4, "C5": 6}[name]
    phase = phase_shift(0.9, Optics(**{**GOOD, "defocus": 0.0, name: 1e4}))
    assert phase == pytest.approx(np.pi / wavelength(8e4) * factor * 1e4 * angle**power)


def test_envelope_is_one_at_the_origin_and_falls():
    optics = Optics(defocus=50.0, **{**GOOD, "focal_spread": 40.0, "angular_spread": 0.5, "C5": 1e6})
    envelope = coherence_envelope(np.linspace(0, 1.4, 50), optics)
    assert envelope[0] == 1
    assert (np.diff(envelope) < 0).all()


def test_angular_spread_damps_with_the_slope_of_the_phase():
    optics = Optics(**{**GOOD, "defocus": 40.0, "Cs": -1e5, "C5": 5e6, "angular_spread": 0.6})
    q, step = 0.8, 1e-5
    slope = (phase_shift(q + step, optics) - phase_shift(q - step, optics)) / (2 * step * wavelength(8e4))
    assert coherence_envelope(q, optics) == pytest.approx(np.exp(-((slope * 0.6e-3 / 2) ** 2)), rel=1e-6)


def test_aperture_cuts():
    optics = Optics(defocus=50.0, **{**GOOD, "semiangle_cutoff": 20.0})
    edge = 0.020 / wavelength(8e4)
    assert contrast_transfer([edge * 1.01], optics) == 0
    assert contrast_transfer([edge * 0.99], optics) != 0
    assert contrast_transfer_2d(0, -edge * 1.01, optics) == 0


def test_round_optics_transfer_alike_in_all_directions():
    optics = replace(ABERRATED, astigmatism=0.0, coma=0.0, trefoil=0.0)
    q = np.linspace(0, 1.3, 40)
    for direction in (0.0, 0.7, 2.0):
        transfer = contrast_transfer_2d(q * np.cos(direction), q * np.sin(direction), optics)
        assert transfer.imag == pytest.approx(0, abs=1e-12)
        assert transfer.real == pytest.approx(contrast_transfer(q, optics), abs=1e-12)


def test_astigmatism_is_a_defocus_that_depends_on_the_direction():
    """C12 adds to C10 = −defocus along its angle and subtracts across it."""
    optics = Optics(**{**GOOD, "defocus": -50.0, "astigmatism": 30.0, "astigmatism_angle": 20.0})
    q = np.linspace(0, 1.2, 30)
    for direction, defocus in ((20.0, -80.0), (110.0, -20.0), (65.0, -50.0)):
        x, y = np.cos(np.deg2rad(direction)), np.sin(np.deg2rad(direction))
        expected = contrast_transfer(q, Optics(**{**GOOD, "defocus": defocus}))
        assert contrast_transfer_2d(q * x, q * y, optics) == pytest.approx(expected, abs=1e-12)


def test_transfer_of_odd_aberrations_is_that_of_a_real_image():
    q = np.random.default_rng(0).uniform(-1, 1, (2, 50))
    transfer = contrast_transfer_2d(*q, ABERRATED)
    assert abs(transfer.imag).max() > 0.1
    assert contrast_transfer_2d(*-q, ABERRATED) == pytest.approx(transfer.conj(), abs=1e-12)


def test_coma_turns_the_phase_of_the_transfer_by_its_own():
    """With an odd phase χo on top of an even one, T = sin χe · exp(−iχo)."""
    optics = Optics(**{**GOOD, "defocus": -60.0, "coma": 900.0, "coma_angle": 30.0})
    q = np.linspace(0, 1.2, 25)
    odd = 2 * np.pi / 3 * wavelength(8e4) ** 2 * q**3 * 900.0
    along = contrast_transfer_2d(q * np.cos(np.pi / 6), q * np.sin(np.pi / 6), optics)
    assert along == pytest.approx(np.sin(phase_shift(q, optics)) * np.exp(-1j * odd), abs=1e-12)


def test_wave_transfer_is_that_of_abtem():
    import abtem

    n, size = 32, (20.0, 14.0)
    transfer = abtem.CTF(
        energy=6e4, defocus=-70.0, Cs=-8e4, C50=4e6, focal_spread=25.0, angular_spread=0.4,
        astigmatism=60.0, astigmatism_angle=np.deg2rad(25.0), trefoil=700.0, trefoil_angle=np.deg2rad(-40.0),
        coma=500.0, coma_angle=np.deg2rad(110.0), extent=size, gpts=n,
    )._evaluate_kernel()  # fmt: skip
    qx, qy = (np.fft.fftfreq(n, length / n) for length in size)
    ours = wave_transfer(qx[:, None], qy[None, :], ABERRATED)
    assert transfer.shape == ours.shape
    assert np.abs(ours - transfer).max() < 2e-5
    single = wave_transfer(qx[:, None].astype("f4"), qy[None, :].astype("f4"), ABERRATED)
    assert single.dtype == np.complex64
    assert np.abs(single - ours).max() < 2e-5


@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize(
    ("energy", "Cs", "C5"),
    [(energy, Cs, C5) for energy in (2e4, 8e4, 3e5) for Cs, C5 in ((-2e5, 0), (0, 0), (2e5, 0), (-1e5, 4e7))]
    + [(3e5, 1.2e7, 0)],
)
def test_matched_defocus_gives_the_wanted_polarity(bright, energy, Cs, C5):
    coherent = {**GOOD, "energy": energy, "focal_spread": 15.0, "Cs": Cs, "C5": C5}
    defocus = matched_defocus(Optics(defocus=0.0, **coherent), bright_atoms=bright)
    transfer = contrast_transfer(np.linspace(0.35, 0.9, 200), Optics(defocus=defocus, **coherent)).mean()
    assert transfer * (1 if bright else -1) > 0.1


def test_matched_defocus_of_an_uncorrected_lens_is_beyond_300():
    optics = Optics(defocus=0.0, **{**GOOD, "energy": 3e5, "Cs": 1.2e7, "focal_spread": 30.0})
    scherzer = 1.2 * np.sqrt(1.2e7 * wavelength(3e5))
    assert matched_defocus(optics, bright_atoms=False, band=(0.2, 0.5)) == pytest.approx(scherzer, rel=0.15)


@pytest.mark.parametrize("name", ["energy", "semiangle_cutoff"])
def test_impossible_optics_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be > 0, got -1"):
        Optics(**{**GOOD, "defocus": 0.0, name: -1.0})
    with pytest.raises(ValueError, match="focal_spread must be ≥ 0, got -1"):
        Optics(**{**GOOD, "defocus": 0.0, "focal_spread": -1.0})
