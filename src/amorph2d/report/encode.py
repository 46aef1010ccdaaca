"""Numbers and pictures as text that a page can carry."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import AnyArray

_EFFORT = 6  # of the compression: 9 takes three times as long for one per cent


def pack(columns: Mapping[str, ArrayLike], header: Mapping[str, Any]) -> str:
    """Pack columns of numbers into one compressed text.

    The bytes of a column stand plane by plane, all lowest bytes first: neighbouring numbers share their high
    bytes, which then take next to nothing.

    Parameters
    ----------
    columns
        Unsigned integers of 8, 16 or 32 bits, any length, by name.
    header
        What else the reader has to know, JSON.

    Returns
    -------
    str
        Base64 of a raw deflate stream: length of the JSON header (4 bytes, little-endian), the header with
        ``columns``, a list of name, bytes per number and length, then the columns.

    Raises
    ------
    ValueError
        If a column has another type.
    """
    arrays = {name: np.ascontiguousarray(values).ravel() for name, values in columns.items()}
    for name, array in arrays.items():
        if array.dtype not in (np.uint8, np.uint16, np.uint32):
            raise ValueError(f"columns must be uint8, uint16 or uint32, got {array.dtype} in {name}")
    layout = [[name, array.itemsize, len(array)] for name, array in arrays.items()]
    head = json.dumps({**header, "columns": layout}, allow_nan=False).encode()
    planes = [
        array.astype(array.dtype.newbyteorder("<")).view(np.uint8).reshape(-1, array.itemsize).T.tobytes()
        for array in arrays.values()
    ]
    squeeze = zlib.compressobj(_EFFORT, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = squeeze.compress(b"".join([struct.pack("<I", len(head)), head, *planes])) + squeeze.flush()
    return base64.b64encode(data).decode("ascii")


def unpack(text: str) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Return columns and header of what `pack` made; the page does the same in its script."""
    data = zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS)
    (length,) = struct.unpack_from("<I", data)
    header = json.loads(data[4 : 4 + length])
    columns, start = {}, 4 + length
    for name, size, n in header.pop("columns"):
        planes = np.frombuffer(data, np.uint8, n * size, start).reshape(size, n)
        columns[name] = np.ascontiguousarray(planes.T).view(f"<u{size}").ravel()
        start += n * size
    return columns, header


def quantise(values: ArrayLike, low: float, high: float) -> NDArray[np.uint16]:
    """Map `low` … `high` to 0 … 65534, what lies beyond to the ends, and what is not finite to 65535."""
    numbers = np.asarray(values, dtype=np.float64)
    scale = 65534 / (high - low) if high > low else 0.0
    is_known = np.isfinite(numbers)
    steps = np.rint((np.where(is_known, numbers, low) - low) * scale).clip(0, 65534)
    return np.where(is_known, steps, 65535).astype(np.uint16)


def differences(values: ArrayLike) -> NDArray[np.uint16]:
    """Return the differences of 16-bit numbers from the one before, modulo 65536; they compress better."""
    numbers = np.asarray(values, dtype=np.int64)
    return (np.diff(numbers, prepend=0) % 65536).astype(np.uint16)


def data_uri(data: bytes, media_type: str) -> str:
    """Return bytes as a data URI."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"


def script_json(value: Any) -> Markup:
    """Return JSON that is safe inside a ``script`` element: no character in it can end the element.

    Raises
    ------
    ValueError
        If a number is NaN or infinite, which JSON does not know.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
