import base64
import io

import numpy as np
import pytest
from PIL import Image

from amorph2d.report import pyramid
from amorph2d.report.pyramid import (
    FINEST,
    affordable_shapes,
    build_pyramid,
    estimate_bytes,
    finest_shape,
    halve,
)


def read(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(",")[-1])))).astype(float)


def ramp(rows, columns):
    down, across = np.mgrid[:rows, :columns]
    return (np.sin(down / 90) * 40 + across / 20 + 100).astype(np.float32)


def noisy(rows, columns):
    return np.random.default_rng(0).poisson(ramp(rows, columns)).astype(np.float32)


@pytest.mark.parametrize(
    ("sampling", "share", "shape"),
    [
        ((0.2, 0.2), 1.0, (120, 160)),
        ((0.2, 0.2), 0.5, (60, 80)),
        ((FINEST / 2, FINEST / 2), 1.0, (60, 80)),
        ((FINEST / 2, 0.2), 1.0, (60, 160)),
        ((0.2, 0.2), 1e-6, (1, 1)),
    ],
)
def test_the_finest_level_is_no_finer_than_needed(sampling, share, shape):
    assert finest_shape((120, 160), sampling, share=share) == shape


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_a_share_lies_within_one(share):
    with pytest.raises(ValueError, match="share must be within 0 … 1"):
        finest_shape((4, 4), 0.2, share=share)


def test_a_small_image_is_one_picture_of_its_own_pixels():
    image = ramp(300, 410)
    found = build_pyramid(image, image.shape)
    assert (found.n_levels, found.tiles, found.shape) == (1, {}, (300, 410))
    assert found.overview.startswith("data:image/jpeg;base64,")
    low, high = np.percentile(image, (0.5, 99.5))
    np.testing.assert_allclose(
        read(found.overview), ((image - low) / (high - low) * 255).clip(0, 255), atol=6
    )
    assert found.n_bytes == len(found.overview)


def test_tiles_put_together_are_the_image():
    image = ramp(1100, 2600)
    found = build_pyramid(image, image.shape)
    assert found.n_levels == 3
    assert len([name for name in found.tiles if name[0] == "0"]) == 3 * 6
    assert len([name for name in found.tiles if name[0] == "1"]) == 2 * 3
    for level in (0, 1):
        rows = [
            np.hstack([read(found.tiles[f"{level}-{row}-{column}"]) for column in range(6 >> level)])
            for row in range(3 if level == 0 else 2)
        ]
        whole = np.vstack(rows)
        assert whole.shape == (1100 >> level, 2600 >> level)
        expected = image if level == 0 else halve(image)
        assert np.corrcoef(whole.ravel(), expected.ravel())[0, 1] > 0.999
    assert read(found.overview).shape == (275, 650)


def test_a_coarser_pyramid_averages_over_the_same_field():
    image = noisy(1500, 2400)
    found = build_pyramid(image, (750, 1200))
    whole = np.vstack(
        [np.hstack([read(found.tiles[f"0-{row}-{column}"]) for column in range(3)]) for row in range(2)]
    )
    averaged = image.reshape(750, 2, 1200, 2).mean(axis=(1, 3))
    assert np.corrcoef(whole.ravel(), averaged.ravel())[0, 1] > 0.97


def test_strips_make_no_seams():
    image = noisy(1700, 1300)
    whole = pyramid._resample(image, (1111, 1030), (0, 0, 1111, 1030))
    strips = [
        pyramid._resample(image, (1111, 1030), (top, 0, min(top + 512, 1111), 1030)) for top in (0, 512, 1024)
    ]
    np.testing.assert_allclose(np.vstack(strips), whole, rtol=1e-4)
    middle = pyramid._resample(image, (1111, 1030), (300, 400, 560, 700))
    np.testing.assert_allclose(middle, whole[300:560, 400:700], rtol=1e-4)


def test_an_image_mapped_from_a_file_is_read_in_strips(tmp_path):
    image = noisy(1100, 1300)
    np.save(tmp_path / "image.npy", image)
    mapped = np.load(tmp_path / "image.npy", mmap_mode="r")
    assert build_pyramid(mapped, (1100, 1300)) == build_pyramid(image, (1100, 1300))


def test_halving_keeps_the_mean_and_the_odd_line():
    values = np.arange(15, dtype=np.float32).reshape(3, 5)
    np.testing.assert_allclose(halve(values), [[3, 5, 6.5], [10.5, 12.5, 14]])
    assert halve(np.ones((1, 1), dtype=np.float32)).shape == (1, 1)


def test_a_flat_image_is_grey():
    found = build_pyramid(np.full((40, 50), 3.0, dtype=np.float32), (40, 50))
    np.testing.assert_array_equal(read(found.overview), 128)


@pytest.mark.parametrize("shape", [(0, 5), (41, 50)])
def test_a_pyramid_cannot_be_finer_than_its_image(shape):
    with pytest.raises(ValueError, match="shape must be within 1"):
        build_pyramid(np.zeros((40, 50), dtype=np.float32), shape)


def test_bytes_are_estimated_well_enough():
    image = noisy(1300, 1800)
    for shape in ((1300, 1800), (650, 900)):
        estimate = estimate_bytes(image, shape)
        assert build_pyramid(image, shape).n_bytes == pytest.approx(estimate, rel=0.3)


def test_all_images_give_way_until_the_page_is_small_enough():
    images = [noisy(1300, 1800), noisy(1200, 1100)]
    full = affordable_shapes(images, [0.2, 0.2], n_bytes=1e9)
    assert full == [(1300, 1800), (1200, 1100)]
    shapes = affordable_shapes(images, [0.2, 0.2], n_bytes=1.2e6)
    assert shapes[0][0] / 1300 == pytest.approx(shapes[1][0] / 1200, rel=0.01)
    total = sum(build_pyramid(*parts).n_bytes for parts in zip(images, shapes, strict=True))
    assert 0.3e6 < total < 1.5e6
    assert max(affordable_shapes(images, [0.2, 0.2], n_bytes=1)[0]) <= 512
    assert affordable_shapes([], [], n_bytes=1) == []
