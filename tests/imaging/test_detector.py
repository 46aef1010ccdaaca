import numpy as np
import pytest
from scipy.ndimage import shift
from scipy.stats import norm, poisson

from amorph2d.imaging.detector import (
    as_stored,
    blur,
    dead_and_hot_pixels,
    drift_blur,
    illumination,
    modulation_transfer,
    record,
    shot_noise,
    xray_spikes,
)
from amorph2d.imaging.geometry import Distortion, smooth_variation, source_positions

FLAT = {"floor": 1.0, "width": 1.0, "exponent": 2.0}


@pytest.mark.parametrize("mean", [0.3, 9.9, 10.1, 40.0, 3000.0])
def test_shot_noise_has_the_distribution_of_poisson(mean):
    counts = shot_noise(np.full((500, 400), mean), np.random.default_rng(1)).ravel()
    assert (counts == np.rint(counts)).all()
    assert counts.min() >= 0
    steps = np.unique(poisson.ppf(np.linspace(0.05, 0.95, 19), mean))
    found = np.array([(counts <= step).mean() for step in steps])
    expected = poisson.cdf(steps, mean)
    assert np.abs(found - expected).max() < 4 * 0.5 / np.sqrt(counts.size)
    assert counts.var() == pytest.approx(mean, rel=0.02)
    skewness = ((counts - mean) ** 3).mean() / mean**1.5
    assert skewness == pytest.approx(mean**-0.5, abs=0.03)


class Given:
    """A generator whose normal variates are given."""

    def __init__(self, variates):
        self.variates = variates

    def standard_normal(self, shape, dtype):
        return self.variates.astype(dtype).reshape(shape)


@pytest.mark.parametrize(("mean", "share"), [(10.0, 6e-4), (30.0, 1.2e-4), (1000.0, 8e-5)])
def test_expansion_inverts_the_poisson_distribution(mean, share):
    """At evenly spaced probabilities the counts are the quantiles, but for few next to a step."""
    probability = (np.arange(200000) + 0.5) / 200000
    counts = shot_noise(np.full((400, 500), mean), Given(norm.ppf(probability))).ravel()
    expected = poisson.ppf(probability, mean)
    assert (counts != expected).mean() < share
    assert np.abs(counts - expected).max() <= 1


def test_shot_noise_of_an_image_with_vacuum_and_dark_places():
    mean = np.array([[0.0, 3.0, 200.0]]).repeat(20000, axis=0)
    counts = shot_noise(mean, np.random.default_rng(0))
    assert (counts[:, 0] == 0).all()
    assert counts.mean(axis=0)[1:] == pytest.approx([3, 200], rel=0.02)
    assert counts.var(axis=0)[1:] == pytest.approx([3, 200], rel=0.05)


def test_mtf_limits():
    assert modulation_transfer(0, floor=0.2, width=0.5, exponent=2) == 1
    assert modulation_transfer(1e6, floor=0.2, width=0.5, exponent=2) == pytest.approx(0.2)
    assert modulation_transfer(1.0, floor=0.0, width=0.5, exponent=3) == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(64, 48), (63, 49), (64, 49), (1, 7)])
def test_mtf_acts_as_a_filter_on_all_shapes(shape):
    image = np.random.default_rng(3).uniform(0.5, 1.5, shape)
    form = {"floor": 0.05, "width": 0.3, "exponent": 2.0}
    seed = 4
    counts = record(image, electrons_per_pixel=1e4, rng=np.random.default_rng(seed), **form)
    unfiltered = record(image, electrons_per_pixel=1e4, rng=np.random.default_rng(seed), **FLAT)
    q = 2 * np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])
    expected = np.fft.ifft2(np.fft.fft2(unfiltered) * modulation_transfer(q, **form)).real
    assert counts == pytest.approx(expected, rel=1e-5)
    assert counts.mean() == pytest.approx(unfiltered.mean(), rel=1e-5)


def test_gain_and_readout_come_after_the_mtf():
    image, form = np.ones((200, 300)), {"floor": 0.0, "width": 0.1, "exponent": 2.0}
    plain = record(image, electrons_per_pixel=1e3, rng=np.random.default_rng(5), **form)
    read = record(image, electrons_per_pixel=1e3, rng=np.random.default_rng(5), readout_noise=7.0, **form)
    gained = record(image, electrons_per_pixel=1e3, rng=np.random.default_rng(5), gain_noise=0.02, **form)
    assert (read - plain).std() == pytest.approx(7, rel=0.02)
    assert (gained / plain - 1).std() == pytest.approx(0.02, rel=0.02)
    for noise in (read - plain, gained / plain - 1):
        assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 0.02 * noise.var()


def test_blur_has_the_wanted_width():
    image = np.zeros((65, 95), np.float32)
    image[30, 40] = 1
    blurred = blur(image, 3.0)
    rows = np.arange(65) - 30
    assert (blurred.sum(axis=1) * rows**2).sum() == pytest.approx(9, rel=0.02)
    assert blurred.sum() == pytest.approx(1, rel=1e-5)
    assert np.array_equal(blur(image, 0.0), image)


@pytest.mark.parametrize("direction", [0.0, 90.0, 37.0])
def test_drift_averages_over_the_way(direction):
    image = np.zeros((60, 80))
    image[28, 33] = 1
    image = blur(image, 2.0)
    x, y = np.cos(np.deg2rad(direction)), np.sin(np.deg2rad(direction))
    places = np.linspace(-2.5, 2.5, 101)
    weights = np.full(101, 0.01)
    weights[[0, -1]] /= 2
    expected = sum(
        w * shift(image, (t * y, t * x), order=5, mode="grid-wrap")
        for t, w in zip(places, weights, strict=True)
    )
    drifted = drift_blur(image, length=5.0, direction=direction)
    assert drifted == pytest.approx(expected, abs=2e-4 * float(image.max()))
    assert np.abs(drifted - image).max() > 0.1 * image.max()
    assert np.array_equal(drift_blur(image, length=0.0, direction=direction), image)


def test_illumination_rises_along_its_direction():
    field = illumination((40, 60), gradient=0.4, direction=0.0)
    assert field.mean() == pytest.approx(1, abs=1e-6)
    assert field[:, -1] - field[:, 0] == pytest.approx(0.4, abs=1e-6)
    assert np.ptp(illumination((40, 60), gradient=0.4, direction=60.0)) == pytest.approx(0.4, abs=1e-6)
    assert (illumination((5, 7), gradient=0.0, direction=10.0) == 1).all()


def test_vignetting_falls_to_the_farthest_corner():
    field = illumination((41, 61), gradient=0.0, direction=0.0, vignetting=0.3)
    assert field[0, 0] / field[20, 30] == pytest.approx(0.7, abs=1e-5)
    half = illumination((41, 61), gradient=0.0, direction=0.0, vignetting=0.3)[10, 15] / field[20, 30]
    assert half == pytest.approx(1 - 0.3 / 4, abs=1e-5)
    moved = illumination((41, 61), gradient=0.0, direction=0.0, vignetting=0.3, centre=(1.0, 0.25))
    assert np.unravel_index(moved.argmax(), moved.shape) == (10, 60)
    assert moved[-1, 0] / moved.max() == pytest.approx(0.7, abs=1e-5)


def test_unevenness_has_its_size_and_its_seed():
    even = {"gradient": 0.0, "direction": 0.0}
    field = illumination((90, 120), unevenness=0.05, seed=3, **even)
    assert np.log(field).std() == pytest.approx(0.05, rel=0.02)
    assert np.array_equal(field, illumination((90, 120), unevenness=0.05, seed=3, **even))
    assert np.abs(field - illumination((90, 120), unevenness=0.05, seed=4, **even)).max() > 0.03


def test_unevenness_shares_its_seed_with_nothing_else():
    """One seed may decide an image's noise, its distortion and its illumination: they are not alike."""
    rows, columns = np.arange(90.0)[:, None], np.arange(120.0)[None, :]
    field = np.log(illumination((90, 120), gradient=0.0, direction=0.0, unevenness=0.05, seed=3))
    pixels = np.column_stack([axis.ravel() for axis in np.broadcast_arrays(rows, columns)])
    moved = source_positions(pixels, (90, 120), Distortion(wobble=1.0, seed=3)) - pixels
    direct = smooth_variation(rows, columns, (90, 120), np.random.default_rng(3)).ravel()
    alike = np.abs(np.corrcoef([field.ravel(), moved[:, 0], moved[:, 1], direct]))
    assert (alike[np.triu_indices(4, 1)] < 0.9).all()


def test_illumination_stays_positive_with_mean_one():
    field = illumination((30, 50), gradient=1.9, direction=130.0, vignetting=0.9, unevenness=1.0, seed=1)
    assert field.min() > 0
    assert field.mean() == pytest.approx(1, abs=1e-5)
    assert field.dtype == np.float32


def test_faulty_pixels_have_their_shares():
    signal = np.full((300, 400), 50.0)
    faulty = dead_and_hot_pixels(
        signal, dead_fraction=0.01, hot_fraction=0.002, hot_level=6.0, rng=np.random.default_rng(0)
    )
    assert (faulty == 0).mean() == pytest.approx(0.01, rel=0.15)
    assert (faulty == 300).mean() == pytest.approx(0.002, rel=0.3)
    assert ((faulty == 50) | (faulty == 0) | (faulty == 300)).all()
    untouched = dead_and_hot_pixels(
        signal, dead_fraction=0.0, hot_fraction=0.0, hot_level=6.0, rng=np.random.default_rng(0)
    )
    assert np.array_equal(untouched, signal)


def test_all_pixels_may_be_faulty():
    faulty = dead_and_hot_pixels(
        np.ones((3, 4)), dead_fraction=0.0, hot_fraction=1.0, hot_level=2.0, rng=np.random.default_rng(0)
    )
    assert (faulty == 2).all()


def test_spikes_are_rare_small_and_bright():
    signal = np.full((500, 1000), 10.0)
    struck = xray_spikes(signal, rate=200.0, level=20.0, rng=np.random.default_rng(2))
    added = struck - signal
    assert added.min() >= 0
    events = added.sum() / (20 * 10)
    assert events == pytest.approx(100, rel=0.3)
    assert (added > 1).sum() < 12 * events
    assert added.max() > 100
    assert np.array_equal(xray_spikes(signal, rate=0.0, level=20.0, rng=np.random.default_rng(2)), signal)


def test_spikes_at_the_edge_leave_the_image():
    struck = xray_spikes(np.ones((2, 2)), rate=5e6, level=1.0, rng=np.random.default_rng(2))
    assert struck.shape == (2, 2)
    assert (struck >= 1).all()


def test_files_of_8_bits_stretch_between_quantiles():
    signal = np.arange(1001.0)[None, :].repeat(3, axis=0)
    stored = as_stored(signal, bits=8, clip=(0.1, 0.9))
    assert (stored[:, :101] == 0).all()
    assert (stored[:, 900:] == 255).all()
    assert stored[0, 500] in (127, 128)
    assert (stored == np.rint(stored)).all()
    assert len(np.unique(stored)) == 256
    assert (as_stored(np.full((4, 5), 7.0), bits=8) == 0).all()


def test_files_of_16_bits_hold_counts():
    signal = np.array([[-5.0, 0.0, 1.3, 10.0, 1e5]])
    stored = as_stored(signal, bits=16, counts_per_electron=3.0, offset=10.0)
    assert stored.tolist() == [[0, 10, 14, 40, 65535]]
    assert stored.dtype == np.float32


def test_no_bits_leave_the_signal_alone():
    signal = np.array([[-5.5, 0.25]], np.float32)
    stored = as_stored(signal, bits=0)
    assert np.array_equal(stored, signal)
    assert not np.shares_memory(stored, signal)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"electrons_per_pixel": 0.0}, r"electrons_per_pixel must be > 0, got 0\.0"),
        ({"floor": 1.5}, r"floor must lie in 0 … 1, got 1\.5"),
        ({"width": 0.0}, "width and exponent must be > 0"),
        ({"readout_noise": -1.0}, r"readout_noise must be ≥ 0, got -1\.0"),
        ({"gain_noise": -1.0}, r"gain_noise must be ≥ 0, got -1\.0"),
    ],
)
def test_impossible_cameras_are_refused(change, message):
    arguments = {"electrons_per_pixel": 10.0, **FLAT, **change}
    with pytest.raises(ValueError, match=message):
        record(np.ones((8, 8)), rng=np.random.default_rng(0), **arguments)


def test_impossible_values_are_refused():
    rng, image = np.random.default_rng(0), np.ones((4, 4))
    with pytest.raises(ValueError, match=r"intensity must be ≥ 0, got -1\.0"):
        record(-image, electrons_per_pixel=1.0, rng=rng, **FLAT)
    with pytest.raises(ValueError, match="gradient must lie in"):
        illumination((4, 4), gradient=-1, direction=0)
    with pytest.raises(ValueError, match="vignetting must lie in"):
        illumination((4, 4), gradient=0, direction=0, vignetting=1.0)
    with pytest.raises(ValueError, match="unevenness must be ≥ 0"):
        illumination((4, 4), gradient=0, direction=0, unevenness=-1.0)
    with pytest.raises(ValueError, match="sigma must be ≥ 0 px"):
        blur(image, -1)
    with pytest.raises(ValueError, match="length must be ≥ 0 px"):
        drift_blur(image, length=-1, direction=0)
    with pytest.raises(ValueError, match="together ≤ 1"):
        dead_and_hot_pixels(image, dead_fraction=0.7, hot_fraction=0.7, hot_level=1.0, rng=rng)
    with pytest.raises(ValueError, match="hot_level must be ≥ 0"):
        dead_and_hot_pixels(image, dead_fraction=0.1, hot_fraction=0.1, hot_level=-1.0, rng=rng)
    with pytest.raises(ValueError, match="rate and level must be ≥ 0"):
        xray_spikes(image, rate=-1.0, level=1.0, rng=rng)
    with pytest.raises(ValueError, match="bits must be 0, 8 or 16, got 12"):
        as_stored(image, bits=12)
    with pytest.raises(ValueError, match="clip must be two quantiles"):
        as_stored(image, bits=8, clip=(0.9, 0.1))
    with pytest.raises(ValueError, match="counts_per_electron must be > 0"):
        as_stored(image, bits=16, counts_per_electron=0.0)
