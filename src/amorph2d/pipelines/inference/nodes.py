"""Nodes of the inference pipeline: one micrograph in memory at a time, one bad file stops no other."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from amorph2d.localisation.config import LocalisationParameters
from amorph2d.pipelines.types import MicrographLoader, RecordLoader, TableLoader, TrainedNetwork

logger = logging.getLogger(__name__)

Record = dict[str, Any]
ANALYSED, NOT_ANALYSED = "analysed", "not analysed"


def calibrate_micrographs(
    micrographs: Mapping[str, MicrographLoader],
    sampling: object,
    parameters: LocalisationParameters,
) -> Iterator[dict[str, Record]]:
    """Read each micrograph, find its sampling and estimate its dose."""
    from amorph2d.micrographs.calibrate import check_sampling_parameter

    given = check_sampling_parameter(sampling)
    for stem, loader in micrographs.items():
        yield {stem: _calibrate(loader, given, parameters.border)}


def _calibrate(loader: MicrographLoader, sampling: float | None, border: float) -> Record:
    """Collect what is known of a micrograph, or why it is not analysed."""
    from amorph2d.micrographs.calibrate import check_field, recorded_dose, resolve_sampling
    from amorph2d.micrographs.errors import MicrographError

    record: Record = {"file": loader.path.name, "status": NOT_ANALYSED, "reason": ""}
    try:
        micrograph = loader()
        record |= {"sha256": micrograph.sha256}
        record |= dict(zip(("rows", "columns"), micrograph.image.shape, strict=True))
        steps, source = resolve_sampling(micrograph, parameter=sampling, table=loader.sampling_table)
        check_field(micrograph, steps, border=border)
    except MicrographError as error:
        logger.warning("%s is not analysed: %s", loader.path.name, error)
        return record | {"reason": str(error)}
    return record | {
        "status": ANALYSED,
        "sampling_y": steps[0],
        "sampling_x": steps[1],
        "sampling_source": source,
        "energy": micrograph.metadata.get("energy"),
        "dose_per_area": recorded_dose(micrograph, steps),
    }


def locate_sites(
    micrographs: Mapping[str, MicrographLoader],
    calibrations: Mapping[str, RecordLoader],
    network: TrainedNetwork,
    parameters: LocalisationParameters,
) -> Iterator[tuple[dict[str, pd.DataFrame], dict[str, Record]]]:
    """Locate the sites of each calibrated micrograph and compare it with the training domain."""
    yield {}, {}  # Kedro wants at least one piece, also where no micrograph could be read
    for stem, loader in micrographs.items():
        calibration = calibrations[stem]()
        if calibration["status"] == ANALYSED:
            yield _locate(stem, loader, calibration, network, parameters)


def _locate(
    stem: str,
    loader: MicrographLoader,
    calibration: Record,
    network: TrainedNetwork,
    parameters: LocalisationParameters,
) -> tuple[dict[str, pd.DataFrame], dict[str, Record]]:
    """Sites of one micrograph and what is noted about them; without sites where it went wrong."""
    from amorph2d.localisation.locate import locate_sites
    from amorph2d.micrographs.calibrate import check_domain, contrast_polarity
    from amorph2d.micrographs.scores import score_against_truth

    sampling = (calibration["sampling_y"], calibration["sampling_x"])
    try:
        image = loader().image
        sites = locate_sites(image, sampling=sampling, network=network, parameters=parameters)
        truth = loader.truth()
    except Exception as error:  # whatever is wrong with one micrograph, the others go on
        logger.warning(
            "%s is not analysed: %s", loader.path.name, error, exc_info=not isinstance(error, ValueError)
        )
        return {}, {stem: {"status": NOT_ANALYSED, "reason": str(error)}}
    atoms, rings = (sites.loc[sites["kind"] == kind, ["x", "y"]].to_numpy() for kind in ("atom", "ring"))
    known = {
        "sampling": sampling,
        "dose_per_area": calibration["dose_per_area"],
        "energy": calibration["energy"],
    }
    outside = check_domain(known, network.metadata.get("training_domain", {}))
    for reason in outside:
        logger.warning("%s: %s", loader.path.name, reason)
    name, version = (network.metadata.get(key, "?") for key in ("registered_name", "version"))
    record: Record = {
        "polarity": contrast_polarity(image, atoms, rings, sampling),
        "in_domain": not outside,
        "domain_reason": "; ".join(outside),
        "network": f"{name}/{version}",
        "network_sha256": network.sha256,
    }
    if truth is not None:
        extent = ((image.shape[1] - 1) * sampling[1], (image.shape[0] - 1) * sampling[0])
        record |= score_against_truth(sites, truth, extent=extent, border=parameters.border)
    return {stem: sites}, {stem: record}


def conclude_calibration(
    micrographs: Mapping[str, MicrographLoader],
    calibrations: Mapping[str, RecordLoader],
    locations: Mapping[str, RecordLoader],
    sites: Mapping[str, TableLoader],
) -> pd.DataFrame:
    """Put together one row per file of this run: what is known of it, and whether it was analysed."""
    from amorph2d import __version__
    from amorph2d.micrographs.calibrate import CALIBRATION_COLUMNS

    rows = []
    for stem in micrographs:
        record = {"micrograph": stem} | calibrations[stem]()
        if record["status"] == ANALYSED:
            record |= locations[stem]()
        if record["status"] == ANALYSED:
            found = sites[stem]()
            record |= {f"n_{kind}s": int((found["kind"] == kind).sum()) for kind in ("atom", "ring")}
            record["warnings"] = _warning(record, found) or ""
            if record["warnings"]:
                logger.warning("%s: %s", record["file"], record["warnings"])
        rows.append(record | {"code_version": __version__})
    table = pd.DataFrame(rows)
    return table.reindex(columns=[*CALIBRATION_COLUMNS, *table.columns.difference(list(CALIBRATION_COLUMNS))])


def _warning(record: Record, sites: pd.DataFrame) -> str | None:
    """Say what makes the sites of a micrograph doubtful, if anything does."""
    from amorph2d.micrographs.calibrate import check_bond_length, typical_spacing

    if record["n_atoms"] == 0:
        return "no atoms were found: check the sampling and the image"
    spacing = typical_spacing(sites.loc[sites["kind"] == "atom", ["x", "y"]])
    return check_bond_length((record["sampling_y"], record["sampling_x"]), spacing)
