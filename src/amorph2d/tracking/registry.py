"""Registered networks: put in, found by alias or version, promoted."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amorph2d.tracking.folders import NetworkFiles, read_folder, shipped_folder
from amorph2d.tracking.models import add_version
from amorph2d.tracking.runs import TrackedRun, continue_run, open_run
from amorph2d.tracking.store import TrackingError, connect, current, lock
from amorph2d.tracking.values import flatten_metrics
from amorph2d.tracking.versions import CANDIDATE, CHAMPION, find_version, list_versions, local_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegisteredNetwork:
    """One version of a registered network.

    Attributes
    ----------
    task, version
        Name in the registry and number of the version.
    folder
        Folder on this machine with its checked files, readable by `amorph2d.learning.storage.load_network`.
    sha256
        SHA-256 of the weights.
    uri
        MLflow's address of the version.
    """

    task: str
    version: int
    folder: Path
    sha256: str
    uri: str


@dataclass(frozen=True)
class NetworkRow:
    """One line of the list of registered networks."""

    task: str
    version: int
    aliases: tuple[str, ...]
    source: str
    created: datetime
    metrics: Mapping[str, float]
    sha256: str


def register_network(
    network_folder: Path,
    *,
    task: str = "sites",
    run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    figures: Mapping[str, Any] | None = None,
    alias: str | None = CANDIDATE,
) -> RegisteredNetwork:
    """Register a network's folder as a new version, or find the version that is the same network already.

    Parameters
    ----------
    network_folder
        Folder with ``weights.safetensors``, ``network.json`` and perhaps ``MODEL_CARD.md``.
    task
        Name of the registered model.
    run_id
        The training's run; a run of its own is made if None.
    tags
        Tags of the version.
    metrics
        Nested; those of the folder's metadata if None.
    figures
        Matplotlib or plotly figures by name, kept with the run.
    alias
        Set to the version; None sets none.

    Returns
    -------
    RegisteredNetwork
        The version and where its files are.

    Raises
    ------
    TrackingError
        If the folder is not whole or the store cannot be used.
    """
    network = read_folder(network_folder)
    store = current()
    client = connect(store)
    with lock(store):
        found = _same_network(list_versions(client, task), network)
        if found is None:
            run = open_run(task, name="registration") if run_id is None else continue_run(run_id)
            found = _register(run, network, task=task, tags=tags or {}, metrics=metrics, figures=figures)
        else:
            logger.info("The network is registered already: %s version %s.", task, found.version)
    if run_id is not None:
        client.set_tag(run_id, "registered_network", f"{task}/{found.version}")
    if alias is not None:
        client.set_registered_model_alias(task, alias, str(found.version))
    return _registered(task, found, network_folder, network.sha256)


def ensure_reference(task: str) -> None:
    """Register the network that ships with this package, as champion, if the task has no version yet.

    Nothing happens where none ships; `resolve` then says that there is no network.

    Raises
    ------
    TrackingError
        If the store cannot be used.
    """
    store = current()
    client = connect(store)
    folder = shipped_folder(task)
    if folder is None or list_versions(client, task):
        return
    network = read_folder(folder)
    with lock(store):
        if list_versions(client, task):
            return
        logger.info("Registering the reference network %r as version 1.", task)
        made = _register(open_run(task, name="reference"), network, task=task, tags={"source": "reference"})
        first = _drop_duplicates(client, task, made)
        client.set_registered_model_alias(task, CHAMPION, str(first.version))


def resolve(task: str, alias_or_version: str | int = CHAMPION) -> RegisteredNetwork:
    """Find a version's files, fetched from a server if necessary, and check them.

    Parameters
    ----------
    task
        Name of the registered model.
    alias_or_version
        An alias, ``champion`` or ``candidate`` for instance, or the number of a version.

    Raises
    ------
    TrackingError
        If there is no such version, or its files are missing or damaged; the message says what to do.
    """
    store = current()
    client = connect(store)
    found = find_version(client, task, alias_or_version)
    folder = local_folder(client, store, found)
    return _registered(task, found, folder, read_folder(folder).sha256)


def is_available(task: str, alias_or_version: str | int = CHAMPION) -> bool:
    """Return whether there is such a version, or one that `ensure_reference` would make."""
    try:
        client = connect()
        if not list_versions(client, task):
            return shipped_folder(task) is not None
        find_version(client, task, alias_or_version)
    except TrackingError:
        return False
    return True


def champion(task: str) -> RegisteredNetwork:
    """Return the version that serves `inference`."""
    return resolve(task, CHAMPION)


def promote(task: str, version: int | None = None) -> RegisteredNetwork:
    """Make a version the champion: the candidate if `version` is None.

    Raises
    ------
    TrackingError
        If there is no such version or its files cannot be used; the champion then stays what it was.
    """
    network = resolve(task, CANDIDATE if version is None else version)
    connect().set_registered_model_alias(task, CHAMPION, str(network.version))
    logger.info("%s version %d is the champion now.", task, network.version)
    return network


def list_networks(task: str | None = None) -> list[NetworkRow]:
    """List every version, newest first, of one task or of all."""
    client = connect()
    models = {model.name: model.aliases for model in client.search_registered_models()}
    return [
        _row(version, aliases)
        for name, aliases in sorted(models.items())
        if task in (None, name)
        for version in list_versions(client, name)
    ]


def _register(
    run: TrackedRun,
    network: NetworkFiles,
    *,
    task: str,
    tags: Mapping[str, Any],
    metrics: Mapping[str, Any] | None = None,
    figures: Mapping[str, Any] | None = None,
) -> ModelVersion:
    """Keep metrics and figures in a run, add a version, end the run."""
    flat = flatten_metrics(network.metadata.get("metrics") or {} if metrics is None else metrics)
    with run:
        run.log_metrics(flat)
        run.log_figures(figures or {})
        return add_version(run, network, task=task, metrics=flat, tags=tags)


def _same_network(versions: list[ModelVersion], network: NetworkFiles) -> ModelVersion | None:
    """Return the oldest version that gives the same results as `network`."""
    return next(
        (version for version in reversed(versions) if version.tags.get("identity") == network.identity), None
    )


def _drop_duplicates(client: MlflowClient, task: str, made: ModelVersion) -> ModelVersion:
    """Keep the first of two reference versions that two machines registered on one server at once."""
    same = [v for v in list_versions(client, task) if v.tags.get("identity") == made.tags["identity"]]
    first = min(same, key=lambda version: int(version.version))
    if int(first.version) < int(made.version):
        client.delete_model_version(task, str(made.version))
    return first


def _registered(task: str, version: ModelVersion, folder: Path, sha256: str) -> RegisteredNetwork:
    """Return a version as our own record."""
    number = int(version.version)
    return RegisteredNetwork(
        task=task, version=number, folder=folder, sha256=sha256, uri=f"models:/{task}/{number}"
    )


def _row(version: ModelVersion, aliases: Mapping[str, Any]) -> NetworkRow:
    """Return a version as a line of the list."""
    number = int(version.version)
    return NetworkRow(
        task=version.name,
        version=number,
        aliases=tuple(sorted(alias for alias, target in aliases.items() if int(target) == number)),
        source=version.tags.get("source", ""),
        created=datetime.fromtimestamp(version.creation_timestamp / 1000, UTC),
        metrics=json.loads(version.tags.get("metrics", "{}")),
        sha256=version.tags.get("sha256", ""),
    )
