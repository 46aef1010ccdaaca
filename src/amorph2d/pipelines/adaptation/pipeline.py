"""Wiring of the adaptation pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.adaptation import nodes
from amorph2d.pipelines.synthesis.pipeline import simulation


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
    after = [
        node(
            nodes.simulate_yardstick,
            inputs=["measured", "params:synthesis", "params:adaptation", "params:computing"],
            outputs="yardstick",
            name="simulate_yardstick",
        ),
        node(
            nodes.compare_with_measured,
            inputs=["micrographs", "measured", "matched_simulated_set", "yardstick", "params:adaptation"],
            outputs=["comparison_figure", "comparison_distances"],
            name="compare_with_measured",
        ),
    ]
    # The nodes of synthesis, with matched parameters in the place of those from the parameters file.
    return pipeline(before) + simulation("matched_parameters", kind="matched") + pipeline(after)
