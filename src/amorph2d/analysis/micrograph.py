"""The analysis of one micrograph: one image, or the frames of a series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.analysis.frame import FrameAnalysis, Networks, analyse_frame
from amorph2d.arrays import BoolArray
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.micrographs.calibrate import check_bond_length, contrast_polarity, typical_spacing
from amorph2d.micrographs.guard import guard

if TYPE_CHECKING:
    from amorph2d.micrographs.read import Micrograph
    from amorph2d.twin.make import Twin


@dataclass(frozen=True, eq=False)
class MicrographAnalysis:
    """What was found in a micrograph.

    Attributes
    ----------
    sites
        Table of the sites of all frames; of a series also ``time`` [s], ``track``, ``x_aligned`` and
        ``y_aligned`` [Å].
    masks
        0 vacuum, 1 monolayer, 2 other, (rows, columns) for each frame.
    windows
        1 where the sheet counts in the statistics, 2 where it would if it were there, else 0, (rows, columns)
        for each frame.
    record
        Figures of the micrograph, by name.
    drift
        Of a series: one row per frame, its drift against the first one.
    twin
        The first frame simulated again, if that was asked for and possible.
    """

    sites: pd.DataFrame
    masks: list[NDArray[np.uint8]]
    windows: list[NDArray[np.uint8]]
    record: dict[str, Any] = field(default_factory=dict)
    drift: pd.DataFrame | None = None
    twin: Twin | None = None


def analyse_micrograph(
    micrograph: Micrograph,
    *,
    calibration: Mapping[str, Any],
    networks: Networks,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
    region: BoolArray | None = None,
) -> MicrographAnalysis:
    """Analyse a micrograph, frame by frame: no more than one frame is held in memory.

    Parameters
    ----------
    micrograph
        The micrograph.
    calibration
        ``sampling_y`` and ``sampling_x`` [Å/px], ``length_scale``, ``dose_per_area`` [e⁻/Å²] and ``energy``
        [eV]; the last two may be None.
    networks, localisation, parameters, region
        As for `analyse_frame`.

    Raises
    ------
    ValueError
        If something of the micrograph, the calibration or the region is not valid.
    """
    sampling = (calibration["sampling_y"], calibration["sampling_x"])
    frames = []
    first: FrameAnalysis | None = None
    findings: dict[str, Any] = {}
    for number in range(micrograph.n_frames):
        image = micrograph.frame(number)
        found = analyse_frame(
            image,
            sampling=sampling,
            networks=networks,
            localisation=localisation,
            parameters=parameters if number == 0 else parameters.model_copy(update={"twin": None}),
            length_scale=calibration["length_scale"],
            region=region,
            energy=calibration["energy"],
            frame=number,
        )
        if first is None:
            first = found
            findings = _judge(image, found, sampling, calibration, networks, parameters, micrograph)
        frames.append(found)
    if first is None:
        raise ValueError(f"a micrograph must have at least one frame, {micrograph.path.name} has none")
    record = first.record | findings | {"n_frames": micrograph.n_frames}
    masks = [found.mask for found in frames]
    windows = [found.counts for found in frames]
    if micrograph.n_frames == 1:
        return MicrographAnalysis(first.sites, masks, windows, record, twin=first.twin)
    from amorph2d.analysis.series import join_frames

    sites, drift = join_frames(
        [found.sites for found in frames], micrograph, sampling=sampling, parameters=parameters.series
    )
    return MicrographAnalysis(sites, masks, windows, record, drift, first.twin)


def _judge(
    image: Any,
    found: FrameAnalysis,
    sampling: tuple[float, float],
    calibration: Mapping[str, Any],
    networks: Networks,
    parameters: AnalysisParameters,
    micrograph: Micrograph,
) -> dict[str, Any]:
    """Say what of an image is unlike the training, and what contradicts its calibration."""
    sites, scale = found.sites, calibration["length_scale"]
    atoms, rings = (sites.loc[sites["kind"] == kind, ["x", "y"]].to_numpy() for kind in ("atom", "ring"))
    outside = guard(
        image,
        sampling=(sampling[0] / scale, sampling[1] / scale),
        dose=_times(calibration["dose_per_area"], scale**2),
        energy=calibration["energy"],
        sites=sites,
        area=found.record["analysable_area"] / scale**2,
        domain=networks.sites.metadata,
        config=networks.sites.config,
        has_counts=micrograph.metadata.get("dtype") != "uint8",
    )
    name, version = (networks.sites.metadata.get(key, "?") for key in ("registered_name", "version"))
    inside = sites[sites["analysable"]]
    spacing = typical_spacing(inside.loc[inside["kind"] == "atom", ["x", "y"]])
    warnings = [check_bond_length(sampling, spacing, scale * parameters.bond_length)]
    if not len(atoms):
        warnings = ["no atoms were found: check the sampling and the image"]
    return {
        "polarity": contrast_polarity(image, atoms, rings, sampling),
        "in_domain": not outside,
        "domain_reason": "; ".join(finding.text for finding in outside),
        "network": f"{name}/{version}",
        "network_sha256": networks.sites.sha256,
        "warnings": "; ".join(warning for warning in warnings if warning),
    }


def _times(value: float | None, factor: float) -> float | None:
    """Return a product, or None for what is not known."""
    return None if value is None else value * factor
