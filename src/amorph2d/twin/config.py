"""Parameters of the twin."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class TwinParameters(BaseModel):
    """How a micrograph is simulated again from the atoms found in it; lengths are those of carbon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    energy: float = Field(
        ge=2e4, le=1e6, description="Electron energy where the micrograph does not give it [eV]"
    )
    max_side: int = Field(ge=64, description="Largest side; of more the part with most of the sheet [px]")
    tile_size: int = Field(ge=256, description="Side of the windows that are simulated together [px]")
    fit_side: float = Field(gt=20, description="Side of the window to which the optics are fitted [Å]")
    background: float = Field(
        gt=2,
        description="Details broader than this are the image's own: standard deviation of a Gaussian [Å]",
    )
    border: float = Field(
        ge=0, description="Strip along the edges, and around what is no sheet, that is not compared [Å]"
    )
    min_atoms: int = Field(ge=10, description="Atoms that the optics are fitted to, at least")
    defocus: float = Field(gt=0, description="Largest defocus looked for, of both signs [Å]")
    Cs: float = Field(gt=0, description="Usual size of the spherical aberration, of both signs [Å]")
    block: float = Field(gt=0, description="Distance over which the map of the misfit averages [Å]")
    doubtful: float = Field(
        gt=1,
        description="Misfit above which a site is doubtful, in units of the sites' median if that is above 1",
    )
