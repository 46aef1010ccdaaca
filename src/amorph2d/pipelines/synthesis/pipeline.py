"""Wiring of the synthesis pipeline."""

from __future__ import annotations

from kedro.pipeline import Node, Pipeline, node, pipeline

from amorph2d.pipelines.synthesis.nodes import describe_set, draw_recipes, simulate_set, widen_field


def create_pipeline(**_: object) -> Pipeline:
    """Create the synthesis pipeline: two sets, each with recipes, images and a description.

    The wide set has larger fields and pixels than the other, for the networks that judge areas.
    """
    widen = node(
        widen_field,
        inputs=["params:synthesis", "params:wide_field"],
        outputs=["wide_parameters", "wide_set"],
        name="widen_field",
    )
    return pipeline(
        [*simulation_nodes("params:synthesis"), widen, *simulation_nodes("wide_parameters", kind="wide")]
    )


def simulation_nodes(parameters: str, *, kind: str = "") -> list[Node]:
    """Return the nodes that make a set from the `parameters` dataset.

    Names of nodes and datasets say the `kind` of set: ``draw_matched_recipes``, ``matched.recipes``.
    """
    word, space = (f"{kind}_", f"{kind}.") if kind else ("", "")
    return [
        node(draw_recipes, inputs=parameters, outputs=f"{space}recipes", name=f"draw_{word}recipes"),
        node(
            simulate_set,
            inputs=[f"{space}recipes", f"{space}finished_shards", parameters, "params:computing"],
            outputs=f"{space}simulated_set",
            name=f"simulate_{word}set",
        ),
        node(
            describe_set,
            inputs=f"{space}simulated_set",
            outputs=[f"{space}contact_sheet", f"{space}set_description"],
            name=f"describe_{word}set",
        ),
    ]
