"""Small files of each kind, written by something other than the code under test."""

import json
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

REALDATA = Path(__file__).parents[3] / "shared" / "realdata"


@pytest.fixture
def realdata():
    if not REALDATA.is_dir():
        pytest.skip("the folder of real data is absent")
    return REALDATA


@pytest.fixture
def image(rng):
    """A non-square image in counts."""
    return rng.poisson(100, (40, 64)).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


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


@pytest.fixture
def write_rsciio():
    """Write with RosettaSciIO: path, array, scales along y and x, unit."""

    def write(path, data, scales, unit, **metadata):
        import importlib

        module = {".tif": "tiff"}.get(path.suffix, path.suffix[1:])
        signal = _signal(data, scales, unit)
        signal["metadata"].update(metadata)
        importlib.import_module(f"rsciio.{module}").file_writer(str(path), signal)
        return path

    return write


@pytest.fixture
def write_mrc():
    """Write an MRC file by its specification: path, array, cell lengths (x, y) [Å]."""

    def write(path, data, cell, endian="<", grid=True):
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

    return write


@pytest.fixture
def write_ser():
    """Write a TIA series of images by its specification: path, frames, pixel size (y, x) [m]."""

    def write(path, frames, step):
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
        content += b"".join(struct.pack("<HHI", 0x4152, 0, 0) for _ in range(n))
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def write_velox():
    """Write a Velox .emd: path, arrays (rows, columns, frames), pixel size (y, x) in `unit`."""

    def write(path, arrays, step, unit="m", kilovolt=80):
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

    return write
