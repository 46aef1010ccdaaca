import gc
import hashlib
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.read import MINIMUM_SIDE, read_micrograph

ANGSTROM = {"nm": 10.0, "Å": 1.0, "pm": 0.01, "µm": 1e4}
OPEN_FILES = Path("/proc/self/fd")
FRAMES = "series are not analysed yet"


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("unit", ANGSTROM)
@pytest.mark.parametrize("suffix", [".tif", ".emd", ".hspy"])
def test_known_sampling_comes_back(tmp_path, image, write_rsciio, suffix, unit):
    scales = (0.2 / ANGSTROM[unit], 0.14 / ANGSTROM[unit])
    micrograph = read_micrograph(write_rsciio(tmp_path / f"a{suffix}", image, scales, unit))
    assert micrograph.sampling == pytest.approx((0.2, 0.14), rel=2e-3)  # TIFF keeps 1e-8 of the unit
    assert micrograph.sampling_source == "file"
    assert micrograph.image.dtype == np.float32
    np.testing.assert_array_equal(micrograph.image, image)


def test_file_is_named_and_hashed(tmp_path, image):
    path = tmp_path / "a.b.npy"
    np.save(path, image)
    micrograph = read_micrograph(str(path))
    assert (micrograph.stem, micrograph.path) == ("a.b", path)
    assert micrograph.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert micrograph.metadata["dtype"] == "float32"
    assert micrograph.metadata["remarks"] == ()
    assert "energy" not in micrograph.metadata


@pytest.mark.parametrize("dtype", ["u1", ">u2", "<i2", ">i4", ">f4", "f8"])
@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_pixels_keep_their_values_in_any_type(tmp_path, image, suffix, dtype):
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, image.astype(dtype))
    else:
        tifffile.imwrite(path, image.astype(dtype), byteorder=">" if dtype.startswith(">") else "<")
    np.testing.assert_array_equal(read_micrograph(path).image, image)


def test_masks_are_read_as_zeros_and_ones(tmp_path, image):
    np.save(tmp_path / "a.npy", image > 100)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.npy").image, (image > 100).astype(np.float32))


@pytest.mark.parametrize("endian", ["<", ">"])
def test_mrc(tmp_path, image, write_mrc, endian):
    micrograph = read_micrograph(write_mrc(tmp_path / "a.mrc", image, (64 * 0.14, 40 * 0.2), endian))
    assert micrograph.sampling == pytest.approx((0.2, 0.14))
    np.testing.assert_array_equal(micrograph.image, image)
    assert type(micrograph.image) is np.ndarray  # no open memory map


@pytest.mark.parametrize(("cell", "grid"), [((0, 0), True), ((64, 40), True), ((9.0, 8.0), False)])
def test_mrc_without_a_calibration(tmp_path, image, write_mrc, cell, grid):
    """No cell, the default of 1 Å per pixel, and no grid: RosettaSciIO gives 0, 1 Å and 1 nm."""
    micrograph = read_micrograph(write_mrc(tmp_path / "a.mrc", image, cell, grid=grid))
    assert micrograph.sampling is None


def test_mrc_with_the_extended_header_of_fei(tmp_path, image, write_mrc):
    """The pixel size stands in the extended header, in metres; the cell is not set."""
    content = bytearray(write_mrc(tmp_path / "a.mrc", image, (0, 0)).read_bytes())
    extended = bytearray(128 * 1024)
    struct.pack_into("<f", extended, 44, 2e-11)
    struct.pack_into("<i", content, 92, len(extended))
    (tmp_path / "a.mrc").write_bytes(content[:1024] + extended + content[1024:])
    micrograph = read_micrograph(tmp_path / "a.mrc")
    assert micrograph.sampling == pytest.approx((0.2, 0.2))
    np.testing.assert_array_equal(micrograph.image, image)


def test_mrc_written_by_mrcz(tmp_path, image):
    mrcz = pytest.importorskip("mrcz")
    mrcz.writeMRC(image, str(tmp_path / "a.mrc"), pixelsize=[0.2, 0.14], pixelunits="AA")
    micrograph = read_micrograph(tmp_path / "a.mrc")
    assert micrograph.sampling is None  # mrcz leaves the grid out
    np.testing.assert_array_equal(micrograph.image, image)


def test_ser(tmp_path, image, write_ser):
    micrograph = read_micrograph(write_ser(tmp_path / "a_1.ser", image, (2.0e-11, 1.4e-11)))
    assert micrograph.sampling == pytest.approx((0.2, 0.14))
    np.testing.assert_array_equal(micrograph.image, image)


def test_velox(tmp_path, image, write_velox):
    path = write_velox(tmp_path / "a.emd", [image[:, :, None]], (2.0e-11, 1.4e-11), kilovolt=80)
    micrograph = read_micrograph(path)
    assert micrograph.sampling == pytest.approx((0.2, 0.14))
    assert micrograph.metadata["energy"] == pytest.approx(80e3)
    np.testing.assert_array_equal(micrograph.image, image)


def test_energy_in_the_readers_metadata(tmp_path, image, write_rsciio):
    instrument = {"TEM": {"beam_energy": 60.0}}
    path = write_rsciio(tmp_path / "a.hspy", image, (0.02, 0.02), "nm", Acquisition_instrument=instrument)
    assert read_micrograph(path).metadata["energy"] == pytest.approx(60e3)


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", "u1"), (".png", "u2"), (".bmp", "u1")])
def test_pictures(tmp_path, image, suffix, dtype):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(image.astype(dtype)).save(path, dpi=(300, 300))
    micrograph = read_micrograph(path)
    np.testing.assert_array_equal(micrograph.image, image)
    assert micrograph.sampling is None  # a print resolution


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg(tmp_path, image, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(image.astype("u1")).save(path, quality=100)
    np.testing.assert_allclose(read_micrograph(path).image, image, atol=2)


@pytest.mark.parametrize("mode", ["LA", "P", "RGB", "RGBA"])
def test_grey_pictures_stored_as_colour(tmp_path, image, mode):
    Image.fromarray(image.astype("u1")).convert(mode).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png").image, image)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_grey_tiff_stored_as_colour(tmp_path, image, planar):
    pixels = np.stack([image.astype("u1")] * 3, axis=-1 if planar == "contig" else 0)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").image, image)


def test_lzw_tiff(tmp_path, image):
    Image.fromarray(image).save(tmp_path / "a.tif", compression="tiff_lzw", resolution_unit=3, dpi=None)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").image, image)


def test_single_frame_of_a_stack(tmp_path, image, write_mrc):
    tifffile.imwrite(tmp_path / "a.tif", image[None], photometric="minisblack")
    np.save(tmp_path / "a.npy", image[None, :, :, None])
    for name in ("a.tif", "a.npy"):
        np.testing.assert_array_equal(read_micrograph(tmp_path / name).image, image)


def test_thumbnail_is_passed_over(tmp_path, image):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(image[::4, ::4])
        tiff.write(image)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").image, image)


def test_readers_warnings_become_remarks(tmp_path, image, caplog):
    """A damaged tag makes tifffile log; the user's screen stays clean and the message is kept."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, datetime="2020:01:01 00:00:00")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags["DateTime"]
        content[tag.offset + 8 : tag.offset + 12] = (10**9).to_bytes(4, "little")  # points beyond the end
    path.write_bytes(content)
    micrograph = read_micrograph(path)
    assert any("DateTime" in remark or "306" in remark for remark in micrograph.metadata["remarks"])
    assert not caplog.records
    np.testing.assert_array_equal(micrograph.image, image)


# ---------------------------------------------------------------- which TIFF resolutions are a calibration


@pytest.mark.parametrize(
    ("unit", "angstrom"),
    [
        ("nm", 10),
        ("pm", 0.01),
        ("micron", 1e4),
        ("\\u00B5m", 1e4),
        ("\\u00C5", 1),
        ("cm", 1e8),
        ("inch", 2.54e8),
    ],
)
def test_imagej_units(tmp_path, image, unit, angstrom):
    resolution = (angstrom / 0.14, angstrom / 0.2)  # x, y
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=resolution, metadata={"unit": unit})
    assert read_micrograph(tmp_path / "a.tif").sampling == pytest.approx((0.2, 0.14), rel=1e-3)


@pytest.mark.parametrize("unit", ["pixel", "", "furlong"])
def test_imagej_without_a_length(tmp_path, image, unit):
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, resolution=(5, 5), metadata={"unit": unit})
    micrograph = read_micrograph(tmp_path / "a.tif")
    assert micrograph.sampling is None
    assert micrograph.metadata["calibration"]


@pytest.mark.parametrize("dpi", [1, 72, 96, 300, 9600])
@pytest.mark.parametrize("unit", ["INCH", "CENTIMETER"])
@pytest.mark.parametrize("imagej", [False, True])
def test_print_resolutions_are_no_calibration(tmp_path, image, dpi, unit, imagej):
    extra = {"imagej": True, "metadata": {"unit": "inch"}} if imagej else {"resolutionunit": unit}
    tifffile.imwrite(tmp_path / "a.tif", image, resolution=(dpi, dpi), **extra)
    assert read_micrograph(tmp_path / "a.tif").sampling is None


@pytest.mark.parametrize(("unit", "per_angstrom"), [("CENTIMETER", 1e-8), ("INCH", 1 / 2.54e8)])
def test_resolution_of_a_microscope_is_a_calibration(tmp_path, image, unit, per_angstrom):
    resolution = (1 / (0.14 * per_angstrom), 1 / (0.2 * per_angstrom))
    tifffile.imwrite(tmp_path / "a.tif", image, resolution=resolution, resolutionunit=unit)
    assert read_micrograph(tmp_path / "a.tif").sampling == pytest.approx((0.2, 0.14), rel=1e-3)


def test_digitalmicrograph_tags(tmp_path, image):
    """The tags by which DigitalMicrograph marks its TIFF files: x, then y."""
    tags = [
        (65003, "s", 3, "nm", False),
        (65004, "s", 3, "nm", False),
        (65009, "d", 1, 0.014, False),
        (65010, "d", 1, 0.02, False),
    ]
    tifffile.imwrite(tmp_path / "a.tif", image, extratags=tags, resolution=(72, 72))
    assert read_micrograph(tmp_path / "a.tif").sampling == pytest.approx((0.2, 0.14))


# ---------------------------------------------------------------- what is refused


def refused(path, match=None):
    with pytest.raises(MicrographError, match=match) as caught:
        read_micrograph(path)
    assert str(caught.value).startswith(path.name)
    return str(caught.value)


@pytest.mark.parametrize("unit", ["1/nm", "1/Å", "nm^-1", "mrad", "1 / µm"])
def test_diffraction_is_refused(tmp_path, image, write_rsciio, unit):
    refused(
        write_rsciio(tmp_path / "a.hspy", image, (0.02, 0.02), unit), "diffraction pattern.* y axis is in"
    )


def test_spectra_are_refused(tmp_path, image, write_rsciio):
    refused(write_rsciio(tmp_path / "a.hspy", image, (0.02, 0.02), "eV"), "not an image in real space.*'eV'")


@pytest.mark.parametrize(("bad", "count"), [(np.nan, 3), (np.inf, 1), (-np.inf, 2)])
def test_pixels_that_are_not_finite_are_counted(tmp_path, image, bad, count):
    image.ravel()[:count] = bad
    np.save(tmp_path / "a.npy", image)
    refused(tmp_path / "a.npy", f"has {count} of 2560 pixels that are NaN or infinite")


def test_values_beyond_float32_are_counted(tmp_path, image):
    wide = image.astype(np.float64)
    wide[0, 0] = 1e300
    np.save(tmp_path / "a.npy", wide)
    refused(tmp_path / "a.npy", "has 1 of 2560 pixels")


@pytest.mark.parametrize("value", [0, 7])
def test_images_without_contrast_are_refused(tmp_path, value):
    tifffile.imwrite(tmp_path / "a.tif", np.full((40, 64), value, np.uint16))
    refused(tmp_path / "a.tif", f"no contrast: all its pixels are {value}")


@pytest.mark.parametrize("shape", [(MINIMUM_SIDE - 1, 64), (64, 5)])
def test_small_images_are_refused(tmp_path, rng, shape):
    np.save(tmp_path / "a.npy", rng.random(shape))
    refused(tmp_path / "a.npy", f"too small: {shape[0]} × {shape[1]} px; at least 32 px")


def test_smallest_image_is_read(tmp_path, rng):
    np.save(tmp_path / "a.npy", rng.random((MINIMUM_SIDE, MINIMUM_SIDE)))
    assert read_micrograph(tmp_path / "a.npy").image.shape == (32, 32)


def test_profiles_are_refused(tmp_path, rng):
    np.save(tmp_path / "a.npy", rng.random(1000))
    refused(tmp_path / "a.npy", "1-D with 1000 values")
    np.save(tmp_path / "b.npy", rng.random((1, 1000)))
    refused(tmp_path / "b.npy", "1-D with 1000 values")


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".mrc", ".ser", ".emd"])
def test_series_are_refused_by_their_shape(tmp_path, image, suffix, write_mrc, write_ser, write_velox):
    stack, path = np.stack([image] * 5), tmp_path / f"a{suffix}"
    if suffix == ".tif":
        tifffile.imwrite(path, stack, photometric="minisblack")
    elif suffix == ".npy":
        np.save(path, stack)
    elif suffix == ".mrc":
        write_mrc(path, stack, (6.4, 4.0))
    elif suffix == ".ser":
        write_ser(path, stack, (2e-11, 2e-11))
    else:
        write_velox(path, [np.moveaxis(stack, 0, -1)], (2e-11, 2e-11))
    assert "5 frames of 40 × 64 px" in refused(path, FRAMES)


def test_data_of_more_axes_are_refused(tmp_path, rng):
    np.save(tmp_path / "a.npy", rng.random((2, 3, 40, 64)))
    refused(tmp_path / "a.npy", r"4-D data \(shape \(2, 3, 40, 64\)\)")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_colour_is_refused(tmp_path, rng, suffix):
    path, pixels = tmp_path / f"a{suffix}", rng.integers(0, 255, (40, 64, 3), dtype=np.uint8)
    pixels[..., 2] = pixels[..., 1]  # green equals blue, red does not
    if suffix == ".npy":
        np.save(path, pixels)
    elif suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb")
    else:
        Image.fromarray(pixels).save(path)
    refused(path, "colour image; convert it to grey")


def test_colour_in_hspy_is_refused(tmp_path, write_rsciio):
    pixels = np.zeros((40, 64), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    refused(write_rsciio(tmp_path / "a.hspy", pixels, (1, 1), "nm"), "colour image; convert it to grey")


def test_other_channels_are_refused(tmp_path, image):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([image.astype("u1")] * 5, -1), photometric="rgb")
    refused(tmp_path / "a.tif", "5 channels a pixel")


def test_animations_are_refused(tmp_path, image):
    frames = [Image.fromarray(np.roll(image, k, 0).astype("u1")) for k in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    refused(tmp_path / "a.png", FRAMES)


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_complex_data_are_refused(tmp_path, image, suffix):
    path = tmp_path / f"a{suffix}"
    data = image.astype(np.complex64)
    _ = np.save(path, data) if suffix == ".npy" else tifffile.imwrite(path, data)
    refused(path, "complex .*save the intensity")


def test_pickles_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.save(tmp_path / "a.npy", np.array([[Bomb()] * 40] * 40), allow_pickle=True)
    refused(tmp_path / "a.npy", "could not be read as numpy array")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path / "b.npy", "is not a numpy array file")
    assert not (tmp_path / "exploded").exists()


def test_text_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.full((40, 64), "text"))
    refused(tmp_path / "a.npy", "does not hold numbers")


def test_several_images_are_refused(tmp_path, image, write_velox):
    path = write_velox(tmp_path / "a.emd", [image[:, :, None], image[:, :, None] + 1], (2e-11, 2e-11))
    refused(path, "holds 2 images .*40 × 64 px.*export the one to analyse")


def test_file_without_an_image_is_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
    refused(tmp_path / "a.emd")


@pytest.mark.parametrize("suffix", [".dm3", ".dm4", ".emd", ".mrc", ".ser", ".tif", ".hspy", ".png", ".npy"])
def test_text_renamed_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_text("These are no pixels.\n" * 100)
    refused(path, "as its suffix .* says: it begins with b'These|could not be read as MRC")


def test_picture_renamed_is_recognised(tmp_path, image):
    Image.fromarray(image.astype("u1")).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.dm3")
    refused(tmp_path / "a.dm3", "is not a DigitalMicrograph 3 file.*begins like a PNG file")


def test_unknown_suffix_names_the_known(tmp_path):
    (tmp_path / "a.xyz").write_text("0")
    assert ".dm3" in refused(tmp_path / "a.xyz", r"unknown kind \(suffix '.xyz'\)")


@pytest.mark.parametrize("suffix", [".dm3", ".tif", ".mrc", ".png"])
def test_empty_files_are_refused(tmp_path, suffix):
    (tmp_path / f"a{suffix}").touch()
    refused(tmp_path / f"a{suffix}", r"is empty \(0 bytes\)")


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "a.dm3", "cannot be opened: No such file")
    (tmp_path / "b.dm3").mkdir()
    refused(tmp_path / "b.dm3", "cannot be opened")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("suffix", [".tif", ".emd", ".hspy", ".mrc", ".ser", ".png", ".bmp", ".jpg", ".npy"])
def test_files_cut_short_are_refused(tmp_path, image, share, suffix, write_rsciio, write_mrc, write_ser):
    path = tmp_path / f"a{suffix}"
    if suffix in (".tif", ".emd", ".hspy"):
        write_rsciio(path, image, (0.02, 0.02), "nm")
    elif suffix == ".mrc":
        write_mrc(path, image, (6.4, 4.0))
    elif suffix == ".ser":
        write_ser(path, image, (2e-11, 2e-11))
    elif suffix == ".npy":
        np.save(path, image)
    else:
        Image.fromarray(image.astype("u1")).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


def test_memory_that_does_not_suffice(tmp_path, image, monkeypatch):
    np.save(tmp_path / "a.npy", image)
    monkeypatch.setattr("numpy.load", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
    refused(tmp_path / "a.npy", "does not fit into memory")


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="counts open files in /proc")
def test_no_file_stays_open(tmp_path, image, write_rsciio, write_mrc, write_ser, write_velox):
    paths = [write_rsciio(tmp_path / f"a{s}", image, (0.02, 0.02), "nm") for s in (".tif", ".emd", ".hspy")]
    paths.append(write_mrc(tmp_path / "a.mrc", image, (6.4, 4.0)))
    paths.append(write_ser(tmp_path / "a.ser", image, (2e-11, 2e-11)))
    paths.append(write_velox(tmp_path / "v.emd", [image[:, :, None]], (2e-11, 2e-11)))
    np.save(tmp_path / "a.npy", image)
    Image.fromarray(image.astype("u1")).save(tmp_path / "a.png")
    kept = [read_micrograph(path) for path in (*paths, tmp_path / "a.npy", tmp_path / "a.png")]
    gc.collect()
    opened = [os.readlink(link) for link in OPEN_FILES.iterdir() if link.is_symlink()]  # noqa: PTH115
    assert len(kept) == 8
    assert not [name for name in opened if name.startswith(str(tmp_path))]


# ---------------------------------------------------------------- real files


def test_uncalibrated_dm3(realdata):
    micrograph = read_micrograph(realdata / "ulm" / "graphene_defect_raw.dm3")
    assert micrograph.image.shape == (512, 512)
    assert micrograph.sampling is None
    assert micrograph.metadata["calibration"] == "its axes have scale 1 and no unit"


def test_calibrated_dm3(realdata):
    micrograph = read_micrograph(realdata / "ulm" / "graphene_filtered.dm3")
    assert micrograph.sampling == pytest.approx((0.13821, 0.13821), abs=1e-5)
    assert (micrograph.sampling_source, micrograph.metadata["calibration"]) == ("file", "0.013821 nm/px")


@pytest.mark.parametrize("size", [1, 50, 5000, 400_000, 1_500_000, 1_655_000])
def test_dm3_cut_short(tmp_path, realdata, size):
    content = (realdata / "ulm" / "graphene_filtered.dm3").read_bytes()
    (tmp_path / "a.dm3").write_bytes(content[:size])
    refused(tmp_path / "a.dm3")


def test_ncem_pictures(realdata):
    paths = sorted((realdata / "ncem").glob("*[0-9].png"))[:5]
    assert [read_micrograph(path).sampling for path in paths] == [None] * 5
