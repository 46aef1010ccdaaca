"""Judge and calibrate a network, whatever its output."""

from __future__ import annotations

from collections.abc import Iterable

from amorph2d.imaging.simulated import SimulatedImage
from amorph2d.learning.config import EvaluationParameters
from amorph2d.learning.evaluation.areas import calibrate_areas, evaluate_areas
from amorph2d.learning.evaluation.background import calibrate_background, evaluate_background
from amorph2d.learning.evaluation.sites import calibrate_sites, evaluate_sites
from amorph2d.learning.evaluation.tables import Evaluation
from amorph2d.learning.storage import TrainedNetwork
from amorph2d.localisation.config import LocalisationParameters

EVALUATE = {"sites": evaluate_sites, "areas": evaluate_areas, "background": evaluate_background}
CALIBRATE = {"sites": calibrate_sites, "areas": calibrate_areas, "background": calibrate_background}


def evaluate_network(
    network: TrainedNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> Evaluation:
    """Compare what a network finds in images with what is known to be there.

    Parameters
    ----------
    network
        The network, calibrated.
    images
        Images that it was not trained on; taken one by one.
    localisation
        How it is run.
    evaluation
        How it is judged.

    Returns
    -------
    Evaluation
        Tables of `evaluate_sites`, `evaluate_areas` or `evaluate_background`, by the network's output.

    Raises
    ------
    ValueError
        If there is no image with the truth that is asked for, or a threshold is missing.
    """
    evaluate = EVALUATE[network.config.output]
    return evaluate(network, images, localisation=localisation, evaluation=evaluation)


def calibrate_network(
    network: TrainedNetwork,
    images: Iterable[SimulatedImage],
    *,
    localisation: LocalisationParameters,
    evaluation: EvaluationParameters,
) -> TrainedNetwork:
    """Give a network what images with known truth say of its thresholds and errors.

    Parameters
    ----------
    network
        The network.
    images
        Images that were not trained on, and are not used to evaluate; taken one by one.
    localisation
        How it is run; its thresholds are not used.
    evaluation
        How it is judged.

    Returns
    -------
    TrainedNetwork
        The network of `calibrate_sites`, `calibrate_areas` or `calibrate_background`, by its output.

    Raises
    ------
    ValueError
        If there is no image with the truth that is asked for, or the network finds nothing.
    """
    calibrate = CALIBRATE[network.config.output]
    return calibrate(network, images, localisation=localisation, evaluation=evaluation)
