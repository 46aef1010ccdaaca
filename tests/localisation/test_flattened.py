"""Images freed of their background, window by window."""

from __future__ import annotations

import numpy as np
import pytest

from amorph2d.localisation.areas import FlattenedImage, PixelMap, at_pixels
from amorph2d.localisation.resample import ResampledImage, resample

SHAPE = (70, 90)


def slow(low: float = 0.6, high: float = 1.4, mean: float = 200.0) -> PixelMap:
    values = mean * np.linspace(low, high, 12, dtype=np.float32)[None].repeat(9, axis=0)
    return PixelMap(values, shape=SHAPE, sampling=(0.5, 0.5), network_sampling=4.0)


def image() -> np.ndarray:
    return np.random.default_rng(2).normal(1, 0.1, SHAPE).astype(np.float32)


def test_map_is_read_by_windows() -> None:
    background = slow()
    whole = background.whole()
    assert np.array_equal(background.read(slice(11, 31), slice(40, 90)), whole[11:31, 40:90])
    joined = np.concatenate([stripe for _, stripe in background.stripes()])
    assert np.array_equal(joined, whole)
    assert np.array_equal(
        at_pixels(background.values[None], shape=SHAPE, sampling=(0.5, 0.5), network_sampling=4.0)[0], whole
    )


def test_division_takes_the_gradient_away() -> None:
    background, structure = slow(), image()
    flat = FlattenedImage(structure * background.whole(), background)
    assert np.asarray(flat) == pytest.approx(structure * 200, rel=1e-5)
    assert flat.shape == SHAPE
    assert len(flat) == SHAPE[0]
    assert flat.variation == pytest.approx(np.linspace(0.6, 1.4, 12).std(), rel=1e-5)


def test_windows_are_those_of_the_whole() -> None:
    background = slow()
    flat = FlattenedImage(image() * background.whole(), background)
    assert np.array_equal(flat[5:20, 30:60], np.asarray(flat)[5:20, 30:60])
    assert np.array_equal(flat[5:20], np.asarray(flat)[5:20])
    assert np.asarray(flat, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="without a copy"):
        np.array(flat, copy=False)


@pytest.mark.parametrize("background", [slow(-0.5, 0.5, 10.0), slow(0.1, 1.9)])
def test_a_background_near_zero_is_subtracted(background: PixelMap) -> None:
    structure = image()
    flat = FlattenedImage(structure + background.whole(), background)
    assert np.asarray(flat) == pytest.approx(structure + background.values.mean(), abs=1e-4)
    assert np.isnan(flat.variation)


def test_it_is_resampled_like_any_image() -> None:
    background = slow()
    flat = FlattenedImage(image() * background.whole(), background)
    window = ResampledImage(flat, (0.5, 0.5), 0.4).read(slice(3, 33), slice(7, 50))
    assert window == pytest.approx(resample(np.asarray(flat), (0.5, 0.5), 0.4)[3:33, 7:50], rel=1e-5)
