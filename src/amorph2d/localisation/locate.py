"""From a micrograph to a table of sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from amorph2d.arrays import BoolArray, Float32Array, FloatArray, IntArray
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.maps import NetworkInput, network_input, run_tiles
from amorph2d.localisation.peaks import Peaks, find_peaks, merge_peaks
from amorph2d.localisation.tiles import Tile
from amorph2d.units import as_sampling, pixels_to_positions

if TYPE_CHECKING:
    from amorph2d.learning.storage import TrainedNetwork

# Beyond the receptive field: the neighbours of a pixel that the search for maxima looks at.
_PEAK_REACH = 4
# Rounding may put a maximum between two pixels on one in one tile, on the other in the next: both report it.
_SHARED = 1.0
_LEAST_DISTANCE = 1.5


def locate_sites(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    network: TrainedNetwork,
    parameters: LocalisationParameters,
    frame: int = 0,
) -> pd.DataFrame:
    """Find the sites of an image.

    The image is resampled to the network's sampling, normalised and given to the network tile by tile; each
    maximum of a heat map belongs to one tile. The sites do not depend on the tiles. Beside the image itself,
    memory is needed for a few tiles and, if it is small, the resampled image.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map.
    sampling
        Its sampling, (y, x), > 0 [Å/px].
    network
        The network. Its metadata may hold ``thresholds`` (for each kind of site), ``confidence`` (``raw``:
        rising values; for each kind the probability of a site there) and ``sigma`` (``confidence``: rising
        values; ``sigma``: for each kind the error per axis there [Å]). All three take raw confidences, which
        are the heights of the peaks in the heat maps.
    parameters
        Tiles, thresholds and border.
    frame
        Number of the image in its series, written into the table.

    Returns
    -------
    pandas.DataFrame
        One row per site: ``frame``, ``site``, ``kind``, ``x``, ``y`` [Å], ``sigma`` per axis [Å] (NaN if the
        network has none), ``confidence`` (the probability that it is a site; the raw confidence if the
        network is not calibrated), ``analysable`` (not close to the border). Kinds in the order of the
        network's channels, sites of a kind from top to bottom.

    Raises
    ------
    ValueError
        If the image or the sampling is not valid, a threshold is missing or the tiles are too small.
    """
    located = locate_candidates(
        image, sampling=sampling, network=network, parameters=parameters, least=1.0, frame=frame
    )
    return located.sites


@dataclass(frozen=True)
class Located:
    """Sites of an image, and what might be one.

    Attributes
    ----------
    candidates
        Table of all peaks down to a lower threshold.
    is_site
        Which of them are sites: their raw confidence exceeds the threshold of their kind, (N,).
    """

    candidates: pd.DataFrame
    is_site: BoolArray

    @property
    def sites(self) -> pd.DataFrame:
        """Table of the sites, numbered anew."""
        sites = self.candidates if self.is_site.all() else self.candidates[self.is_site]
        return sites.reset_index(drop=True).assign(site=np.arange(len(sites), dtype=np.int64))

    @property
    def weaker(self) -> pd.DataFrame:
        """Table of the other peaks."""
        return self.candidates[~self.is_site].reset_index(drop=True)


def locate_candidates(
    image: ArrayLike,
    *,
    sampling: tuple[float, float],
    network: TrainedNetwork,
    parameters: LocalisationParameters,
    least: float,
    frame: int = 0,
) -> Located:
    """Find the sites of an image as `locate_sites` does, and the peaks above a lower threshold.

    Parameters
    ----------
    image, sampling, network, parameters, frame
        As for `locate_sites`.
    least
        Raw confidence from which on a peak is a candidate, > 0; sites are candidates in any case.

    Raises
    ------
    ValueError
        As `locate_sites`, or if `least` is not positive.
    """
    if not least > 0:
        raise ValueError(f"least must be > 0, got {least}")
    steps = as_sampling(sampling)
    thresholds = _resolve_thresholds(network, parameters)
    source = network_input(image, sampling=steps, config=network.config)
    found = _find_sites(source, network, parameters, [min(each, least) for each in thresholds])
    rows, columns = np.shape(image)
    corner = 0.5 * np.array([steps[1], steps[0]])
    edges = -corner, np.array([columns * steps[1], rows * steps[0]]) - corner
    return Located(*_tabulate(found, network, thresholds, frame=frame, edges=edges, border=parameters.border))


def _find_sites(
    source: NetworkInput,
    network: TrainedNetwork,
    parameters: LocalisationParameters,
    thresholds: list[float],
) -> list[Peaks]:
    """Return the peaks of each channel in pixels of the network's grid."""
    config = network.config
    found: list[list[Peaks]] = [[] for _ in config.channels]
    for tile, heatmaps in run_tiles(source, network, parameters, beyond=_PEAK_REACH):
        for kept, heatmap, threshold in zip(found, heatmaps, thresholds, strict=True):
            kept.append(_own_peaks(tile, find_peaks(heatmap, threshold, 0.0)))
    min_distance = max(parameters.min_distance / config.sampling, _LEAST_DISTANCE)
    return [merge_peaks(_join(kept), min_distance) for kept in found]


def _own_peaks(tile: Tile, peaks: Peaks) -> Peaks:
    """Return the peaks of a tile that it owns, in pixels of the image."""
    pixels = peaks.pixels + tile.origin
    is_owned = tile.owns(pixels, margin=_SHARED)
    return Peaks(pixels[is_owned], peaks.confidence[is_owned])


def _join(peaks: list[Peaks]) -> Peaks:
    """Return all peaks as one."""
    return Peaks(
        np.concatenate([each.pixels for each in peaks]), np.concatenate([each.confidence for each in peaks])
    )


def _tabulate(
    found: list[Peaks],
    network: TrainedNetwork,
    thresholds: list[float],
    *,
    frame: int,
    edges: tuple[FloatArray, FloatArray],
    border: float,
) -> tuple[pd.DataFrame, BoolArray]:
    """Return the table of the peaks in the image, whose corners are `edges`, and which are sites."""
    kinds = network.config.channels
    positions = pixels_to_positions(
        np.concatenate([peaks.pixels for peaks in found]), network.config.sampling
    )
    confidence = np.concatenate([peaks.confidence for peaks in found])
    kind = np.repeat(np.arange(len(kinds)), [len(peaks.pixels) for peaks in found])
    is_inside = ((positions >= edges[0]) & (positions < edges[1])).all(axis=1)
    positions, confidence, kind = positions[is_inside], confidence[is_inside], kind[is_inside]
    depth = np.minimum(positions - edges[0], edges[1] - positions).min(axis=1)
    table = pd.DataFrame(
        {
            "frame": np.full(len(kind), frame, dtype=np.int32),
            "site": np.arange(len(kind), dtype=np.int64),
            "kind": pd.array(list(kinds), dtype="str").take(kind),
            "x": positions[:, 0],
            "y": positions[:, 1],
            "sigma": _position_errors(confidence, kind, network),
            "confidence": _probabilities(confidence, kind, network),
            "analysable": depth >= border,
        }
    )
    return table, confidence > np.asarray(thresholds, dtype=np.float32)[kind]


def _probabilities(confidence: Float32Array, kind: IntArray, network: TrainedNetwork) -> Float32Array:
    """Return the probabilities of raw confidences by the network's calibration, else the confidences."""
    probabilities = confidence.copy()
    calibration = network.metadata.get("confidence") or {}
    for number, name in enumerate(network.config.channels):
        if name in calibration:
            is_kind = kind == number
            probabilities[is_kind] = np.interp(confidence[is_kind], calibration["raw"], calibration[name])
    return probabilities


def _position_errors(confidence: Float32Array, kind: IntArray, network: TrainedNetwork) -> Float32Array:
    """Return the error per axis [Å] that the network's calibration gives, NaN without one."""
    errors = np.full(len(confidence), np.nan, dtype=np.float32)
    calibration = network.metadata.get("sigma") or {"confidence": [], "sigma": {}}
    for number, name in enumerate(network.config.channels):
        if name in calibration["sigma"]:
            is_kind = kind == number
            errors[is_kind] = np.interp(
                confidence[is_kind], calibration["confidence"], calibration["sigma"][name]
            )
    return errors


def _resolve_thresholds(network: TrainedNetwork, parameters: LocalisationParameters) -> list[float]:
    """Return the threshold of each channel, the network's own where the parameters name none."""
    channels = network.config.channels
    unknown = sorted(set(parameters.thresholds) - set(channels))
    if unknown:
        raise ValueError(f"thresholds must be for {list(channels)}, got also {unknown}")
    own = network.metadata.get("thresholds") or {}
    values = [parameters.thresholds.get(kind) for kind in channels]
    missing = [
        kind
        for kind, value in zip(channels, values, strict=True)
        if not isinstance(value, float) and kind not in own
    ]
    if missing:
        raise ValueError(f"the network has no threshold of its own for {missing}: give one in `thresholds`")
    return [
        value if isinstance(value, float) else float(own[kind])
        for kind, value in zip(channels, values, strict=True)
    ]
