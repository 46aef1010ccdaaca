"""Typed parameters of simulated sets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Seeds = Literal["poisson", "polycrystal"]
Family = Literal["voronoi", "relaxed"]


def _ordered(pair: tuple[float, float]) -> tuple[float, float]:
    """Check that a range runs upwards."""
    low, high = pair
    if low > high:
        raise ValueError(f"a range is [low, high] with low ≤ high, got [{low}, {high}]")
    return pair


def _positive(pair: tuple[float, float]) -> tuple[float, float]:
    """Check that a range is above zero."""
    if pair[0] <= 0:
        raise ValueError(f"the range must be > 0, got [{pair[0]}, {pair[1]}]")
    return pair


def _not_negative(pair: tuple[float, float]) -> tuple[float, float]:
    """Check that a range does not go below zero."""
    if pair[0] < 0:
        raise ValueError(f"the range must be ≥ 0, got [{pair[0]}, {pair[1]}]")
    return pair


def _ring_sizes(pair: tuple[int, int]) -> tuple[int, int]:
    """Check that the smallest ring has three to five atoms."""
    if pair[0] < 3 or pair[1] > 5:
        raise ValueError(f"smallest_ring must lie in 3 … 5, got [{pair[0]}, {pair[1]}]")
    return pair


def _weights(weights: dict[str, float]) -> dict[str, float]:
    """Check that weights are usable as relative frequencies."""
    if any(weight < 0 for weight in weights.values()) or sum(weights.values()) <= 0:
        raise ValueError(f"weights must be ≥ 0 with a positive sum, got {weights}")
    return weights


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
PositiveRange = Annotated[Range, AfterValidator(_positive)]
NonNegativeRange = Annotated[Range, AfterValidator(_not_negative)]
CountRange = Annotated[tuple[int, int], AfterValidator(_ordered), AfterValidator(_not_negative)]


class _Parameters(BaseModel):
    """Parameters refuse unknown names and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StructureRanges(_Parameters):
    """What the sheets are made of."""

    families: Annotated[dict[Family, float], AfterValidator(_weights)] = Field(
        description="Relative frequency of each family: voronoi (corners of Voronoi cells) and relaxed"
    )
    seeds: Annotated[dict[Seeds, float], AfterValidator(_weights)] = Field(
        description="Relative frequency of each arrangement of ring centres behind the relaxed family"
    )
    bond_length: PositiveRange = Field(description="Mean bond length of the relaxed family [Å]")
    ring_area: PositiveRange = Field(description="Mean area of a ring of the voronoi family [Å²]")
    lloyd_iterations: CountRange = Field(
        description="Lloyd iterations of Poisson-disk seeds: 0 keeps them random, more makes them crystalline"
    )
    grains: Annotated[CountRange, AfterValidator(_positive)] = Field(
        description="Grains of a polycrystal in the box"
    )
    smallest_ring: Annotated[CountRange, AfterValidator(_ring_sizes)] = Field(
        description="Atoms of the smallest ring that a sheet of the relaxed family may have, 3 to 5"
    )
    jitter: NonNegativeRange = Field(description="Displacement of polycrystal seeds, per axis [Å]")
    displacement: NonNegativeRange = Field(
        description="Random displacement of the atoms after relaxation, per axis [Å]"
    )


class PoreRanges(_Parameters):
    """Holes in the sheet."""

    probability: float = Field(ge=0, le=1, description="Share of images that have pores")
    count: CountRange = Field(description="Pores in an image that has any")
    radius: PositiveRange = Field(description="Pore radius, drawn log-uniformly [Å]")
    irregular: float = Field(
        ge=0, le=1, description="Share of the porous images whose pores are not circular"
    )
    roughness: NonNegativeRange = Field(description="Relative amplitude of the rim of an irregular pore")


class OpticsRanges(_Parameters):
    """Conditions of the microscope."""

    energies: tuple[float, ...] = Field(min_length=1, description="Electron energies, equally frequent [eV]")
    matched: float = Field(
        ge=0,
        le=1,
        description="Share of the images whose defocus suits their Cs, half of them with bright atoms",
    )
    defocus: Range = Field(description="Defocus of the others, underfocus positive [Å]")
    defocus_error: float = Field(ge=0, description="Standard deviation about a matched defocus [Å]")
    Cs: Range = Field(description="Spherical aberration [Å]")
    astigmatism: NonNegativeRange = Field(description="Two-fold astigmatism C12 [Å]")
    trefoil: NonNegativeRange = Field(description="Three-fold astigmatism C23 [Å]")
    coma: NonNegativeRange = Field(description="Coma C21 [Å]")
    focal_spread: PositiveRange = Field(description="Focal spread, 1/e half width [Å]")
    angular_spread: NonNegativeRange = Field(description="Angular spread of the illumination [mrad]")
    semiangle_cutoff: float = Field(gt=0, description="Objective aperture, semi-angle [mrad]")
    vibration: NonNegativeRange = Field(description="Image blur by vibration, standard deviation [Å]")

    @model_validator(mode="after")
    def _check_energies(self) -> OpticsRanges:
        bad = [energy for energy in self.energies if not 2e4 <= energy <= 3e5]
        if bad:
            raise ValueError(f"energies must lie in 20 000 … 300 000 eV, got {bad}")
        return self


class DetectorRanges(_Parameters):
    """The camera and the illumination."""

    shape: tuple[int, int] = Field(description="Rows and columns of an image [px]")
    sampling: PositiveRange = Field(description="Pixel size [Å/px]")
    dose_per_area: PositiveRange = Field(description="Dose, drawn log-uniformly [e⁻/Å²]")
    mtf_floor: NonNegativeRange = Field(description="MTF at high frequency, C of the MTF formula")
    mtf_width: PositiveRange = Field(description="Width ω of the MTF in units of the Nyquist frequency")
    mtf_exponent: PositiveRange = Field(description="Exponent α of the MTF")
    gradient: NonNegativeRange = Field(
        description="Illumination change across the image, peak to peak relative to its mean"
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> DetectorRanges:
        if min(self.shape) < 64:
            raise ValueError(f"shape must be at least 64 × 64 px, got {self.shape[0]} × {self.shape[1]}")
        if self.gradient[1] >= 1:
            raise ValueError(f"gradient must be < 1, got {self.gradient[1]}")
        return self


class SynthesisParameters(_Parameters):
    """A simulated set: which images, how many, from which seed."""

    seed: int = Field(ge=0, description="Seed of the set: image i depends on it and on i alone")
    n_images: int = Field(ge=1, description="Images in the set")
    images_per_shard: int = Field(ge=1, description="Images in one file")
    validation_share: float = Field(ge=0, lt=1, description="Share of the images kept for validation")
    test_share: float = Field(ge=0, lt=1, description="Share of the images kept for the test")
    structures: StructureRanges
    pores: PoreRanges
    optics: OpticsRanges
    detector: DetectorRanges

    @model_validator(mode="after")
    def _check_consistency(self) -> SynthesisParameters:
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                "validation_share + test_share must be < 1, got "
                f"{self.validation_share} + {self.test_share}: nothing is left to train on"
            )
        field = min(self.detector.shape) * self.detector.sampling[0]
        if self.pores.radius[1] * 2 > field:
            raise ValueError(
                f"pores.radius must be at most half the smallest field ({field / 2:.1f} Å), "
                f"got {self.pores.radius[1]}"
            )
        return self


class ComputingParameters(_Parameters):
    """Where images are simulated; the result does not depend on it."""

    scheduler: str = Field(
        description="none: this process; local: processes on this machine; or the address of a dask scheduler"
    )
    n_workers: int = Field(ge=1, description="Processes that scheduler 'local' starts")
