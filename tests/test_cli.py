from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from amorph2d import cli
from amorph2d.tracking import registry
from amorph2d.tracking.registry import NetworkRow, RegisteredNetwork
from amorph2d.tracking.store import TrackingError

ROWS = [
    NetworkRow(
        "sites", 12, ("candidate",), "training", datetime(2030, 1, 2, 3, 4), {"atom.f1": 0.9876}, "ab" * 32
    ),
    NetworkRow("sites", 1, (), "reference", datetime(2029, 1, 1), {"f1": 0.5, "atom.rmse": 0.06}, "cd" * 32),
]


@pytest.fixture(autouse=True)
def configured(monkeypatch):
    """Return the environments that the commands chose the store for."""
    chosen: list[str | None] = []
    monkeypatch.setattr(cli, "_configure", lambda _project, env: chosen.append(env))
    return chosen


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, arguments, obj=SimpleNamespace(project_path=Path()))


def test_networks_are_listed_in_columns(monkeypatch):
    monkeypatch.setattr(registry, "list_networks", lambda _task: ROWS)
    done = invoke("networks")
    assert done.exit_code == 0
    head, first, second = done.output.splitlines()
    assert head.split() == ["task", "version", "aliases", "source", "registered", "f1", "sha256"]
    assert first.split()[:4] == ["sites", "12", "candidate", "training"]
    assert "atom 0.988" in first
    assert first.endswith("abababababab")
    assert "f1 0.500 " in second
    assert "0.06" not in second
    column = head.index("source")
    assert first[column:].startswith("training")
    assert second[column:].startswith("reference")


def test_only_the_networks_of_a_task_are_asked_for(monkeypatch, configured):
    asked = []
    monkeypatch.setattr(registry, "list_networks", lambda task: asked.append(task) or [])
    done = invoke("networks", "--task", "pores", "--env", "demo")
    assert asked == ["pores"]
    assert configured == ["demo"]
    assert "No network is registered" in done.output


@pytest.mark.parametrize(("arguments", "version"), [((), None), (("--version", "3"), 3)])
def test_a_network_is_promoted(monkeypatch, arguments, version):
    asked = []

    def promote(task: str, number: int | None) -> RegisteredNetwork:
        asked.append((task, number))
        return RegisteredNetwork(task=task, version=3, folder=Path(), sha256="", uri="")

    monkeypatch.setattr(registry, "promote", promote)
    done = invoke("promote", "--task", "sites", *arguments)
    assert (done.exit_code, done.output) == (0, "sites version 3 is the champion now.\n")
    assert asked == [("sites", version)]


@pytest.mark.parametrize("command", [("networks",), ("promote", "--task", "sites")])
def test_problems_are_one_line(monkeypatch, command):
    def fail(*_: object) -> None:
        raise TrackingError("no candidate")

    monkeypatch.setattr(registry, "promote", fail)
    monkeypatch.setattr(registry, "list_networks", fail)
    done = invoke(*command)
    assert (done.exit_code, done.output) == (1, "Error: no candidate\n")


def test_versions_count_from_1():
    assert invoke("promote", "--task", "sites", "--version", "0").exit_code == 2
    assert invoke("promote").exit_code == 2
