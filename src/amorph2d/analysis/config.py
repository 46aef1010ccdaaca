"""Parameters of the analysis of a micrograph."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from amorph2d.localisation.consistency import ConsistencyParameters
from amorph2d.localisation.refinement.config import RefinementParameters
from amorph2d.series.config import DriftParameters, LinkingParameters
from amorph2d.twin.config import TwinParameters


class MaskParameters(BaseModel):
    """What of a micrograph counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    use: bool = Field(description="Whether second layers, contamination and vacuum are told apart")
    bond_limits: tuple[float, float] = Field(
        description="Shortest and longest bond of the located network [Å]"
    )
    largest_ring: int = Field(ge=3, description="Atoms around the largest ring; larger faces are pores")
    smallest_spot: float = Field(
        ge=0,
        description="Area below which a spot of contamination is not believed, unless it is plain [Å²]",
    )
    margin: float = Field(
        ge=0, description="Strip around second layers and contamination that is left out [Å]"
    )


class SeriesParameters(BaseModel):
    """How the frames of a series belong together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drift: DriftParameters
    linking: LinkingParameters


class AnalysisParameters(BaseModel):
    """How the sites of a micrograph are found and judged; lengths are those of carbon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bond_length: float = Field(gt=0, description="Mean bond length of the network's material [Å]")
    flatten: bool = Field(description="Whether images are freed of uneven illumination first")
    masks: MaskParameters
    candidates: float = Field(
        gt=0, lt=1, description="Height of a peak in the network's maps from which on it is looked at again"
    )
    consistency: ConsistencyParameters | None = Field(
        description="How atoms and ring centres are made consistent; null: not at all"
    )
    refinement: RefinementParameters | None = Field(
        description="How atoms are fitted to the image; null: not at all"
    )
    twin: TwinParameters | None = Field(description="How the image is simulated again; null: not at all")
    series: SeriesParameters = Field(description="How the frames of a series are aligned and linked")
