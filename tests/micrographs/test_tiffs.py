import numpy as np
import pytest
import tifffile
from PIL import Image

from amorph2d.micrographs.read import read_micrograph

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


@pytest.mark.parametrize("way", ["pages", "written apart", "zlib", "lzw"])
def test_stacks_of_tiff(tmp_path, frames, way):
    path = tmp_path / "a.tif"
    if way == "lzw":
        pictures = [Image.fromarray(frame) for frame in frames]
        pictures[0].save(path, save_all=True, append_images=pictures[1:], compression="tiff_lzw")
    elif way == "zlib":
        tifffile.imwrite(path, frames, compression="zlib", photometric="minisblack")
    else:
        with tifffile.TiffWriter(path) as writer:
            for frame in frames:
                writer.write(frame, **({"metadata": None} if way == "pages" else {}))
    micrograph = read_micrograph(path)
    assert micrograph.n_frames == 5
    np.testing.assert_array_equal(micrograph.frame(3), frames[3])


def test_ome_tiff(tmp_path, frames):
    described = {
        "axes": "TYX",
        "TimeIncrement": 20,
        "TimeIncrementUnit": "ms",
        "PhysicalSizeX": 0.014,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 2e-5,  # µm where no unit is given
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", frames, metadata=described)
    micrograph = read_micrograph(tmp_path / "a.ome.tif")
    assert micrograph.sampling == pytest.approx((0.2, 0.14))
    np.testing.assert_allclose(micrograph.times, 0.02 * np.arange(5))
