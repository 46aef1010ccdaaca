import struct

import numpy as np
import pytest

from amorph2d.micrographs.read import read_micrograph

# ---------------------------------------------------------------- what the file says of the image


def test_metadata_of_digitalmicrograph(tmp_path, image, write_dm):
    tags = {
        "Microscope Info": {
            "Voltage": 80000.0,
            "Illumination Mode": "TEM",
            "Imaging Mode": "IMAGING",
            "Indicated Magnification": 5e5,
        },
        "DataBar": {
            "Exposure Time (s)": 0.5,
            "Acquisition Date": "3/25/2021",
            "Acquisition Time": "10:11:12 AM",
        },
    }
    micrograph = read_micrograph(write_dm(tmp_path / "a.dm3", image, [(0.02, "nm"), (0.014, "nm")], tags))
    wanted = {"energy": 80e3, "exposure": 0.5, "magnification": 5e5, "date": "2021-03-25T10:11:12"}
    assert {name: micrograph.metadata[name] for name in wanted} == wanted
    assert micrograph.sampling == pytest.approx((0.2, 0.14))


def test_metadata_of_velox(tmp_path, image, write_velox):
    metadata = read_micrograph(write_velox(tmp_path / "a.emd", [image[:, :, None]], (2e-11, 2e-11))).metadata
    assert metadata["exposure"] == 1.0
    assert metadata["date"].startswith("2017-07-1")  # 1500000000 s, in local time


def test_description_beside_a_ser_file(tmp_path, image, write_ser, refused):
    path = write_ser(tmp_path / "a_1.ser", image, (2.0e-11, 1.4e-11))

    def describe(mode):
        values = {"High tension": ("80", "kV"), "Mode": (mode, ""), "Magnification": ("500000", "x")}
        data = "".join(
            f"<Data><Label>{k}</Label><Value>{v}</Value><Unit>{u}</Unit></Data>"
            for k, (v, u) in values.items()
        )
        text = (
            f"<ObjectInfo><ExperimentalDescription><Root>{data}</Root></ExperimentalDescription></ObjectInfo>"
        )
        (tmp_path / "a.emi").write_text(f"head {text} tail")

    describe("TEM uP SA Zoom Image")
    assert read_micrograph(path).metadata["magnification"] == 5e5
    assert read_micrograph(path).metadata["energy"] == 80e3
    describe("TEM uP SA Zoom Diffraction")
    refused(path, "is a diffraction pattern")
    (tmp_path / "a.emi").write_text("nothing")
    assert read_micrograph(path).sampling == pytest.approx((0.2, 0.14))


# ---------------------------------------------------------------- series


def test_times_of_the_frames_of_tia(tmp_path, frames, write_ser):
    path = write_ser(tmp_path / "a.ser", frames, (2e-11, 2e-11), [1000, 1002, 1003, 1009, 1010])
    np.testing.assert_array_equal(read_micrograph(path).times, [0, 2, 3, 9, 10])


def test_movies_of_direct_electron(tmp_path, frames, write_mrc):
    write_mrc(tmp_path / "20250101_00001_movie.mrc", frames, (0, 0))
    text = "Frames Per Second = 20\nSpecimen Pixel Size X (nanometers) = 0.014\n"
    text += "Specimen Pixel Size Y (nanometers) = 0.02\nInstrument Project TEMorSTEM Mode = 0\n"
    (tmp_path / "20250101_00001_info.txt").write_text(text)
    micrograph = read_micrograph(tmp_path / "20250101_00001_movie.mrc")
    assert micrograph.sampling == pytest.approx((0.2, 0.14))
    np.testing.assert_allclose(micrograph.times, 0.05 * np.arange(5))


# ---------------------------------------------------------------- what is refused


def test_scans_of_tia_are_refused(tmp_path, frames, write_ser, refused):
    """Two dimensions of 3 × 2 images, as of a scan with a camera."""
    path = write_ser(tmp_path / "a.ser", np.repeat(frames[:1], 6, axis=0), (2e-11, 2e-11))
    content = path.read_bytes()
    step, end = 32, 30 + 32
    added = struct.pack("<I2d2I", 2, 0.0, 1.0, 0, 0) + struct.pack("<I", 0)
    first = struct.pack("<I2d2I", 3, 0.0, 1.0, 0, 0) + struct.pack("<I", 0)
    offsets = np.frombuffer(content[end : end + 48], "<u4") + step
    head = content[:22] + struct.pack("<2I", end + step, 2)
    path.write_bytes(head + first + added + offsets.tobytes() + content[end + 48 :])
    refused(path, "4-D data .*like 4D-STEM")


@pytest.mark.parametrize(
    ("shape", "scales", "reason"),
    [
        ((40, 64, 50), [(1, "eV"), (0.02, "nm"), (0.02, "nm")], "not an image in real space but a map of"),
        ((8, 9, 40, 64), [(1, "nm"), (1, "nm"), (0.1, "1/nm"), (0.1, "1/nm")], "4-D data .*like 4D-STEM"),
        ((5, 40, 64), [(1, "s"), (0.1, "1/nm"), (0.1, "1/nm")], "diffraction pattern"),
    ],
)
def test_other_data_of_digitalmicrograph_are_refused(tmp_path, rng, write_dm, shape, scales, reason, refused):
    data = rng.poisson(100, shape).astype(np.float32)
    refused(write_dm(tmp_path / "a.dm4", data, scales), reason)


def test_colours_of_digitalmicrograph_are_refused(tmp_path, image, write_dm, monkeypatch, refused):
    path = write_dm(tmp_path / "a.dm3", image, [(1, ""), (1, "")])

    def fail(*_, **__):
        raise ValueError("Lazy loading of RGBA images is not supported. ")

    monkeypatch.setattr("rsciio.digitalmicrograph.file_reader", fail)
    refused(path, "is a colour image")


@pytest.mark.parametrize("name", ["SpectrumImage", "SpectrumStream", "EelsSpectrumImage"])
def test_maps_of_velox_are_refused(tmp_path, image, write_velox, name, refused):
    import h5py

    path = write_velox(tmp_path / "a.emd", [image[:, :, None]], (2e-11, 2e-11))
    with h5py.File(path, "a") as file:
        file.create_group(f"Data/{name}")
    refused(path, f"holds an EDS or EELS map .{name}.")


def test_spectra_of_tia_are_refused(tmp_path, image, write_ser, refused):
    path = write_ser(tmp_path / "a.ser", image, (2e-11, 2e-11))
    content = bytearray(path.read_bytes())
    content[6:8] = (0x4120).to_bytes(2, "little")
    path.write_bytes(content)
    refused(path, "holds 1 spectra")
