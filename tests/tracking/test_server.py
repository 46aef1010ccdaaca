"""The registry on an MLflow server: slow, because a server takes ten seconds to start."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from amorph2d.tracking import store as stores
from amorph2d.tracking.registry import champion, ensure_reference, list_networks, promote, register_network
from amorph2d.tracking.runs import log_analysis, start_training_run
from amorph2d.tracking.store import TrackingError, connect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """Start a server on this machine; return its address and the folder of its artifacts."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = [
        "--backend-store-uri",
        f"sqlite:///{folder}/server.db",
        "--artifacts-destination",
        f"{folder}/files",
    ]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *options, *places],
            stdout=log,
            stderr=log,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    try:
        _wait(process, port, folder / "log")
        yield SimpleNamespace(uri=f"http://127.0.0.1:{port}", files=folder / "files")
    finally:
        # The server and its workers; nothing in the folder is needed any more.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the server takes connections."""
    for _ in range(600):
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.2)
    pytest.fail(f"the server did not start: {log.read_text()}")


def test_a_team_shares_networks_through_a_server(server, make_folder, ship, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    store = stores.configure(tmp_path / "first")
    assert store.is_server
    ship(make_folder("shipped"))
    ensure_reference("sites")
    with start_training_run("sites", {"seed": 1}) as run:
        run.epochs(0, {"loss": 1.0})
    made = register_network(make_folder("own", seed=1), run_id=run.run_id)
    assert made.version == 2
    assert promote("sites").version == 2
    assert [(row.version, row.aliases) for row in list_networks()] == [
        (2, ("candidate", "champion")),
        (1, ()),
    ]
    (tmp_path / "report.html").write_text("<html></html>")
    run_id = log_analysis({"a": 1}, metrics={"n": 1.0}, report=tmp_path / "report.html")
    assert [file.path for file in connect(store).list_artifacts(run_id)] == ["report.html"]

    other = stores.configure(tmp_path / "second")
    found = champion("sites")
    assert found.sha256 == made.sha256
    assert found.folder.is_relative_to(other.cache)
    assert not (tmp_path / "second" / "mlflow.db").exists()
    fetched = (found.folder / "weights.safetensors").stat().st_mtime_ns
    assert (champion("sites").folder / "weights.safetensors").stat().st_mtime_ns == fetched

    (found.folder / "weights.safetensors").write_bytes(b"half")
    assert champion("sites").sha256 == made.sha256
    assert (found.folder / "weights.safetensors").read_bytes() == (
        made.folder / "weights.safetensors"
    ).read_bytes()
    assert sorted(path.name for path in found.folder.parent.iterdir()) == [found.folder.name]

    shutil.rmtree(found.folder)
    shutil.rmtree(server.files)
    with pytest.raises(TrackingError, match="'sites' version 2 cannot be fetched from mlflow-artifacts:"):
        champion("sites")
