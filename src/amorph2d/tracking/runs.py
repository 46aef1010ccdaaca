"""MLflow runs of trainings and analyses: parameters, metrics per epoch, figures, tables, code version."""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from amorph2d import __version__
from amorph2d.tracking.epochs import EpochTracker, metric_rows, now
from amorph2d.tracking.store import (
    Store,
    TrackingError,
    connect,
    current,
    find_experiment,
    lock,
    quiet_mlflow,
)
from amorph2d.tracking.values import as_text, flatten, flatten_metrics

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

ANALYSIS_EXPERIMENT = "analysis"
SYNTHESIS_EXPERIMENT = "synthesis"
RUN_FILE = "mlflow_run.json"
_BATCH = 100  # parameters that MLflow takes at once


@dataclass(frozen=True)
class TrackedRun:
    """An MLflow run; as a context it ends as FINISHED, or as FAILED or KILLED if an error passes through."""

    client: MlflowClient
    run_id: str
    epochs: EpochTracker = field(repr=False)

    def log_metrics(self, metrics: Mapping[str, Any], *, step: int = 0) -> None:
        """Keep the finite numbers of a nested mapping, named by their path: ``sites.f1``."""
        rows = metric_rows(flatten_metrics(metrics), step=step, when=now())
        if rows:
            self.client.log_batch(self.run_id, metrics=rows)

    def log_figures(self, figures: Mapping[str, Any]) -> None:
        """Keep matplotlib figures as PNG and plotly figures as HTML under ``figures/``."""
        with quiet_mlflow():
            for name, figure in figures.items():
                suffix = "png" if hasattr(figure, "savefig") else "html"
                self.client.log_figure(self.run_id, figure, f"figures/{name}.{suffix}")

    def log_tables(self, tables: Mapping[str, pd.DataFrame]) -> None:
        """Keep tables as CSV, which MLflow's pages can show, under ``tables/``."""
        for name, table in tables.items():
            self.client.log_text(self.run_id, table.to_csv(index=False), f"tables/{name}.csv")

    def log_file(self, path: Path) -> None:
        """Keep a file."""
        self.client.log_artifact(self.run_id, str(path))

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; values become text."""
        from mlflow.entities import RunTag

        self.client.log_batch(
            self.run_id, tags=[RunTag(name, as_text(value)) for name, value in tags.items()]
        )

    def finish(self, status: str = "FINISHED") -> None:
        """End the run as FINISHED, FAILED or KILLED."""
        self.epochs.flush()
        self.client.set_terminated(self.run_id, status=status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
            return
        status = "FAILED" if issubclass(kind, Exception) else "KILLED"
        try:
            self.set_tags({"error": f"{kind.__name__}: {error}"})
            self.finish(status)
        except Exception as second:
            # The first error is the one to see.
            logger.warning("The MLflow run %s could not be ended as %s: %s", self.run_id, status, second)


def start_training_run(
    task: str,
    parameters: Mapping[str, Any],
    *,
    tags: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    name: str | None = None,
) -> TrackedRun:
    """Start a run in the experiment of a task, or go on with the one that was interrupted.

    Parameters
    ----------
    task
        Name of the experiment.
    parameters
        Nested parameters, mappings or pydantic models; kept flat: ``fit.epochs``.
    tags
        For instance the data set's identity and the seed; the code version is added.
    folder
        Folder of the training. The run is noted there; a later start with equal parameters goes on with it.
    name
        Name of the run; MLflow invents one if None.

    Returns
    -------
    TrackedRun
        Use it as a context, so that it ends whatever happens.
    """
    store, flat = current(), flatten(parameters)
    client = connect(store)
    run_id = _interrupted(client, store, folder, flat) if folder is not None else None
    if run_id is not None:
        logger.info("Going on with the MLflow run %s.", run_id)
        return continue_run(run_id)
    run = open_run(task, name=name, tags=tags)
    _log_parameters(client, run.run_id, flat)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RUN_FILE).write_text(
            json.dumps({"run_id": run.run_id, "store": store.uri}), encoding="utf-8"
        )
    return run


def open_run(
    experiment: str,
    *,
    name: str | None = None,
    tags: Mapping[str, Any] | None = None,
    start_time: int | None = None,
) -> TrackedRun:
    """Create a run, with the code version among its tags, in an experiment that is created if necessary.

    Parameters
    ----------
    experiment
        Name of the experiment.
    name
        Name of the run; MLflow invents one if None.
    tags
        More tags.
    start_time
        Milliseconds since the epoch [ms]; now if None.
    """
    store = current()
    client = connect(store)
    every = {"mlflow.source.name": "amorph2d", **code_version(store.project_path), **(tags or {})}
    with lock(store):
        experiment_id = find_experiment(client, store, experiment)
    texts = {tag: as_text(value) for tag, value in every.items()}
    run = client.create_run(experiment_id, start_time=start_time, tags=texts, run_name=name)
    return TrackedRun(client, run.info.run_id, EpochTracker(client, run.info.run_id))


def continue_run(run_id: str) -> TrackedRun:
    """Open a run again, to add to it.

    Raises
    ------
    TrackingError
        If the store has no such run.
    """
    client = connect()
    try:
        client.update_run(run_id, status="RUNNING")
    except Exception as error:
        raise TrackingError(f"MLflow run {run_id!r} cannot be continued: {error}") from error
    return TrackedRun(client, run_id, EpochTracker(client, run_id))


def existing_run(run_id: str) -> TrackedRun:
    """Return a run to add to without changing whether it is finished."""
    client = connect()
    return TrackedRun(client, run_id, EpochTracker(client, run_id))


def log_analysis(
    parameters: Mapping[str, Any],
    *,
    metrics: Mapping[str, Any],
    report: Path | None = None,
    tags: Mapping[str, Any] | None = None,
    started: float | None = None,
) -> str:
    """Keep a finished analysis as a run in the experiment ``analysis``.

    Parameters
    ----------
    parameters, metrics
        Nested; kept flat.
    report
        A file to keep with it.
    tags
        The code version is added.
    started
        When it began, seconds since the epoch [s]; now if None.

    Returns
    -------
    str
        The id of the run.
    """
    start_time = None if started is None else round(1000 * started)
    with open_run(ANALYSIS_EXPERIMENT, tags=tags, start_time=start_time) as run:
        _log_parameters(run.client, run.run_id, flatten(parameters))
        run.log_metrics(metrics)
        if report is not None and report.is_file():
            run.log_file(report)
    return run.run_id


def log_set(
    parameters: Mapping[str, Any],
    *,
    set_id: str,
    seed: int,
    n_images: int,
    tables: Mapping[str, pd.DataFrame],
    figures: Sequence[Path],
    started: float | None = None,
) -> str:
    """Keep a simulated set as a run in the experiment ``synthesis``; a set that is kept already is kept once.

    Parameters
    ----------
    parameters
        Nested; kept flat.
    set_id
        Identity of the set: the SHA-256 of its recipes and of the code that made it.
    seed, n_images
        Seed and number of images of the set.
    tables
        Tables by name, kept as CSV.
    figures
        Files of its contact sheet and other figures.
    started
        When its making began, seconds since the epoch [s]; now if None.

    Returns
    -------
    str
        The id of the run.
    """
    store = current()
    client = connect(store)
    with lock(store):
        experiment_id = find_experiment(client, store, SYNTHESIS_EXPERIMENT)
    wanted = f"tags.set_id = '{set_id}' and attributes.status = 'FINISHED'"
    for known in client.search_runs([experiment_id], wanted, max_results=1):
        return str(known.info.run_id)
    start_time = None if started is None else round(1000 * started)
    tags = {"set_id": set_id, "seed": seed}
    with open_run(SYNTHESIS_EXPERIMENT, tags=tags, start_time=start_time) as run:
        _log_parameters(run.client, run.run_id, flatten(parameters))
        run.log_metrics({"n_images": n_images})
        run.log_tables(tables)
        for figure in figures:
            run.log_file(figure)
    return run.run_id


def code_version(project_path: Path) -> dict[str, str]:
    """Return tags with the version of this package and, in a git checkout, the commit."""
    tags = {"amorph2d.version": __version__}
    commit = _git(project_path, "rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        tags["amorph2d.uncommitted_changes"] = str(
            bool(_git(project_path, "status", "--porcelain", "-uno"))
        ).lower()
    return tags


def _interrupted(client: MlflowClient, store: Store, folder: Path, flat: Mapping[str, str]) -> str | None:
    """Return the run noted in `folder` if it is in this store and had the same parameters."""
    path = folder / RUN_FILE
    if not path.is_file():
        return None
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        run = client.get_run(note["run_id"]) if note["store"] == store.uri else None
    except Exception as error:
        logger.info("%s does not name a run that can be continued: %s", path, error)
        return None
    if run is None or run.info.lifecycle_stage != "active" or run.data.params != dict(flat):
        return None
    return run.info.run_id


def _log_parameters(client: MlflowClient, run_id: str, flat: Mapping[str, str]) -> None:
    """Send parameters in pieces that MLflow takes."""
    from mlflow.entities import Param

    rows = [Param(name, value) for name, value in flat.items()]
    for start in range(0, len(rows), _BATCH):
        client.log_batch(run_id, params=rows[start : start + _BATCH])


def _git(project_path: Path, *arguments: str) -> str:
    """Return what git says about the project, nothing if there is no git."""
    if not (project_path / ".git").exists():
        return ""
    try:
        return subprocess.run(
            ["git", "-C", str(project_path), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
