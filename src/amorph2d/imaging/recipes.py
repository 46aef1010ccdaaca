"""Recipes: one row of a table holds everything that makes one image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from amorph2d.imaging.config import OpticsRanges, PoreRanges, StructureRanges, SynthesisParameters
from amorph2d.imaging.optics import Optics, matched_defocus

SPLITS = ("training", "validation", "test")


def draw_recipes(parameters: SynthesisParameters) -> pd.DataFrame:
    """Draw the recipes of a set; row i depends on the set's seed and on i alone.

    Returns
    -------
    pandas.DataFrame
        One row per image, indexed from 0, with the columns of `draw_recipe`.
    """
    return pd.DataFrame([draw_recipe(parameters, index) for index in range(parameters.n_images)])


def draw_recipe(parameters: SynthesisParameters, index: int) -> dict[str, Any]:
    """Draw everything that makes image `index`: structure, pores, optics, detector and seeds."""
    if index < 0:
        raise ValueError(f"index must be ≥ 0, got {index}")
    streams = np.random.SeedSequence(parameters.seed, spawn_key=(index,)).spawn(5)
    split, structure, pores, optics, detector = (np.random.default_rng(stream) for stream in streams)
    recipe: dict[str, Any] = {"index": index, "split": _draw_split(parameters, split)}
    recipe |= _draw_structure(parameters.structures, structure)
    recipe |= _draw_pores(parameters.pores, pores)
    recipe |= _draw_optics(parameters.optics, optics)
    recipe |= _draw_detector(parameters, detector)
    return recipe


def _draw_split(parameters: SynthesisParameters, rng: np.random.Generator) -> str:
    """Which part of the set the image belongs to."""
    test, validation = parameters.test_share, parameters.validation_share
    return str(rng.choice(SPLITS, p=[1 - test - validation, validation, test]))


def _choose(weights: dict[Any, float], rng: np.random.Generator) -> str:
    """Draw a key with its relative frequency."""
    total = sum(weights.values())
    return str(rng.choice(list(weights), p=[weight / total for weight in weights.values()]))


def _count(bounds: tuple[int, int], rng: np.random.Generator) -> int:
    """Draw a whole number, both bounds included."""
    return int(rng.integers(bounds[0], bounds[1], endpoint=True))


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _draw_structure(ranges: StructureRanges, rng: np.random.Generator) -> dict[str, Any]:
    """Family, arrangement and the seed of the structure."""
    family = _choose(ranges.families, rng)
    seeds = _choose(ranges.seeds, rng) if family == "relaxed" else "poisson"
    return {
        "structure_seed": int(rng.integers(2**63)),
        "family": family,
        "seeds": seeds,
        "bond_length": float(rng.uniform(*ranges.bond_length)),
        "ring_area": float(rng.uniform(*ranges.ring_area)),
        "lloyd_iterations": _count(ranges.lloyd_iterations, rng) if family == "relaxed" else 0,
        "grains": _count(ranges.grains, rng),
        "smallest_ring": _count(ranges.smallest_ring, rng),
        "jitter": float(rng.uniform(*ranges.jitter)),
        "displacement": float(rng.uniform(*ranges.displacement)) if family == "relaxed" else 0.0,
    }


def _draw_pores(ranges: PoreRanges, rng: np.random.Generator) -> dict[str, Any]:
    """Draw number, size and shape of the pores."""
    porous = rng.random() < ranges.probability
    radius = _log_uniform(ranges.radius, rng)
    irregular = rng.random() < ranges.irregular
    return {
        "pores": _count(ranges.count, rng) if porous else 0,
        "pore_radius": radius,
        "pore_roughness": float(rng.uniform(*ranges.roughness)) if irregular else 0.0,
    }


def _draw_optics(ranges: OpticsRanges, rng: np.random.Generator) -> dict[str, Any]:
    """Aberrations, coherence and vibration."""
    optics: dict[str, float] = {
        "energy": float(rng.choice(ranges.energies)),
        "defocus": float(rng.uniform(*ranges.defocus)),
        "Cs": float(rng.uniform(*ranges.Cs)),
        "focal_spread": float(rng.uniform(*ranges.focal_spread)),
        "angular_spread": float(rng.uniform(*ranges.angular_spread)),
        "semiangle_cutoff": ranges.semiangle_cutoff,
    }
    for name in ("astigmatism", "trefoil", "coma"):
        optics[name] = float(rng.uniform(*getattr(ranges, name)))
        optics[f"{name}_angle"] = float(rng.uniform(0, 360))
    is_matched, is_bright = rng.random() < ranges.matched, bool(rng.random() < 0.5)
    error = float(rng.normal(0, ranges.defocus_error))
    if is_matched:
        optics["defocus"] = matched_defocus(Optics(**optics), bright_atoms=is_bright) + error
    condition = ("bright atoms" if is_bright else "dark atoms") if is_matched else "any"
    return optics | {"condition": condition, "vibration": float(rng.uniform(*ranges.vibration))}


def _draw_detector(parameters: SynthesisParameters, rng: np.random.Generator) -> dict[str, Any]:
    """Draw sampling, dose, MTF, illumination and the seed of the noise."""
    ranges = parameters.detector
    return {
        "noise_seed": int(rng.integers(2**63)),
        "rows": ranges.shape[0],
        "columns": ranges.shape[1],
        "sampling": float(rng.uniform(*ranges.sampling)),
        "dose_per_area": _log_uniform(ranges.dose_per_area, rng),
        "mtf_floor": float(rng.uniform(*ranges.mtf_floor)),
        "mtf_width": float(rng.uniform(*ranges.mtf_width)),
        "mtf_exponent": float(rng.uniform(*ranges.mtf_exponent)),
        "gradient": float(rng.uniform(*ranges.gradient)),
        "gradient_direction": float(rng.uniform(0, 360)),
    }
