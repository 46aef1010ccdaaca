"""Everything that the adaptation keeps of one micrograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from amorph2d.arrays import as_image
from amorph2d.imaging.adaptation.clean import RING, find_clean_area
from amorph2d.imaging.adaptation.compare import Appearance, appearance, halve_image
from amorph2d.imaging.adaptation.conditions import Conditions, Depth, measure_conditions
from amorph2d.imaging.adaptation.config import ComparisonParameters
from amorph2d.imaging.adaptation.spectra import radial_spectrum
from amorph2d.units import Sampling, as_sampling

F = TypeVar("F", bound=str)

_PEAKED = 4.0  # mean over median in the first ring from which a sheet counts as a crystal


CRYSTALS = ("graphene", "boron_nitride")
"""Families whose spectra have Bragg peaks."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What is known of one micrograph.

    Attributes
    ----------
    conditions
        Its conditions.
    whole, clean
        Appearance of all of it, and of its clean area.
    halves
        Appearance of its left and its right half.
    is_crystal
        Whether the first ring of its spectrum is made of Bragg peaks.
    """

    conditions: Conditions
    whole: Appearance
    clean: Appearance
    halves: tuple[Appearance, Appearance]
    is_crystal: bool


def mostly_crystalline(items: Sequence[Measured]) -> bool:
    """Whether more than half of some micrographs show crystals."""
    return 2 * sum(item.is_crystal for item in items) > len(items)


def comparable_families(families: Mapping[F, float], *, is_crystal: bool) -> dict[F, float]:
    """Return the families that a set of crystals, or of amorphous sheets, is fairly compared with.

    A crystal differs from an amorphous sheet under any conditions, so sets are compared by what they share;
    all families where none of the kind has any weight.
    """
    alike = {name: weight for name, weight in families.items() if (name in CRYSTALS) == is_crystal and weight}
    return alike or dict(families)


def measure_micrograph(
    image: ArrayLike,
    *,
    sampling: Sampling,
    comparison: ComparisonParameters,
    depth: Depth = 0,
    energy: float | None = None,
) -> Measured:
    """Measure conditions and appearance of one micrograph; arguments as for `measure_conditions`."""
    array, steps = as_image(image), as_sampling(sampling)
    weights = find_clean_area(array, steps).weights(steps)
    left, right = (appearance(half, steps, comparison=comparison) for half in halve_image(array))
    spectrum = radial_spectrum(array, steps, weights=weights)
    ring = (spectrum.frequency >= RING[0]) & (spectrum.frequency < RING[1])
    peaked = spectrum.mean[ring].max() / np.median(spectrum.typical[ring]) if ring.any() else 0.0
    return Measured(
        conditions=measure_conditions(array, sampling=steps, depth=depth, energy=energy),
        whole=appearance(array, steps, comparison=comparison),
        clean=appearance(array, steps, comparison=comparison, weights=weights),
        halves=(left, right),
        is_crystal=bool(peaked > _PEAKED),
    )
