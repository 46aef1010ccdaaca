import numpy as np
import pytest

from amorph2d.plotting.grey import nice_length, scale_bar, stretch


def test_stretch_maps_the_percentiles_to_black_and_white():
    image = np.linspace(-5, 5, 10001).reshape(73, 137)
    grey = stretch(image, percentiles=(10, 90))
    assert grey.dtype == np.uint8
    assert grey.shape == image.shape
    assert (grey[image < -4.01] == 0).all()
    assert (grey[image > 4.01] == 255).all()
    assert abs(int(grey.flat[5000]) - 128) <= 1


def test_one_hot_pixel_does_not_darken_the_rest():
    image = np.random.default_rng(0).normal(size=(60, 40))
    image[3, 4] = 1e6
    assert stretch(image).std() > 40
    assert stretch(image, percentiles=(0, 100)).std() < 10


def test_an_image_without_contrast_is_mid_grey():
    assert (stretch(np.full((3, 5), 7.0)) == 128).all()


def test_large_images_are_stretched_by_a_sample():
    image = np.random.default_rng(0).normal(size=(2500, 2100)).astype(np.float32)
    exact = np.percentile(image, (0.5, 99.5))
    shown = stretch(image)
    black, white = image[shown == 0].max(), image[shown == 255].min()
    np.testing.assert_allclose([black, white], exact, atol=0.02)


@pytest.mark.parametrize("percentiles", [(50, 50), (90, 10), (-1, 50), (0, 101)])
def test_stretch_refuses_percentiles_that_do_not_ascend(percentiles):
    with pytest.raises(ValueError, match="percentiles must ascend within 0 … 100"):
        stretch(np.ones((2, 2)), percentiles=percentiles)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, 1),
        (1.99, 1),
        (2, 2),
        (4.9, 2),
        (5, 5),
        (9.99, 5),
        (10, 10),
        (1234, 1000),
        (0.03, 0.02),
        (0.001, 0.001),
    ],
)
def test_nice_length(limit, expected):
    assert nice_length(limit) == pytest.approx(expected)


@pytest.mark.parametrize("limit", [0, -1, np.nan, np.inf])
def test_nice_length_needs_a_length(limit):
    with pytest.raises(ValueError, match="limit must be > 0"):
        nice_length(limit)


@pytest.mark.parametrize(
    ("width", "length", "label"), [(100, 20, "2 nm"), (30, 5, "5 Å"), (8, 2, "2 Å"), (9e3, 2000, "200 nm")]
)
def test_scale_bar(width, length, label):
    assert scale_bar(width) == (length, label)
