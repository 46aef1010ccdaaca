import numpy as np
import pytest

from amorph2d.imaging.optics import Optics
from amorph2d.twin.compare import clipped, deviation_map, measure_noise, misfit_map, site_misfit
from amorph2d.twin.optics import FittedOptics
from amorph2d.twin.simulate import sheet_wave

STEPS, SHAPE = (0.2, 0.2), (200, 240)
LENS = Optics(
    energy=8e4, defocus=-70.0, Cs=-8e4, focal_spread=30.0, angular_spread=0.3, semiangle_cutoff=100.0
)
FITTED = FittedOptics(LENS, blur=0.2, contrast=100.0, errors={}, misfit=1.0)
EVERYWHERE = np.ones(SHAPE, dtype=bool)


def noise(seed, sigma=5.0):
    return (sigma * np.random.default_rng(seed).normal(size=SHAPE)).astype(np.float32)


def test_white_noise_is_measured():
    measured = measure_noise(noise(0), STEPS)
    assert measured.variance == pytest.approx(25, rel=0.1)
    assert measured.power(np.array([0.0, 0.5])) == pytest.approx([25, 25], rel=0.25)


def test_noise_is_not_known_where_pixels_are_coarse_or_equal():
    assert measure_noise(noise(0), (0.5, 0.5)) is None
    assert measure_noise(np.zeros(SHAPE, np.float32), STEPS) is None


@pytest.mark.parametrize("is_known", [True, False])
def test_noise_alone_has_a_misfit_of_one(is_known):
    residual = noise(1)
    measured = measure_noise(residual, STEPS) if is_known else None
    deviation = deviation_map(residual, EVERYWHERE, FITTED, measured, STEPS)
    misfit, sampling = misfit_map(deviation, EVERYWHERE, STEPS, block=5.0)
    assert sampling == pytest.approx((2.4, 2.4), abs=0.21)
    assert np.mean(misfit) == pytest.approx(1, abs=0.25)


def test_an_atom_too_many_stands_out_where_it_is():
    wave = sheet_wave([[30.0, 14.0]], shape=SHAPE, sampling=STEPS, energy=8e4)
    residual = noise(2) + 100 * (wave.window(wave.intensity(LENS, blur=0.2)) - 1)
    deviation = deviation_map(residual, EVERYWHERE, FITTED, measure_noise(noise(2), STEPS), STEPS)
    assert np.unravel_index(np.argmax(np.abs(deviation)), SHAPE) == pytest.approx((70, 150), abs=2)
    pixels = np.array([[70.0, 150.0], [70.0, 60.0], [150.0, 150.0], [900.0, 3.0]])
    found = site_misfit(deviation, EVERYWHERE, pixels, STEPS)
    assert found[0] > 10
    assert found[1] < 5
    assert found[2] < 5
    assert np.isnan(found[3])


def test_only_what_is_compared_counts():
    deviation = np.full(SHAPE, 3.0, np.float32)
    is_compared = EVERYWHERE.copy()
    is_compared[:, :120] = False
    misfit, sampling = misfit_map(deviation, is_compared, STEPS, block=5.0)
    columns = np.arange(misfit.shape[1]) * sampling[1]
    assert np.isnan(misfit[:, columns < 20]).all()
    assert misfit[:, columns > 24] == pytest.approx(9)
    found = site_misfit(deviation, is_compared, np.array([[100.0, 30.0], [100.0, 130.0]]), STEPS)
    assert np.isnan(found[0])
    assert found[1] == pytest.approx(9)


def test_faulty_pixels_are_cut_off():
    image = noise(3, sigma=1.0)
    image[10, 20] = 500
    cut = clipped(image, EVERYWHERE)
    assert cut[10, 20] == pytest.approx(8, abs=0.3)
    assert np.count_nonzero(cut != image) == 1
    assert np.array_equal(clipped(image, ~EVERYWHERE), image)
