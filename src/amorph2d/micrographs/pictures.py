"""Pictures (PNG, JPEG, BMP) and numpy arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from amorph2d.arrays import AnyArray
from amorph2d.micrographs.contents import Content, frame_of, map_array
from amorph2d.micrographs.errors import MicrographError

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    (3, 0): np.lib.format.read_array_header_2_0,  # the same, but for the letters of names
}


def open_picture(path: Path) -> list[Content]:
    """Open a PNG, JPEG or BMP picture.

    Pillow itself: RosettaSciIO takes a colour picture for a grey one where green equals blue, and fails on
    grey with alpha.
    """
    with _picture(path) as picture:
        frames = int(getattr(picture, "n_frames", 1))
        shape = (picture.height, picture.width)
    read = partial(picture_frame, path)
    return [Content((frames, *shape) if frames > 1 else shape, np.dtype(np.uint8), read)]


@contextmanager
def _picture(path: Path) -> Iterator[Any]:
    """Open a picture with Pillow, however many pixels it has: the reader has its own limit."""
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with Image.open(path) as picture:
            yield picture
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def picture_frame(path: Path, k: int) -> AnyArray:
    """Return the pixels of a picture, (rows, columns), or (rows, columns, channels) where it has colours."""
    with _picture(path) as picture:
        if k:
            picture.seek(k)
        if picture.mode in ("P", "PA"):
            return np.asarray(picture.convert("RGB"))
        array = np.asarray(picture)
        return array[..., 0] if picture.mode in ("LA", "La") else array


def open_npy(path: Path) -> list[Content]:
    """Open a numpy array; it is mapped, and pickled objects are refused."""
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise MicrographError(
                f"has version {version[0]}.{version[1]} of the numpy format, which is not known"
            )
        shape, is_fortran, dtype = _HEADERS[version](file)
        offset = file.tell()
    if dtype.hasobject:
        raise MicrographError(
            f"holds pickled Python objects ({dtype}), which are never loaded; save an array of numbers"
        )
    if is_fortran:
        array = map_array(path, dtype, tuple(reversed(shape)), offset).transpose()
    else:
        array = map_array(path, dtype, shape, offset)
    colour = len(shape) == 3 and shape[-1] in (3, 4)
    return [
        Content(shape, dtype, (lambda _: array) if colour else partial(frame_of, array), is_colour=colour)
    ]
