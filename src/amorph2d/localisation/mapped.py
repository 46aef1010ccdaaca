"""Large images: read from files window by window, packed, and rid of what one step needed before the next."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from amorph2d.arrays import AnyArray

_LEAST_SIZE = 2**26  # of a file that is let go of, in bytes; smaller ones may stay
_LARGE = 2**26  # pixels from which on memory is tight


class MappedImage:
    """An image in a file, of which windows are copied; what was read of the file does not stay in memory.

    Parameters
    ----------
    image
        Read-only memory map, (rows, columns), of any real type.
    """

    ndim = 2

    def __init__(self, image: np.memmap[Any, Any]) -> None:
        self._image = image
        self.shape: tuple[int, ...] = image.shape
        self.size: int = image.size
        self.dtype = image.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, window: slice | tuple[slice, slice]) -> AnyArray:
        """Return a copy of a window."""
        pixels = np.array(self._image[window], subok=False)
        _let_go(self._image)
        return pixels

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        """Return the whole image."""
        if copy is False:
            raise ValueError("an image in a file cannot be had without a copy")
        return np.array(self._image, dtype=dtype, subok=False)


class PackedPixels:
    """Pixels that are 0 or 1, eight to a byte, of which rows are unpacked when they are asked for.

    Parameters
    ----------
    shape
        Rows and columns.
    """

    ndim = 2

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._packed = np.zeros((shape[0], -(-shape[1] // 8)), dtype=np.uint8)

    def __getitem__(self, rows: slice) -> NDArray[np.uint8]:
        """Return a copy of whole rows."""
        return np.unpackbits(self._packed[rows], axis=1, count=self.shape[1])

    def __setitem__(self, rows: slice, pixels: AnyArray) -> None:
        """Set whole rows."""
        self._packed[rows] = np.packbits(pixels, axis=1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> AnyArray:
        """Return all pixels."""
        if copy is False:
            raise ValueError("packed pixels cannot be had without a copy")
        return self[:].astype(np.uint8 if dtype is None else dtype, copy=False)


def without_residue(image: AnyArray) -> Any:
    """Return the image, or one that lets go of what it reads if it is a large read-only memory map."""
    if not isinstance(image, np.memmap) or image.ndim != 2 or image.flags.writeable:
        return image
    return MappedImage(image) if image.nbytes >= _LEAST_SIZE else image


def tidy_up(image: AnyArray) -> None:
    """Give free memory back to the system if the image is large; the C library would keep it for later."""
    if image.size < _LARGE:
        return
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _let_go(image: np.memmap[Any, Any]) -> None:
    """Let the system take back the pages of a file, which it has on disk."""
    pages = getattr(image, "_mmap", None)
    advice = getattr(mmap, "MADV_DONTNEED", None)
    if pages is not None and advice is not None:
        pages.madvise(advice)
