"""Nodes of the inference pipeline: one micrograph in memory at a time, one bad file stops no other."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from amorph2d.analysis.config import AnalysisParameters
from amorph2d.localisation.config import LocalisationParameters
from amorph2d.pipelines.scheduling import ComputingParameters
from amorph2d.pipelines.types import MicrographLoader, RecordLoader, TableLoader, TrainedNetwork

logger = logging.getLogger(__name__)

Record = dict[str, Any]
Pieces = dict[str, Any]
ANALYSED, NOT_ANALYSED = "analysed", "not analysed"
FINGERPRINT = "fingerprint"


@dataclass(frozen=True)
class Task:
    """A micrograph to analyse, and what is known of it."""

    loader: MicrographLoader
    calibration: Record


def calibrate_micrographs(
    micrographs: Mapping[str, MicrographLoader],
    network: TrainedNetwork,
    sampling: object,
    length_scale: float,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
    computing: ComputingParameters,
) -> Iterator[dict[str, Record]]:
    """Read each micrograph, find its sampling and estimate its dose."""
    from amorph2d.micrographs.calibrate import check_length_scale, check_sampling_parameter
    from amorph2d.pipelines.scheduling import run_tasks

    given, scale = check_sampling_parameter(sampling), check_length_scale(length_scale)
    shared = (network, given, scale, localisation, parameters)
    yield {}  # Kedro wants at least one piece
    for stem, record in run_tasks(calibrate, micrographs, computing, *shared):
        if record["status"] != ANALYSED:
            logger.warning("%s is not analysed: %s", record["file"], record["reason"])
        yield {stem: record}


def calibrate(
    loader: MicrographLoader,
    network: TrainedNetwork,
    sampling: Any,
    length_scale: float,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
) -> Record:
    """Collect what is known of a micrograph, or why it is not analysed."""
    from amorph2d.analysis.calibration import calibrate_micrograph

    record: Record = {"file": loader.path.name, "status": NOT_ANALYSED, "reason": ""}
    try:
        micrograph = loader()
        record |= {"sha256": micrograph.sha256}
        record |= calibrate_micrograph(
            micrograph,
            parameter=sampling,
            table=loader.sampling_table,
            length_scale=length_scale,
            network=network,
            localisation=localisation,
            parameters=parameters,
        )
    except Exception as error:  # whatever is wrong with one micrograph, the others go on
        return record | {"reason": _reason(error, loader)}
    return record | {"status": ANALYSED}


def _reason(error: Exception, loader: MicrographLoader) -> str:
    """Say why a micrograph is not analysed; what nobody foresaw is logged with its traceback."""
    if not isinstance(error, ValueError):
        logger.warning("%s", loader.path.name, exc_info=error)
    return str(error) or type(error).__name__


def analyse_micrographs(
    micrographs: Mapping[str, MicrographLoader],
    calibrations: Mapping[str, RecordLoader],
    finished: Mapping[str, Record],
    sites: TrainedNetwork,
    monolayer: TrainedNetwork,
    pores: TrainedNetwork,
    illumination: TrainedNetwork,
    region: object,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
    computing: ComputingParameters,
) -> Iterator[tuple[Pieces, Pieces, Pieces, Pieces, Pieces, dict[str, Record]]]:
    """Find the sites of each calibrated micrograph that is not finished; records come last."""
    from amorph2d.analysis.frame import Networks
    from amorph2d.pipelines.scheduling import run_tasks

    yield {}, {}, {}, {}, {}, {}  # Kedro wants at least one piece, also where no micrograph could be read
    networks = Networks(sites, monolayer, pores, illumination)
    common = _common_marks(networks, localisation, parameters)
    tasks, marks = {}, {}
    for stem, loader in micrographs.items():
        calibration = calibrations[stem]()
        if calibration["status"] == ANALYSED:
            marks[stem] = _fingerprint(common, calibration, _region_mark(loader, calibration, region))
            if finished.get(stem, {}).get(FINGERPRINT) != marks[stem]:
                tasks[stem] = Task(loader, calibration)
    if len(tasks) < len(marks):
        logger.info("%d of %d micrographs are finished", len(marks) - len(tasks), len(marks))
    shared = (networks, region, localisation, parameters)
    for stem, (found, record) in run_tasks(analyse, tasks, computing, *shared):
        if record["status"] != ANALYSED:
            logger.warning("%s is not analysed: %s", tasks[stem].loader.path.name, record["reason"])
        pieces = [{stem: piece} if piece is not None else {} for piece in found]
        figure = {f"{stem}.png": picture for picture in found[-1:] if picture is not None}
        sites_of, drift, masks, windows = pieces[:-1]
        yield sites_of, drift, masks, windows, figure, {stem: record | {FINGERPRINT: marks[stem]}}


def analyse(
    task: Task,
    networks: Any,
    region: object,
    localisation: LocalisationParameters,
    parameters: AnalysisParameters,
) -> tuple[list[Any], Record]:
    """Analyse one micrograph: its sites, drift, masks, windows and twin, None for what there is not."""
    from amorph2d.analysis.micrograph import analyse_micrograph
    from amorph2d.analysis.regions import COUNTED
    from amorph2d.measures.mask_window import MaskWindow
    from amorph2d.micrographs.regions import region_of
    from amorph2d.micrographs.scores import score_against_truth

    loader, calibration = task.loader, task.calibration
    sampling = (calibration["sampling_y"], calibration["sampling_x"])
    try:
        micrograph = loader()
        shape = micrograph.frame(0).shape
        found = analyse_micrograph(
            micrograph,
            calibration=calibration,
            networks=networks,
            localisation=localisation,
            parameters=parameters,
            region=region_of(loader.path, region, shape=shape, sampling=sampling),
        )
        truth = loader.truth()
    except Exception as error:  # whatever is wrong with one micrograph, the others go on
        return [None] * 5, {"status": NOT_ANALYSED, "reason": _reason(error, loader)}
    record = {"status": ANALYSED} | found.record
    if truth is not None:
        window = MaskWindow(found.windows[0] == COUNTED, sampling)
        first = found.sites[found.sites["frame"] == 0]
        record |= score_against_truth(first, truth, window=window)
    picture = None
    if found.twin is not None:
        from amorph2d.plotting.rendering import rendered
        from amorph2d.plotting.twin import twin_figure

        picture = rendered(twin_figure(micrograph.frame(0), found.twin), "png")
    return [found.sites, found.drift, found.masks, found.windows, picture], record


def _common_marks(
    networks: Any, localisation: LocalisationParameters, parameters: AnalysisParameters
) -> Record:
    """Return what decides the results of every micrograph."""
    from amorph2d import __version__

    return {
        "networks": {"sites": networks.sites.sha256}
        | {task: network.sha256 for task, network in networks.of_areas().items()}
        | {"illumination": networks.illumination.sha256},
        "localisation": localisation.model_dump(mode="json", exclude={"tile_size", "batch_size"}),
        "analysis": parameters.model_dump(mode="json"),
        "code_version": __version__,
    }


def _region_mark(loader: MicrographLoader, calibration: Record, region: object) -> str:
    """Return a checksum of the region of interest; an invalid one is named by the analysis."""
    from amorph2d.micrographs.regions import region_of

    shape = (calibration["rows"], calibration["columns"])
    sampling = (calibration["sampling_y"], calibration["sampling_x"])
    try:
        chosen = region_of(loader.path, region, shape=shape, sampling=sampling)
    except ValueError as error:
        return str(error)
    return "" if chosen is None else hashlib.sha256(chosen.tobytes()).hexdigest()


def _fingerprint(common: Record, calibration: Record, region: str) -> str:
    """Return a checksum of what decides the results of a micrograph."""
    text = json.dumps(common | {"calibration": calibration, "region": region}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def conclude_calibration(
    micrographs: Mapping[str, MicrographLoader],
    calibrations: Mapping[str, RecordLoader],
    analyses: Mapping[str, RecordLoader],
    sites: Mapping[str, TableLoader],
) -> pd.DataFrame:
    """Put together one row per file of this run: what is known of it, and whether it was analysed."""
    from amorph2d import __version__
    from amorph2d.micrographs.calibrate import CALIBRATION_COLUMNS

    rows = []
    for stem in micrographs:
        record = {"micrograph": stem} | calibrations[stem]()
        if record["status"] == ANALYSED:
            analysis = analyses[stem]()
            warnings = [record.get("warnings"), analysis.get("warnings")]
            record |= analysis | {"warnings": "; ".join(each for each in warnings if each)}
            record.pop(FINGERPRINT, None)
        if record["status"] == ANALYSED:
            kinds = sites[stem]()["kind"]
            record |= {f"n_{kind}s": int((kinds == kind).sum()) for kind in ("atom", "ring")}
            for reason in filter(None, (record["domain_reason"], record["warnings"])):
                logger.warning("%s: %s", record["file"], reason)
        rows.append(record | {"code_version": __version__})
    table = pd.DataFrame(rows)
    return table.reindex(columns=[*CALIBRATION_COLUMNS, *table.columns.difference(list(CALIBRATION_COLUMNS))])
