"""Parameters of the statistics."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BondParameters(_Parameters):
    """Which neighbouring atoms are bonded."""

    limits: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(gt=0)]] = Field(
        description="Shortest and longest bond [Å]."
    )
    max_coordination: int = Field(ge=1, description="Most bonds that an atom should have.")

    @model_validator(mode="after")
    def _check_order(self) -> BondParameters:
        if self.limits[0] >= self.limits[1]:
            raise ValueError(
                f"limits must be shortest < longest, got {self.limits[0]} and {self.limits[1]} Å"
            )
        return self


class RingParameters(_Parameters):
    """Which faces of the bond network are rings."""

    max_size: int = Field(ge=3, description="Atoms in the largest ring; larger faces are pores.")


class PairDistributionParameters(_Parameters):
    """Range and bins of the pair distribution."""

    r_max: float = Field(gt=0, description="Largest distance [Å].")
    bin_width: float = Field(gt=0, description="Width of a bin [Å].")

    @model_validator(mode="after")
    def _check_bins(self) -> PairDistributionParameters:
        if self.bin_width > self.r_max:
            raise ValueError(f"bin_width must be ≤ r_max = {self.r_max} Å, got {self.bin_width} Å")
        return self


class IntervalParameters(_Parameters):
    """Confidence intervals by resampling of blocks of the sheet."""

    level: float = Field(gt=0, lt=1, description="Share of intervals that cover the truth.")
    block: float = Field(gt=0, description="Edge of a block, longer than structures are correlated [Å].")
    n_resamples: int = Field(ge=100, description="Bootstrap samples.")
    seed: int = Field(ge=0, description="Seed of the bootstrap samples.")


class CrystalliteParameters(_Parameters):
    """Which hexagons are crystalline, and how many of them make a crystallite."""

    min_hexagon_neighbours: int = Field(
        ge=0, le=6, description="Neighbours of a crystalline hexagon that are hexagons, too, at least."
    )
    min_psi6: float = Field(ge=0, le=1, description="Least |ψ6| of a crystalline hexagon; 0 for no limit.")
    max_misorientation: float = Field(
        ge=0,
        le=30,
        description="Largest angle between the lattices around two neighbours in one crystallite; "
        "30 for no limit [°].",
    )
    min_rings: int = Field(ge=1, description="Least number of connected crystalline hexagons.")


class StatisticsParameters(_Parameters):
    """Everything that the statistics of located sites depend on."""

    bonds: BondParameters
    rings: RingParameters
    pdf: PairDistributionParameters
    crystallites: CrystalliteParameters
    intervals: IntervalParameters


def scaled(parameters: StatisticsParameters, length_scale: float) -> StatisticsParameters:
    """Return parameters whose lengths are `length_scale` times as long; it must be > 0."""
    if not length_scale > 0:
        raise ValueError(f"length_scale must be > 0, got {length_scale}")
    if length_scale == 1:
        return parameters
    shortest, longest = parameters.bonds.limits
    limits = (shortest * length_scale, longest * length_scale)
    pdf, intervals = parameters.pdf, parameters.intervals
    return parameters.model_copy(
        update={
            "bonds": parameters.bonds.model_copy(update={"limits": limits}),
            "pdf": PairDistributionParameters(
                r_max=pdf.r_max * length_scale, bin_width=pdf.bin_width * length_scale
            ),
            "intervals": intervals.model_copy(update={"block": intervals.block * length_scale}),
        }
    )
