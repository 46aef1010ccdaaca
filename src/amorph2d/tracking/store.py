"""Where MLflow keeps runs and networks: found, created once, opened."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from filelock import BaseFileLock
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

URI_VARIABLE = "MLFLOW_TRACKING_URI"
SERVER_TIMEOUT = 5.0  # [s]
LOCK_TIMEOUT = 120.0  # [s]
_SQLITE_HEADER = b"SQLite format 3\x00"
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}


class TrackingError(RuntimeError):
    """The store or a network in it cannot be used; the message says why and what to do."""


class TrackingSettings(BaseModel):
    """The contents of `mlflow.yml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tracking_uri: str = Field(min_length=1, description="Address of a server, or a database")
    artifact_location: str = Field(min_length=1, description="Folder of a database's artifacts")
    log_analyses: bool = Field(description="Whether every report leaves a run")


# For notebooks and scripts outside of a project, where there is no mlflow.yml to read.
_WITHOUT_PROJECT = TrackingSettings(
    tracking_uri="sqlite:///mlflow.db", artifact_location="mlartifacts", log_analyses=True
)


@dataclass(frozen=True)
class Store:
    """One MLflow store, as seen from one project."""

    uri: str
    project_path: Path
    artifact_root: Path
    log_analyses: bool

    @property
    def is_server(self) -> bool:
        """Whether a server, not this process, reads the database and places the artifacts."""
        return urlsplit(self.uri).scheme in {"http", "https"}

    @property
    def database(self) -> Path | None:
        """The sqlite file, None if the store is something else."""
        path = self.uri.removeprefix("sqlite:///")
        return None if path in (self.uri, "", ":memory:") else Path(path)

    @property
    def cache(self) -> Path:
        """Folder of networks fetched from a server."""
        return self.project_path / "data" / "06_models" / "registered"


_configured: Store | None = None
_reached: set[str] = set()


def configure(project_path: Path, settings: Mapping[str, Any] | None = None) -> Store:
    """Choose the store of a project for this process; nothing is created or contacted yet.

    Parameters
    ----------
    project_path
        Root of the project: relative paths are seen from here.
    settings
        Contents of `mlflow.yml`; None outside of a Kedro project.

    Returns
    -------
    Store
        What `current` returns from now on.

    Raises
    ------
    TrackingError
        If `settings` has unknown, missing or wrong entries.
    """
    global _configured
    _configured = _store(
        project_path.resolve(), _checked(settings) if settings is not None else _WITHOUT_PROJECT
    )
    return _configured


def current() -> Store:
    """Return the configured store, or that of the Kedro project around the working directory."""
    if _configured is not None:
        return _configured
    from kedro.utils import find_kedro_project

    project_path = find_kedro_project(Path.cwd())
    return (
        configure(Path.cwd())
        if project_path is None
        else configure(project_path, _read_settings(project_path))
    )


def reset() -> None:
    """Forget the configured store and which servers answered."""
    global _configured
    _configured = None
    _reached.clear()


def connect(store: Store | None = None) -> MlflowClient:
    """Open the store, creating a local one on first use.

    Parameters
    ----------
    store
        The current one if None.

    Returns
    -------
    MlflowClient
        A client of that store; MLflow's own global address is left alone.

    Raises
    ------
    TrackingError
        If a server does not answer or a database cannot be opened.
    """
    store = current() if store is None else store
    check_server(store)
    with quiet_mlflow():
        from mlflow import MlflowClient

        try:
            create_database(store)
            return MlflowClient(tracking_uri=store.uri, registry_uri=store.uri)
        except TrackingError:
            raise
        except Exception as error:  # sqlalchemy, sqlite3, OSError and MLflow's own: all mean the same here
            raise TrackingError(f"the MLflow store {store.uri} cannot be opened: {error}") from error


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what MLflow itself raises, for instance when a server stops answering, into `TrackingError`."""
    try:
        yield
    except Exception as error:
        if not type(error).__module__.startswith("mlflow."):
            raise
        raise TrackingError(
            f"the MLflow store {current().uri} failed: {error}. See that it runs and that you may write "
            f"to it, or name another one in conf/base/mlflow.yml or {URI_VARIABLE}"
        ) from error


def check_server(store: Store) -> None:
    """Raise `TrackingError` if the store is a server that does not answer; asked once per process."""
    if not store.is_server or store.uri in _reached:
        return
    import requests

    try:
        requests.get(f"{store.uri.rstrip('/')}/health", timeout=SERVER_TIMEOUT, verify=_verification())
    except requests.RequestException as error:
        raise TrackingError(
            f"the MLflow server {store.uri} does not answer ({_innermost(error)}). "
            f"Start it, or correct {URI_VARIABLE} or tracking_uri in mlflow.yml "
            "(sqlite:///mlflow.db is the project's own store)."
        ) from error
    _reached.add(store.uri)


def create_database(store: Store) -> None:
    """Create the sqlite database and its tables unless it exists; no other process sees it half made."""
    path = store.database
    if path is None or _exists(path):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with lock(store):
        if _exists(path):
            return
        logger.info("Creating the MLflow database %s; this happens once and takes a few seconds.", path)
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        _create_tables(partial, store.artifact_root)
        partial.replace(path)


def find_experiment(client: MlflowClient, store: Store, name: str) -> str:
    """Return the id of the experiment, created if there is none.

    A local store remembers artifacts by absolute path. After the project was moved or copied the old
    experiment would go on writing into the old place, so it is renamed and a new one takes its name.
    """
    experiment = client.get_experiment_by_name(name)
    if store.is_server:
        return client.create_experiment(name) if experiment is None else _restored(client, experiment)
    if experiment is not None:
        old = local_path(experiment.artifact_location)
        if old is None or old.is_relative_to(store.artifact_root):
            return _restored(client, experiment)
        logger.warning("The project was moved: experiment %r now writes to %s.", name, store.artifact_root)
        client.rename_experiment(
            experiment.experiment_id, f"{name} (before the move, {experiment.experiment_id})"
        )
    return client.create_experiment(name, artifact_location=(store.artifact_root / name).as_uri())


def lock(store: Store) -> BaseFileLock:
    """Return a lock, re-entrant, between the processes on this machine that change the same store."""
    from filelock import FileLock

    if store.database is not None:
        path = Path(f"{store.database}.lock")
    else:
        path = Path(gettempdir()) / f"amorph2d-{sha256(store.uri.encode()).hexdigest()[:16]}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, timeout=LOCK_TIMEOUT, is_singleton=True)


def local_path(uri: str) -> Path | None:
    """Return the path that a URI stands for, None if it is not on this machine's file system."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    # A single letter is a drive.
    return Path(uri) if len(parts.scheme) <= 1 else None


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Use MLflow without telemetry, pickles, and the warnings that a user can do nothing about."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    talkative = logging.getLogger("mlflow.store.db.utils")
    level = talkative.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"The ``noload`` loader strategy")
        warnings.filterwarnings("ignore", message=r".*Any type hint is inferred as AnyType")
        warnings.filterwarnings("ignore", message=r".*An input example was not provided")
        talkative.setLevel(logging.WARNING)
        try:
            yield
        finally:
            talkative.setLevel(level)


def _create_tables(path: Path, artifact_root: Path) -> None:
    """Let MLflow create its tables in a new file that nobody else knows yet.

    Its migrations wait for the disk hundreds of times, which is most of the time they take. Here one wait at
    the end is as safe: after a crash the file is not used.
    """
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import Engine, event

    def do_not_wait(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF").close()
        connection.execute("PRAGMA journal_mode = MEMORY").close()

    event.listen(Engine, "connect", do_not_wait)
    try:
        SqlAlchemyStore(_sqlite_uri(path), artifact_root.as_uri()).engine.dispose()
    finally:
        event.remove(Engine, "connect", do_not_wait)
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _store(project_path: Path, settings: TrackingSettings) -> Store:
    """Build the store: environment first, then the settings."""
    from_environment = os.environ.get(URI_VARIABLE)
    base = Path.cwd() if from_environment else project_path
    return Store(
        uri=_absolute(from_environment or settings.tracking_uri, base),
        project_path=project_path,
        artifact_root=(project_path / settings.artifact_location).resolve(),
        log_analyses=settings.log_analyses,
    )


def _absolute(uri: str, base: Path) -> str:
    """Make the path of a sqlite address absolute."""
    path = uri.removeprefix("sqlite:///")
    return uri if path in (uri, "", ":memory:") else _sqlite_uri((base / path).resolve())


def _sqlite_uri(path: Path) -> str:
    """Return the address of a sqlite file, absolute path."""
    return f"sqlite:///{path.as_posix()}"


def _checked(settings: Mapping[str, Any]) -> TrackingSettings:
    """Validate the contents of mlflow.yml."""
    try:
        return TrackingSettings.model_validate(dict(settings))
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise TrackingError(f"mlflow.yml is not right: {reasons}") from error


def _read_settings(project_path: Path) -> dict[str, Any] | None:
    """Read mlflow.yml of a project without a Kedro session, base first, then the environment."""
    import yaml

    found: dict[str, Any] = {}
    for environment in ("base", os.environ.get("KEDRO_ENV", "local")):
        path = project_path / "conf" / environment / "mlflow.yml"
        if path.is_file():
            found |= yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    return found or None


def _exists(database: Path) -> bool:
    """Whether the database is there; raise at once if the file is something else, MLflow would not."""
    if not database.is_file() or database.stat().st_size == 0:
        return False
    with database.open("rb") as file:
        if file.read(len(_SQLITE_HEADER)) != _SQLITE_HEADER:
            raise TrackingError(f"{database} is not a sqlite database. Move it away, or correct tracking_uri")
    return True


def _restored(client: MlflowClient, experiment: Any) -> str:
    """Return the id of the experiment, brought back if it was deleted in the interface."""
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return experiment.experiment_id


def _verification() -> bool | str:
    """Return how MLflow itself would check the server's certificate."""
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "false").lower() in {"true", "1"}:
        return False
    return os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True


def _innermost(error: BaseException) -> str:
    """Return the reason at the bottom of a chain of network errors."""
    while (reason := error.__context__) is not None:
        error = reason
    return str(error) or type(error).__name__
