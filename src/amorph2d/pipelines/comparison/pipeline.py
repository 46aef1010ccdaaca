"""Wiring of the comparison pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.comparison.nodes import compare_folders


def create_pipeline(**_: object) -> Pipeline:
    """Create the comparison pipeline: folders of results in, differences and figures out."""
    return pipeline(
        [
            node(
                compare_folders,
                inputs=["params:comparison", "params:statistics"],
                outputs=[
                    "group_comparison",
                    "group_distances",
                    "group_comparison_json",
                    "group_lengths_plot",
                    "group_angles_plot",
                    "group_rings_plot",
                    "group_pairs_plot",
                    "comparison_svg",
                    "comparison_pdf",
                ],
                name="compare_folders",
            )
        ]
    )
