"""Fine-tuning of the champion to the set that `adaptation` matched to a microscope."""

from amorph2d.pipelines.finetuning.pipeline import create_pipeline

__all__ = ["create_pipeline"]
