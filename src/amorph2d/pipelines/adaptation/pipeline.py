"""Wiring of the adaptation pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.adaptation import nodes
from amorph2d.pipelines.synthesis import nodes as synthesis


def create_pipeline(**_: object) -> Pipeline:
    """Create the adaptation pipeline: measure, narrow, simulate the matched set, compare."""
    before = [
        node(
            nodes.measure_micrographs,
            inputs=["micrographs", "params:sampling", "params:adaptation"],
            outputs=["conditions", "measured"],
            name="measure_micrographs",
        ),
        node(
            nodes.match_ranges,
            inputs=["measured", "params:synthesis", "params:adaptation"],
            outputs=["matched_parameters", "matched_set", "matched_ranges", "candidates"],
            name="match_ranges",
        ),
    ]
    # The nodes of synthesis, with matched parameters in the place of those from the parameters file.
    simulation = [
        node(
            synthesis.draw_recipes,
            inputs="matched_parameters",
            outputs="matched.recipes",
            name="draw_matched_recipes",
        ),
        node(
            synthesis.simulate_set,
            inputs=["matched.recipes", "matched.finished_shards", "matched_parameters", "params:computing"],
            outputs="matched.simulated_set",
            name="simulate_matched_set",
        ),
        node(
            synthesis.describe_set,
            inputs="matched.simulated_set",
            outputs=["matched.contact_sheet", "matched.set_description"],
            name="describe_matched_set",
        ),
    ]
    after = [
        node(
            nodes.simulate_yardstick,
            inputs=["measured", "params:synthesis", "params:adaptation", "params:computing"],
            outputs="yardstick",
            name="simulate_yardstick",
        ),
        node(
            nodes.compare_with_measured,
            inputs=["micrographs", "measured", "matched.simulated_set", "yardstick", "params:adaptation"],
            outputs=["comparison_figure", "comparison_distances"],
            name="compare_with_measured",
        ),
    ]
    return pipeline([*before, *simulation, *after])
