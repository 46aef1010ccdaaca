"""Wiring of the synthesis pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.synthesis.nodes import describe_set, draw_recipes, simulate_set


def create_pipeline(**_: object) -> Pipeline:
    """Create the synthesis pipeline: draw recipes, simulate, describe the set."""
    return pipeline(
        [
            node(draw_recipes, inputs="params:synthesis", outputs="recipes", name="draw_recipes"),
            node(
                simulate_set,
                inputs=["recipes", "finished_shards", "params:synthesis", "params:computing"],
                outputs="simulated_set",
                name="simulate_set",
            ),
            node(
                describe_set,
                inputs="simulated_set",
                outputs=["contact_sheet", "set_description"],
                name="describe_set",
            ),
        ]
    )
