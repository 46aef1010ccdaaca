"""Typed parameters of the adaptation to a microscope."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from amorph2d.imaging.config import Family


def _weights(weights: dict[Family, float] | None) -> dict[Family, float] | None:
    """Check that weights are usable as relative frequencies."""
    if weights is not None and (min(weights.values(), default=-1) < 0 or sum(weights.values()) <= 0):
        raise ValueError(f"families must have weights ≥ 0 with a positive sum, got {weights}")
    return weights


def _band(band: tuple[float, float]) -> tuple[float, float]:
    """Check that a band of frequencies is one."""
    if not 0 < band[0] < band[1]:
        raise ValueError(f"band must be two frequencies > 0 in order, got [{band[0]}, {band[1]}]")
    return band


class _Parameters(BaseModel):
    """Parameters refuse unknown names and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Margins(_Parameters):
    """How much wider than the measured values the matched ranges are."""

    sampling: float = Field(gt=0, lt=1, description="Relative widening of the sampling, to either side")
    dose: float = Field(ge=1, description="Factor by which the range of doses is widened, to either side")
    camera: float = Field(gt=0, lt=1, description="Relative widening of width and exponent of the MTF")
    others: float = Field(gt=0, lt=1, description="Relative widening of all other measured quantities")


class SearchParameters(_Parameters):
    """Simulated candidates that are compared with the measured spectra."""

    n_candidates: int = Field(ge=0, description="Images that are simulated for the search; 0: no search")
    accepted: float = Field(gt=0, lt=1, description="Share of the candidates that count as alike")
    significance: float = Field(
        gt=0, lt=1, description="Chance at which accepted and refused candidates count as different"
    )
    field: float = Field(ge=32, description="Side of a candidate, which has at least 128 px [Å]")


class ComparisonParameters(_Parameters):
    """How simulated and measured sets are compared."""

    window: float = Field(gt=0, description="Gaussian sigma of the local normalisation [Å]")
    band: Annotated[tuple[float, float], AfterValidator(_band)] = Field(
        description="Lowest and highest frequency that is compared [1/Å]"
    )
    n_images: int = Field(ge=1, description="Images of the matched and of the unmatched set to compare")


class AdaptationParameters(_Parameters):
    """Adaptation of a simulated set to the microscope that took some micrographs."""

    n_images: int = Field(ge=1, description="Images in the matched set")
    energy: float | None = Field(
        description="Electron energy; null: from the files, or else as in the unmatched set [eV]"
    )
    families: Annotated[dict[Family, float] | None, AfterValidator(_weights)] = Field(
        description="Relative frequency of the families in the matched set; null: as in the unmatched set"
    )
    margins: Margins
    search: SearchParameters
    comparison: ComparisonParameters
