"""Typed parameters of simulated sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Family = Literal[
    "voronoi", "relaxed", "switched", "polycrystal", "graphene", "boron_nitride", "silica", "polymer"
]
Defect = Literal[
    "stone_wales", "dipole_1", "dipole_2", "dipole_3", "dipole_4", "vacancy", "vacancy_59", "vacancies_2",
    "vacancies_3", "vacancies_4", "vacancies_6", "divacancy_585", "divacancy_555777",
    "divacancy_5555_6_7777", "flower", "silicon_4",
]  # fmt: skip

WAVE_BAND = 1.6  # highest frequency on the grid of the exit wave, in units of the length scale [1/Å]


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


def _share(pair: tuple[float, float]) -> tuple[float, float]:
    """Check that a range lies between nothing and all."""
    if pair[0] < 0 or pair[1] > 1:
        raise ValueError(f"the range must lie in 0 … 1, got [{pair[0]}, {pair[1]}]")
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


def _elements(weights: dict[int, float]) -> dict[int, float]:
    """Check that the keys are atomic numbers whose scattering is known."""
    bad = [number for number in weights if not 1 <= number <= 96]
    if bad:
        raise ValueError(f"atomic numbers must lie in 1 … 96, got {bad}")
    _weights({str(number): weight for number, weight in weights.items()})
    return weights


def _below_one(pair: tuple[float, float]) -> tuple[float, float]:
    """Check that a range ends below 1."""
    if pair[1] >= 1:
        raise ValueError(f"the range must lie below 1, got [{pair[0]}, {pair[1]}]")
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
PositiveRange = Annotated[Range, AfterValidator(_positive)]
NonNegativeRange = Annotated[Range, AfterValidator(_not_negative)]
ShareRange = Annotated[Range, AfterValidator(_share)]
CountRange = Annotated[tuple[int, int], AfterValidator(_ordered), AfterValidator(_not_negative)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Parameters(BaseModel):
    """Parameters refuse unknown names and do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StructureRanges(_Parameters):
    """What the sheets are made of."""

    families: Annotated[dict[Family, float], AfterValidator(_weights)] = Field(
        description="Relative frequency of each family of structures"
    )
    bond_length: PositiveRange = Field(description="Mean bond length of the carbon families [Å]")
    ring_area: PositiveRange = Field(description="voronoi: mean area of a ring [Å²]")
    lloyd_iterations: CountRange = Field(
        description="relaxed: Lloyd iterations of the seeds; 0 keeps them random, more makes them crystalline"
    )
    smallest_ring: Annotated[CountRange, AfterValidator(_ring_sizes)] = Field(
        description="relaxed, polycrystal: atoms of the smallest ring that a sheet may have, 3 to 5"
    )
    grains: Annotated[CountRange, AfterValidator(_positive)] = Field(
        description="polycrystal, and switched that starts from one: grains in the box"
    )
    granular: Share = Field(
        description="switched: share of the sheets with 60 % hexagons or more that start from a polycrystal"
    )
    jitter: NonNegativeRange = Field(description="polycrystal: displacement of the seeds, per axis [Å]")
    hexagons: Annotated[ShareRange, AfterValidator(_positive)] = Field(
        description="switched, silica, polymer: wanted share of hexagons, the disorder of the network"
    )
    displacement: NonNegativeRange = Field(
        description="Static random displacement of the atoms, per axis, in all families but voronoi [Å]"
    )
    strain: NonNegativeRange = Field(description="Root mean square of a smooth strain field")
    ripple: NonNegativeRange = Field(description="Root mean square height of the ripples [Å]")
    wavelength: PositiveRange = Field(
        description="Mean wavelength of ripples and strain, and distance of the islands of overlays [Å]"
    )
    tilted: Share = Field(description="Share of the specimens that are tilted")
    tilt: NonNegativeRange = Field(description="Specimen tilt about a random axis [°]")

    @model_validator(mode="after")
    def _check_sizes(self) -> StructureRanges:
        if self.tilt[1] > 30:
            raise ValueError(f"tilt must be at most 30°, got {self.tilt[1]}")
        if self.strain[1] > 0.1:
            raise ValueError(f"strain must be at most 0.1, got {self.strain[1]}")
        return self


class DefectRanges(_Parameters):
    """Point defects of crystals, foreign atoms, and atoms with two bonds."""

    probability: Share = Field(description="Share of the crystals (graphene, boron_nitride) with defects")
    kinds: Annotated[dict[Defect, float], AfterValidator(_weights)] = Field(
        description="Relative frequency of each kind of defect"
    )
    density: PositiveRange = Field(description="Defects of all kinds, drawn log-uniformly [1/nm²]")
    doped: Share = Field(description="Share of the carbon specimens with foreign atoms")
    dopants: Annotated[dict[int, float], AfterValidator(_elements)] = Field(
        description="Relative frequency of each foreign element, by atomic number"
    )
    dopant_share: Annotated[ShareRange, AfterValidator(_positive)] = Field(
        description="Share of the atoms that are replaced, drawn log-uniformly"
    )
    opened: Share = Field(
        description="Share of the carbon networks (relaxed, switched, polycrystal) with two-coordinated atoms"
    )
    opening_share: Annotated[ShareRange, AfterValidator(_positive)] = Field(
        description="Bonds cut, atoms removed and atoms put into bonds, per atom, drawn log-uniformly"
    )
    contraction: ShareRange = Field(
        description="How far bonds of atoms with two bonds are contracted and their angles opened, in all "
        "carbon families but voronoi: 0 not at all, 1 as at bare edges of graphene and in chains"
    )


class PoreRanges(_Parameters):
    """Holes in the sheet."""

    probability: Share = Field(description="Share of the specimens that have pores")
    count: CountRange = Field(description="Pores in a specimen that has any")
    radius: PositiveRange = Field(
        description="Pore radius, log-uniform, at most 0.34 of the field; scaled with the material [Å]"
    )
    irregular: Share = Field(description="Share of the porous specimens whose pores are not circular")
    roughness: Annotated[NonNegativeRange, AfterValidator(_below_one)] = Field(
        description="Largest relative deviation of the rim of an irregular pore from a circle"
    )
    erosion: ShareRange = Field(
        description="Expected number of atoms that a rim loses, relative to the atoms on it"
    )
    open: Share = Field(description="Share of the specimens that end at a rough edge: vacuum beyond it")


class OverlayRanges(_Parameters):
    """What lies on the sheet; of carbon and boron nitride only."""

    layer: Share = Field(description="Share of the specimens with a second layer")
    partial: Share = Field(description="Share of the second layers that cover a part of the field only")
    amorphous: Share = Field(description="Share of the second layers that are amorphous; others are twisted")
    gap: PositiveRange = Field(description="Distance of the second layer, above or below [Å]")
    debris: Share = Field(description="Share of the specimens with amorphous matter on the sheet")
    coverage: Annotated[ShareRange, AfterValidator(_positive), AfterValidator(_below_one)] = Field(
        description="Share of the area that the debris, or a partial second layer, covers"
    )
    thickness: PositiveRange = Field(description="Largest thickness of the debris [Å]")
    hydrocarbon: Share = Field(description="Share of the debris that is hydrocarbon; the other is carbon")
    carbon_density: PositiveRange = Field(description="Mass density of amorphous carbon [g/cm³]")
    hydrocarbon_density: PositiveRange = Field(description="Mass density of hydrocarbon [g/cm³]")
    adatoms: Share = Field(description="Share of the specimens with adatoms")
    elements: Annotated[dict[int, float], AfterValidator(_elements)] = Field(
        description="Relative frequency of each adatom, by atomic number"
    )
    adatom_density: PositiveRange = Field(description="Adatoms or clusters, drawn log-uniformly [1/nm²]")
    cluster: Annotated[CountRange, AfterValidator(_positive)] = Field(description="Atoms in a cluster")

    @model_validator(mode="after")
    def _check_gap(self) -> OverlayRanges:
        if not 1 <= self.gap[0] <= self.gap[1] <= 5:
            raise ValueError(f"gap must lie in 1 … 5 Å, got [{self.gap[0]}, {self.gap[1]}]")
        densest = max(self.carbon_density[1], self.hydrocarbon_density[1])
        if densest > 2.5:
            raise ValueError(f"densities must be at most 2.5 g/cm³, got {densest}")
        return self


class OpticsRanges(_Parameters):
    """Conditions of the microscope."""

    energies: Annotated[dict[float, float], AfterValidator(_weights)] = Field(
        description="Relative frequency of each electron energy [eV]"
    )
    matched: Share = Field(description="Share of the images whose defocus suits their Cs")
    bright_atoms: Share = Field(description="Share of those in which it makes atoms bright, else dark")
    defocus: Range = Field(
        description="Defocus of the others, underfocus positive; scaled with the material's square [Å]"
    )
    defocus_error: float = Field(
        ge=0,
        description="Standard deviation about a matched defocus; scaled with the material's square [Å]",
    )
    polymer_defocus: PositiveRange = Field(description="Underfocus of the polymer family [Å]")
    Cs: Range = Field(description="Spherical aberration [Å]")
    C5: Range = Field(description="Spherical aberration of fifth order [Å]")
    astigmatism: NonNegativeRange = Field(description="Two-fold astigmatism C12 [Å]")
    trefoil: NonNegativeRange = Field(description="Three-fold astigmatism C23 [Å]")
    coma: NonNegativeRange = Field(description="Coma C21 [Å]")
    focal_spread: PositiveRange = Field(description="Focal spread, 1/e half width [Å]")
    angular_spread: NonNegativeRange = Field(
        description="Angular spread of the illumination; scaled with the material [mrad]"
    )
    aperture: PositiveRange = Field(
        description="Objective aperture as the highest frequency that passes; scaled with the material [1/Å]"
    )
    vibration: NonNegativeRange = Field(
        description="Image blur by vibration, standard deviation; scaled with the material [Å]"
    )
    drift: NonNegativeRange = Field(description="Drift during the exposure; scaled with the material [Å]")

    @model_validator(mode="after")
    def _check_energies(self) -> OpticsRanges:
        bad = [energy for energy in self.energies if not 2e4 <= energy <= 3e5]
        if bad:
            raise ValueError(f"energies must lie in 20 000 … 300 000 eV, got {bad}")
        return self


class DetectorRanges(_Parameters):
    """The camera and the illumination."""

    shape: tuple[int, int] = Field(description="Rows and columns of an image [px]")
    sampling: PositiveRange = Field(description="Pixel size; scaled with the material [Å/px]")
    zoom: Annotated[ShareRange, AfterValidator(_positive)] = Field(
        description="Pixel size of an image relative to the coarsest of its specimen's"
    )
    dose_per_area: PositiveRange = Field(
        description="Dose, drawn log-uniformly; scaled with the material [e⁻/Å²]"
    )
    polymer_dose: PositiveRange = Field(
        description="Dose of the polymer family, drawn log-uniformly, not scaled [e⁻/Å²]"
    )
    mtf_floor: ShareRange = Field(description="MTF at high frequency, C of the MTF formula")
    mtf_width: PositiveRange = Field(description="Width ω of the MTF in units of the Nyquist frequency")
    mtf_exponent: PositiveRange = Field(description="Exponent α of the MTF")
    readout_noise: NonNegativeRange = Field(
        description="Noise added after the MTF, relative to the shot noise of the mean"
    )
    gain_noise: NonNegativeRange = Field(description="Relative variation of the gain from pixel to pixel")
    faulty: Share = Field(description="Share of the images with dead and hot pixels and X-ray spikes")
    dead_pixels: NonNegativeRange = Field(description="Dead pixels of a faulty image, as many hot [1/10⁶ px]")
    spikes: NonNegativeRange = Field(description="X-ray spikes of a faulty image [1/10⁶ px]")
    gradient: NonNegativeRange = Field(
        description="Illumination change across the image, peak to peak relative to its mean"
    )
    vignetting: ShareRange = Field(description="Loss of illumination at the corners, relative")
    unevenness: NonNegativeRange = Field(description="Root mean square of smooth uneven illumination")
    anisotropy: NonNegativeRange = Field(description="Relative difference of the magnification by direction")
    barrel: Range = Field(description="Radial distortion at the corners, relative; > 0 pincushion")
    wobble: NonNegativeRange = Field(description="Smooth random distortion, root mean square [px]")
    bits: Annotated[dict[Literal[0, 8, 16], float], AfterValidator(_weights)] = Field(
        description="Relative frequency of the depths of the file [bits]; 0: counts as they are"
    )

    @model_validator(mode="after")
    def _check_sizes(self) -> DetectorRanges:
        if min(self.shape) < 64:
            raise ValueError(f"shape must be at least 64 × 64 px, got {self.shape[0]} × {self.shape[1]}")
        for name, highest in (
            ("gradient", 1.0),
            ("unevenness", 0.3),
            ("anisotropy", 0.1),
            ("wobble", 5.0),
            ("vignetting", 1.0),
        ):
            value = getattr(self, name)[1]
            if value >= highest:
                raise ValueError(f"{name} must be < {highest:g}, got {value}")
        if max(map(abs, self.barrel)) > 0.1:
            raise ValueError(f"barrel must lie in -0.1 … 0.1, got [{self.barrel[0]}, {self.barrel[1]}]")
        return self


class SynthesisParameters(_Parameters):
    """A simulated set: which images, how many, from which seed."""

    seed: int = Field(ge=0, description="Seed of the set: image i depends on it and on i alone")
    n_images: int = Field(ge=1, description="Images in the set")
    images_per_specimen: int = Field(
        ge=1, description="Images of one specimen, which share its exit wave and its part of the set"
    )
    images_per_shard: int = Field(ge=1, description="Images in one file, a multiple of images_per_specimen")
    validation_share: float = Field(ge=0, lt=1, description="Share of the specimens kept for validation")
    test_share: float = Field(ge=0, lt=1, description="Share of the specimens kept for the test")
    structures: StructureRanges
    defects: DefectRanges
    pores: PoreRanges
    overlays: OverlayRanges
    optics: OpticsRanges
    detector: DetectorRanges

    @model_validator(mode="after")
    def _check_consistency(self) -> SynthesisParameters:
        if self.validation_share + self.test_share >= 1:
            raise ValueError(
                "validation_share + test_share must be < 1, got "
                f"{self.validation_share} + {self.test_share}: nothing is left to train on"
            )
        if self.images_per_shard % self.images_per_specimen:
            raise ValueError(
                "images_per_shard must be a multiple of images_per_specimen "
                f"({self.images_per_specimen}), got {self.images_per_shard}"
            )
        self._check_scales()
        return self

    def _check_scales(self) -> None:
        """Check that pores fit into the field and the aperture into the frequencies of the exit wave."""
        field = min(self.detector.shape) * self.detector.sampling[1]
        if self.pores.radius[1] * 2 > field:
            raise ValueError(
                f"pores.radius must be at most half the largest field ({field / 2:.1f} Å), "
                f"got {self.pores.radius[1]}"
            )
        if self.optics.aperture[1] > WAVE_BAND:
            raise ValueError(
                f"optics.aperture must be at most {WAVE_BAND} 1/Å, what the grid of the exit wave holds, "
                f"got {self.optics.aperture[1]}"
            )


def changed(parameters: SynthesisParameters, changes: Mapping[str, Any]) -> SynthesisParameters:
    """Return the parameters of another set that differs in some values.

    Parameters
    ----------
    parameters
        The set to start from.
    changes
        New values, nested as in `parameters`: ``{"n_images": 100, "detector": {"shape": [384, 384]}}``.

    Raises
    ------
    ValueError
        If a name is unknown or a value is not valid.
    """
    return SynthesisParameters.model_validate(_merged(parameters.model_dump(), changes))


def _merged(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace nested values."""
    return values | {
        name: _merged(values[name], change)
        if isinstance(change, Mapping) and isinstance(values.get(name), dict)
        else change
        for name, change in changes.items()
    }
