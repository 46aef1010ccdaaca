from __future__ import annotations

import logging
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Barrier, Thread

import pytest

from amorph2d.tracking import store as stores
from amorph2d.tracking.store import Store, TrackingError

SETTINGS = {"tracking_uri": "sqlite:///mlflow.db", "artifact_location": "mlartifacts", "log_analyses": True}
NOBODY = "http://127.0.0.1:9"  # the discard port, where nothing listens


def test_a_relative_database_lies_in_the_project_wherever_the_command_is_started(tmp_path, monkeypatch):
    project = tmp_path / "my project"
    monkeypatch.chdir(tmp_path)
    store = stores.configure(project, SETTINGS)
    assert store.database == project / "mlflow.db"
    assert store.artifact_root == project / "mlartifacts"
    assert not store.is_server
    assert stores.current() is store
    assert not project.exists()


def test_an_absolute_database_and_artifact_folder_stay_where_they_are(tmp_path):
    settings = SETTINGS | {"tracking_uri": f"sqlite:///{tmp_path}/a.db", "artifact_location": f"{tmp_path}/b"}
    store = stores.configure(tmp_path / "project", settings)
    assert (store.database, store.artifact_root) == (tmp_path / "a.db", tmp_path / "b")


def test_the_environment_goes_before_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    store = stores.configure(tmp_path, SETTINGS)
    assert store.uri == "https://mlflow.example.org"
    assert store.is_server
    assert store.database is None


def test_a_relative_database_of_the_environment_is_seen_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert stores.configure(tmp_path / "project", SETTINGS).database == tmp_path / "other.db"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (SETTINGS | {"traking_uri": "x"}, "traking_uri"),
        ({"tracking_uri": "sqlite:///a.db"}, "artifact_location"),
        (SETTINGS | {"tracking_uri": ""}, "tracking_uri"),
    ],
)
def test_wrong_settings_are_named(tmp_path, settings, reason):
    with pytest.raises(TrackingError, match=f"mlflow.yml is not right: .*{reason}"):
        stores.configure(tmp_path, settings)


def test_without_kedro_the_project_around_the_working_directory_counts(tmp_path, monkeypatch):
    for environment, text in {
        "base": "tracking_uri: sqlite:///a.db\nartifact_location: files\nlog_analyses: true\n",
        "local": "tracking_uri: sqlite:///b.db\n",
    }.items():
        (tmp_path / "conf" / environment).mkdir(parents=True)
        (tmp_path / "conf" / environment / "mlflow.yml").write_text(text)
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\npackage_name = 'x'\n")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.delenv("KEDRO_ENV", raising=False)
    assert stores.current().database == tmp_path / "b.db"
    assert stores.current().artifact_root == tmp_path / "files"
    stores.reset()
    monkeypatch.setenv("KEDRO_ENV", "other")
    assert stores.current().database == tmp_path / "a.db"


def test_outside_of_a_project_the_working_directory_counts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stores.current().database == tmp_path / "mlflow.db"


def test_a_store_is_created_once_and_whole(tmp_path, monkeypatch):
    store = stores.configure(tmp_path)
    (tmp_path / "mlflow.db.partial").write_text("what a killed process left behind")
    (tmp_path / "mlflow.db").touch()
    stores.connect(store)
    made = (tmp_path / "mlflow.db").stat()
    assert not (tmp_path / "mlflow.db.partial").exists()
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (location,) = connection.execute("SELECT artifact_location FROM experiments").fetchone()
    connection.close()
    assert Path(location.removeprefix("file://")).is_relative_to(store.artifact_root)
    assert stores.connect(store).search_experiments()[0].name == "Default"
    assert (tmp_path / "mlflow.db").stat().st_mtime_ns == made.st_mtime_ns


def test_two_that_create_a_store_at_once_get_the_same(tmp_path):
    store, start = stores.configure(tmp_path), Barrier(2)

    def create(_: int) -> int:
        start.wait()
        stores.create_database(store)
        return (tmp_path / "mlflow.db").stat().st_ino

    with stores.quiet_mlflow(), ThreadPoolExecutor(2) as pool:
        first, second = pool.map(create, range(2))
    assert first == second


def test_opening_leaves_mlflows_global_address_alone(store):
    stores.connect(store)
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path):
    (tmp_path / "mlflow.db").write_text("something else entirely")
    with pytest.raises(TrackingError, match=r"mlflow\.db is not a sqlite database"):
        stores.connect(stores.configure(tmp_path))
    assert (tmp_path / "mlflow.db").read_text() == "something else entirely"


def test_a_store_that_cannot_be_opened_is_named(tmp_path):
    settings = SETTINGS | {"tracking_uri": "nonsense://x"}
    with pytest.raises(TrackingError, match="the MLflow store nonsense://x cannot be opened"):
        stores.connect(stores.configure(tmp_path, settings))


def test_a_server_that_does_not_answer_is_named_with_the_ways_out(tmp_path):
    store = stores.configure(tmp_path, SETTINGS | {"tracking_uri": NOBODY})
    with pytest.raises(TrackingError, match=r"127\.0\.0\.1:9 does not answer .*MLFLOW_TRACKING_URI"):
        stores.connect(store)


def test_a_server_is_asked_once(tmp_path):
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(401)
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        store = stores.configure(
            tmp_path, SETTINGS | {"tracking_uri": f"http://127.0.0.1:{server.server_port}/"}
        )
        stores.check_server(store)
        stores.check_server(store)
        server.shutdown()
    assert asked == ["/health"]


@pytest.mark.parametrize(
    ("variables", "verification"),
    [
        ({}, True),
        ({"MLFLOW_TRACKING_INSECURE_TLS": "true"}, False),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/a.pem"}, "/a.pem"),
    ],
)
def test_certificates_are_checked_as_mlflow_does(tmp_path, monkeypatch, variables, verification):
    used = []
    for name in ("MLFLOW_TRACKING_INSECURE_TLS", "MLFLOW_TRACKING_SERVER_CERT_PATH"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("requests.get", lambda *_, **options: used.append(options["verify"]))
    stores.check_server(stores.configure(tmp_path, SETTINGS | {"tracking_uri": "https://a.example"}))
    assert used == [verification]


def test_mlflow_is_used_without_telemetry_and_pickles(monkeypatch):
    monkeypatch.delenv("MLFLOW_DISABLE_TELEMETRY", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "what the user says")
    talkative = logging.getLogger("mlflow.store.db.utils")
    level = talkative.level
    with pytest.raises(KeyError), stores.quiet_mlflow():
        raise KeyError
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "what the user says"
    assert talkative.level == level


def test_an_experiment_is_made_once_below_the_artifact_folder(store):
    client = stores.connect(store)
    first = stores.find_experiment(client, store, "sites")
    assert stores.find_experiment(client, store, "sites") == first
    location = stores.local_path(client.get_experiment(first).artifact_location)
    assert location == store.artifact_root / "sites"


def test_after_a_move_new_runs_do_not_write_into_the_old_place(store, tmp_path, caplog):
    client = stores.connect(store)
    old = stores.find_experiment(client, store, "sites")
    moved = Store(store.uri, tmp_path / "moved", tmp_path / "moved" / "mlartifacts", log_analyses=True)
    new = stores.find_experiment(client, moved, "sites")
    assert new != old
    assert stores.local_path(client.get_experiment(new).artifact_location) == moved.artifact_root / "sites"
    assert client.get_experiment(old).name.startswith("sites (before the move")
    assert "The project was moved" in caplog.text


def test_a_deleted_experiment_is_restored(store):
    client = stores.connect(store)
    experiment = stores.find_experiment(client, store, "sites")
    client.delete_experiment(experiment)
    assert stores.find_experiment(client, store, "sites") == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/a/b c", Path("/a/b c")),
        ("file:///a/b%20c", Path("/a/b c")),
        ("mlflow-artifacts:/1/models", None),
        ("s3://bucket/a", None),
    ],
)
def test_only_files_of_this_machine_have_a_path(uri, path):
    assert stores.local_path(uri) == path


def test_a_lock_may_be_taken_again_by_its_holder(store, tmp_path):
    with stores.lock(store), stores.lock(store):
        pass
    server = Store("http://a.example", tmp_path, tmp_path, log_analyses=True)
    assert Path(stores.lock(server).lock_file).parent != tmp_path
