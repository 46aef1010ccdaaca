"""What a file holds: arrays that are not read yet, of which one image at a time can be read."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from amorph2d.arrays import AnyArray, FloatArray
from amorph2d.micrographs.axes import NO_CALIBRATION, Axis
from amorph2d.micrographs.errors import MicrographError


@dataclass(frozen=True, eq=False)
class Content:
    """One array of a file, not read yet.

    Attributes
    ----------
    shape, dtype
        Of the array as stored.
    frame
        Reads image k of a series, or the only image for k = 0. It may be a read-only memory map; colours are
        its last axis.
    axes
        Of the array, without those of length 1; empty where the file says nothing of them.
    title
        Name of the array in its file.
    is_colour
        Whether its pixels have colours.
    signal
        What the file says the array is (``EELS``, ``EDS_TEM``, ``diffraction`` …), empty for an image.
    n_signal
        How many of its axes belong to one signal: 1 for spectra, 2 for images.
    times
        When the frames were taken [s], where the file gives a time for each.
    metadata
        What the file says of the image: `energy` [eV], `exposure` [s], `magnification`, `date`.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    frame: Callable[[int], AnyArray]
    axes: tuple[Axis, ...] = ()
    title: str = ""
    is_colour: bool = False
    signal: str = ""
    n_signal: int = 2
    times: FloatArray | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def squeezed(self) -> tuple[int, ...]:
        """The shape without axes of length 1."""
        return tuple(n for n in self.shape if n != 1)

    @property
    def image_axes(self) -> tuple[Axis, Axis]:
        """The axes of the rows and columns."""
        long = self.axes[-2:] if len(self.axes) == len(self.squeezed) else ()
        return (long[0], long[1]) if len(long) == 2 else NO_CALIBRATION

    @property
    def frame_axis(self) -> Axis | None:
        """The axis of the frames of a series, where the file says something of it."""
        return self.axes[0] if len(self.axes) == len(self.squeezed) == 3 else None


class Held:
    """Something that is kept open until this object is collected, or the program ends."""

    def __init__(self, close: Callable[[], object]) -> None:
        self._close = weakref.finalize(self, close)

    def close(self) -> None:
        """Close it now."""
        self._close()


def frame_of(array: Any, k: int, held: object = None) -> AnyArray:  # noqa: ARG001
    """Return image k of an array that is in memory, mapped, or read piece by piece (dask, HDF5).

    Parameters
    ----------
    array
        Image or series; axes of length 1 do not count.
    k
        Number of the image, 0 for a single one.
    held
        What must stay open while the array is used.
    """
    shape = tuple(n for n in array.shape if n != 1)
    part = array.reshape(shape)[k] if len(shape) == 3 else array.reshape(shape)
    # One thread: HDF5 takes no more, and the callers run in parallel themselves.
    return part.compute(scheduler="synchronous") if hasattr(part, "compute") else part


def map_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int) -> AnyArray:
    """Map an array that is stored as it is; nothing is read.

    Raises
    ------
    MicrographError
        If the array is empty or longer than the file.
    """
    needed = offset + int(np.prod(shape, dtype=object)) * dtype.itemsize
    if min(shape, default=1) < 1:
        raise MicrographError(f"holds no image: its shape is {shape}")
    size = path.stat().st_size
    if needed > size:
        raise MicrographError(
            f"is cut short: its header promises {sides(shape)} in {needed} bytes, and the file has {size}"
        )
    return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)


def sides(shape: tuple[int, ...]) -> str:
    """Put a shape into words."""
    return " × ".join(str(n) for n in shape) + " px"
