"""Parameters of series."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DriftParameters(BaseModel):
    """How the drift of a series is measured from its images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    band: tuple[float, float] = Field(
        description="Lowest and highest frequency compared: below lies what is not the specimen, above what "
        "is noise [1/Å]."
    )
    background: float = Field(
        gt=0.0,
        description="Standard deviation of the window in which brightness and contrast are evened [Å].",
    )
    max_step: float = Field(gt=0.0, description="Largest drift from one frame to the next [Å].")
    max_ambiguity: float = Field(
        gt=0.0,
        le=1.0,
        description="Height of the second peak of a correlation, relative to the first, from which on a "
        "displacement may be wrong by a lattice vector.",
    )
    min_significance: float = Field(
        ge=0.0, description="Least height of a peak of a correlation, in standard deviations of its noise."
    )

    @model_validator(mode="after")
    def _check_band(self) -> Self:
        low, high = self.band
        if not 0 <= low < high < float("inf"):
            raise ValueError(f"band must be 0 ≤ low < high 1/Å, got {self.band}")
        return self


class LinkingParameters(BaseModel):
    """How sites are followed through a series."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_step: float = Field(
        gt=0.0, description="Largest displacement of a site between the frames in which it is found [Å]."
    )
    memory: int = Field(ge=0, description="Consecutive frames in which a site may be missed.")
