"""From sites to bonds, rings, distributions, intervals, figures and the report."""

from amorph2d.pipelines.statistics.pipeline import create_pipeline

__all__ = ["create_pipeline"]
