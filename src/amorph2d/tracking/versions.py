"""Versions of a registered network: found in the registry, and their files on this machine."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from amorph2d.tracking.folders import read_folder, shipped_folder
from amorph2d.tracking.store import Store, TrackingError, local_path, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

logger = logging.getLogger(__name__)

CHAMPION = "champion"
CANDIDATE = "candidate"


def list_versions(client: MlflowClient, task: str) -> list[ModelVersion]:
    """Return the versions of a task, newest first, none if the task is unknown."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.search_model_versions(f"name = '{task}'")
    except MlflowException as error:
        raise TrackingError(f"the networks of {task!r} cannot be looked up: {error}") from error
    return sorted(found, key=lambda version: -int(version.version))


def find_version(client: MlflowClient, task: str, alias_or_version: str | int) -> ModelVersion:
    """Return a version by alias or number."""
    from mlflow.exceptions import MlflowException

    name = str(alias_or_version)
    try:
        if name.isdecimal():
            return client.get_model_version(task, name)
        return client.get_model_version_by_alias(task, name)
    except MlflowException as error:
        if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise TrackingError(f"network {task!r} cannot be looked up: {error}") from error
        raise TrackingError(why_not_found(task, name, list_versions(client, task))) from error


def why_not_found(task: str, name: str, versions: list[ModelVersion]) -> str:
    """Say what is there instead of the version that was asked for."""
    if not versions:
        return f"no network is registered for the task {task!r}. Train one: kedro run --pipelines training"
    numbers = ", ".join(str(version.version) for version in reversed(versions))
    if name.isdecimal():
        return f"network {task!r} has no version {name}; versions: {numbers}"
    if name == CANDIDATE:
        return (
            f"network {task!r} has no candidate; versions: {numbers}. "
            f"Training registers one, or name a version: kedro promote --task {task} --version N"
        )
    way_out = (
        f" Set it: kedro promote --task {task} --version {versions[0].version}" if name == CHAMPION else ""
    )
    return f"network {task!r} has no version with the alias {name!r}; versions: {numbers}.{way_out}"


def local_folder(client: MlflowClient, store: Store, version: ModelVersion) -> Path:
    """Return a folder on this machine with the version's files."""
    uri = client.get_model_version_download_uri(version.name, str(version.version))
    path = local_path(uri)
    if path is None:
        return _fetched(store, version, uri)
    folder = path / "artifacts"
    if _holds(folder, version):
        return folder
    moved = _after_move(store, path)
    if moved is not None and _holds(moved / "artifacts", version):
        logger.info(
            "The project was moved: %s version %s is read from %s.", version.name, version.version, moved
        )
        return moved / "artifacts"
    shipped = shipped_folder(version.name)
    if shipped is not None and read_folder(shipped).identity == version.tags.get("identity"):
        logger.warning("%s is gone; the same network ships with amorph2d and is used instead.", folder)
        return shipped
    raise TrackingError(
        f"the files of network {version.name!r} version {version.version} are missing or damaged: {folder}. "
        f"They were deleted, or the project was moved without {store.artifact_root.name}/. Put it back, "
        f"or choose another version: kedro networks; kedro promote --task {version.name} --version N"
    )


def _holds(folder: Path, version: ModelVersion) -> bool:
    """Whether the folder holds this version, whole and unchanged."""
    try:
        found = read_folder(folder)
    except TrackingError:
        return False
    return found.identity == version.tags.get("identity", found.identity)


def _after_move(store: Store, path: Path) -> Path | None:
    """Return where an artifact lies now if it moved together with the project."""
    name = store.artifact_root.name
    if name not in path.parts:
        return None
    last = len(path.parts) - 1 - path.parts[::-1].index(name)
    return store.artifact_root.joinpath(*path.parts[last + 1 :])


def _fetched(store: Store, version: ModelVersion, uri: str) -> Path:
    """Return the cached files of a server's version, fetched first if necessary."""
    from mlflow.artifacts import download_artifacts

    folder = store.cache / version.name / version.tags.get("identity", f"version-{version.version}")[:16]
    if _holds(folder, version):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with quiet_mlflow(), TemporaryDirectory(dir=folder.parent) as scratch:
        try:
            fetched = Path(
                download_artifacts(artifact_uri=f"{uri}/artifacts", dst_path=scratch, tracking_uri=store.uri)
            )
        except Exception as error:
            raise TrackingError(
                f"network {version.name!r} version {version.version} cannot be fetched from {uri}: "
                f"{error}. Choose another: kedro networks; kedro promote --task {version.name} --version N"
            ) from error
        if not _holds(fetched, version):
            raise TrackingError(
                f"network {version.name!r} version {version.version} came damaged from {uri}: its files are "
                "not those registered. Put them back there, or choose another: kedro networks; "
                f"kedro promote --task {version.name} --version N"
            )
        shutil.rmtree(folder, ignore_errors=True)
        fetched.rename(folder)
    return folder
