"""Real sqlite stores, made once and copied, and networks to put into them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from sqlalchemy import Engine, event

from amorph2d.tracking import store as stores
from amorph2d.tracking.store import Store

METADATA = {
    "metrics": {"atom": {"f1": 0.99, "rmse": 0.06}, "ring": {"f1": 0.95}},
    "training_domain": {"sampling": [0.05, 0.4], "energy": [60e3, 80e3]},
    "thresholds": {"atom": 0.4, "ring": 0.3},
}
CONFIG = {"sampling": 0.2, "normalisation_window": 4.0, "channels": ["atom", "ring"]}


@pytest.fixture(autouse=True)
def _forget_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no test see another's store."""
    monkeypatch.delenv(stores.URI_VARIABLE, raising=False)
    stores.reset()
    yield
    stores.reset()


@pytest.fixture(scope="session", autouse=True)
def _wait_for_no_disk() -> Iterator[None]:
    """Let sqlite trust the operating system: a test's store need not survive a power failure."""

    def trust(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF").close()

    event.listen(Engine, "connect", trust)
    yield
    event.remove(Engine, "connect", trust)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database that MLflow has just made."""
    project = tmp_path_factory.mktemp("template")
    stores.connect(stores.configure(project))
    stores.reset()
    return project / "mlflow.db"


@pytest.fixture
def store(tmp_path: Path, empty_database: Path) -> Store:
    """Return a project's store with nothing in it."""
    project = tmp_path / "project"
    project.mkdir()
    shutil.copy(empty_database, project / "mlflow.db")
    return stores.configure(project)


@pytest.fixture(scope="session")
def write_folder() -> Callable[..., Path]:
    """Return a writer of network folders that differ by their seed."""

    def write(folder: Path, *, seed: int = 0, **metadata: Any) -> Path:
        folder.mkdir(parents=True)
        weights = save({"weight": np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32)})
        sha256 = hashlib.sha256(weights).hexdigest()
        description = {"config": CONFIG, "metadata": METADATA | metadata, "sha256": sha256}
        (folder / "weights.safetensors").write_bytes(weights)
        (folder / "network.json").write_text(json.dumps(description))
        return folder

    return write


@pytest.fixture
def make_folder(tmp_path: Path, write_folder: Callable[..., Path]) -> Callable[..., Path]:
    """Return a maker of network folders of this test."""

    def make(name: str = "network", *, seed: int = 0, **metadata: Any) -> Path:
        return write_folder(tmp_path / name, seed=seed, **metadata)

    return make


@pytest.fixture
def ship(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], None]:
    """Return a function that lets a folder, or nothing, ship with the package."""

    def let_ship(folder: Path | None) -> None:
        for module in ("registry", "versions"):
            monkeypatch.setattr(f"amorph2d.tracking.{module}.shipped_folder", lambda _task: folder)

    return let_ship
