"""What each pixel of a micrograph shows: vacuum, one layer, or something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import Float32Array
from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM
from amorph2d.localisation.areas import area_maps, at_pixels
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.units import as_sampling

if TYPE_CHECKING:
    from amorph2d.learning.storage import TrainedNetwork

NETWORKS = {"pores": "vacuum", "monolayer": "monolayer"}  # task of each network, and the channel it decides


def segment(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    networks: Mapping[str, TrainedNetwork],
    parameters: LocalisationParameters,
) -> NDArray[np.uint8]:
    """Say what each pixel of an image shows.

    Vacuum is where the network of the pores is sure enough of it; of the rest, monolayer is where the network
    of the monolayer is; what remains is other: further layers and contamination.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map.
    sampling
        Its sampling, (y, x), > 0 [Å/px].
    networks
        Networks of areas by task: ``pores``, which has the channel ``vacuum``, and ``monolayer``, which has
        one of that name. Without the first nothing is vacuum, without the second nothing is other.
    parameters
        Tiles and precision; ``thresholds`` of a channel replaces that of the network.

    Returns
    -------
    NDArray[uint8]
        Mask, (rows, columns): 0 vacuum, 1 monolayer, 2 other.

    Raises
    ------
    ValueError
        If the image or the sampling is not valid, there is no network, one of another task or with another
        output, or no threshold.
    """
    unknown = sorted(set(networks) - set(NETWORKS))
    if unknown or not networks:
        raise ValueError(f"networks must be of {', '.join(NETWORKS)}, got {', '.join(networks) or 'none'}")
    thresholds = {task: area_threshold(networks[task], NETWORKS[task], parameters) for task in networks}
    steps = as_sampling(sampling)
    mask = np.full(np.shape(image), OTHER if "monolayer" in networks else MONOLAYER, dtype=np.uint8)
    for task, value in (("monolayer", MONOLAYER), ("pores", VACUUM)):  # vacuum has the last word
        if task in networks:
            probability = _probability(image, steps, networks[task], NETWORKS[task], parameters)
            mask[probability > np.float32(thresholds[task])] = value
    return mask


def area_threshold(network: TrainedNetwork, channel: str, parameters: LocalisationParameters) -> float:
    """Return the probability above which a pixel shows an area: the parameters', else the network's own.

    Raises
    ------
    ValueError
        If the network does not have the channel, or nobody gives a threshold.
    """
    if channel not in network.config.channels:
        raise ValueError(
            f"the network must have the channel {channel!r}, got {', '.join(network.config.channels)}"
        )
    given = parameters.thresholds.get(channel)
    own = network.metadata.get("thresholds") or {}
    if isinstance(given, float):
        return given
    if channel not in own:
        raise ValueError(f"the network has no threshold of its own for {channel!r}: give one in `thresholds`")
    return float(own[channel])


def _probability(
    image: ArrayLike,
    steps: tuple[float, float],
    network: TrainedNetwork,
    channel: str,
    parameters: LocalisationParameters,
) -> Float32Array:
    """Return the probability of one channel at the pixels of the image."""
    number = network.config.channels.index(channel)
    maps = area_maps(image, sampling=steps, network=network, parameters=parameters)[number : number + 1]
    return at_pixels(maps, shape=np.shape(image), sampling=steps, network_sampling=network.config.sampling)[0]
