"""Nodes of a training pipeline."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from amorph2d.learning.config import TrainingParameters
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.pipelines.types import Evaluation, Figure, FittedNetwork, SimulatedSet, TrainedNetwork

logger = logging.getLogger(__name__)

DESCRIBED_IMAGES = 1000  # of the training, by which others are told from them


def fit_network(
    simulated: SimulatedSet,
    parameters: TrainingParameters,
    task: str,
    checkpoints: Path,
    start: TrainedNetwork | None = None,
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
    if start is not None:
        version = start.metadata.get("version")
        tags["started_from"] = start.sha256 if version is None else f"{task}/{version}"
    with start_training_run(task, parameters.model_dump(mode="json"), tags=tags, folder=checkpoints) as run:
        fitted = fit_network(
            simulated.split("training"),
            simulated.split("validation"),
            parameters=parameters,
            folder=checkpoints,
            start=start,
            on_epoch=run.epochs,
        )
    return fitted, fitted.history, {"run_id": run.run_id, **tags}


def help_to_fit(simulated: SimulatedSet, parameters: TrainingParameters, checkpoints: Path) -> None:
    """Fit on another device; the process of the first one keeps the network and tells MLflow."""
    from amorph2d.learning.fit import fit_network

    fit_network(
        simulated.split("training"), simulated.split("validation"), parameters=parameters, folder=checkpoints
    )


def evaluate_network(
    fitted: TrainedNetwork,
    simulated: SimulatedSet,
    localisation: LocalisationParameters,
    parameters: TrainingParameters,
    run: dict[str, Any],
    command: str,
) -> tuple[TrainedNetwork, Evaluation]:
    """Calibrate the network on the validation images, then judge it on the test images."""
    from dataclasses import replace

    from amorph2d import __version__
    from amorph2d.learning.describe import polarities, training_domain
    from amorph2d.learning.domain import describe_images, describe_sites
    from amorph2d.learning.evaluation.evaluate import calibrate_network, evaluate_network

    how: dict[str, Any] = {
        "localisation": with_own_thresholds(localisation, fitted),
        "evaluation": parameters.evaluation,
    }
    network = calibrate_network(fitted, simulated.split("validation"), **how)
    domain = {
        "training_images": describe_images(
            simulated.split("training"), network.config, max_images=DESCRIBED_IMAGES
        )
    }
    if network.config.output == "sites":
        domain["training_sites"] = describe_sites(
            network, simulated.split("validation"), localisation=how["localisation"]
        )
    evaluation = evaluate_network(network, simulated.split("test"), **how)
    seen = simulated.split("training").recipes
    metadata = {"command": command} | network.metadata | domain
    metadata |= {
        "training_domain": training_domain(seen),
        "polarities": polarities(seen),
        "metrics": headline_metrics(evaluation.totals),
        "set": {name: run[name] for name in ("set_id", "set_seed", "n_images")},
        "fit": parameters.fit.model_dump(mode="json"),
        "code_version": __version__,
    }
    for channel, scores in metadata["metrics"].items():
        said = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
        logger.info("On the test images, %s: %s", channel, said)
    return replace(network, metadata=metadata), evaluation


def compare_with_champion(
    evaluation: Evaluation,
    simulated: SimulatedSet,
    localisation: LocalisationParameters,
    parameters: TrainingParameters,
    task: str,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Judge the champion on the same test images and compare; an empty table if there is none."""
    import numpy as np

    from amorph2d.learning.comparison import compare
    from amorph2d.learning.evaluation.evaluate import evaluate_network
    from amorph2d.learning.storage import load_network
    from amorph2d.tracking.registry import champion, ensure_reference, is_available

    ensure_reference(task)
    if not is_available(task):
        logger.info("%s has no champion yet: nothing to compare with", task)
        return pd.DataFrame(), {"version": None}
    reigning = champion(task)
    other = load_network(reigning.folder)
    test = simulated.split("test")
    how: dict[str, Any] = {
        "localisation": with_own_thresholds(localisation, other),
        "evaluation": parameters.evaluation,
    }
    table = compare(
        evaluation,
        evaluate_network(other, test, **how),
        set_ids=(simulated.set_id, simulated.set_id),
        rng=np.random.default_rng(parameters.fit.seed),
        specimens={recipe["index"]: recipe["specimen"] for recipe in test.recipes},
    )
    return table, {"version": reigning.version}


def show_network(
    network: TrainedNetwork,
    simulated: SimulatedSet,
    history: pd.DataFrame,
    evaluation: Evaluation,
    run: dict[str, Any],
) -> tuple[Figure, Figure, Figure, Figure]:
    """Draw the fit, the scores by condition, the reliability, and what the network says of a test image."""
    from amorph2d.learning.describe import predict_example
    from amorph2d.plotting.maps import area_examples, prediction_examples
    from amorph2d.plotting.training import reliability_figure, score_figure, training_curves
    from amorph2d.tracking.runs import continue_run

    example = predict_example(network, simulated.split("test")[0])
    draw = prediction_examples if network.config.output == "sites" else area_examples
    curves = training_curves(history)
    scores = score_figure(evaluation.groups, METRICS[network.config.output])
    reliability, shown = reliability_figure(evaluation.reliability), draw(**example)
    with continue_run(run["run_id"]) as tracked:
        tracked.log_figures(
            {"training_curves": curves, "score_curves": scores, "reliability": reliability, "example": shown}
        )
    return curves, scores, reliability, shown


def register_candidate(
    network: TrainedNetwork,
    folder: Path,
    task: str,
    run: dict[str, Any],
    history: pd.DataFrame,
    evaluation: Evaluation,
    comparison: pd.DataFrame,
    champion: dict[str, Any],
) -> dict[str, Any]:
    """Register the network, with its card, tables and the comparison, as the candidate."""
    from amorph2d.learning.describe import write_model_card
    from amorph2d.tracking.registry import record_comparison, register_network
    from amorph2d.tracking.runs import continue_run

    compared = None if comparison.empty else comparison
    write_model_card(
        folder, task=task, network=network, evaluation=evaluation, history=history, comparison=compared
    )
    with continue_run(run["run_id"]) as tracked:
        tracked.log_tables(
            {
                "scores": evaluation.totals,
                "scores_by_condition": evaluation.groups,
                "scores_by_image": evaluation.images,
                "reliability": evaluation.reliability,
            }
        )
        tags: dict[str, Any] = {
            name: run[name] for name in ("set_id", "set_seed", "n_images", "started_from") if name in run
        }
        registered = register_network(folder, task=task, run_id=run["run_id"], tags=tags)
    if compared is not None and champion["version"] != registered.version:
        record_comparison(task, registered.version, compared, against=champion["version"])
    logger.info(
        "%s version %d is the candidate; make it the champion with: kedro promote --task %s",
        task,
        registered.version,
        task,
    )
    return {"task": task, "version": registered.version, "sha256": registered.sha256, "uri": registered.uri}


def promote_candidate(candidate: dict[str, Any], comparison: pd.DataFrame, promote: bool) -> dict[str, Any]:
    """Make the candidate the champion if that is asked for and the comparison does not speak against it."""
    from amorph2d.tracking.registry import promote_candidate

    task, version = candidate["task"], candidate["version"]
    if not promote:
        return {"task": task, "version": version, "promoted": False, "reason": "promote is false"}
    return promote_candidate(task, version, comparison=None if comparison.empty else comparison)


METRICS = {
    "sites": ("f1", "rmse", "rmse_over_bound", "ring_fraction_error"),
    "areas": ("dice", "precision", "recall", "false_share"),
    "background": ("residual", "uncorrected"),
}


def headline_metrics(totals: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return the ratios of each channel; what is undefined is left out."""
    table = totals.set_index("channel")
    ratios = table[[name for name in table.columns if table[name].dtype.kind == "f" and not _is_sum(name)]]
    return {
        str(channel): {str(name): float(value) for name, value in row.dropna().items()}
        for channel, row in ratios.iterrows()
    }


def with_own_thresholds(
    localisation: LocalisationParameters, network: TrainedNetwork
) -> LocalisationParameters:
    """Return how a network is run with the thresholds that it was calibrated with."""
    return localisation.model_copy(update={"thresholds": dict.fromkeys(network.config.channels)})


def _is_sum(name: str) -> bool:
    """Say whether a column adds up over images."""
    return name.startswith(("n_", "sum_", "area")) or name.endswith("_area")
