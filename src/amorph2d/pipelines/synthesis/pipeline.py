"""Wiring of the synthesis pipeline."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node, pipeline

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
    return simulation("params:synthesis") + pipeline([widen]) + simulation("wide_parameters", kind="wide")


def simulation(parameters: str, *, kind: str | None = None) -> Pipeline:
    """Return the pipeline that makes a set from the `parameters` dataset.

    With a `kind` it lies in a namespace of that name, but for the set, ``<kind>_simulated_set``, which other
    pipelines read.
    """
    nodes = [
        node(draw_recipes, inputs=parameters, outputs="recipes", name="draw_recipes"),
        node(
            simulate_set,
            inputs=["recipes", "finished_shards", parameters, "params:computing"],
            outputs="simulated_set",
            name="simulate_set",
        ),
        node(
            describe_set,
            inputs="simulated_set",
            outputs=["contact_sheet", "set_description"],
            name="describe_set",
        ),
    ]
    if kind is None:
        return pipeline(nodes)
    return pipeline(
        nodes,
        namespace=kind,
        inputs={parameters},
        outputs={"simulated_set": f"{kind}_simulated_set"},
        parameters={"params:computing": "params:computing"},
    )
