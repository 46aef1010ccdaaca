"""Wiring of the inference pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.inference.nodes import calibrate_micrographs, conclude_calibration, locate_sites


def create_pipeline(**_: object) -> Pipeline:
    """Create the inference pipeline: read and calibrate, locate sites, conclude."""
    return pipeline(
        [
            node(
                calibrate_micrographs,
                inputs=["micrographs", "params:sampling", "params:localisation"],
                outputs="calibrations",
                name="calibrate_micrographs",
            ),
            node(
                locate_sites,
                inputs=["micrographs", "calibrations", "champion_sites", "params:localisation"],
                outputs=["sites", "locations"],
                name="locate_sites",
            ),
            node(
                conclude_calibration,
                inputs=["micrographs", "calibrations", "locations", "sites"],
                outputs="calibration",
                name="conclude_calibration",
            ),
        ]
    )
