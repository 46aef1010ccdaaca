import numpy as np
import pytest
import tifffile

from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.pixels import (
    LARGEST_VALUE,
    MAPPED_FROM,
    SMALLEST_CONTRAST,
    check_pixels,
    check_size,
)
from amorph2d.micrographs.read import read_micrograph

# ---------------------------------------------------------------- values


@pytest.mark.parametrize("factor", [LARGEST_VALUE / 200, SMALLEST_CONTRAST * 10, -1.0])
def test_intensities_of_any_use_are_kept(image, factor):
    scaled = image.astype(np.float64) * factor
    np.testing.assert_allclose(check_pixels(scaled), scaled, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda image: image * 1e15, r"pixels of up to 1.*e\+17; intensities up to 1e\+15"),
        (lambda image: image * -1e15, r"pixels of up to 1.*e\+17"),
        (lambda image: image * 1e-18, "differ by .*e-17 at most; at least 1e-15"),
        (lambda image: image + 2.0**28, r"contrast of .* on 2\.68436e\+08, which is lost"),
        (lambda image: image.astype(np.int64) + 2**62, "all its pixels are near 4.6.*e\\+18"),
        (lambda image: np.where(image > 0, np.nan, image), "2560 of 2560 pixels that are NaN"),
    ],
)
def test_values_that_single_precision_cannot_hold(image, change, reason):
    with pytest.raises(MicrographError, match=reason):
        check_pixels(change(image.astype(np.float64)))


def test_counts_on_a_background_are_kept(image):
    high = image + np.float32(1e6)
    np.testing.assert_array_equal(check_pixels(high), high)


def test_what_is_in_memory_is_not_copied(image):
    assert check_pixels(image) is image


def test_sizes():
    check_size((32, 32), 4 * MAPPED_FROM, 1)
    check_size((32, 32), 4 * MAPPED_FROM + 1, (4 * MAPPED_FROM + 1) // 200 + 1)
    with pytest.raises(MicrographError, match="would unfold its 1000 bytes to 268435457"):
        check_size((32, 32), 4 * MAPPED_FROM + 1, 1000)
    with pytest.raises(MicrographError, match="too small: 31 × 99 px"):
        check_size((31, 99), 1, 1)


# ---------------------------------------------------------------- large images


@pytest.mark.parametrize("dtype", [">u2", "<f8", "u1"])
@pytest.mark.parametrize("suffix", [".npy", ".tif", ".mrc", ".dm4", ".ser"])
def test_large_images_stay_in_their_file(
    tmp_path, image, monkeypatch, suffix, dtype, write_mrc, write_dm, write_ser
):
    monkeypatch.setattr("amorph2d.micrographs.pixels.MAPPED_FROM", image.size)
    monkeypatch.setattr("amorph2d.micrographs.pixels._STRIPE", 3 * image.shape[1])
    path, data = tmp_path / f"a_1{suffix}", image.astype(dtype)
    if suffix == ".npy":
        np.save(path, data)
    elif suffix == ".tif":
        tifffile.imwrite(path, data, byteorder=dtype[0] if dtype[0] in "<>" else "<")
    elif suffix == ".mrc":
        write_mrc(path, image, (6.4, 4.0), ">")
    elif suffix == ".dm4":
        write_dm(path, image, [(1, ""), (1, "")])
    else:
        write_ser(path, image, (2e-11, 2e-11))
    mapped = read_micrograph(path).image
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    np.testing.assert_array_equal(mapped, image)
    np.testing.assert_array_equal(np.asarray(mapped[3:9, 5:50], dtype=np.float32), image[3:9, 5:50])


def test_large_images_are_checked_piece_by_piece(tmp_path, image, monkeypatch, refused):
    monkeypatch.setattr("amorph2d.micrographs.pixels.MAPPED_FROM", image.size)
    monkeypatch.setattr("amorph2d.micrographs.pixels._STRIPE", 3 * image.shape[1])
    image[[0, 20, 39], [0, 20, 63]] = np.nan, np.inf, -np.inf
    np.save(tmp_path / "a.npy", image)
    refused(tmp_path / "a.npy", "has 3 of 2560 pixels")
    np.save(tmp_path / "a.npy", np.full((40, 64), 5))
    refused(tmp_path / "a.npy", "no contrast: all its pixels are 5")
