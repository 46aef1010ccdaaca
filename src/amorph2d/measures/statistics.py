"""Statistics as functions of sums, so that all bootstrap samples are evaluated at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from amorph2d.arrays import FloatArray

Sums = Mapping[str, FloatArray | np.float64]

RING_SIZES = range(3, 10)  # the last stands for all larger rings, too
COORDINATIONS = (2, 3, 4)


@dataclass(frozen=True)
class Ratio:
    """One sum over another: a mean or a density."""

    total: str
    count: str

    def __call__(self, sums: Sums) -> FloatArray:
        """Evaluate for sums of one shape; NaN where nothing was counted."""
        return _divide(sums[self.total], sums[self.count])


@dataclass(frozen=True)
class Share(Ratio):
    """Items of one kind over all items; `items` is the sum that counts them, where they are weighted."""

    items: str | None = None


@dataclass(frozen=True)
class Spread:
    """Standard deviation."""

    total: str
    squares: str
    count: str

    def __call__(self, sums: Sums) -> FloatArray:
        """Evaluate for sums of one shape; NaN where nothing was counted."""
        mean = _divide(sums[self.total], sums[self.count])
        return np.sqrt(np.maximum(_divide(sums[self.squares], sums[self.count]) - mean**2, 0))


class Statistic(Protocol):
    """A function of sums; `count` names the sum that says in how many blocks there was anything."""

    @property
    def count(self) -> str:
        """Name of a sum."""

    def __call__(self, sums: Sums) -> FloatArray:
        """Evaluate for sums of one shape; NaN where nothing was counted."""


def ring_class(size: int) -> str:
    """Name of the class of a ring size, e.g. "6" or "9_or_more"."""
    return f"{size}_or_more" if size == RING_SIZES[-1] else str(size)


STATISTICS: dict[str, Statistic] = {
    **{
        f"ring_fraction_{ring_class(n)}": Share(f"weight_{ring_class(n)}", "ring_weight", "rings")
        for n in RING_SIZES
    },
    "mean_ring_size": Ratio("weighted_ring_size", "ring_weight"),
    **{
        f"ring_fraction_uncorrected_{ring_class(n)}": Share(f"rings_{ring_class(n)}", "rings")
        for n in RING_SIZES
    },
    "bond_mean": Ratio("length", "bonds"),
    "bond_std": Spread("length", "length_squared", "bonds"),
    "angle_mean": Ratio("angle", "angles"),
    "angle_std": Spread("angle", "angle_squared", "angles"),
    "coordination_mean": Ratio("bond_ends", "atoms"),
    **{f"coordination_fraction_{n}": Share(f"atoms_{n}", "atoms") for n in COORDINATIONS},
    "density": Ratio("atoms", "area"),
    # An analysable atom has half of each of its bonds, so that bonds across the border are not lost.
    "angles_per_bond": Ratio("angles", "half_bonds"),
}
STATISTIC_UNITS = {
    "bond_mean": "Å",
    "bond_std": "Å",
    "angle_mean": "°",
    "angle_std": "°",
    "density": "1/Å²",
}


def _divide(total: FloatArray | np.float64, count: FloatArray | np.float64) -> FloatArray:
    """Quotient; NaN where the count is 0."""
    return np.divide(total, count, out=np.full(np.shape(total), np.nan), where=np.asarray(count) > 0)
