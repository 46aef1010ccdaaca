"""Local normalisation: the same map whatever the window, and blind to slopes of the background."""

from __future__ import annotations

import numpy as np
import pytest

from amorph2d.localisation.normalise import block_side, measure_statistics, normalise


def direct_statistics(image, sigma, row, column):
    """Mean (weighted fit) and variance (weighted mean of squares about the mean) at one pixel, one by one."""

    def fit(values, at_row, at_column, *, is_plane):
        y, x = np.mgrid[0 : values.shape[0], 0 : values.shape[1]]
        dy, dx = y - at_row, x - at_column
        near = (np.abs(dy) <= 4 * sigma) & (np.abs(dx) <= 4 * sigma)
        weights = np.sqrt(np.exp(-(dy**2 + dx**2) / (2 * sigma**2)) * near)
        terms = [np.ones_like(dx), dx, dy, dx * dy] if is_plane else [np.ones_like(dx)]
        design = np.stack([(weights * term).ravel() for term in terms], axis=1)
        return np.linalg.lstsq(design, (weights * values).ravel(), rcond=None)[0][0]

    means = np.array(
        [[fit(image, i, j, is_plane=True) for j in range(image.shape[1])] for i in range(image.shape[0])]
    )
    return means[row, column], fit((image - means) ** 2, row, column, is_plane=False)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (6, 7), (11, 3), (4, 15)])
def test_equals_weighted_fits_done_one_by_one(rng, row, column):
    image = rng.normal(5.0, 2.0, (12, 16))
    mean, variance = direct_statistics(image, 2.0, row, column)
    expected = (image[row, column] - mean) / np.sqrt(variance)
    assert block_side(2.0) == 1
    assert normalise(image, 2.0)[row, column] == pytest.approx(expected, rel=1e-4)


def test_blocks_change_little(rng, monkeypatch):
    image = rng.normal(size=(90, 140))
    in_blocks = normalise(image, 12.0)
    monkeypatch.setattr("amorph2d.localisation.normalise._BLOCKS_PER_SIGMA", 12)
    assert np.abs(in_blocks - normalise(image, 12.0)).max() < 0.05


def test_noise_becomes_standard(rng):
    result = normalise(rng.normal(100.0, 7.0, (200, 300)), 20.0)
    assert result.dtype == np.float32
    assert abs(result.mean()) < 0.01
    assert result.std() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("gain", "level"), [(3.0, -2.0), (1e-3, 5.0), (1e3, 1e6)])
def test_brightness_and_contrast_do_not_matter(rng, gain, level):
    image = rng.normal(size=(60, 110))
    np.testing.assert_allclose(normalise(gain * image + level, 9.0), normalise(image, 9.0), atol=5e-3)


def test_ramp_leaves_no_trace_at_the_border_either():
    y, x = np.mgrid[0:80, 0:130]
    texture = 0.05 * np.sin(0.9 * x) * np.sin(0.8 * y)
    flat = normalise(1.0 + texture, 10.0)
    assert np.abs(normalise(1.0 + texture + 0.4 * x / 130 - 0.2 * y / 80, 10.0) - flat).max() < 0.05


def test_uneven_illumination_does_not_matter(spots, graphene):
    atoms = graphene(50.0, 36.0)
    image = 1.0 + 0.2 * spots(atoms, (180, 250), (0.2, 0.2))
    y, x = np.mgrid[0:180, 0:250]
    uneven = image * (0.8 + 0.4 * (x + y) / (250 + 180))
    reference = normalise(image, 20.0)
    scale = (uneven - uneven.mean()) / uneven.std()
    assert np.abs(normalise(uneven, 20.0) - reference).max() < 0.15
    assert np.abs(scale - reference).max() > 1.0


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 2), (5, 700)])
@pytest.mark.parametrize("sigma_px", [0.4, 7.0, 60.0])
def test_constant_image_becomes_zero(shape, sigma_px):
    np.testing.assert_array_equal(normalise(np.full(shape, 7.3e4), sigma_px), 0.0)


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (3, 2), (5, 700)])
def test_thin_images_stay_finite(rng, shape):
    result = normalise(rng.normal(size=shape), 8.0)
    assert np.isfinite(result).all()
    assert np.abs(result).max() < 20


def test_vacuum_stays_quiet(rng):
    image = np.ones((160, 240))
    image[:, :120] += 0.1 * rng.normal(size=(160, 120))
    result = normalise(image, 10.0)
    assert np.isfinite(result).all()
    assert np.abs(result[:, 170:]).max() < 0.01
    assert result[:, :80].std() == pytest.approx(1.0, abs=0.1)


def test_rounding_is_not_taken_for_contrast(rng):
    image = (1.0 + 1e-7 * rng.normal(size=(90, 90))).astype(np.float32)
    image[:20, :20] += rng.normal(size=(20, 20)).astype(np.float32)
    assert np.abs(normalise(image, 4.0)[60:, 60:]).max() < 0.3


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float64])
def test_any_real_type(rng, dtype):
    image = rng.integers(0, 250, (70, 50))
    np.testing.assert_array_equal(
        normalise(image.astype(dtype), 6.0), normalise(image.astype(np.float32), 6.0)
    )


def test_windows_and_stripes_give_the_same_map(rng):
    image = (1000 + np.cumsum(rng.normal(size=(613, 530)), axis=1)).astype(np.float32)
    whole = normalise(image, 14.0)
    height = 5 * block_side(14.0)
    stripes = (image[start : start + height] for start in range(0, 613, height))
    statistics = measure_statistics(stripes, image.shape, 14.0)
    for rows, columns in [
        (slice(0, 613), slice(0, 530)),
        (slice(500, 613), slice(90, 101)),
        (slice(77, 78), slice(1, 3)),
    ]:
        window = statistics.normalise(image[rows, columns], rows, columns)
        np.testing.assert_allclose(window, whole[rows, columns], atol=1e-4)


@pytest.mark.parametrize("sigma_px", [0.0, -1.0, np.nan, np.inf])
def test_wrong_width(sigma_px):
    with pytest.raises(ValueError, match="sigma_px must be > 0 px"):
        normalise(np.ones((4, 5)), sigma_px)


def test_image_must_be_finite():
    with pytest.raises(ValueError, match="finite"):
        normalise(np.array([[1.0, np.nan]]), 2.0)
