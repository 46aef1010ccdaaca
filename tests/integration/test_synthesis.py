"""Simulated sets on a real dask cluster, with workers and runs that die."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pandas as pd
import pytest
import yaml

SMALL = {
    "synthesis": {
        "n_images": 48,
        "images_per_specimen": 2,
        "images_per_shard": 4,
        "seed": 11,
        "pores": {"radius": [1.0, 8.0]},
        "detector": {"shape": [128, 160], "sampling": [0.15, 0.25]},
    },
    "wide_field": {
        "n_images": 4,
        "pores": {"radius": [1.0, 20.0]},
        "detector": {"shape": [96, 80], "sampling": [0.5, 0.7]},
    },
    "computing": {"scheduler": "none"},
}
FOLDER = "data/05_model_input/small"
WIDE = f"{FOLDER}_wide"
N_SHARDS = 12


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("shard-*")}


@pytest.fixture(scope="module")
def small(copy):
    """The set made by one process: what every other way must give as well."""
    environment = copy.folder / "conf" / "small_sets"
    environment.mkdir()
    (environment / "parameters.yml").write_text(yaml.safe_dump(SMALL))
    (environment / "globals.yml").write_text(yaml.safe_dump({"simulated": FOLDER, "wide": WIDE}))
    done = copy.kedro("run", "--pipelines", "synthesis", "--env", "small_sets")
    assert done.code == 0, done.text
    assert "was not kept in MLflow" not in " ".join(done.text.split())
    folder = copy.folder / FOLDER
    expected = digests(folder)
    assert len(expected) == N_SHARDS
    return folder, expected


def emptied(folder):
    for path in folder.iterdir():
        path.unlink()


@pytest.fixture
def cluster(copy, tmp_path):
    """A dask scheduler and two workers as processes; yields address, workers and how to start another."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    dask = str(Path(sys.executable).with_name("dask"))
    environment = copy.environment() | {"PYTHONPATH": str(copy.folder / "src"), "OMP_NUM_THREADS": "1"}
    running = []

    def start(*arguments):
        with (tmp_path / f"dask-{len(running)}.log").open("w") as log:
            process = subprocess.Popen(
                [dask, *arguments],
                env=environment,
                cwd=tmp_path,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running.append(process)
        return process

    port = address.rsplit(":", 1)[1]
    start("scheduler", "--host", "127.0.0.1", "--port", port, "--dashboard-address", "127.0.0.1:0")

    def worker():
        return start("worker", address, "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1")

    yield address, [worker(), worker()], worker
    for process in running:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def start_run(copy, address, log):
    parameters = f"computing.scheduler={address}"
    command = copy.command("run", "--pipelines", "synthesis", "--env", "small_sets", "--params", parameters)
    return subprocess.Popen(
        command, cwd=copy.folder, env=copy.environment(), stdout=log, stderr=log, start_new_session=True
    )


def wait_for_shards(folder, n, running, seconds=180):
    give_up = time.monotonic() + seconds
    while len(digests(folder)) < n and time.monotonic() < give_up and running.poll() is None:
        time.sleep(0.02)
    return len(digests(folder))


@pytest.mark.slow
def test_set_is_kept_in_mlflow_with_its_contact_sheet(copy, small):
    from mlflow import MlflowClient

    folder, _ = small
    set_id = json.loads((folder / "manifest.json").read_text())["set_id"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries below MLflow
        client = MlflowClient(f"sqlite:///{copy.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("synthesis")
        [run] = client.search_runs([experiment.experiment_id], f"tags.set_id = '{set_id}'")
        kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert run.data.params["n_images"] == "48"
    assert "contact_sheet.png" in kept


@pytest.mark.slow
def test_the_wide_set_differs_where_it_is_asked_to(copy, small):
    folder, _ = small
    usual, wide = (pd.read_parquet(path / "recipes.parquet") for path in (folder, copy.folder / WIDE))
    assert len(wide) == 4
    assert set(wide["rows"]) == {96}
    carbon = wide[wide["length_scale"] == 1]
    assert (carbon["sampling"] > 0.35).all()
    assert usual["sampling"].lt(0.3)[usual["length_scale"] == 1].all()
    assert usual["noise_seed"][0] != wide["noise_seed"][0]
    parameters = json.loads((copy.folder / WIDE / "parameters.json").read_text())
    assert parameters["images_per_shard"] == 4
    assert parameters["detector"]["sampling"] == [0.5, 0.7]
    assert (copy.folder / WIDE / "contact_sheet.png").is_file()


@pytest.mark.slow
def test_set_is_described(copy, small):
    folder, _ = small
    recipes = pd.read_parquet(folder / "recipes.parquet")
    described = pd.read_parquet(folder / "description.parquet")
    assert described["images"].sum() == len(recipes) == 48
    assert set(described["family"]) == set(recipes["family"])
    assert (recipes.groupby("specimen")["split"].nunique() == 1).all()
    assert (folder / "contact_sheet.png").stat().st_size > 10_000
    assert len(json.loads((folder / "manifest.json").read_text())["shards"]) == N_SHARDS


@pytest.mark.slow
def test_cluster_that_loses_a_worker_makes_the_same_set(copy, small, cluster, tmp_path):
    folder, expected = small
    address, workers, new_worker = cluster
    emptied(folder)
    with (tmp_path / "run.log").open("w") as log:
        running = start_run(copy, address, log)
        assert wait_for_shards(folder, 1, running) < N_SHARDS
        os.killpg(workers[0].pid, signal.SIGKILL)
        new_worker()
        assert running.wait(timeout=300) == 0, (tmp_path / "run.log").read_text()
    assert digests(folder) == expected
    text = (tmp_path / "run.log").read_text()
    assert re.search(r"simulated 48 images in \d+ s, [\d.]+ images/s", " ".join(text.split()))


@pytest.mark.slow
def test_killed_run_on_a_cluster_goes_on(copy, small, cluster, tmp_path):
    folder, expected = small
    address, _, _ = cluster
    emptied(folder)
    with (tmp_path / "run.log").open("w") as log:
        running = start_run(copy, address, log)
        wait_for_shards(folder, 2, running)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    kept = digests(folder)
    assert 2 <= len(kept) < N_SHARDS
    assert not (folder / "manifest.json").exists()
    assert kept.items() <= expected.items()
    done = copy.kedro(
        "run", "--pipelines", "synthesis", "--env", "small_sets", "--params", f"computing.scheduler={address}"
    )
    assert done.code == 0, done.text
    assert digests(folder) == expected


def test_cluster_that_is_not_there_is_named(copy, small):
    folder, expected = small
    shard = folder / "shard-00003.safetensors"
    content = shard.read_bytes()
    shard.unlink()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    parameters = f"computing.scheduler={address}"
    done = copy.kedro("run", "--pipelines", "synthesis", "--env", "small_sets", "--params", parameters)
    shard.write_bytes(content)
    assert done.code != 0
    assert "no dask scheduler answers at" in " ".join(done.text.split())
    assert digests(folder) == expected
