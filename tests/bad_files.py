"""Files that cannot be analysed, each bad in a way of its own, and the word by which its reason is known."""

import os
import struct
import zlib

import h5py
import numpy as np
import tifffile
from PIL import Image

from micrograph_files import write_dm, write_mrc, write_rsciio, write_ser, write_velox, write_zspy

NM = (0.02, 0.02)
TEXT = b"These are no pixels.\n" * 100
IMAGE = np.random.default_rng(5).poisson(100, (120, 150)).astype(np.float32)
CELL = (150 * 0.2, 120 * 0.2)


def tif(path, array, nm_per_px=0.02, unit="nm", **more):
    scale = 1 / nm_per_px
    tifffile.imwrite(
        path, array, imagej=True, resolution=(scale, scale), metadata={"unit": unit, "axes": "YX"}, **more
    )


def cut(path, write, share):
    write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


def changed(path, write, offset, value):
    write(path)
    content = bytearray(path.read_bytes())
    content[offset : offset + len(value)] = value
    path.write_bytes(content)


def signal_of(path, data, axes, signal_type="", n_signal=2):
    """A HyperSpy file of any axes (scale, unit)."""
    from rsciio.hspy import file_writer

    described = [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "size": size,
            "scale": scale,
            "units": unit,
            "offset": 0.0,
            "navigate": i < data.ndim - n_signal,
            "index_in_array": i,
        }
        for i, (name, size, (scale, unit)) in enumerate(
            zip("zyx"[-data.ndim :], data.shape, axes, strict=True)
        )
    ]
    signal = {
        "data": data,
        "axes": described,
        "metadata": {"General": {"title": "test"}, "Signal": {"signal_type": signal_type}},
        "original_metadata": {},
        "learning_results": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "test", "package_version": "1"},
        "tmp_parameters": {},
        "models": {},
    }
    file_writer(str(path), signal)


def npy_header(path, shape, descr="<f4"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + bytes(1000))


def png_chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def huge_png(path):
    head = struct.pack(">2I5B", 60000, 60000, 8, 0, 0, 0, 0)
    parts = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(bytes(100))) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def bomb_tif(path):
    tile = zlib.compress(bytes(2048 * 2048))
    tifffile.imwrite(
        path,
        data=(tile for _ in range(400)),
        shape=(40960, 40960),
        dtype=np.uint8,
        tile=(2048, 2048),
        compression="zlib",
    )


def huge_hdf5(path):
    signal_of(path, IMAGE, [(0.02, "nm")] * 2)
    with h5py.File(path, "a") as file:
        group = file["Experiments/test"]
        del group["data"]
        group.create_dataset("data", shape=(10**5, 10**5), dtype="f4", chunks=(1000, 1000))


def two_images(path):
    write_rsciio(path, IMAGE, NM, "nm")
    with h5py.File(path, "a") as file:
        file.copy("Experiments/test", file["Experiments"], name="other")


def two_sizes(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(IMAGE, metadata=None)
        writer.write(IMAGE[:100], metadata=None)


def velox_map(path):
    write_velox(path, [IMAGE[:, :, None]], (2e-11, 2e-11))
    with h5py.File(path, "a") as file:
        file.create_group("Data/SpectrumImage")


def save(array):
    return lambda path: np.save(path, array, allow_pickle=True)


def with_value(value, dtype=np.float32):
    array = IMAGE.astype(dtype)
    array[3, 4:9] = value
    return save(array)


def picture(array):
    return lambda path: Image.fromarray(array).save(path)


def hdf5(**attributes):
    def write(path):
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes)

    return write


RGB = np.random.default_rng(6).integers(0, 255, (64, 64, 3), dtype=np.uint8)
GREY = IMAGE.astype(np.uint8)

# Name of the file, what its reason says, and what writes it.
AT_ONCE = [
    # no such file, or none of this kind
    ("empty.tif", r"is empty \(0 bytes\)", lambda p: p.touch()),
    ("text.dm3", "is not a DigitalMicrograph 3 file.* begins with b'These", lambda p: p.write_bytes(TEXT)),
    ("text.mrc", "is no MRC file: its header gives the size", lambda p: p.write_bytes(TEXT)),
    (
        "picture.dm4",
        "begins like a PNG file",
        lambda p: picture(GREY)(p.with_suffix(".png")) or p.with_suffix(".png").rename(p),
    ),
    ("hdf5.npy", "begins like a EMD or HyperSpy file", hdf5(a=1)),
    ("notes.docx", "unknown kind .suffix '.docx'", lambda p: p.write_bytes(b"PK")),
    ("nosuffix", "unknown kind .suffix ''", lambda p: p.write_bytes(TEXT)),
    ("folder.tif", "is a folder, no TIFF", lambda p: p.mkdir()),
    ("pipe.mrc", "is a pipe or a device", os.mkfifo),
    ("loop.dm3", "symbolic links", lambda p: p.symlink_to(p.name)),
    ("dangling.emd", "No such file", lambda p: p.symlink_to("nothing.emd")),
    # cut short or damaged
    (
        "cut_head.tif",
        "could not be read as TIFF|holds no image",
        lambda p: cut(p, lambda q: tif(q, IMAGE), 0.0002),
    ),
    (
        "cut_pixels.tif",
        "TIFF.*cut short|is cut short: its header promises 120 × 150",
        lambda p: cut(p, lambda q: tif(q, IMAGE), 0.7),
    ),
    (
        "cut_zip.tif",
        "could not be read as TIFF",
        lambda p: cut(p, lambda q: tifffile.imwrite(q, IMAGE, compression="zlib"), 0.7),
    ),
    (
        "cut_tags.dm3",
        "could not be read as DigitalMicrograph 3",
        lambda p: cut(p, lambda q: write_dm(q, IMAGE, [(0.02, "nm")] * 2), 0.004),
    ),
    (
        "cut_pixels.dm4",
        "cut short|could not be read as DigitalMicrograph 4",
        lambda p: cut(p, lambda q: write_dm(q, IMAGE, [(0.02, "nm")] * 2), 0.8),
    ),
    (
        "cut_head.mrc",
        "is cut short: 500 bytes, and the header alone takes 1024",
        lambda p: p.write_bytes(bytes(500)),
    ),
    (
        "cut_pixels.mrc",
        "is cut short: its header promises 1 × 120 × 150",
        lambda p: cut(p, lambda q: write_mrc(q, IMAGE, CELL), 0.6),
    ),
    (
        "mode.mrc",
        "Unrecognised mode '99'",
        lambda p: changed(p, lambda q: write_mrc(q, IMAGE, CELL), 12, b"c\0\0\0"),
    ),
    ("cut_pixels.npy", "is cut short: its header promises 120 × 150", lambda p: cut(p, save(IMAGE), 0.5)),
    (
        "cut_head.npy",
        "could not be read as numpy array .*EOF|could not be read as numpy array",
        lambda p: cut(p, save(IMAGE), 0.0005),
    ),
    ("version.npy", "has version 9.0 of the numpy format", lambda p: changed(p, save(IMAGE), 6, b"\x09")),
    ("cut.png", "could not be read as PNG", lambda p: cut(p, picture(GREY), 0.5)),
    ("checksum.png", "could not be read as PNG", lambda p: changed(p, picture(GREY), 20, b"\1")),
    ("cut.jpg", "could not be read as JPEG", lambda p: cut(p, picture(GREY), 0.5)),
    (
        "cut.hspy",
        "could not be read as HyperSpy .*truncated",
        lambda p: cut(p, lambda q: write_rsciio(q, IMAGE, NM, "nm"), 0.5),
    ),
    (
        "cut.emd",
        "could not be read as EMD .*truncated",
        lambda p: cut(p, lambda q: write_rsciio(q, IMAGE, NM, "nm"), 0.5),
    ),
    ("cut.ser", "is cut short", lambda p: cut(p, lambda q: write_ser(q, IMAGE, (2e-11, 2e-11)), 0.5)),
    ("other.hspy", "could not be read as HyperSpy", hdf5(file_format="another")),
    ("other.emd", "not a supported EMD", hdf5(a=1)),
    ("empty.zspy", "could not be read as HyperSpy zarr", lambda p: p.mkdir()),
    # declared, but not there
    (
        "huge.npy",
        "is cut short: its header promises 1000000 × 1000000",
        lambda p: npy_header(p, (10**6, 10**6)),
    ),
    (
        "huge.mrc",
        "is cut short: its header promises 1 × 1000000 × 1000000",
        lambda p: changed(p, lambda q: write_mrc(q, IMAGE, CELL), 0, struct.pack("<3i", 10**6, 10**6, 1)),
    ),
    ("huge.png", "would unfold", huge_png),
    ("huge.hspy", "promises 100000 × 100000 px, which would unfold", huge_hdf5),
    ("bomb.tif", "promises 40960 × 40960 px, which would unfold", bomb_tif),
    ("no_frames.npy", r"holds no image: its shape is \(0, 120, 150\)", save(np.zeros((0, 120, 150)))),
    (
        "no_frames.ser",
        "number of its valid elements is 0",
        lambda p: changed(p, lambda q: write_ser(q, IMAGE, (2e-11, 2e-11)), 18, bytes(4)),
    ),
    # pixels of another type
    ("pickle.npy", "pickled Python objects .*never loaded", save(np.array([[{}] * 40] * 40, dtype=object))),
    ("fields.npy", r"does not hold numbers but \[", save(np.zeros((64, 64), [("a", "f4"), ("b", "i2")]))),
    ("dates.npy", "does not hold numbers but datetime64", save(np.zeros((64, 64), "M8[s]"))),
    ("complex.npy", "is complex .complex64", save(IMAGE.astype(np.complex64))),
    ("complex.mrc", "is complex .complex64", lambda p: write_mrc(p, IMAGE.astype(np.complex64), CELL)),
    ("colour.tif", "is a colour image", lambda p: tifffile.imwrite(p, RGB, photometric="rgb")),
    ("palette.png", "is a colour image", lambda p: Image.fromarray(RGB).quantize(16).save(p)),
    (
        "channels.tif",
        "has 5 channels a pixel",
        lambda p: tifffile.imwrite(p, np.stack([GREY] * 5, -1), photometric="rgb"),
    ),
    # not an image
    ("profile.npy", "is 1-D with 100 values, like a spectrum", save(np.arange(100.0))),
    ("scalar.npy", "holds a single number", save(np.array(3.0))),
    ("pixel.png", "holds a single number", picture(GREY[:1, :1])),
    ("scan.npy", r"4-D data .*like 4D-STEM", save(np.ones((2, 3, 64, 64)))),
    (
        "diffraction.hspy",
        "is a diffraction pattern: its y axis is in '1/nm'",
        lambda p: write_rsciio(p, IMAGE, NM, "1/nm"),
    ),
    (
        "diffraction_type.hspy",
        "is a diffraction pattern .signal type",
        lambda p: signal_of(p, IMAGE, [(1, "px")] * 2, "electron_diffraction"),
    ),
    (
        "mixed_axes.hspy",
        "is a diffraction pattern: its x axis is in 'mrad'",
        lambda p: signal_of(p, IMAGE, [(0.02, "nm"), (0.1, "mrad")]),
    ),
    ("energies.hspy", "is not an image in real space.*'eV'", lambda p: write_rsciio(p, IMAGE, NM, "eV")),
    (
        "seconds.hspy",
        "is not an image in real space: its x axis is in 's'",
        lambda p: signal_of(p, IMAGE, [(0.02, "nm"), (1.0, "s")]),
    ),
    (
        "xrays.hspy",
        "a map of X-rays .EDS",
        lambda p: signal_of(p, np.ones((40, 40, 50)), [(1, "nm"), (1, "nm"), (0.01, "keV")], "EDS_TEM", 1),
    ),
    (
        "losses.hspy",
        "a map of electron energy losses",
        lambda p: signal_of(p, np.ones((40, 40, 50)), [(1, "nm"), (1, "nm"), (1, "")], "EELS", 1),
    ),
    ("velox_map.emd", "holds an EDS or EELS map .SpectrumImage", velox_map),
    ("two.hspy", "holds 2 images", two_images),
    ("two.tif", "holds 2 images .*120 × 150 px.*100 × 150 px", two_sizes),
    # values
    ("zero.tif", "has no contrast: all its pixels are 0", lambda p: tif(p, np.zeros((64, 64), np.uint16))),
    ("true.npy", "has no contrast: all its pixels are 1", save(np.ones((64, 64), bool))),
    ("nan.npy", "has 5 of 18000 pixels that are NaN", with_value(np.nan)),
    ("infinite.npy", "has 5 of 18000 pixels that are NaN or infinite;", with_value(-np.inf)),
    (
        "double.npy",
        "has 5 of 18000 pixels that are NaN or infinite or beyond single",
        with_value(1e300, np.float64),
    ),
    ("large.npy", r"has pixels of up to 1e\+30", with_value(1e30)),
    ("subnormal.npy", "has pixels that differ by .*e-4", save(IMAGE * np.float32(1e-44))),
    ("integers.npy", "lost in single precision", save(2**62 + IMAGE.astype(np.int64))),
    ("first_frame.npy", "has no contrast: all its pixels are 7", save(np.stack([IMAGE * 0 + 7, IMAGE]))),
    ("tiny.tif", "is too small: 8 × 8 px", lambda p: tif(p, IMAGE[:8, :8])),
    ("strip.png", "is too small: 100 × 5 px", picture(GREY[:100, :5])),
]

# These are read, but nothing says how large they are, or they show too little.
WITHOUT_SAMPLING = [
    ("uncalibrated.npy", "three ways.*sampling.csv", save(IMAGE)),
    ("pixels.tif", "its axes have the scale .* and no unit", lambda p: tif(p, IMAGE, unit="pixel")),
    (
        "print.tif",
        "has no calibration",
        lambda p: tifffile.imwrite(p, IMAGE, resolution=(300, 300), resolutionunit="INCH"),
    ),
    ("furlong.hspy", "the unknown unit 'furlong'", lambda p: write_rsciio(p, IMAGE, NM, "furlong")),
    (
        "zero_sampling.hspy",
        "its 0 nm/px is no microscope's sampling",
        lambda p: signal_of(p, IMAGE, [(0.0, "nm")] * 2),
    ),
    ("metres.hspy", "its 0.02 m/px is no microscope's sampling", lambda p: write_rsciio(p, IMAGE, NM, "m")),
    (
        "contradictory.hspy",
        "100 times as long as wide",
        lambda p: signal_of(p, IMAGE, [(0.02, "nm"), (2.0, "nm")]),
    ),
    ("one_axis.zspy", "no unit", lambda p: write_zspy(p, IMAGE, [("y", 0.02, "nm"), ("x", 1.0, "")])),
]
TOO_LITTLE = [("narrow.tif", "4 × 4 Å", lambda p: tif(p, IMAGE[:40, :40], nm_per_px=0.01))]

BAD = AT_ONCE + WITHOUT_SAMPLING + TOO_LITTLE
