"""What RosettaSciIO reads: DigitalMicrograph, EMD, HyperSpy, MRC and TIA files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amorph2d.arrays import FloatArray
from amorph2d.micrographs.axes import Axis
from amorph2d.micrographs.contents import Content, Held, frame_of, map_array
from amorph2d.micrographs.errors import MicrographError

_TEM = "Acquisition_instrument.TEM"
_DM_TAGS = "ImageList.TagGroup0.ImageTags"
_ENERGY = (f"{_TEM}.beam_energy",)
_MAGNIFICATION = (f"{_TEM}.magnification",)
# Where RosettaSciIO puts the exposure, and where files have it that it passes over.
_EXPOSURE = (f"{_TEM}.Camera.exposure", f"{_TEM}.Detector.Camera.exposure")
_EXPOSURE_TAGS = (
    f"{_DM_TAGS}.DataBar.Exposure Time (s)",
    f"{_DM_TAGS}.Acquisition.Parameters.High Level.Exposure (s)",
    "DetectorMetadata.ExposureTime",
)
_SPECTRA = ("SpectrumImage", "SpectrumStream", "EelsSpectrumImage")


# ---------------------------------------------------------------- metadata


def walk(tree: Any, dotted: str) -> Any:
    """Return the value at a dotted path of nested mappings, or None."""
    for key in dotted.split("."):
        if not isinstance(tree, Mapping):
            return None
        # RosettaSciIO writes some of its paths with underscores for the spaces of the file.
        tree = next((v for k, v in tree.items() if key in (k, str(k).replace(" ", "_"))), None)
    return tree


def _candidates(signal: Mapping[str, Any], targets: tuple[str, ...]) -> list[Any]:
    """Return the values that RosettaSciIO puts at a place of the metadata, now or by its mapping."""
    values = [walk(signal.get("metadata"), target) for target in targets]
    for source, (target, convert) in (signal.get("mapping") or {}).items():
        value = walk(signal.get("original_metadata"), source) if target in targets else None
        if value is not None and convert is not None:
            try:
                value = convert(value)
            except (TypeError, ValueError, KeyError, AttributeError):
                continue
        values.append(value)
    return values


def _number(values: list[Any], low: float, high: float) -> float | None:
    """Return the first value that is a number in a range."""
    for value in values:
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if low <= number <= high:
            return number
    return None


def describe(signal: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what a signal of RosettaSciIO says of its image: those of energy, exposure … that it has."""
    energy = _number(_candidates(signal, _ENERGY), 1.0, 3e3)
    tags = [walk(signal.get("original_metadata"), tag) for tag in _EXPOSURE_TAGS]
    day, hour = (
        next((v for v in _candidates(signal, (f"General.{name}",)) if v), None) for name in ("date", "time")
    )
    found = {
        "energy": None if energy is None else 1e3 * energy,
        "exposure": _number(_candidates(signal, _EXPOSURE) + tags, 1e-9, 1e6),
        "magnification": _number(_candidates(signal, _MAGNIFICATION), 1.0, 1e9),
        "date": f"{day}T{hour}" if day and hour else day,
    }
    return {name: value for name, value in found.items() if value is not None}


def _axis(described: Mapping[str, Any]) -> Axis:
    """Convert an axis of RosettaSciIO; one that is not uniform has no scale."""
    unit = described.get("units")
    named = str(described.get("name") or "")
    return Axis(float(described.get("scale", 1.0)), None if unit is None else str(unit), named)


def long_axes(signal: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """Return the axes of a signal that are longer than one pixel."""
    return tuple(_axis(axis) for axis, n in zip(signal["axes"], shape, strict=False) if n != 1)


# ---------------------------------------------------------------- signals


def _content(signal: Mapping[str, Any], data: Any = None, held: Held | None = None) -> Content:
    """Describe one signal of RosettaSciIO, whose array may be replaced."""
    array = signal["data"] if data is None else data
    shape = tuple(int(n) for n in array.shape)
    is_signal = [
        not axis.get("navigate", False) for axis, n in zip(signal["axes"], shape, strict=False) if n != 1
    ]
    return Content(
        shape=shape,
        dtype=array.dtype,
        frame=partial(frame_of, array, held=held),
        axes=long_axes(signal, shape),
        title=str(walk(signal.get("metadata"), "General.title") or ""),
        is_colour=bool(array.dtype.names),
        signal=str(walk(signal.get("metadata"), "Signal.signal_type") or ""),
        n_signal=sum(is_signal),
        metadata=describe(signal),
    )


def open_dm(path: Path) -> list[Content]:
    """Open a DigitalMicrograph file; its arrays are mapped."""
    from rsciio.digitalmicrograph import file_reader

    try:
        signals = file_reader(str(path), lazy=True)
    except ValueError as error:
        if "RGBA" in str(error):
            raise MicrographError("is a colour image; convert it to grey") from error
        raise
    return [_content(signal, _mapped_dm(path, signal)) for signal in signals]


def _mapped_dm(path: Path, signal: Mapping[str, Any]) -> Any:
    """Map the array of a DigitalMicrograph signal, or leave it as it is where it is packed."""
    data = signal["data"]
    offset = walk(signal["original_metadata"], "ImageList.TagGroup0.ImageData.Data.offset")
    if offset is None or data.dtype.kind not in "biuf":
        return data
    return map_array(path, data.dtype, data.shape, int(offset))


def open_hspy(path: Path) -> list[Content]:
    """Open a HyperSpy file; it is closed when the last of its contents goes."""
    import h5py
    from rsciio.hspy._api import HyperspyReader

    # Not by its file_reader, which keeps a file that is read piece by piece open for good.
    file = h5py.File(path, "r")
    held = Held(file.close)
    try:
        return [_content(signal, held=held) for signal in HyperspyReader(file).read(lazy=True)]
    except BaseException:
        held.close()
        raise


def open_zspy(path: Path) -> list[Content]:
    """Open a HyperSpy folder or archive of the zarr format."""
    import zarr
    from rsciio.zspy._api import ZspyReader

    if path.is_dir():
        return [_content(signal) for signal in ZspyReader(zarr.open(path, mode="r")).read(lazy=True)]
    store = zarr.storage.ZipStore(path, mode="r")
    held = Held(store.close)
    try:
        signals = ZspyReader(zarr.open(store, mode="r")).read(lazy=True)
        return [_content(signal, held=held) for signal in signals]
    except BaseException:
        held.close()
        raise


def open_emd(path: Path) -> list[Content]:
    """Open an EMD file of Velox or of the NCEM."""
    import h5py
    from rsciio.emd import file_reader

    with h5py.File(path, "r") as file:
        group = file.get("Data")
        spectra = [name for name in _SPECTRA if isinstance(group, h5py.Group) and name in group]
    if spectra:
        raise MicrographError(
            f"holds an EDS or EELS map ({', '.join(spectra)}); export its image to a file of its own"
        )
    return [_content(signal) for signal in file_reader(str(path), lazy=True)]


# ---------------------------------------------------------------- MRC


def open_mrc(path: Path) -> list[Content]:
    """Open an MRC file: byte order from its machine stamp, pixel size from its cell."""
    from rsciio.mrc import file_reader
    from rsciio.mrc._api import get_data_type

    with path.open("rb") as file:
        header = file.read(1024)
    if len(header) < 1024:
        raise MicrographError(f"is cut short: {len(header)} bytes, and the header alone takes 1024")
    endian = ">" if header[212:214] == b"\x11\x11" else "<"
    numbers = np.frombuffer(header[:16], f"{endian}i4")
    extended = int(np.frombuffer(header[92:96], f"{endian}i4")[0])
    if min(*numbers[:3], extended + 1) < 1 or max(numbers[:3]) > 2**24:
        raise MicrographError(f"is no MRC file: its header gives the size {tuple(map(int, numbers[:3]))}")
    dtype = get_data_type(numbers[3:]).newbyteorder(endian)
    shape = (int(numbers[2]), int(numbers[1]), int(numbers[0]))
    mapped = map_array(path, dtype, shape, 1024 + extended)
    signal = file_reader(str(path), lazy=True, endianness=endian)[0]
    is_movie = "de_metadata" in signal["original_metadata"] and len(signal["axes"]) == 3
    axes = (_axis(signal["axes"][0]) if is_movie else Axis(name="z"), *_mrc_axes(signal))
    return [
        Content(
            shape,
            dtype,
            partial(frame_of, mapped),
            axes=tuple(axis for axis, n in zip(axes, shape, strict=True) if n > 1),
            metadata=describe(signal),
        )
    ]


def _mrc_axes(signal: Mapping[str, Any]) -> tuple[Axis, Axis]:
    """Read the pixel sizes of an MRC header; no cell, or IMOD's default of exactly 1 Å, means none.

    RosettaSciIO reads a missing cell as 1 nm per pixel.
    """
    if "fei_header" in signal["original_metadata"] or "de_metadata" in signal["original_metadata"]:
        y, x = (_axis(axis) for axis in signal["axes"][-2:])
        return y, x
    header = signal["original_metadata"]["std_header"]
    axes = []
    for cell, grid in (("Ylen", "MY"), ("Xlen", "MX")):
        size = float(header[cell]) / float(header[grid]) if header[grid] > 0 else 0.0
        axes.append(Axis() if size in (0.0, 1.0) else Axis(size, "Å"))
    return axes[0], axes[1]


# ---------------------------------------------------------------- TIA


def open_ser(path: Path) -> list[Content]:
    """Open a TIA series image by image; RosettaSciIO would load it whole.

    References
    ----------
    C. Boothroyd, "TIA (Emispec) file format" (2016), for the layout of ``.ser`` files.
    """
    from rsciio.tia._api import get_data_dtype_list, get_header_dtype_list

    with path.open("rb") as file:
        header = np.fromfile(file, dtype=np.dtype(get_header_dtype_list(file)), count=1)[0]
        n = int(header["ValidNumberElements"])
        if n < 1:
            raise MicrographError("holds no image: the number of its valid elements is 0")
        if header["DataTypeID"] == 0x4120:
            raise MicrographError(f"holds {n} spectra, and no images")
        wide = "<u8" if header["SeriesVersion"] > 528 else "<u4"
        file.seek(int(header["OffsetArrayOffset"]))
        offsets = np.fromfile(file, wide, int(header["TotalNumberElements"]))[:n]
        tags = np.fromfile(file, wide, n)
        if len(offsets) < n:
            raise MicrographError(f"is cut short: {n} images are promised, and it lists {len(offsets)}")
        fields, (columns, rows) = get_data_dtype_list(file, int(offsets[0]), "image")
        file.seek(int(offsets[0]))
        head = np.fromfile(file, np.dtype(fields[:-1]), 1)[0]
        times = _ser_times(file, tags) if len(tags) == n > 1 else None
    dtype = np.dtype(fields[-1][1][0])
    start = np.dtype(fields[:-1]).itemsize
    for offset in (offsets.min(), offsets.max()):
        map_array(path, dtype, (int(rows), int(columns)), int(offset) + start)
    described, unit = _beside_ser(path)
    scan = tuple(int(header[f"Dim-{k + 1}_DimensionSize"]) for k in range(int(header["NumberDimensions"])))
    scan = tuple(size for size in scan if size > 1) if len(scan) > 1 and math.prod(scan) == n else (n,)
    axes = [Axis(float(head[f"CalibrationDelta{name}"]), unit, name.lower()) for name in "YX"]

    def read(k: int) -> Any:
        mapped = map_array(path, dtype, (int(rows), int(columns)), int(offsets[k]) + start)
        return mapped[::-1]  # stored from the bottom upwards

    shape = (*scan, int(rows), int(columns))
    long = [Axis(name="frames")] * (len(scan) if n > 1 else 0) + axes
    return [Content(shape, dtype, read, axes=tuple(long), times=times, metadata=described)]


def _ser_times(file: Any, tags: FloatArray) -> FloatArray | None:
    """Read the times of the images of a TIA series, in whole seconds; None where they do not rise."""
    seconds = []
    for tag in tags:
        file.seek(int(tag) + 4)
        seconds.append(np.fromfile(file, "<u4", 1))
    times = np.concatenate(seconds).astype(np.float64)
    return times - times[0] if len(times) == len(tags) and (np.diff(times) > 0).all() else None


def _beside_ser(path: Path) -> tuple[dict[str, Any], str]:
    """Read what the ``.emi`` beside a ``.ser`` says of its images, and the unit of their axes."""
    from rsciio.tia._api import convert_xml_to_dict, get_xml_info_from_emi, mapping

    stem, _, number = path.stem.rpartition("_")
    emi = path.with_name(f"{stem}.emi")
    if not (number.isdigit() and emi.is_file()):
        return {}, "m"
    try:
        tree = convert_xml_to_dict(get_xml_info_from_emi(str(emi))[int(number) - 1]).to_dict()
    except Exception:  # the images themselves are whole
        return {}, "m"
    mode = str(walk(tree, "ObjectInfo.ExperimentalDescription.Mode") or "")
    signal = {"original_metadata": tree, "mapping": mapping}
    return describe(signal), "1/m" if "Diffraction" in mode else "m"
