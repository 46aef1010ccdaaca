"""Nodes of the synthesis pipeline."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pandas as pd

from amorph2d.arrays import as_records
from amorph2d.imaging.config import SynthesisParameters
from amorph2d.pipelines.scheduling import ComputingParameters
from amorph2d.pipelines.types import Figure, SimulatedSet

logger = logging.getLogger(__name__)

EXAMPLES = 6  # images of each family on the contact sheet


def widen_field(
    parameters: SynthesisParameters, wide_field: dict[str, Any]
) -> tuple[SynthesisParameters, dict[str, Any]]:
    """Return the parameters of the wide set, those of the other with some changes, also as JSON values."""
    from amorph2d.imaging.config import changed

    widened = changed(parameters, wide_field)
    return widened, widened.model_dump(mode="json")


def draw_recipes(parameters: SynthesisParameters) -> pd.DataFrame:
    """Draw one row per image, with everything that makes it."""
    from amorph2d.imaging.recipes import draw_recipes

    return draw_recipes(parameters)


def simulate_set(
    recipes: pd.DataFrame,
    finished: dict[str, str],
    parameters: SynthesisParameters,
    computing: ComputingParameters,
) -> Iterator[dict[str, Any]]:
    """Simulate the shards that are not there yet, then name them all in the manifest."""
    from amorph2d import __version__
    from amorph2d.datasets.shards import fingerprint
    from amorph2d.pipelines.synthesis.scheduling import simulate_shards

    rows = as_records(recipes)
    size = parameters.images_per_shard
    shards = {
        f"shard-{k:05d}": rows[first : first + size] for k, first in enumerate(range(0, len(rows), size))
    }
    marks = {name: fingerprint(shard, __version__) for name, shard in shards.items()}
    missing = {name: shard for name, shard in shards.items() if finished.get(name) != marks[name]}
    logger.info(
        "%d of %d shards are there; simulating %d", len(shards) - len(missing), len(shards), len(missing)
    )
    for name, images in simulate_shards(missing, computing):
        yield {name: (images, marks[name])}
    yield {
        "manifest": {
            "set_id": fingerprint(rows, __version__),
            "code_version": __version__,
            "seed": parameters.seed,
            "n_images": len(rows),
            "shards": marks,
        }
    }


def describe_set(simulated: SimulatedSet) -> tuple[Figure, pd.DataFrame]:
    """Show examples of each family, and count what the set holds."""
    from amorph2d.plotting.micrographs import family_sheet

    recipes = pd.DataFrame(simulated.recipes)
    chosen = recipes.drop_duplicates("specimen").groupby("family").head(EXAMPLES).index
    figure = family_sheet([simulated[k] for k in chosen], per_family=EXAMPLES)
    counts = recipes.groupby(["split", "family"]).agg(
        images=("index", "size"),
        specimens=("specimen", "nunique"),
        porous=("pores", lambda pores: int((pores > 0).sum())),
        layered=("layer", lambda layer: int((layer != "none").sum())),
        soiled=("debris", lambda debris: int((debris != "none").sum())),
        dose_low=("dose_per_area", "min"),
        dose_high=("dose_per_area", "max"),
    )
    return figure, counts.reset_index()
