import dataclasses
import gc
import hashlib
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.read import MINIMUM_SIDE, read_micrograph

ANGSTROM = {"nm": 10.0, "Å": 1.0, "pm": 0.01, "µm": 1e4}
OPEN_FILES = Path("/proc/self/fd")


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


# ---------------------------------------------------------------- series


SERIES = [".dm3", ".dm4", ".emd", ".hspy", ".zspy", ".mrc", ".ser", ".tif", ".npy", "velox.emd"]


@pytest.fixture
def write_series(tmp_path, write_rsciio, write_mrc, write_ser, write_velox, write_dm, write_zspy):
    """Write a series of 0.2 × 0.14 Å/px in any of the formats of `SERIES`."""

    def write(suffix, frames):
        path = tmp_path / f"a{suffix}" if suffix[0] == "." else tmp_path / suffix
        axes = [("t", 0.5, "s"), ("y", 0.02, "nm"), ("x", 0.014, "nm")]
        match suffix:
            case ".dm3" | ".dm4":
                write_dm(path, frames, [axis[1:] for axis in axes])
            case ".zspy":
                write_zspy(path, frames, axes)
            case ".hspy" | ".emd":
                write_rsciio(path, frames, (0.02, 0.014), "nm")
            case ".mrc":
                write_mrc(path, frames, (64 * 0.14, 40 * 0.2))
            case ".ser":
                write_ser(path, frames, (2.0e-11, 1.4e-11))
            case ".tif":
                tifffile.imwrite(
                    path,
                    frames,
                    imagej=True,
                    resolution=(1 / 0.014, 1 / 0.02),
                    metadata={"unit": "nm", "axes": "TYX", "finterval": 0.5},
                )
            case ".npy":
                np.save(path, frames)
            case _:
                write_velox(path, [np.moveaxis(frames, 0, -1)], (2.0e-11, 1.4e-11))
        return path

    return write


@pytest.mark.parametrize("suffix", SERIES)
def test_frames_of_series_are_read_one_by_one(write_series, frames, suffix):
    micrograph = read_micrograph(write_series(suffix, frames))
    assert micrograph.n_frames == 5
    assert micrograph.image.dtype == np.float32
    for k in (0, 4, 2):
        np.testing.assert_array_equal(micrograph.frame(k), frames[k])
    assert micrograph.frame(0) is micrograph.image
    assert micrograph.sampling == (None if suffix == ".npy" else pytest.approx((0.2, 0.14), rel=1e-3))
    for k in (-1, 5):
        with pytest.raises(IndexError, match=f"frame must be 0 … 4, got {k}"):
            micrograph.frame(k)


@pytest.mark.parametrize(
    ("suffix", "step"), [(".dm3", 0.5), (".zspy", 0.5), (".tif", 0.5), ("velox.emd", 1.0)]
)
def test_times_of_frames(write_series, frames, suffix, step):
    np.testing.assert_allclose(read_micrograph(write_series(suffix, frames)).times, step * np.arange(5))


@pytest.mark.parametrize("suffix", [".mrc", ".npy", ".hspy", ".ser"])
def test_times_are_not_made_up(write_series, frames, suffix):
    assert read_micrograph(write_series(suffix, frames)).times is None


def test_zspy_in_an_archive(tmp_path, frames, write_zspy, refused):
    folder = write_zspy(tmp_path / "b", frames, [("t", 1, "s"), ("y", 0.02, "nm"), ("x", 0.014, "nm")])
    with zipfile.ZipFile(tmp_path / "a.zspy", "w") as archive:
        for part in sorted(part for part in folder.rglob("*") if part.is_file()):
            archive.write(part, part.relative_to(folder))
    micrograph = read_micrograph(tmp_path / "a.zspy")
    assert micrograph.sampling == pytest.approx((0.2, 0.14))
    np.testing.assert_array_equal(micrograph.frame(3), frames[3])
    (tmp_path / "b.zspy").write_bytes(b"PK\3\4 and no more")
    refused(tmp_path / "b.zspy", "could not be read as HyperSpy zarr")


def test_hashes_of_folders(tmp_path, frames, write_zspy):
    axes = [("t", 1, "s"), ("y", 0.02, "nm"), ("x", 0.014, "nm")]
    hashes = [
        read_micrograph(write_zspy(tmp_path / f"{name}.zspy", data, axes)).sha256
        for name, data in (("a", frames), ("b", frames), ("c", frames + 1))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_fortran_order(tmp_path, image, frames):
    np.save(tmp_path / "a.npy", np.asfortranarray(image))
    np.save(tmp_path / "b.npy", np.asfortranarray(frames))
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.npy").image, image)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "b.npy").frame(3), frames[3])


def test_single_images_have_one_frame(tmp_path, image):
    np.save(tmp_path / "a.npy", image)
    micrograph = read_micrograph(tmp_path / "a.npy")
    assert (micrograph.n_frames, micrograph.times) == (1, None)
    assert micrograph.frame(0) is micrograph.image
    with pytest.raises(IndexError, match="frame must be 0 … 0, got 1"):
        micrograph.frame(1)


@pytest.mark.parametrize("suffix", SERIES)
def test_bad_frames_are_named_when_they_are_read(write_series, frames, suffix):
    frames[3, 7, 9] = np.nan
    frames[4] = 7
    micrograph = read_micrograph(write_series(suffix, frames))
    np.testing.assert_array_equal(micrograph.frame(2), frames[2])
    with pytest.raises(MicrographError, match=rf"^frame 3 of {micrograph.path.name} has 1 of 2560 pixels"):
        micrograph.frame(3)
    with pytest.raises(MicrographError, match=r"^frame 4 of .* has no contrast"):
        micrograph.frame(4)


def test_frames_survive_a_new_name(write_series, frames):
    micrograph = dataclasses.replace(read_micrograph(write_series(".mrc", frames)), stem="b")
    np.testing.assert_array_equal(micrograph.frame(4), frames[4])


def test_frames_of_a_file_that_has_shrunk(write_series, frames):
    path = write_series(".ser", frames)
    micrograph = read_micrograph(path)
    with path.open("r+b") as file:
        file.truncate(30_000)
    with pytest.raises(MicrographError, match=r"^frame 4 of a\.ser is cut short"):
        micrograph.frame(4)


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="counts open files in /proc")
@pytest.mark.parametrize("suffix", SERIES)
def test_files_of_series_are_closed_with_them(tmp_path, write_series, frames, suffix):
    def opened():
        gc.collect()
        links = [os.readlink(link) for link in OPEN_FILES.iterdir() if link.is_symlink()]  # noqa: PTH115
        return [name for name in links if name.startswith(str(tmp_path))]

    micrograph = read_micrograph(write_series(suffix, frames))
    micrograph.frame(3)
    del micrograph
    assert not opened()


def test_animations_are_series(tmp_path, frames):
    pictures = [Image.fromarray(frame.astype("u1")) for frame in frames]
    pictures[0].save(tmp_path / "a.png", save_all=True, append_images=pictures[1:])
    micrograph = read_micrograph(tmp_path / "a.png")
    assert micrograph.n_frames == 5
    np.testing.assert_array_equal(micrograph.frame(3), frames[3])


def test_series_elsewhere_keep_their_copy(frames, write_series, monkeypatch, tmp_path):
    import fsspec

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    filesystem = fsspec.filesystem("memory")
    filesystem.put(str(write_series(".mrc", frames)), "/far/a.mrc")
    try:
        micrograph = read_micrograph("memory://far/a.mrc")
    finally:
        filesystem.rm("/far", recursive=True)
    assert (micrograph.stem, micrograph.path.name) == ("a", "a.mrc")
    assert len(list(tmp_path.glob("amorph2d-*"))) == 1
    np.testing.assert_array_equal(micrograph.frame(4), frames[4])
    del micrograph
    gc.collect()
    assert not list(tmp_path.glob("amorph2d-*"))


@pytest.mark.parametrize("is_good", [True, False])
def test_copies_of_images_elsewhere_go_at_once(image, monkeypatch, tmp_path, is_good):
    import fsspec

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    np.save(tmp_path / "a.npy", image if is_good else image * 0)
    filesystem = fsspec.filesystem("memory")
    filesystem.put(str(tmp_path / "a.npy"), "/far/a.npy")
    try:
        if is_good:
            kept = read_micrograph("memory://far/a.npy")
            np.testing.assert_array_equal(kept.image, image)
        else:
            with pytest.raises(MicrographError, match=r"^a\.npy has no contrast"):
                read_micrograph("memory://far/a.npy")
    finally:
        filesystem.rm("/far", recursive=True)
    assert not list(tmp_path.glob("amorph2d-*"))


def test_folders_elsewhere(write_series, frames):
    import fsspec

    filesystem = fsspec.filesystem("memory")
    filesystem.put(str(write_series(".zspy", frames)), "/far/a.zspy", recursive=True)
    try:
        micrograph = read_micrograph("memory://far/a.zspy")
    finally:
        filesystem.rm("/far", recursive=True)
    np.testing.assert_array_equal(micrograph.frame(2), frames[2])


def test_addresses_of_no_known_kind():
    with pytest.raises(MicrographError, match=r"nowhere://a\.tif cannot be opened .*nowhere"):
        read_micrograph("nowhere://a.tif")


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("unit", ["1/nm", "1/Å", "nm^-1", "mrad", "1 / µm"])
def test_diffraction_is_refused(tmp_path, image, write_rsciio, unit, refused):
    refused(
        write_rsciio(tmp_path / "a.hspy", image, (0.02, 0.02), unit), "diffraction pattern.* y axis is in"
    )


def test_spectra_are_refused(tmp_path, image, write_rsciio, refused):
    refused(write_rsciio(tmp_path / "a.hspy", image, (0.02, 0.02), "eV"), "not an image in real space.*'eV'")


@pytest.mark.parametrize(("bad", "count"), [(np.nan, 3), (np.inf, 1), (-np.inf, 2)])
def test_pixels_that_are_not_finite_are_counted(tmp_path, image, bad, count, refused):
    image.ravel()[:count] = bad
    np.save(tmp_path / "a.npy", image)
    refused(tmp_path / "a.npy", f"has {count} of 2560 pixels that are NaN or infinite")


def test_values_beyond_float32_are_counted(tmp_path, image, refused):
    wide = image.astype(np.float64)
    wide[0, 0] = 1e300
    np.save(tmp_path / "a.npy", wide)
    refused(tmp_path / "a.npy", "has 1 of 2560 pixels")


@pytest.mark.parametrize("value", [0, 7])
def test_images_without_contrast_are_refused(tmp_path, value, refused):
    tifffile.imwrite(tmp_path / "a.tif", np.full((40, 64), value, np.uint16))
    refused(tmp_path / "a.tif", f"no contrast: all its pixels are {value}")


@pytest.mark.parametrize("shape", [(MINIMUM_SIDE - 1, 64), (64, 5)])
def test_small_images_are_refused(tmp_path, rng, shape, refused):
    np.save(tmp_path / "a.npy", rng.random(shape))
    refused(tmp_path / "a.npy", f"too small: {shape[0]} × {shape[1]} px; at least 32 px")


def test_smallest_image_is_read(tmp_path, rng):
    np.save(tmp_path / "a.npy", rng.random((MINIMUM_SIDE, MINIMUM_SIDE)))
    assert read_micrograph(tmp_path / "a.npy").image.shape == (32, 32)


def test_profiles_are_refused(tmp_path, rng, refused):
    np.save(tmp_path / "a.npy", rng.random(1000))
    refused(tmp_path / "a.npy", "1-D with 1000 values")
    np.save(tmp_path / "b.npy", rng.random((1, 1000)))
    refused(tmp_path / "b.npy", "1-D with 1000 values")


def test_data_of_more_axes_are_refused(tmp_path, rng, refused):
    np.save(tmp_path / "a.npy", rng.random((2, 3, 40, 64)))
    refused(tmp_path / "a.npy", r"4-D data \(shape \(2, 3, 40, 64\)\)")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy"])
def test_colour_is_refused(tmp_path, rng, suffix, refused):
    path, pixels = tmp_path / f"a{suffix}", rng.integers(0, 255, (40, 64, 3), dtype=np.uint8)
    pixels[..., 2] = pixels[..., 1]  # green equals blue, red does not
    if suffix == ".npy":
        np.save(path, pixels)
    elif suffix == ".tif":
        tifffile.imwrite(path, pixels, photometric="rgb")
    else:
        Image.fromarray(pixels).save(path)
    refused(path, "colour image; convert it to grey")


def test_colour_in_hspy_is_refused(tmp_path, write_rsciio, refused):
    pixels = np.zeros((40, 64), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    refused(write_rsciio(tmp_path / "a.hspy", pixels, (1, 1), "nm"), "colour image; convert it to grey")


def test_other_channels_are_refused(tmp_path, image, refused):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([image.astype("u1")] * 5, -1), photometric="rgb")
    refused(tmp_path / "a.tif", "5 channels a pixel")


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_complex_data_are_refused(tmp_path, image, suffix, refused):
    path = tmp_path / f"a{suffix}"
    data = image.astype(np.complex64)
    _ = np.save(path, data) if suffix == ".npy" else tifffile.imwrite(path, data)
    refused(path, "complex .*save the intensity")


def test_pickles_are_never_loaded(tmp_path, refused):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    np.save(tmp_path / "a.npy", np.array([[Bomb()] * 40] * 40), allow_pickle=True)
    refused(tmp_path / "a.npy", "pickled Python objects.*never loaded")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Bomb()))
    refused(tmp_path / "b.npy", "is not a numpy array file")
    assert not (tmp_path / "exploded").exists()


def test_text_is_refused(tmp_path, refused):
    np.save(tmp_path / "a.npy", np.full((40, 64), "text"))
    refused(tmp_path / "a.npy", "does not hold numbers")


def test_several_images_are_refused(tmp_path, image, write_velox, refused):
    path = write_velox(tmp_path / "a.emd", [image[:, :, None], image[:, :, None] + 1], (2e-11, 2e-11))
    refused(path, "holds 2 images .*40 × 64 px.*export the one to analyse")


def test_file_without_an_image_is_refused(tmp_path, refused):
    import h5py

    with h5py.File(tmp_path / "a.emd", "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
    refused(tmp_path / "a.emd")


@pytest.mark.parametrize("suffix", [".dm3", ".dm4", ".emd", ".mrc", ".ser", ".tif", ".hspy", ".png", ".npy"])
def test_text_renamed_is_refused(tmp_path, suffix, refused):
    path = tmp_path / f"a{suffix}"
    path.write_text("These are no pixels.\n" * 100)
    refused(path, "as its suffix .* says: it begins with b'These|is no MRC file: its header gives the size")


def test_picture_renamed_is_recognised(tmp_path, image, refused):
    Image.fromarray(image.astype("u1")).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.dm3")
    refused(tmp_path / "a.dm3", "is not a DigitalMicrograph 3 file.*begins like a PNG file")


def test_unknown_suffix_names_the_known(tmp_path, refused):
    (tmp_path / "a.xyz").write_text("0")
    assert ".dm3" in refused(tmp_path / "a.xyz", r"unknown kind \(suffix '.xyz'\)")


@pytest.mark.parametrize("suffix", [".dm3", ".tif", ".mrc", ".png"])
def test_empty_files_are_refused(tmp_path, suffix, refused):
    (tmp_path / f"a{suffix}").touch()
    refused(tmp_path / f"a{suffix}", r"is empty \(0 bytes\)")


def test_missing_file_and_folder(tmp_path, refused):
    refused(tmp_path / "a.dm3", "cannot be opened: No such file")
    (tmp_path / "b.dm3").mkdir()
    refused(tmp_path / "b.dm3", "is a folder, no DigitalMicrograph 3 file")
    os.mkfifo(tmp_path / "c.dm3")
    refused(tmp_path / "c.dm3", "is a pipe or a device")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("suffix", [".tif", ".emd", ".hspy", ".mrc", ".ser", ".png", ".bmp", ".jpg", ".npy"])
def test_files_cut_short_are_refused(
    tmp_path, image, share, suffix, write_rsciio, write_mrc, write_ser, refused
):
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


def test_memory_that_does_not_suffice(tmp_path, image, monkeypatch, refused):
    np.save(tmp_path / "a.npy", image)
    monkeypatch.setattr("numpy.memmap", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
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
def test_dm3_cut_short(tmp_path, realdata, size, refused):
    content = (realdata / "ulm" / "graphene_filtered.dm3").read_bytes()
    (tmp_path / "a.dm3").write_bytes(content[:size])
    refused(tmp_path / "a.dm3")


def test_ncem_pictures(realdata):
    paths = sorted((realdata / "ncem").glob("*[0-9].png"))[:5]
    assert [read_micrograph(path).sampling for path in paths] == [None] * 5
