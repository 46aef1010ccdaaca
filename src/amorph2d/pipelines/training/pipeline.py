"""Wiring of the training pipelines."""

from __future__ import annotations

import os

from kedro.pipeline import Node, Pipeline, node, pipeline

from amorph2d.pipelines.training import nodes

# Each task with the set that its network learns from.
TASKS = {
    "sites": "simulated_set",
    "monolayer": "wide_simulated_set",
    "pores": "wide_simulated_set",
    "illumination": "wide_simulated_set",
}

# Parameters that belong to no task.
SHARED = {f"params:{name}": f"params:{name}" for name in ("localisation", "promote", "training_command")}


def create_pipeline(**_: object) -> Pipeline:
    """Create the training pipelines of all tasks: fit, evaluate, compare, show, register, promote.

    A process that torchrun or srun started beside the first one only helps it to fit.
    """
    create = _helping if is_helper() else _training
    return sum((create(task, simulated) for task, simulated in TASKS.items()), Pipeline([]))


def is_helper() -> bool:
    """Whether torchrun or srun started this process beside a first one, which keeps what they find."""
    return os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")) != "0"


def judging_nodes(parameters: str) -> list[Node]:
    """Return the nodes that make of a fitted network a registered, compared and perhaps promoted version."""
    return [
        node(
            nodes.evaluate_network,
            inputs=[
                "fitted_network", "simulated_set", "params:localisation", parameters, "run",
                "params:training_command",
            ],
            outputs=["network", "evaluation"],
            name="evaluate_network",
        ),
        node(
            nodes.compare_with_champion,
            inputs=["evaluation", "simulated_set", "params:localisation", parameters, "params:task"],
            outputs=["comparison", "champion"],
            name="compare_with_champion",
        ),
        node(
            nodes.show_network,
            inputs=["network", "simulated_set", "history", "evaluation", "run"],
            outputs=["training_curves", "score_curves", "reliability", "example"],
            name="show_network",
        ),
        node(
            nodes.register_candidate,
            inputs=[
                "network", "network_folder", "params:task", "run", "history", "evaluation", "comparison",
                "champion",
            ],
            outputs="candidate",
            name="register_candidate",
        ),
        node(
            nodes.promote_candidate,
            inputs=["candidate", "comparison", "params:promote"],
            outputs="promotion",
            name="promote_candidate",
        ),
    ]  # fmt: skip


def _helping(task: str, simulated: str) -> Pipeline:
    """Part of another process in the training of one task."""
    fit = node(
        nodes.help_to_fit,
        inputs=["simulated_set", "params:training", "checkpoints"],
        outputs=None,
        name="help_to_fit",
    )
    return pipeline([fit], namespace=task, inputs={"simulated_set": simulated})


def _training(task: str, simulated: str) -> Pipeline:
    """Training of one task in its own namespace."""
    fit = node(
        nodes.fit_network,
        inputs=["simulated_set", "params:training", "params:task", "checkpoints"],
        outputs=["fitted_network", "history", "run"],
        name="fit_network",
    )
    return pipeline(
        [fit, *judging_nodes("params:training")],
        namespace=task,
        inputs={"simulated_set": simulated},
        parameters=SHARED,
    )
