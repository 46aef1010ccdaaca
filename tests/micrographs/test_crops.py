import numpy as np
import pytest

from amorph2d.micrographs.crops import FIELD, clean_part, crop_for_estimate
from drawn_honeycomb import honeycomb


def test_small_images_are_used_as_a_whole(rng):
    image = rng.normal(size=(200, 1024))
    np.testing.assert_array_equal(crop_for_estimate(image), image.astype(np.float32))


def test_the_middle_of_a_slightly_larger_one(rng):
    image = rng.normal(size=(100, 1124)).astype(np.float32)
    np.testing.assert_array_equal(crop_for_estimate(image), image[:, 50:1074])


@pytest.mark.parametrize(("rows", "columns"), [(0, 700), (476, 0)])
def test_the_corner_with_the_lattice(rng, tmp_path, rows, columns):
    image = np.memmap(tmp_path / "image", np.float32, "w+", shape=(1500, 1724))
    image[:] = rng.normal(20, 1, image.shape)
    image[rows : rows + 1024, columns : columns + 1024] = honeycomb(0.3, shape=(1024, 1024)).image
    image[500:1000, 500:1200] = 20
    part = crop_for_estimate(image)
    np.testing.assert_array_equal(part, image[rows : rows + 1024, columns : columns + 1024])


def test_a_part_without_contrast_is_not_taken():
    image = np.zeros((64, 2100), np.float32)
    image[:, :400] = honeycomb(0.3, shape=(64, 400)).image
    np.testing.assert_array_equal(crop_for_estimate(image), image[:, :1024])


def test_lists_are_images():
    assert crop_for_estimate([[1, 2], [3, 4]]).dtype == np.float32


def test_contamination_is_avoided(rng):
    from scipy.ndimage import gaussian_filter

    image = honeycomb(0.4, shape=(300, 512)).image
    dirt = gaussian_filter(rng.normal(size=(300, 512)), 12)
    image += np.where(np.arange(512) < 330, 6 * dirt / dirt.std(), 0)
    side = int(np.ceil(FIELD * 1.42 / 0.4))
    part = clean_part(image, 0.4, 1.42)
    assert part.shape == (side, side)
    # The part is a view: where it begins is known from its address.
    offset = (part.__array_interface__["data"][0] - image.__array_interface__["data"][0]) // 4
    assert offset % 512 >= 330


def test_fields_that_are_narrow_one_way(rng):
    image = rng.normal(size=(90, 700)).astype(np.float32)
    part = clean_part(image, 0.2, 1.42)
    assert part.shape == (90, int(np.ceil(FIELD * 1.42 / 0.2)))


def test_a_small_field_is_taken_whole(rng):
    image = rng.normal(size=(90, 100)).astype(np.float32)
    assert clean_part(image, 0.2, 1.42) is image


def test_fine_pixels_are_averaged():
    image = honeycomb(0.03, shape=(400, 401), bond=0.142).image
    assert clean_part(image, 0.03, 0.142).shape == (199, 199)
    assert clean_part(image, 0.3, 17.0).shape == (400, 401)
