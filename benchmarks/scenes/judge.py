"""What networks find in an image, as counts and sums; ratios come after adding up."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.analysis.frame import FrameAnalysis, Networks, analyse_frame
from amorph2d.learning.storage import load_network
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.locate import locate_sites
from amorph2d.localisation.masks import segment
from amorph2d.localisation.matching import match_points
from amorph2d.localisation.scores import score_sites
from amorph2d.measures.config import StatisticsParameters
from amorph2d.measures.tables import bonds_table, rings_table
from scenes.cache import CachedImage
from scenes.structures import true_bonds, true_rings
from scenes.truth import MONOLAYER, OTHER, VACUUM

CONFIGURATION = Path(__file__).parents[2] / "conf" / "base"
SHIPPED = Path(__file__).parents[2] / "src" / "amorph2d" / "networks"
TASKS = ("sites", "monolayer", "pores", "illumination")
CHANNELS = ("atom", "ring")
MATCHED = 0.5  # largest distance of a found site from the true one [Å]
RING_CLASSES = (4, 5, 6, 7, 8)  # 4 and smaller, 8 and larger
CLASSES = {"vacuum": VACUUM, "monolayer": MONOLAYER, "other": OTHER}
PATCH = 8.0  # around the middle of an image, over which its bound is averaged [Å]


@cache
def localisation() -> LocalisationParameters:
    """Return the project's own parameters of localisation."""
    return LocalisationParameters(**_configured("parameters_inference.yml", "localisation"))


@cache
def statistics() -> StatisticsParameters:
    """Return the project's own parameters of the statistics."""
    return StatisticsParameters(**_configured("parameters_statistics.yml", "statistics"))


def _configured(file: str, name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((CONFIGURATION / file).read_text())[name])


@cache
def analysis() -> AnalysisParameters:
    """Return the project's own parameters of the analysis, without the twin."""
    given = AnalysisParameters(**_configured("parameters_inference.yml", "analysis"))
    return given.model_copy(update={"twin": None})


@cache
def shipped() -> Networks:
    """Return the networks that the project ships."""
    return Networks(**{task: load_network(SHIPPED / task) for task in TASKS})


def analyse(image: CachedImage, networks: Mapping[str, Any]) -> FrameAnalysis:
    """Do all that the project does with a micrograph, up to its sites and its mask."""
    return analyse_frame(
        image.image, sampling=image.sampling, networks=Networks(**networks), localisation=localisation(),
        parameters=analysis(),
    )  # fmt: skip


def judge_sites(image: CachedImage, network: Any, found: pd.DataFrame | None = None) -> dict[str, float]:
    """Count found, true and matched sites, and rings of each size; those of the network if none are given."""
    if found is None:
        found = locate_sites(image.image, sampling=image.sampling, network=network, parameters=localisation())
    if image.conditions.coma:
        found = _without_shift(found, image.atoms)
    window = _window(image)
    counts: dict[str, float] = {}
    for kind, truth in (("atom", image.atoms), ("ring", image.rings)):
        points = found.loc[found["kind"] == kind, ["x", "y"]].to_numpy()
        score = score_sites(points, truth, max_distance=MATCHED, window=window)
        counts |= {
            f"{kind}_found": score.n_predicted, f"{kind}_true": score.n_reference,
            f"{kind}_matched": score.n_matched, f"{kind}_squares": score.sum_squared_distance,
        }  # fmt: skip
    counts |= _errors_in_sigmas(found, image.atoms, window)
    bound = image_bound(image)
    if np.isfinite(bound):
        counts |= {"bounded": counts["atom_matched"], "bounded_squares": counts["atom_squares"]}
        counts["bound_squares"] = counts["atom_matched"] * bound**2
    return counts | _ring_counts("true", _true_sizes(image)) | _ring_counts("found", _found_sizes(found))


def _without_shift(found: pd.DataFrame, truth: np.ndarray) -> pd.DataFrame:
    """Take off the displacement that all found atoms have in common: coma moves the image as a whole."""
    points = found.loc[found["kind"] == "atom", ["x", "y"]].to_numpy()
    pairs = match_points(points, truth, max_distance=MATCHED).pairs
    shift = (points[pairs[:, 0]] - truth[pairs[:, 1]]).mean(axis=0) if len(pairs) else np.zeros(2)
    return found.assign(x=found["x"] - shift[0], y=found["y"] - shift[1])


def _errors_in_sigmas(
    found: pd.DataFrame, truth: np.ndarray, window: tuple[float, float, float, float]
) -> dict[str, float]:
    """Count errors along x and y of matched atoms, and those within one and two of their sigmas."""
    atoms = found[found["kind"] == "atom"]
    points = atoms[["x", "y"]].to_numpy()
    is_inside = ((points >= window[:2]) & (points <= window[2:])).all(axis=1)
    points, sigma = points[is_inside], atoms["sigma"].to_numpy()[is_inside]
    pairs = match_points(points, truth, max_distance=MATCHED).pairs
    errors = np.abs(points[pairs[:, 0]] - truth[pairs[:, 1]]) / sigma[pairs[:, :1]]
    errors = errors[np.isfinite(errors).all(axis=1)]
    return {"errors": errors.size, "errors_1": (errors <= 1).sum(), "errors_2": (errors <= 2).sum()}


def judge_areas(
    image: CachedImage, networks: Mapping[str, Any], mask: np.ndarray | None = None
) -> dict[str, float]:
    """Count pixels of each class, found, true and both; add up what is left of the illumination."""
    counts: dict[str, float] = {}
    tasks = {task: networks[task] for task in ("pores", "monolayer") if task in networks}
    if tasks:
        if mask is None:
            mask = segment(image.image, sampling=image.sampling, networks=tasks, parameters=localisation())
        decided = {"vacuum": "pores", "monolayer": "monolayer", "other": "monolayer"}
        for name, value in CLASSES.items():
            if decided[name] not in tasks:
                continue
            is_found, is_true = mask == value, image.mask == value
            counts |= {f"{name}_found": is_found.sum(), f"{name}_true": is_true.sum()}
            counts[f"{name}_both"] = (is_found & is_true).sum()
    if "illumination" in networks:
        counts |= judge_light(image, networks["illumination"])
    return counts


def judge_light(image: CachedImage, network: Any) -> dict[str, float]:
    """Add up squares of background / truth - 1 less its mean, of the estimate and of a constant."""
    from amorph2d.localisation.areas import estimate_background

    estimate = estimate_background(
        image.image, sampling=image.sampling, network=network, parameters=localisation()
    )
    residual, uncorrected = estimate / image.illumination, 1 / image.illumination
    return {
        "light_pixels": residual.size,
        "light_squares": residual.size * float((residual / residual.mean() - 1).var()),
        "light_uncorrected": residual.size * float((uncorrected / uncorrected.mean() - 1).var()),
    }


def image_bound(image: CachedImage) -> float:
    """Return the Cramér–Rao bound per axis [Å], the root mean square over a patch; NaN where unknown."""
    try:
        from amorph2d.imaging.bounds import Exposure, position_bound
        from amorph2d.imaging.optics import Optics
    except ImportError:
        return float("nan")
    conditions = image.conditions
    middle = np.full(2, (conditions.size - 1) / 2 * conditions.sampling)
    centre = image.atoms[np.argmin(np.hypot(*(image.atoms - middle).T))]
    around = np.hypot(*(image.atoms - centre).T)
    row, column = np.rint(centre[::-1] / conditions.sampling).astype(int)
    optics = Optics(
        energy=conditions.energy, defocus=conditions.defocus, Cs=conditions.Cs,
        focal_spread=conditions.focal_spread, angular_spread=conditions.angular_spread,
        semiangle_cutoff=conditions.semiangle_cutoff, astigmatism=conditions.astigmatism,
        trefoil=conditions.trefoil, trefoil_angle=conditions.trefoil_angle,
        coma=conditions.coma, coma_angle=conditions.coma_angle,
    )  # fmt: skip
    exposure = Exposure(
        dose_per_area=conditions.dose_per_area * float(image.illumination[row, column]),
        sampling=conditions.sampling, vibration=conditions.vibration,
    )  # fmt: skip
    is_near = around <= PATCH + 5
    bounds = position_bound(image.atoms[is_near], optics=optics, exposure=exposure)
    return float(np.sqrt((bounds[around[is_near] <= PATCH] ** 2).mean()))


def _window(image: CachedImage) -> tuple[float, float, float, float]:
    """Return where sites count: the area in which the table of sites calls them analysable."""
    border, step = localisation().border, image.conditions.sampling
    low, high = border - step / 2, (image.conditions.size - 0.5) * step - border
    return low, low, high, high


def _true_sizes(image: CachedImage) -> np.ndarray:
    """Return the sizes of the true rings whose atoms all count."""
    low, _, high, _ = _window(image)
    is_counted = ((image.atoms >= low) & (image.atoms <= high)).all(axis=1)
    rings = true_rings(
        image.atoms, true_bonds(image.atoms), is_counted=is_counted, max_size=statistics().rings.max_size
    )
    return np.asarray(rings.sizes[rings.is_complete])


def _found_sizes(found: pd.DataFrame) -> np.ndarray:
    """Return the sizes of the found rings whose atoms all count."""
    rings = rings_table(found, bonds_table(found, statistics()), statistics())
    return rings.loc[rings["complete"], "size"].to_numpy()


def _ring_counts(name: str, sizes: np.ndarray) -> dict[str, float]:
    """Count rings by size."""
    counts = np.bincount(np.clip(sizes, RING_CLASSES[0], RING_CLASSES[-1]), minlength=RING_CLASSES[-1] + 1)
    return {f"rings_{name}": len(sizes)} | {f"rings_{name}_{k}": counts[k] for k in RING_CLASSES}


def ratios(sums: pd.Series) -> dict[str, float]:
    """Return the figures of merit of added-up counts; NaN where nothing was counted."""
    row: dict[str, float] = {"images": sums["images"]}

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else float("nan")

    for kind in CHANNELS:
        if f"{kind}_found" in sums:
            row[f"{kind} F1"] = ratio(
                2 * sums[f"{kind}_matched"], sums[f"{kind}_found"] + sums[f"{kind}_true"]
            )
            row[f"{kind} precision"] = ratio(sums[f"{kind}_matched"], sums[f"{kind}_found"])
            row[f"{kind} recall"] = ratio(sums[f"{kind}_matched"], sums[f"{kind}_true"])
            row[f"{kind} RMSE"] = ratio(sums[f"{kind}_squares"], sums[f"{kind}_matched"]) ** 0.5
    if "errors" in sums:
        for k in (1, 2):
            row[f"within {k}σ %"] = 100 * ratio(sums[f"errors_{k}"], sums["errors"])
    if "bounded" in sums:
        row["RMSE/bound"] = ratio(sums["bounded_squares"] / 2, sums["bound_squares"]) ** 0.5
    if "rings_found" in sums:
        for k in RING_CLASSES:
            found = ratio(sums[f"rings_found_{k}"], sums["rings_found"])
            row[f"Δ{k}"] = 100 * (found - ratio(sums[f"rings_true_{k}"], sums["rings_true"]))
        row["rings"] = ratio(sums["rings_found"], sums["rings_true"])
    for name in CLASSES:
        if f"{name}_both" in sums:
            whole = sums[f"{name}_found"] + sums[f"{name}_true"]
            row[f"Dice {name}"] = ratio(2 * sums[f"{name}_both"], whole)
    if "light_pixels" in sums:
        row["light left %"] = 100 * ratio(sums["light_squares"], sums["light_pixels"]) ** 0.5
        row["light before %"] = 100 * ratio(sums["light_uncorrected"], sums["light_pixels"]) ** 0.5
    return row
