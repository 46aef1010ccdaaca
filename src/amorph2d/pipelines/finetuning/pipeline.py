"""Wiring of the fine-tuning pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.finetuning import nodes
from amorph2d.pipelines.training.pipeline import SHARED, judging_nodes

TASKS = ("sites",)


def create_pipeline(**_: object) -> Pipeline:
    """Create the pipeline: fit the champion of each task further to the matched set, then judge it."""
    return sum((_finetuning(task) for task in TASKS), Pipeline([]))


def _finetuning(task: str) -> Pipeline:
    """Fine-tuning of one task in its own namespace."""
    before = [
        node(
            nodes.choose_parameters,
            inputs=["champion_network", "params:training", "params:finetuning"],
            outputs="parameters",
            name="choose_parameters",
        ),
        node(
            nodes.mix_sets,
            inputs=["matched_set", "general_set", "params:finetuning"],
            outputs="simulated_set",
            name="mix_sets",
        ),
        node(
            nodes.finetune_network,
            inputs=[
                "simulated_set", "champion_network", "parameters", "params:finetuning", "params:task",
                "checkpoints",
            ],
            outputs=["fitted_network", "history", "run"],
            name="finetune_network",
        ),
    ]  # fmt: skip
    return pipeline(
        [*before, *judging_nodes("parameters")],
        namespace=f"finetuned_{task}",
        inputs={
            "matched_set": "matched_simulated_set",
            "general_set": "general_set",
            "champion_network": f"champion_{task}",
        },
        parameters=SHARED
        | {"params:training": f"params:{task}.training", "params:finetuning": "params:finetuning"},
    )
