"""One simulated micrograph with its truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amorph2d.arrays import Float32Array, FloatArray


@dataclass(frozen=True, eq=False)
class SimulatedImage:
    """An image and what it shows.

    Attributes
    ----------
    index
        Number of the image in its set.
    image
        Detector signal, (rows, columns) [e⁻/px].
    sampling
        Size of the square pixels [Å/px].
    atoms, rings
        True atoms and ring centres inside the field, (N, 2) and (M, 2), x then y; the origin is the centre
        of pixel (0, 0) [Å].
    recipe
        Everything that made the image: its row of the recipes table.
    """

    index: int
    image: Float32Array
    sampling: float
    atoms: FloatArray
    rings: FloatArray
    recipe: dict[str, Any]
