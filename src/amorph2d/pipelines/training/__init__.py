"""Training of networks, one namespace per task: fit, calibrate, evaluate, register."""

from amorph2d.pipelines.training.pipeline import create_pipeline

__all__ = ["create_pipeline"]
