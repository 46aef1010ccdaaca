"""Numbers of atoms and rings that can be chosen as colours of the map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import FloatArray
from amorph2d.report.statistics import humanise

Scale = Literal["sequential", "diverging", "cyclic"]

SCALES: Mapping[Scale, tuple[str, ...]] = {
    "sequential": (
        "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55",
        "#fee838",
    ),
    "diverging": (
        "#2a5fa8", "#4a86c5", "#7fafdc", "#b3d0ea", "#dfe7ec", "#f0e6da", "#f3c996", "#eda458", "#d8622b",
        "#a83a1c",
    ),
    "cyclic": (
        "#e2d9e2", "#a9b8cf", "#6d90c0", "#5b5db0", "#4c2a83", "#2f1436", "#5d1a44", "#963c4d", "#bb7362",
        "#d0b5a8",
    ),
}  # fmt: skip
"""Colours from the lowest to the highest value; sequential as cividis, cyclic as twilight of matplotlib."""

_UNITS = {"area": "Å²", "orientation": "°"}
_LABELS = {"psi6": "order |ψ₆|", "area": "area", "orientation": "orientation", "bond_strain": "bond strain"}
_EXTREME = 1.0  # percentage at either end that shares the last colour


@dataclass(frozen=True, eq=False)
class Colouring:
    """One number per atom or ring, with the range in which it is stored and the one that is coloured.

    Attributes
    ----------
    name, label
        Its name, and how the page writes it, with its unit.
    values
        The numbers, (N,); NaN where undefined.
    stored, coloured
        Lowest and highest value: of the numbers, and of the colours.
    scale
        Which colours.
    """

    name: str
    label: str
    values: FloatArray
    stored: tuple[float, float]
    coloured: tuple[float, float]
    scale: Scale

    def describe(self) -> dict[str, Any]:
        """Return what the viewer needs besides the numbers."""
        return {
            "name": self.name,
            "label": self.label,
            "stored": self.stored,
            "coloured": self.coloured,
            "scale": self.scale,
        }


def choose_colouring(name: str, values: ArrayLike) -> Colouring:
    """Choose range and colours of numbers by their name and sign.

    Orientations are those of a hexagonal lattice, with a period of 60°; numbers of both signs diverge from
    zero.

    Parameters
    ----------
    name
        What the numbers are; ``orientation`` within makes them cyclic.
    values
        The numbers, any that are not finite being undefined.
    """
    numbers = np.asarray(values, dtype=np.float64)
    known = numbers[np.isfinite(numbers)]
    label = _LABELS.get(name, humanise(name))
    unit = next((unit for part, unit in _UNITS.items() if part in name), "")
    label = f"{label} [{unit}]" if unit else label
    if not known.size:
        return Colouring(name, label, numbers, (0.0, 1.0), (0.0, 1.0), "sequential")
    stored = float(known.min()), float(known.max())
    if "orientation" in name:
        low = 0.0 if stored[0] >= 0 else -30.0
        return Colouring(name, label, numbers, stored, (low, low + 60.0), "cyclic")
    low, high = (float(value) for value in np.percentile(known, (_EXTREME, 100 - _EXTREME)))
    if low < 0 < high:
        reach = max(-low, high)
        return Colouring(name, label, numbers, stored, (-reach, reach), "diverging")
    return Colouring(name, label, numbers, stored, (low, high if high > low else low + 1e-9), "sequential")
