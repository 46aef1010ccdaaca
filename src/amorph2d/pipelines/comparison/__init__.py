"""Folders of results held against each other: differences, distributions, figures."""

from amorph2d.pipelines.comparison.pipeline import create_pipeline

__all__ = ["create_pipeline"]
