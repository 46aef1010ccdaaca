"""Images and arrays as text that a page can carry."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from amorph2d.arrays import as_image
from amorph2d.plotting.grey import stretch

_TYPES = {"f4": "<f4", "u1": "u1", "u2": "<u2", "u4": "<u4"}


def encode_array(values: ArrayLike, kind: str) -> dict[str, str]:
    """Encode numbers for the viewer.

    Parameters
    ----------
    values
        Numbers, any shape; flattened in C order.
    kind
        ``f4``, ``u1``, ``u2`` or ``u4``: what the bytes are, little-endian.

    Returns
    -------
    dict
        ``type`` and the bytes in base64 as ``data``.
    """
    array = np.ascontiguousarray(values, dtype=_TYPES[kind])
    return {"type": kind, "data": base64.b64encode(array.tobytes()).decode("ascii")}


def encode_indices(values: ArrayLike) -> dict[str, str]:
    """Encode numbers ≥ 0 in the smallest unsigned type that holds them.

    Raises
    ------
    ValueError
        If a number is negative or does not fit into 32 bits.
    """
    array = np.asarray(values)
    largest = int(array.max()) if array.size else 0
    if array.size and (array.min() < 0 or largest > 0xFFFFFFFF):
        raise ValueError(f"indices must lie within 0 … 4294967295, got {array.min()} to {largest}")
    return encode_array(array, "u1" if largest <= 0xFF else "u2" if largest <= 0xFFFF else "u4")


def image_uri(image: ArrayLike, *, shape: tuple[int, int]) -> str:
    """Encode a micrograph as a JPEG data URI.

    Parameters
    ----------
    image
        Micrograph, (rows, columns).
    shape
        Rows and columns of the JPEG, which shows the whole field; a larger image is averaged down.

    Returns
    -------
    str
        The data URI.
    """
    from PIL import Image

    values = as_image(image)
    if shape != values.shape:
        small = Image.fromarray(values).resize(shape[::-1], Image.Resampling.BOX)
        values = np.asarray(small, dtype=np.float32)
    # Many pixels are mostly shot noise: at 70 they take a third less, and no atom looks different.
    quality = 85 if values.size <= 4_000_000 else 70
    buffer = io.BytesIO()
    Image.fromarray(stretch(values)).save(buffer, "JPEG", quality=quality)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f"data:image/jpeg;base64,{text}"


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
