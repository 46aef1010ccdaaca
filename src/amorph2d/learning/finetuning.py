"""Fitting a trained network further, to images of one microscope, without losing what it knows of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from amorph2d.arrays import IntArray
from amorph2d.learning.config import FinetuningParameters, NetworkConfig, TrainingParameters
from amorph2d.learning.storage import TrainedNetwork, build_network


def further_training(
    network: NetworkConfig, training: TrainingParameters, finetuning: FinetuningParameters
) -> TrainingParameters:
    """Return the parameters of a fit that starts from a trained network.

    Parameters
    ----------
    network
        What the trained network is.
    training
        Where everything comes from that fine-tuning does not name: batches, crops, devices, evaluation.
    finetuning
        What is different.

    Raises
    ------
    ValueError
        If the crops do not fit the network.
    """
    fit = training.fit.model_dump() | finetuning.model_dump(exclude={"command", "rehearsal", "share"})
    return TrainingParameters.model_validate(
        {"network": network, "fit": fit | {"patience": None}, "evaluation": training.evaluation}
    )


def rehearsed(n_matched: int, n_general: int, share: float, rng: np.random.Generator) -> IntArray:
    """Choose the general images that are mixed with matched ones, so that a network does not forget them.

    Parameters
    ----------
    n_matched, n_general
        Number of images of both sets.
    share
        Part of the mixture that general images shall be; less, where there are too few.
    rng
        Source of randomness.

    Returns
    -------
    IntArray
        Places in the general set, rising.

    References
    ----------
    Robins, Connection Science 7, 123 (1995), doi:10.1080/09540099550039318 (rehearsal).
    """
    if not 0 <= share < 1:
        raise ValueError(f"share must be >= 0 and < 1, got {share}")
    n_wanted = min(n_general, round(n_matched * share / (1 - share)))
    return np.sort(rng.choice(n_general, size=n_wanted, replace=False)).astype(np.int64)


def average_weights(first: TrainedNetwork, second: TrainedNetwork, share: float) -> TrainedNetwork:
    """Return a network with the weights (1 - share) * first + share * second and the metadata of `second`.

    Where `second` was fitted from `first`, the average keeps much of what `first` did elsewhere.

    Raises
    ------
    ValueError
        If the networks are not of one architecture, or `share` is not within 0 … 1.

    References
    ----------
    Wortsman et al., CVPR 2022, arXiv:2109.01903.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be within 0 … 1, got {share}")
    if first.config != second.config:
        raise ValueError("only networks of one architecture can be averaged")
    states: Sequence[dict] = [network.module.state_dict() for network in (first, second)]
    state = {name: weight.lerp(states[1][name], share) for name, weight in states[0].items()}
    return build_network(second.config, state, second.metadata)
