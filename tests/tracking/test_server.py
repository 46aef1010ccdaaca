"""The registry on an MLflow server: slow, because a server takes ten seconds to start."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from amorph2d.tracking import store as stores
from amorph2d.tracking.registry import (
    champion,
    ensure_reference,
    list_champions,
    list_networks,
    promote,
    record_comparison,
    register_network,
    resolve,
    roll_back,
)
from amorph2d.tracking.runs import log_analysis, start_training_run
from amorph2d.tracking.store import TrackingError, connect

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[SimpleNamespace]:
    """Start a server on this machine; return its address and the folder of its artifacts."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder / "server.db")  # to make another takes the server many seconds
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
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
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
    for _ in range(1500):
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


@pytest.fixture
def team(server, monkeypatch, tmp_path):
    """Return a project whose store is the server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    return stores.configure(tmp_path / "team")


def test_promotions_on_a_server_are_rolled_back_and_aliases_set_there_are_noticed(team, make_folder):
    for seed in range(2):
        register_network(make_folder(str(seed), seed=seed), task="pores")
    promote("pores", 1)
    # What a click on MLflow's page does.
    connect(team).set_registered_model_alias("pores", "champion", "2")
    assert champion("pores").version == 2
    assert [reign.version for reign in list_champions("pores")] == [1, 2]
    assert roll_back("pores").version == 1
    assert champion("pores").version == 1
    with pytest.raises(TrackingError, match="no other champion to go back to"):
        roll_back("pores")
    with pytest.raises(TrackingError, match=r"no version with the alias 'mine'; versions: 1, 2\.$"):
        resolve("pores", "mine")


def test_a_server_keeps_nothing_pickled_and_shows_the_comparison(team, server, make_folder):
    for seed in range(2):
        register_network(make_folder(str(seed), seed=seed), task="monolayer")
    rows = {
        "channel": ["monolayer"], "condition": "all", "low": np.nan, "high": np.nan, "value": "",
        "n_images": 9, "metric": "dice", "candidate": 0.9, "champion": 0.8, "difference": 0.1,
        "difference_low": 0.05, "difference_high": 0.15, "verdict": "better",
        "better": pd.array([True], dtype="boolean"),
    }  # fmt: skip
    record_comparison("monolayer", 2, pd.DataFrame(rows), against=1)
    client = connect(team)
    version = client.get_model_version("monolayer", "2")
    assert version.tags.items() >= {"compared_with": "monolayer/1", "verdict": "monolayer: better"}.items()
    kept = {file.path for file in client.list_artifacts(version.run_id)}
    assert {"comparison.md", "tables"} <= kept
    files = [path for path in server.files.rglob("*") if path.is_file()]
    assert sum(path.name == "weights.safetensors" for path in files) >= 2
    for path in files:
        assert path.suffix not in {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib"}
        assert not path.read_bytes().startswith(b"\x80"), f"{path} may be a pickle"
        assert not zipfile.is_zipfile(path), f"{path} may be a torch checkpoint"


def test_a_moved_project_keeps_what_it_fetched_and_refuses_weights_that_were_exchanged(
    team, server, make_folder, tmp_path
):
    made = register_network(make_folder(), task="moving", alias="champion")
    champion("moving")
    team.project_path.rename(tmp_path / "elsewhere")
    after = stores.configure(tmp_path / "elsewhere")
    exchanged = 0
    for path in server.files.rglob("weights.safetensors"):
        if path.read_bytes() == (made.folder / "weights.safetensors").read_bytes():
            path.write_bytes(b"something else")
            exchanged += 1
    assert exchanged
    assert champion("moving").folder.is_relative_to(after.cache)
    shutil.rmtree(after.cache)
    with pytest.raises(TrackingError, match=r"'moving' version 1 came damaged from .*kedro promote"):
        champion("moving")


def test_a_server_that_stops_answering_is_named_with_the_ways_out(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    stores.configure(tmp_path)
    stores._reached.add("http://127.0.0.1:9")  # it answered once
    for ask in (list_networks, lambda: champion("sites"), lambda: ensure_reference("sites")):
        with pytest.raises(TrackingError, match=r"127\.0\.0\.1"):
            ask()
    with pytest.raises(TrackingError, match=r"the MLflow store .* failed: .*MLFLOW_TRACKING_URI"):
        list_networks()
