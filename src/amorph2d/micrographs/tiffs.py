"""TIFF files: images and stacks, and which of their resolutions are a calibration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amorph2d.arrays import AnyArray
from amorph2d.micrographs.axes import NO_CALIBRATION, PLAUSIBLE_SAMPLING, Axis, axes_sampling
from amorph2d.micrographs.contents import Content, Held, frame_of, map_array
from amorph2d.micrographs.errors import MicrographError
from amorph2d.micrographs.pictures import picture_frame
from amorph2d.micrographs.signals import describe, long_axes


def open_tiff(path: Path) -> list[Content]:
    """Open a TIFF file: one content for each of its series; single pages of one size are a series."""
    from tifffile import TiffFile

    tiff = TiffFile(path)
    held = Held(tiff.close)
    try:
        contents = [_content(path, tiff, index, held) for index in range(len(tiff.series))]
    except BaseException:
        held.close()
        raise
    alike = {(content.shape, content.dtype, content.is_colour) for content in contents}
    if len(contents) > 1 and len(alike) == 1 and len(contents[0].squeezed) == 2:
        return [_stacked(contents)]
    return contents


def _stacked(contents: list[Content]) -> Content:
    """Join images of one size to a series."""
    first = contents[0]
    return Content(
        shape=(len(contents), *first.squeezed),
        dtype=first.dtype,
        frame=lambda k: contents[k].frame(0),
        axes=(Axis(name="page"), *first.axes) if first.axes else (),
        title=first.title,
        metadata=first.metadata,
    )


def _content(path: Path, tiff: Any, index: int, held: Held) -> Content:
    """Describe one series of a TIFF file."""
    series = tiff.series[index]
    tags = {tag.name: tag.value for tag in series.keyframe.tags}
    is_colour = "S" in series.axes
    shape = tuple(int(n) for n in series.shape)
    if min(shape, default=0) < 1:
        raise MicrographError(f"holds no image: its shape is {shape}")
    axes, metadata = _described(path, tiff, index, tags, is_colour)
    return Content(
        shape=shape,
        dtype=np.dtype(series.dtype),
        frame=_reader(path, tiff, index, held),
        axes=axes,
        title=str(series.name),
        is_colour=is_colour,
        metadata=metadata,
    )


def _reader(path: Path, tiff: Any, index: int, held: Held) -> Callable[[int], AnyArray]:
    """Return what reads the images of a series: from a map where they are stored as they are."""
    series = tiff.series[index]
    if series.dataoffset is not None and "S" not in series.axes:
        dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
        mapped = map_array(path, dtype, tuple(series.shape), int(series.dataoffset))
        return partial(frame_of, mapped)
    return partial(_read_page, path, tiff, index, held)


def _read_page(path: Path, tiff: Any, index: int, held: Held, k: int) -> AnyArray:  # noqa: ARG001
    """Read one image of a series."""
    series = tiff.series[index]
    is_stack = "S" not in series.axes and len([n for n in series.shape if n != 1]) == 3
    try:
        array: AnyArray = tiff.asarray(series=index, key=k) if is_stack else series.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        # tifffile cannot unpack LZW and a few others by itself; Pillow can.
        return picture_frame(path, k if is_stack else index)
    return array.squeeze()


def _described(
    path: Path, tiff: Any, index: int, tags: Mapping[str, Any], is_colour: bool
) -> tuple[tuple[Axis, ...], dict[str, Any]]:
    """Return the axes of a series, and what its file says of the image."""
    from rsciio.tiff._api import _read_tiff

    series = tiff.series[index]
    if is_colour:  # some of which RosettaSciIO does not read
        return _tag_axes(tags), {}
    # Not by its file_reader, which reads all pixels or keeps the file open.
    signal = _read_tiff(tiff, series, str(path), lazy=True)
    axes = long_axes(signal, tuple(series.shape))
    if len(axes) < 2 or axes_sampling((axes[-2], axes[-1]))[0] is None:
        image = _tag_axes(tags, (axes[-2], axes[-1]) if len(axes) > 1 else NO_CALIBRATION)
        axes = (*axes[:-2], *_ome_axes(tiff, image))
    if len(axes) == 3:
        axes = (_frame_axis(tiff, axes[0]), *axes[1:])
    return axes, describe(signal)


def _frame_axis(tiff: Any, otherwise: Axis) -> Axis:
    """Read the interval of the frames of a stack of ImageJ or OME."""
    known = tiff.imagej_metadata or {}
    interval = known.get("finterval") or (1 / known["fps"] if known.get("fps") else None)
    if interval:
        return Axis(float(interval), str(known.get("tunit", "s")), "time")
    step = _ome_value(tiff, "TimeIncrement")
    if step is not None:
        return Axis(float(step), _ome_value(tiff, "TimeIncrementUnit") or "s", "time")
    return otherwise


def _ome_value(tiff: Any, name: str) -> str | None:
    """Return an attribute of the pixels of an OME-TIFF."""
    found = re.search(rf'\b{name}="([^"]*)"', tiff.ome_metadata or "")
    return None if found is None else found[1]


def _ome_axes(tiff: Any, otherwise: tuple[Axis, Axis]) -> tuple[Axis, Axis]:
    """Read the pixel size of an OME-TIFF; its unit is µm where none is given."""
    sizes = [_ome_value(tiff, f"PhysicalSize{name}") for name in "YX"]
    try:
        y, x = (
            Axis(float(size or ""), _ome_value(tiff, f"PhysicalSize{name}Unit") or "µm")
            for size, name in zip(sizes, "YX", strict=True)
        )
    except ValueError:
        return otherwise
    return y, x


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
