import numpy as np
import pytest

from amorph2d.imaging.adaptation.spectra import radial_spectrum, separate_noise


def test_density_integrates_to_the_variance_whatever_the_pixels():
    rng = np.random.default_rng(0)
    for shape, sampling in (((64, 96), 0.2), ((128, 80), (0.1, 0.35))):
        spectrum = radial_spectrum(3 * rng.normal(size=shape), sampling)
        area = np.prod(sampling) if isinstance(sampling, tuple) else sampling**2
        flat = spectrum.frequency > 0
        assert np.average(spectrum.mean[flat], weights=spectrum.count[flat]) == pytest.approx(
            9 * area, rel=0.06
        )
        assert np.average(spectrum.typical, weights=spectrum.count) == pytest.approx(9 * area, rel=0.06)


def test_typical_is_blind_to_bragg_peaks_and_mean_is_not(micrograph):
    spectrum = radial_spectrum(micrograph(), 0.2)
    ring = np.argmin(np.abs(spectrum.frequency - 1 / 2.13))
    assert spectrum.mean[ring] > 20 * spectrum.typical[ring]
    assert spectrum.peak[ring] > 100 * spectrum.typical[ring]


def test_weights_leave_out_pixels():
    rng = np.random.default_rng(1)
    image = rng.normal(size=(96, 128))
    weights = np.ones_like(image)
    weights[:, 90:] = 0
    loud = image.copy()
    loud[:, 90:] *= 50
    quiet, other = (radial_spectrum(item, 0.2, weights=weights) for item in (image, loud))
    np.testing.assert_allclose(quiet.mean, other.mean)
    assert radial_spectrum(loud, 0.2).mean[10] > 100 * other.mean[10]


def test_large_images_are_averaged_over_windows():
    image = np.random.default_rng(2).normal(size=(520, 1100)).astype(np.float32)
    spectrum = radial_spectrum(image, 0.2)
    assert spectrum.n_windows == 2
    assert np.median(spectrum.typical) == pytest.approx(0.04, rel=0.05)


@pytest.mark.parametrize(
    ("image", "weights", "message"),
    [
        (np.ones((20, 64)), None, "at least 32 px"),
        (np.ones((40, 40)), np.ones((40, 41)), "image's shape"),
        (np.ones((40, 40)), np.zeros((40, 40)), "> 0 somewhere"),
    ],
)
def test_what_has_no_spectrum_is_refused(image, weights, message):
    with pytest.raises(ValueError, match=message):
        radial_spectrum(image, 0.2, weights=weights)


@pytest.mark.parametrize("mtf", [(0.1, 1.0, 1.8), (0.05, 0.5, 2.5), (0.0, 0.3, 3.2)])
def test_noise_of_a_camera(micrograph, mtf):
    image = micrograph(mtf=mtf)
    noise = separate_noise(radial_spectrum(image / image.mean(), 0.2), 0.2)
    assert noise.is_camera
    assert 1 / noise.density == pytest.approx(2e4, rel=0.15)
    frequency = np.linspace(0, 2.5, 20)
    from amorph2d.imaging.detector import modulation_transfer

    true = modulation_transfer(0.4 * frequency, floor=mtf[0], width=mtf[1], exponent=mtf[2]) ** 2
    np.testing.assert_allclose(noise.at(frequency, 0.2) * 2e4, true, rtol=0.25)


def test_information_limit_is_the_outermost_bragg_ring(micrograph):
    both, first = (
        separate_noise(radial_spectrum(micrograph(second=second), 0.2), 0.2).information_limit
        for second in (0.3, 0.0)
    )
    assert both == pytest.approx(1 / 1.23, abs=0.04)
    assert first == pytest.approx(1 / 2.13, abs=0.04)


def test_noise_alone_has_no_information_limit():
    image = np.random.default_rng(3).poisson(400, (200, 260))
    noise = separate_noise(radial_spectrum(image, 0.2), 0.2)
    assert np.isnan(noise.information_limit)
    assert noise.density == pytest.approx(400 * 0.04, rel=0.1)


def test_filtered_images_are_no_cameras(micrograph):
    from scipy.ndimage import gaussian_filter

    image = gaussian_filter(micrograph(sampling=0.11, mtf=(1.0, 1.0, 2.0)), 1.5)
    assert not separate_noise(radial_spectrum(image, 0.11), 0.11).is_camera


def test_spectrum_too_short_to_see_noise():
    image = np.random.default_rng(4).normal(size=(32, 32))
    noise = separate_noise(radial_spectrum(image, 0.2), 0.2)
    assert np.isnan(noise.density)
    assert np.isnan(noise.information_limit)
    assert not noise.is_camera
