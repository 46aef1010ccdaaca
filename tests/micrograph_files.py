"""Writers of small microscope files, by something other than the code under test."""

import importlib
import json
import struct

import h5py
import numpy as np


def _signal(data, scales, unit):
    """A signal as RosettaSciIO's writers take it; `scales` along y and x."""
    names = ["z", "y", "x"][-data.ndim :]
    scales = (1.0,) * (data.ndim - 2) + tuple(scales)
    axes = [
        {
            "_type": "UniformDataAxis",
            "name": name,
            "size": size,
            "scale": scale,
            "units": unit,
            "offset": 0.0,
            "navigate": i < data.ndim - 2,
            "index_in_array": i,
        }
        for i, (name, size, scale) in enumerate(zip(names, data.shape, scales, strict=True))
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": "test"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "learning_results": {},
        "attributes": {"_lazy": False, "ragged": False},
        "package_info": {"package": "test", "package_version": "1"},
        "tmp_parameters": {},
        "models": {},
    }


def write_rsciio(path, data, scales, unit, **metadata):
    """Write with RosettaSciIO: path, array, scales along y and x, unit."""
    module = {".tif": "tiff"}.get(path.suffix, path.suffix[1:])
    signal = _signal(data, scales, unit)
    signal["metadata"].update(metadata)
    importlib.import_module(f"rsciio.{module}").file_writer(str(path), signal)
    return path


def write_mrc(path, data, cell, endian="<", grid=True):
    """Write an MRC file by its specification: path, array, cell lengths (x, y) [Å]."""
    shape = (1, *data.shape) if data.ndim == 2 else data.shape
    nz, ny, nx = shape
    mode = {"f4": 2, "i2": 1, "u2": 6, "u1": 0, "c8": 4}[data.dtype.str[1:]]
    header = bytearray(1024)
    struct.pack_into(f"{endian}4i", header, 0, nx, ny, nz, mode)
    struct.pack_into(f"{endian}3i", header, 28, *((nx, ny, nz) if grid else (0, 0, 0)))
    struct.pack_into(f"{endian}6f", header, 40, *cell, 1.0, 90, 90, 90)
    struct.pack_into(f"{endian}3i", header, 64, 1, 2, 3)
    header[208:216] = b"MAP " + (b"DD\0\0" if endian == "<" else b"\x11\x11\0\0")
    path.write_bytes(bytes(header) + data.astype(data.dtype.newbyteorder(endian)).tobytes())
    return path


def write_ser(path, frames, step, times=None):
    """Write a TIA series of images by its specification: path, frames, pixel size (y, x) [m], times [s]."""
    data = np.atleast_3d(frames) if frames.ndim == 3 else frames[None]
    n, ny, nx = data.shape
    head = struct.pack("<3H4I", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, n, n)
    dimension = struct.pack("<I2d2I", n, 0.0, 1.0, 0, 0) + struct.pack("<I", 0)
    offsets_at = len(head) + 8 + len(dimension)
    element = 50 + data[0].size * 4
    first = offsets_at + 8 * n
    elements = [first + k * element for k in range(n)]
    tags = [first + n * element + 8 * k for k in range(n)]
    content = head + struct.pack("<2I", offsets_at, 1) + dimension
    content += struct.pack(f"<{2 * n}I", *elements, *tags)
    for frame in data:
        content += struct.pack("<2dI2dIH2I", 0.0, step[1], 0, 0.0, step[0], 0, 7, nx, ny)
        content += frame[::-1].astype("<f4").tobytes()
    content += b"".join(struct.pack("<HHI", 0x4152, 0, time) for time in times or [0] * n)
    path.write_bytes(content)
    return path


def write_velox(path, arrays, step, unit="m", kilovolt=80):
    """Write a Velox .emd: path, arrays (rows, columns, frames), pixel size (y, x) in `unit`."""
    metadata = {
        "BinaryResult": {
            "PixelSize": {"width": str(step[1]), "height": str(step[0])},
            "Offset": {"x": "0", "y": "0"},
            "PixelUnitX": unit,
            "PixelUnitY": unit,
            "DetectorIndex": "0",
        },
        "Detectors": {"Detector-0": {"DetectorName": "BM-Ceta", "ExposureTime": "1"}},
        "Scan": {"FrameTime": "1"},
        "Optics": {"AccelerationVoltage": str(kilovolt * 1e3)},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1500000000"}},
    }
    text = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    with h5py.File(path, "w") as file:
        file["Version"] = [b'{"format": "Velox", "version": "11.0"}']
        for index, data in enumerate(arrays):
            group = file.create_group(f"Data/Image/{index:032x}")
            group.create_dataset("Data", data=data, chunks=(*data.shape[:2], 1))
            group["Metadata"] = np.repeat(text[:, None], data.shape[2], axis=1)
    return path


def write_zspy(path, data, axes):
    """Write a HyperSpy zarr folder by its specification: path, array, axes (name, scale, unit)."""
    import zarr

    root = zarr.open_group(path, mode="w", zarr_format=2)
    root.attrs.update(file_format="ZSpy", file_format_version="3.1")
    group = root.create_group("Experiments").create_group("test")
    group.create_array("data", data=data, chunks=(1, *data.shape[1:]) if data.ndim > 2 else data.shape)
    for index, (name, scale, unit) in enumerate(axes):
        group.create_group(f"axis-{index}").attrs.update(
            _type="UniformDataAxis",
            name=name,
            size=data.shape[index],
            scale=scale,
            offset=0.0,
            units=unit,
            navigate=index < data.ndim - 2,
            index_in_array=index,
        )
    metadata = group.create_group("metadata")
    metadata.create_group("General").attrs["title"] = "test"
    metadata.create_group("Signal").attrs["signal_type"] = ""
    for name in ("original_metadata", "learning_results"):
        group.create_group(name)
    return path


def write_dm(path, data, axes, tags=None):
    """Write a DigitalMicrograph file of version 3 or 4 by its specification.

    Path (whose suffix gives the version), array, axes (scale, unit) as stored, and tags of the image.
    """
    path.write_bytes(_DigitalMicrograph(4 if path.suffix == ".dm4" else 3).file(data, axes, tags or {}))
    return path


class _DigitalMicrograph:
    """Bytes of tags: numbers of the tags' own layout are big-endian, values little-endian."""

    def __init__(self, version):
        self.version = version

    def wide(self, number):
        return struct.pack(">q" if self.version == 4 else ">i", number)

    def file(self, data, axes, tags):
        codes = {
            "float32": 2,
            "int16": 1,
            "uint16": 10,
            "uint8": 6,
            "int32": 7,
            "complex64": 3,
            "float64": 12,
        }
        image = {
            "ImageData": {
                "Calibrations": {
                    "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                    "Dimension": [
                        {"Origin": 0.0, "Scale": float(s), "Units": u} for s, u in reversed(list(axes))
                    ],
                },
                "Data": data,
                "DataType": codes[str(data.dtype)],
                "Dimensions": list(reversed(data.shape)),
                "PixelDepth": data.dtype.itemsize,
            },
            "ImageTags": tags,
            "Name": "test",
        }
        root = self.group({"ImageList": [image]})
        return struct.pack(">i", self.version) + self.wide(len(root)) + struct.pack(">i", 1) + root + bytes(8)

    def group(self, tree):
        items = tree.items() if isinstance(tree, dict) else (("", value) for value in tree)
        items = list(items)
        return b"\1\0" + self.wide(len(items)) + b"".join(self.tag(name, value) for name, value in items)

    def tag(self, name, value):
        is_group = isinstance(value, (dict, list))
        body = self.group(value) if is_group else self.value(value)
        head = struct.pack(">BH", 20 if is_group else 21, len(name)) + name.encode("latin-1")
        return head + (self.wide(len(body)) if self.version == 4 else b"") + body

    def value(self, value):
        if isinstance(value, np.ndarray):
            codes = {"f4": 6, "i2": 2, "u2": 4, "u1": 10, "i4": 3, "f8": 7, "c8": 6}
            flat = value.view("f4") if value.dtype.kind == "c" else value
            info = [20, codes[value.dtype.str[1:]], flat.size]
            content = value.tobytes()
        elif isinstance(value, str):
            content = value.encode("utf-16-le")
            info = [20, 4, len(content) // 2]
        elif isinstance(value, float):
            info, content = [7], struct.pack("<d", value)
        else:
            info, content = [5], struct.pack("<I", value)
        return b"%%%%" + self.wide(len(info)) + b"".join(map(self.wide, info)) + content
