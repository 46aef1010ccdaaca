from __future__ import annotations

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from amorph2d import __version__
from amorph2d.tracking import runs
from amorph2d.tracking.epochs import EpochTracker
from amorph2d.tracking.runs import RUN_FILE, continue_run, log_analysis, start_training_run
from amorph2d.tracking.store import Store, TrackingError, connect, local_path

PARAMETERS = {"fit": {"epochs": 2, "seed": 1}, "network": {"widths": [32, 64]}}


def files_of(run: runs.TrackedRun) -> set[str]:
    """Return the names of a run's artifacts, folders included by their files."""
    root = local_path(run.client.get_run(run.run_id).info.artifact_uri)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_training_run_keeps_parameters_and_tags(store):
    with start_training_run("sites", PARAMETERS, tags={"data_set": "abc", "seed": 7}, name="first") as run:
        assert run.client.get_run(run.run_id).info.status == "RUNNING"
    kept = run.client.get_run(run.run_id)
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "first"
    assert run.client.get_experiment(kept.info.experiment_id).name == "sites"
    assert kept.data.params == {"fit.epochs": "2", "fit.seed": "1", "network.widths": "[32, 64]"}
    assert kept.data.tags["data_set"] == "abc"
    assert kept.data.tags["seed"] == "7"
    assert kept.data.tags["amorph2d.version"] == __version__


def test_more_parameters_than_mlflow_takes_at_once_are_kept(store):
    with start_training_run("sites", {f"p{k}": k for k in range(230)}) as run:
        pass
    assert len(run.client.get_run(run.run_id).data.params) == 230


def test_epochs_are_kept_from_any_thread(store):
    with start_training_run("sites", {}) as run, ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda epoch: run.epochs(epoch, {"loss": 1 / (1 + epoch), "rate": float("nan")}), range(8)
            )
        )
    history = run.client.get_metric_history(run.run_id, "loss")
    assert sorted((row.step, row.value) for row in history) == [(k, 1 / (1 + k)) for k in range(8)]
    assert "rate" not in run.client.get_run(run.run_id).data.metrics


def test_epochs_reported_again_are_kept_once(store):
    with start_training_run("sites", {}) as run:
        run.epochs(0, {"loss": 3.0})
        run.epochs(1, {"loss": 2.0})
    with continue_run(run.run_id) as again:
        for epoch, loss in enumerate([3.0, 2.0, 1.0]):
            again.epochs(epoch, {"loss": loss})
    assert [row.step for row in run.client.get_metric_history(run.run_id, "loss")] == [0, 1, 2]


class FlakyClient:
    """A store that fails at first."""

    def __init__(self, n_failures: int) -> None:
        self.n_failures = n_failures
        self.steps: list[int] = []

    def get_metric_history(self, _run_id: str, _name: str) -> list[Any]:
        return []

    def log_batch(self, _run_id: str, metrics: list[Any]) -> None:
        if self.n_failures:
            self.n_failures -= 1
            raise ConnectionError("no route")
        self.steps += [metric.step for metric in metrics]


def test_a_store_that_fails_for_a_while_loses_nothing(caplog):
    client = FlakyClient(2)
    epochs = EpochTracker(client, "run")
    for epoch in range(3):
        epochs(epoch, {"loss": 1.0})
    assert client.steps == [0, 1, 2]
    assert "2 epoch(s) wait to be sent to MLflow: no route" in caplog.text


def test_the_end_of_a_run_sends_what_waits():
    client = FlakyClient(1)
    epochs = EpochTracker(client, "run")
    epochs.flush()
    epochs(0, {"loss": 1.0})
    assert client.steps == []
    epochs.flush()
    assert client.steps == [0]


def test_an_interrupted_training_goes_on_with_its_run(store, tmp_path):
    folder = tmp_path / "training"
    first = start_training_run("sites", PARAMETERS, folder=folder)
    first.epochs(0, {"loss": 1.0})
    with start_training_run("sites", PARAMETERS, folder=folder) as again:
        again.epochs(1, {"loss": 0.5})
    assert again.run_id == first.run_id
    assert len(again.client.get_metric_history(first.run_id, "loss")) == 2
    assert again.client.get_run(first.run_id).info.status == "FINISHED"


def test_a_training_with_other_parameters_is_another_run(store, tmp_path):
    first = start_training_run("sites", PARAMETERS, folder=tmp_path)
    other = start_training_run("sites", PARAMETERS | {"seed": 2}, folder=tmp_path)
    assert other.run_id != first.run_id
    other.client.delete_run(other.run_id)
    assert start_training_run("sites", PARAMETERS | {"seed": 2}, folder=tmp_path).run_id != other.run_id


@pytest.mark.parametrize(
    "note", ["not json", '{"run_id": "a", "store": "elsewhere"}', '{"run_id": "a"}', "{}"]
)
def test_a_note_that_leads_nowhere_starts_a_new_run(store, tmp_path, note):
    (tmp_path / RUN_FILE).write_text(note)
    run = start_training_run("sites", {}, folder=tmp_path)
    assert run.run_id in (tmp_path / RUN_FILE).read_text()


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("bad"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_an_error_ends_the_run_and_goes_on(store, error, status):
    with pytest.raises(type(error)), start_training_run("sites", {}) as run:
        raise error
    kept = run.client.get_run(run.run_id)
    assert kept.info.status == status
    assert kept.data.tags["error"].startswith(type(error).__name__)


def test_the_first_error_is_seen_when_the_store_fails_too(caplog):
    run = runs.TrackedRun(SimpleNamespace(), "run", EpochTracker(SimpleNamespace(), "run"))
    with pytest.raises(ValueError, match="bad"), run:
        raise ValueError("bad")
    assert "The MLflow run run could not be ended as FAILED" in caplog.text


def test_metrics_figures_tables_and_files_are_kept(store, tmp_path):
    plotly = pytest.importorskip("plotly.graph_objects")
    from matplotlib.figure import Figure

    (tmp_path / "note.txt").write_text("a")
    with start_training_run("sites", {}) as run:
        run.log_metrics({"atom": {"f1": 0.9, "none": None}})
        run.log_metrics({})
        run.log_figures({"curve": Figure(figsize=(1, 1)), "map": plotly.Figure()})
        run.log_tables({"scores": pd.DataFrame({"kind": ["atom"], "f1": [0.9]})})
        run.log_file(tmp_path / "note.txt")
    assert run.client.get_run(run.run_id).data.metrics == {"atom.f1": 0.9}
    assert files_of(run) == {"figures/curve.png", "figures/map.html", "tables/scores.csv", "note.txt"}
    root = local_path(run.client.get_run(run.run_id).info.artifact_uri)
    pd.testing.assert_frame_equal(
        pd.read_csv(root / "tables/scores.csv"), pd.DataFrame({"kind": ["atom"], "f1": 0.9})
    )


def test_a_run_that_is_not_there_is_named(store):
    with pytest.raises(TrackingError, match="MLflow run 'nothing' cannot be continued"):
        continue_run("nothing")


def test_an_analysis_is_kept_with_its_report_quickly(store, tmp_path):
    (tmp_path / "report.html").write_text("<html></html>")
    log_analysis({}, metrics={})  # imports
    started = time.time() - 100
    begin = time.perf_counter()
    run_id = log_analysis(
        {"statistics": {"bonds": {"limits": [0.5, 1.9]}}},
        metrics={"bond_mean": 1.42, "n_atoms": 10, "bond_std": float("nan")},
        report=tmp_path / "report.html",
        tags={"pipelines": "__default__"},
        started=started,
    )
    assert time.perf_counter() - begin < 10
    client = connect(store)
    run = client.get_run(run_id)
    assert client.get_experiment(run.info.experiment_id).name == "analysis"
    assert run.data.metrics == {"bond_mean": 1.42, "n_atoms": 10.0}
    assert run.data.params == {"statistics.bonds.limits": "[0.5, 1.9]"}
    assert run.info.status == "FINISHED"
    assert run.info.start_time == round(1000 * started)
    assert [file.path for file in client.list_artifacts(run_id)] == ["report.html"]


def test_an_analysis_without_a_report_is_kept(store: Store, tmp_path: Path):
    run_id = log_analysis({}, metrics={}, report=tmp_path / "none.html")
    assert connect(store).list_artifacts(run_id) == []


def test_the_code_version_names_the_commit_of_a_checkout(tmp_path, monkeypatch):
    assert runs.code_version(tmp_path) == {"amorph2d.version": __version__}
    (tmp_path / ".git").mkdir()
    answers = {"rev-parse": "abc\n", "status": " M a.py\n"}
    monkeypatch.setattr(subprocess, "run", lambda command, **_: SimpleNamespace(stdout=answers[command[3]]))
    assert runs.code_version(tmp_path) == {
        "amorph2d.version": __version__,
        "mlflow.source.git.commit": "abc",
        "amorph2d.uncommitted_changes": "true",
    }
    answers["status"] = ""
    assert runs.code_version(tmp_path)["amorph2d.uncommitted_changes"] == "false"


def test_a_checkout_without_git_has_no_commit(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError("git")

    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(subprocess, "run", fail)
    assert runs.code_version(tmp_path) == {"amorph2d.version": __version__}
