"""Parameters of the statistics."""

from __future__ import annotations

from typing import Annotated, Any

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


class NoiseParameters(_Parameters):
    """How errors of position enter bonds and angles."""

    length_correlation: float = Field(
        ge=-1, lt=1, description="Of the errors of two bonded atoms along their bond."
    )
    angle_correlation: float = Field(
        ge=-1, lt=1, description="Of the errors of two bonded atoms across their bond."
    )
    length_gain: float = Field(gt=0, description="Deviations of measured bond lengths over the true ones.")
    angle_gain: float = Field(gt=0, description="Deviations of measured angles over the true ones.")
    sigma_uncertainty: float = Field(ge=0, description="Standard error of the scale of all sigmas, relative.")
    length_gain_uncertainty: float = Field(ge=0, description="Its standard error, relative.")
    angle_gain_uncertainty: float = Field(ge=0, description="Its standard error, relative.")


class IntervalParameters(_Parameters):
    """Confidence intervals by resampling of blocks of the sheet."""

    level: float = Field(gt=0, lt=1, description="Share of intervals that cover the truth.")
    block: float = Field(
        gt=0, description="Edge of a block; its quarters are counted, and drawn besides it [Å]."
    )
    min_micrographs: int = Field(
        ge=2, description="Micrographs from which on the pooled row draws these, not blocks of them."
    )
    n_resamples: int = Field(ge=100, description="Bootstrap samples.")
    seed: int = Field(ge=0, description="Seed of the bootstrap samples.")
    noise: NoiseParameters = Field(description="How errors of position enter widths.")


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


class GrainParameters(_Parameters):
    """Which hexagons make a grain, and which rings lie between two."""

    max_misorientation: float = Field(
        gt=0, lt=30, description="Patches whose mean orientations differ by less are one grain [°]."
    )
    min_rings: int = Field(ge=1, description="Least number of hexagons in a grain.")
    boundary_reach: int = Field(
        ge=0,
        description="Rings up to so many rings away from a grain may be its boundary to another.",
    )


class StrainParameters(_Parameters):
    """What bonds are compared with, and how far around an atom its lattice is fitted."""

    reference_length: float | None = Field(
        gt=0, description="Length of an unstrained bond; the mean of all counted bonds if None [Å]."
    )
    reach: int = Field(ge=1, le=8, description="Bonds from an atom to the farthest its lattice is fitted to.")


class StructureFactorParameters(_Parameters):
    """Range and bins of the structure factor."""

    q_max: float = Field(gt=0, description="Largest q = 2π/length [1/Å].")
    q_step: float = Field(gt=0, description="Width of a bin, twice 2π over the edge of a tile [1/Å].")

    @model_validator(mode="after")
    def _check_bins(self) -> StructureFactorParameters:
        if self.q_step > self.q_max:
            raise ValueError(f"q_step must be ≤ q_max = {self.q_max} 1/Å, got {self.q_step} 1/Å")
        return self


class ShellParameters(_Parameters):
    """What counts as a shell of neighbours."""

    n_shells: int = Field(ge=1, description="Shells, from the nearest on.")
    smoothing: float = Field(
        ge=0, description="Width (standard deviation) of the Gaussian by which g(r) is smoothed [Å]."
    )
    min_prominence: float = Field(gt=0, description="Least height of a peak of g(r) above its surroundings.")
    significance: float = Field(ge=0, description="Least of that height in standard errors.")


class PoreParameters(_Parameters):
    """Which vacuum regions are pores."""

    min_area: float = Field(ge=0, description="Area of the smallest pore [Å²].")


class DefectParameters(_Parameters):
    """Which clusters of irregular rings are what."""

    largest_hole: int = Field(ge=12, description="Atoms around the largest hole; larger ones are pores.")
    longest_bond: float = Field(
        gt=0, description="Longest bond to an atom that lacks one, in median lengths of all bonds."
    )
    crowded: float = Field(
        ge=0,
        description="Atoms with two bonds shorter than this are left out, in median lengths of all bonds.",
    )
    largest_ring: int = Field(ge=6, description="Atoms of the largest ring that is no hole.")
    min_boundary_rings: int = Field(ge=5, description="Least irregular rings of a grain boundary.")
    max_boundary_neighbours: float = Field(
        gt=0, description="Most irregular neighbours of a ring in a grain boundary, mean of its cluster."
    )
    min_elongation: float = Field(ge=1, description="Least length over width of a short grain boundary.")
    min_amorphous_rings: int = Field(ge=5, description="Least irregular rings of an amorphous region.")


class DopantParameters(_Parameters):
    """How atoms are compared, and which stand out."""

    width: float = Field(
        gt=0,
        description="Standard deviation of the weights of pixels around an atom, in median bond lengths.",
    )
    n_neighbours: int = Field(
        ge=3, description="Nearest three-coordinated atoms that an atom is compared with."
    )
    level: float = Field(
        gt=0, lt=1, description="Share of false ones among the candidates, expected at most."
    )
    min_intensity_z: float = Field(
        ge=0, description="Least deviation of the intensity in standard deviations."
    )
    separation: float = Field(
        ge=0,
        description="Distance in which only the most significant candidate is kept, in median bond lengths.",
    )


class EventParameters(_Parameters):
    """What counts as an event."""

    min_frames: int = Field(
        ge=1, description="Frames in which the state before and the state after must be seen to count."
    )
    max_gap: int = Field(ge=0, description="Consecutive frames in which an atom may be missed.")
    max_jump: float = Field(
        ge=0.0,
        description="Largest distance between the end of a track and the start of another that are the same "
        "atom; a bond that turns moves its atoms by 0.7 of its length [Å].",
    )


class FilmParameters(_Parameters):
    """How a series is shown."""

    frames_per_second: float = Field(gt=0, description="Frames shown in a second.")
    max_side: int = Field(ge=64, description="Longest side of the film [px].")


class ComparisonParameters(_Parameters):
    """Which micrographs are held against which."""

    groups: dict[str, list[str]] = Field(
        description="Name patterns of the micrographs of each group; a groups.csv beside them goes before."
    )
    reference: str | None = Field(description="The group that others are compared with; the first if null.")
    min_micrographs: int = Field(
        ge=2, description="Micrographs of a group from which on these are compared, not blocks of the sheet."
    )
    n_permutations: int = Field(ge=99, description="Permutations of the test, if there are more.")


class LiteratureValue(_Parameters):
    """What others found of a statistic."""

    statistic: str = Field(description="Name of a statistic of the summary.")
    low: float = Field(description="Lowest value, in the unit of the summary.")
    high: float = Field(description="Highest value, in the unit of the summary.")
    source: str = Field(description="Where this is from.")

    @model_validator(mode="after")
    def _check_order(self) -> LiteratureValue:
        if self.low > self.high:
            raise ValueError(f"low must be ≤ high, got {self.low} and {self.high} for {self.statistic}")
        return self


class DetectionParameters(_Parameters):
    """How statistics are followed back to where nothing is missed and nothing false."""

    missed_per_false: float = Field(ge=0, description="Atoms missed for each that is expected to be false.")
    displacement: float = Field(gt=0, description="Distance of a false atom from the true one beside it [Å].")
    least_share: float = Field(
        gt=0,
        lt=0.5,
        description="Least share of the atoms that is taken away or added to see its effect.",
    )
    scales: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1, description="How many times the missed or false atoms there are, are added to them."
    )
    n_replicates: int = Field(ge=2, description="How often that is done at each scale.")
    max_atoms: int = Field(
        ge=100, description="Atoms up to which that is done; of more a square part is taken."
    )


class StatisticsParameters(_Parameters):
    """Everything that the statistics of located sites depend on."""

    bonds: BondParameters
    rings: RingParameters
    pdf: PairDistributionParameters
    structure_factor: StructureFactorParameters
    shells: ShellParameters
    crystallites: CrystalliteParameters
    grains: GrainParameters
    strain: StrainParameters
    defects: DefectParameters
    dopants: DopantParameters
    detection: DetectionParameters = Field(description="What missed and false atoms do.")
    pores: PoreParameters
    events: EventParameters
    film: FilmParameters
    comparison: ComparisonParameters
    literature: tuple[LiteratureValue, ...] = Field(description="Values to show behind those found.")
    intervals: IntervalParameters


def scaled(parameters: StatisticsParameters, length_scale: float) -> StatisticsParameters:
    """Return parameters whose lengths are `length_scale` times as long; it must be > 0."""
    if not length_scale > 0:
        raise ValueError(f"length_scale must be > 0, got {length_scale}")
    if length_scale == 1:
        return parameters
    longer = {
        name: _longer(getattr(parameters, name), powers, length_scale) for name, powers in _LENGTHS.items()
    }
    return parameters.model_copy(update=longer)


# Parameters that are lengths, with the power of the length that they are.
_LENGTHS = {
    "bonds": {"limits": 1},
    "pdf": {"r_max": 1, "bin_width": 1},
    "structure_factor": {"q_max": -1, "q_step": -1},
    "shells": {"smoothing": 1},
    "strain": {"reference_length": 1},
    "pores": {"min_area": 2},
    "events": {"max_jump": 1},
    "detection": {"displacement": 1},
    "intervals": {"block": 1},
}


def _longer(section: _Parameters, powers: dict[str, int], length_scale: float) -> _Parameters:
    """Return some parameters with their lengths multiplied."""
    changed: dict[str, Any] = {}
    for name, power in powers.items():
        value, factor = getattr(section, name), length_scale**power
        if isinstance(value, tuple):
            changed[name] = tuple(each * factor for each in value)
        elif value is not None:
            changed[name] = value * factor
    return section.model_copy(update=changed)
