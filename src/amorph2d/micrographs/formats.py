"""What each kind of microscope file holds, found without loading more than is asked for."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amorph2d.arrays import AnyArray
from amorph2d.micrographs.axes import NO_CALIBRATION, PLAUSIBLE_SAMPLING, Axis, axes_sampling
from amorph2d.micrographs.errors import MicrographError

HDF5 = b"\x89HDF\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ENERGY_TARGET = "Acquisition_instrument.TEM.beam_energy"


@dataclass(frozen=True)
class Pixels:
    """The pixels of one array of a file and what the file says of them."""

    data: AnyArray
    axes: tuple[Axis, Axis] = NO_CALIBRATION
    energy: float | None = None  # eV


@dataclass(frozen=True)
class Content:
    """One array of a file, not read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Pixels]
    title: str = ""
    is_colour: bool = False

    @property
    def squeezed(self) -> tuple[int, ...]:
        """The shape without axes of length 1."""
        return tuple(n for n in self.shape if n != 1)


@dataclass(frozen=True)
class Kind:
    """A kind of file: its name, how its files begin (empty: they need not), and its reader."""

    name: str
    heads: tuple[bytes, ...]
    open: Callable[[Path], list[Content]]


# ---------------------------------------------------------------- metadata


def _walk(tree: Any, dotted: str) -> Any:
    """Return the value at a dotted path of nested mappings, or None."""
    for key in dotted.split("."):
        if not isinstance(tree, Mapping) or key not in tree:
            return None
        tree = tree[key]
    return tree


def _energy(signal: Mapping[str, Any]) -> float | None:
    """Beam energy [eV] from the metadata of a RosettaSciIO signal, or None."""
    values = [_walk(signal.get("metadata"), _ENERGY_TARGET)]
    for source, (target, convert) in (signal.get("mapping") or {}).items():
        if target == _ENERGY_TARGET:
            value = _walk(signal.get("original_metadata"), source)
            values.append(convert(value) if convert is not None and value is not None else value)
    for value in values:
        try:
            energy = 1e3 * float(value)
        except (TypeError, ValueError):
            continue
        if 1e3 <= energy <= 3e6:
            return energy
    return None


def _axis(described: Mapping[str, Any]) -> Axis:
    """Convert an axis of RosettaSciIO; one that is not uniform has no scale."""
    unit = described.get("units")
    return Axis(float(described.get("scale", 1.0)), None if unit is None else str(unit))


def _image_axes(signal: Mapping[str, Any]) -> tuple[Axis, Axis]:
    """Return the two axes of a signal that are longer than one pixel."""
    shape = signal["data"].shape
    long = [_axis(axis) for axis, n in zip(signal["axes"], shape, strict=False) if n != 1]
    return (long[0], long[1]) if len(long) == 2 else NO_CALIBRATION


# ---------------------------------------------------------------- RosettaSciIO


def _compute(signal: Mapping[str, Any], axes: tuple[Axis, Axis]) -> Pixels:
    """Load the array of a signal."""
    data = signal["data"]
    # One thread: HDF5 takes no more, and the callers run in parallel themselves.
    array = data.compute(scheduler="synchronous") if hasattr(data, "compute") else data
    return Pixels(np.array(array, subok=False), axes, _energy(signal))


def _content(signal: Mapping[str, Any], axes: tuple[Axis, Axis] | None = None) -> Content:
    """Describe one signal of RosettaSciIO."""
    data = signal["data"]
    return Content(
        shape=tuple(int(n) for n in data.shape),
        dtype=data.dtype,
        read=partial(_compute, signal, _image_axes(signal) if axes is None else axes),
        title=str(_walk(signal.get("metadata"), "General.title") or ""),
        is_colour=bool(data.dtype.names),
    )


def _open_rsciio(path: Path, *, reader: str, lazy: bool) -> list[Content]:
    """Open a file with one reader of RosettaSciIO."""
    module = importlib.import_module(f"rsciio.{reader}")
    return [_content(signal) for signal in module.file_reader(str(path), lazy=lazy)]


def _open_mrc(path: Path) -> list[Content]:
    """Open an MRC file: byte order from its machine stamp, pixel size from its cell."""
    from rsciio.mrc import file_reader

    with path.open("rb") as file:
        header = file.read(1024)
    if len(header) < 1024:
        raise MicrographError(f"is cut short: {len(header)} bytes, and the header alone takes 1024")
    endian = ">" if header[212:214] == b"\x11\x11" else "<"
    signal = file_reader(str(path), lazy=True, endianness=endian)[0]
    if endian == ">":  # RosettaSciIO swaps the header alone
        signal["data"] = signal["data"].map_blocks(_swapped, dtype=signal["data"].dtype)
    return [_content(signal, _mrc_axes(signal))]


def _swapped(block: AnyArray) -> AnyArray:
    """Swap the bytes of each pixel."""
    return np.array(block).byteswap()


def _mrc_axes(signal: Mapping[str, Any]) -> tuple[Axis, Axis]:
    """Read the pixel sizes of an MRC header; no cell, or IMOD's default of exactly 1 Å, means none.

    RosettaSciIO reads a missing cell as 1 nm per pixel.
    """
    if "fei_header" in signal["original_metadata"]:
        return _image_axes(signal)
    header = signal["original_metadata"]["std_header"]
    axes = []
    for cell, grid in (("Ylen", "MY"), ("Xlen", "MX")):
        size = float(header[cell]) / float(header[grid]) if header[grid] > 0 else 0.0
        axes.append(Axis() if size in (0.0, 1.0) else Axis(size, "Å"))
    return axes[0], axes[1]


# ---------------------------------------------------------------- TIFF


def _open_tiff(path: Path) -> list[Content]:
    """Open a TIFF file: one content for each of its series."""
    from tifffile import TiffFile

    with TiffFile(path) as tiff:
        return [
            Content(
                shape=tuple(series.shape),
                dtype=np.dtype(series.dtype),
                read=partial(_read_tiff, path, index),
                title=series.name,
                is_colour="S" in series.axes,
            )
            for index, series in enumerate(tiff.series)
        ]


def _read_tiff(path: Path, index: int) -> Pixels:
    """Read one series of a TIFF file with its calibration."""
    from rsciio.tiff import file_reader
    from tifffile import TiffFile

    with TiffFile(path) as tiff:
        series = tiff.series[index]
        tags = {tag.name: tag.value for tag in series.keyframe.tags}
        try:
            data = series.asarray()
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            # tifffile cannot unpack LZW and a few others by itself; Pillow can.
            return Pixels(_pillow_array(path), _tag_axes(tags))
    if "S" in series.axes:  # colours, some of which RosettaSciIO does not read
        return Pixels(data, _tag_axes(tags))
    signal = file_reader(str(path))[index]
    axes = _image_axes(signal)
    return Pixels(data, axes if axes_sampling(axes)[0] else _tag_axes(tags, axes), _energy(signal))


def _tag_axes(tags: Mapping[str, Any], otherwise: tuple[Axis, Axis] = NO_CALIBRATION) -> tuple[Axis, Axis]:
    """Make axes of the resolution tags of a TIFF file, in ImageJ's unit or in the tags' own.

    RosettaSciIO knows of ImageJ's units only the micron. The tags' own unit (inch or cm) mostly gives a print
    resolution, so it is taken only where it is one of a microscope.
    """
    from tifffile import RESUNIT

    try:
        y, x = (tags[name][1] / tags[name][0] for name in ("YResolution", "XResolution"))
    except (KeyError, TypeError, ZeroDivisionError, IndexError):
        return otherwise
    description = str(tags.get("ImageDescription", ""))
    unit = re.search(r"^unit=(.*)$", description, re.MULTILINE) if description.startswith("ImageJ") else None
    if unit is not None:
        name = re.sub(r"\\u([0-9a-fA-F]{4})", _character, unit[1].strip())
        return (
            (Axis(y, name), Axis(x, name)) if name != "inch" else (Axis(2.54 * y, "cm"), Axis(2.54 * x, "cm"))
        )
    per_cm = {RESUNIT.INCH: 2.54, RESUNIT.CENTIMETER: 1.0}.get(tags.get("ResolutionUnit"))  # type: ignore[arg-type]
    if per_cm is None:
        return otherwise
    low, high = PLAUSIBLE_SAMPLING
    if not all(low <= size * per_cm * 1e8 <= high for size in (y, x)):
        return otherwise
    return Axis(y * per_cm, "cm"), Axis(x * per_cm, "cm")


def _character(match: re.Match[str]) -> str:
    """Return the character that ImageJ wrote as an escape."""
    return chr(int(match[1], 16))


# ---------------------------------------------------------------- pictures and arrays


def _open_picture(path: Path) -> list[Content]:
    """Open a PNG, JPEG or BMP picture.

    Pillow itself: RosettaSciIO takes a colour picture for a grey one where green equals blue, and fails on
    grey with alpha.
    """
    from PIL import Image

    with Image.open(path) as picture:
        frames = int(getattr(picture, "n_frames", 1))
        shape = (picture.height, picture.width)
    read = partial(_read_picture, path)
    return [Content((frames, *shape) if frames > 1 else shape, np.dtype(np.float32), read)]


def _read_picture(path: Path) -> Pixels:
    """Read a picture; it has no calibration, whatever its print resolution."""
    return Pixels(_pillow_array(path))


def _pillow_array(path: Path) -> AnyArray:
    """Return the pixels of a picture, (rows, columns), or (rows, columns, channels) where it has colours."""
    from PIL import Image

    with Image.open(path) as picture:
        if picture.mode in ("P", "PA"):
            return np.asarray(picture.convert("RGB"))
        array = np.asarray(picture)
        return array[..., 0] if picture.mode in ("LA", "La") else array


def _open_npy(path: Path) -> list[Content]:
    """Open a numpy array; pickled objects are refused."""
    data = np.load(path, mmap_mode="r", allow_pickle=False)
    colour = data.ndim == 3 and data.shape[-1] in (3, 4)
    return [Content(data.shape, data.dtype, partial(_read_npy, path), is_colour=colour)]


def _read_npy(path: Path) -> Pixels:
    """Read a numpy array."""
    return Pixels(np.load(path, allow_pickle=False))


_DM = partial(_open_rsciio, reader="digitalmicrograph", lazy=True)
# A lazy .hspy keeps its file open for good, and the reader of .ser loads the whole file in any case.
_HSPY = partial(_open_rsciio, reader="hspy", lazy=False)
_SER = partial(_open_rsciio, reader="tia", lazy=False)
_EMD = partial(_open_rsciio, reader="emd", lazy=True)

KINDS: dict[str, Kind] = {
    ".dm3": Kind("DigitalMicrograph 3", (b"\0\0\0\3",), _DM),
    ".dm4": Kind("DigitalMicrograph 4", (b"\0\0\0\4",), _DM),
    ".emd": Kind("EMD", (HDF5,), _EMD),
    ".mrc": Kind("MRC", (), _open_mrc),
    ".ser": Kind("TIA series", (b"II\x97\1",), _SER),
    ".tif": Kind("TIFF", _TIFF, _open_tiff),
    ".tiff": Kind("TIFF", _TIFF, _open_tiff),
    ".hspy": Kind("HyperSpy", (HDF5,), _HSPY),
    ".png": Kind("PNG", (b"\x89PNG\r\n\x1a\n",), _open_picture),
    ".jpg": Kind("JPEG", (b"\xff\xd8\xff",), _open_picture),
    ".jpeg": Kind("JPEG", (b"\xff\xd8\xff",), _open_picture),
    ".bmp": Kind("BMP", (b"BM",), _open_picture),
    ".npy": Kind("numpy array", (b"\x93NUMPY",), _open_npy),
}
"""The kinds of files that can be read, by suffix in lower case."""


def kind_of(path: Path) -> Kind:
    """Return the kind of a file, from its suffix, and check that it begins as such files do.

    Raises
    ------
    MicrographError
        If the suffix is not known, the file is empty, or it begins like another kind.
    """
    kind = KINDS.get(path.suffix.lower())
    if kind is None:
        raise MicrographError(
            f"is of an unknown kind (suffix {path.suffix!r}); export it as one of {', '.join(sorted(KINDS))}"
        )
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise MicrographError("is empty (0 bytes)")
    if kind.heads and not head.startswith(kind.heads):
        like = sorted(
            {other.name for other in KINDS.values() if other.heads and head.startswith(other.heads)}
        )
        looks = f"it begins like a {' or '.join(like)} file" if like else f"it begins with {head!r}"
        raise MicrographError(f"is not a {kind.name} file, as its suffix {path.suffix!r} says: {looks}")
    return kind
