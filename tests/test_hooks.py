from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pandas as pd
import pytest
from kedro.io import AbstractDataset, DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro_datasets.json import JSONDataset

from amorph2d import hooks
from amorph2d.datasets.networks import RegisteredNetworkDataset
from amorph2d.hooks import TrackingHooks, check_runtime_parameters, pooled_metrics
from amorph2d.pipelines.scheduling import ComputingParameters
from amorph2d.tracking import store as stores
from amorph2d.tracking.store import TrackingError

SETTINGS = "tracking_uri: sqlite:///runs.db\nartifact_location: files\nlog_analyses: {log}\n"


@pytest.fixture(autouse=True)
def _forget_store(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    stores.reset()
    yield
    stores.reset()


@pytest.fixture
def project(tmp_path):
    """Return the folder of a project with configuration."""
    for name, text in {
        "base/parameters.yml": "localisation: {threshold: 0.3}\nsampling: null\n",
        "base/parameters/more.yml": "statistics: {r_max: 10}\n",
        "base/parameters_empty.yml": "",
        "base/parameters_broken.yml": "a: [",
        "base/catalog.yml": "sites: {filepath: '${runtime_params:results, ${globals:results}}/sites'}\n",
        "base/globals.yml": "results: data\nmodels: data\n",
        "base/README.md": "parameters: ${runtime_params:text}",
        "base/mlflow.yml": SETTINGS.format(log="true"),
        "local/parameters.json": '{"mine": 1}',
        "other/parameters.yml": "theirs: 1",
    }.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def loader_of(project: Path, **runtime_params: Any) -> Any:
    """Return Kedro's loader as the project's settings make it."""
    from kedro.config import OmegaConfigLoader

    return OmegaConfigLoader(
        project / "conf",
        runtime_params=runtime_params,
        base_env="base",
        default_run_env="local",
        config_patterns={"mlflow": ["mlflow*"]},
    )


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"sampling": 0.2},
        {"localisation": {"threshold": 1}},
        {"statistics": {}},
        {"results": "a"},
        {"mine": 2},
    ],
)
def test_parameters_that_somebody_reads_are_taken(project, given):
    check_runtime_parameters(loader_of(project, **given))


@pytest.mark.parametrize("name", ["sampleing", "models", "theirs", "text"])
def test_parameters_that_nobody_reads_are_refused(project, name):
    known = "Known: localisation, mine, results, sampling, statistics$"
    with pytest.raises(click.ClickException, match=f'^unknown parameter "{name}".*{known}'):
        check_runtime_parameters(loader_of(project, sampling=0.2, **{name: 1}))


def test_a_typing_error_gets_a_suggestion(project):
    with pytest.raises(
        click.ClickException, match=r'^unknown parameter "sampleing"; did you mean "sampling"\? Known'
    ):
        check_runtime_parameters(loader_of(project, sampleing=1))


def test_packed_configuration_is_not_checked(tmp_path):
    loader = SimpleNamespace(runtime_params={"sampleing": 1}, conf_source=str(tmp_path / "conf.tar.gz"))
    check_runtime_parameters(loader)


def test_the_store_is_chosen_from_the_configuration(project):
    TrackingHooks().after_context_created(
        SimpleNamespace(config_loader=loader_of(project), project_path=project / "sub" / "..")
    )
    assert stores.current().database == project / "runs.db"
    assert stores.current().artifact_root == project / "files"
    assert not (project / "runs.db").exists()


def test_a_project_without_mlflow_settings_has_a_store_too(project):
    (project / "conf/base/mlflow.yml").unlink()
    TrackingHooks().after_context_created(
        SimpleNamespace(config_loader=loader_of(project), project_path=project)
    )
    assert stores.current().database == project / "mlflow.db"


def test_wrong_mlflow_settings_are_one_line(project):
    (project / "conf/base/mlflow.yml").write_text("traking_uri: a")
    with pytest.raises(click.ClickException, match=r"mlflow\.yml is not right"):
        TrackingHooks().after_context_created(
            SimpleNamespace(config_loader=loader_of(project), project_path=project)
        )


CALIBRATION = pd.DataFrame(
    {
        "file": ["a.tif", "b.dm3", "c.mrc"],
        "status": ["analysed", "not analysed", "not analysed"],
        "reason": ["", "no sampling", "not readable"],
    }
)
SUMMARY = pd.DataFrame({"micrograph": ["a", "pooled"], "frame": [0, -1], "n_atoms": [3, 30]})


def identity(*arguments: Any) -> Any:
    return arguments


@pytest.fixture
def analysis(tmp_path, monkeypatch):
    """Return hooks, pipeline and catalog of a finished analysis, and what was kept of it in MLflow."""
    kept: list[tuple[Any, dict[str, Any]]] = []
    monkeypatch.setattr(
        "amorph2d.tracking.runs.log_analysis", lambda parameters, **rest: kept.append((parameters, rest))
    )
    stores.configure(tmp_path)
    pipeline = Pipeline(
        [
            node(identity, ["params:sampling", "micrographs"], "calibration"),
            node(identity, ["calibration", "params:statistics"], ["summary", "report"]),
        ]
    )
    catalog = DataCatalog(
        {
            "calibration": MemoryDataset(CALIBRATION),
            "summary": MemoryDataset(SUMMARY),
            "report": JSONDataset(filepath=str(tmp_path / "report.json")),
        }
    )
    hook = TrackingHooks()
    hook.after_catalog_created(
        parameters={"params:sampling": 0.2, "params:statistics": {"r": 1}, "params:fit": 3}
    )
    hook.before_pipeline_run(pipeline=pipeline, catalog=catalog)
    return SimpleNamespace(
        hook=hook, pipeline=pipeline, catalog=catalog, kept=kept, report=tmp_path / "report.json"
    )


def finish(analysis: SimpleNamespace, pipeline: Pipeline | None = None) -> None:
    run_params = {"pipeline_names": ["inference"], "runtime_params": {"sampling": 0.2}}
    analysis.hook.after_pipeline_run(
        run_params=run_params, pipeline=pipeline or analysis.pipeline, catalog=analysis.catalog
    )


def test_what_was_not_analysed_ends_the_command_after_the_report_is_named(analysis, caplog, capsys):
    caplog.set_level(logging.INFO)
    with pytest.raises(click.ClickException, match=r"^2 of 3 micrographs were not analysed: b\.dm3, c\.mrc$"):
        finish(analysis)
    messages = [record.message for record in caplog.records]
    assert messages == [
        "Not analysed: b.dm3: no sampling",
        "Not analysed: c.mrc: not readable",
    ]
    assert capsys.readouterr().out.splitlines()[0] == f"Report: {analysis.report}"


def test_a_complete_analysis_is_kept_and_its_report_named(analysis, capsys):
    analysis.catalog["calibration"] = MemoryDataset(CALIBRATION[:1])
    finish(analysis)
    [(parameters, rest)] = analysis.kept
    assert parameters == {"sampling": 0.2, "statistics": {"r": 1}}
    assert rest["metrics"] == {"frame": -1, "n_atoms": 30}
    assert rest["report"] == analysis.report
    assert rest["tags"] == {"pipelines": ["inference"], "parameter.sampling": "0.2"}
    assert f"Report: {analysis.report}" in capsys.readouterr().out


def test_statistics_alone_do_not_complain_of_an_earlier_inference(analysis):
    finish(analysis, analysis.pipeline.only_nodes_with_inputs("calibration"))
    assert len(analysis.kept) == 1


def test_other_pipelines_keep_nothing(analysis):
    finish(analysis, Pipeline([node(identity, "recipes", "shards")]))
    assert analysis.kept == []


@pytest.fixture
def simulated(tmp_path):
    """Hooks, pipeline and catalog of a finished set."""
    stores.configure(
        tmp_path, {"tracking_uri": "sqlite:///s.db", "artifact_location": "f", "log_analyses": True}
    )
    sheet = tmp_path / "contact_sheet.json"
    catalog = DataCatalog(
        {
            "simulated_set": MemoryDataset(
                SimpleNamespace(manifest={"set_id": "abc", "seed": 7, "n_images": 12}), copy_mode="assign"
            ),
            "set_description": MemoryDataset(pd.DataFrame({"family": ["relaxed"], "images": [12]})),
            "contact_sheet": JSONDataset(filepath=str(sheet)),
        }
    )
    catalog["contact_sheet"].save({})
    pipeline = Pipeline(
        [
            node(identity, "params:synthesis", "simulated_set"),
            node(identity, "simulated_set", ["contact_sheet", "set_description"]),
        ]
    )
    hook = TrackingHooks()
    typed = ComputingParameters(scheduler="none", n_workers=3)  # as Kedro gives parameters that it validated
    hook.after_catalog_created(parameters={"params:synthesis": typed})
    return SimpleNamespace(hook=hook, pipeline=pipeline, catalog=catalog)


def test_a_simulated_set_is_kept_once_with_its_contact_sheet(simulated):
    for _ in range(2):
        simulated.hook.after_pipeline_run({}, simulated.pipeline, simulated.catalog)
    client = stores.connect()
    experiment = client.get_experiment_by_name("synthesis")
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.tags["set_id"] == "abc"
    assert run.data.params == {"scheduler": "none", "n_workers": "3"}
    assert run.data.metrics == {"n_images": 12}
    kept = {file.path for file in client.list_artifacts(run.info.run_id)}
    assert kept == {"contact_sheet.json", "tables"}
    assert run.info.status == "FINISHED"


def test_a_set_is_not_lost_because_mlflow_is(simulated, monkeypatch, caplog):
    def fail(*_: object, **__: object) -> None:
        raise TrackingError("no server")

    monkeypatch.setattr("amorph2d.tracking.runs.log_set", fail)
    simulated.hook.after_pipeline_run({}, simulated.pipeline, simulated.catalog)
    assert "The set is finished but was not kept in MLflow: no server" in caplog.text


def test_analyses_are_kept_only_if_wanted(analysis, tmp_path):
    settings = {"tracking_uri": "sqlite:///a.db", "artifact_location": "a", "log_analyses": False}
    stores.configure(tmp_path, settings)
    with pytest.raises(click.ClickException):
        finish(analysis)
    assert analysis.kept == []


def test_an_analysis_is_not_lost_because_mlflow_is(analysis, monkeypatch, caplog):
    def fail(*_: object, **__: object) -> None:
        raise TrackingError("no server")

    monkeypatch.setattr("amorph2d.tracking.runs.log_analysis", fail)
    analysis.catalog["calibration"] = MemoryDataset(CALIBRATION[:1])
    finish(analysis)
    assert "finished but was not kept in MLflow: no server" in caplog.text


def test_the_pooled_row_gives_the_metrics():
    assert pooled_metrics(SUMMARY) == {"frame": -1, "n_atoms": 30}
    assert pooled_metrics(SUMMARY[:1]) == {"frame": 0, "n_atoms": 3}
    assert pooled_metrics(SUMMARY[::-1]) == {"frame": -1, "n_atoms": 30}
    assert pooled_metrics(SUMMARY[:0]) == {}


def test_a_server_that_is_away_is_named_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    stores.configure(tmp_path)
    catalog = DataCatalog({"network": RegisteredNetworkDataset(task="sites")})
    hook = TrackingHooks()
    hook.before_pipeline_run(pipeline=Pipeline([node(identity, "recipes", "shards")]), catalog=catalog)
    with pytest.raises(click.ClickException, match="does not answer"):
        hook.before_pipeline_run(pipeline=Pipeline([node(identity, "network", "sites")]), catalog=catalog)


class Lost(AbstractDataset):
    """A dataset whose network is lost."""

    def load(self) -> None:
        raise TrackingError("no champion")

    def save(self, data: object) -> None: ...

    def _describe(self) -> dict[str, Any]:
        return {}


def test_a_problem_of_the_registry_is_one_line_and_others_keep_their_traceback():
    hook = TrackingHooks()
    hook.on_pipeline_error(error=ValueError("something else"))
    with pytest.raises(Exception, match="no champion") as caught:
        Lost().load()
    with pytest.raises(click.ClickException, match=r"^no champion$"):
        hook.on_pipeline_error(error=caught.value)


PYPROJECT = """
[tool.kedro]
package_name = "small"
project_name = "small"
kedro_init_version = "1.7.0"
"""
REGISTRY = """
import pandas as pd
from kedro.pipeline import Pipeline, node

def calibrate(bad):
    status = "not analysed" if bad else "analysed"
    return pd.DataFrame({"file": ["a.tif"], "status": [status], "reason": ["dark"]})

def write(calibration):
    return pd.DataFrame({"micrograph": ["pooled"], "n_atoms": [30]}), {"html": 1}

def register_pipelines():
    nodes = [node(calibrate, "params:bad", "calibration"), node(write, "calibration", ["summary", "report"])]
    return {"__default__": Pipeline(nodes), "inference": Pipeline(nodes)}
"""
CATALOG = """
calibration: {type: pandas.ParquetDataset, filepath: data/calibration.parquet}
summary: {type: pandas.ParquetDataset, filepath: data/summary.parquet}
report: {type: json.JSONDataset, filepath: data/report.json}
"""


@pytest.fixture(scope="module")
def kedro(tmp_path_factory):
    """Return a function that runs `kedro` in a small project with these hooks and commands."""
    project = tmp_path_factory.mktemp("small")
    settings = Path(hooks.__file__).with_name("settings.py").read_text()
    for name, text in {
        "pyproject.toml": PYPROJECT,
        ".telemetry": "consent: false",
        "src/small/__init__.py": "",
        "src/small/settings.py": settings,
        "src/small/cli.py": "from amorph2d.cli import cli\n",
        "src/small/pipeline_registry.py": REGISTRY,
        "conf/base/catalog.yml": CATALOG,
        "conf/base/parameters.yml": "bad: false\n",
        "conf/base/mlflow.yml": SETTINGS.format(log="true"),
        "conf/local/.gitkeep": "",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment |= {"COLUMNS": "300", "DO_NOT_TRACK": "1"}

    def run(*arguments: str, cwd: str = ".") -> SimpleNamespace:
        done = subprocess.run(
            [sys.executable, "-m", "kedro", *arguments],
            cwd=project / cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return SimpleNamespace(code=done.returncode, text=done.stdout + done.stderr, project=project)

    return run


def test_kedro_run_fails_without_a_traceback_and_keeps_the_run(kedro):
    done = kedro("run", "--params", "bad=true", cwd="src/small")
    assert done.code == 1
    assert "Traceback" not in done.text
    assert "Not analysed: a.tif: dark" in done.text
    assert "Error: 1 of 1 micrographs were not analysed: a.tif" in done.text
    assert json.loads((done.project / "data/report.json").read_text()) == {"html": 1}
    stores.configure(
        done.project, {"tracking_uri": "sqlite:///runs.db", "artifact_location": "f", "log_analyses": True}
    )
    client = stores.connect()
    [run] = client.search_runs([client.get_experiment_by_name("analysis").experiment_id])
    assert run.data.metrics == {"n_atoms": 30.0}
    assert run.data.params == {"bad": "true"}
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["report.json"]


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--pipelines", "--pipeline"])
def test_both_spellings_of_the_option_work(kedro, option):
    assert kedro("run", option, "inference").code == 0
    failed = kedro("run", option, "inference", "--params", "bad=true")
    assert failed.code == 1
    assert "Traceback" not in failed.text


@pytest.mark.slow
def test_an_unknown_parameter_ends_the_command_in_one_line(kedro):
    done = kedro("run", "--params", "bade=true")
    assert done.code == 1
    assert 'Error: unknown parameter "bade"; did you mean "bad"? Known: bad' in done.text
    assert "Traceback" not in done.text


@pytest.mark.slow
def test_the_commands_of_the_project_are_offered(kedro):
    assert "promote" in kedro("--help").text
    done = kedro("promote", "--task", "sites")
    assert done.code == 1
    assert "Error: no network is registered for the task 'sites'" in done.text
    assert "Traceback" not in done.text


def test_commands_that_need_no_store_import_no_mlflow():
    code = (
        "import sys, amorph2d.hooks, amorph2d.cli, amorph2d.tracking.registry, amorph2d.datasets.networks\n"
    )
    check = "assert not {'mlflow', 'torch', 'sqlalchemy'} & set(sys.modules), set(sys.modules)"
    subprocess.run([sys.executable, "-c", code + check], check=True)
