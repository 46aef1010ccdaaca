import numpy as np
import pytest

from amorph2d.imaging.detector import blur, illumination, modulation_transfer, record

FLAT = {"floor": 1.0, "width": 1.0, "exponent": 2.0}


def test_shot_noise_has_the_variance_of_its_mean():
    counts = record(np.ones((300, 400)), electrons_per_pixel=40.0, rng=np.random.default_rng(1), **FLAT)
    assert counts.mean() == pytest.approx(40, rel=0.02)
    assert counts.var() == pytest.approx(40, rel=0.02)


def test_mtf_shapes_the_noise_spectrum():
    shape = {"floor": 0.1, "width": 0.4, "exponent": 2.5}
    counts = record(np.ones((512, 256)), electrons_per_pixel=400.0, rng=np.random.default_rng(2), **shape)
    power = np.abs(np.fft.fft2(counts - counts.mean())) ** 2 / (400 * counts.size)
    q = 2 * np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(256)[None])
    ring = (q > 0.45) & (q < 0.55)
    assert power[ring].mean() == pytest.approx((modulation_transfer(q[ring], **shape) ** 2).mean(), rel=0.03)


def test_mtf_limits():
    assert modulation_transfer(0, floor=0.2, width=0.5, exponent=2) == 1
    assert modulation_transfer(1e6, floor=0.2, width=0.5, exponent=2) == pytest.approx(0.2)
    assert modulation_transfer(1.0, floor=0.0, width=0.5, exponent=3) == pytest.approx(0.5)


def test_mtf_keeps_the_mean():
    image = np.random.default_rng(3).uniform(0.5, 1.5, (64, 48))
    counts = record(
        image, electrons_per_pixel=1e6, floor=0, width=0.3, exponent=2, rng=np.random.default_rng(0)
    )
    assert counts.mean() == pytest.approx(1e6 * image.mean(), rel=1e-4)


def test_blur_has_the_wanted_width():
    image = np.zeros((65, 95), np.float32)
    image[30, 40] = 1
    blurred = blur(image, 3.0)
    rows = np.arange(65) - 30
    assert (blurred.sum(axis=1) * rows**2).sum() == pytest.approx(9, rel=0.02)
    assert blurred.sum() == pytest.approx(1, rel=1e-5)


def test_illumination_rises_along_its_direction():
    field = illumination((40, 60), gradient=0.4, direction=0.0)
    assert field.mean() == pytest.approx(1, abs=1e-6)
    assert field[:, -1] - field[:, 0] == pytest.approx(0.4, abs=1e-6)
    assert np.ptp(illumination((40, 60), gradient=0.4, direction=60.0)) == pytest.approx(0.4, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"electrons_per_pixel": 0.0}, r"electrons_per_pixel must be > 0, got 0\.0"),
        ({"floor": 1.5}, r"floor must lie in 0 … 1, got 1\.5"),
        ({"width": 0.0}, "width and exponent must be > 0"),
    ],
)
def test_impossible_cameras_are_refused(change, message):
    arguments = {"electrons_per_pixel": 10.0, **FLAT, **change}
    with pytest.raises(ValueError, match=message):
        record(np.ones((8, 8)), rng=np.random.default_rng(0), **arguments)


def test_negative_intensity_is_refused():
    with pytest.raises(ValueError, match=r"intensity must be ≥ 0, got -1\.0"):
        record(-np.ones((8, 8)), electrons_per_pixel=1.0, rng=np.random.default_rng(0), **FLAT)
    with pytest.raises(ValueError, match="gradient must lie in"):
        illumination((4, 4), gradient=-1, direction=0)
    with pytest.raises(ValueError, match="sigma must be ≥ 0 px"):
        blur(np.ones((4, 4)), -1)
