"""Simulated sets: recipes, images, contact sheets."""

from amorph2d.pipelines.synthesis.pipeline import create_pipeline

__all__ = ["create_pipeline"]
