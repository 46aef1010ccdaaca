"""Wiring of the training pipelines."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

from amorph2d.pipelines.training import nodes

TASKS = ("sites",)


def create_pipeline(**_: object) -> Pipeline:
    """Create the training pipelines of all tasks: fit, evaluate, show, register."""
    return sum((_training(task) for task in TASKS), Pipeline([]))


def _training(task: str) -> Pipeline:
    """Training of one task in its own namespace."""
    steps = [
        node(
            nodes.fit_network,
            inputs=["simulated_set", "params:training", "params:task", "checkpoints"],
            outputs=["fitted_network", "history", "run"],
            name="fit_network",
        ),
        node(
            nodes.evaluate_network,
            inputs=["fitted_network", "simulated_set", "params:localisation", "params:training", "run"],
            outputs=["network", "scores_by_image", "scores"],
            name="evaluate_network",
        ),
        node(
            nodes.show_network,
            inputs=["network", "simulated_set", "history", "scores", "run"],
            outputs=["training_curves", "score_curves", "example"],
            name="show_network",
        ),
        node(
            nodes.register_candidate,
            inputs=["network", "network_folder", "params:task", "run", "scores", "scores_by_image"],
            outputs="candidate",
            name="register_candidate",
        ),
    ]
    return pipeline(
        steps,
        namespace=task,
        inputs={"simulated_set"},
        parameters={"params:localisation": "params:localisation"},
    )
