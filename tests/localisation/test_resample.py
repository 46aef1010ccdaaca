"""Resampling keeps every position in Å."""

from __future__ import annotations

import numpy as np
import pytest

from amorph2d.localisation import resample as module
from amorph2d.localisation.peaks import find_peaks
from amorph2d.localisation.resample import ResampledImage, resample, resample_window, resampled_shape
from amorph2d.units import pixels_to_positions

SITES = np.array([[3.3, 2.1], [9.07, 4.44], [14.9, 9.2], [5.55, 8.3]])


@pytest.mark.parametrize("sampling", [0.05, 0.137, 0.25, 0.33, (0.12, 0.31), (0.3, 0.07)])
def test_spots_stay_where_they_are(spots, sampling):
    step_y, step_x = (sampling, sampling) if isinstance(sampling, float) else sampling
    shape = (int(12 / step_y), int(18 / step_x))
    image = spots(SITES, shape, (step_y, step_x))
    peaks = find_peaks(resample(image, sampling, 0.2), 0.5, 3.0)
    found = pixels_to_positions(peaks.pixels, 0.2)
    assert len(found) == len(SITES)
    nearest = np.linalg.norm(SITES[:, None] - found, axis=2).min(axis=1)
    assert nearest.max() < 0.01


def test_grid_ends_at_the_last_pixel_centre():
    assert resampled_shape((11, 7), (0.1, 0.3), 0.2) == (6, 10)
    assert resampled_shape((1, 2), 0.1, 0.2) == (1, 1)
    assert resample(np.ones((12, 9)), (0.1, 0.3), 0.2).shape == (6, 13)


def test_same_sampling_changes_nothing(rng):
    image = rng.random((7, 5)).astype(np.float32)
    np.testing.assert_array_equal(resample(image, (0.2, 0.2), 0.2), image)


@pytest.mark.parametrize("sampling", [0.07, 0.35, (0.1, 0.5)])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (40, 23)])
def test_constant_stays_constant_up_to_the_border(shape, sampling):
    np.testing.assert_allclose(resample(np.full(shape, 1234), sampling, 0.2), 1234.0, rtol=1e-6)


def test_smooth_image_is_interpolated_to_high_accuracy():
    y, x = np.mgrid[0:60, 0:80]
    image = np.sin(0.4 * x) + np.cos(0.3 * y + 0.2 * x)
    result = resample(image, 0.2, 0.13)
    y, x = np.mgrid[0 : result.shape[0], 0 : result.shape[1]] * 0.65
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(result[inner], (np.sin(0.4 * x) + np.cos(0.3 * y + 0.2 * x))[inner], atol=0.02)


def test_coarsening_removes_what_the_new_grid_cannot_hold():
    x = np.arange(400) * 0.05
    wave = np.tile(np.sin(2 * np.pi * x / 0.25), (30, 1))
    assert np.abs(wave[::4, ::4]).max() > 0.9
    assert np.abs(resample(wave, 0.05, 0.2)[:, 5:-5]).max() < 0.03


def test_coarsening_averages_noise(rng):
    noise = rng.normal(size=(400, 300))
    assert noise[::4, ::4].std() > 0.95
    assert resample(noise, 0.05, 0.2).std() < 0.3


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float64, np.float16])
def test_any_real_type(rng, dtype):
    image = rng.integers(0, 200, (31, 17))
    np.testing.assert_allclose(
        resample(image.astype(dtype), 0.13, 0.2), resample(image.astype(np.float32), 0.13, 0.2), rtol=1e-6
    )


@pytest.mark.parametrize("sampling", [(0.05, 0.08), (0.31, 0.29), (0.2, 0.2), (0.2, 0.1)])
def test_window_equals_whole(rng, sampling):
    image = rng.random((301, 420)).astype(np.float32)
    whole = resample(image, sampling, 0.2)
    rows, columns = slice(13, 57), slice(40, 95)
    np.testing.assert_allclose(
        resample_window(image, sampling, 0.2, rows, columns), whole[rows, columns], atol=2e-6
    )


@pytest.mark.parametrize("sampling", [(0.05, 0.08), (0.31, 0.29), (0.2, 0.2)])
@pytest.mark.parametrize("largest_held", [0, 2**25])
def test_resampled_image_reads_like_the_whole(rng, monkeypatch, sampling, largest_held):
    monkeypatch.setattr(module, "_LARGEST_HELD", largest_held)
    image = rng.integers(0, 1000, (301, 420)).astype(np.uint16)
    whole = resample(image, sampling, 0.2)
    lazily = ResampledImage(image, sampling, 0.2)
    assert lazily.shape == whole.shape
    window = lazily.read(slice(10, 70), slice(0, 33))
    assert window.dtype == np.float32
    np.testing.assert_allclose(window, whole[10:70, :33], rtol=1e-5, atol=1e-3)
    stripes = list(lazily.stripes(64))
    assert [len(stripe) for stripe in stripes[:-1]] == [64] * (len(stripes) - 1)
    np.testing.assert_allclose(np.concatenate(stripes), whole, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("sampling", [0.0, -0.1, np.nan, (0.1, 0.0)])
def test_wrong_sampling(sampling):
    with pytest.raises(ValueError, match="sampling must be > 0"):
        resample(np.ones((4, 4)), sampling, 0.2)
    with pytest.raises(ValueError, match="sampling must be > 0"):
        resample(np.ones((4, 4)), 0.2, sampling)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.ones((2, 3, 4)), "two-dimensional"),
        (np.ones((0, 4)), "not empty"),
        (np.ones((2, 2), dtype=complex), "real numbers, got complex128"),
        (np.array([[1.0, np.nan], [np.inf, 0.0]]), "2 pixels"),
    ],
)
def test_wrong_images(image, message):
    with pytest.raises(ValueError, match=message):
        ResampledImage(image, 0.1, 0.2)
