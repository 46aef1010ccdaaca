"""Nodes of the adaptation pipeline; one bad micrograph stops no other."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from amorph2d.arrays import as_records
from amorph2d.imaging.adaptation.config import AdaptationParameters
from amorph2d.imaging.config import SynthesisParameters
from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.pipelines.scheduling import ComputingParameters
from amorph2d.pipelines.types import Appearances, Figure, Measured, MicrographLoader, SimulatedSet

logger = logging.getLogger(__name__)

ANALYSED, NOT_ANALYSED, POOLED = "analysed", "not analysed", "pooled"
EXAMPLES = 3  # micrographs of each kind in the figure
SHARD = 4  # images of the yardstick that are simulated together


def measure_micrographs(
    micrographs: Mapping[str, MicrographLoader], sampling: object, parameters: AdaptationParameters
) -> tuple[pd.DataFrame, dict[str, Measured]]:
    """Measure the conditions of each micrograph that can be used, and pool them."""
    from amorph2d.imaging.adaptation.conditions import conditions_table, pool_conditions
    from amorph2d.micrographs.calibrate import AUTO, check_sampling_parameter

    given = check_sampling_parameter(sampling)
    if given == AUTO:
        raise ValueError(
            "sampling=auto is for the analysis; to match a set, give the sampling in Å/px that it found, in "
            "calibration.parquet"
        )
    records, measured = [], {}
    for stem, loader in micrographs.items():
        record, found = _measure(loader, given, parameters)
        records.append({"micrograph": stem} | record)
        if found is not None:
            measured[stem] = found
    if not measured:
        reasons = "; ".join(record["reason"] for record in records)
        raise ValueError(f"none of the {len(records)} micrographs can be used: {reasons}")
    known = [item.conditions for item in measured.values()]
    table = conditions_table(known).assign(micrograph=list(measured))
    pooled = {"micrograph": POOLED, "file": POOLED, "status": ANALYSED, "reason": ""}
    rows = pd.DataFrame(records).merge(table, on="micrograph", how="left")
    return pd.concat([rows, pd.DataFrame([pooled | pool_conditions(known)])], ignore_index=True), measured


def _measure(
    loader: MicrographLoader, sampling: float | None, parameters: AdaptationParameters
) -> tuple[dict[str, str], Measured | None]:
    """Measure one micrograph, or say why it cannot be used."""
    from amorph2d.imaging.adaptation.conditions import stored_depth
    from amorph2d.imaging.adaptation.measured import measure_micrograph
    from amorph2d.micrographs.calibrate import resolve_sampling

    record = {"file": loader.path.name, "status": NOT_ANALYSED, "reason": ""}
    try:
        micrograph = loader()
        steps, _ = resolve_sampling(micrograph, parameter=sampling, table=loader.sampling_table)
        found = measure_micrograph(
            micrograph.image,
            sampling=steps,
            comparison=parameters.comparison,
            depth=stored_depth(micrograph.image, micrograph.metadata["dtype"]),
            energy=micrograph.metadata.get("energy"),
        )
    except ValueError as error:  # of which the errors of reading are
        logger.warning("%s is not used: %s", loader.path.name, error)
        return record | {"reason": str(error)}, None
    return record | {"status": ANALYSED}, found


def match_ranges(
    measured: Mapping[str, Measured], synthesis: SynthesisParameters, parameters: AdaptationParameters
) -> tuple[SynthesisParameters, dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Narrow the ranges to what was measured, then to the simulated candidates that look alike."""
    from amorph2d.imaging.adaptation.measured import mostly_crystalline
    from amorph2d.imaging.adaptation.narrow import narrow_ranges
    from amorph2d.imaging.adaptation.search import search_conditions

    conditions = [item.conditions for item in measured.values()]
    first = narrow_ranges(synthesis, conditions, adaptation=parameters)
    found = search_conditions(
        [item.clean for item in measured.values()],
        first.parameters,
        search=parameters.search,
        comparison=parameters.comparison,
        is_crystal=mostly_crystalline(list(measured.values())),
    )
    matched = narrow_ranges(
        synthesis, conditions, adaptation=parameters, found=found.ranges, contrast=found.contrast
    )
    for row in matched.table.itertuples():
        logger.info("%s: %s instead of %s (%s)", row.parameter, row.matched, row.base, row.source)
    return matched.parameters, matched.parameters.model_dump(), matched.table, found.candidates


def simulate_yardstick(
    measured: Mapping[str, Measured],
    synthesis: SynthesisParameters,
    parameters: AdaptationParameters,
    computing: ComputingParameters,
) -> Appearances:
    """Simulate a few images of the unmatched ranges: what the adaptation has to be better than."""
    from amorph2d.imaging.adaptation.compare import appearance
    from amorph2d.imaging.adaptation.measured import comparable_families, mostly_crystalline
    from amorph2d.imaging.recipes import draw_recipes
    from amorph2d.imaging.simulated import in_units_of_carbon
    from amorph2d.pipelines.synthesis.scheduling import simulate_shards

    families = comparable_families(
        parameters.families or synthesis.structures.families,
        is_crystal=mostly_crystalline(list(measured.values())),
    )
    changes: dict[str, Any] = {
        "n_images": parameters.comparison.n_images,
        "images_per_specimen": 1,
        "structures": synthesis.structures.model_copy(update={"families": families}),
    }
    if not _show_vacuum(measured.values()):
        changes["pores"] = synthesis.pores.model_copy(update={"probability": 0.0, "open": 0.0})
    unmatched = synthesis.model_copy(update=changes)
    rows = as_records(draw_recipes(unmatched))
    shards = {f"{k:05d}": rows[k : k + SHARD] for k in range(0, len(rows), SHARD)}
    found = {
        name: [
            appearance(image.image, image.sampling, comparison=parameters.comparison)
            for image in map(in_units_of_carbon, images)
        ]
        for name, images in simulate_shards(shards, computing)
    }
    return [item for name in sorted(found) for item in found[name]]


def compare_with_measured(
    micrographs: Mapping[str, MicrographLoader],
    measured: Mapping[str, Measured],
    simulated: SimulatedSet,
    yardstick: Appearances,
    parameters: AdaptationParameters,
) -> tuple[Figure, pd.DataFrame]:
    """Compare images of the matched set with the micrographs, and show examples of both."""
    from amorph2d.imaging.adaptation.compare import appearance, compare_sets
    from amorph2d.plotting.spectra import comparison_figure

    items = list(measured.values())
    images = _comparable_images(simulated, items, parameters.comparison.n_images)
    comparison = compare_sets(
        [item.whole for item in items],
        [appearance(image.image, image.sampling, comparison=parameters.comparison) for image in images],
        unmatched=yardstick,
        halves=(items[0].halves[:1], items[0].halves[1:]) if len(items) == 1 else None,
    )
    shown = [
        (micrographs[stem]().image, item.conditions.sampling, micrographs[stem].path.name)
        for stem, item in list(measured.items())[:EXAMPLES]
    ]
    like = [
        (image.image, image.sampling, f"{image.recipe['family']}, image {image.index}")
        for image in images[:: max(1, len(images) // EXAMPLES)][:EXAMPLES]
    ]
    for row in comparison.distances.itertuples():
        logger.info("%s: spectrum %.3f, grey values %.3f", row.set, row.spectrum, row.grey_values)
    return comparison_figure(comparison, measured=shown, simulated=like), comparison.distances


def _show_vacuum(measured: Iterable[Measured]) -> bool:
    """Whether any of the micrographs shows vacuum."""
    return any(item.conditions.vacuum_share > 0 for item in measured)


def _comparable_images(
    simulated: SimulatedSet, measured: Sequence[Measured], n_images: int
) -> list[SimulatedImage]:
    """Images spread over those of a set that show what the micrographs show, in units of carbon.

    Only crystals are compared with crystals, and only sheets without pores with those that have none.
    """
    from amorph2d.imaging.adaptation.measured import comparable_families, mostly_crystalline
    from amorph2d.imaging.simulated import in_units_of_carbon

    families = [str(recipe["family"]) for recipe in simulated.recipes]
    alike = comparable_families(dict.fromkeys(families, 1.0), is_crystal=mostly_crystalline(measured))
    places = [k for k, family in enumerate(families) if family in alike]
    if not _show_vacuum(measured):
        recipes = simulated.recipes
        whole = [k for k in places if not (recipes[k]["pores"] or recipes[k]["open_edge"])]
        places = whole or places
    chosen = np.unique(np.linspace(0, len(places) - 1, n_images).round().astype(int))
    return [in_units_of_carbon(simulated[places[k]]) for k in chosen]
