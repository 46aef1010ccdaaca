"""Nodes of a training pipeline."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from amorph2d.learning.config import TrainingParameters
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.pipelines.types import Figure, FittedNetwork, SimulatedSet, SiteNetwork

logger = logging.getLogger(__name__)


def fit_network(
    simulated: SimulatedSet, parameters: TrainingParameters, task: str, checkpoints: Path
) -> tuple[FittedNetwork, pd.DataFrame, dict[str, Any]]:
    """Fit a network, or go on with a fit that was interrupted; MLflow follows it epoch by epoch."""
    from amorph2d.learning.fit import fit_network
    from amorph2d.tracking.runs import start_training_run

    for part in ("training", "validation", "test"):
        if len(simulated.split(part)) == 0:
            raise ValueError(
                f"the simulated set of {len(simulated)} images has none for {part}; make a larger one, or "
                "raise synthesis.validation_share and synthesis.test_share"
            )
    tags = {"set_id": simulated.set_id, "set_seed": simulated.manifest["seed"], "n_images": len(simulated)}
    with start_training_run(task, parameters.model_dump(mode="json"), tags=tags, folder=checkpoints) as run:
        fitted = fit_network(
            simulated.split("training"),
            simulated.split("validation"),
            parameters=parameters,
            folder=checkpoints,
            on_epoch=run.epochs,
        )
    return fitted, fitted.history, {"run_id": run.run_id, **tags}


def evaluate_network(
    fitted: SiteNetwork,
    simulated: SimulatedSet,
    localisation: LocalisationParameters,
    parameters: TrainingParameters,
    run: dict[str, Any],
) -> tuple[SiteNetwork, pd.DataFrame, pd.DataFrame]:
    """Choose thresholds and measure sigmas on the validation images, then score the test images."""
    from dataclasses import replace

    from amorph2d import __version__
    from amorph2d.learning.describe import training_domain
    from amorph2d.learning.evaluate import calibrate_network, evaluate_network

    own = localisation.model_copy(update={"thresholds": dict.fromkeys(parameters.network.channels)})
    network = calibrate_network(
        fitted, simulated.split("validation"), localisation=own, evaluation=parameters.evaluation
    )
    tables = evaluate_network(
        network, simulated.split("test"), localisation=own, evaluation=parameters.evaluation
    )
    totals = tables.totals.set_index("kind")[["precision", "recall", "f1", "rmse"]]
    metadata = network.metadata | {
        "training_domain": training_domain(simulated.split("training").recipes),
        "metrics": {str(kind): row.dropna().to_dict() for kind, row in totals.iterrows()},
        "set": {name: run[name] for name in ("set_id", "set_seed", "n_images")},
        "fit": parameters.fit.model_dump(mode="json"),
        "code_version": __version__,
    }
    logger.info("Test images:\n%s", tables.totals.to_string(index=False))
    return replace(network, metadata=metadata), tables.images, tables.groups


def show_network(
    network: SiteNetwork,
    simulated: SimulatedSet,
    history: pd.DataFrame,
    scores: pd.DataFrame,
    run: dict[str, Any],
) -> tuple[Figure, Figure, Figure]:
    """Draw the curves of the fit, the scores against dose, and what the network finds in a test image."""
    from amorph2d.learning.describe import predict_example
    from amorph2d.plotting.maps import prediction_examples
    from amorph2d.plotting.training import score_curves, training_curves
    from amorph2d.tracking.runs import continue_run

    example = predict_example(network, simulated.split("test")[0])
    figures = training_curves(history), score_curves(scores), prediction_examples(**example)
    with continue_run(run["run_id"]) as tracked:
        tracked.log_figures(dict(zip(("training_curves", "score_curves", "example"), figures, strict=True)))
    return figures


def register_candidate(
    network: SiteNetwork,
    folder: Path,
    task: str,
    run: dict[str, Any],
    scores: pd.DataFrame,
    scores_by_image: pd.DataFrame,
) -> dict[str, Any]:
    """Register the network, with its card and metrics, as the candidate for the champion."""
    from amorph2d.learning.describe import write_model_card
    from amorph2d.tracking.registry import ensure_reference, register_network
    from amorph2d.tracking.runs import continue_run

    write_model_card(folder, task=task, network=network, scores=scores)
    ensure_reference(task)
    with continue_run(run["run_id"]) as tracked:
        tracked.log_tables({"scores": scores, "scores_by_image": scores_by_image})
        registered = register_network(folder, task=task, run_id=run["run_id"], tags={"set_id": run["set_id"]})
    logger.info(
        "%s version %d is the candidate; make it the champion with: kedro promote --task %s",
        task,
        registered.version,
        task,
    )
    return {"task": task, "version": registered.version, "sha256": registered.sha256, "uri": registered.uri}
