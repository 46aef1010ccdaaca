"""Recipes: one row of a table holds everything that makes one image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.imaging.config import (
    DefectRanges,
    DetectorRanges,
    OpticsRanges,
    OverlayRanges,
    StructureRanges,
    SynthesisParameters,
)
from amorph2d.imaging.optics import Optics, matched_defocus, wavelength
from amorph2d.structures import molecular, silica
from amorph2d.structures.lattices import CARBON_BOND

SPLITS = ("training", "validation", "test")
GOLDEN_RATIO = (1 + 5**0.5) / 2
LENGTH_SCALES = {"silica": silica.LENGTH_SCALE, "polymer": molecular.LENGTH_SCALE}
CRYSTALS = ("graphene", "boron_nitride")
NETWORKS = ("switched", *LENGTH_SCALES)  # families whose rings come from bond switching
CONTRACTED = ("relaxed", "switched", "polycrystal", "graphene")  # families whose bare edges are relaxed
OPENED = ("relaxed", "switched", "polycrystal")  # families that may have atoms with two bonds
GRANULAR = 0.6  # share of hexagons from which a switched sheet may start from a polycrystal
WIDEST_PORE = 0.34  # radius of the widest pore, as a part of the field
BAND = (0.35, 0.9)  # frequencies in which neighbouring atoms of carbon are told apart [1/Å]

# What an image of a flat, perfect sheet under a perfect microscope has: the neutral value of every column.
PLAIN: dict[str, Any] = {
    "index": 0,
    "specimen": 0,
    "split": "test",
    "family": "given",
    "length_scale": 1.0,
    "energy": 8e4,
    "specimen_sampling": 0.2,
    "rows": 512,
    "columns": 512,
    "structure_seed": 0,
    "bond_length": CARBON_BOND,
    "ring_area": 5.24,
    "lloyd_iterations": 0,
    "smallest_ring": 5,
    "grains": 0,
    "jitter": 0.0,
    "hexagons": 1.0,
    "rotation": 0.0,
    "displacement": 0.0,
    "strain": 0.0,
    "ripple": 0.0,
    "wavelength": 30.0,
    "tilt": 0.0,
    "tilt_direction": 0.0,
    "defect": "none",
    "defect_density": 0.0,
    "dopant": 0,
    "dopant_share": 0.0,
    "opening_share": 0.0,
    "contraction": 0.0,
    "pores": 0,
    "pore_radius": 1.0,
    "pore_roughness": 0.0,
    "erosion": 0.0,
    "open_edge": False,
    "layer": "none",
    "layer_share": 0.0,
    "layer_gap": 3.35,
    "layer_rotation": 0.0,
    "debris": "none",
    "debris_coverage": 0.0,
    "debris_thickness": 5.0,
    "debris_density": 2.0,
    "adatom": 0,
    "adatom_density": 0.0,
    "cluster": 1,
    "defocus": 0.0,
    "Cs": 0.0,
    "C5": 0.0,
    "focal_spread": 0.0,
    "angular_spread": 0.0,
    "semiangle_cutoff": 60.0,
    "astigmatism": 0.0,
    "astigmatism_angle": 0.0,
    "trefoil": 0.0,
    "trefoil_angle": 0.0,
    "coma": 0.0,
    "coma_angle": 0.0,
    "condition": "any",
    "vibration": 0.0,
    "drift": 0.0,
    "drift_direction": 0.0,
    "noise_seed": 0,
    "sampling": 0.2,
    "dose_per_area": 1e4,
    "mtf_floor": 1.0,
    "mtf_width": 1.0,
    "mtf_exponent": 2.0,
    "readout_noise": 0.0,
    "gain_noise": 0.0,
    "dead_pixels": 0.0,
    "spikes": 0.0,
    "gradient": 0.0,
    "gradient_direction": 0.0,
    "vignetting": 0.0,
    "unevenness": 0.0,
    "anisotropy": 0.0,
    "anisotropy_direction": 0.0,
    "barrel": 0.0,
    "wobble": 0.0,
    "bits": 0,
}
SPECIMEN_COLUMNS = tuple(PLAIN)[1 : tuple(PLAIN).index("defocus")]  # what images of one specimen share


def plain_recipe(**given: Any) -> dict[str, Any]:
    """Return the recipe of an undisturbed image, except for what is `given`.

    Raises
    ------
    ValueError
        If something is given that a recipe does not have.
    """
    unknown = sorted(given.keys() - PLAIN.keys())
    if unknown:
        raise ValueError(f"a recipe has no {', '.join(unknown)}; it has {', '.join(PLAIN)}")
    recipe = PLAIN | given
    return recipe | {"specimen_sampling": given.get("specimen_sampling", recipe["sampling"])}


def draw_recipes(parameters: SynthesisParameters) -> pd.DataFrame:
    """Draw the recipes of a set; row i depends on the set's seed and on i alone.

    Returns
    -------
    pandas.DataFrame
        One row per image, indexed from 0, with the columns of `draw_recipe`.
    """
    return pd.DataFrame([draw_recipe(parameters, index) for index in range(parameters.n_images)])


def draw_recipe(parameters: SynthesisParameters, index: int) -> dict[str, Any]:
    """Draw everything that makes image `index`: specimen, optics, detector and seeds.

    Images ``k * images_per_specimen`` and following show one specimen and belong to one part of the set, so
    that nothing of a test specimen is ever seen in training.
    """
    if index < 0:
        raise ValueError(f"index must be ≥ 0, got {index}")
    specimen = index // parameters.images_per_specimen
    common = np.random.SeedSequence(parameters.seed, spawn_key=(0, specimen)).spawn(6)
    _, structure, defects, pores, overlays, scale = map(np.random.default_rng, common)
    own = np.random.SeedSequence(parameters.seed, spawn_key=(1, index)).spawn(2)
    optics, detector = map(np.random.default_rng, own)
    recipe: dict[str, Any] = {
        "index": index,
        "specimen": specimen,
        "split": _split(parameters, specimen),
    }
    recipe |= _draw_structure(parameters.structures, structure)
    recipe |= _draw_scale(parameters, recipe["length_scale"], scale)
    recipe |= _draw_defects(parameters.defects, recipe["family"], defects)
    recipe |= _draw_pores(parameters, recipe, pores)
    recipe |= _draw_overlays(parameters.overlays, recipe["length_scale"], overlays)
    recipe |= _draw_optics(parameters.optics, recipe, optics)
    recipe |= _draw_detector(parameters.detector, recipe, detector)
    return {name: recipe[name] for name in PLAIN}


def _split(parameters: SynthesisParameters, specimen: int) -> str:
    """Which part of the set a specimen belongs to: any number of neighbours has the shares, nearly.

    Multiples of the golden ratio, from a random start, fill the unit interval evenly; random draws would
    leave small sets without validation images now and then.
    """
    start = np.random.default_rng(np.random.SeedSequence(parameters.seed, spawn_key=(2,))).random()
    place = (start + specimen * GOLDEN_RATIO) % 1.0
    if place < parameters.validation_share:
        return "validation"
    return "test" if place >= 1 - parameters.test_share else "training"


def _choose(weights: Mapping[Any, float], rng: np.random.Generator) -> Any:
    """Draw a key with its relative frequency."""
    keys, total = list(weights), sum(weights.values())
    return keys[int(rng.choice(len(keys), p=[weight / total for weight in weights.values()]))]


def _count(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw a whole number, both bounds included."""
    return int(rng.integers(bounds[0], bounds[1], endpoint=True))


def _uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a number uniformly."""
    return float(rng.uniform(*bounds))


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _draw_structure(ranges: StructureRanges, rng: np.random.Generator) -> dict[str, Any]:
    """Family, arrangement, deformation and the seed of the structure."""
    family = str(_choose(ranges.families, rng))
    drawn: dict[str, Any] = {
        "structure_seed": int(rng.integers(2**63)),
        "family": family,
        "length_scale": LENGTH_SCALES.get(family, 1.0),
        "bond_length": _uniform(ranges.bond_length, rng),
        "ring_area": _uniform(ranges.ring_area, rng),
        "lloyd_iterations": _count(ranges.lloyd_iterations, rng),
        "smallest_ring": _count(ranges.smallest_ring, rng),
        "grains": _count(ranges.grains, rng),
        "jitter": _uniform(ranges.jitter, rng),
        "hexagons": _uniform(ranges.hexagons, rng),
        "rotation": float(rng.uniform(0, 60)),
        "displacement": _uniform(ranges.displacement, rng),
        "strain": _uniform(ranges.strain, rng),
        "ripple": _uniform(ranges.ripple, rng),
        "wavelength": _uniform(ranges.wavelength, rng),
    }
    is_granular = rng.random() < ranges.granular and drawn["hexagons"] >= GRANULAR
    is_tilted = rng.random() < ranges.tilted
    drawn |= {"tilt": _uniform(ranges.tilt, rng), "tilt_direction": float(rng.uniform(0, 360))}
    unused = {
        "ring_area": family != "voronoi",
        "lloyd_iterations": family != "relaxed",
        "smallest_ring": family not in ("relaxed", "polycrystal"),
        "grains": not (family == "polycrystal" or (family == "switched" and is_granular)),
        "jitter": family != "polycrystal",
        "hexagons": family not in NETWORKS,
        "rotation": family not in CRYSTALS,
        "displacement": family == "voronoi",
        "strain": family in ("voronoi", *LENGTH_SCALES),
        "ripple": family in LENGTH_SCALES,
        "tilt": not is_tilted or family in LENGTH_SCALES,
    }
    return drawn | {name: PLAIN[name] for name, is_unused in unused.items() if is_unused}


def _draw_scale(parameters: SynthesisParameters, scale: float, rng: np.random.Generator) -> dict[str, Any]:
    """Energy and size of the field, which the images of a specimen share."""
    return {
        "energy": float(_choose(parameters.optics.energies, rng)),
        "specimen_sampling": scale * _uniform(parameters.detector.sampling, rng),
        "rows": parameters.detector.shape[0],
        "columns": parameters.detector.shape[1],
    }


def _draw_defects(ranges: DefectRanges, family: str, rng: np.random.Generator) -> dict[str, Any]:
    """Point defects of crystals, atoms with two bonds of networks, foreign atoms of all carbon."""
    is_defective = rng.random() < ranges.probability and family in CRYSTALS
    kind, density = str(_choose(ranges.kinds, rng)), _log_uniform(ranges.density, rng)
    is_doped = rng.random() < ranges.doped and family not in (*LENGTH_SCALES, "boron_nitride")
    dopant, share = int(_choose(ranges.dopants, rng)), _log_uniform(ranges.dopant_share, rng)
    is_opened = rng.random() < ranges.opened and family in OPENED
    opening_share = _log_uniform(ranges.opening_share, rng)
    contraction = _uniform(ranges.contraction, rng)
    return {
        "defect": kind if is_defective else "none",
        "defect_density": density if is_defective else 0.0,
        "dopant": dopant if is_doped else 0,
        "dopant_share": share if is_doped else 0.0,
        "opening_share": opening_share if is_opened else 0.0,
        "contraction": contraction if family in CONTRACTED else 0.0,
    }


def _draw_pores(
    parameters: SynthesisParameters, recipe: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Draw number, size and shape of the pores; sizes follow the material."""
    ranges = parameters.pores
    porous = rng.random() < ranges.probability
    field = min(recipe["rows"], recipe["columns"]) * recipe["specimen_sampling"]
    widest = min(WIDEST_PORE, 0.49 / (1 + ranges.roughness[1])) * field
    scaled = ranges.radius[0] * recipe["length_scale"], ranges.radius[1] * recipe["length_scale"]
    radius = _log_uniform((min(scaled[0], widest), min(scaled[1], widest)), rng)
    irregular = rng.random() < ranges.irregular
    roughness = _uniform(ranges.roughness, rng)
    drawn = {
        "pores": _count(ranges.count, rng),
        "pore_radius": radius,
        "pore_roughness": roughness if irregular else 0.0,
        "erosion": _uniform(ranges.erosion, rng),
        "open_edge": bool(rng.random() < ranges.open),
    }
    if not porous:
        drawn |= {name: PLAIN[name] for name in ("pores", "pore_radius", "pore_roughness")}
    return drawn if porous or drawn["open_edge"] else drawn | {"erosion": PLAIN["erosion"]}


def _draw_overlays(ranges: OverlayRanges, scale: float, rng: np.random.Generator) -> dict[str, Any]:
    """Second layers, debris and adatoms, on carbon and boron nitride."""
    has_layer, has_debris, has_adatoms = rng.random(3) < (ranges.layer, ranges.debris, ranges.adatoms)
    is_partial, is_amorphous, is_hydrocarbon, is_below = rng.random(4) < (
        ranges.partial,
        ranges.amorphous,
        ranges.hydrocarbon,
        0.5,
    )
    layer_share, coverage = _uniform(ranges.coverage, rng), _uniform(ranges.coverage, rng)
    gap = _uniform(ranges.gap, rng)
    drawn = {
        "layer": "amorphous" if is_amorphous else "twisted",
        "layer_share": layer_share if is_partial else 1.0,
        "layer_gap": -gap if is_below else gap,
        "layer_rotation": float(rng.uniform(0, 60)),
        "debris": "hydrocarbon" if is_hydrocarbon else "carbon",
        "debris_coverage": coverage,
        "debris_thickness": _uniform(ranges.thickness, rng),
        "debris_density": _uniform(
            ranges.hydrocarbon_density if is_hydrocarbon else ranges.carbon_density, rng
        ),
        "adatom": int(_choose(ranges.elements, rng)),
        "adatom_density": _log_uniform(ranges.adatom_density, rng),
        "cluster": _count(ranges.cluster, rng),
    }
    is_atomic = scale == 1
    for has, names in (
        (has_layer, ("layer", "layer_share", "layer_gap", "layer_rotation")),
        (has_debris, ("debris", "debris_coverage", "debris_thickness", "debris_density")),
        (has_adatoms, ("adatom", "adatom_density", "cluster")),
    ):
        if not (has and is_atomic):
            drawn |= {name: PLAIN[name] for name in names}
    return drawn


def _draw_optics(ranges: OpticsRanges, recipe: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Aberrations, coherence, vibration and drift."""
    scale = recipe["length_scale"]
    aperture = _uniform(ranges.aperture, rng) / scale
    optics: dict[str, float] = {
        "defocus": _uniform(ranges.defocus, rng) * scale**2,
        "Cs": _uniform(ranges.Cs, rng),
        "C5": _uniform(ranges.C5, rng),
        "focal_spread": _uniform(ranges.focal_spread, rng),
        "angular_spread": _uniform(ranges.angular_spread, rng) / scale,
        "semiangle_cutoff": 1e3 * aperture * wavelength(recipe["energy"]),
    }
    for name in ("astigmatism", "trefoil", "coma"):
        optics[name] = _uniform(getattr(ranges, name), rng)
        optics[f"{name}_angle"] = float(rng.uniform(0, 360))
    is_matched, is_bright = rng.random() < ranges.matched, bool(rng.random() < ranges.bright_atoms)
    error, far = float(rng.normal(0, ranges.defocus_error)), _uniform(ranges.polymer_defocus, rng)
    if recipe["family"] == "polymer":
        is_matched, optics["defocus"] = False, far
    if is_matched:
        band = BAND[0] / scale, BAND[1] / scale
        given = Optics(energy=recipe["energy"], **optics)
        optics["defocus"] = matched_defocus(given, bright_atoms=is_bright, band=band) + error * scale**2
    condition = ("bright atoms" if is_bright else "dark atoms") if is_matched else "any"
    return optics | {
        "condition": condition,
        "vibration": scale * _uniform(ranges.vibration, rng),
        "drift": scale * _uniform(ranges.drift, rng),
        "drift_direction": float(rng.uniform(0, 360)),
    }


def _draw_detector(
    ranges: DetectorRanges, recipe: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Any]:
    """Draw sampling, dose, camera, illumination, distortion, depth and the seed of the noise."""
    is_faulty = rng.random() < ranges.faulty
    faults = {name: _uniform(getattr(ranges, name), rng) for name in ("dead_pixels", "spikes")}
    others = (
        "mtf_floor", "mtf_width", "mtf_exponent", "readout_noise", "gain_noise", "gradient", "vignetting",
        "unevenness", "anisotropy", "barrel", "wobble",
    )  # fmt: skip
    dose = _log_uniform(ranges.dose_per_area, rng) / recipe["length_scale"] ** 2
    faint = _log_uniform(ranges.polymer_dose, rng)
    drawn = {
        "noise_seed": int(rng.integers(2**63)),
        "sampling": recipe["specimen_sampling"] * _uniform(ranges.zoom, rng),
        "dose_per_area": faint if recipe["family"] == "polymer" else dose,
        **{name: _uniform(getattr(ranges, name), rng) for name in others},
        "gradient_direction": float(rng.uniform(0, 360)),
        "anisotropy_direction": float(rng.uniform(0, 180)),
        "bits": int(_choose(ranges.bits, rng)),
    }
    return drawn | (faults if is_faulty else dict.fromkeys(faults, 0.0))
