"""The analysis of one image: flattened, segmented, located, made consistent, refined and judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.analysis.regions import COUNTED, analysable_region, in_region
from amorph2d.arrays import AnyArray, BoolArray
from amorph2d.imaging.simulated import MONOLAYER, OTHER, VACUUM
from amorph2d.localisation.areas import FlattenedImage, background_map
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.localisation.consistency import drop_contradictions, make_consistent
from amorph2d.localisation.locate import locate_candidates
from amorph2d.localisation.mapped import tidy_up, without_residue
from amorph2d.localisation.masks import covered_pixels, segment
from amorph2d.units import as_sampling

if TYPE_CHECKING:
    from amorph2d.learning.storage import TrainedNetwork
    from amorph2d.twin.make import Twin

NETWORK = "network"
LENGTHS = ("x", "y", "sigma")
_HELD = 2**24  # pixels up to which the flattened image is held in memory


@dataclass(frozen=True)
class Networks:
    """The networks that look at an image; those of areas and illumination may be missing."""

    sites: TrainedNetwork
    monolayer: TrainedNetwork | None = None
    pores: TrainedNetwork | None = None
    illumination: TrainedNetwork | None = None

    def of_areas(self) -> dict[str, TrainedNetwork]:
        """Return those of areas that are there, by task."""
        both = {"monolayer": self.monolayer, "pores": self.pores}
        return {task: network for task, network in both.items() if network is not None}


@dataclass(frozen=True, eq=False)
class FrameAnalysis:
    """What was found in an image.

    Attributes
    ----------
    sites
        Table of sites in the image's own lengths: the columns of `locate_sites`, and ``origin``
        (``network``, ``refined`` or ``repaired``) and ``misfit``.
    mask
        0 vacuum, 1 monolayer, 2 other, (rows, columns).
    counts
        Pixels where the sheet counts in the statistics, 1, or would count if it were there, 2; (rows,
        columns).
    record
        Figures of the image, by name.
    twin
        The image simulated again, if that was asked for and possible.
    """

    sites: pd.DataFrame
    mask: NDArray[np.uint8]
    counts: NDArray[np.uint8]
    record: dict[str, Any] = field(default_factory=dict)
    twin: Twin | None = None


def analyse_frame(
    image: AnyArray,
    *,
    sampling: tuple[float, float],
    networks: Networks,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
    length_scale: float = 1.0,
    region: BoolArray | None = None,
    energy: float | None = None,
    frame: int = 0,
) -> FrameAnalysis:
    """Analyse one image.

    Parameters
    ----------
    image
        Image, (rows, columns), of any real type; it may be a memory map.
    sampling
        Its sampling, (y, x), > 0 [Å/px].
    networks
        The networks.
    localisation
        Tiles, thresholds and border of the networks.
    parameters
        Everything else.
    length_scale
        Lengths of the material over those of carbon, > 0: all is done at the scale of carbon, and the
        results are scaled back.
    region
        Region of interest, (rows, columns), or None.
    energy
        Of the electrons, for the twin [eV]; None: not known.
    frame
        Number of the image in its series.

    Raises
    ------
    ValueError
        If the image, the sampling, the length scale or the region is not valid.
    """
    if not (np.isfinite(length_scale) and length_scale > 0):
        raise ValueError(f"length_scale must be > 0, got {length_scale}")
    steps = as_sampling(sampling)
    scaled = (steps[0] / length_scale, steps[1] / length_scale)
    record: dict[str, Any] = {}
    image = without_residue(image)
    flat: Any = image
    if parameters.flatten and networks.illumination is not None:
        slow = background_map(image, sampling=scaled, network=networks.illumination, parameters=localisation)
        flat = FlattenedImage(image, slow)
        record["illumination_variation"] = flat.variation
        if flat.size <= _HELD:
            flat = np.asarray(flat)
    sites, weaker = _located(flat, scaled, networks.sites, localisation, parameters, frame)
    tidy_up(image)
    mask = _mask(flat, sites, scaled, networks, localisation, parameters)
    tidy_up(image)
    for name, value in (("vacuum", VACUUM), ("monolayer", MONOLAYER), ("other", OTHER)):
        record[f"{name}_share"] = np.count_nonzero(mask == value) / mask.size
    sites, refined = _refined(flat, sites, weaker, scaled, mask, parameters)
    tidy_up(image)
    if parameters.consistency is not None:
        # An atom found again may stand where a ring centre was seen instead.
        sites = drop_contradictions(sites, parameters.consistency).reset_index(drop=True)
    counts = analysable_region(
        mask, scaled, border=localisation.border, margin=parameters.masks.margin, region=region
    )
    sites["analysable"] = in_region(sites, counts, scaled)
    record |= refined | {"analysable_area": np.count_nonzero(counts == COUNTED) * steps[0] * steps[1]}
    twin = _twin(flat, sites, scaled, mask, energy, parameters) if length_scale == 1 else None
    if twin is not None:
        sites = twin.sites
        record |= {f"twin_{name}": value for name, value in twin.record().items()}
    for name in LENGTHS:
        sites[name] = sites[name].to_numpy() * sites[name].dtype.type(length_scale)
    return FrameAnalysis(sites, mask, counts, record, twin)


def _located(
    image: Any,
    sampling: tuple[float, float],
    network: TrainedNetwork,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
    frame: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the sites, consistent if that is asked for, and the weaker peaks."""
    located = locate_candidates(
        image,
        sampling=sampling,
        network=network,
        parameters=localisation,
        least=parameters.candidates,
        frame=frame,
    )
    sites, weaker = located.sites.assign(origin=NETWORK), located.weaker
    if parameters.consistency is not None:
        looked_at = weaker if parameters.consistency.missing is None else located.candidates
        del located  # a table as large as that of the sites
        sites = make_consistent(sites, looked_at, parameters=parameters.consistency)
    return sites, weaker


def _mask(
    image: Any,
    sites: pd.DataFrame,
    sampling: tuple[float, float],
    networks: Networks,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
) -> NDArray[np.uint8]:
    """Say what each pixel shows; one layer everywhere if nothing else is asked for."""
    areas = networks.of_areas() if parameters.masks.use else {}
    if not areas:
        return np.full(image.shape, MONOLAYER, dtype=np.uint8)
    cover = covered_pixels(
        sites,
        shape=image.shape,
        sampling=sampling,
        bond_limits=parameters.masks.bond_limits,
        largest_ring=parameters.masks.largest_ring,
    )
    tidy_up(image)
    return segment(
        image,
        sampling=sampling,
        networks=areas,
        parameters=localisation,
        cover=cover,
        smallest_spot=parameters.masks.smallest_spot,
    )


def _refined(
    image: Any,
    sites: pd.DataFrame,
    weaker: pd.DataFrame,
    sampling: tuple[float, float],
    mask: NDArray[np.uint8],
    parameters: AnalysisParameters,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Fit the atoms to the image, if that is asked for."""
    record: dict[str, Any] = {"n_repaired": int((sites["origin"] == "repaired").sum())}
    if parameters.refinement is None:
        return sites.assign(misfit=np.full(len(sites), np.nan, dtype=np.float32)), record
    from amorph2d.localisation.refinement.refine import refine_sites

    refinement = refine_sites(
        image, sites, sampling=sampling, parameters=parameters.refinement, mask=mask, weaker=weaker
    )
    record |= {
        "n_refined": int((refinement.sites["origin"] == "refined").sum()),
        "n_repaired": int((refinement.sites["origin"] == "repaired").sum()),
        "n_rejected": refinement.n_rejected,
        "explained": refinement.explained,
        "refinement": refinement.reason,
    }
    return refinement.sites, record


def _twin(
    image: Any,
    sites: pd.DataFrame,
    sampling: tuple[float, float],
    mask: NDArray[np.uint8],
    energy: float | None,
    parameters: AnalysisParameters,
) -> Twin | None:
    """Simulate the image again, if that is asked for."""
    if parameters.twin is None:
        return None
    from amorph2d.twin.make import make_twin

    return make_twin(image, sites, sampling=sampling, energy=energy, mask=mask, parameters=parameters.twin)
