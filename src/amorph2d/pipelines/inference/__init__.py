"""From micrographs to sites: read, calibrate, locate, score."""

from amorph2d.pipelines.inference.pipeline import create_pipeline

__all__ = ["create_pipeline"]
