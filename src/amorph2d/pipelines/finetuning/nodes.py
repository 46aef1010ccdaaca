"""Nodes of the fine-tuning pipeline; what follows the fit are the nodes of training."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pandas as pd

from amorph2d.learning.config import FinetuningParameters, TrainingParameters
from amorph2d.pipelines.types import FittedNetwork, SimulatedSet, TrainedNetwork

logger = logging.getLogger(__name__)


def choose_parameters(
    champion: TrainedNetwork, training: TrainingParameters, finetuning: FinetuningParameters
) -> TrainingParameters:
    """Take the network from the champion, and the fit from training and fine-tuning."""
    from amorph2d.learning.finetuning import further_training

    return further_training(champion.config, training, finetuning)


def mix_sets(
    matched: SimulatedSet, general: SimulatedSet | None, finetuning: FinetuningParameters
) -> SimulatedSet:
    """Mix images of the general set, if there is one, with the matched ones."""
    from amorph2d.pipelines.finetuning.mixture import MixedSet

    if general is None:
        logger.warning(
            "There is no general set to rehearse: the network learns from matched images alone and may get "
            "worse for others. 'kedro run --pipelines synthesis' makes one"
        )
        return matched
    mixed = MixedSet(matched, general, share=finetuning.rehearsal, seed=finetuning.seed)
    logger.info("%d matched images, %d of the general set", len(matched), mixed.n_rehearsed)
    return cast(SimulatedSet, mixed)


def finetune_network(
    simulated: SimulatedSet,
    champion: TrainedNetwork,
    parameters: TrainingParameters,
    finetuning: FinetuningParameters,
    task: str,
    checkpoints: Path,
) -> tuple[FittedNetwork, pd.DataFrame, dict[str, Any]]:
    """Fit from the champion's weights, or go on with that, and average what was found with them."""
    from amorph2d.learning.finetuning import average_weights
    from amorph2d.pipelines.training.nodes import fit_network

    folder = checkpoints / fit_mark(simulated, champion, parameters)
    fitted, history, run = fit_network(simulated, parameters, task, folder, champion)
    network = average_weights(champion, fitted.network, finetuning.share)
    origin = {
        "command": finetuning.command,
        "started_from": {
            "version": champion.metadata.get("version"),
            "sha256": champion.sha256,
            "share": finetuning.share,
            "n_rehearsed": getattr(simulated, "n_rehearsed", 0),
        },
    }
    tuned = replace(fitted, network=replace(network, metadata=network.metadata | origin))
    return tuned, history, run


def fit_mark(simulated: SimulatedSet, champion: TrainedNetwork, parameters: TrainingParameters) -> str:
    """Return the name of the folder in which the state of a fit is kept: other micrographs, another fit.

    How the network is judged afterwards is no part of it.
    """
    text = f"{simulated.set_id} {champion.sha256} {parameters.model_dump_json(exclude={'evaluation'})}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
