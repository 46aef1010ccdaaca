"""Parameters of the refinement of atoms against the image."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class RefinementParameters(BaseModel):
    """How the positions of atoms are fitted to the image; lengths are those of carbon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    background: float = Field(gt=0, description="Standard deviation of the mean that is taken off first [Å]")
    border: float = Field(gt=0, description="Width over which pixels at an edge count less and less [Å]")
    kernel_reach: float = Field(gt=0, description="Radius of the image of an atom [Å]")
    kernel_order: int = Field(ge=0, le=6, description="Highest angular order of the image of an atom")
    max_frequency: float = Field(gt=0, description="Frequency up to which the image is fitted [1/Å]")
    position_prior: float = Field(
        gt=0, description="Standard deviation per axis of the network's positions, as the fit believes [Å]"
    )
    amplitude_prior: float = Field(gt=0, description="Standard deviation of the relative contrast of atoms")
    freedom: float = Field(
        gt=0, description="Degrees of freedom of both priors, Student's t: a small number allows outliers"
    )
    n_kernel_rounds: int = Field(
        ge=1, description="Rounds in which the image of an atom is estimated as well"
    )
    n_rounds: int = Field(
        ge=1, description="Rounds of the fit before atoms are removed and added, each time with one more"
    )
    n_samples: int = Field(ge=1, description="Windows from which the image of an atom is estimated")
    sample_size: int = Field(ge=64, description="Side of these windows [px]")
    tile_size: int = Field(ge=64, description="Side of the windows of the fit, halo included [px]")
    least_signal: float = Field(
        ge=0, description="Signal to noise of an atom's image below which the network's positions are kept"
    )
    least_amplitude: float = Field(
        ge=0, lt=1, description="Relative contrast below which an atom is none and is removed"
    )
    repair_amplitude: float = Field(
        gt=0, description="Relative contrast from which the residual shows a missing atom; inf: never"
    )
    repair_support: float = Field(gt=0, description="The same where the network has a weak peak; inf: never")
    largest_rejection: float = Field(
        gt=0,
        description="Atoms removed over those that the network expects to be false, above which none is",
    )
    confirmed_amplitude: float = Field(
        ge=0, description="Relative contrast that a missing atom must have once it is fitted"
    )
    n_repairs: int = Field(ge=0, description="How often atoms are removed and added")
    repair_significance: float = Field(gt=0, description="Least signal to noise of such a place")
    repair_distance: float = Field(gt=0, description="Least distance of a missing atom from others [Å]")
    repair_reach: float = Field(gt=0, description="Longest bond of a missing atom [Å]")
    repair_bonds: int = Field(ge=0, description="Most atoms within that reach; what has more is none")
    insertion_lengths: tuple[float, float] = Field(
        description="Distances of two atoms between which one may be missing, too long for a bond [Å]"
    )
    insertion_gain: float = Field(
        gt=0,
        description="Fall of the squared residual over the noise that an atom between two needs; inf: none",
    )
    largest_misfit: float = Field(
        gt=0, description="Residual around an atom over the noise above which its fit is not believed"
    )
    largest_move: float = Field(gt=0, description="Distance beyond which a fit is not believed [Å]")
    sigma_scale: float = Field(gt=0, description="Errors found on simulated images over those of the fit")
    sigma_floor: float = Field(ge=0, description="Error per axis that is always there, added in squares [Å]")
    doubt_scale: float = Field(
        gt=0,
        le=1,
        description="Probability that a fitted atom is false over the network's doubt^doubt_power",
    )
    doubt_power: float = Field(ge=1, description="Power of the network's doubt, 1 − confidence, in it")
