"""The colours of every figure, chosen once.

Ring sizes diverge from the hexagon: smaller rings turn blue, larger ones orange to red, and lightness falls
with the distance from six. So the sizes stay apart with every common colour-vision deficiency, either side
stays in order in a grey print, and the hexagon, the most frequent ring, stays pale. The tests measure this.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import IntArray

SMALLEST_RING, LARGEST_RING = 3, 9
"""Ring sizes outside this range share the colour of the nearest size in it; 9 stands for 9 and more."""

RING_COLOURS = MappingProxyType(
    {3: "#2b1b5e", 4: "#2a5fa8", 5: "#63b0e3", 6: "#ece8dd", 7: "#f2b134", 8: "#d8622b", 9: "#7d1419"}
)

INK = "#1c2530"
MUTED = "#5d6875"
RULE = "#d9dee4"
ACCENT = "#1f5f80"
FILL = "#8fb4c7"
REFERENCE = "#b04a2f"
ATOM = "#0d1b2a"
CENTRE = "#b5179e"

SERIES = ("#1f5f80", "#d8622b", "#5a7d2a", "#7b4fa3", "#a8871c", "#3a9188")
"""Colours of unordered series, at most six in one plot."""


def ring_classes(sizes: ArrayLike) -> IntArray:
    """Return the colour class of each ring size, 3 … 9, in the shape of `sizes`."""
    return np.clip(np.asarray(sizes, dtype=np.int64), SMALLEST_RING, LARGEST_RING)


def ring_label(ring_class: int) -> str:
    """Return how a colour class is written: ``5`` or, for the last one, ``9+``."""
    return f"{ring_class}+" if ring_class >= LARGEST_RING else str(ring_class)


def ring_colour(size: int) -> str:
    """Return the colour of a ring of `size` atoms as ``#rrggbb``."""
    return RING_COLOURS[int(ring_classes(size))]
