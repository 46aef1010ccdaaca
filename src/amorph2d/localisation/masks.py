"""What each pixel of a micrograph shows: vacuum, one layer, or something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from amorph2d.arrays import Float32Array, FloatArray
from amorph2d.imaging.labels import region_mask
from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM
from amorph2d.localisation.areas import PixelMap, area_maps
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.mapped import PackedPixels
from amorph2d.localisation.maps import NetworkInput, network_input
from amorph2d.localisation.spots import without_spots
from amorph2d.topology.bonds import delaunay_bonds
from amorph2d.topology.rings import planar_rings
from amorph2d.units import as_sampling, positions_to_pixels

if TYPE_CHECKING:
    from amorph2d.learning.storage import TrainedNetwork

COVERED, UNCOVERED = 0.9, 0.1  # probability above which pixels on and off the located network are vacuum
SURROUNDED = 0.2  # probability up to which pixels amid the located network are no monolayer
_WINDOW, _AMID = (
    8.0,
    0.8,
)  # side of the square around a pixel [Å] whose covered share puts it amid the network
_SURE = 0.1  # probability of the monolayer up to which an uncovered pixel is surely none
_SURELY_OTHER = 3  # in a mask that is being made
_PIXELS_AT_ONCE = 2**24
_RINGS_AROUND = 2  # of the circumference of the largest ring
NETWORKS = {"pores": "vacuum", "monolayer": "monolayer"}  # task of each network, and the channel it decides


def segment(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    networks: Mapping[str, TrainedNetwork],
    parameters: LocalisationParameters,
    cover: PackedPixels | NDArray[np.uint8] | None = None,
    smallest_spot: float = 0.0,
) -> NDArray[np.uint8]:
    """Say what each pixel of an image shows.

    Vacuum is where the network of the pores is sure enough of it; of the rest, monolayer is where the network
    of the monolayer is; what remains is other: further layers and contamination.

    The network of the pores sees rims at its own coarse pixels. Where `cover` says what the located bonds and
    rings cover, that is a second, sharper witness: a covered pixel is vacuum only above a probability of
    0.9, one that is not from 0.1 on. Small spots of other that are alone are not believed, unless a pixel of
    them is uncovered and its probability of the monolayer at most 0.1.

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
    cover
        1 on the pixels that the located network of bonds covers, else 0, (rows, columns), as
        `covered_pixels` gives it; None: the networks judge alone.
    smallest_spot
        Area of the smallest spot of other that is believed in any case where `cover` is given, ≥ 0 [Å²].

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
    shape = np.shape(image)
    mask = np.full(shape, OTHER if "monolayer" in networks else MONOLAYER, dtype=np.uint8)
    probability = _Probabilities(image, steps, networks, parameters)
    if "monolayer" in networks:
        maps = probability.of("monolayer")
        for rows, stripe in maps.stripes():
            mask[rows] = _sheet_or_other(
                stripe, thresholds["monolayer"], None if cover is None else cover[rows]
            )
    if "pores" in networks:  # vacuum has the last word
        maps = probability.of("pores")
        for rows, stripe in maps.stripes():
            least: Any = np.float32(thresholds["pores"])
            if cover is not None:
                least = np.where(cover[rows], np.float32(COVERED), np.float32(UNCOVERED))
            mask[rows][stripe > least] = VACUUM
    if cover is not None and "monolayer" in networks:
        without_spots(mask, steps, smallest=smallest_spot, spot=OTHER, sure=_SURELY_OTHER, instead=MONOLAYER)
    return mask


def _sheet_or_other(
    probability: Float32Array, threshold: float, cover: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    """Return what pixels show by their probability of the monolayer, and whether they are covered."""
    is_sure = False if cover is None else (probability <= _SURE) & (cover == 0)
    not_sheet = np.where(is_sure, _SURELY_OTHER, OTHER)
    return np.where(probability > threshold, MONOLAYER, not_sheet).astype(np.uint8)


def covered_pixels(
    sites: pd.DataFrame,
    *,
    shape: tuple[int, int],
    sampling: tuple[float, float],
    bond_limits: tuple[float, float],
    largest_ring: int,
) -> PackedPixels:
    """Say which pixels the located bonds and rings cover: those in a ring or within 0.71 Å of a bond.

    Parameters
    ----------
    sites
        Table of sites with ``kind``, ``x`` and ``y`` [Å].
    shape, sampling
        Of the image, and (y, x) [Å/px].
    bond_limits
        Shortest and longest bond [Å].
    largest_ring
        Atoms of the largest face that is a ring; larger ones are pores.

    Returns
    -------
    PackedPixels
        1 where covered, else 0, (rows, columns).
    """
    atoms, centres = (sites.loc[sites["kind"] == kind, ["x", "y"]].to_numpy() for kind in ("atom", "ring"))
    cover = PackedPixels(shape)
    # Beyond so far from a stripe nothing reaches into it, neither rings nor what their bonds depend on.
    halo = _RINGS_AROUND * largest_ring * bond_limits[1]
    n_rows = max(_PIXELS_AT_ONCE // shape[1], 1)
    for start in range(0, shape[0], n_rows):
        rows = slice(start, min(start + n_rows, shape[0]))
        low, high = rows.start * sampling[0] - halo, rows.stop * sampling[0] + halo
        near_atoms, near_centres = (
            points[(points[:, 1] >= low) & (points[:, 1] < high)] for points in (atoms, centres)
        )
        cover[rows] = _covered_stripe(
            near_atoms, near_centres, rows, shape[1], sampling, bond_limits, largest_ring
        )
    return cover


def _covered_stripe(
    atoms: FloatArray,
    centres: FloatArray,
    rows: slice,
    n_columns: int,
    sampling: tuple[float, float],
    bond_limits: tuple[float, float],
    largest_ring: int,
) -> NDArray[np.uint8]:
    """Say which pixels of some rows the bonds and rings of the sites around them cover."""
    bonds = delaunay_bonds(atoms, centres, limits=bond_limits)
    rings = planar_rings(atoms, bonds, max_size=largest_ring)
    step = float(np.sqrt(sampling[0] * sampling[1]))
    points = (positions_to_pixels(atoms, sampling) - (rows.start, 0))[:, ::-1] * step
    offsets = np.concatenate([[0], np.cumsum(rings.sizes)]).astype(np.int64)
    return region_mask(
        shape=(rows.stop - rows.start, n_columns),
        sampling=step,
        atoms=points,
        bonds=bonds,
        rings=(points[rings.members], offsets),
        overlay_positions=np.empty((0, 2)),
    )


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


class _Probabilities:
    """What networks say of an image, which is prepared once for those that see it alike."""

    def __init__(
        self,
        image: ArrayLike,
        steps: tuple[float, float],
        networks: Mapping[str, TrainedNetwork],
        parameters: LocalisationParameters,
    ) -> None:
        self.image, self.steps, self.networks, self.parameters = image, steps, networks, parameters
        self._prepared: dict[tuple[float, float | None], NetworkInput] = {}

    def of(self, task: str) -> PixelMap:
        """Return the probability that the network of a task gives to its channel, at the pixels."""
        network = self.networks[task]
        seen = network.config.sampling, network.config.normalisation_window
        if seen not in self._prepared:
            self._prepared[seen] = network_input(self.image, sampling=self.steps, config=network.config)
        maps = area_maps(
            self.image,
            sampling=self.steps,
            network=network,
            parameters=self.parameters,
            source=self._prepared[seen],
        )
        return PixelMap(
            maps[network.config.channels.index(NETWORKS[task])],
            shape=np.shape(self.image),
            sampling=self.steps,
            network_sampling=network.config.sampling,
        )
