"""Adaptation to a microscope: measure, narrow the ranges, make a matched set, compare."""

from amorph2d.pipelines.adaptation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
