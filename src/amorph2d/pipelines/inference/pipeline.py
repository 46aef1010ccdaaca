"""Wiring of the inference pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.inference.nodes import (
    analyse_micrographs,
    calibrate_micrographs,
    conclude_calibration,
)

LOCALISATION, ANALYSIS = "params:localisation", "params:analysis"


def create_pipeline(**_: object) -> Pipeline:
    """Create the inference pipeline: read and calibrate, analyse, conclude."""
    return pipeline(
        [
            node(
                calibrate_micrographs,
                inputs=[
                    "micrographs",
                    "champion_sites",
                    "params:sampling",
                    "params:length_scale",
                    LOCALISATION,
                    ANALYSIS,
                    "params:computing",
                ],
                outputs="calibrations",
                name="calibrate_micrographs",
            ),
            node(
                analyse_micrographs,
                inputs=[
                    "micrographs",
                    "calibrations",
                    "finished_analyses",
                    "champion_sites",
                    "champion_monolayer",
                    "champion_pores",
                    "champion_illumination",
                    "params:region",
                    LOCALISATION,
                    ANALYSIS,
                    "params:computing",
                ],
                outputs=["sites", "drift", "masks", "windows", "twins", "analyses"],
                name="analyse_micrographs",
            ),
            node(
                conclude_calibration,
                inputs=["micrographs", "calibrations", "analyses", "sites"],
                outputs="calibration",
                name="conclude_calibration",
            ),
        ]
    )
