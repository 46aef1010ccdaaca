"""Registered networks: put in, found by alias or version, promoted, rolled back."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amorph2d.tracking import champions
from amorph2d.tracking.champions import Reign, complete_history, previous_champion, set_champion
from amorph2d.tracking.folders import NetworkFiles, read_folder, shipped_folder
from amorph2d.tracking.models import add_version
from amorph2d.tracking.runs import TrackedRun, continue_run, existing_run, open_run
from amorph2d.tracking.store import TrackingError, clear_errors, connect, current, lock
from amorph2d.tracking.values import as_text, flatten_metrics
from amorph2d.tracking.versions import (
    CANDIDATE,
    CHAMPION,
    find_version,
    list_versions,
    local_folder,
    why_not_found,
)

if TYPE_CHECKING:
    import pandas as pd
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


@clear_errors()
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
    if alias == CHAMPION:
        set_champion(client, task, int(found.version), champions.REGISTERED)
    elif alias is not None:
        client.set_registered_model_alias(task, alias, str(found.version))
    return _registered(task, found, network_folder, network.sha256)


@clear_errors()
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
        set_champion(client, task, int(first.version), champions.REFERENCE)


@clear_errors()
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
    if alias_or_version == CHAMPION:
        _notice_champion(client, task)
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


@clear_errors()
def promote(task: str, version: int | None = None) -> RegisteredNetwork:
    """Make a version the champion: the candidate if `version` is None.

    Raises
    ------
    TrackingError
        If there is no such version or its files cannot be used; the champion then stays what it was.
    """
    network = resolve(task, CANDIDATE if version is None else version)
    return _enthrone(network, champions.PROMOTED)


@clear_errors()
def promote_candidate(
    task: str, version: int, *, comparison: pd.DataFrame | None = None, even_if_worse: bool = False
) -> dict[str, Any]:
    """Make a version the champion unless the comparison shows that it is worse.

    Parameters
    ----------
    task, version
        Name in the registry and number of the version.
    comparison
        Table of `amorph2d.learning.comparison.compare` with the champion; None where there is none.
    even_if_worse
        Promote it whatever the comparison says.

    Returns
    -------
    dict
        JSON values: ``task``, ``version``, ``promoted``, ``champion`` (version that reigns now or None) and
        ``reason``.

    Raises
    ------
    TrackingError
        If there is no such version or its files cannot be used.
    """
    from amorph2d.learning.comparison import verdicts

    found = {} if comparison is None else verdicts(comparison)
    worse = [channel for channel, verdict in found.items() if verdict == "worse"]
    if worse and not even_if_worse:
        reason = f"worse than the champion for {', '.join(worse)}"
        logger.warning(
            "%s version %d is not promoted: %s. To do it all the same: kedro promote --task %s --version %d",
            task, version, reason, task, version,
        )  # fmt: skip
        reigning = _reigning(connect(), task)
        return {
            "task": task, "version": version, "promoted": False, "champion": reigning, "reason": reason,
        }  # fmt: skip
    promote(task, version)
    said = "; ".join(f"{channel}: {verdict}" for channel, verdict in found.items())
    reason = said or "not compared with a champion"
    return {"task": task, "version": version, "promoted": True, "champion": version, "reason": reason}


@clear_errors()
def roll_back(task: str) -> RegisteredNetwork:
    """Make the previous champion the champion again; a second time, the one before it.

    Raises
    ------
    TrackingError
        If there was none, or its files cannot be used; the champion then stays what it was.
    """
    client = connect()
    versions = list_versions(client, task)
    if not versions:
        raise TrackingError(why_not_found(task, CHAMPION, versions))
    earlier = previous_champion(
        complete_history(client, task),
        reigning=_reigning(client, task),
        existing={int(version.version) for version in versions},
    )
    if earlier is None:
        raise TrackingError(
            f"network {task!r} had no other champion to go back to. "
            f"Choose a version: kedro networks --task {task}; kedro promote --task {task} --version N"
        )
    return _enthrone(resolve(task, earlier), champions.ROLLED_BACK)


@clear_errors()
def list_champions(task: str) -> list[Reign]:
    """List who was champion and since when, oldest first; one set in MLflow's interface is noted now.

    Raises
    ------
    TrackingError
        If the task has no network.
    """
    client = connect()
    versions = list_versions(client, task)
    if not versions:
        raise TrackingError(why_not_found(task, CHAMPION, versions))
    return complete_history(client, task)


@clear_errors()
def record_comparison(task: str, version: int, table: pd.DataFrame, *, against: int) -> None:
    """Keep a comparison with the run of a version, and what it says as tags of the version and the run.

    Parameters
    ----------
    task, version
        Name in the registry and number of the version that was compared.
    table
        Table of `amorph2d.learning.comparison.compare`.
    against
        Number of the version that it was compared with.

    Raises
    ------
    TrackingError
        If there is no such version.
    """
    from amorph2d.learning.comparison import comparison_markdown, summarise_comparison

    client = connect()
    found = find_version(client, task, version)
    other = find_version(client, task, against)
    tags = {"compared_with": f"{task}/{other.version}", **summarise_comparison(table)}
    for name, value in tags.items():
        client.set_model_version_tag(task, str(found.version), name, as_text(value))
    if found.run_id:
        run = existing_run(found.run_id)
        run.log_tables({"comparison": table})
        title = f"# {task} version {found.version} and version {other.version}\n\n"
        client.log_text(found.run_id, title + comparison_markdown(table), "comparison.md")
        run.log_metrics(_compared_metrics(table))
        run.set_tags(tags)


@clear_errors()
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


def _enthrone(network: RegisteredNetwork, how: str) -> RegisteredNetwork:
    """Make a version whose files are whole the champion."""
    store = current()
    with lock(store):
        set_champion(connect(store), network.task, network.version, how)
    logger.info("%s version %d is the champion now.", network.task, network.version)
    return network


def _reigning(client: MlflowClient, task: str) -> int | None:
    """Return the version that has the alias, None if none has."""
    version = client.get_registered_model(task).aliases.get(CHAMPION)
    return None if version is None else int(version)


def _notice_champion(client: MlflowClient, task: str) -> None:
    """Note a champion that was chosen in MLflow's interface; who may only read does without."""
    try:
        complete_history(client, task)
    except Exception as error:
        logger.info("The history of the champions of %r could not be completed: %s", task, error)


def _compared_metrics(table: pd.DataFrame) -> dict[str, float]:
    """Return the champion's totals and how far the candidate is from them, by dotted names."""
    totals = table[table["condition"] == "all"]
    return {
        f"{name}.{row.channel}.{row.metric}": getattr(row, name)
        for row in totals.itertuples()
        for name in ("champion", "difference")
    }


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
