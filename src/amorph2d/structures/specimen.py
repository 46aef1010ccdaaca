"""What the electrons pass: the analysed sheet and whatever lies on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from amorph2d.arrays import FloatArray, IntArray
from amorph2d.structures.network import RingedSheet

Kind = Literal["sheet", "layer", "debris", "adatoms"]


@dataclass(frozen=True, eq=False)
class Cloud:
    """Atoms in three dimensions that belong together.

    Attributes
    ----------
    kind
        ``sheet``: the analysed sheet itself; ``layer``: a second one; ``debris``: amorphous matter;
        ``adatoms``: single atoms and clusters.
    positions
        Atoms, (M, 3): x and y, periodic in the sheet's box, and z along the beam, 0 being the mean plane of
        the sheet [Å].
    numbers
        Atomic numbers, (M,).
    """

    kind: Kind
    positions: FloatArray
    numbers: IntArray

    def __post_init__(self) -> None:
        if self.positions.ndim != 2 or self.positions.shape[1] != 3:
            raise ValueError(f"positions must be (M, 3), got shape {self.positions.shape}")
        if self.numbers.shape != (len(self.positions),):
            raise ValueError(
                f"numbers must be ({len(self.positions)},), one for each atom, got {self.numbers.shape}"
            )


@dataclass(frozen=True, eq=False)
class Specimen:
    """A sheet with its scattering atoms and the matter on it.

    Attributes
    ----------
    sheet
        What is analysed: nodes, bonds and rings, and the periodic box.
    layer
        Every scattering atom of the sheet; for silica or a molecular network many more than it has nodes.
    overlays
        Second layers, debris and adatoms, in the same box.
    """

    sheet: RingedSheet
    layer: Cloud
    overlays: tuple[Cloud, ...] = ()

    @property
    def positions(self) -> FloatArray:
        """All scattering atoms, the sheet's first, (M, 3) [Å]."""
        return np.concatenate([cloud.positions for cloud in (self.layer, *self.overlays)])

    @property
    def numbers(self) -> IntArray:
        """Their atomic numbers, (M,)."""
        return np.concatenate([cloud.numbers for cloud in (self.layer, *self.overlays)])


def flat_specimen(sheet: RingedSheet, heights: FloatArray | float = 0.0) -> Specimen:
    """Return the specimen whose scattering atoms are the sheet's own, at `heights` (N,) [Å]."""
    z = np.broadcast_to(heights, len(sheet.positions))
    return Specimen(sheet, Cloud("sheet", np.column_stack([sheet.positions, z]), sheet.numbers))
